//! When backups are made, of what, and which are kept.
//!
//! Objects tell of their first change since their last snapshot; a while later the alarm has all of
//! them take another, agents before links, so that what an agent has handed over is in one of the two.
//! A generation is whole once its index is written, which is last of all.

use entente_lexicon::Timestamp;
use entente_lexicon::api::{BackupList, BackupView};
use entente_trust::backup::{Index, Part, Place, open_index, seal_index};
use futures::stream::{self, StreamExt};
use serde_bytes::ByteBuf;
use std::collections::BTreeSet;
use std::rc::Rc;
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use crate::agent::wire;
use crate::backup::settings::Settings;
use crate::backup::wire::{TakeSnapshot, Taken};
use crate::backup::{self, DIRECTORY, RELAY, directory};
use crate::config::{Problem, key_ring};
use crate::error::ApiError;
use crate::internal::{self, now, rng};
use crate::relay::backup_store::{BackupStore, KnownPart};
use crate::relay::core::Core;
use crate::store::bucket::{Bucket, MAX_BATCH};
use crate::store::d1::Directory;

/// Objects asked at once.
const AT_ONCE: usize = 4;
/// Before what failed is tried again the first time; doubled each time.
const RETRY_MS: u64 = 5_000;
const MAX_RETRY_MS: u64 = 600_000;
/// Every so many generations all objects are asked, also those that told of no change.
const ALL_EVERY: u64 = 12;

/// What can be asked for a snapshot.
#[derive(Clone, Debug)]
struct Asked {
    subject: String,
    target: Target,
}

#[derive(Clone, Debug)]
enum Target {
    Agent(String),
    Link(entente_lexicon::Did),
    Relay,
    Directory,
}

impl Target {
    /// Agents come first, then links, then what is kept here.
    const fn turn(&self) -> u8 {
        match self {
            Self::Agent(_) => 0,
            Self::Link(_) => 1,
            Self::Relay => 2,
            Self::Directory => 3,
        }
    }
}

impl Core {
    pub(super) fn settings(&self) -> Result<Settings, ApiError> {
        Ok(Settings::from_env(&self.env)?)
    }

    fn backup_store(&self) -> Result<BackupStore, ApiError> {
        let store = BackupStore::new(Rc::clone(&self.db));
        store.create()?;
        Ok(store)
    }

    /// Notes that an object changed, and comes back in time.
    pub(super) async fn note_changed(&self, subject: &str) -> Result<(), ApiError> {
        if self.stored()?.is_some() {
            self.backup_store()?.changed(subject, now())?;
            self.arm_backup().await?;
        }
        Ok(())
    }

    /// Notes that an object has new keys: a backup that lacks them would be of little use, so the next is
    /// due at once.
    pub(super) async fn note_new_keys(&self, subject: &str) -> Result<(), ApiError> {
        let every = self.settings()?.every_ms;
        let at = Timestamp(now().0.saturating_sub(every));
        self.backup_store()?.changed(subject, at)?;
        self.arm_backup().await
    }

    /// Notes that something of the relay itself changed; in a turn of its own, since that is in the
    /// middle of a statement.
    pub(super) fn note_own_change(self: &Rc<Self>) {
        let core = Rc::clone(self);
        spawn_local(async move {
            if let Err(error) = core.note_changed(RELAY).await {
                console_warn!("a change of the relay waits for the next to be backed up: {error}");
                core.db.forget_writes();
            }
        });
    }

    /// When the next backup is due.
    fn backup_due(&self) -> Result<Option<Timestamp>, ApiError> {
        let every = self.settings()?.every_ms;
        if every == 0 || self.stored()?.is_none() {
            return Ok(None);
        }
        let store = self.backup_store()?;
        let due = store.oldest_change()?.map(|at| at.after(every));
        let retry = store.failures()?.map(|(failures, at)| {
            let wait = RETRY_MS.saturating_mul(1 << failures.min(10));
            at.after(wait.min(MAX_RETRY_MS))
        });
        Ok(due.map(|due| retry.map_or(due, |retry| due.max(retry))))
    }

    /// Sees to it that the alarm comes when a backup is due.
    pub(super) async fn arm_backup(&self) -> Result<(), ApiError> {
        if let Some(due) = self.backup_due()? {
            self.arm_by(due).await?;
        }
        Ok(())
    }

    /// Makes a backup if one is due. Never fails: what went wrong is listed, and tried again.
    pub(super) async fn back_up_if_due(&self) {
        let outcome = async {
            let Some(due) = self.backup_due()? else {
                return Ok(());
            };
            if now() >= due && !self.backing_up.get() {
                // Armed first: whatever ends this run, another follows.
                self.arm_by(now().after(MAX_RETRY_MS)).await?;
                let all = self.backup_store()?.newest()? % ALL_EVERY == 0;
                self.back_up(all).await?;
            }
            Ok::<_, ApiError>(())
        };
        if let Err(error) = outcome.await {
            console_warn!("no backup was made, trying again: {error}");
        }
        if let Err(error) = self.arm_backup().await {
            console_warn!("the next backup is not planned yet: {error}");
        }
    }

    /// Makes a generation. `all` asks also the objects that told of no change.
    pub(super) async fn back_up(&self, all: bool) -> Result<BackupView, ApiError> {
        let network = self.stored()?.ok_or(Problem::NotInitialised)?;
        if self.backing_up.replace(true) {
            return Err(backup::running());
        }
        let _until_dropped = Running(&self.backing_up);
        let store = self.backup_store()?;
        let generation = store.begin(now())?;
        let outcome = self.make(network.did.as_str(), generation, all).await;
        match &outcome {
            Ok(()) => {
                if let Err(error) = self.sweep_backups(network.did.as_str(), generation).await {
                    console_warn!("old backups are still there, trying again next time: {error}");
                }
            }
            Err(error) => store.failed(generation, &error.to_string())?,
        }
        outcome?;
        store
            .generation(network.did.as_str(), generation, now())?
            .ok_or_else(|| ApiError::internal("a generation is gone"))
    }

    async fn make(&self, network: &str, generation: u64, all: bool) -> Result<(), ApiError> {
        let store = self.backup_store()?;
        let asked = self.asked().await?;
        let mut behind = Vec::new();
        for turn in 0..=3 {
            let now = asked.iter().filter(|one| one.target.turn() == turn);
            let calls = now.map(|one| self.ask(network, generation, all, one));
            let mut calls = stream::iter(calls).buffer_unordered(AT_ONCE);
            while let Some((one, outcome)) = calls.next().await {
                let Err(error) = outcome else { continue };
                console_warn!("{} could not be backed up: {error}", one.subject);
                // Its last snapshot stands for it; without one, there is no whole generation.
                if store
                    .part(&one.subject)?
                    .is_none_or(|part| part.taken.is_none())
                {
                    return Err(error);
                }
                behind.push(format!("{}: {error}", one.subject));
            }
        }
        let subjects = asked.iter().map(|one| one.subject.clone()).collect();
        let parts = store.parts(&subjects)?;
        let index = self.index(network, generation, &asked, parts)?;
        let sealed = seal_index(&key_ring(&self.env)?, &index, &mut rng())
            .map_err(|error| backup::refused(error, "the index"))?;
        let key = backup::index_key(network, generation);
        Bucket::open(&self.env)?.put(&key, sealed.clone()).await?;
        store.whole(generation, &index, &sealed, &behind)?;
        Ok(())
    }

    fn index(
        &self,
        network: &str,
        generation: u64,
        asked: &[Asked],
        parts: Vec<KnownPart>,
    ) -> Result<Index, ApiError> {
        let object = |subject: &str| {
            let found = asked.iter().find(|one| one.subject == subject)?;
            match &found.target {
                Target::Agent(object) => Some(object.clone()),
                Target::Link(_) | Target::Relay | Target::Directory => None,
            }
        };
        let parts = parts.into_iter().filter_map(|part| {
            let taken = part.taken?;
            Some(Part {
                object: object(&part.subject),
                subject: part.subject,
                generation: taken.generation,
                manifest: taken.manifest,
                length: taken.length,
            })
        });
        Ok(Index {
            network: network.to_owned(),
            host: self.config()?.host.to_string(),
            generation,
            at: now(),
            parts: parts.collect(),
        })
    }

    async fn asked(&self) -> Result<Vec<Asked>, ApiError> {
        let directory = Directory::open(&self.env)?;
        let agents = directory.agents().await?.into_iter();
        let agents = agents.filter(|row| row.is_active()).filter_map(|row| {
            Some(Asked {
                subject: agent_subject(row.did.as_ref()?.as_str()),
                target: Target::Agent(row.object_id),
            })
        });
        let peers = directory.peers().await?.into_iter();
        let links = peers.filter(|row| !row.is_closing()).map(|row| Asked {
            subject: link_subject(row.did.as_str()),
            target: Target::Link(row.did),
        });
        let own = [(RELAY, Target::Relay), (DIRECTORY, Target::Directory)];
        let own = own.into_iter().map(|(subject, target)| Asked {
            subject: subject.to_owned(),
            target,
        });
        Ok(agents.chain(links).chain(own).collect())
    }

    async fn ask<'a>(
        &self,
        network: &str,
        generation: u64,
        all: bool,
        one: &'a Asked,
    ) -> (&'a Asked, Result<(), ApiError>) {
        let outcome = async {
            let store = self.backup_store()?;
            let known = store.part(&one.subject)?;
            let settled = known
                .as_ref()
                .is_some_and(|part| part.changed_at.is_none() && part.taken.is_some());
            let here = matches!(one.target, Target::Relay | Target::Directory);
            if settled && !all && !here {
                return Ok(());
            }
            let wish = TakeSnapshot {
                network: network.to_owned(),
                subject: one.subject.clone(),
                generation,
                anew: known.is_none_or(|part| part.taken.is_none()),
            };
            store.ask(&one.subject)?;
            let taken = self.snapshot_of(&one.target, &wish).await?;
            Ok(store.took(&one.subject, &taken)?)
        };
        (one, outcome.await)
    }

    async fn snapshot_of(&self, target: &Target, wish: &TakeSnapshot) -> Result<Taken, ApiError> {
        match target {
            Target::Agent(object) => {
                let stub = internal::agent(&self.env, object)?;
                wire::call(&stub, "/backup", wish).await
            }
            Target::Link(did) => {
                let stub = internal::link(&self.env, did)?;
                wire::call(&stub, "/backup", wish).await
            }
            Target::Relay => self.keeper.take(wish).await,
            Target::Directory => directory::take(&self.keeper, &self.env, wish).await,
        }
    }

    /// Deletes what no kept generation names, of those before `generation`.
    async fn sweep_backups(&self, network: &str, generation: u64) -> Result<(), ApiError> {
        let (ring, store) = (key_ring(&self.env)?, self.backup_store()?);
        let bucket = Bucket::open(&self.env)?;
        let kept = store.keep_newest(self.settings()?.generations)?;
        let mut wanted = BTreeSet::new();
        for (number, sealed) in &kept {
            let key = backup::index_key(network, *number);
            let index = open_index(&ring, network, *number, sealed)
                .map_err(|error| backup::refused(error, &key))?;
            wanted.insert(key);
            wanted.extend(index.parts.iter().map(|part| {
                backup::folder(Place {
                    network,
                    subject: &part.subject,
                    generation: part.generation,
                })
            }));
        }
        let prefix = format!("{}{network}/", backup::PREFIX);
        let limit = u32::try_from(MAX_BATCH).unwrap_or(u32::MAX);
        let mut cursor: Option<String> = None;
        loop {
            let page = bucket.list(&prefix, cursor.as_deref(), limit).await?;
            let old = |key: &String| match (backup::index_of(key), backup::folder_of(key)) {
                (Some((_, number)), _) => number < generation && !wanted.contains(key),
                (None, Some((folder, number))) => number < generation && !wanted.contains(folder),
                (None, None) => false,
            };
            let keys = page.objects.into_iter().map(|object| object.key);
            let gone: Vec<_> = keys.filter(old).collect();
            bucket.delete(&gone).await?;
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Lists the generations; in an empty network, those of the bucket.
    pub(super) async fn backups(&self) -> Result<BackupList, ApiError> {
        let settings = self.settings()?;
        let mut list = BackupList {
            every_ms: settings.every_ms,
            kept: settings.generations,
            running: self.backing_up.get(),
            ..BackupList::default()
        };
        let Some(network) = self.stored()? else {
            list.generations = self.backups_of_the_bucket().await?;
            return Ok(list);
        };
        let (store, at) = (self.backup_store()?, now());
        list.generations = store.generations(network.did.as_str(), at)?;
        list.lag_ms = store.oldest_change()?.map(|since| at.since(since));
        list.changed = store.changes()?;
        list.next_at = self.backup_due()?;
        Ok(list)
    }

    async fn backups_of_the_bucket(&self) -> Result<Vec<BackupView>, ApiError> {
        let (ring, bucket) = (key_ring(&self.env)?, Bucket::open(&self.env)?);
        let mut all = Vec::new();
        for (network, generation) in self.indexes(None).await? {
            let key = backup::index_key(&network, generation);
            let sealed = bucket.get(&key).await?.unwrap_or_default();
            let opened = open_index(&ring, &network, generation, &sealed);
            all.push(match opened {
                Ok(index) => whole_view(&index, now()),
                Err(error) => BackupView {
                    network,
                    generation,
                    state: "failed".to_owned(),
                    error: Some(error.code().to_owned()),
                    ..BackupView::default()
                },
            });
        }
        Ok(all)
    }

    /// Lists the generations of the bucket that have an index, the newest first.
    pub(super) async fn indexes(&self, of: Option<&str>) -> Result<Vec<(String, u64)>, ApiError> {
        let bucket = Bucket::open(&self.env)?;
        let prefix = match of {
            Some(network) => format!("{}{network}/network/", backup::PREFIX),
            None => backup::PREFIX.to_owned(),
        };
        let limit = u32::try_from(MAX_BATCH).unwrap_or(u32::MAX);
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = bucket.list(&prefix, cursor.as_deref(), limit).await?;
            let keys = page.objects.iter().filter_map(|object| {
                backup::index_of(&object.key).map(|(network, n)| (network.to_owned(), n))
            });
            found.extend(keys);
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        found.sort_by(|a, b| (&a.0, b.1).cmp(&(&b.0, a.1)));
        Ok(found)
    }

    /// Takes up what the bucket holds, after a restore: numbers go on from the highest.
    pub(super) async fn adopt_backups(&self, index: &Index) -> Result<(), ApiError> {
        let (ring, store) = (key_ring(&self.env)?, self.backup_store()?);
        let bucket = Bucket::open(&self.env)?;
        store.forget_all()?;
        for (network, generation) in self.indexes(Some(&index.network)).await? {
            let key = backup::index_key(&network, generation);
            let sealed = bucket.get(&key).await?.unwrap_or_default();
            match open_index(&ring, &network, generation, &sealed) {
                Ok(found) => store.whole(generation, &found, &sealed, &[])?,
                Err(error) => store.failed(generation, error.code())?,
            }
        }
        for part in &index.parts {
            let taken = Taken {
                generation: part.generation,
                manifest: ByteBuf::clone(&part.manifest),
                length: part.length,
            };
            store.took(&part.subject, &taken)?;
        }
        Ok(())
    }

    /// Finds the generation that holds an agent: the one asked for, or the newest whole one.
    pub(super) fn kept_index(
        &self,
        network: &str,
        subject: &str,
        wanted: Option<u64>,
    ) -> Result<(Index, Part), ApiError> {
        let (ring, store) = (key_ring(&self.env)?, self.backup_store()?);
        for (generation, sealed) in store.whole_ones()? {
            if wanted.is_some_and(|wanted| wanted != generation) {
                continue;
            }
            let key = backup::index_key(network, generation);
            let index = open_index(&ring, network, generation, &sealed)
                .map_err(|error| backup::refused(error, &key))?;
            let part = index.parts.iter().find(|part| part.subject == subject);
            if let Some(part) = part.cloned() {
                return Ok((index, part));
            }
        }
        Err(backup::missing(subject))
    }
}

pub(super) fn agent_subject(did: &str) -> String {
    format!("agent/{did}")
}

pub(super) fn link_subject(did: &str) -> String {
    format!("link/{did}")
}

pub(super) fn whole_view(index: &Index, at: Timestamp) -> BackupView {
    BackupView {
        network: index.network.clone(),
        generation: index.generation,
        state: "whole".to_owned(),
        begun_at: index.at,
        whole_at: Some(index.at),
        age_ms: Some(at.since(index.at)),
        bytes: index
            .parts
            .iter()
            .fold(0, |sum, part| sum.saturating_add(part.length)),
        parts: u64::try_from(index.parts.len()).unwrap_or(u64::MAX),
        ..BackupView::default()
    }
}

/// Something is under way as long as this lives.
pub(super) struct Running<'a>(pub(super) &'a std::cell::Cell<bool>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
