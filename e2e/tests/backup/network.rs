use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Deployment, Network};
use serde_json::{Value, json};

use super::{
    back_up, backups, deployment, everything, found, lose, restore, store, talk, wait_until_listed,
};

/// What an admin sees of a network, without what time changes.
fn standing(network: &Network) -> Value {
    let keys = network.admin.get("/admin/keys").expect(200);
    let peers = network.admin.get("/admin/federation/peers").expect(200);
    let peers: Vec<_> = peers["peers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|peer| {
            json!({
                "did": peer["did"], "host": peer["host"], "fingerprint": peer["fingerprint"],
                "level": peer["trustLevel"], "allowAgents": peer["allowAgents"],
            })
        })
        .collect();
    let path = "/.well-known/agent-network-log.jsonl";
    json!({
        "did": keys["did"], "fingerprint": keys["fingerprint"], "log": keys["log"],
        "history": network.public.get(path).text(),
        "agents": network.admin.get("/agents").expect(200),
        "bans": network.admin.get("/admin/federation/bans").expect(200),
        "peers": peers,
    })
}

fn remember(deployment: &Deployment) {
    let (alice, diana) = (deployment.agent("alice"), deployment.agent("diana"));
    for number in 0..20 {
        let _ = store(alice, &format!("the harbour has {number} cranes"));
    }
    let shared = store(alice, "the lighthouse keeper has the key");
    let with = json!({ "with": diana.address });
    let path = |record: &Value, rest: &str| {
        alice.path(&format!("/memory/{}{rest}", record["id"].as_str().unwrap()))
    };
    let _ = alice
        .client
        .post(&path(&shared, "/share"), &with)
        .expect(200);
    let shown = store(alice, "the ferry leaves at noon");
    let _ = alice
        .client
        .post(&path(&shown, "/public"), &json!({}))
        .expect(200);
    wait_for("what was shared", PATIENCE, || {
        let list = diana.client.get(&diana.path("/memory/shared")).expect(200);
        (list["records"].as_array()?.len() == 1).then_some(())
    });
    // What diana shares with alice is restored with alice.
    let back = store(diana, "the keeper's dog is called Ahab");
    let with = json!({ "with": alice.address });
    let path = diana.path(&format!("/memory/{}/share", back["id"].as_str().unwrap()));
    let _ = diana.client.post(&path, &with).expect(200);
    wait_for("what was shared back", PATIENCE, || {
        let list = alice.client.get(&alice.path("/memory/shared")).expect(200);
        (list["records"].as_array()?.len() == 1).then_some(())
    });
}

#[test]
fn a_network_that_lost_everything_but_its_bucket_is_restored_as_it_was() {
    let deployment = deployment(2);
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let (alice, diana) = (deployment.agent("alice"), deployment.agent("diana"));
    talk(alice, diana, "before the backup");
    talk(diana, alice, "before it, back");
    remember(&deployment);
    let ban = json!({ "host": "nobody.example", "reason": "the drill" });
    let _ = alpha.admin.post("/admin/federation/bans", &ban).expect(201);
    let made = back_up(alpha);
    let (before, kept) = (standing(alpha), everything(alice));
    assert_eq!(found(alice, "harbour"), 20);
    // Both sides go on: the peer has what the backup does not know of.
    for number in 0..5 {
        talk(alice, diana, &format!("after the backup {number}"));
        talk(diana, alice, &format!("after it, back {number}"));
    }

    let empty = lose(&deployment, "alpha");
    alpha
        .public
        .get("/admin/keys")
        .refused(401, "UNAUTHENTICATED");
    alpha
        .admin
        .get("/admin/keys")
        .refused(503, "NOT_INITIALISED");
    let seen = backups(alpha);
    assert_eq!(seen["generations"][0]["network"], before["did"]);
    assert_eq!(seen["generations"][0]["state"], "whole");
    let restored = restore(alpha, &json!({})).expect(200);
    assert_eq!(restored["did"], before["did"]);
    assert_eq!(restored["generation"], made["generation"]);
    assert_eq!(restored["parts"], made["parts"]);

    assert_eq!(
        standing(alpha),
        before,
        "the same identity, agents, peers, bans"
    );
    assert_eq!(
        everything(alice),
        kept,
        "every record opens, under the same root"
    );
    wait_until_listed(alpha, alice, &kept["root"]["public"]);
    assert_eq!(found(alice, "harbour"), 20, "and is found");
    assert_eq!(found(alice, "lighthouse"), 1);
    // Mail flows again, both ways and more than once.
    for number in 0..3 {
        talk(diana, alice, &format!("are you back? {number}"));
        talk(alice, diana, &format!("I am {number}"));
    }
    let _ = store(alice, "the harbour was restored");
    assert_eq!(found(alice, "harbour"), 21);
    let charlie = deployment.agent("charlie");
    talk(charlie, alice, "at home too");
    assert_eq!(
        beta.peer(before["did"].as_str().unwrap())["frozen"],
        Value::Null
    );

    // It is not empty any more, and its next backup has a number of its own.
    restore(alpha, &json!({})).refused(409, "NETWORK_NOT_EMPTY");
    let next = back_up(alpha);
    assert!(next["generation"].as_u64() > made["generation"].as_u64());
    drop(empty);
}
