//! `/.well-known/agent-network.json`: what a network says about itself, signed.
//!
//! ```text
//! did, relay, publicKey, federation {allowInbound, allowOutbound, trustLevel}
//! version 1, name, hosts,
//! keys {signing, encryption, hybrid: [{kid, publicKeyMultibase, validFrom, validUntil?}]},
//! seq, log (number and SHA-256 of the log's head entry, base32), log0 (entry 0 of the log),
//! endpoints, limits, software, proof (eddsa-jcs-2022 by the signing key)
//! ```
//!
//! Nothing in it is believed because of where it was fetched. The DID is the hash of `log0`, which
//! names the host; the head of the log that begins there commits to the keys; the current signing
//! key signs the whole. Retired signing keys follow the current one, so that what they signed stays
//! checkable. The log's other entries are fetched from [`LOG_PATH`].

use std::collections::BTreeMap;

use entente_lexicon::api::PublicKeysView;
use entente_lexicon::{Did, Host, Timestamp, TrustLevel};
use entente_trust::crypto::hash::sha256;
use entente_trust::crypto::multikey::{fingerprint, kid};
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::identity::{Log, LogEntry, LogError, Span, Subject};
use entente_trust::proof::{self, PROOF, ProofError, Signer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::strict::{self, StrictError};

/// The version of the document's form.
pub const VERSION: u64 = 1;
/// Where a network serves its document.
pub const PATH: &str = "/.well-known/agent-network.json";
/// Where a network serves its identity log, in pages (`?from=`).
pub const LOG_PATH: &str = "/.well-known/agent-network-log.jsonl";
/// Bytes of one page of a log at most.
pub const LOG_PAGE_BYTES: usize = 64 * 1024;
/// Retired signing keys that a document or a card lists at most, the newest.
pub const MAX_RETIRED: usize = 64;

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
    /// Its hosts: the one that its log names.
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
    /// Since when it is current, by the log.
    pub valid_from: Timestamp,
    /// Until when it was, if it is retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
}

/// A signing key that is not current any more: it proves what was signed while it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredKey {
    /// How signatures name it.
    pub kid: String,
    /// The key.
    pub key: VerifyingKey,
    /// Since when it was current.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// What a document or a card says about its log, before anything is verified: enough to know what
/// to fetch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Claim {
    /// The DID it speaks of.
    pub did: Did,
    /// The number of the log's head entry.
    pub seq: u64,
    /// Entry 0.
    pub log0: LogEntry,
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
    /// Its current signing key by kid.
    pub keys: BTreeMap<String, VerifyingKey>,
    /// The current signing key's kid.
    pub signing_kid: String,
    /// The signing keys before that, the newest first.
    pub retired: Vec<RetiredKey>,
    /// All its current keys as Multikey text; their digests are those of the log's head.
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
    /// Its identity log, whole.
    pub log: Log,
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
    #[error("the document has a version that this release does not know")]
    UnknownVersion,
    /// It carries no proof.
    #[error("the document is not signed")]
    Unsigned,
    /// The signature does not verify.
    #[error("the signature on the document does not verify")]
    BadSignature,
    /// The log does not hold.
    #[error("the document's identity log does not hold: {0}")]
    Log(LogError),
    /// The document speaks of entries that the log does not have yet: it must be fetched.
    #[error("the document's identity log has more entries than were served")]
    LogBehind,
    /// The document's head is not in the log, or is behind what was known.
    #[error("the document's identity log is not the one that was known")]
    LogForked,
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
            Self::LogBehind => "DOCUMENT_LOG_BEHIND",
            Self::LogForked => "DOCUMENT_LOG_FORKED",
            Self::WrongDid => "DOCUMENT_WRONG_DID",
            Self::WrongHost => "DOCUMENT_WRONG_HOST",
            Self::WrongKey => "DOCUMENT_WRONG_KEY",
            Self::WrongRelay => "DOCUMENT_WRONG_RELAY",
        }
    }

    /// Tells whether this is what a network looks like whose keys were changed by somebody who may
    /// not: its link must not go on before a person has looked. Other failures may pass.
    #[must_use]
    pub const fn breaks_the_pin(&self) -> bool {
        match self {
            Self::Log(_) | Self::LogForked | Self::WrongKey => true,
            Self::Text(_)
            | Self::Malformed
            | Self::UnknownVersion
            | Self::Unsigned
            | Self::BadSignature
            | Self::LogBehind
            | Self::WrongDid
            | Self::WrongHost
            | Self::WrongRelay => false,
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
    /// Says what a network has to say whose keys are `keys`, after the signing keys `retired` (the
    /// newest first; what is over [`MAX_RETIRED`] is left out).
    ///
    /// # Errors
    /// [`DocumentError::WrongKey`] if the log never made a key current.
    pub fn build(
        profile: &Profile,
        log: &Log,
        keys: &PublicKeysView,
        retired: &[String],
    ) -> Result<Self, DocumentError> {
        let current = |multikey: &str| {
            vec![DocumentKey {
                kid: kid(multikey),
                public_key_multibase: multikey.to_owned(),
                valid_from: log.last().time(),
                valid_until: None,
            }]
        };
        let pin = log.pin();
        Ok(Self {
            did: log.did().clone(),
            relay: relay_url(&profile.host, profile.secure),
            public_key: keys.signing.clone(),
            federation: profile.federation,
            version: VERSION,
            name: profile.name.clone(),
            hosts: vec![profile.host.clone()],
            keys: DocumentKeys {
                signing: signing_keys(log, &keys.signing, retired)
                    .ok_or(DocumentError::WrongKey)?,
                encryption: current(&keys.encryption),
                hybrid: current(&keys.hybrid),
            },
            seq: pin.seq,
            log: pin.head,
            log0: log.first().clone(),
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

/// Lists a current signing key and those before it, with the times that the log gives them.
pub(crate) fn signing_keys(
    log: &Log,
    current: &str,
    retired: &[String],
) -> Option<Vec<DocumentKey>> {
    let retired = retired.iter().take(MAX_RETIRED).map(String::as_str);
    std::iter::once(current)
        .chain(retired)
        .map(|multikey| {
            let Span { from, until } = log.signing_span(multikey)?;
            Some(DocumentKey {
                kid: kid(multikey),
                public_key_multibase: multikey.to_owned(),
                valid_from: from,
                valid_until: until,
            })
        })
        .collect()
}

/// Checks retired signing keys against the log that retired them.
pub(crate) fn check_retired(log: &Log, keys: &[DocumentKey]) -> Option<Vec<RetiredKey>> {
    if keys.len() > MAX_RETIRED {
        return None;
    }
    let check = |key: &DocumentKey| {
        let multikey = &key.public_key_multibase;
        let Span { from, until } = log.signing_span(multikey)?;
        let until = until?;
        let right =
            kid(multikey) == key.kid && key.valid_from == from && key.valid_until == Some(until);
        let parsed = VerifyingKey::from_multikey(multikey).ok()?;
        right.then(|| RetiredKey {
            kid: key.kid.clone(),
            key: parsed,
            from,
            until,
        })
    };
    keys.iter().map(check).collect()
}

/// Reads what a document or a card says about its log.
///
/// # Errors
/// [`DocumentError::Text`], [`DocumentError::Malformed`].
pub fn claim(text: &str) -> Result<Claim, DocumentError> {
    let members = strict::parse_object(text)?;
    Claim::deserialize(Value::Object(members)).map_err(|_error| DocumentError::Malformed)
}

/// Verifies the document that `expected_host` serves, given its identity log. Without a log, the
/// document must have one entry, its own `log0`.
///
/// # Errors
/// [`DocumentError`], the first check that fails: text, form, log, DID, host, keys, proof, relay.
pub fn verify(
    text: &str,
    expected_host: &Host,
    log: Option<&Log>,
) -> Result<VerifiedDocument, DocumentError> {
    let members = strict::parse_object(text)?;
    if !members.contains_key(PROOF) {
        return Err(DocumentError::Unsigned);
    }
    if members.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(DocumentError::UnknownVersion);
    }
    let document = NetworkDocument::deserialize(Value::Object(members.clone()))
        .map_err(|_error| DocumentError::Malformed)?;
    let log = check_log(&document, expected_host, log)?;
    let (public_keys, retired) = check_keys(&document, &log)?;
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
        retired,
        fingerprint: fingerprint(&public_keys.signing),
        public_keys,
        relay: document.relay,
        hash: sha256(&[text.as_bytes()]),
        trust_level: document.federation.trust_level,
        allow_inbound: document.federation.allow_inbound,
        allow_outbound: document.federation.allow_outbound,
        log,
    })
}

fn check_log(
    document: &NetworkDocument,
    expected_host: &Host,
    log: Option<&Log>,
) -> Result<Log, DocumentError> {
    let first = Log::begin(document.log0.clone()).map_err(DocumentError::Log)?;
    if *first.did() != document.did {
        return Err(DocumentError::WrongDid);
    }
    let log = log.cloned().unwrap_or(first);
    if *log.did() != document.did {
        return Err(DocumentError::WrongDid);
    }
    let pin = log.pin();
    if document.seq > pin.seq {
        return Err(DocumentError::LogBehind);
    }
    if document.seq < pin.seq || document.log != pin.head || *log.first() != document.log0 {
        return Err(DocumentError::LogForked);
    }
    let expected = Subject::Network {
        host: expected_host.clone(),
    };
    let subject = log.subject().map_err(DocumentError::Log)?;
    if subject == expected && document.hosts == [expected_host.clone()] {
        Ok(log)
    } else {
        Err(DocumentError::WrongHost)
    }
}

/// Checks that the first key of each kind is the one that the log's head commits to, and the
/// others those that it retired.
fn check_keys(
    document: &NetworkDocument,
    log: &Log,
) -> Result<(PublicKeysView, Vec<RetiredKey>), DocumentError> {
    let keys = &document.keys;
    let ([signing, retired @ ..], [encryption], [hybrid]) = (
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
    let committed = log.keys();
    let right = committed.commit_to(&view)
        && document.public_key == view.signing
        && committed.signing.kid == signing.kid
        && committed.encryption.kid == encryption.kid
        && committed.hybrid.kid == hybrid.kid
        && [signing, encryption, hybrid]
            .iter()
            .all(|key| key.valid_until.is_none());
    let retired = check_retired(log, retired).filter(|_| right);
    retired
        .map(|retired| (view, retired))
        .ok_or(DocumentError::WrongKey)
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
