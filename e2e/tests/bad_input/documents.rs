//! What a host can publish in place of an honest document, and which URLs are not even asked.

use entente_e2e::Options;
use entente_e2e::fake_peer::{
    DOCUMENT_PATH, FakePeer, Identity, Page, duplicate_key, resign, sign_document,
};
use serde_json::{Value, json};

use super::{alpha, deployment, goes_on, new_peer};

/// Asks alpha to peer with a host that serves this; it must refuse and list nothing.
fn refused(peer: &FakePeer, page: Page, status: u16, code: &str) {
    peer.serve(DOCUMENT_PATH, page);
    peer.ask_to_peer(alpha(), "open").refused(status, code);
    let peers = alpha().admin.get("/admin/federation/peers").expect(200);
    assert!(
        !peers.to_string().contains(&peer.identity.host),
        "{code}: {peers}"
    );
}

fn refused_text(peer: &FakePeer, text: &str, code: &str) {
    refused(peer, Page::json(text), 422, code);
}

fn unsigned(text: &str) -> serde_json::Map<String, Value> {
    let Value::Object(mut document) = serde_json::from_str(text).unwrap() else {
        panic!("an object")
    };
    document.remove("proof");
    document
}

#[test]
fn a_document_must_be_signed_by_its_own_key() {
    let peer = new_peer();
    let own = &peer.identity;
    let text = own.document.clone();
    let other = Identity::network(&own.host);
    let bare = Value::Object(unsigned(&text)).to_string();
    refused_text(&peer, &bare, "DOCUMENT_UNSIGNED");
    // The other key signs in the right name, and then in its own.
    let forger = Identity {
        signing: other.signing.clone(),
        ..own.clone()
    };
    let forged = sign_document(unsigned(&text), &forger);
    refused_text(&peer, &forged, "DOCUMENT_BAD_SIGNATURE");
    let foreign = sign_document(unsigned(&text), &other);
    refused_text(&peer, &foreign, "DOCUMENT_WRONG_KEY");
    // Signed rightly, changed afterwards.
    let changed = text.replace("\"name\":\"fake\"", "\"name\":\"hoax\"");
    assert_ne!(changed, text);
    refused_text(&peer, &changed, "DOCUMENT_BAD_SIGNATURE");
    refused_text(&peer, &duplicate_key(&text), "DOCUMENT_DUPLICATE_KEY");
    for garbage in ["", "[]", "{", "null", "\"did\""] {
        peer.serve_document(garbage);
        let reply = peer.ask_to_peer(alpha(), "open");
        assert!(
            [422, 502].contains(&reply.status),
            "{garbage:?}: {}",
            reply.text()
        );
    }
    // The honest one passes after all that.
    peer.serve_document(&text);
    peer.join(alpha(), "open");
    goes_on();
}

#[test]
fn what_a_document_says_must_fit_together() {
    let peer = new_peer();
    let other: Value =
        serde_json::from_str(&Identity::network(&peer.identity.host).document).unwrap();
    let ours: Value = alpha().public.get(DOCUMENT_PATH).expect(200);
    for (member, value, code) in [
        (
            "padding",
            json!("x".repeat(70 * 1024)),
            "DOCUMENT_TOO_LARGE",
        ),
        ("did", other["did"].clone(), "DOCUMENT_WRONG_DID"),
        ("log0", other["log0"].clone(), "DOCUMENT_WRONG_DID"),
        ("log0", ours["log0"].clone(), "DOCUMENT_WRONG_DID"),
        (
            "publicKey",
            other["publicKey"].clone(),
            "DOCUMENT_WRONG_KEY",
        ),
        ("publicKey", ours["publicKey"].clone(), "DOCUMENT_WRONG_KEY"),
        ("keys", other["keys"].clone(), "DOCUMENT_WRONG_KEY"),
        (
            "relay",
            json!("wss://elsewhere.example/relay"),
            "DOCUMENT_WRONG_RELAY",
        ),
        ("hosts", json!(["elsewhere.example"]), "DOCUMENT_WRONG_HOST"),
        ("version", json!(2), "DOCUMENT_UNKNOWN_VERSION"),
        ("federation", json!("open"), "DOCUMENT_MALFORMED"),
    ] {
        // Signed again, so that the signature is not what is wrong.
        let text = resign(&peer.identity.document, &peer.identity, |document| {
            document.insert(member.to_owned(), value);
        });
        refused_text(&peer, &text, code);
    }
    goes_on();
}

#[test]
fn a_host_must_answer_itself_and_in_json() {
    let peer = new_peer();
    let text = peer.identity.document.clone();
    let to = format!("http://{}/elsewhere.json", peer.identity.host);
    peer.serve("/elsewhere.json", Page::json(&text));
    refused(&peer, Page::redirect(&to), 422, "PEER_REDIRECTS");
    assert!(
        !peer.asked().contains(&"/elsewhere.json".to_owned()),
        "the redirect was followed"
    );
    refused(&peer, Page::status(404), 502, "PEER_UNREACHABLE");
    refused(&peer, Page::status(500), 502, "PEER_UNREACHABLE");
    let mut html = Page::json(&text);
    html.headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    peer.serve(DOCUMENT_PATH, html);
    let reply = peer.ask_to_peer(alpha(), "open");
    assert!(
        reply.status >= 400 && reply.value()["error"]["code"].is_string(),
        "{}",
        reply.text()
    );
    goes_on();
}

#[test]
fn a_host_that_serves_our_own_document_is_us() {
    let peer = new_peer();
    let own = alpha().public.get(DOCUMENT_PATH).text();
    // It names alpha's host, so it is not even looked at further.
    refused_text(&peer, &own, "DOCUMENT_WRONG_HOST");
}

#[test]
fn a_host_does_not_change_hands_silently() {
    let peer = new_peer();
    peer.join(alpha(), "open");
    let heir = Identity::network(&peer.identity.host);
    peer.serve_document(&heir.document);
    peer.ask_to_peer(alpha(), "open")
        .refused(409, "PEER_HOST_TAKEN");
    assert_eq!(
        alpha().peer(peer.identity.did.as_str())["host"],
        peer.identity.host
    );
}

fn ask(url: &str) -> entente_e2e::Reply {
    let body = json!({ "peerUrl": url, "trustLevel": "open" });
    alpha().admin.post("/admin/federation/peers", &body)
}

#[test]
fn a_url_that_leads_astray_is_not_asked() {
    let port = alpha().host.rsplit(':').next().unwrap();
    for (url, code) in [
        (format!("http://127.0.0.1:{port}"), "PEER_URL_IP_ADDRESS"),
        ("https://127.0.0.1".to_owned(), "PEER_URL_IP_ADDRESS"),
        ("https://2130706433".to_owned(), "PEER_URL_IP_ADDRESS"),
        ("https://0x7f.1".to_owned(), "PEER_URL_IP_ADDRESS"),
        ("https://[::1]".to_owned(), "PEER_URL_IP_ADDRESS"),
        ("https://169.254.169.254".to_owned(), "PEER_URL_IP_ADDRESS"),
        (alpha().url.clone(), "PEER_URL_OWN_HOST"),
        (format!("https://{}", alpha().host), "PEER_URL_OWN_HOST"),
        ("http://network.example.com".to_owned(), "PEER_URL_SCHEME"),
        ("ftp://network.example.com".to_owned(), "PEER_URL_SCHEME"),
        ("file:///etc/passwd".to_owned(), "PEER_URL_SCHEME"),
        ("http://localhost:1".to_owned(), "PEER_URL_SCHEME"),
        ("https://localhost".to_owned(), "PEER_URL_PRIVATE_NAME"),
        ("https://db.internal".to_owned(), "PEER_URL_PRIVATE_NAME"),
        ("https://printer.local".to_owned(), "PEER_URL_PRIVATE_NAME"),
        ("https://intranet".to_owned(), "PEER_URL_SINGLE_LABEL"),
        (
            "https://network.example.com:8443".to_owned(),
            "PEER_URL_PORT",
        ),
        (
            "https://user:secret@network.example.com".to_owned(),
            "PEER_URL_USERINFO",
        ),
        (
            "https://network.example.com/path".to_owned(),
            "PEER_URL_PATH",
        ),
        (
            "https://network.example.com?x=y".to_owned(),
            "PEER_URL_PATH",
        ),
        ("not a url".to_owned(), "PEER_URL_MALFORMED"),
        (String::new(), "PEER_URL_MALFORMED"),
    ] {
        ask(&url).refused(422, code);
    }
    goes_on();
}

#[test]
fn an_https_host_that_nobody_has_is_unreachable() {
    let reply = ask("https://network.invalid-for-sure.example.com");
    assert!([502, 504].contains(&reply.status), "{}", reply.text());
}

#[test]
fn in_production_mode_nothing_local_is_a_peer() {
    let production = Options::default()
        .networks(1)
        .var("DEV_PEER_HOSTS", "")
        .bare()
        .start();
    let network = &production.networks()[0];
    let document = network.public.get(DOCUMENT_PATH).expect(200);
    assert_eq!(document["relay"], format!("wss://{}/relay", network.host));
    let post = |url: &str| {
        network.admin.post(
            "/admin/federation/peers",
            &json!({ "peerUrl": url, "trustLevel": "open" }),
        )
    };
    post(&deployment().network("beta").url).refused(422, "PEER_URL_SCHEME");
    post(&network.url).refused(422, "PEER_URL_OWN_HOST");
    post("http://network.example.com").refused(422, "PEER_URL_SCHEME");
    post(&deployment().network("beta").url.replace("http:", "https:"))
        .refused(422, "PEER_URL_PRIVATE_NAME");
}
