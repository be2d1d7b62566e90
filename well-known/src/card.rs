//! Agent cards: an agent's keys, signed by the agent and countersigned by its network.
//!
//! ```text
//! version 1, did, name, host, network, keys {signing, encryption, hybrid}, repoKey, log0,
//! proof (by the agent, over all but both proofs), networkProof (by the network, over the rest)
//! ```
//!
//! The agent's DID is the hash of `log0`, which commits to the keys and names the network. The
//! countersignature says that the network still has this agent, under this name. The repo key is
//! vouched for by the agent's signature alone.

use std::collections::BTreeMap;

use entente_lexicon::api::PublicKeysView;
use entente_lexicon::{AgentName, Did, Host, Timestamp};
use entente_trust::crypto::multikey::kid;
use entente_trust::crypto::secp256k1;
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::identity::{Log, LogEntry, LogError, PublicKeys, Subject};
use entente_trust::proof::{self, PROOF, ProofError, Signer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::document::{DocumentKey, RetiredKey, check_retired, signing_keys};
use crate::strict::{self, StrictError};

/// The version of the card's form.
pub const VERSION: u64 = 1;
/// The member that holds the network's countersignature.
pub const NETWORK_PROOF: &str = "networkProof";

/// What a card says, without its proofs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardBody {
    /// [`VERSION`].
    pub version: u64,
    /// The agent's DID.
    pub did: Did,
    /// Its name on its network.
    pub name: AgentName,
    /// Its network's host.
    pub host: Host,
    /// Its network's DID.
    pub network: Did,
    /// Its current keys as Multikey text.
    pub keys: PublicKeysView,
    /// The key that signs its repo, as Multikey text.
    #[serde(rename = "repoKey")]
    pub repo_key: String,
    /// The signing keys before that, the newest first.
    pub retired: Vec<DocumentKey>,
    /// The number of its identity log's head entry.
    pub seq: u64,
    /// The SHA-256 of that entry in base32.
    pub log: String,
    /// Entry 0 of its identity log.
    pub log0: LogEntry,
}

/// A card on its way to being signed by both. Its steps consume it, in order: [`AgentCard::build_unsigned`],
/// [`AgentCard::sign_agent`] in the agent's object, [`AgentCard::countersign`] with the network's key.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentCard {
    members: Map<String, Value>,
    did: Did,
    network: Did,
}

/// A card that holds, with its keys parsed and ready for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCard {
    /// The agent.
    pub did: Did,
    /// Its name on its network.
    pub name: AgentName,
    /// Its network's host.
    pub host: Host,
    /// Its network.
    pub network: Did,
    /// Its current keys.
    pub keys: PublicKeys,
    /// The key that signs its repo.
    pub repo_key: secp256k1::VerifyingKey,
    /// The signing keys before that, the newest first.
    pub retired: Vec<RetiredKey>,
    /// The kid of `keys.signing`.
    pub signing_kid: String,
    /// The kid of `keys.hybrid`, which messages are sealed to.
    pub hybrid_kid: String,
    /// Its identity log, whole.
    pub log: Log,
}

/// Why a card is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// The text is not strict JSON.
    #[error(transparent)]
    Text(#[from] StrictError),
    /// A member is missing or has the wrong form, or a key is none.
    #[error("the agent card lacks a member or has one of the wrong form")]
    Malformed,
    /// A form from a later release.
    #[error("the agent card has a version that this release does not know")]
    UnknownVersion,
    /// The agent did not sign it.
    #[error("the agent card is not signed by the agent")]
    Unsigned,
    /// The network did not sign it.
    #[error("the agent card is not countersigned by its network")]
    NotCountersigned,
    /// The agent's signature does not verify.
    #[error("the agent's signature on the card does not verify")]
    BadSignature,
    /// The network's signature does not verify.
    #[error("the network's signature on the card does not verify")]
    BadCountersignature,
    /// The log does not hold.
    #[error("the card's identity log does not hold: {0}")]
    Log(LogError),
    /// The card speaks of entries that the log does not have yet: it must be fetched.
    #[error("the card's identity log has more entries than were served")]
    LogBehind,
    /// The card's head is not in the log, or is behind what was known.
    #[error("the card's identity log is not the one that was known")]
    LogForked,
    /// The DID is not the hash of the log entry.
    #[error("the card's DID is not the one its identity log makes")]
    WrongDid,
    /// The agent belongs to another network.
    #[error("the card is of an agent of another network")]
    WrongNetwork,
    /// The card names another host.
    #[error("the card is of another host")]
    WrongHost,
    /// The keys are not those that the log commits to, or a proof names another key.
    #[error("the card's keys are not those its identity log commits to")]
    WrongKey,
}

impl CardError {
    /// Returns the stable code for the API.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Text(StrictError::TooLong) => "CARD_TOO_LARGE",
            Self::Text(StrictError::DuplicateKey(_)) => "CARD_DUPLICATE_KEY",
            Self::Text(StrictError::LargeInteger | StrictError::NotAnObject) => "CARD_NOT_JSON",
            Self::Malformed => "CARD_MALFORMED",
            Self::UnknownVersion => "CARD_UNKNOWN_VERSION",
            Self::Unsigned => "CARD_UNSIGNED",
            Self::NotCountersigned => "CARD_NOT_COUNTERSIGNED",
            Self::BadSignature => "CARD_BAD_SIGNATURE",
            Self::BadCountersignature => "CARD_BAD_COUNTERSIGNATURE",
            Self::Log(_) => "CARD_BAD_LOG",
            Self::LogBehind => "CARD_LOG_BEHIND",
            Self::LogForked => "CARD_LOG_FORKED",
            Self::WrongDid => "CARD_WRONG_DID",
            Self::WrongNetwork => "CARD_WRONG_NETWORK",
            Self::WrongHost => "CARD_WRONG_HOST",
            Self::WrongKey => "CARD_WRONG_KEY",
        }
    }
}

impl AgentCard {
    /// Says what an agent has to say whose keys are `keys`, after the signing keys `retired` (the
    /// newest first), and whose repo `repo_key` signs.
    ///
    /// # Errors
    /// [`CardError::WrongNetwork`] if the log is not of an agent; [`CardError::WrongKey`] if it never
    /// made a signing key current.
    pub fn build_unsigned(
        name: &AgentName,
        host: &Host,
        (keys, repo_key): (&PublicKeysView, &secp256k1::VerifyingKey),
        retired: &[String],
        log: &Log,
    ) -> Result<Self, CardError> {
        let Subject::Agent { network } = log.subject().map_err(CardError::Log)? else {
            return Err(CardError::WrongNetwork);
        };
        let mut signing = signing_keys(log, &keys.signing, retired).ok_or(CardError::WrongKey)?;
        let pin = log.pin();
        let body = CardBody {
            version: VERSION,
            did: log.did().clone(),
            name: name.clone(),
            host: host.clone(),
            network,
            keys: keys.clone(),
            repo_key: repo_key.to_multikey(),
            retired: signing.split_off(1),
            seq: pin.seq,
            log: pin.head,
            log0: log.first().clone(),
        };
        match serde_json::to_value(&body) {
            Ok(Value::Object(members)) => Ok(Self {
                members,
                did: body.did,
                network: body.network,
            }),
            Ok(_) | Err(_) => Err(CardError::Malformed),
        }
    }

    /// Signs as the agent.
    ///
    /// # Errors
    /// [`CardError::Malformed`] if the card has no canonical form.
    pub fn sign_agent(mut self, key: &SigningKey, now: Timestamp) -> Result<Self, CardError> {
        let did = self.did.clone();
        self.members.remove(NETWORK_PROOF);
        self.attach(PROOF, &did, key, now)?;
        Ok(self)
    }

    /// Signs as the network, over the agent's signature too.
    ///
    /// # Errors
    /// [`CardError::Unsigned`] if the agent has not signed; [`CardError::Malformed`].
    pub fn countersign(mut self, key: &SigningKey, now: Timestamp) -> Result<Self, CardError> {
        if !self.members.contains_key(PROOF) {
            return Err(CardError::Unsigned);
        }
        let network = self.network.clone();
        self.attach(NETWORK_PROOF, &network, key, now)?;
        Ok(self)
    }

    /// Takes up a card that was signed elsewhere, to countersign it. Verifies nothing but its form.
    ///
    /// # Errors
    /// [`CardError::Text`], [`CardError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, CardError> {
        let members = strict::parse_object(text)?;
        let body = CardBody::deserialize(Value::Object(members.clone()))
            .map_err(|_error| CardError::Malformed)?;
        Ok(Self {
            members,
            did: body.did,
            network: body.network,
        })
    }

    /// Returns the JSON text, as it is served.
    #[must_use]
    pub fn to_text(&self) -> String {
        Value::Object(self.members.clone()).to_string()
    }

    fn attach(
        &mut self,
        name: &str,
        did: &Did,
        key: &SigningKey,
        now: Timestamp,
    ) -> Result<(), CardError> {
        let signer = Signer {
            did,
            kid: &kid(&key.verifying_key().to_multikey()),
            key,
        };
        proof::attach(&mut self.members, name, &signer, now).map_err(|_error| CardError::Malformed)
    }
}

/// Verifies a card of an agent of `network`, whose signing keys are `network_keys`, given the
/// agent's identity log. Without a log, the card must have one entry, its own `log0`.
///
/// # Errors
/// [`CardError`], the first check that fails: text, form, log, DID, network, host, keys, the
/// agent's proof, the network's.
pub fn verify(
    text: &str,
    network: &Did,
    network_keys: &BTreeMap<String, VerifyingKey>,
    host: &Host,
    log: Option<&Log>,
) -> Result<VerifiedCard, CardError> {
    let members = strict::parse_object(text)?;
    if !members.contains_key(PROOF) {
        return Err(CardError::Unsigned);
    }
    if !members.contains_key(NETWORK_PROOF) {
        return Err(CardError::NotCountersigned);
    }
    if members.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(CardError::UnknownVersion);
    }
    let body = CardBody::deserialize(Value::Object(members.clone()))
        .map_err(|_error| CardError::Malformed)?;
    let card = check_body(body, network, host, log)?;
    check_agent_proof(&members, &card.did, &card.signing_kid, &card.keys.signing)?;
    check_network_proof(&members, network, network_keys)?;
    Ok(card)
}

/// Checks all that needs no network's key: that this log is the agent's and commits to these keys.
///
/// # Errors
/// [`CardError`], the first check that fails.
pub fn check_body(
    body: CardBody,
    network: &Did,
    host: &Host,
    log: Option<&Log>,
) -> Result<VerifiedCard, CardError> {
    let log = check_log(&body, log)?;
    let expected = Subject::Agent {
        network: network.clone(),
    };
    let subject = log.subject().map_err(CardError::Log)?;
    if body.network != *network || subject != expected {
        return Err(CardError::WrongNetwork);
    }
    if body.host != *host {
        return Err(CardError::WrongHost);
    }
    if !log.keys().commit_to(&body.keys) {
        return Err(CardError::WrongKey);
    }
    let retired = check_retired(&log, &body.retired).ok_or(CardError::WrongKey)?;
    let keys = PublicKeys::parse(&body.keys).map_err(|_error| CardError::Malformed)?;
    let repo_key = secp256k1::VerifyingKey::from_multikey(&body.repo_key);
    let repo_key = repo_key.map_err(|_error| CardError::Malformed)?;
    Ok(VerifiedCard {
        did: body.did,
        name: body.name,
        host: body.host,
        network: body.network,
        signing_kid: kid(&body.keys.signing),
        hybrid_kid: kid(&body.keys.hybrid),
        keys,
        repo_key,
        retired,
        log,
    })
}

fn check_log(body: &CardBody, log: Option<&Log>) -> Result<Log, CardError> {
    let first = Log::begin(body.log0.clone()).map_err(CardError::Log)?;
    if *first.did() != body.did {
        return Err(CardError::WrongDid);
    }
    let log = log.cloned().unwrap_or(first);
    let pin = log.pin();
    if *log.did() != body.did {
        Err(CardError::WrongDid)
    } else if body.seq > pin.seq {
        Err(CardError::LogBehind)
    } else if body.seq < pin.seq || body.log != pin.head || *log.first() != body.log0 {
        Err(CardError::LogForked)
    } else {
        Ok(log)
    }
}

fn check_agent_proof(
    members: &Map<String, Value>,
    did: &Did,
    kid: &str,
    key: &VerifyingKey,
) -> Result<(), CardError> {
    let method = proof::claimed_method(members, PROOF).map_err(|_error| CardError::BadSignature)?;
    if method != format!("{did}#{kid}") {
        return Err(CardError::WrongKey);
    }
    proof::verify(members, PROOF, &[NETWORK_PROOF], key).map_err(|_error| CardError::BadSignature)
}

fn check_network_proof(
    members: &Map<String, Value>,
    network: &Did,
    keys: &BTreeMap<String, VerifyingKey>,
) -> Result<(), CardError> {
    let bad = |_error: ProofError| CardError::BadCountersignature;
    let method = proof::claimed_method(members, NETWORK_PROOF).map_err(bad)?;
    let key = method
        .split_once('#')
        .filter(|(did, _)| *did == network.as_str())
        .and_then(|(_, kid)| keys.get(kid))
        .ok_or(CardError::BadCountersignature)?;
    proof::verify(members, NETWORK_PROOF, &[], key).map_err(bad)
}
