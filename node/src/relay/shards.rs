//! What fan-out objects are told: every event once they have viewers, the status when it changes.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use entente_firehose::{Batch, Cursor, Face, Page, Shown};
use entente_lexicon::Address;
use entente_lexicon::api::{Event, FirehoseFrame, Viewer};
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, console_warn};

use crate::agent::wire;
use crate::error::ApiError;
use crate::fanout::wire::{Push, Sockets, StatusFrames};
use crate::internal;
use crate::relay::core::{Core, Live};

/// Fan-out objects of one network.
const MAX_SHARDS: usize = 16;
/// Of ten viewers' places, observers leave one for admins.
const OBSERVERS_OF_TEN: usize = 9;
/// Events that are kept as they are pushed; a fan-out object that is further behind asks.
const TAIL: usize = 2_048;
/// Events of one push, and of one page.
const MAX_EVENTS: u64 = 500;
/// Between two attempts at an object that fails.
const RETRY_MS: u64 = 1_000;
/// Attempts before the next event is waited for.
const MAX_ATTEMPTS: u32 = 30;
/// Where the names of the objects with viewers are kept.
const SHARDS: &str = "shards";
/// The collection of events that are no announcement.
pub(super) const OBSERVABILITY: &str = "agent.observability.event";

/// The fan-out objects, and what they are to be told.
#[derive(Default)]
pub(super) struct Shards {
    by_name: BTreeMap<String, Told>,
    tail: VecDeque<Rc<Shown>>,
    pub(super) status: Option<StatusFrames>,
    status_version: u64,
}

/// What one of them knows.
#[derive(Debug, Default)]
struct Told {
    /// How many viewers it has, or is about to have.
    sockets: usize,
    /// It is told what happens.
    is_joined: bool,
    /// Viewers that ever joined.
    joins: u64,
    /// It knows events up to this one.
    pushed: u64,
    /// It knows this version of the status.
    status: u64,
    /// An earlier life of ours may have failed to tell it something.
    is_unsure: bool,
    /// A push is on its way.
    is_busy: bool,
}

struct Due {
    push: Push,
    upto: u64,
    status: u64,
    joins: u64,
}

impl Shards {
    fn restore(names: Vec<String>, newest: u64) -> Self {
        let told = |name| {
            let told = Told {
                is_joined: true,
                is_unsure: true,
                pushed: newest,
                ..Told::default()
            };
            (name, told)
        };
        Self {
            by_name: names.into_iter().map(told).collect(),
            ..Self::default()
        }
    }

    /// Tells whether nobody looks.
    pub(super) fn is_empty(&self) -> bool {
        !self.by_name.values().any(|told| told.is_joined)
    }

    /// Finds an object with room for a viewer: one fills up before the next is begun.
    pub(super) fn seat(&mut self, viewer: Viewer, seats: usize) -> Option<String> {
        let taken: usize = self.by_name.values().map(|told| told.sockets).sum();
        let places = seats.saturating_mul(MAX_SHARDS);
        let room = match viewer {
            Viewer::Admin => places,
            Viewer::Observer => places.saturating_mul(OBSERVERS_OF_TEN) / 10,
        };
        let names = (0..MAX_SHARDS).map(|n| format!("firehose-{n}"));
        let has_room = |name: &String| {
            let told = self.by_name.get(name);
            told.is_none_or(|told| told.sockets < seats)
        };
        let name = names.into_iter().find(has_room).filter(|_| taken < room)?;
        let told = self.by_name.entry(name.clone()).or_default();
        told.sockets = told.sockets.saturating_add(1);
        Some(name)
    }

    /// Notes that an object gets a viewer. Returns whether it had none that we knew of.
    pub(super) fn join(&mut self, join: &Sockets, newest: u64) -> bool {
        let status = self.status_version;
        let told = self.by_name.entry(join.shard.clone()).or_default();
        told.joins = told.joins.saturating_add(1);
        told.sockets = told.sockets.max(join.sockets.saturating_add(1));
        let is_new = !std::mem::replace(&mut told.is_joined, true);
        if is_new {
            told.pushed = newest;
            told.status = status;
        }
        is_new
    }

    /// Notes how many viewers an object has.
    pub(super) fn count(&mut self, now: &Sockets) {
        if let Some(told) = self.by_name.get_mut(&now.shard) {
            told.sockets = now.sockets;
        }
    }

    /// Keeps the status, if it is another.
    pub(super) fn set_status(&mut self, status: StatusFrames) {
        let same = |known: &StatusFrames| known.admin == status.admin;
        if !self.status.as_ref().is_some_and(same) {
            self.status_version = self.status_version.saturating_add(1);
            self.status = Some(status);
        }
    }

    fn joined(&self) -> Vec<String> {
        let joined = self.by_name.iter().filter(|(_, told)| told.is_joined);
        joined.map(|(name, _)| name.clone()).collect()
    }

    /// What an object is to be told now; nothing leaves it not busy.
    fn next(&mut self, name: &str, epoch: &str, newest: u64) -> Option<Due> {
        let told = self.by_name.get_mut(name)?;
        let stale = told.status < self.status_version;
        if !told.is_joined || (told.pushed >= newest && !stale && !told.is_unsure) {
            told.is_busy = false;
            return None;
        }
        let after = told.pushed;
        let due = self.tail.iter().filter(|event| event.seq > after);
        let mut events: Vec<Rc<Shown>> = due.take(MAX_EVENTS as usize).cloned().collect();
        let first = events.first().map(|event| event.seq);
        // What is not at hand it asks for when it hears of a later event.
        let is_whole = first.is_none_or(|first| first == after.saturating_add(1));
        let after = match (is_whole, first) {
            (true, Some(_)) => after,
            (true, None) | (false, _) => {
                events.clear();
                newest
            }
        };
        Some(Due {
            upto: events.last().map_or(after, |event| event.seq),
            status: self.status_version,
            joins: told.joins,
            push: Push {
                batch: Batch {
                    epoch: epoch.to_owned(),
                    after,
                    events,
                },
                status: self.status.clone().filter(|_| stale),
            },
        })
    }

    /// Notes what an object was told, and that it has so many viewers. Returns whether it had its last.
    fn told(&mut self, name: &str, due: &Due, sockets: usize) -> bool {
        let Some(told) = self.by_name.get_mut(name) else {
            return false;
        };
        told.pushed = told.pushed.max(due.upto);
        told.status = told.status.max(due.status);
        told.is_unsure = false;
        told.sockets = sockets;
        let is_last = sockets == 0 && told.joins == due.joins;
        if is_last {
            self.by_name.remove(name);
        }
        is_last
    }

    /// Returns the objects that nothing is on its way to, and marks them busy.
    fn idle(&mut self) -> Vec<String> {
        let idle = self.by_name.iter_mut();
        let idle = idle.filter(|(_, told)| told.is_joined && !told.is_busy);
        idle.map(|(name, told)| {
            told.is_busy = true;
            name.clone()
        })
        .collect()
    }

    fn give_up(&mut self, name: &str) {
        if let Some(told) = self.by_name.get_mut(name) {
            told.is_busy = false;
        }
    }
}

impl Live {
    /// Keeps events for the fan-out objects, as viewers see them.
    pub(super) fn show(&mut self, events: &[Event]) -> Result<(), ApiError> {
        if self.shards.is_empty() {
            self.shards.tail.clear();
            return Ok(());
        }
        for event in events {
            let shown = self.shown(event)?;
            self.shards.tail.push_back(Rc::new(shown));
        }
        let excess = self.shards.tail.len().saturating_sub(TAIL);
        self.shards.tail.drain(..excess);
        Ok(())
    }

    fn shown(&self, event: &Event) -> Result<Shown, ApiError> {
        let is_public = event.kind.starts_with("announcement.");
        let collection = event.label.clone().filter(|_| is_public);
        let observer = (!is_public).then(|| self.face(self.anonymiser.event(event)));
        Ok(Shown {
            seq: event.seq,
            collection: collection.unwrap_or_else(|| OBSERVABILITY.to_owned()),
            kind: event.kind.clone(),
            admin: self.face(event.clone())?,
            observer: observer.transpose()?,
        })
    }

    fn face(&self, event: Event) -> Result<Face, ApiError> {
        let names = names(&event);
        let cursor = Cursor {
            epoch: self.epoch.clone(),
            seq: event.seq,
        };
        let frame = FirehoseFrame::Event {
            cursor: cursor.to_string(),
            event,
        };
        Ok(Face {
            text: serde_json::to_string(&frame)?.into(),
            names,
        })
    }
}

/// Returns who acts and is acted upon; an address also as its DID.
pub(super) fn names(event: &Event) -> Vec<String> {
    let mut names = Vec::new();
    for name in [&event.from, &event.to].into_iter().flatten() {
        if let Ok(address) = name.parse::<Address>() {
            names.push(address.did.to_string());
        }
        names.push(name.clone());
    }
    names
}

impl Core {
    pub(super) fn restore_shards(&self, newest: u64) -> Result<Shards, ApiError> {
        let names = self.store.meta(SHARDS)?;
        let names = names
            .map(|text| serde_json::from_slice(&text))
            .transpose()?;
        Ok(Shards::restore(names.unwrap_or_default(), newest))
    }

    pub(super) fn keep_shards(&self, shards: &Shards) -> Result<(), ApiError> {
        let text = serde_json::to_vec(&shards.joined())?;
        Ok(self.store.set_meta(SHARDS, &text)?)
    }

    /// Answers a fan-out object that misses events.
    pub(super) fn page(&self, after: u64) -> Result<Page, ApiError> {
        self.with_live(|live| {
            let oldest = self.store.oldest()?;
            let floor = oldest.map_or(live.newest, |oldest| oldest.saturating_sub(1));
            let after = after.max(floor);
            let events = self.store.after(after, MAX_EVENTS)?;
            let events = events.iter().map(|event| live.shown(event).map(Rc::new));
            Ok(Page {
                batch: Batch {
                    epoch: live.epoch.clone(),
                    after,
                    events: events.collect::<Result<_, _>>()?,
                },
                newest: live.newest,
            })
        })
    }

    /// Tells each fan-out object what it does not know, one call at a time.
    pub(super) fn push_soon(self: &Rc<Self>) {
        let idle = self.with_live(|live| Ok(live.shards.idle()));
        for name in idle.unwrap_or_default() {
            let core = Rc::clone(self);
            spawn_local(async move { core.push_all(&name).await });
        }
    }

    async fn push_all(self: &Rc<Self>, name: &str) {
        let mut attempts = 0_u32;
        loop {
            let due = self.with_live(|live| Ok(live.shards.next(name, &live.epoch, live.newest)));
            let Ok(Some(due)) = due else { return };
            match self.push(name, &due).await {
                Ok(()) => attempts = 0,
                Err(error) => {
                    console_warn!("viewers at {name} are not told yet: {error}");
                    attempts = attempts.saturating_add(1);
                    if attempts >= MAX_ATTEMPTS {
                        let _ = self.with_live(|live| {
                            live.shards.give_up(name);
                            Ok(())
                        });
                        return;
                    }
                    Delay::from(Duration::from_millis(RETRY_MS)).await;
                }
            }
        }
    }

    async fn push(&self, name: &str, due: &Due) -> Result<(), ApiError> {
        let stub = internal::fanout(&self.env, name)?;
        let sockets: usize = wire::call(&stub, "/push", &due.push).await?;
        self.with_live(|live| {
            if live.shards.told(name, due, sockets) {
                self.keep_shards(&live.shards)?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(shards: &mut Shards, name: &str) -> bool {
        let join = Sockets {
            shard: name.to_owned(),
            sockets: 0,
        };
        shards.join(&join, 7)
    }

    fn shown(seq: u64) -> Rc<Shown> {
        let face = Face {
            text: "".into(),
            names: Vec::new(),
        };
        Rc::new(Shown {
            seq,
            collection: String::new(),
            kind: String::new(),
            admin: face,
            observer: None,
        })
    }

    #[test]
    fn an_object_fills_up_before_the_next_is_begun_and_admins_have_places_left() {
        let mut shards = Shards::default();
        let seats: Vec<_> = (0..32)
            .map_while(|_| shards.seat(Viewer::Observer, 2))
            .collect();
        assert_eq!(seats.len(), 28);
        assert_eq!(seats[..3], ["firehose-0", "firehose-0", "firehose-1"]);
        assert_eq!(shards.seat(Viewer::Admin, 2).unwrap(), "firehose-14");
    }

    #[test]
    fn an_object_is_told_all_from_the_moment_it_joins_until_its_last_viewer_left() {
        let mut shards = Shards::default();
        assert!(shards.is_empty() && join(&mut shards, "a") && !join(&mut shards, "a"));
        assert!(shards.next("a", "e", 7).is_none());
        shards.tail.extend([shown(8), shown(9)]);
        let due = shards.next("a", "e", 9).unwrap();
        assert_eq!((due.push.batch.after, due.upto), (7, 9));
        assert!(!shards.told("a", &due, 2));
        assert!(shards.next("a", "e", 9).is_none());
        shards.tail.push_back(shown(10));
        let due = shards.next("a", "e", 10).unwrap();
        // Another joined while that was on its way.
        assert!(!join(&mut shards, "a"));
        assert!(!shards.told("a", &due, 0));
        shards.tail.push_back(shown(11));
        let due = shards.next("a", "e", 11).unwrap();
        assert!(shards.told("a", &due, 0) && shards.is_empty());
    }

    #[test]
    fn what_is_not_at_hand_an_object_is_left_to_ask_for() {
        let mut shards = Shards::restore(vec!["a".to_owned()], 7);
        let due = shards.next("a", "e", 7).unwrap();
        assert_eq!((due.push.batch.after, due.push.batch.events.len()), (7, 0));
        let _ = shards.told("a", &due, 1);
        assert!(shards.next("a", "e", 7).is_none());
        shards.tail.push_back(shown(20));
        let due = shards.next("a", "e", 20).unwrap();
        assert_eq!((due.push.batch.after, due.push.batch.events.len()), (20, 0));
    }

    #[test]
    fn a_status_is_told_once_to_each() {
        let mut shards = Shards::default();
        let _ = join(&mut shards, "a");
        let frames = |text: &str| StatusFrames {
            admin: text.into(),
            observer: text.into(),
        };
        shards.set_status(frames("x"));
        let due = shards.next("a", "e", 7).unwrap();
        assert!(due.push.status.is_some());
        let _ = shards.told("a", &due, 1);
        shards.set_status(frames("x"));
        assert!(shards.next("a", "e", 7).is_none());
    }
}
