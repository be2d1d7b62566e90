//! Putting a network back where nothing is, and one agent back where its object was lost.
//!
//! Every step can be repeated: what is back already says so. The directory comes last, and in it what
//! says that this is a network, so that nothing acts before all of it is there; agents are woken when
//! their links are.

use std::collections::BTreeMap;

use entente_lexicon::api::{RestoreNetwork, Restored};
use entente_lexicon::{Did, Timestamp};
use entente_trust::backup::{Index, Part, open_index};
use serde::{Deserialize, Serialize};

use crate::agent::wire;
use crate::backup::directory::PlainRow;
use crate::backup::wire::{Back, PutBack, Taken};
use crate::backup::{self, DIRECTORY, RELAY, directory};
use crate::config::{Problem, key_ring};
use crate::error::ApiError;
use crate::internal::{self, new_request_id, now};
use crate::lifecycle;
use crate::relay::backups::{Running, agent_subject};
use crate::relay::core::{Core, EPOCH, new_epoch};
use crate::shapes::{Nothing, RestoreOneAgent};
use crate::store::bucket::Bucket;
use crate::store::d1::Directory;

const RESTORING: &str = "restoring";
const AGENTS: &str = "agents";
const OBJECT: &str = "object_id";

/// What is being put back, until all of it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Restoring {
    network: String,
    generation: u64,
    /// Objects of agents that have another id here, by the one they had.
    objects: BTreeMap<String, String>,
}

impl Core {
    /// Refuses what would begin something else while a network is being put back.
    pub(super) fn check_not_restoring(&self) -> Result<(), ApiError> {
        match self.keeper.note::<Restoring>(RESTORING)? {
            None => Ok(()),
            Some(restoring) => Err(ApiError::new(
                409,
                "RESTORE_UNFINISHED",
                format!(
                    "Generation {} of {} is being put back here: call POST /admin/backups/restore again to finish that.",
                    restoring.generation, restoring.network
                ),
            )),
        }
    }

    /// Puts a whole network back.
    pub(super) async fn restore_network(
        &self,
        wish: &RestoreNetwork,
    ) -> Result<Restored, ApiError> {
        if self.backing_up.replace(true) {
            return Err(backup::running());
        }
        let _until_dropped = Running(&self.backing_up);
        let unfinished: Option<Restoring> = self.keeper.note(RESTORING)?;
        if unfinished.is_none() && (self.stored()?.is_some() || !self.directory_is_empty().await?) {
            return Err(ApiError::new(
                409,
                "NETWORK_NOT_EMPTY",
                "There is a network here already: a backup is put back into an empty one only. Start it with empty storage and the same secrets, and try again.",
            ));
        }
        let (network, generation) = self.choose(wish, unfinished.as_ref()).await?;
        let index = self.index_of_the_bucket(&network, generation).await?;
        if index.host != self.config()?.host.as_str() {
            return Err(Problem::HostChanged.into());
        }
        // All of it is there and unharmed in name before anything is begun.
        for part in &index.parts {
            self.keeper.check(&put_back(&index, part, true)).await?;
        }
        let objects = unfinished.filter(|known| known.network == network);
        let mut restoring = Restoring {
            objects: objects.map(|known| known.objects).unwrap_or_default(),
            network,
            generation,
        };
        self.keeper.set_note(RESTORING, &restoring)?;
        let mut rows = 0_u64;
        for part in &index.parts {
            let Some(object) = &part.object else { continue };
            let object = self.object_here(object, &mut restoring)?;
            let stub = internal::agent(&self.env, &object)?;
            let back: Back = wire::call(&stub, "/restore", &put_back(&index, part, true)).await?;
            rows = rows.saturating_add(back.rows);
        }
        for (part, did) in links(&index) {
            let stub = internal::link(&self.env, &did)?;
            let back: Back = wire::call(&stub, "/restore", &put_back(&index, part, true)).await?;
            rows = rows.saturating_add(back.rows);
        }
        rows = rows.saturating_add(self.restore_own(&index).await?);
        rows = rows.saturating_add(self.restore_directory(&index, &restoring).await?);
        self.adopt_backups(&index).await?;
        self.awaken(&index, &restoring).await?;
        self.keeper.drop_note(RESTORING)?;
        Ok(restored(
            &index,
            &index.network,
            index.at,
            index.parts.len(),
            rows,
        ))
    }

    async fn directory_is_empty(&self) -> Result<bool, ApiError> {
        Directory::open(&self.env)?.is_empty().await
    }

    /// Finds out which generation is meant.
    async fn choose(
        &self,
        wish: &RestoreNetwork,
        unfinished: Option<&Restoring>,
    ) -> Result<(String, u64), ApiError> {
        if let (None, None, Some(known)) = (&wish.network, wish.generation, unfinished) {
            return Ok((known.network.clone(), known.generation));
        }
        let all = self.indexes(wish.network.as_deref()).await?;
        let (network, newest) = all.first().cloned().ok_or_else(|| backup::missing("any"))?;
        if all.iter().any(|(other, _)| *other != network) {
            return Err(ApiError::new(
                409,
                "BACKUP_AMBIGUOUS",
                "The bucket holds backups of several networks: name one as `network`; GET /admin/backups lists them.",
            ));
        }
        let generation = wish.generation.unwrap_or(newest);
        if all.iter().all(|(_, n)| *n != generation) {
            return Err(backup::missing(&backup::index_key(&network, generation)));
        }
        Ok((network, generation))
    }

    async fn index_of_the_bucket(&self, network: &str, generation: u64) -> Result<Index, ApiError> {
        let key = backup::index_key(network, generation);
        let sealed = Bucket::open(&self.env)?.get(&key).await?;
        let sealed = sealed.ok_or_else(|| backup::missing(&key))?;
        open_index(&key_ring(&self.env)?, network, generation, &sealed)
            .map_err(|error| backup::refused(error, &key))
    }

    /// Returns the id that an agent's object has here: the one it had, where that is one here.
    fn object_here(&self, object: &str, restoring: &mut Restoring) -> Result<String, ApiError> {
        if let Some(other) = restoring.objects.get(object) {
            return Ok(other.clone());
        }
        if internal::agent(&self.env, object).is_ok() {
            return Ok(object.to_owned());
        }
        let other = internal::new_agent_id(&self.env)?;
        restoring.objects.insert(object.to_owned(), other.clone());
        self.keeper.set_note(RESTORING, restoring)?;
        Ok(other)
    }

    async fn restore_own(&self, index: &Index) -> Result<u64, ApiError> {
        let part = part_of(index, RELAY)?;
        let back = self
            .keeper
            .put_back(&put_back(index, part, true), || {
                // Events after the snapshot were shown already: their numbers are not given again.
                self.store.forget_wakes()?;
                // Agents are put back to older states too, and say so when they are woken.
                self.store.forget_heads()?;
                Ok(self.store.set_meta(EPOCH, new_epoch().as_bytes())?)
            })
            .await?;
        self.live.replace(None);
        self.listed.replace(None);
        self.revived.set(false);
        Ok(back.rows)
    }

    async fn restore_directory(
        &self,
        index: &Index,
        restoring: &Restoring,
    ) -> Result<u64, ApiError> {
        let part = part_of(index, DIRECTORY)?;
        let mut rows = directory::read(&self.keeper, &put_back(index, part, true)).await?;
        for row in rows.iter_mut().filter(|row| row.table == AGENTS) {
            let other = row.text(OBJECT).and_then(|id| restoring.objects.get(id));
            if let Some(other) = other.cloned() {
                row.set_text(OBJECT, &other);
            }
        }
        // Births and deletions that were under way have no part: the sweep settles them.
        let directory = Directory::open(&self.env)?;
        directory.put_back(&rows).await?;
        directory.renew_versions(now()).await?;
        Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
    }

    /// Has everybody take up what was left to do: links first, which agents hand their mail to.
    async fn awaken(&self, index: &Index, restoring: &Restoring) -> Result<(), ApiError> {
        let (request, directory) = (new_request_id(), Directory::open(&self.env)?);
        lifecycle::wake_links(&self.env, &directory, &request).await?;
        for object in index.parts.iter().filter_map(|part| part.object.as_ref()) {
            let here = restoring.objects.get(object).unwrap_or(object);
            let stub = internal::agent(&self.env, here)?;
            let Nothing {} = internal::post(&stub, "/wake", &Nothing {}, &request).await?;
        }
        self.arm_sweep().await?;
        self.schedule_status_now();
        Ok(())
    }

    /// Puts one agent back, from the newest generation that holds it or the one asked for.
    pub(super) async fn restore_agent(&self, wish: &RestoreOneAgent) -> Result<Restored, ApiError> {
        let network = self.stored()?.ok_or(Problem::NotInitialised)?;
        if self.backing_up.replace(true) {
            return Err(backup::running());
        }
        let _until_dropped = Running(&self.backing_up);
        let subject = agent_subject(wish.did.as_str());
        let (index, part) = self.kept_index(network.did.as_str(), &subject, wish.generation)?;
        let mut order = put_back(&index, &part, false);
        order.log.clone_from(&wish.log);
        let stub = internal::agent(&self.env, &wish.object_id)?;
        let back: Back = wire::call(&stub, "/restore", &order).await?;
        if wish.log.is_none() {
            self.list_again(&index, wish).await?;
        }
        // It is older than what was heard of it, and says so when it is woken.
        self.store.forget_head(&wish.did)?;
        let directory = Directory::open(&self.env)?;
        directory.renew_versions(now()).await?;
        let request = new_request_id();
        let Nothing {} = internal::post(&stub, "/wake", &Nothing {}, &request).await?;
        self.publish_card(&wish.object_id).await?;
        self.listed.replace(None);
        self.schedule_status_now();
        self.note_changed(&subject).await?;
        Ok(Restored {
            already: back.already,
            ..restored(&index, wish.did.as_str(), back.at, 1, back.rows)
        })
    }

    /// Lists a deleted agent as it was listed in that generation.
    async fn list_again(&self, index: &Index, wish: &RestoreOneAgent) -> Result<(), ApiError> {
        let part = part_of(index, DIRECTORY)?;
        let rows = directory::read(&self.keeper, &put_back(index, part, false)).await?;
        let is_it =
            |row: &PlainRow| row.table == AGENTS && row.text("did") == Some(wish.did.as_str());
        let rows: Vec<_> = rows.into_iter().filter(is_it).collect();
        if rows.is_empty() {
            return Err(backup::missing(&part.subject));
        }
        Directory::open(&self.env)?.put_back(&rows).await
    }

    fn schedule_status_now(&self) {
        if let Some(core) = self.me.upgrade() {
            core.schedule_status();
        }
    }
}

fn put_back(index: &Index, part: &Part, replace: bool) -> PutBack {
    PutBack {
        network: index.network.clone(),
        subject: part.subject.clone(),
        taken: Taken {
            generation: part.generation,
            manifest: part.manifest.clone(),
            length: part.length,
        },
        replace,
        log: None,
    }
}

fn part_of<'a>(index: &'a Index, subject: &str) -> Result<&'a Part, ApiError> {
    let found = index.parts.iter().find(|part| part.subject == subject);
    found.ok_or_else(|| backup::missing(subject))
}

fn links(index: &Index) -> impl Iterator<Item = (&Part, Did)> {
    index.parts.iter().filter_map(|part| {
        let did = part.subject.strip_prefix("link/")?;
        Some((part, Did::parse(did).ok()?))
    })
}

fn restored(index: &Index, did: &str, at: Timestamp, parts: usize, rows: u64) -> Restored {
    Restored {
        did: did.to_owned(),
        generation: index.generation,
        at,
        parts: u64::try_from(parts).unwrap_or(u64::MAX),
        rows,
        already: false,
    }
}
