//! Identity log entries. So far there is one kind: entry 0, whose hash is the DID.
//!
//! ```text
//! {"v":1, "seq":0, "type":"network"|"agent", "object":"<Durable Object id>", "time":"…Z",
//!  "host":"…" (of a network) | "network":"did:cf:…" (of an agent),
//!  "keys":{"signing":{"kid","digest"}, "encryption":{…}, "hybrid":{…}},
//!  "update":"<multikey of the single-use key that signs this entry>",
//!  "next":"<digest of the next update key>", "sig":"z…"}
//! scid = base32(SHA-256(JCS without sig)); sig = Ed25519("entente log entry" ‖ 0x00 ‖ JCS without sig)
//! ```
//!
//! A digest is the SHA-256 of a key's Multikey text in base32; a kid is its first 16 characters.

use entente_lexicon::api::PublicKeysView;
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

/// Entry 0 of an identity log. Parsing checks its form, [`LogEntry::verify`] its truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    v: u8,
    seq: u64,
    #[serde(rename = "type")]
    kind: Kind,
    object: String,
    time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<Host>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<Did>,
    keys: KeyCommitments,
    update: String,
    next: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

/// Why a log entry is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A member is missing, unknown, doubled or of the wrong form.
    #[error("the identity log entry is malformed")]
    Malformed,
    /// Not a version 1 entry with the number 0.
    #[error("the identity log entry is not one that this release knows")]
    UnknownVersion,
    /// Not signed by the update key it names.
    #[error("the signature on the identity log entry does not verify")]
    BadSignature,
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
    /// [`LogError::Malformed`] if `object` is empty or longer than 128 bytes.
    pub fn genesis(
        subject: Subject,
        object: &str,
        time: Timestamp,
        keys: &PublicKeys,
        update: &SigningKey,
        next_update: &VerifyingKey,
    ) -> Result<Self, LogError> {
        let (kind, host, network) = match subject {
            Subject::Network { host } => (Kind::Network, Some(host), None),
            Subject::Agent { network } => (Kind::Agent, None, Some(network)),
        };
        let keys = keys.view();
        let mut entry = Self {
            v: VERSION,
            seq: 0,
            kind,
            object: object.to_owned(),
            time,
            host,
            network,
            keys: KeyCommitments {
                signing: KeyCommitment::of(&keys.signing),
                encryption: KeyCommitment::of(&keys.encryption),
                hybrid: KeyCommitment::of(&keys.hybrid),
            },
            update: update.verifying_key().to_multikey(),
            next: digest(&next_update.to_multikey()),
            sig: None,
        };
        entry.check_form()?;
        let signature = update.sign(&[LABEL, &entry.unsigned_bytes()?]);
        entry.sig = Some(multibase::encode(Base::Base58Btc, signature));
        Ok(entry)
    }

    /// Checks form and signature and returns the DID that this entry makes.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn verify(&self) -> Result<Did, LogError> {
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
        Ok(Did::from_scid(&sha256(&[&bytes])))
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

    /// Returns the id of the Durable Object.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    /// Returns when it was made, by its maker's clock.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// Returns the hash of the whole entry, signature and all: the head of a log of one entry.
    ///
    /// # Errors
    /// [`LogError::Malformed`] if the entry has no canonical form.
    pub fn head(&self) -> Result<[u8; 32], LogError> {
        let bytes = jcs::canonical(self).map_err(|_error| LogError::Malformed)?;
        Ok(sha256(&[&bytes]))
    }

    fn check_form(&self) -> Result<(), LogError> {
        if self.v != VERSION || self.seq != 0 {
            return Err(LogError::UnknownVersion);
        }
        self.subject()?;
        let commitments = [&self.keys.signing, &self.keys.encryption, &self.keys.hybrid];
        let right = !self.object.is_empty()
            && self.object.len() <= MAX_OBJECT_LENGTH
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
    let decoded = entente_lexicon::id::BASE32.decode(text.as_bytes());
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
        birth(&mut TestRng::new(1), subject, "object-1", Timestamp(1_000)).unwrap()
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
            assert_eq!(birth.entry.object(), "object-1");
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
        let did = "did:cf:swlksumvx7vm4ixitnwl7oldt6v36ljpwy5ofhwagtpm7c7rksjq";
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
