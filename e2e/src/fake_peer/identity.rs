//! Who the fake peer, its agents and the networks it meets are.

use std::time::{SystemTime, UNIX_EPOCH};

use entente_lexicon::{Did, Host, Timestamp};
use entente_trust::crypto::hash::sha256;
use entente_trust::crypto::kem::KemSecret;
use entente_trust::crypto::multikey::kid;
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::identity::{
    Birth, IdentityKeys, Log, RecoveryKey, Rotation, Subject, birth, rotate,
};
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
    /// Its identity log.
    pub log: Log,
    /// Its current keys, among them the one that signs the log's next entry.
    pub keys: IdentityKeys,
    /// Its signing keys before that, the newest first.
    pub retired: Vec<String>,
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
        let recovery = RecoveryKey::generate(&mut rng()).public();
        let born = birth(&mut rng(), subject, "fake-object", now(), Some(&recovery));
        let mut identity = Self::born(born.expect("an identity"), host);
        identity.publish();
        identity
    }

    fn born(born: Birth, host: &str) -> Self {
        Self {
            did: born.did,
            host: host.to_owned(),
            signing: born.keys.signing.clone(),
            kid: kid(&born.keys.public_keys().view().signing),
            hybrid: born.keys.hybrid.clone(),
            document: String::new(),
            log: Log::begin(born.entry).expect("a log entry"),
            keys: born.keys,
            retired: Vec::new(),
        }
    }

    fn publish(&mut self) {
        let unsigned = document::network(self);
        self.document = document::sign_document(unsigned, self);
    }

    /// Takes new keys, proven by a new entry of the log.
    ///
    /// # Panics
    /// Never, while the keys are its own.
    pub fn rotate(&mut self) {
        let update = self.keys.next_update.clone();
        let Rotation { log, keys } =
            rotate(&mut rng(), &self.log, &update, now()).expect("an entry that follows");
        self.log = log;
        self.take(keys);
    }

    /// Takes new keys without telling the log of them: a forgery.
    pub fn forge(&mut self) {
        self.take(IdentityKeys::generate(&mut rng()));
    }

    fn take(&mut self, keys: IdentityKeys) {
        let old = self.signing.verifying_key().to_multikey();
        self.retired.insert(0, old);
        self.signing = keys.signing.clone();
        self.kid = kid(&keys.public_keys().view().signing);
        self.hybrid = keys.hybrid.clone();
        self.keys = keys;
        self.publish();
    }
}

impl FakeAgent {
    pub(super) fn new(network: &Identity, name: &str) -> Self {
        let subject = Subject::Agent {
            network: network.did.clone(),
        };
        let born = birth(&mut rng(), subject, "fake-agent-object", now(), None);
        let identity = Identity::born(born.expect("an identity"), &network.host);
        Self::of(identity, network, name)
    }

    /// Returns the agent under new keys, which its log proves; publish it to make it known.
    #[must_use]
    pub fn rotated(&self, network: &Identity, name: &str) -> Self {
        let mut identity = self.identity.clone();
        identity.rotate();
        Self::of(identity, network, name)
    }

    fn of(identity: Identity, network: &Identity, name: &str) -> Self {
        let card = document::card(&identity, network, name);
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
