//! Who a network is, and whom it knows.

use std::collections::BTreeSet;

use serde_json::json;

use super::deployment;

#[test]
fn a_network_publishes_a_signed_document_that_names_it() {
    for network in deployment().networks() {
        let reply = network.public.get("/.well-known/agent-network.json");
        let document = reply.expect(200);
        assert_eq!(document["did"], network.did);
        assert_eq!(document["relay"], format!("ws://{}/relay", network.host));
        assert!(document["publicKey"].as_str().unwrap().starts_with("z6Mk"));
        assert_eq!(document["federation"]["allowInbound"], true);
        assert_eq!(document["federation"]["allowOutbound"], true);
        assert!(document["federation"]["trustLevel"].is_string());
        assert_eq!(document["proof"]["cryptosuite"], "eddsa-jcs-2022");
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert!(
            reply
                .header("content-type")
                .unwrap()
                .starts_with("application/json")
        );
        assert!(reply.header("etag").is_some() && reply.header("cache-control").is_some());
    }
}

#[test]
fn a_network_and_its_agents_have_did_web_documents() {
    let alpha = deployment().network("alpha");
    let did = alpha.public.get("/.well-known/did.json").expect(200);
    let web = format!("did:web:{}", alpha.host.replace(':', "%3A"));
    assert_eq!(did["id"], web);
    assert!(
        did["verificationMethod"]
            .as_array()
            .is_some_and(|methods| !methods.is_empty())
    );
    let agent = alpha.public.get("/agents/alice/did.json").expect(200);
    assert_eq!(agent["id"], format!("{web}:agents:alice"));
    assert!(
        agent["alsoKnownAs"]
            .as_array()
            .unwrap()
            .contains(&json!(deployment().agent("alice").did))
    );
}

#[test]
fn health_says_ok_without_a_key() {
    for network in deployment().networks() {
        let health = network.public.get("/health").expect(200);
        assert_eq!(
            (&health["status"], &health["problems"]),
            (&json!("ok"), &json!([]))
        );
        assert!(health["version"].is_string());
    }
}

#[test]
fn the_schemas_of_records_are_public_and_cached() {
    let alpha = deployment().network("alpha");
    let list = alpha.public.get("/lexicons").expect(200);
    let listed = list["lexicons"].as_array().unwrap();
    assert!(listed.contains(&json!({"id": "agent.memory.profile", "key": "literal:self"})));
    assert!(listed.contains(&json!({"id": "agent.comms.defs"})));
    for entry in listed {
        let reply = alpha
            .public
            .get(&format!("/lexicons/{}", entry["id"].as_str().unwrap()));
        let document = reply.expect(200);
        assert_eq!(
            (&document["id"], &document["lexicon"]),
            (&entry["id"], &json!(1))
        );
        assert!(reply.header("etag").is_some());
        let kept = reply.header("cache-control").unwrap();
        assert!(kept.starts_with("public, max-age="), "{kept}");
    }
    let task = alpha.public.get("/lexicons/agent.comms.task").expect(200);
    assert_eq!(task["id"], "agent.comms.request");
    let unknown = alpha.public.get("/lexicons/agent.memory.rumour");
    assert_eq!(unknown.expect(404)["error"]["code"], "UNKNOWN_LEXICON");
}

#[test]
fn the_key_directory_shows_an_agents_card_by_did_and_by_name() {
    let beta = deployment().network("beta");
    let diana = deployment().agent("diana");
    let card = beta
        .public
        .get(&format!("/relay/agents/{}", diana.did))
        .expect(200);
    assert_eq!(card["did"], diana.did);
    assert_eq!(card["name"], "diana");
    assert!(card["proof"].is_object() && card["networkProof"].is_object());
    assert_eq!(beta.public.get("/relay/agents/diana").expect(200), card);
}

#[test]
fn the_networks_are_peered_as_a_chain() {
    let deployment = deployment();
    let (alpha, beta, gamma) = (
        deployment.network("alpha"),
        deployment.network("beta"),
        deployment.network("gamma"),
    );
    for (network, hosts) in [
        (alpha, vec![&beta.host]),
        (beta, vec![&alpha.host, &gamma.host]),
        (gamma, vec![&beta.host]),
    ] {
        let known: BTreeSet<_> = deployment
            .networks()
            .iter()
            .map(|n| n.host.as_str())
            .collect();
        let peers = network.public.get("/relay/peers").expect(200);
        let found: BTreeSet<_> = peers["peers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|peer| peer["host"].as_str().unwrap())
            .filter(|host| known.contains(host))
            .collect();
        assert_eq!(
            found,
            hosts.into_iter().map(String::as_str).collect(),
            "{}",
            network.name
        );
    }
    let peer = alpha.peer(&beta.did);
    assert!(
        ["up", "idle"].contains(&peer["state"].as_str().unwrap()),
        "{peer}"
    );
    assert_eq!(
        (&peer["did"], &peer["host"]),
        (&json!(beta.did), &json!(beta.host))
    );
    assert_eq!(
        peer["fingerprint"].as_str().unwrap().split(' ').count(),
        8,
        "{peer}"
    );
    let public = &alpha.public.get("/relay/peers").expect(200)["peers"][0];
    let shown: BTreeSet<_> = public
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        shown,
        BTreeSet::from(["did", "host", "trustLevel", "state"])
    );
}

#[test]
fn the_directory_answers_sql() {
    let alpha = deployment().network("alpha");
    let answer = deployment().sql("alpha", "SELECT did FROM network_identity");
    assert!(answer.contains(&alpha.did), "{answer}");
}

#[test]
fn init_is_idempotent() {
    let alpha = deployment().network("alpha");
    for _ in 0..2 {
        let reply = alpha.admin.post("/admin/init", &json!({}));
        assert!((200..300).contains(&reply.status), "{}", reply.text());
        assert_eq!(reply.value()["did"], alpha.did);
    }
}
