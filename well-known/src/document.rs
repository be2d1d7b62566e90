//! `/.well-known/agent-network.json`: what a network says about itself, signed.
//!
//! ```text
//! did, relay, publicKey, federation {allowInbound, allowOutbound, trustLevel}
//! version 1, name, hosts, keys {signing, encryption, hybrid: [{kid, publicKeyMultibase, validFrom}]},
//! seq 0, log (SHA-256 of the head entry, base32), log0 (entry 0 of the identity log),
//! endpoints, limits, software, proof (eddsa-jcs-2022 by the signing key)
//! ```
//!
//! Nothing in it is believed because of where it was fetched. The DID is the hash of `log0`, `log0`
//! commits to the keys and names the host, and the signing key signs the whole.

use std::collections::BTreeMap;

use entente_lexicon::api::PublicKeysView;
use entente_lexicon::id::BASE32;
use entente_lexicon::{Did, Host, Timestamp, TrustLevel};
use entente_trust::crypto::hash::sha256;
use entente_trust::crypto::multikey::{fingerprint, kid};
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::identity::{LogEntry, LogError, Subject};
use entente_trust::proof::{self, PROOF, ProofError, Signer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::strict::{self, StrictError};

/// The version of the document's form.
pub const VERSION: u64 = 1;
/// Where a network serves its document.
pub const PATH: &str = "/.well-known/agent-network.json";

/// What a network publishes, without the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkDocument {
    /// The network's DID.
    pub did: Did,
    /// The base of the relay's URLs: peers dial `relay` + `/federation`.
    pub relay: String,
    /// The signing key as Multikey text.
    pub public_key: String,
    /// What it lets in and out.
    pub federation: Federation,
    /// [`VERSION`].
    pub version: u64,
    /// Its name for people; nothing is decided by it.
    pub name: String,
    /// Its hosts. While the log has one entry: the host of that entry.
    pub hosts: Vec<Host>,
    /// Its keys.
    pub keys: DocumentKeys,
    /// The number of the log's head entry.
    pub seq: u64,
    /// The SHA-256 of the log's head entry in base32.
    pub log: String,
    /// Entry 0 of the log.
    pub log0: LogEntry,
    /// Paths below the host.
    pub endpoints: BTreeMap<String, String>,
    /// What the relay takes, in bytes.
    pub limits: BTreeMap<String, u64>,
    /// What it runs.
    pub software: Software,
}

/// What a network lets in and out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Federation {
    /// Whether peers may dial it.
    pub allow_inbound: bool,
    /// Whether it dials peers.
    pub allow_outbound: bool,
    /// How it treats networks that no admin has decided about.
    pub trust_level: TrustLevel,
}

/// The keys of a network, the current one first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentKeys {
    /// Ed25519.
    pub signing: Vec<DocumentKey>,
    /// X25519.
    pub encryption: Vec<DocumentKey>,
    /// X-Wing.
    pub hybrid: Vec<DocumentKey>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentKey {
    /// How signatures name it.
    pub kid: String,
    /// Multikey text.
    pub public_key_multibase: String,
    /// Since when it is current.
    pub valid_from: Timestamp,
}

/// A program and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Software {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What the builder needs besides identity and keys.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The network's host.
    pub host: Host,
    /// Its name for people.
    pub name: String,
    /// Whether it is reached by TLS: false only for hosts of the development list.
    pub secure: bool,
    /// What it lets in and out.
    pub federation: Federation,
    /// The version of the software.
    pub software_version: String,
}

/// A signed document, to be stored and served byte for byte: the handshake names its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedDocument {
    /// The text.
    pub text: String,
    /// The SHA-256 of the text.
    pub hash: [u8; 32],
}

/// A document that holds, with its keys parsed and ready for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDocument {
    /// The network.
    pub did: Did,
    /// Its host.
    pub host: Host,
    /// Its name for people.
    pub name: String,
    /// Its signing keys by kid.
    pub keys: BTreeMap<String, VerifyingKey>,
    /// The current signing key's kid.
    pub signing_kid: String,
    /// All its keys as Multikey text; their digests are those of the log.
    pub public_keys: PublicKeysView,
    /// Peers dial this + `/federation`.
    pub relay: String,
    /// The SHA-256 of the text.
    pub hash: [u8; 32],
    /// How it treats networks that no admin has decided about.
    pub trust_level: TrustLevel,
    /// Whether it may be dialled.
    pub allow_inbound: bool,
    /// Whether it dials.
    pub allow_outbound: bool,
    /// The signing key's fingerprint, for people to compare.
    pub fingerprint: String,
    /// Entry 0 of its identity log.
    pub log0: LogEntry,
}

/// Why a document is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The text is not strict JSON.
    #[error(transparent)]
    Text(#[from] StrictError),
    /// A member is missing or has the wrong form.
    #[error("the document lacks a member or has one of the wrong form")]
    Malformed,
    /// A form from a later release.
    #[error("the document has a version, or a log, that this release does not know")]
    UnknownVersion,
    /// It carries no proof.
    #[error("the document is not signed")]
    Unsigned,
    /// The signature does not verify.
    #[error("the signature on the document does not verify")]
    BadSignature,
    /// The log entry does not hold.
    #[error("the document's identity log entry does not hold: {0}")]
    Log(LogError),
    /// The DID is not the hash of the log entry.
    #[error("the document's DID is not the one its identity log makes")]
    WrongDid,
    /// It is the document of another host.
    #[error("the document is of another host than the one asked")]
    WrongHost,
    /// The keys are not those that the log commits to.
    #[error("the document's keys are not those its identity log commits to")]
    WrongKey,
    /// The relay is not at the host.
    #[error("the document's relay is not at its host")]
    WrongRelay,
}

impl DocumentError {
    /// Returns the stable code for the API.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Text(StrictError::TooLong) => "DOCUMENT_TOO_LARGE",
            Self::Text(StrictError::DuplicateKey(_)) => "DOCUMENT_DUPLICATE_KEY",
            Self::Text(StrictError::LargeInteger | StrictError::NotAnObject) => "DOCUMENT_NOT_JSON",
            Self::Malformed => "DOCUMENT_MALFORMED",
            Self::UnknownVersion => "DOCUMENT_UNKNOWN_VERSION",
            Self::Unsigned => "DOCUMENT_UNSIGNED",
            Self::BadSignature => "DOCUMENT_BAD_SIGNATURE",
            Self::Log(_) => "DOCUMENT_BAD_LOG",
            Self::WrongDid => "DOCUMENT_WRONG_DID",
            Self::WrongHost => "DOCUMENT_WRONG_HOST",
            Self::WrongKey => "DOCUMENT_WRONG_KEY",
            Self::WrongRelay => "DOCUMENT_WRONG_RELAY",
        }
    }
}

impl From<ProofError> for DocumentError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Missing => Self::Unsigned,
            ProofError::Malformed | ProofError::BadSignature => Self::BadSignature,
        }
    }
}

impl NetworkDocument {
    /// Says what a network with one log entry has to say.
    ///
    /// # Errors
    /// [`DocumentError::Log`] if the entry is no valid entry 0.
    pub fn build(
        profile: &Profile,
        log0: &LogEntry,
        keys: &PublicKeysView,
    ) -> Result<Self, DocumentError> {
        let did = log0.verify().map_err(DocumentError::Log)?;
        let head = log0.head().map_err(DocumentError::Log)?;
        let key = |multikey: &str| {
            vec![DocumentKey {
                kid: kid(multikey),
                public_key_multibase: multikey.to_owned(),
                valid_from: log0.time(),
            }]
        };
        Ok(Self {
            did,
            relay: relay_url(&profile.host, profile.secure),
            public_key: keys.signing.clone(),
            federation: profile.federation,
            version: VERSION,
            name: profile.name.clone(),
            hosts: vec![profile.host.clone()],
            keys: DocumentKeys {
                signing: key(&keys.signing),
                encryption: key(&keys.encryption),
                hybrid: key(&keys.hybrid),
            },
            seq: 0,
            log: BASE32.encode(&head),
            log0: log0.clone(),
            endpoints: endpoints(),
            limits: limits(),
            software: Software {
                name: "entente".to_owned(),
                version: profile.software_version.clone(),
            },
        })
    }

    /// Signs the document with the network's current signing key.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] if it has no canonical form.
    pub fn sign(&self, key: &SigningKey, now: Timestamp) -> Result<SignedDocument, DocumentError> {
        let value = serde_json::to_value(self).map_err(|_error| DocumentError::Malformed)?;
        let Value::Object(mut members) = value else {
            return Err(DocumentError::Malformed);
        };
        let signer = Signer {
            did: &self.did,
            kid: &kid(&key.verifying_key().to_multikey()),
            key,
        };
        proof::attach(&mut members, PROOF, &signer, now)
            .map_err(|_error| DocumentError::Malformed)?;
        let text =
            serde_json::to_string_pretty(&members).map_err(|_error| DocumentError::Malformed)?;
        let hash = sha256(&[text.as_bytes()]);
        Ok(SignedDocument { text, hash })
    }
}

/// Verifies the document that `expected_host` serves.
///
/// # Errors
/// [`DocumentError`], the first check that fails: text, form, log entry, DID, host, keys, proof,
/// relay.
pub fn verify(text: &str, expected_host: &Host) -> Result<VerifiedDocument, DocumentError> {
    let members = strict::parse_object(text)?;
    if !members.contains_key(PROOF) {
        return Err(DocumentError::Unsigned);
    }
    if members.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(DocumentError::UnknownVersion);
    }
    let document = NetworkDocument::deserialize(Value::Object(members.clone()))
        .map_err(|_error| DocumentError::Malformed)?;
    check_log(&document, expected_host)?;
    let public_keys = check_keys(&document)?;
    let signing = VerifyingKey::from_multikey(&public_keys.signing)
        .map_err(|_error| DocumentError::WrongKey)?;
    let signing_kid = kid(&public_keys.signing);
    check_proof(&members, &document.did, &signing_kid, &signing)?;
    check_relay(&document.relay, expected_host)?;
    Ok(VerifiedDocument {
        did: document.did,
        host: expected_host.clone(),
        name: document.name,
        keys: BTreeMap::from([(signing_kid.clone(), signing)]),
        signing_kid,
        fingerprint: fingerprint(&public_keys.signing),
        public_keys,
        relay: document.relay,
        hash: sha256(&[text.as_bytes()]),
        trust_level: document.federation.trust_level,
        allow_inbound: document.federation.allow_inbound,
        allow_outbound: document.federation.allow_outbound,
        log0: document.log0,
    })
}

fn check_log(document: &NetworkDocument, expected_host: &Host) -> Result<(), DocumentError> {
    let did = document.log0.verify().map_err(DocumentError::Log)?;
    let head = document.log0.head().map_err(DocumentError::Log)?;
    if document.seq != 0 {
        return Err(DocumentError::UnknownVersion);
    }
    if did != document.did || document.log != BASE32.encode(&head) {
        return Err(DocumentError::WrongDid);
    }
    let expected = Subject::Network {
        host: expected_host.clone(),
    };
    let subject = document.log0.subject().map_err(DocumentError::Log)?;
    if subject == expected && document.hosts == [expected_host.clone()] {
        Ok(())
    } else {
        Err(DocumentError::WrongHost)
    }
}

/// Checks that there is one key of each kind and that it is the one the log commits to.
fn check_keys(document: &NetworkDocument) -> Result<PublicKeysView, DocumentError> {
    let keys = &document.keys;
    let ([signing], [encryption], [hybrid]) = (
        keys.signing.as_slice(),
        keys.encryption.as_slice(),
        keys.hybrid.as_slice(),
    ) else {
        return Err(DocumentError::WrongKey);
    };
    let view = PublicKeysView {
        signing: signing.public_key_multibase.clone(),
        encryption: encryption.public_key_multibase.clone(),
        hybrid: hybrid.public_key_multibase.clone(),
    };
    let committed = document.log0.keys();
    let right = committed.commit_to(&view)
        && document.public_key == view.signing
        && committed.signing.kid == signing.kid
        && committed.encryption.kid == encryption.kid
        && committed.hybrid.kid == hybrid.kid;
    right.then_some(view).ok_or(DocumentError::WrongKey)
}

fn check_proof(
    members: &Map<String, Value>,
    did: &Did,
    kid: &str,
    key: &VerifyingKey,
) -> Result<(), DocumentError> {
    if proof::claimed_method(members, PROOF)? != format!("{did}#{kid}") {
        return Err(DocumentError::WrongKey);
    }
    Ok(proof::verify(members, PROOF, &[], key)?)
}

/// Only hosts of a development list have ports, and only those are reached without TLS.
fn check_relay(relay: &str, host: &Host) -> Result<(), DocumentError> {
    let plain = host.port().is_some() && relay == relay_url(host, false);
    if plain || relay == relay_url(host, true) {
        Ok(())
    } else {
        Err(DocumentError::WrongRelay)
    }
}

fn relay_url(host: &Host, secure: bool) -> String {
    let scheme = if secure { "wss" } else { "ws" };
    format!("{scheme}://{host}/relay")
}

fn endpoints() -> BTreeMap<String, String> {
    [
        ("agents", "/relay/agents"),
        ("federation", "/relay/federation"),
        ("firehose", "/relay/firehose"),
        ("peers", "/relay/peers"),
    ]
    .map(|(name, path)| (name.to_owned(), path.to_owned()))
    .into()
}

fn limits() -> BTreeMap<String, u64> {
    [
        ("documentBytes", 64 * 1024),
        ("frameBytes", 256 * 1024),
        ("messageBytes", 64 * 1024),
    ]
    .map(|(name, limit)| (name.to_owned(), limit))
    .into()
}
