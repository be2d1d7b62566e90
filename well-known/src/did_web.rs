//! `did:web` bridges: the same keys for software that knows no `did:cf`.
//!
//! A `did.json` is as trustworthy as the host that serves it, no more; `alsoKnownAs` leads to the
//! DID that proves itself (W3C DID Core 1.0; did:web method).

use entente_lexicon::api::PublicKeysView;
use entente_lexicon::{AgentName, Did, Host};
use entente_trust::crypto::multikey::kid;
use serde_json::{Value, json};

/// Returns a network's `did:web`, with the port's colon escaped as the method asks.
#[must_use]
pub fn network_id(host: &Host) -> String {
    format!("did:web:{}", host.as_str().replace(':', "%3A"))
}

/// Returns an agent's `did:web`, which resolves to `/agents/<name>/did.json`.
#[must_use]
pub fn agent_id(host: &Host, name: &AgentName) -> String {
    format!("{}:agents:{name}", network_id(host))
}

/// Builds `/.well-known/did.json` of a network.
#[must_use]
pub fn network_document(host: &Host, did: &Did, keys: &PublicKeysView, relay: &str) -> Value {
    let service = json!([{
        "id": "#relay",
        "type": "EntenteRelay",
        "serviceEndpoint": relay,
    }]);
    document(&network_id(host), did, keys, service)
}

/// Builds `/agents/<name>/did.json` of an agent: its keys; the key of its repo, and where that is
/// served, as atproto looks for them.
#[must_use]
pub fn agent_document(
    host: &Host,
    name: &AgentName,
    did: &Did,
    keys: &PublicKeysView,
    repo: &RepoAccess<'_>,
) -> Value {
    let id = agent_id(host, name);
    let service = json!([
        {
            "id": "#network",
            "type": "EntenteNetwork",
            "serviceEndpoint": network_id(host),
        },
        {
            "id": "#atproto_pds",
            "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": repo.origin,
        },
    ]);
    let mut document = document(&id, did, keys, service);
    let methods = document.get_mut("verificationMethod");
    if let Some(methods) = methods.and_then(Value::as_array_mut) {
        methods.push(json!({
            "id": format!("{id}#atproto"),
            "type": "Multikey",
            "controller": id,
            "publicKeyMultibase": repo.key,
        }));
    }
    document
}

/// How an agent's public repo is found and checked.
#[derive(Clone, Copy, Debug)]
pub struct RepoAccess<'a> {
    /// The key that signs it, as Multikey text.
    pub key: &'a str,
    /// The origin under which `/xrpc` serves it.
    pub origin: &'a str,
}

fn document(id: &str, did: &Did, keys: &PublicKeysView, service: Value) -> Value {
    let reference = |multikey: &str| format!("{id}#{}", kid(multikey));
    let method = |multikey: &str| {
        json!({
            "id": reference(multikey),
            "type": "Multikey",
            "controller": id,
            "publicKeyMultibase": multikey,
        })
    };
    json!({
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": id,
        "alsoKnownAs": [did],
        "verificationMethod": [
            method(&keys.signing), method(&keys.encryption), method(&keys.hybrid)
        ],
        "authentication": [reference(&keys.signing)],
        "assertionMethod": [reference(&keys.signing)],
        "keyAgreement": [reference(&keys.encryption), reference(&keys.hybrid)],
        "service": service,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> PublicKeysView {
        PublicKeysView {
            signing: "z6Mk1".to_owned(),
            encryption: "z6LS1".to_owned(),
            hybrid: "zhybrid".to_owned(),
        }
    }

    #[test]
    fn ids_resolve_to_the_paths_that_are_served() {
        let local = Host::parse("localhost:8701").unwrap();
        assert_eq!(network_id(&local), "did:web:localhost%3A8701");
        let name = AgentName::parse("alice").unwrap();
        let host = Host::parse("alpha.example").unwrap();
        assert_eq!(agent_id(&host, &name), "did:web:alpha.example:agents:alice");
    }

    #[test]
    fn software_for_atproto_finds_the_repos_key_and_server() {
        let host = Host::parse("alpha.example").unwrap();
        let name = AgentName::parse("alice").unwrap();
        let repo = RepoAccess {
            key: "zQ3sh1",
            origin: "https://alpha.example",
        };
        let did = Did::from_scid(&[1; 32]);
        let document = agent_document(&host, &name, &did, &keys(), &repo);
        let method = &document["verificationMethod"][3];
        assert_eq!(method["id"], "did:web:alpha.example:agents:alice#atproto");
        assert_eq!(method["publicKeyMultibase"], "zQ3sh1");
        let service = &document["service"][1];
        assert_eq!(service["id"], "#atproto_pds");
        assert_eq!(service["serviceEndpoint"], "https://alpha.example");
    }

    #[test]
    fn every_reference_names_a_method_of_the_document() {
        let host = Host::parse("alpha.example").unwrap();
        let did = Did::from_scid(&[1; 32]);
        let name = AgentName::parse("alice").unwrap();
        let repo = RepoAccess {
            key: "zQ3sh1",
            origin: "https://alpha.example",
        };
        for document in [
            network_document(&host, &did, &keys(), "wss://alpha.example/relay"),
            agent_document(&host, &name, &did, &keys(), &repo),
        ] {
            let methods = document["verificationMethod"].as_array().unwrap();
            let ids: Vec<&Value> = methods.iter().map(|method| &method["id"]).collect();
            for purpose in ["authentication", "assertionMethod", "keyAgreement"] {
                for reference in document[purpose].as_array().unwrap() {
                    assert!(ids.contains(&reference), "{purpose}");
                }
            }
            assert!(
                methods
                    .iter()
                    .all(|method| method["controller"] == document["id"])
            );
            assert_eq!(document["alsoKnownAs"][0], json!(did));
        }
    }
}
