//! A card is its agent's if the key that the agent publishes signed it, and nothing was changed.

use entente_a2a::card::{Card, CardError, RemoteCard, default_skills, skills};
use entente_a2a::signature::{key_path, published_key, sign, signers, verify};
use entente_trust::crypto::sign::SigningKey;
use serde_json::{Value, json};

const KID: &str = "did:web:alpha.example:agents:alice#key";

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn card(open: bool) -> Value {
    let skills = default_skills();
    Card {
        name: "alice",
        description: "helps",
        provider: ("alpha", "https://alpha.example"),
        url: "https://alpha.example/a2a/alice",
        version: "1",
        open,
        skills: &skills,
    }
    .to_value()
}

#[test]
fn a_signed_card_verifies_and_a_changed_one_does_not() {
    let signed = sign(&card(false), &key(), KID).unwrap();
    let signers = signers(&signed);
    assert_eq!(signers.len(), 2);
    let signer = &signers[0];
    let public = key().verifying_key();
    assert_eq!(verify(&signed, signer, &public), Ok(()));
    assert_eq!(verify(&signed, &signers[1], &public), Ok(()));
    // The first covers the schemes.
    let mut open = signed.clone();
    open["securitySchemes"] = json!({});
    assert!(verify(&open, signer, &public).is_err());
    // What is empty says nothing.
    let mut same = signed.clone();
    same["iconUrl"] = json!("");
    same["securityRequirements"] = json!([]);
    assert_eq!(verify(&same, signer, &public), Ok(()));
    for (field, value) in [
        ("name", json!("mallory")),
        (
            "supportedInterfaces",
            json!([{ "url": "https://mallory.example" }]),
        ),
        ("iconUrl", json!("x")),
        (
            "capabilities",
            json!({ "streaming": false, "pushNotifications": true }),
        ),
    ] {
        let mut changed = signed.clone();
        changed[field] = value;
        assert!(verify(&changed, signer, &public).is_err(), "{field}");
    }
    let other = SigningKey::from_seed(&[8; 32]).verifying_key();
    assert!(verify(&signed, signer, &other).is_err());
}

#[test]
fn a_signature_that_says_what_is_not_understood_is_not_looked_at() {
    let encode =
        |header: Value| data_encoding::BASE64URL_NOPAD.encode(header.to_string().as_bytes());
    let with = |header: Value| {
        let mut card = card(true);
        card["signatures"] = json!([{ "protected": encode(header), "signature": "AA" }]);
        signers(&card).len()
    };
    assert_eq!(with(json!({ "alg": "EdDSA", "kid": "k" })), 1);
    for bad in [
        json!({ "alg": "none", "kid": "k" }),
        json!({ "alg": "HS256", "kid": "k" }),
        json!({ "alg": "EdDSA" }),
        json!({ "alg": "EdDSA", "kid": "" }),
        json!({ "alg": "EdDSA", "kid": "k", "crit": ["x"] }),
        json!({ "alg": "EdDSA", "kid": "k", "b64": false }),
    ] {
        assert_eq!(with(bad.clone()), 0, "{bad}");
    }
}

#[test]
fn keys_are_looked_for_at_the_host_of_the_card_alone() {
    let signer = |kid: &str, jku: Option<&str>| {
        let mut header = json!({ "alg": "EdDSA", "kid": kid });
        if let Some(jku) = jku {
            header["jku"] = json!(jku);
        }
        let mut card = card(true);
        let protected = data_encoding::BASE64URL_NOPAD.encode(header.to_string().as_bytes());
        card["signatures"] = json!([{ "protected": protected, "signature": "AA" }]);
        signers(&card).remove(0)
    };
    let path = |kid: &str, jku: Option<&str>| key_path(&signer(kid, jku), "https://alpha.example");
    assert_eq!(path(KID, None).unwrap(), "/agents/alice/did.json");
    assert_eq!(
        path("did:web:alpha.example#k", None).unwrap(),
        "/.well-known/did.json"
    );
    assert_eq!(
        path("k", Some("https://alpha.example/jwks.json")).unwrap(),
        "/jwks.json"
    );
    for (kid, jku) in [
        ("did:web:beta.example:agents:alice#k", None),
        ("did:web:alpha.example:..:secret#k", None),
        ("did:web:alpha.example:a%2Fb#k", None),
        ("did:cf:x#k", None),
        ("k", None),
        ("k", Some("https://beta.example/jwks.json")),
        ("k", Some("https://alpha.example.beta.example/jwks.json")),
        ("k", Some("https://alpha.example@beta.example/")),
        ("k", Some("http://alpha.example/jwks.json")),
    ] {
        assert_eq!(path(kid, jku), None, "{kid} {jku:?}");
    }
    let local = key_path(
        &signer("did:web:localhost%3A1:agents:a#k", None),
        "http://localhost:1",
    );
    assert_eq!(local.unwrap(), "/agents/a/did.json");
}

#[test]
fn a_key_is_found_in_a_key_set_and_in_a_did_document() {
    let public = key().verifying_key();
    let x = data_encoding::BASE64URL_NOPAD.encode(&public.to_bytes());
    let set = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "k", "x": "AA" },
        { "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x }] });
    assert_eq!(published_key(&set, "k"), Some(public.clone()));
    assert_eq!(published_key(&set, "other"), None);
    let document = json!({ "verificationMethod": [
        { "id": KID, "publicKeyMultibase": public.to_multikey() }] });
    assert_eq!(published_key(&document, KID), Some(public));
    assert_eq!(published_key(&json!(1), KID), None);
}

#[test]
fn another_agents_card_is_read_or_refused_with_the_reason() {
    let read = RemoteCard::read(&card(false)).unwrap();
    assert_eq!(
        (read.name.as_str(), read.url.as_str()),
        ("alice", "https://alpha.example/a2a/alice")
    );
    assert_eq!(RemoteCard::read(&json!([])), Err(CardError::Malformed));
    let mut other = card(false);
    other["supportedInterfaces"][0]["protocolVersion"] = json!("0.3");
    assert_eq!(RemoteCard::read(&other), Err(CardError::Interface));
}

#[test]
fn skills_have_four_fields() {
    assert!(skills(&default_skills()).is_ok());
    assert!(skills(&json!([])).is_ok());
    for bad in [
        json!({}),
        json!([{}]),
        json!([{ "id": "a", "name": "b", "description": "c", "tags": [1] }]),
        json!([{ "id": "a", "name": "b", "description": "c", "tags": [], "x": 1 }]),
    ] {
        assert!(skills(&bad).is_err(), "{bad}");
    }
}
