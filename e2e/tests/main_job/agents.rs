//! Agents come, are read, and go.

use serde_json::json;

use super::{deployment, text};

#[test]
fn an_agent_is_created_listed_and_deleted() {
    let alpha = deployment().network("alpha");
    let body =
        json!({ "name": "short-lived", "model": "some-model", "config": { "mood": "good" } });
    let created = alpha.admin.post("/agents", &body).expect(201);
    assert!(created["token"].as_str().unwrap().starts_with("ent_"));
    assert_eq!(
        created["address"],
        format!("{}@{}", created["did"].as_str().unwrap(), alpha.host)
    );
    for key in ["signing", "encryption", "hybrid"] {
        assert!(
            created["publicKeys"][key]
                .as_str()
                .unwrap()
                .starts_with('z'),
            "{created}"
        );
    }
    let shown = alpha.admin.get("/agents/short-lived").expect(200);
    assert_eq!(
        (&shown["did"], &shown["model"]),
        (&created["did"], &json!("some-model"))
    );
    assert_eq!(
        (&shown["status"], &shown["adminRead"]),
        (&json!("active"), &json!(false))
    );
    assert!(
        !shown.to_string().contains("ent_"),
        "the token is shown once only"
    );
    let listed = |name: &str| {
        let agents = alpha.admin.get("/agents").expect(200);
        agents["agents"]
            .as_array()
            .unwrap()
            .iter()
            .any(|agent| agent["name"] == name)
    };
    assert!(listed("short-lived") && listed("alice"));
    let deleted = alpha.admin.delete("/agents/short-lived");
    assert!((200..300).contains(&deleted.status), "{}", deleted.text());
    assert!(!listed("short-lived"));
    assert_eq!(alpha.admin.get("/agents/short-lived").status, 404);
    let again = alpha.create_agent("short-lived");
    assert_ne!(
        created["did"], again.did,
        "a name may come back, a DID never does"
    );
}

#[test]
fn the_admin_reads_mail_only_where_the_agent_lets_it() {
    let alpha = deployment().network("alpha");
    let open = alpha.create_agent_with("reads-open", json!({ "adminRead": true }));
    let closed = alpha.create_agent("reads-closed");
    for agent in [&open, &closed] {
        let id = deployment()
            .agent("alice")
            .send(&agent.name, "for your eyes");
        agent.wait_for_message(&id);
    }
    let inbox = alpha.admin.get(&open.path("/inbox")).expect(200);
    assert_eq!(inbox["messages"][0]["content"], text("for your eyes"));
    assert_eq!(alpha.admin.get(&closed.path("/inbox")).status, 403);
    let audit = deployment().sql("alpha", "SELECT action, target FROM audit");
    assert!(audit.contains("reads-open"), "reading is audited: {audit}");
}

#[test]
fn a_new_token_replaces_the_old_one() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("token-turner");
    let reply = agent.client.post(&agent.path("/token"), &json!({}));
    assert!((200..300).contains(&reply.status), "{}", reply.text());
    let fresh = reply.value()["token"].as_str().unwrap().to_owned();
    assert_eq!(agent.client.get(&agent.path("/inbox")).status, 401);
    assert_eq!(
        alpha
            .public
            .with_key(&fresh)
            .get(&agent.path("/inbox"))
            .status,
        200
    );
}

#[test]
fn a_token_that_was_used_ends_with_its_replacement() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("token-often");
    let inbox = agent.path("/inbox");
    let send = json!({ "to": agent.address, "content": { "kind": "text", "text": "to myself" } });
    let other = alpha.create_agent("token-other");
    let mut client = agent.client.clone();
    for _round in 0..3 {
        // Used twice, so that the network has it at hand.
        assert_eq!(client.get(&inbox).status, 200);
        assert_eq!(client.get(&inbox).status, 200);
        client.get(&other.path("/inbox")).refused(403, "FORBIDDEN");
        let fresh = client.post(&agent.path("/token"), &json!({})).expect(200);
        client.get(&inbox).refused(401, "UNAUTHENTICATED");
        client
            .post(&agent.path("/messages"), &send)
            .refused(401, "UNAUTHENTICATED");
        client = alpha.public.with_key(fresh["token"].as_str().unwrap());
    }
    assert_eq!(client.get(&inbox).status, 200);
    assert_eq!(alpha.admin.delete(&agent.path("")).status, 204);
    client.get(&inbox).refused(401, "UNAUTHENTICATED");
}

#[test]
fn of_tokens_made_at_the_same_time_one_is_good() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("token-race");
    let path = agent.path("/token");
    let made: Vec<_> = std::thread::scope(|scope| {
        let turns: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| alpha.admin.post(&path, &json!({}))))
            .collect();
        turns.into_iter().map(|turn| turn.join().unwrap()).collect()
    });
    let (good, late): (Vec<_>, Vec<_>) = made.into_iter().partition(|reply| reply.status == 200);
    for reply in late {
        reply.refused(409, "AGENT_CHANGED");
    }
    let opens = good.iter().filter(|reply| {
        let token = reply.value()["token"].as_str().unwrap().to_owned();
        let client = alpha.public.with_key(&token);
        // Asked twice: what was looked up once is remembered.
        let first = client.get(&agent.path("/inbox")).status;
        assert_eq!(client.get(&agent.path("/inbox")).status, first);
        first == 200
    });
    assert_eq!(opens.count(), 1);
}

#[test]
fn a_client_cannot_say_what_only_the_network_may_say_to_an_object() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("ventriloquist");
    let fresh = agent.client.post(&agent.path("/token"), &json!({}));
    let client = alpha
        .public
        .with_key(fresh.expect(200)["token"].as_str().unwrap());
    let inbox = agent.path("/inbox");
    for said in [
        // Objects refuse versions that are older than the token.
        ("x-entente-row-version", "0"),
        ("X-Entente-Row-Version", "0"),
        ("x-entente-panic", "object"),
        ("x-entente-actor", "nobody"),
    ] {
        // First looked up, then remembered.
        for _turn in 0..2 {
            let reply = client.send("GET", &inbox, &[said], &[]);
            assert_eq!(reply.status, 200, "{said:?}: {}", reply.text());
        }
    }
}
