//! The documents the fake peer publishes, written out member by member.

use entente_trust::crypto::multikey::kid;
use entente_trust::crypto::secp256k1;
use entente_trust::proof::{PROOF, Signer, attach};
use serde_json::{Map, Value, json};

use super::identity::{Identity, now};

pub(super) fn network(identity: &Identity) -> Map<String, Value> {
    let keys = identity.keys.public_keys().view();
    let current = |multikey: &str| json!([key(identity, multikey)]);
    let mut signing = vec![key(identity, &keys.signing)];
    signing.extend(identity.retired.iter().map(|old| retired(identity, old)));
    let pin = identity.log.pin();
    let document = json!({
        "did": identity.did,
        "relay": format!("ws://{}/relay", identity.host),
        "publicKey": keys.signing,
        "federation": { "allowInbound": true, "allowOutbound": true, "trustLevel": "open" },
        "version": 1,
        "name": "fake",
        "hosts": [identity.host],
        "keys": {
            "signing": signing,
            "encryption": current(&keys.encryption),
            "hybrid": current(&keys.hybrid),
        },
        "seq": pin.seq,
        "log": pin.head,
        "log0": identity.log.first(),
        "endpoints": {
            "agents": "/relay/agents",
            "federation": "/relay/federation",
            "firehose": "/relay/firehose",
            "peers": "/relay/peers",
        },
        "limits": { "documentBytes": 65536, "frameBytes": 262_144, "messageBytes": 65536 },
        "software": { "name": "fake", "version": "1" },
    });
    object(document)
}

/// A key as a document lists it: current since the log's last entry.
fn key(identity: &Identity, multikey: &str) -> Value {
    json!({
        "kid": kid(multikey),
        "publicKeyMultibase": multikey,
        "validFrom": identity.log.last().time(),
    })
}

/// A retired signing key as a document lists it.
fn retired(identity: &Identity, multikey: &str) -> Value {
    let span = identity.log.signing_span(multikey);
    json!({
        "kid": kid(multikey),
        "publicKeyMultibase": multikey,
        "validFrom": span.map(|span| span.from),
        "validUntil": span.and_then(|span| span.until).unwrap_or_else(now),
    })
}

/// The key that signs the repo of every fake agent; they have none.
fn repo_key() -> String {
    let key = secp256k1::SigningKey::from_seed(&[5; 32]).unwrap();
    key.verifying_key().to_multikey()
}

pub(super) fn card(agent: &Identity, network: &Identity, name: &str) -> String {
    let pin = agent.log.pin();
    let retired: Vec<Value> = agent
        .retired
        .iter()
        .map(|old| retired(agent, old))
        .collect();
    let mut card = object(json!({
        "version": 1,
        "did": agent.did,
        "name": name,
        "host": agent.host,
        "network": network.did,
        "keys": agent.keys.public_keys().view(),
        "repoKey": repo_key(),
        "retired": retired,
        "seq": pin.seq,
        "log": pin.head,
        "log0": agent.log.first(),
    }));
    sign(&mut card, PROOF, agent);
    sign(&mut card, "networkProof", network);
    Value::Object(card).to_string()
}

/// Signs a document with an identity's key, in the name of that identity.
#[must_use]
pub fn sign_document(mut document: Map<String, Value>, identity: &Identity) -> String {
    sign(&mut document, PROOF, identity);
    Value::Object(document).to_string()
}

/// Takes a signed document apart, changes it, and signs it again.
///
/// # Panics
/// If the text is no document.
#[must_use]
pub fn resign(
    text: &str,
    identity: &Identity,
    change: impl FnOnce(&mut Map<String, Value>),
) -> String {
    let mut document = object(serde_json::from_str(text).expect("a document"));
    change(&mut document);
    sign_document(document, identity)
}

/// Writes the document with its member `did` twice.
#[must_use]
pub fn duplicate_key(text: &str) -> String {
    let did = serde_json::from_str::<Value>(text).expect("a document")["did"].to_string();
    text.replacen('{', &format!("{{\"did\":{did},"), 1)
}

fn sign(document: &mut Map<String, Value>, name: &str, identity: &Identity) {
    let signer = Signer {
        did: &identity.did,
        kid: &identity.kid,
        key: &identity.signing,
    };
    attach(document, name, &signer, now()).expect("a document that can be signed");
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else {
        panic!("an object")
    };
    members
}
