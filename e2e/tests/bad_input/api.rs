//! What a client can get wrong.

use entente_e2e::{Client, Socket};
use serde_json::{Value, json};

use super::{alpha, deployment, goes_on, text};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn send(body: &Value) -> entente_e2e::Reply {
    let alice = deployment().agent("alice");
    alice.client.post(&alice.path("/messages"), body)
}

#[test]
fn an_unknown_agent_is_not_found() {
    let alpha = alpha();
    alpha
        .admin
        .get("/agents/nobody-here")
        .refused(404, "UNKNOWN_AGENT");
    alpha
        .admin
        .delete("/agents/nobody-here")
        .refused(404, "UNKNOWN_AGENT");
    alpha
        .public
        .get("/relay/agents/nobody-here")
        .refused(404, "UNKNOWN_AGENT");
    alpha
        .public
        .get("/agents/nobody-here/did.json")
        .refused(404, "UNKNOWN_AGENT");
    let did = format!("did:cf:{}", "a".repeat(52));
    alpha
        .public
        .get(&format!("/relay/agents/{did}"))
        .refused(404, "UNKNOWN_AGENT");
    let beta = deployment().network("beta");
    for to in [
        "nobody-here".to_owned(),
        format!("nobody-here@{}", beta.host),
        format!("{did}@{}", beta.host),
    ] {
        send(&json!({ "to": to, "content": text("?") })).refused(404, "UNKNOWN_AGENT");
    }
}

#[test]
fn a_name_is_taken_once() {
    let body = json!({ "name": "alice" });
    alpha()
        .admin
        .post("/agents/create", &body)
        .refused(409, "NAME_TAKEN");
}

#[test]
fn a_name_must_be_a_label() {
    for name in [
        "",
        "Alice",
        "two words",
        "a.b",
        "-a",
        "a-",
        "ålice",
        &"a".repeat(64),
        "../x",
        "create",
    ] {
        alpha()
            .admin
            .post("/agents/create", &json!({ "name": name }))
            .refused(400, "INVALID_NAME");
    }
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let alice = deployment().agent("alice");
    let large = json!({ "to": "bob", "content": text(&"x".repeat(70 * 1024)) });
    send(&large).refused(413, "CONTENT_TOO_LARGE");
    let huge = "x".repeat(200 * 1024);
    let reply = alice
        .client
        .send("POST", &alice.path("/messages"), &JSON, huge.as_bytes());
    reply.refused(413, "BODY_TOO_LARGE");
    alpha()
        .admin
        .send("POST", "/agents/create", &JSON, huge.as_bytes())
        .refused(413, "BODY_TOO_LARGE");
    goes_on();
}

#[test]
fn a_body_that_is_no_json_is_told_from_one_of_the_wrong_shape() {
    let alice = deployment().agent("alice");
    let alpha = alpha();
    for bad in ["{", "nope", "{,}", "\u{0}", "{\"", "{'a': 1}"] {
        let post = |client: &Client, path: &str| client.send("POST", path, &JSON, bad.as_bytes());
        post(&alice.client, &alice.path("/messages")).refused(400, "INVALID_JSON");
        post(&alpha.admin, "/agents/create").refused(400, "INVALID_JSON");
        post(&alpha.admin, "/admin/federation/peers").refused(400, "INVALID_JSON");
    }
    for bad in [
        json!([]),
        json!({}),
        json!({ "to": 7, "content": text("?") }),
        json!({ "to": "bob" }),
        json!({ "to": "bob", "content": { "kind": "song" } }),
        json!({ "to": "bob", "content": { "kind": "text" } }),
    ] {
        send(&bad).refused(400, "INVALID_BODY");
    }
    for bad in [
        json!({}),
        json!({ "name": 1 }),
        json!({ "name": "x", "colour": "red" }),
    ] {
        alpha
            .admin
            .post("/agents/create", &bad)
            .refused(400, "INVALID_BODY");
    }
    let bad = json!({ "peerUrl": "https://x.example", "trustLevel": "friendly" });
    alpha
        .admin
        .post("/admin/federation/peers", &bad)
        .refused(400, "INVALID_BODY");
}

#[test]
fn every_field_of_a_message_is_checked() {
    for (field, value, code) in [
        ("priority", json!(0), "INVALID_PRIORITY"),
        ("priority", json!(6), "INVALID_PRIORITY"),
        ("expiresAt", json!("2001-01-01T00:00:00Z"), "INVALID_EXPIRY"),
        ("expiresAt", json!("2999-01-01T00:00:00Z"), "INVALID_EXPIRY"),
        ("thread", json!(""), "INVALID_TEXT"),
        ("thread", json!("x".repeat(300)), "INVALID_TEXT"),
        ("idempotencyKey", json!("x".repeat(300)), "INVALID_TEXT"),
        (
            "content",
            json!({ "kind": "ref", "uri": "not a uri" }),
            "INVALID_URI",
        ),
    ] {
        let mut body = json!({ "to": "bob", "content": text("?") });
        body[field] = value;
        send(&body).refused(400, code);
    }
}

#[test]
fn a_malformed_address_is_refused() {
    for to in [
        "",
        "@",
        "alice@",
        "@localhost:1",
        "al ice",
        "ALICE",
        "did:cf:short",
        "did:web:example.com",
        "alice@localhost:99999",
        "alice@127.0.0.1",
        "alice@EXAMPLE.com",
        "alice@user@",
        "alice@[::1]",
    ] {
        send(&json!({ "to": to, "content": text("?") })).refused(400, "MALFORMED_ADDRESS");
    }
}

#[test]
fn without_a_valid_key_there_is_nothing_to_see() {
    let alpha = alpha();
    let key = alpha.admin_key.as_str();
    let almost = format!("{}x", &key[..key.len() - 1]);
    let wrong = [
        alpha.public.clone(),
        alpha.public.with_key("wrong"),
        alpha.public.with_key(&almost),
        alpha.public.with_key(&key.to_uppercase()),
        alpha.public.with_key(&format!("ent_{}", "A".repeat(43))),
        alpha
            .public
            .with_key(&deployment().network("beta").admin_key),
        alpha.public.with_key(&deployment().agent("diana").token),
    ];
    for client in &wrong {
        for (method, path) in [
            ("POST", "/admin/init"),
            ("POST", "/admin/ticket"),
            ("POST", "/agents/create"),
            ("POST", "/agents"),
            ("GET", "/agents"),
            ("GET", "/agents/alice"),
            ("DELETE", "/agents/alice"),
            ("POST", "/agents/alice/token"),
            ("GET", "/agents/alice/inbox"),
            ("GET", "/agents/alice/messages"),
            ("POST", "/agents/alice/messages"),
            ("GET", "/agents/alice/messages/x"),
            ("POST", "/agents/alice/ticket"),
            ("GET", "/agents/alice/ws"),
            ("GET", "/agents/nobody-here"),
            ("POST", "/admin/federation/peers"),
            ("GET", "/admin/federation/peers"),
            ("GET", "/admin/federation/peers/x"),
            ("PATCH", "/admin/federation/peers/x"),
            ("DELETE", "/admin/federation/peers/x"),
            ("GET", "/admin"),
            ("GET", "/no/such/route"),
            ("PUT", "/agents"),
        ] {
            client
                .send(method, path, &JSON, b"{}")
                .refused(401, "UNAUTHENTICATED");
        }
    }
    let url = format!("{}/agents/alice/ws", alpha.url);
    assert_eq!(Socket::open(&url, &[]).unwrap_err().0, 401);
    assert_eq!(
        Socket::open(&url, &[("authorization", "Bearer wrong")])
            .unwrap_err()
            .0,
        401
    );
    for ticket in ["", "x", &"A".repeat(43)] {
        let protocol = format!("entente.ticket.{ticket}");
        let opened = Socket::open(&url, &[("sec-websocket-protocol", &protocol)]);
        assert!(matches!(opened, Err((401 | 403, _))), "{ticket}");
        let firehose = format!("{}/relay/firehose", alpha.url);
        let opened = Socket::open(&firehose, &[("sec-websocket-protocol", &protocol)]);
        assert!(matches!(opened, Err((401 | 403, _))), "{ticket}");
    }
}

#[test]
fn another_agents_token_is_good_for_nothing_here() {
    let bob = deployment().agent("bob");
    for (method, path) in [
        ("GET", "/agents/alice"),
        ("GET", "/agents/alice/inbox"),
        ("GET", "/agents/alice/messages"),
        ("POST", "/agents/alice/messages"),
        ("POST", "/agents/alice/ticket"),
        ("POST", "/agents/alice/token"),
        ("GET", "/agents/alice/ws"),
        ("DELETE", "/agents/bob"),
        ("GET", "/agents"),
        ("POST", "/agents"),
        ("POST", "/admin/init"),
        ("POST", "/admin/ticket"),
        ("GET", "/admin/federation/peers"),
    ] {
        bob.client
            .send(method, path, &JSON, b"{}")
            .refused(403, "FORBIDDEN");
    }
    let url = format!("{}/agents/alice/ws", alpha().url);
    let key = format!("Bearer {}", bob.token);
    assert_eq!(
        Socket::open(&url, &[("authorization", &key)])
            .unwrap_err()
            .0,
        403
    );
}

#[test]
fn what_does_not_exist_says_so_to_the_admin() {
    let alpha = alpha();
    alpha.admin.get("/no/such/route").refused(404, "NOT_FOUND");
    alpha
        .admin
        .send("PUT", "/agents", &JSON, b"{}")
        .refused(405, "METHOD_NOT_ALLOWED");
    alpha
        .admin
        .get("/admin/federation/peers/did:cf:x")
        .refused(404, "UNKNOWN_PEER");
    let did = format!("did:cf:{}", "a".repeat(52));
    alpha
        .admin
        .get(&format!("/admin/federation/peers/{did}"))
        .refused(404, "UNKNOWN_PEER");
    alpha
        .admin
        .delete(&format!("/admin/federation/peers/{did}"))
        .refused(404, "UNKNOWN_PEER");
    alpha
        .public
        .get("/relay/firehose")
        .refused(426, "UPGRADE_REQUIRED");
    let alice = deployment().agent("alice");
    alice
        .client
        .get(&alice.path("/messages/not-an-id"))
        .refused(404, "UNKNOWN_MESSAGE");
    alice
        .client
        .get(&alice.path(&format!("/messages/{}", "a".repeat(26))))
        .refused(404, "UNKNOWN_MESSAGE");
}

#[test]
fn odd_cursors_and_limits_are_refused() {
    let alice = deployment().agent("alice");
    for query in [
        "cursor=nonsense!",
        "cursor=aaaa",
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=many",
    ] {
        let reply = alice.client.get(&alice.path(&format!("/inbox?{query}")));
        assert_eq!(reply.status, 400, "{query}: {}", reply.text());
        assert!(
            reply.value()["error"]["code"].is_string(),
            "{query}: {}",
            reply.text()
        );
    }
}
