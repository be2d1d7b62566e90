//! One entry of an identity log. The hash of entry 0 is the DID; the others follow it in
//! [`Log`](super::Log).
//!
//! ```text
//! {"v":1, "seq":n, "type":"network"|"agent", "time":"…Z",
//!  "object":"<Durable Object id>" (of entry 0) | "prev":"<hash of the entry before>" (of the others),
//!  "host":"…" (of a network) | "network":"did:cf:…" (of an agent),
//!  "keys":{"signing":{"kid","digest"}, "encryption":{…}, "hybrid":{…}},
//!  "update":"<multikey of the single-use key that signs this entry>",
//!  "next":"<digest of the next update key>",
//!  "recovery":"<digest of the recovery key>" (always of a network), "sig":"z…"}
//! scid = base32(SHA-256(JCS without sig)) of entry 0; prev = base32(SHA-256(JCS with sig))
//! sig  = Ed25519("entente log entry" ‖ 0x00 ‖ JCS without sig)
//! ```
//!
//! A digest is the SHA-256 of a key's Multikey text in base32; a kid is its first 16 characters.

use entente_lexicon::api::PublicKeysView;
use entente_lexicon::id::BASE32;
use entente_lexicon::{Did, Host, Timestamp};
use multibase::Base;
use serde::{Deserialize, Serialize};

use super::PublicKeys;
use crate::crypto::hash::sha256;
use crate::crypto::multikey::{digest, kid};
use crate::crypto::sign::{SigningKey, VerifyingKey};
use crate::jcs;

const VERSION: u8 = 1;
const LABEL: &[u8] = b"entente log entry\0";
const MAX_OBJECT_LENGTH: usize = 128;

/// Whose log it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A network, at this host when it was made.
    Network {
        /// The host.
        host: Host,
    },
    /// An agent of this network.
    Agent {
        /// The network.
        network: Did,
    },
}

/// A key named by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyCommitment {
    /// How documents and messages name it.
    pub kid: String,
    /// What proves it.
    pub digest: String,
}

/// The keys that an entry makes current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyCommitments {
    /// Ed25519.
    pub signing: KeyCommitment,
    /// X25519.
    pub encryption: KeyCommitment,
    /// X-Wing.
    pub hybrid: KeyCommitment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Network,
    Agent,
}

/// An entry of an identity log. Parsing checks its form, [`LogEntry::verify`] and
/// [`Log`](super::Log) its truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    v: u8,
    seq: u64,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prev: Option<String>,
    time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<Host>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<Did>,
    keys: KeyCommitments,
    update: String,
    next: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recovery: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

/// Why a log or an entry of it is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A member is missing, unknown, doubled or of the wrong form.
    #[error("an identity log entry is malformed")]
    Malformed,
    /// Not a version 1 entry, or not the entry 0 where one is needed.
    #[error("the identity log entry is not one that this release knows")]
    UnknownVersion,
    /// Not signed by the update key it names.
    #[error("the signature on an identity log entry does not verify")]
    BadSignature,
    /// The entries are not numbered 0, 1, 2 ….
    #[error("the identity log's entries are out of order, or some are missing")]
    WrongSeq,
    /// An entry does not name the hash of the one before it.
    #[error("an identity log entry does not follow the one before it")]
    BrokenChain,
    /// An entry is signed by a key that the entry before did not commit to.
    #[error("an identity log entry is signed by a key that the entry before did not commit to")]
    WrongUpdateKey,
    /// An entry commits to an update or recovery key that was used or named before.
    #[error("an identity log entry commits to an update key for the second time")]
    UpdateKeyReused,
    /// A signing key that was retired is current again.
    #[error("an identity log entry brings a retired signing key back")]
    KeyReturned,
    /// The recovery key changed without being used, or was used and not replaced.
    #[error("the recovery key changes with its use, and only then")]
    WrongRecovery,
    /// An entry is older than the one before it.
    #[error("an identity log entry is older than the one before it")]
    TimeRunsBack,
    /// An entry is of another kind, host or network than the one before it.
    #[error("an identity log changes whom it is about")]
    SubjectChanged,
    /// The log has more entries than anybody needs.
    #[error("the identity log has more than {MAX_ENTRIES} entries")]
    TooLong,
    /// The log is shorter than the pin, or another at the pinned entry.
    #[error("the identity log does not continue the one that was pinned")]
    Forked,
}

/// Entries of a log at most: a rotation every day for almost three years.
pub const MAX_ENTRIES: usize = 1_024;

/// What an entry after entry 0 is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    /// The keys it makes current.
    pub(super) keys: &'a PublicKeys,
    /// The key that signs it: what the entry before committed to, or the recovery key.
    pub(super) update: &'a SigningKey,
    /// The key that may sign the entry after it.
    pub(super) next: &'a VerifyingKey,
    /// The new recovery key, if `update` is the recovery key.
    pub(super) recovery: Option<&'a VerifyingKey>,
    /// When, by the maker's clock.
    pub(super) time: Timestamp,
}

impl KeyCommitment {
    /// Commits to a key by its Multikey text.
    #[must_use]
    pub fn of(multikey: &str) -> Self {
        Self {
            kid: kid(multikey),
            digest: digest(multikey),
        }
    }

    /// Tells whether this is the commitment to the key with this Multikey text.
    #[must_use]
    pub fn commits_to(&self, multikey: &str) -> bool {
        *self == Self::of(multikey)
    }

    fn is_well_formed(&self) -> bool {
        is_digest(&self.digest) && self.kid.len() == 16 && self.digest.starts_with(&self.kid)
    }
}

impl KeyCommitments {
    /// Commits to these keys.
    #[must_use]
    pub fn of(keys: &PublicKeys) -> Self {
        let keys = keys.view();
        Self {
            signing: KeyCommitment::of(&keys.signing),
            encryption: KeyCommitment::of(&keys.encryption),
            hybrid: KeyCommitment::of(&keys.hybrid),
        }
    }

    /// Tells whether these are the commitments to these keys.
    #[must_use]
    pub fn commit_to(&self, keys: &PublicKeysView) -> bool {
        self.signing.commits_to(&keys.signing)
            && self.encryption.commits_to(&keys.encryption)
            && self.hybrid.commits_to(&keys.hybrid)
    }
}

impl LogEntry {
    /// Makes and signs entry 0 with `update`, which must be destroyed afterwards.
    ///
    /// # Errors
    /// [`LogError::Malformed`] if `object` is empty or longer than 128 bytes, or a network has no
    /// recovery key.
    pub fn genesis(
        subject: Subject,
        object: &str,
        time: Timestamp,
        keys: &PublicKeys,
        update: &SigningKey,
        (next_update, recovery): (&VerifyingKey, Option<&VerifyingKey>),
    ) -> Result<Self, LogError> {
        let (kind, host, network) = match subject {
            Subject::Network { host } => (Kind::Network, Some(host), None),
            Subject::Agent { network } => (Kind::Agent, None, Some(network)),
        };
        let entry = Self {
            v: VERSION,
            seq: 0,
            kind,
            object: Some(object.to_owned()),
            prev: None,
            time,
            host,
            network,
            keys: KeyCommitments::of(keys),
            update: update.verifying_key().to_multikey(),
            next: digest(&next_update.to_multikey()),
            recovery: recovery.map(|key| digest(&key.to_multikey())),
            sig: None,
        };
        entry.signed(update)
    }

    /// Makes and signs the entry that follows this one; `step.update` must be destroyed afterwards.
    pub(super) fn follow(&self, step: &Step<'_>) -> Result<Self, LogError> {
        let recovery = step.recovery.map(|key| digest(&key.to_multikey()));
        let entry = Self {
            v: VERSION,
            seq: self.seq.saturating_add(1),
            kind: self.kind,
            object: None,
            prev: Some(BASE32.encode(&self.head()?)),
            // A clock that was set back must not make the log end here.
            time: step.time.max(self.time),
            host: self.host.clone(),
            network: self.network.clone(),
            keys: KeyCommitments::of(step.keys),
            update: step.update.verifying_key().to_multikey(),
            next: digest(&step.next.to_multikey()),
            recovery: recovery.or_else(|| self.recovery.clone()),
            sig: None,
        };
        entry.signed(step.update)
    }

    fn signed(mut self, update: &SigningKey) -> Result<Self, LogError> {
        self.check_form()?;
        let signature = update.sign(&[LABEL, &self.unsigned_bytes()?]);
        self.sig = Some(multibase::encode(Base::Base58Btc, signature));
        Ok(self)
    }

    /// Checks form and signature of entry 0 and returns the DID that it makes.
    ///
    /// # Errors
    /// [`LogError`]; [`LogError::UnknownVersion`] for an entry that is not the first.
    pub fn verify(&self) -> Result<Did, LogError> {
        if self.seq != 0 {
            return Err(LogError::UnknownVersion);
        }
        let bytes = self.verify_signature()?;
        Ok(Did::from_scid(&sha256(&[&bytes])))
    }

    /// Checks form and signature, and returns what was signed.
    fn verify_signature(&self) -> Result<Vec<u8>, LogError> {
        self.check_form()?;
        let bytes = self.unsigned_bytes()?;
        let text = self.sig.as_ref().ok_or(LogError::BadSignature)?;
        let (base, signature) = multibase::decode(text).map_err(|_error| LogError::Malformed)?;
        if base != Base::Base58Btc {
            return Err(LogError::Malformed);
        }
        VerifyingKey::from_multikey(&self.update)
            .map_err(|_error| LogError::Malformed)?
            .verify(&[LABEL, &bytes], &signature)
            .map_err(|_error| LogError::BadSignature)?;
        Ok(bytes)
    }

    /// Checks that this entry is the one that may follow `before`, whose hash is `head`.
    pub(super) fn verify_after(&self, before: &Self, head: &[u8; 32]) -> Result<(), LogError> {
        self.verify_signature()?;
        if self.seq != before.seq.saturating_add(1) {
            return Err(LogError::WrongSeq);
        }
        if self.prev.as_deref() != Some(BASE32.encode(head).as_str()) {
            return Err(LogError::BrokenChain);
        }
        if self.subject()? != before.subject()? {
            return Err(LogError::SubjectChanged);
        }
        if self.time < before.time {
            return Err(LogError::TimeRunsBack);
        }
        let update = digest(&self.update);
        let recovers = before.recovery.as_ref() == Some(&update);
        if !recovers && update != before.next {
            return Err(LogError::WrongUpdateKey);
        }
        // Who has only an update key cannot shut the holder of the recovery key out.
        if recovers == (self.recovery == before.recovery) {
            return Err(LogError::WrongRecovery);
        }
        Ok(())
    }

    /// Tells whether the recovery key signed this entry, given the one before.
    #[must_use]
    pub fn recovers(&self, before: &Self) -> bool {
        before.recovery.as_ref() == Some(&digest(&self.update))
    }

    /// Tells whether `key` may sign the entry after this one as its update key.
    #[must_use]
    pub fn commits_to_update(&self, key: &VerifyingKey) -> bool {
        self.next == digest(&key.to_multikey())
    }

    /// Tells whether `key` is the recovery key that this entry names.
    #[must_use]
    pub fn commits_to_recovery(&self, key: &VerifyingKey) -> bool {
        self.recovery.as_ref() == Some(&digest(&key.to_multikey()))
    }

    /// Returns the digests of the single-use keys that this entry uses or commits to anew.
    pub(super) fn single_use(&self, before: Option<&Self>) -> Vec<String> {
        let recovery = before.and_then(|before| before.recovery.as_ref()) != self.recovery.as_ref();
        let recovery = self.recovery.iter().filter(|_| recovery).cloned();
        let first = before.is_none().then(|| digest(&self.update));
        first
            .into_iter()
            .chain([self.next.clone()])
            .chain(recovery)
            .collect()
    }

    /// Returns its number.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Returns whose log it is.
    ///
    /// # Errors
    /// [`LogError::Malformed`] if the entry names both a host and a network, or the wrong one.
    pub fn subject(&self) -> Result<Subject, LogError> {
        match (self.kind, &self.host, &self.network) {
            (Kind::Network, Some(host), None) => Ok(Subject::Network { host: host.clone() }),
            (Kind::Agent, None, Some(network)) => Ok(Subject::Agent {
                network: network.clone(),
            }),
            (Kind::Network | Kind::Agent, _, _) => Err(LogError::Malformed),
        }
    }

    /// Returns the keys that the entry makes current.
    #[must_use]
    pub const fn keys(&self) -> &KeyCommitments {
        &self.keys
    }

    /// Returns the id of the Durable Object, which entry 0 names.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// Returns when it was made, by its maker's clock.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// Returns the hash of the whole entry, signature and all: the head of a log that ends here.
    ///
    /// # Errors
    /// [`LogError::Malformed`] if the entry has no canonical form.
    pub fn head(&self) -> Result<[u8; 32], LogError> {
        let bytes = jcs::canonical(self).map_err(|_error| LogError::Malformed)?;
        Ok(sha256(&[&bytes]))
    }

    fn check_form(&self) -> Result<(), LogError> {
        if self.v != VERSION {
            return Err(LogError::UnknownVersion);
        }
        self.subject()?;
        let place = match (self.seq, &self.object, &self.prev) {
            (0, Some(object), None) => !object.is_empty() && object.len() <= MAX_OBJECT_LENGTH,
            (1.., None, Some(prev)) => is_digest(prev),
            (_, _, _) => false,
        };
        let recovery = match (self.kind, &self.recovery) {
            (Kind::Network, None) => false,
            (Kind::Agent, None) => true,
            (Kind::Network | Kind::Agent, Some(recovery)) => is_digest(recovery),
        };
        let commitments = [&self.keys.signing, &self.keys.encryption, &self.keys.hybrid];
        let right = place
            && recovery
            && is_digest(&self.next)
            && commitments.into_iter().all(KeyCommitment::is_well_formed);
        if right {
            Ok(())
        } else {
            Err(LogError::Malformed)
        }
    }

    fn unsigned_bytes(&self) -> Result<Vec<u8>, LogError> {
        let unsigned = Self {
            sig: None,
            ..self.clone()
        };
        jcs::canonical(&unsigned).map_err(|_error| LogError::Malformed)
    }
}

fn is_digest(text: &str) -> bool {
    let decoded = BASE32.decode(text.as_bytes());
    decoded.is_ok_and(|bytes| bytes.len() == 32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::crypto::test_rng::TestRng;
    use crate::identity::{Birth, birth};

    fn born(subject: Subject) -> Birth {
        let recovery = SigningKey::from_seed(&[7; 32]).verifying_key();
        let recovery = matches!(subject, Subject::Network { .. }).then_some(recovery);
        let rng = &mut TestRng::new(1);
        birth(
            rng,
            subject,
            "object-1",
            Timestamp(1_000),
            recovery.as_ref(),
        )
        .unwrap()
    }

    fn network() -> Birth {
        let host = Host::parse("alpha.example").unwrap();
        born(Subject::Network { host })
    }

    fn agent() -> Birth {
        let network = network().did;
        born(Subject::Agent { network })
    }

    fn json_of(birth: &Birth) -> Value {
        serde_json::to_value(&birth.entry).unwrap()
    }

    fn verify(value: Value) -> Result<Did, LogError> {
        let entry: LogEntry =
            serde_json::from_value(value).map_err(|_error| LogError::Malformed)?;
        entry.verify()
    }

    #[test]
    fn an_entry_reads_back_to_the_same_did() {
        for birth in [network(), agent()] {
            assert_eq!(verify(json_of(&birth)), Ok(birth.did.clone()));
            let keys = birth.keys.public_keys().view();
            assert!(birth.entry.keys().commit_to(&keys));
            assert_eq!(birth.entry.object(), Some("object-1"));
            assert_eq!(birth.entry.time(), Timestamp(1_000));
        }
        assert_ne!(network().did, agent().did);
        let subject = agent().entry.subject().unwrap();
        assert_eq!(
            subject,
            Subject::Agent {
                network: network().did
            }
        );
    }

    #[test]
    fn the_did_is_the_hash_of_the_canonical_entry_without_its_signature() {
        let birth = network();
        let mut value = json_of(&birth);
        value.as_object_mut().unwrap().remove("sig");
        let hash = sha256(&[&jcs::canonical(&value).unwrap()]);
        assert_eq!(birth.did, Did::from_scid(&hash));
        let next = digest(&birth.keys.next_update.verifying_key().to_multikey());
        assert_eq!(value["next"], json!(next));
    }

    /// The canonical form of entry 0, pinned: a change here would change everybody's DID.
    #[test]
    fn the_did_of_a_known_entry_does_not_change() {
        let did = "did:cf:hhi67larbwfm54rz7wh32xk3y6w2kmwnllbijqfetlz4lidikgcq";
        assert_eq!(network().did.as_str(), did);
    }

    #[test]
    fn every_changed_member_is_refused_or_makes_another_did() {
        let birth = network();
        let other = json_of(&agent());
        for (member, value) in [
            ("v", json!(2)),
            ("seq", json!(1)),
            ("type", json!("agent")),
            ("object", json!("object-2")),
            ("object", json!("")),
            ("object", json!("x".repeat(129))),
            ("time", json!("1970-01-01T00:00:01.001Z")),
            ("time", json!("1970-01-01T00:00:01Z")),
            ("host", json!("beta.example")),
            ("host", json!("10.0.0.1")),
            ("network", json!(agent().did)),
            ("update", other["next"].clone()),
            ("next", json!("short")),
            ("next", other["keys"]["signing"]["digest"].clone()),
            ("recovery", other["next"].clone()),
            ("recovery", json!("short")),
            ("recovery", json!(null)),
            ("prev", other["next"].clone()),
            ("sig", other["sig"].clone()),
            ("sig", json!("u00")),
            ("sig", json!(null)),
            ("extra", json!(1)),
        ] {
            let mut changed = json_of(&birth);
            changed[member] = value.clone();
            let result = verify(changed);
            let same_entry = member == "time" && value == json!("1970-01-01T00:00:01Z");
            if same_entry {
                // Another writing of the same instant: parsed, it is the same entry.
                assert_eq!(result.as_ref(), Ok(&birth.did));
            } else {
                assert!(result.is_err(), "{member} {value}");
            }
        }
        let mut unsigned = json_of(&birth);
        unsigned.as_object_mut().unwrap().remove("sig");
        assert_eq!(verify(unsigned), Err(LogError::BadSignature));
    }

    #[test]
    fn a_kid_that_is_not_the_front_of_its_digest_is_refused() {
        let mut value = json_of(&network());
        value["keys"]["signing"]["kid"] = json!("aaaaaaaaaaaaaaaa");
        assert_eq!(verify(value), Err(LogError::Malformed));
    }

    #[test]
    fn other_keys_are_not_those_committed_to() {
        let entry = network().entry;
        let stranger = birth(
            &mut TestRng::new(2),
            Subject::Agent {
                network: network().did,
            },
            "object-2",
            Timestamp(0),
            None,
        );
        let theirs = stranger.unwrap().keys.public_keys().view();
        assert!(!entry.keys().commit_to(&theirs));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            if let Ok(entry) = serde_json::from_str::<LogEntry>(&text) {
                let _ = entry.verify();
            }
        }
    }
}
