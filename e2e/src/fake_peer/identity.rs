//! Who the fake peer, its agents and the networks it meets are.

use std::time::{SystemTime, UNIX_EPOCH};

use entente_lexicon::{Did, Host, Timestamp};
use entente_trust::crypto::hash::sha256;
use entente_trust::crypto::kem::KemSecret;
use entente_trust::crypto::multikey::kid;
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::identity::{Subject, birth};
use entente_trust::message::{MAX_PREKEY_LIFE_MS, SignedPrekey};
use getrandom::SysRng;
use rand_core::{Rng as _, UnwrapErr};
use serde_json::Value;

use super::document;

/// An identity with its secret keys.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its DID.
    pub did: Did,
    /// Its host.
    pub host: String,
    /// What it signs with.
    pub signing: SigningKey,
    /// The id of that key.
    pub kid: String,
    /// What conversations with it are opened to; for agents.
    pub hybrid: KemSecret,
    /// A network's discovery document.
    pub document: String,
}

/// An agent of the fake peer.
#[derive(Clone, Debug)]
pub struct FakeAgent {
    /// Its identity.
    pub identity: Identity,
    /// `did:cf:…@host`.
    pub address: String,
    /// Its card, signed by it and by its network.
    pub card: String,
    /// Its prekey, signed by it; the secret half is [`Identity::hybrid`].
    pub prekey: String,
}

/// What a real network publishes about itself.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its DID.
    pub did: String,
    /// Its host.
    pub host: String,
    /// The id of its signing key.
    pub kid: String,
    /// The key.
    pub key: VerifyingKey,
    /// SHA-256 of its document's exact bytes.
    pub document_hash: [u8; 32],
}

/// Returns the current instant.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    Timestamp(u64::try_from(since.as_millis()).expect("a clock before the year 500 million"))
}

pub(super) fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rng().fill_bytes(&mut bytes);
    bytes
}

impl Identity {
    /// Makes a network at `host` and its signed document.
    ///
    /// # Panics
    /// If `host` is none.
    #[must_use]
    pub fn network(host: &str) -> Self {
        let subject = Subject::Network {
            host: Host::parse(host).expect("a host"),
        };
        let born = birth(&mut rng(), subject, "fake-object", now()).expect("an identity");
        let log0 = serde_json::to_value(&born.entry).expect("a log entry");
        let keys = born.keys.public_keys().view();
        let kid = kid(&keys.signing);
        let mut identity = Self {
            did: born.did,
            host: host.to_owned(),
            signing: born.keys.signing,
            kid,
            hybrid: born.keys.hybrid,
            document: String::new(),
        };
        let unsigned = document::network(&identity, &keys, log0);
        identity.document = document::sign_document(unsigned, &identity);
        identity
    }
}

impl FakeAgent {
    pub(super) fn new(network: &Identity, name: &str) -> Self {
        let subject = Subject::Agent {
            network: network.did.clone(),
        };
        let born = birth(&mut rng(), subject, "fake-agent-object", now()).expect("an identity");
        let log0 = serde_json::to_value(&born.entry).expect("a log entry");
        let keys = born.keys.public_keys().view();
        let identity = Identity {
            did: born.did,
            host: network.host.clone(),
            signing: born.keys.signing,
            kid: kid(&keys.signing),
            hybrid: born.keys.hybrid,
            document: String::new(),
        };
        let card = document::card(&identity, network, name, &keys, log0);
        let (from, until) = (now(), now().after(MAX_PREKEY_LIFE_MS));
        let public = identity.hybrid.public();
        let prekey = SignedPrekey::sign(&identity.did, &public, from, until, &identity.signing);
        Self {
            prekey: prekey.expect("a prekey").to_text(),
            address: format!("{}@{}", identity.did, identity.host),
            identity,
            card,
        }
    }
}

impl Known {
    /// Reads a network's document, byte for byte.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let document: Value = serde_json::from_slice(bytes).expect("a document");
        let key = document["publicKey"].as_str().expect("a key");
        Self {
            did: document["did"].as_str().expect("a DID").to_owned(),
            host: document["hosts"][0].as_str().expect("a host").to_owned(),
            kid: kid(key),
            key: VerifyingKey::from_multikey(key).expect("an Ed25519 key"),
            document_hash: sha256(&[bytes]),
        }
    }
}
