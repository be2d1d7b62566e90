//! The rules of `entente_memory::life`, driven: what a record names, whether it counts now, how often
//! it was read.
//!
//! Which record names which is stored blinded; whether a name is good is looked up by what is
//! sealed in the record that says so.

use std::collections::{BTreeMap, BTreeSet};

use entente_lexicon::records::MemoryFields;
use entente_lexicon::{RecordPath, Timestamp};
use entente_memory::life::validity::current;
use entente_memory::life::{Memory as Known, Validity};
use entente_memory::repo::Cid;
use entente_memory::repo::block::parse_cid_text;
use entente_memory::search::rank::Importance;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::life_store::{Link, StoredLife};
use crate::agent::memory::records::object;
use crate::agent::memory::store::StoredRecord;
use crate::error::ApiError;
use crate::internal;

/// Records that were read, until their counts are stored.
const MAX_READS: usize = 64;
/// Counts are stored after this at the latest.
const READS_MS: u64 = 60_000;

/// What a record's life has come to.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) life: StoredLife,
    /// Whether it is in force at the instant asked for.
    pub(super) holds: bool,
    pub(super) superseded_by: Option<RecordPath>,
}

/// Which records are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Current,
    All,
    Archived,
    Stale,
}

/// Which records are shown, as of when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    state: State,
    pub(super) at: Timestamp,
}

impl Shown {
    /// Reads the parameters `state` and `validAt` of lists and searches: what counts now, unless said.
    pub(super) fn read(
        state: Option<&str>,
        valid_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let state = match state {
            None | Some("current") => State::Current,
            Some("all") => State::All,
            Some("archived") => State::Archived,
            Some("stale") => State::Stale,
            Some(_) => {
                return Err(ApiError::bad_request(
                    "INVALID_STATE",
                    "`state` is current, all, archived or stale.",
                ));
            }
        };
        Ok(Self {
            state,
            at: valid_at.unwrap_or(now),
        })
    }

    /// Whether what is in the archive is looked at.
    pub(super) fn archive(self) -> bool {
        matches!(self.state, State::All | State::Archived)
    }

    pub(super) fn admits(self, standing: &Standing) -> bool {
        let Standing {
            life,
            holds,
            superseded_by,
        } = standing;
        match self.state {
            State::All => true,
            State::Archived => life.archived_at.is_some(),
            State::Stale => life.stale_since.is_some(),
            State::Current => {
                *holds
                    && superseded_by.is_none()
                    && life.archived_at.is_none()
                    && life.stale_since.is_none()
            }
        }
    }
}

impl Core {
    /// Notes what a record names. Part of the write's transaction.
    pub(super) fn keep_life(
        &self,
        me: &Me,
        record: &StoredRecord,
        value: &Map<String, Value>,
    ) -> Result<(), ApiError> {
        let links = self.indexes(me)?;
        let Some(known) = self.known_of(me, record, value) else {
            return Ok(self.memory.store.keep_links(record, &[])?);
        };
        let mut named = Vec::new();
        if let Some(path) = &known.supersedes {
            named.push((Link::Replaces, links.path(path)));
        }
        for cid in &known.derived_from {
            named.push((Link::MadeFrom, links.cid(cid)));
        }
        for path in sources(me, value) {
            named.push((Link::MadeFrom, links.path(&path)));
        }
        Ok(self.memory.store.keep_links(record, &named)?)
    }

    /// Takes what a record says of itself; nothing where it is no memory.
    pub(super) fn known_of(
        &self,
        me: &Me,
        record: &StoredRecord,
        value: &Map<String, Value>,
    ) -> Option<Known> {
        let fields = MemoryFields::deserialize(value).ok()?;
        let written = fields.created_at.unwrap_or(record.created_at);
        let (path, cid) = (record.path.clone(), record.cid);
        let known = Known::of(&me.did, path, cid, written, &fields).ok()?;
        let mut from = known.derived_from;
        from.extend(covers(value));
        Some(Known {
            derived_from: from,
            ..known
        })
    }

    /// Opens a record for what it says of itself.
    pub(super) fn opened(
        &self,
        me: &Me,
        record: &StoredRecord,
    ) -> Result<(Option<Known>, Map<String, Value>), ApiError> {
        let value = object(&self.plain(me, record)?)?;
        Ok((self.known_of(me, record, &value), value))
    }

    /// Returns those of these records that another one says it replaces, by their places.
    pub(super) fn claimed(
        &self,
        me: &Me,
        records: &[StoredRecord],
    ) -> Result<BTreeSet<u64>, ApiError> {
        let links = self.indexes(me)?;
        let targets: Vec<_> = records.iter().map(|one| links.path(&one.path)).collect();
        let replaced = self.memory.store.replaced(&targets)?;
        let named = records.iter().zip(&targets);
        let named = named.filter(|(_one, target)| replaced.contains(*target));
        Ok(named.map(|(one, _target)| one.n).collect())
    }

    /// Tells what has become of a record, as of an instant. `claimed` says for which of many records it
    /// has to be looked who replaces them.
    pub(super) fn standing(
        &self,
        me: &Me,
        record: &StoredRecord,
        value: &Map<String, Value>,
        (at, claimed): (Timestamp, Option<&BTreeSet<u64>>),
    ) -> Result<Standing, ApiError> {
        let life = record.life;
        let claims = if claimed.is_none_or(|claimed| claimed.contains(&record.n)) {
            let target = self.indexes(me)?.path(&record.path);
            self.memory.store.naming(Link::Replaces, &[target])?
        } else {
            Vec::new()
        };
        let fields = MemoryFields::deserialize(value).ok();
        let validity =
            fields.and_then(|fields| Validity::new(fields.valid_from, fields.valid_to).ok());
        let holds = validity.unwrap_or_default().holds(at);
        let superseded_by = match self.known_of(me, record, value) {
            Some(own) if holds && !claims.is_empty() => self.successor(me, own, &claims, at)?,
            Some(_) | None => None,
        };
        Ok(Standing {
            life,
            holds,
            superseded_by,
        })
    }

    /// Returns the newest of the records that replace this one and are in force.
    fn successor(
        &self,
        me: &Me,
        own: Known,
        claims: &[StoredRecord],
        at: Timestamp,
    ) -> Result<Option<RecordPath>, ApiError> {
        let cid = own.cid;
        let mut memories = vec![own];
        for claim in claims.iter().filter(|claim| claim.cid != cid) {
            memories.extend(self.opened(me, claim)?.0);
        }
        if current(&memories, at).contains(&cid) {
            return Ok(None);
        }
        let others = memories.into_iter().filter(|other| other.cid != cid);
        let in_force = others.filter(|other| other.validity.holds(at));
        Ok(in_force
            .max_by_key(|other| (other.written, other.cid))
            .map(|other| other.path))
    }

    /// Returns what a record's rank depends on.
    pub(super) fn ranked_as(
        &self,
        me: &Me,
        record: &StoredRecord,
        value: &Map<String, Value>,
        life: &StoredLife,
    ) -> Known {
        let known = self.known_of(me, record, value).unwrap_or_else(|| Known {
            path: record.path.clone(),
            cid: record.cid,
            written: record.created_at,
            validity: Validity::default(),
            supersedes: None,
            derived_from: Vec::new(),
            importance: Importance::default(),
            reads: 0,
            last_read: None,
        });
        Known {
            reads: life.reads,
            last_read: life.last_read,
            ..known
        }
    }

    /// Counts a read: kept in memory for a while, since a count that is lost with the object only
    /// lets a memory fade a little earlier.
    pub(super) fn was_read(&self, n: u64) {
        let now = internal::now();
        let mut reads = self.memory.reads.borrow_mut();
        let count = reads.entry(n).or_insert((0, now));
        *count = (count.0.saturating_add(1), now);
        if reads.len() >= MAX_READS {
            drop(reads);
            self.wake_in(0);
        } else if reads.len() == 1 {
            drop(reads);
            self.wake_in(READS_MS);
        }
    }

    /// Stores the counts of reads.
    pub(super) fn store_reads(&self) -> Result<(), ApiError> {
        let reads: BTreeMap<_, _> = self.memory.reads.take();
        if reads.is_empty() {
            return Ok(());
        }
        self.memory.store.transaction(|| {
            for (n, (count, last)) in &reads {
                self.memory.store.add_reads(*n, *count, *last)?;
            }
            Ok(())
        })
    }
}

/// The records that a summary covers, by CID.
fn covers(value: &Map<String, Value>) -> impl Iterator<Item = Cid> {
    let listed = value.get("covers").and_then(Value::as_array);
    let texts = listed.into_iter().flatten();
    let texts = texts.filter_map(|one| one.get("$link").and_then(Value::as_str));
    texts.filter_map(|text| parse_cid_text(text).ok())
}

/// The records of this agent that it says by name that it was made from.
fn sources(me: &Me, value: &Map<String, Value>) -> Vec<RecordPath> {
    let own = format!("at://{}/", me.did);
    let listed = value.get("derivedFrom").and_then(Value::as_array);
    let uris = listed.into_iter().flatten();
    let uris = uris.filter_map(|one| one.get("uri").and_then(Value::as_str));
    let paths = uris.filter_map(|uri| uri.strip_prefix(&own));
    paths
        .filter_map(|path| RecordPath::parse(path).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_by_default_counts_now() {
        let now = Timestamp(100);
        let standing = Standing {
            life: StoredLife::default(),
            holds: true,
            superseded_by: None,
        };
        let old = Standing {
            superseded_by: RecordPath::parse("agent.memory.fact/b").ok(),
            ..standing.clone()
        };
        let archived = Standing {
            life: StoredLife {
                archived_at: Some(now),
                ..StoredLife::default()
            },
            ..standing.clone()
        };
        let stale = Standing {
            life: StoredLife {
                stale_since: Some(now),
                ..StoredLife::default()
            },
            ..standing.clone()
        };
        let over = Standing {
            holds: false,
            ..standing.clone()
        };
        let all = [&standing, &old, &archived, &stale, &over];
        let admitted = |state: Option<&str>| {
            let shown = Shown::read(state, None, now).unwrap();
            all.map(|one| shown.admits(one))
        };
        assert_eq!(admitted(None), [true, false, false, false, false]);
        assert_eq!(admitted(Some("all")), [true; 5]);
        assert_eq!(
            admitted(Some("archived")),
            [false, false, true, false, false]
        );
        assert_eq!(admitted(Some("stale")), [false, false, false, true, false]);
        let refused = Shown::read(Some("gone"), None, now).unwrap_err();
        assert_eq!(refused.code, "INVALID_STATE");
    }
}
