//! The network's identity: keys made here, sealed under the master key, replaced only by an entry
//! of the network's log.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use entente_lexicon::api::PublicKeysView;
use entente_lexicon::keys::Recover;
use entente_lexicon::{Did, Host, Timestamp};
use entente_trust::crypto::rest::KeyRing;
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::identity::{
    IdentityKeys, Log, LogError, RecoveryKey, Rotation, SealedKeys, Subject, birth, recover, rotate,
};
use entente_trust::policy;
use entente_well_known::card::{self, AgentCard};
use entente_well_known::did_web;
use entente_well_known::document::{Federation, MAX_RETIRED, NetworkDocument, Profile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::config::{Config, Problem, key_ring, unsealed};
use crate::error::ApiError;
use crate::internal::{now, random, rng};
use crate::relay::core::{Core, EPOCH, new_epoch};
use crate::relay::publish::PUBLISH;
use crate::shapes::{CardPaper, Countersign, InitRelay, RelayIdentity};

/// The network as it is stored: no secret here is readable without the master key.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) did: Did,
    pub(super) host: Host,
    pub(super) name: String,
    object_id: String,
    /// The identity log, one entry a line.
    log: String,
    /// Holds the update key that the log's head commits to, and no older one.
    keys: SealedKeys,
    public_keys: PublicKeysView,
    /// Signing keys before the current one, the newest first.
    retired: Vec<String>,
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
        let master = key_ring(&self.env)?;
        match self.stored()? {
            Some(stored) => self
                .renew(stored, init, &config, &master)?
                .told(&master, None),
            None if init.expected.is_some() => Err(Problem::IdentityLost.into()),
            None => {
                let (public, secret) = recovery_key(init.recovery.as_deref())?;
                let stored = self.give_birth(init, &config, &master, &public)?;
                stored.told(&master, secret.as_ref())
            }
        }
    }

    fn give_birth(
        &self,
        init: &InitRelay,
        config: &Config,
        master: &KeyRing,
        recovery: &VerifyingKey,
    ) -> Result<Stored, ApiError> {
        let (mut rng, now) = (rng(), now());
        let subject = Subject::Network {
            host: init.host.clone(),
        };
        let born = birth(&mut rng, subject, &init.object_id, now, Some(recovery))
            .map_err(ApiError::internal)?;
        let log = Log::begin(born.entry).map_err(ApiError::internal)?;
        let secret = random::<32>();
        let mut stored = Stored {
            host: init.host.clone(),
            name: init.name.clone(),
            object_id: init.object_id.clone(),
            log: log.to_text().map_err(ApiError::internal)?,
            keys: born.keys.seal(master, &mut rng, &born.did),
            public_keys: born.keys.public_keys().view(),
            retired: Vec::new(),
            observer_secret: master.seal(&mut rng, born.did.as_str(), OBSERVER_PURPOSE, &secret),
            created_at: now,
            document: String::new(),
            document_hash: Vec::new(),
            did_document: String::new(),
            built_for: String::new(),
            did: born.did,
        };
        stored.build(config, &log, &born.keys.signing)?;
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
        master: &KeyRing,
    ) -> Result<Stored, ApiError> {
        // Opens every key, so that a wrong master key is found here and now.
        let keys = IdentityKeys::open(master, &stored.did, &stored.keys).map_err(unsealed)?;
        if stored.host != init.host {
            return Err(Problem::HostChanged.into());
        }
        if init.expected.as_ref().is_some_and(|did| *did != stored.did) {
            return Err(Problem::IdentityLost.into());
        }
        let resealed = stored.reseal(master)?;
        let stale = stored.built_for != config.document_key();
        if stale {
            stored.name.clone_from(&init.name);
            let log = stored.log()?;
            stored.build(config, &log, &keys.signing)?;
        }
        if stale || resealed {
            self.save(&stored)?;
            self.live.replace(None);
        }
        Ok(stored)
    }

    /// Replaces the network's keys by an entry signed with its update key.
    pub(super) fn rotate(&self) -> Result<RelayIdentity, ApiError> {
        let stored = self.stored()?.ok_or(Problem::NotInitialised)?;
        let master = key_ring(&self.env)?;
        let keys = IdentityKeys::open(&master, &stored.did, &stored.keys).map_err(unsealed)?;
        let rotation = rotate(&mut rng(), &stored.log()?, &keys.next_update, now());
        let rotation = rotation.map_err(not_rotated)?;
        self.turn(stored, rotation, &master)?.told(&master, None)
    }

    /// Replaces the network's keys by an entry signed with the recovery key, which is replaced too.
    pub(super) fn recover(&self, wish: &Recover) -> Result<RelayIdentity, ApiError> {
        let stored = self.stored()?.ok_or(Problem::NotInitialised)?;
        let master = key_ring(&self.env)?;
        let wrong = |message: String| ApiError::new(403, "RECOVERY_KEY_WRONG", message);
        let key = RecoveryKey::parse(&wish.recovery_key)
            .map_err(|error| wrong(format!("`recoveryKey`: {error}.")))?;
        let log = stored.log()?;
        if !log.last().commits_to_recovery(&key.public()) {
            return Err(wrong(
                "`recoveryKey` is not the key that this network's log names: use the newest one, which the last recovery answered.".to_owned(),
            ));
        }
        let (public, secret) = recovery_key(wish.next_public_key.as_deref())?;
        let rotation = recover(&mut rng(), &log, key.key(), &public, now());
        let rotation = rotation.map_err(not_rotated)?;
        let stored = self.turn(stored, rotation, &master)?;
        stored.told(&master, secret.as_ref())
    }

    /// Stores new keys, the log that proves them and the document that tells of them, in one write:
    /// it destroys the update key that signed, and marks what must now be published.
    fn turn(
        &self,
        mut stored: Stored,
        rotation: Rotation,
        master: &KeyRing,
    ) -> Result<Stored, ApiError> {
        let config = self.config()?;
        let Rotation { log, keys } = rotation;
        let public_keys = keys.public_keys().view();
        let old = std::mem::replace(&mut stored.public_keys, public_keys);
        stored.retired.insert(0, old.signing);
        stored.retired.truncate(MAX_RETIRED);
        stored.log = log.to_text().map_err(ApiError::internal)?;
        stored.keys = keys.seal(master, &mut rng(), &stored.did);
        stored.reseal(master)?;
        stored.build(&config, &log, &keys.signing)?;
        self.db.transaction(|| {
            self.store.set_meta(PUBLISH, b"1")?;
            self.save(&stored)
        })?;
        self.live.replace(None);
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

    /// Tells who we are.
    pub(super) fn identity(&self) -> Result<RelayIdentity, ApiError> {
        let mut stored = self.stored()?.ok_or(Problem::NotInitialised)?;
        let master = key_ring(&self.env)?;
        if stored.reseal(&master)? {
            self.save(&stored)?;
        }
        stored.told(&master, None)
    }

    /// Signs an agent's card as its network, after checking that it is one of ours and holds.
    pub(super) fn countersign(&self, paper: &CardPaper) -> Result<CardPaper, ApiError> {
        let stored = self.stored()?.ok_or(Problem::NotInitialised)?;
        let master = key_ring(&self.env)?;
        let signing = &stored.keys.signing;
        let key = signing
            .open_signing(&master, &stored.did)
            .map_err(unsealed)?;
        let text = AgentCard::parse(&paper.card.to_string())
            .and_then(|card| card.countersign(&key, now()))
            .map_err(ApiError::internal)?
            .to_text();
        let keys = BTreeMap::from([(signing.kid.clone(), key.verifying_key())]);
        let log = Log::parse(&paper.log).map_err(ApiError::internal)?;
        card::verify(&text, &stored.did, &keys, &stored.host, Some(&log))
            .map_err(ApiError::internal)?;
        Ok(CardPaper {
            card: serde_json::from_str(&text)?,
            log: paper.log.clone(),
        })
    }

    /// Countersigns a new agent's card, and notes what its public repo is at.
    pub(super) fn register(&self, born: &Countersign) -> Result<CardPaper, ApiError> {
        let paper = self.countersign(&born.paper)?;
        self.store.note_head(&born.head)?;
        Ok(paper)
    }

    /// Unseals the secret behind observers' ids.
    pub(super) fn observer_secret(&self, stored: &Stored) -> Result<Vec<u8>, ApiError> {
        let master = key_ring(&self.env)?;
        let sealed = &stored.observer_secret;
        let secret = master
            .open(stored.did.as_str(), OBSERVER_PURPOSE, sealed)
            .map_err(unsealed)?;
        Ok(secret.to_vec())
    }
}

impl Stored {
    fn log(&self) -> Result<Log, ApiError> {
        Log::parse(&self.log).map_err(ApiError::internal)
    }

    /// Seals what the previous master key sealed anew. Returns whether anything was.
    fn reseal(&mut self, master: &KeyRing) -> Result<bool, ApiError> {
        let (mut rng, did) = (rng(), &self.did);
        let keys = self.keys.reseal(master, &mut rng, did).map_err(unsealed)?;
        let secret = master
            .reseal(
                &mut rng,
                did.as_str(),
                OBSERVER_PURPOSE,
                &self.observer_secret,
            )
            .map_err(unsealed)?;
        let observers = secret.is_some();
        if let Some(secret) = secret {
            self.observer_secret = secret;
        }
        Ok(keys || observers)
    }

    /// Builds what discovery serves: exact bytes, so that their hash is stable until the next time.
    fn build(&mut self, config: &Config, log: &Log, key: &SigningKey) -> Result<(), ApiError> {
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
        let document = NetworkDocument::build(&profile, log, &self.public_keys, &self.retired)
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

    fn told(
        self,
        master: &KeyRing,
        recovery: Option<&RecoveryKey>,
    ) -> Result<RelayIdentity, ApiError> {
        let log = self.log()?;
        let pin = log.pin();
        Ok(RelayIdentity {
            kid: self.keys.signing.kid,
            sealed_signing_key: BASE64URL_NOPAD.encode(&self.keys.signing.blob),
            seq: pin.seq,
            head: pin.head,
            rotated_at: log.last().time(),
            log: self.log,
            document_hash: BASE64URL_NOPAD.encode(&self.document_hash),
            master_key_id: HEXLOWER.encode(&master.current().key_id()),
            did: self.did,
            host: self.host,
            name: self.name,
            object_id: self.object_id,
            public_keys: self.public_keys,
            document: self.document,
            did_document: self.did_document,
            built_for: self.built_for,
            created_at: self.created_at,
            recovery_key: recovery.map(|key| key.to_text().to_string()),
        })
    }
}

/// Reads the public half of a recovery key that its holder made, or makes one to be told once.
fn recovery_key(given: Option<&str>) -> Result<(VerifyingKey, Option<RecoveryKey>), ApiError> {
    if let Some(text) = given {
        let key = VerifyingKey::from_multikey(text).map_err(|error| {
            ApiError::bad_request(
                "INVALID_BODY",
                format!("the recovery key is an Ed25519 public key as Multikey text: {error}."),
            )
        })?;
        return Ok((key, None));
    }
    let key = RecoveryKey::generate(&mut rng());
    Ok((key.public(), Some(key)))
}

/// Says why the keys stay as they are.
fn not_rotated(error: LogError) -> ApiError {
    match error {
        LogError::TooLong => ApiError::new(
            409,
            "LOG_FULL",
            "The identity log has all the entries it may have: keys cannot be rotated again.",
        ),
        LogError::UpdateKeyReused | LogError::WrongRecovery => ApiError::bad_request(
            "INVALID_BODY",
            "The new recovery key was used before: make a fresh one.",
        ),
        LogError::WrongUpdateKey => ApiError::new(
            409,
            "UPDATE_KEY_LOST",
            "The update key is not the one the log asks for: use POST /admin/keys/recover with the recovery key.",
        ),
        LogError::Malformed
        | LogError::UnknownVersion
        | LogError::BadSignature
        | LogError::WrongSeq
        | LogError::BrokenChain
        | LogError::KeyReturned
        | LogError::TimeRunsBack
        | LogError::SubjectChanged
        | LogError::Forked => ApiError::internal(error),
    }
}
