//! Why something is late: a link in detail, and the test of a host.

use serde_json::Value;

use super::deployment;

fn stages(test: &Value) -> Vec<(&str, bool)> {
    let stages = test["stages"].as_array().expect("stages").iter();
    stages
        .map(|stage| (stage["stage"].as_str().unwrap(), stage["ok"] == true))
        .collect()
}

#[test]
fn a_link_says_why_and_how_it_came_to_that() {
    let (alpha, beta) = (deployment().network("alpha"), deployment().network("beta"));
    let (alice, diana) = (deployment().agent("alice"), deployment().agent("diana"));
    let id = alice.send(&diana.address, "on the way");
    alice.wait_for_status(&id, "delivered");
    let peer = alpha.peer(&beta.did);
    let detail = &peer["detail"];
    let why = detail["why"].as_str().unwrap();
    assert!(why.starts_with("The link"), "{why}");
    let states: Vec<_> = detail["history"].as_array().unwrap().iter().collect();
    assert!(
        states.iter().any(|change| change["state"] == "up"),
        "{detail}"
    );
    let sent = detail["messages"].as_array().unwrap().iter();
    let known = sent.filter(|message| message["id"] == id.as_str()).count();
    assert_eq!(known, 1, "{detail}");
    assert!(!detail.to_string().contains("on the way"));
    let path = format!("/admin/federation/peers/{}", beta.did);
    assert_eq!(alpha.public.get(&path).status, 401);
    assert_eq!(
        alpha
            .admin
            .post(&format!("{path}/probe"), &Value::Null)
            .status,
        204
    );
}

#[test]
fn a_host_is_tested_stage_by_stage_up_to_what_fails() {
    let alpha = deployment().network("alpha");
    let ask = |host: &str| {
        let path = format!("/admin/federation/test?host={host}");
        alpha.admin.get(&path).expect(200)
    };
    let good = ask(&deployment().network("beta").host);
    let names: Vec<_> = stages(&good).iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        ["url", "document", "peer", "upgrade", "link", "level"]
    );
    assert_eq!(good["ok"], true, "{good}");
    for (host, at, code) in [
        ("127.0.0.1", "url", "PEER_URL_IP_ADDRESS"),
        ("", "url", "PEER_URL_MALFORMED"),
        (&alpha.host, "url", "PEER_URL_OWN_HOST"),
        (&deployment().network("gamma").host, "peer", "NOT_PEERED"),
    ] {
        let found = ask(host);
        assert_eq!(stages(&found).last(), Some(&(at, false)), "{found}");
        let last = found["stages"].as_array().unwrap().last().unwrap();
        assert_eq!(last["code"], code, "{found}");
        assert!(!last["next"].as_str().unwrap().is_empty());
    }
    assert_eq!(
        alpha.public.get("/admin/federation/test?host=x").status,
        401
    );
}
