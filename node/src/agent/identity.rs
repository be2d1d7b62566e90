//! The agent's keys: made here, sealed under the master key, never anywhere else in the clear.

use std::ops::Deref;
use std::rc::Rc;

use data_encoding::BASE64URL_NOPAD;
use entente_lexicon::{AgentName, Did, Host, MessageId};
use entente_trust::crypto::rest::{MasterKey, RestError};
use entente_trust::crypto::sign::SigningKey;
use entente_trust::identity::{IdentityKeys, LogEntry, SealedKeys, Subject, birth};
use entente_trust::message::Body;
use entente_well_known::AgentCard;
use serde::{Deserialize, Serialize};

use crate::agent::core::Core;
use crate::config::{Problem, variable};
use crate::error::ApiError;
use crate::internal;
use crate::shapes::{AgentInit, InitAgent};

/// The agent as it can act: its keys, unsealed.
pub(super) struct Me {
    pub(super) did: Did,
    pub(super) network: Did,
    pub(super) host: Host,
    pub(super) signing: SigningKey,
    /// Seals the bodies of this agent's mail at rest.
    storage: MasterKey,
}

/// The agent as it is stored: nothing here is readable without the master key.
#[derive(Serialize, Deserialize)]
struct Stored {
    did: Did,
    name: AgentName,
    network: Did,
    host: Host,
    entry: LogEntry,
    keys: SealedKeys,
    #[serde(with = "serde_bytes")]
    storage: Vec<u8>,
}

const IDENTITY: &str = "identity";
const DESTROYED: &str = "destroyed";
const STORAGE_PURPOSE: &str = "storage";

impl Core {
    /// Gives birth to the agent, or says again who it is. Keys are made once and never again.
    pub(super) fn init(&self, init: &InitAgent) -> Result<AgentInit, ApiError> {
        self.store.create()?;
        let master = self.master()?;
        let stored = match self.stored()? {
            Some(stored) => stored,
            None => self.give_birth(init, &master)?,
        };
        let keys = IdentityKeys::open(&master, &stored.did, &stored.keys).map_err(unsealed)?;
        let public_keys = keys.public_keys().view();
        let card =
            AgentCard::build_unsigned(&stored.name, &stored.host, &public_keys, &stored.entry)
                .and_then(|card| card.sign_agent(&keys.signing, internal::now()))
                .map_err(ApiError::internal)?;
        let card = serde_json::from_str(&card.to_text())?;
        Ok(AgentInit {
            did: stored.did,
            public_keys,
            card,
        })
    }

    fn give_birth(&self, init: &InitAgent, master: &MasterKey) -> Result<Stored, ApiError> {
        let mut rng = internal::rng();
        let subject = Subject::Agent {
            network: init.network_did.clone(),
        };
        let born = birth(&mut rng, subject, &init.object_id, internal::now())
            .map_err(ApiError::internal)?;
        let storage = internal::random::<32>();
        let stored = Stored {
            name: init.name.clone(),
            network: init.network_did.clone(),
            host: init.host.clone(),
            entry: born.entry,
            keys: born.keys.seal(master, &mut rng, &born.did),
            storage: master.seal(&mut rng, born.did.as_str(), STORAGE_PURPOSE, &storage),
            did: born.did,
        };
        let bytes = serde_ipld_dagcbor::to_vec(&stored).map_err(ApiError::internal)?;
        self.store.set_meta(IDENTITY, &bytes)?;
        Ok(stored)
    }

    /// Wipes everything. What arrives later is answered `410 AGENT_DELETED`.
    pub(super) async fn destroy(&self) -> Result<(), ApiError> {
        for socket in self.sockets() {
            let _ = socket.close(Some(1000), Some("the agent was deleted"));
        }
        self.me.replace(None);
        self.db.storage().delete_alarm().await?;
        self.db.storage().delete_all().await?;
        self.store.create()?;
        self.store.set_meta(DESTROYED, b"1")?;
        Ok(())
    }

    /// Returns the agent, unsealing its keys if this is the first need of them.
    pub(super) fn identity(&self) -> Result<Rc<Me>, ApiError> {
        if let Some(me) = self.me.borrow().as_ref() {
            return Ok(Rc::clone(me));
        }
        let stored = self.stored()?.ok_or_else(|| {
            ApiError::not_found("UNKNOWN_AGENT", "This agent was never created here.")
        })?;
        let master = self.master()?;
        let keys = IdentityKeys::open(&master, &stored.did, &stored.keys).map_err(unsealed)?;
        let storage = master
            .open(stored.did.as_str(), STORAGE_PURPOSE, &stored.storage)
            .map_err(unsealed)?;
        let me = Rc::new(Me {
            did: stored.did,
            network: stored.network,
            host: stored.host,
            signing: keys.signing,
            storage: MasterKey::parse(&BASE64URL_NOPAD.encode(&storage))
                .map_err(ApiError::internal)?,
        });
        self.me.replace(Some(Rc::clone(&me)));
        Ok(me)
    }

    fn stored(&self) -> Result<Option<Stored>, ApiError> {
        if !self.store.exists()? {
            return Ok(None);
        }
        if self.store.meta(DESTROYED)?.is_some() {
            return Err(ApiError::new(
                410,
                "AGENT_DELETED",
                "This agent was deleted.",
            ));
        }
        let Some(bytes) = self.store.meta(IDENTITY)? else {
            return Ok(None);
        };
        serde_ipld_dagcbor::from_slice(&bytes)
            .map(Some)
            .map_err(ApiError::internal)
    }

    fn master(&self) -> Result<MasterKey, ApiError> {
        let text = variable(&self.env, "ENCRYPTION_MASTER_KEY");
        if text.is_empty() {
            return Err(Problem::MasterKeyMissing.into());
        }
        MasterKey::parse(&text).map_err(|_error| Problem::MasterKeyWrong.into())
    }
}

impl Me {
    /// Seals a secret for this agent's own storage, bound to what it is for.
    pub(super) fn seal_secret(&self, purpose: &str, secret: &[u8]) -> Vec<u8> {
        let rng = &mut internal::rng();
        self.storage.seal(rng, self.did.as_str(), purpose, secret)
    }

    /// Opens a secret from this agent's own storage.
    pub(super) fn open_secret(
        &self,
        purpose: &str,
        sealed: &[u8],
    ) -> Result<impl Deref<Target = Vec<u8>> + use<>, ApiError> {
        self.storage
            .open(self.did.as_str(), purpose, sealed)
            .map_err(ApiError::internal)
    }

    /// Seals a body for this agent's own storage, bound to the message it belongs to.
    pub(super) fn seal_body(&self, id: &MessageId, body: &Body) -> Result<Vec<u8>, ApiError> {
        let plain = serde_json::to_vec(body)?;
        Ok(self.seal_secret(&mail_purpose(id), &plain))
    }

    /// Opens a body from this agent's own storage.
    pub(super) fn open_body(&self, id: &MessageId, sealed: &[u8]) -> Result<Body, ApiError> {
        let plain = self.open_secret(&mail_purpose(id), sealed)?;
        Ok(serde_json::from_slice(&plain)?)
    }
}

fn mail_purpose(id: &MessageId) -> String {
    format!("mail/{id}")
}

fn unsealed(error: RestError) -> ApiError {
    match error {
        RestError::WrongMasterKey => Problem::MasterKeyWrong.into(),
        RestError::UnknownVersion | RestError::Corrupt => ApiError::internal(error),
    }
}
