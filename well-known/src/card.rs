//! Agent cards: an agent's keys, signed by the agent and countersigned by its network.
//!
//! ```text
//! version 1, did, name, host, network, keys {signing, encryption, hybrid}, log0,
//! proof (by the agent, over all but both proofs), networkProof (by the network, over the rest)
//! ```
//!
//! The agent's DID is the hash of `log0`, which commits to the keys and names the network. The
//! countersignature says that the network still has this agent, under this name.

use std::collections::BTreeMap;

use entente_lexicon::api::PublicKeysView;
use entente_lexicon::{AgentName, Did, Host, Timestamp};
use entente_trust::crypto::multikey::kid;
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::identity::{LogEntry, LogError, PublicKeys, Subject};
use entente_trust::proof::{self, PROOF, ProofError, Signer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    /// Its keys as Multikey text.
    pub keys: PublicKeysView,
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
    /// Its keys.
    pub keys: PublicKeys,
    /// The kid of `keys.signing`.
    pub signing_kid: String,
    /// The kid of `keys.hybrid`, which messages are sealed to.
    pub hybrid_kid: String,
    /// Entry 0 of its identity log.
    pub log0: LogEntry,
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
    /// The log entry does not hold.
    #[error("the card's identity log entry does not hold: {0}")]
    Log(LogError),
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
            Self::WrongDid => "CARD_WRONG_DID",
            Self::WrongNetwork => "CARD_WRONG_NETWORK",
            Self::WrongHost => "CARD_WRONG_HOST",
            Self::WrongKey => "CARD_WRONG_KEY",
        }
    }
}

impl AgentCard {
    /// Says what an agent with one log entry has to say.
    ///
    /// # Errors
    /// [`CardError::Log`] if the entry is no valid entry 0; [`CardError::WrongNetwork`] if it is
    /// not of an agent.
    pub fn build_unsigned(
        name: &AgentName,
        host: &Host,
        keys: &PublicKeysView,
        log0: &LogEntry,
    ) -> Result<Self, CardError> {
        let did = log0.verify().map_err(CardError::Log)?;
        let Subject::Agent { network } = log0.subject().map_err(CardError::Log)? else {
            return Err(CardError::WrongNetwork);
        };
        let body = CardBody {
            version: VERSION,
            did,
            name: name.clone(),
            host: host.clone(),
            network,
            keys: keys.clone(),
            log0: log0.clone(),
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

/// Verifies a card of an agent of `network`, whose document has these signing `network_keys`.
///
/// # Errors
/// [`CardError`], the first check that fails: text, form, log entry, DID, network, host, keys, the
/// agent's proof, the network's.
pub fn verify(
    text: &str,
    network: &Did,
    network_keys: &BTreeMap<String, VerifyingKey>,
    host: &Host,
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
    check_identity(&body, network, host)?;
    let signing_kid = kid(&body.keys.signing);
    let keys = PublicKeys::parse(&body.keys).map_err(|_error| CardError::Malformed)?;
    check_agent_proof(&members, &body.did, &signing_kid, &keys.signing)?;
    check_network_proof(&members, network, network_keys)?;
    Ok(VerifiedCard {
        did: body.did,
        name: body.name,
        host: body.host,
        network: body.network,
        signing_kid,
        hybrid_kid: kid(&body.keys.hybrid),
        keys,
        log0: body.log0,
    })
}

fn check_identity(body: &CardBody, network: &Did, host: &Host) -> Result<(), CardError> {
    if body.log0.verify().map_err(CardError::Log)? != body.did {
        return Err(CardError::WrongDid);
    }
    let expected = Subject::Agent {
        network: network.clone(),
    };
    let subject = body.log0.subject().map_err(CardError::Log)?;
    if body.network != *network || subject != expected {
        Err(CardError::WrongNetwork)
    } else if body.host != *host {
        Err(CardError::WrongHost)
    } else if !body.log0.keys().commit_to(&body.keys) {
        Err(CardError::WrongKey)
    } else {
        Ok(())
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
