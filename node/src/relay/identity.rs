//! The network's identity: keys made here once, sealed under the master key, never made anew.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use entente_lexicon::api::PublicKeysView;
use entente_lexicon::{Did, Host, Timestamp};
use entente_trust::crypto::rest::{MasterKey, RestError};
use entente_trust::crypto::sign::SigningKey;
use entente_trust::identity::{IdentityKeys, LogEntry, SealedKeys, Subject, birth};
use entente_trust::policy;
use entente_well_known::card::{self, AgentCard};
use entente_well_known::did_web;
use entente_well_known::document::{Federation, NetworkDocument, Profile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::config::{Config, Problem, master_key};
use crate::error::ApiError;
use crate::internal::{now, random, rng};
use crate::relay::core::{Core, EPOCH, new_epoch};
use crate::shapes::{CardPaper, InitRelay, RelayIdentity};

/// The network as it is stored: no secret here is readable without the master key.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) did: Did,
    pub(super) host: Host,
    pub(super) name: String,
    object_id: String,
    entry: LogEntry,
    keys: SealedKeys,
    public_keys: PublicKeysView,
    #[serde(with = "serde_bytes")]
    master_key_id: Vec<u8>,
    /// Seals the names of agents from observers.
    #[serde(with = "serde_bytes")]
    observer_secret: Vec<u8>,
    created_at: Timestamp,
    document: String,
    #[serde(with = "serde_bytes")]
    document_hash: Vec<u8>,
    did_document: String,
    built_for: String,
}

const IDENTITY: &str = "identity";
const OBSERVER_PURPOSE: &str = "observers";

impl Core {
    /// Makes the network's keys, or brings the documents of a network that has some up to date.
    pub(super) fn init(&self, init: &InitRelay) -> Result<RelayIdentity, ApiError> {
        let config = self.config()?;
        let master = master_key(&self.env)?;
        let stored = match self.stored()? {
            Some(stored) => self.renew(stored, init, &config, &master)?,
            None if init.expected.is_some() => return Err(Problem::IdentityLost.into()),
            None => self.give_birth(init, &config, &master)?,
        };
        Ok(stored.told())
    }

    fn give_birth(
        &self,
        init: &InitRelay,
        config: &Config,
        master: &MasterKey,
    ) -> Result<Stored, ApiError> {
        let (mut rng, now) = (rng(), now());
        let subject = Subject::Network {
            host: init.host.clone(),
        };
        let born = birth(&mut rng, subject, &init.object_id, now).map_err(ApiError::internal)?;
        let secret = random::<32>();
        let mut stored = Stored {
            host: init.host.clone(),
            name: init.name.clone(),
            object_id: init.object_id.clone(),
            entry: born.entry,
            keys: born.keys.seal(master, &mut rng, &born.did),
            public_keys: born.keys.public_keys().view(),
            master_key_id: master.key_id().to_vec(),
            observer_secret: master.seal(&mut rng, born.did.as_str(), OBSERVER_PURPOSE, &secret),
            created_at: now,
            document: String::new(),
            document_hash: Vec::new(),
            did_document: String::new(),
            built_for: String::new(),
            did: born.did,
        };
        stored.build(config, &born.keys.signing)?;
        self.store.create()?;
        self.db.transaction(|| {
            self.store.set_meta(EPOCH, new_epoch().as_bytes())?;
            self.save(&stored)
        })?;
        Ok(stored)
    }

    fn renew(
        &self,
        mut stored: Stored,
        init: &InitRelay,
        config: &Config,
        master: &MasterKey,
    ) -> Result<Stored, ApiError> {
        // Opens every key, so that a wrong master key is found here and now.
        let keys = IdentityKeys::open(master, &stored.did, &stored.keys).map_err(unsealed)?;
        if stored.host != init.host {
            return Err(Problem::HostChanged.into());
        }
        if init.expected.as_ref().is_some_and(|did| *did != stored.did) {
            return Err(Problem::IdentityLost.into());
        }
        if stored.built_for != config.document_key() {
            stored.name.clone_from(&init.name);
            stored.build(config, &keys.signing)?;
            self.save(&stored)?;
            self.live.replace(None);
        }
        Ok(stored)
    }

    fn save(&self, stored: &Stored) -> Result<(), ApiError> {
        let bytes = serde_ipld_dagcbor::to_vec(stored).map_err(ApiError::internal)?;
        self.store.set_meta(IDENTITY, &bytes)?;
        Ok(())
    }

    /// Returns the network as it is stored, if it has been initialised.
    pub(super) fn stored(&self) -> Result<Option<Stored>, ApiError> {
        if !self.store.exists()? {
            return Ok(None);
        }
        let bytes = self.store.meta(IDENTITY)?;
        bytes
            .map(|bytes| serde_ipld_dagcbor::from_slice(&bytes).map_err(ApiError::internal))
            .transpose()
    }

    /// Tells links who we are.
    pub(super) fn identity(&self) -> Result<RelayIdentity, ApiError> {
        Ok(self.stored()?.ok_or(Problem::NotInitialised)?.told())
    }

    /// Signs an agent's card as its network, after checking that it is one of ours and holds.
    pub(super) fn countersign(&self, paper: CardPaper) -> Result<CardPaper, ApiError> {
        let stored = self.stored()?.ok_or(Problem::NotInitialised)?;
        let master = master_key(&self.env)?;
        let signing = &stored.keys.signing;
        let key = signing
            .open_signing(&master, &stored.did)
            .map_err(unsealed)?;
        let text = AgentCard::parse(&paper.card.to_string())
            .and_then(|card| card.countersign(&key, now()))
            .map_err(ApiError::internal)?
            .to_text();
        let keys = BTreeMap::from([(signing.kid.clone(), key.verifying_key())]);
        card::verify(&text, &stored.did, &keys, &stored.host).map_err(ApiError::internal)?;
        let card = serde_json::from_str(&text)?;
        Ok(CardPaper { card })
    }

    /// Unseals the secret behind observers' ids.
    pub(super) fn observer_secret(&self, stored: &Stored) -> Result<Vec<u8>, ApiError> {
        let master = master_key(&self.env)?;
        let sealed = &stored.observer_secret;
        let secret = master
            .open(stored.did.as_str(), OBSERVER_PURPOSE, sealed)
            .map_err(unsealed)?;
        Ok(secret.to_vec())
    }
}

impl Stored {
    /// Builds what discovery serves: exact bytes, so that their hash is stable until the next time.
    fn build(&mut self, config: &Config, key: &SigningKey) -> Result<(), ApiError> {
        let linked = policy::allows_link(config.trust_level);
        let profile = Profile {
            host: self.host.clone(),
            name: self.name.clone(),
            secure: !config.is_dev(&self.host),
            federation: Federation {
                allow_inbound: linked && config.allow_inbound,
                allow_outbound: linked && config.allow_outbound,
                trust_level: config.trust_level,
            },
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let document = NetworkDocument::build(&profile, &self.entry, &self.public_keys)
            .map_err(ApiError::internal)?;
        let did_document =
            did_web::network_document(&self.host, &self.did, &self.public_keys, &document.relay);
        let signed = document.sign(key, now()).map_err(ApiError::internal)?;
        self.document = signed.text;
        self.document_hash = signed.hash.to_vec();
        self.did_document = did_document.to_string();
        self.built_for = config.document_key();
        Ok(())
    }

    fn told(self) -> RelayIdentity {
        RelayIdentity {
            kid: self.keys.signing.kid,
            sealed_signing_key: BASE64URL_NOPAD.encode(&self.keys.signing.blob),
            log0: serde_json::to_value(&self.entry).unwrap_or_default(),
            document_hash: BASE64URL_NOPAD.encode(&self.document_hash),
            master_key_id: HEXLOWER.encode(&self.master_key_id),
            did: self.did,
            host: self.host,
            name: self.name,
            object_id: self.object_id,
            public_keys: self.public_keys,
            document: self.document,
            did_document: self.did_document,
            built_for: self.built_for,
            created_at: self.created_at,
        }
    }
}

fn unsealed(error: RestError) -> ApiError {
    match error {
        RestError::WrongMasterKey => Problem::MasterKeyWrong.into(),
        RestError::UnknownVersion | RestError::Corrupt => ApiError::internal(error),
    }
}
