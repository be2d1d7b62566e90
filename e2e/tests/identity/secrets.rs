//! The recovery key, and the master key that is replaced.

use std::fs;

use entente_e2e::{Agent, Deployment};
use serde_json::{Value, json};

use super::deployment;

fn carries(from: &Agent, to: &Agent, text: &str) {
    let id = from.send(&to.address, text);
    to.wait_for_message(&id);
    from.wait_for_status(&id, "delivered");
}

#[test]
fn the_recovery_key_that_left_at_init_replaces_the_keys_once() {
    let (_turn, deployment) = deployment();
    let beta = deployment.network("beta");
    let first = fs::read_to_string(deployment.state().join("recovery-beta.key")).unwrap();
    let keys = || beta.admin.get("/admin/keys").expect(200);
    let recover = |key: &str| {
        let body = json!({ "recoveryKey": key });
        beta.admin.post("/admin/keys/recover", &body)
    };
    let before = keys();
    assert_eq!(before["recoveryKey"], Value::Null, "it is shown once");
    let again = beta.admin.post("/admin/init", &json!({})).expect(200);
    assert_eq!(again["recoveryKey"], Value::Null);
    let stranger = format!("entente-recovery-{}", "a".repeat(52));
    for wrong in ["", "x", &stranger] {
        recover(wrong).refused(403, "RECOVERY_KEY_WRONG");
    }
    let recovered = recover(&first).expect(200);
    assert_eq!(recovered["did"], before["did"]);
    assert_eq!(recovered["seq"], before["seq"].as_u64().unwrap() + 1);
    assert_ne!(recovered["fingerprint"], before["fingerprint"]);
    recover(&first).refused(403, "RECOVERY_KEY_WRONG");
    let (alice, diana) = (deployment.agent("alice"), deployment.agent("diana"));
    carries(alice, diana, "after a recovery");
    carries(diana, alice, "likewise");
    // The key that it answered is the next one; ordinary rotations do not touch it.
    let _ = beta
        .admin
        .post("/admin/keys/rotate", &json!({}))
        .expect(200);
    let _ = recover(recovered["recoveryKey"].as_str().unwrap()).expect(200);
    carries(alice, diana, "after the second recovery");
}

/// Runs alpha under these master keys while `work` runs.
fn under(deployment: &Deployment, keys: [Option<&str>; 2], work: impl FnOnce()) {
    let vars = [
        ("ENCRYPTION_MASTER_KEY", keys[0]),
        ("ENCRYPTION_MASTER_KEY_PREVIOUS", keys[1]),
    ];
    let running = deployment.run_misconfigured("alpha", &vars);
    work();
    drop(running);
}

#[test]
fn the_master_key_is_replaced_without_losing_anything() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (alice, bob) = (deployment.agent("alice"), deployment.agent("bob"));
    carries(alice, bob, "under the old master key");
    let config = fs::read_to_string(deployment.state().join("alpha/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let old = config["vars"]["ENCRYPTION_MASTER_KEY"].as_str().unwrap();
    let new = "0123456789abcdef".repeat(4);
    let identity = alpha.admin.get("/admin/keys").expect(200);
    let reseal = || {
        let resealed = alpha
            .admin
            .post("/admin/keys/reseal", &json!({}))
            .expect(200);
        assert_eq!(resealed["left"], 0);
        resealed["masterKeyId"].clone()
    };
    deployment.kill9("alpha");
    under(deployment, [Some(&new), None], || {
        let health = alpha.public.get("/health").expect(503);
        assert_eq!(health["problems"], json!(["MASTER_KEY_WRONG"]));
    });
    under(deployment, [Some(&new), Some(old)], || {
        let _ = alpha.public.get("/health").expect(200);
        carries(alice, bob, "while the key is replaced");
        assert_ne!(reseal(), identity["masterKeyId"]);
    });
    under(deployment, [Some(&new), None], || {
        let _ = alpha.public.get("/health").expect(200);
        carries(alice, bob, "under the new key alone");
        let now = alpha.admin.get("/admin/keys").expect(200);
        assert_eq!(now["fingerprint"], identity["fingerprint"]);
    });
    // The old key opens nothing any more, until it is put back the same way.
    under(deployment, [Some(old), None], || {
        let health = alpha.public.get("/health").expect(503);
        assert_eq!(health["problems"], json!(["MASTER_KEY_WRONG"]));
    });
    under(deployment, [Some(old), Some(&new)], || {
        assert_eq!(reseal(), identity["masterKeyId"]);
    });
    deployment.restart("alpha");
    carries(alice, bob, "under the old master key again");
}
