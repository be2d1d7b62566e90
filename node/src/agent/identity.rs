//! The agent's keys: made here, sealed under the master key, never anywhere else in the clear.

use std::ops::Deref;
use std::rc::Rc;

use data_encoding::BASE64URL_NOPAD;
use entente_lexicon::{AgentName, Did, Host, MessageId};
use entente_trust::crypto::hash;
use entente_trust::crypto::kem::KemSecret;
use entente_trust::crypto::multikey::kid;
use entente_trust::crypto::rest::{KeyRing, MasterKey};
use entente_trust::crypto::secp256k1;
use entente_trust::crypto::sign::SigningKey;
use entente_trust::identity::{
    IdentityKeys, KeyPurpose, Log, LogError, Rotation, SealedKey, SealedKeys, Subject, birth,
    rotate,
};
use entente_trust::message::Body;
use entente_well_known::AgentCard;
use entente_well_known::document::MAX_RETIRED;
use serde::{Deserialize, Serialize};

use crate::agent::core::Core;
use crate::agent::repo::RepoTree;
use crate::config::{key_ring, unsealed};
use crate::error::ApiError;
use crate::internal;
use crate::shapes::{AgentInit, InitAgent, RepoHead};

/// The agent as it can act: its keys, unsealed.
pub(super) struct Me {
    pub(super) did: Did,
    pub(super) name: AgentName,
    pub(super) network: Did,
    pub(super) host: Host,
    pub(super) signing: SigningKey,
    /// Signs its repos.
    pub(super) repo: secp256k1::SigningKey,
    /// What records are shared with this agent by, and the key's id.
    hybrid: (KemSecret, String),
    /// Seals the bodies of this agent's mail at rest.
    storage: MasterKey,
    /// Marks the cursors of lists, so that those of other agents are known.
    cursors: [u8; 32],
}

/// The agent as it is stored: nothing here is readable without the master key.
#[derive(Serialize, Deserialize)]
struct Stored {
    did: Did,
    name: AgentName,
    network: Did,
    host: Host,
    /// The identity log, one entry a line.
    log: String,
    /// Holds the update key that the log's head commits to, and no older one.
    keys: SealedKeys,
    /// Signing keys before the current one, the newest first.
    retired: Vec<String>,
    /// The signing key before this one, until the card that tells of this one is listed: nobody
    /// could check a signature by a key that is not published yet.
    unpublished: Option<SealedKey>,
    /// The key that signs the repos.
    repo: SealedKey,
    /// The one after it, once the card that tells of it is listed.
    next_repo: Option<SealedKey>,
    #[serde(with = "serde_bytes")]
    storage: Vec<u8>,
}

const IDENTITY: &str = "identity";
const DESTROYED: &str = "destroyed";
const DELETED: &str = "AGENT_DELETED";
const STORAGE_PURPOSE: &str = "storage";
impl Core {
    /// Gives birth to the agent, or says again who it is. Keys are replaced by `rotate` alone.
    pub(super) fn init(&self, init: &InitAgent) -> Result<AgentInit, ApiError> {
        self.store.create()?;
        let master = key_ring(&self.env)?;
        let stored = match self.stored()? {
            Some(stored) => stored,
            None => self.give_birth(init, &master)?,
        };
        self.told(stored, &master)
    }

    fn told(&self, stored: Stored, master: &KeyRing) -> Result<AgentInit, ApiError> {
        let head = self.head(RepoTree::Public)?;
        let head = RepoHead {
            did: stored.did.clone(),
            commit: head.cid().to_string(),
            rev: head.commit.rev,
        };
        stored.told(master, head)
    }

    fn give_birth(&self, init: &InitAgent, master: &KeyRing) -> Result<Stored, ApiError> {
        let mut rng = internal::rng();
        let subject = Subject::Agent {
            network: init.network_did.clone(),
        };
        let born = birth(&mut rng, subject, &init.object_id, internal::now(), None)
            .map_err(ApiError::internal)?;
        let log = Log::begin(born.entry).map_err(ApiError::internal)?;
        let storage = internal::random::<32>();
        let repo = secp256k1::SigningKey::generate(&mut rng);
        let stored = Stored {
            name: init.name.clone(),
            network: init.network_did.clone(),
            host: init.host.clone(),
            log: log.to_text().map_err(ApiError::internal)?,
            keys: born.keys.seal(master, &mut rng, &born.did),
            retired: Vec::new(),
            unpublished: None,
            repo: SealedKey::seal_repo(master, &mut rng, &born.did, &repo),
            next_repo: None,
            storage: master.seal(&mut rng, born.did.as_str(), STORAGE_PURPOSE, &storage),
            did: born.did,
        };
        self.store.transaction(|| {
            self.save(&stored)?;
            self.sign_repos(&stored.did, &repo)?;
            Ok::<_, ApiError>(())
        })?;
        Ok(stored)
    }

    /// Replaces the keys by an entry signed with the update key, which the same write destroys.
    pub(super) fn rotate(&self) -> Result<AgentInit, ApiError> {
        let mut stored = self.stored()?.ok_or_else(never_created)?;
        let master = key_ring(&self.env)?;
        let (mut rng, now) = (internal::rng(), internal::now());
        let old = IdentityKeys::open(&master, &stored.did, &stored.keys).map_err(unsealed)?;
        let Rotation { log, keys } = rotate(&mut rng, &stored.log()?, &old.next_update, now)
            .map_err(|error| {
                if error != LogError::TooLong {
                    return ApiError::internal(error);
                }
                ApiError::new(
                    409,
                    "LOG_FULL",
                    "The identity log has all the entries it may have: keys cannot be rotated again.",
                )
            })?;
        let sealed = keys.seal(&master, &mut rng, &stored.did);
        let before = std::mem::replace(&mut stored.keys, sealed);
        stored.unpublished.get_or_insert(before.signing);
        let signing = old.signing.verifying_key().to_multikey();
        stored.retired.insert(0, signing);
        stored.retired.truncate(MAX_RETIRED);
        stored.log = log.to_text().map_err(ApiError::internal)?;
        let repo = secp256k1::SigningKey::generate(&mut rng);
        let repo = SealedKey::seal_repo(&master, &mut rng, &stored.did, &repo);
        stored.next_repo = Some(repo);
        stored.reseal(&master)?;
        self.save(&stored)?;
        self.me.replace(None);
        self.told(stored, &master)
    }

    /// The card of entry `seq` is listed: from here on the keys it tells of sign, the repos anew too,
    /// and those before are destroyed.
    pub(super) fn published(&self, seq: u64) -> Result<(), ApiError> {
        let mut stored = self.stored()?.ok_or_else(never_created)?;
        if stored.log()?.last().seq() == seq && stored.unpublished.take().is_some() {
            let master = key_ring(&self.env)?;
            stored.repo = stored.next_repo.take().unwrap_or(stored.repo);
            let repo = stored
                .repo
                .open_repo(&master, &stored.did)
                .map_err(unsealed)?;
            self.store.transaction(|| {
                self.save(&stored)?;
                self.sign_repos(&stored.did, &repo)?;
                Ok::<_, ApiError>(())
            })?;
            self.me.replace(None);
            // What is opened from here on is signed with the new key.
            self.conversations.close_epochs();
        }
        Ok(())
    }

    /// Seals every secret under the current master key.
    pub(super) fn reseal(&self) -> Result<(), ApiError> {
        let mut stored = self.stored()?.ok_or_else(never_created)?;
        if stored.reseal(&key_ring(&self.env)?)? {
            self.save(&stored)?;
        }
        Ok(())
    }

    fn save(&self, stored: &Stored) -> Result<(), ApiError> {
        let bytes = serde_ipld_dagcbor::to_vec(stored).map_err(ApiError::internal)?;
        self.store.set_meta(IDENTITY, &bytes)?;
        Ok(())
    }

    /// Wipes everything. What arrives later is answered `410 AGENT_DELETED`.
    pub(super) async fn destroy(&self) -> Result<(), ApiError> {
        for socket in self.sockets() {
            let _ = socket.close(Some(1000), Some("the agent was deleted"));
        }
        self.me.replace(None);
        self.oldest_row.set(None);
        // From here on nobody adds anything.
        self.store.create()?;
        let born = self.kept()?;
        self.store.set_meta(DESTROYED, b"1")?;
        if let Some(born) = born {
            self.clear_bucket(&born.did).await?;
        }
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
        let mut stored = self.stored()?.ok_or_else(never_created)?;
        let master = key_ring(&self.env)?;
        if stored.reseal(&master)? {
            self.save(&stored)?;
        }
        let keys = IdentityKeys::open(&master, &stored.did, &stored.keys).map_err(unsealed)?;
        let storage = master
            .open(stored.did.as_str(), STORAGE_PURPOSE, &stored.storage)
            .map_err(unsealed)?;
        let signing = match &stored.unpublished {
            Some(old) => old.open_signing(&master, &stored.did).map_err(unsealed)?,
            None => keys.signing,
        };
        let repo = stored
            .repo
            .open_repo(&master, &stored.did)
            .map_err(unsealed)?;
        let hybrid_kid = kid(&keys.hybrid.public().to_multikey());
        let me = Rc::new(Me {
            repo,
            hybrid: (keys.hybrid, hybrid_kid),
            cursors: hash::sha256(&[b"entente cursors", &storage[..]]),
            did: stored.did,
            name: stored.name,
            network: stored.network,
            host: stored.host,
            signing,
            storage: MasterKey::parse(&BASE64URL_NOPAD.encode(&storage))
                .map_err(ApiError::internal)?,
        });
        self.me.replace(Some(Rc::clone(&me)));
        Ok(me)
    }

    /// Returns the identity log as it is stored.
    pub(super) fn own_log(&self) -> Result<Log, ApiError> {
        self.stored()?.ok_or_else(never_created)?.log()
    }

    /// Tells whether the agent was deleted.
    pub(super) fn is_deleted(&self) -> bool {
        matches!(self.stored(), Err(error) if error.code == DELETED)
    }

    fn stored(&self) -> Result<Option<Stored>, ApiError> {
        if !self.store.exists()? {
            return Ok(None);
        }
        if self.store.meta(DESTROYED)?.is_some() {
            return Err(ApiError::new(410, DELETED, "This agent was deleted."));
        }
        self.kept()
    }

    /// Returns what is stored of the agent, also while it is being deleted.
    fn kept(&self) -> Result<Option<Stored>, ApiError> {
        let bytes = self.store.meta(IDENTITY)?;
        let stored = bytes.map(|bytes| serde_ipld_dagcbor::from_slice(&bytes));
        stored.transpose().map_err(ApiError::internal)
    }
}

impl Stored {
    fn log(&self) -> Result<Log, ApiError> {
        Log::parse(&self.log).map_err(ApiError::internal)
    }

    /// Seals what the previous master key sealed anew. Returns whether anything was.
    fn reseal(&mut self, master: &KeyRing) -> Result<bool, ApiError> {
        let (mut rng, did) = (internal::rng(), &self.did);
        let mut changed = self.keys.reseal(master, &mut rng, did).map_err(unsealed)?;
        if let Some(old) = &mut self.unpublished {
            let purpose = KeyPurpose::Signing;
            changed |= old
                .reseal(master, &mut rng, did, purpose)
                .map_err(unsealed)?;
        }
        for repo in [Some(&mut self.repo), self.next_repo.as_mut()] {
            let Some(repo) = repo else { continue };
            let purpose = KeyPurpose::Repo;
            changed |= repo
                .reseal(master, &mut rng, did, purpose)
                .map_err(unsealed)?;
        }
        let storage = master
            .reseal(&mut rng, did.as_str(), STORAGE_PURPOSE, &self.storage)
            .map_err(unsealed)?;
        changed |= storage.is_some();
        if let Some(storage) = storage {
            self.storage = storage;
        }
        Ok(changed)
    }

    fn told(self, master: &KeyRing, head: RepoHead) -> Result<AgentInit, ApiError> {
        let keys = IdentityKeys::open(master, &self.did, &self.keys).map_err(unsealed)?;
        let public_keys = keys.public_keys().view();
        let log = self.log()?;
        let repo = self.next_repo.as_ref().unwrap_or(&self.repo);
        let repo = repo.open_repo(master, &self.did).map_err(unsealed)?;
        let told = (&public_keys, &repo.verifying_key());
        let card = AgentCard::build_unsigned(&self.name, &self.host, told, &self.retired, &log)
            .and_then(|card| card.sign_agent(&keys.signing, internal::now()))
            .map_err(ApiError::internal)?;
        Ok(AgentInit {
            did: self.did,
            public_keys,
            seq: log.last().seq(),
            log: self.log,
            card: serde_json::from_str(&card.to_text())?,
            head,
        })
    }
}

fn never_created() -> ApiError {
    ApiError::not_found("UNKNOWN_AGENT", "This agent was never created here.")
}

impl Me {
    /// Returns the key that seals this agent's own storage, as a ring of one.
    pub(super) fn storage_ring(&self) -> KeyRing {
        KeyRing::new(self.storage.clone(), None)
    }

    /// Returns the key that records are shared with this agent by, and its id.
    pub(super) fn hybrid(&self) -> (&KemSecret, &str) {
        (&self.hybrid.0, &self.hybrid.1)
    }

    /// Marks this agent's cursors.
    pub(super) fn cursor_key(&self) -> [u8; 32] {
        self.cursors
    }

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
