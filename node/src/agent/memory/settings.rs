//! What an agent wants of its memory, and the sweep that carries it out: in batches, each a
//! transaction, resumed where the last one ended.

use std::collections::BTreeSet;
use std::rc::Rc;

use entente_lexicon::api::life::{MeaningSettings, MemorySettings, RetentionRule};
use entente_lexicon::{CollectionGlob, RecordPath, Timestamp};
use entente_memory::life::retention::{Fate, Retention};
use entente_memory::life::{Memory as Known, Validity};
use entente_memory::search::rank::Importance;
use serde::{Deserialize, Serialize};
use worker::console_error;

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::life_store::Aging;
use crate::error::ApiError;
use crate::internal;

const SETTINGS: &str = "memory-settings";
const SWEEP: &str = "memory-sweep";
/// Records looked at in one go.
const BATCH: u32 = 200;
/// Between the end of one sweep and the beginning of the next.
const INTERVAL_MS: u64 = 60 * 60 * 1000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const MAX_RULES: usize = 32;
const MAX_EPISODES: u16 = 256;

/// How far a sweep is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Sweep {
    /// Episodes before this place have been rolled up; nothing once all have.
    compacted: Option<u64>,
    /// Records before this place have been looked at; nothing once all have.
    aged: Option<u64>,
    /// When the next sweep begins.
    due: Timestamp,
}

impl Core {
    /// Returns what the agent wants of its memory.
    pub(super) fn settings(&self) -> Result<MemorySettings, ApiError> {
        let stored = self.store.meta(SETTINGS)?;
        stored.map_or_else(
            || Ok(MemorySettings::default()),
            |stored| serde_json::from_slice(&stored).map_err(ApiError::internal),
        )
    }

    /// Takes what the agent wants from here on, and begins a sweep by it.
    pub(super) fn set_settings(
        self: &Rc<Self>,
        settings: MemorySettings,
    ) -> Result<MemorySettings, ApiError> {
        check(&settings)?;
        let text = serde_json::to_vec(&settings)?;
        let sweep = Sweep {
            compacted: Some(0),
            aged: Some(0),
            due: internal::now(),
        };
        self.memory.store.transaction(|| {
            self.store.set_meta(SETTINGS, &text)?;
            self.settle_vectors(&settings.meaning)?;
            self.keep_sweep(sweep)
        })?;
        self.wake_in(0);
        Ok(settings)
    }

    fn keep_sweep(&self, sweep: Sweep) -> Result<(), ApiError> {
        Ok(self.store.set_meta(SWEEP, &serde_json::to_vec(&sweep)?)?)
    }

    /// Goes on with a sweep, or begins one that is due. Called by the alarm.
    pub(super) fn tend_life(self: &Rc<Self>) {
        let tended = self.store_reads().and_then(|()| self.sweep_some());
        match tended {
            Ok(Some(wait)) => self.wake_in(wait),
            Ok(None) => {}
            Err(error) => {
                console_error!("the memory is not swept: {error}");
                self.wake_in(INTERVAL_MS);
            }
        }
    }

    /// Returns when there is more to do; nothing while the agent wants nothing swept.
    fn sweep_some(self: &Rc<Self>) -> Result<Option<u64>, ApiError> {
        if !self.memory.is_used()? {
            return Ok(None);
        }
        let settings = self.settings()?;
        if settings.retention.is_empty() && !settings.compaction.auto {
            return Ok(None);
        }
        self.memory.prepare()?;
        let me = self.identity()?;
        let stored = self.store.meta(SWEEP)?;
        let stored = stored
            .map(|stored| serde_json::from_slice(&stored))
            .transpose()?;
        let mut sweep: Sweep = stored.unwrap_or_default();
        let now = internal::now();
        if sweep.compacted.is_none() && sweep.aged.is_none() {
            if sweep.due > now {
                return Ok(Some(sweep.due.0.saturating_sub(now.0)));
            }
            (sweep.compacted, sweep.aged) = (Some(0), Some(0));
        }
        // What is done twice after a kill finds nothing to do the second time.
        if let Some(after) = sweep.compacted {
            sweep.compacted = if settings.compaction.auto {
                self.compact_some(&me, after)?
            } else {
                None
            };
        } else if let Some(after) = sweep.aged {
            sweep.aged = self.age_some(&me, &settings, after)?;
        }
        let over = sweep.compacted.is_none() && sweep.aged.is_none();
        if over {
            sweep.due = now.after(INTERVAL_MS);
        }
        self.keep_sweep(sweep)?;
        Ok(Some(if over { INTERVAL_MS } else { 0 }))
    }

    /// Archives and forgets what is due among some records. Returns where the next call begins.
    fn age_some(
        self: &Rc<Self>,
        me: &Rc<Me>,
        settings: &MemorySettings,
        after: u64,
    ) -> Result<Option<u64>, ApiError> {
        let rules = rules(&settings.retention)?;
        let now = internal::now();
        let batch = self.memory.store.aging(after, BATCH)?;
        let whole = batch.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX);
        let last = batch.last().filter(|_last| whole).map(|last| last.n);
        for one in batch {
            let (path, cid) = (&one.path, one.cid);
            let collection = path.collection().as_str();
            let rule = rules.iter().find(|(glob, _rule)| glob.matches(collection));
            let Some((_glob, rule)) = rule else { continue };
            let names = self.names(me, one.n, (path, &cid))?;
            let is_covered = self.memory.store.is_covered(&names)?;
            let covered = BTreeSet::from_iter(is_covered.then_some(cid));
            let is_held = !self.memory.store.shares(path)?.is_empty();
            let held = BTreeSet::from_iter(is_held.then_some(cid));
            let archived_at = self.memory.store.life(one.n)?.archived_at;
            match rule.fate(&as_known(&one), archived_at, &covered, &held, now) {
                Fate::Stay => {}
                Fate::Archive => self.memory.store.archive(one.n, now)?,
                Fate::Delete => self.expire(me, path)?,
            }
        }
        Ok(last)
    }

    /// Forgets a record whose time is over, unless forgetting another one took it along.
    fn expire(self: &Rc<Self>, me: &Rc<Me>, path: &RecordPath) -> Result<(), ApiError> {
        if let Some(record) = self.memory.store.record(path)? {
            self.forget(me, &record)?;
        }
        Ok(())
    }
}

/// What retention looks at: of a memory it asks for no more than the CID and when it was written.
fn as_known(one: &Aging) -> Known {
    Known {
        path: one.path.clone(),
        cid: one.cid,
        written: one.created_at,
        validity: Validity::default(),
        supersedes: None,
        derived_from: Vec::new(),
        importance: Importance::default(),
        reads: 0,
        last_read: None,
    }
}

fn rules(rules: &[RetentionRule]) -> Result<Vec<(CollectionGlob, Retention)>, ApiError> {
    let days = |days: Option<u32>| days.map(|days| u64::from(days).saturating_mul(DAY_MS));
    let one = |rule: &RetentionRule| {
        let glob = glob(&rule.collection, "retention[].collection")?;
        let retention = Retention {
            archive_after_ms: days(rule.archive_after_days),
            delete_after_ms: days(rule.delete_after_days),
        };
        Ok((glob, retention))
    };
    rules.iter().map(one).collect()
}

/// Tells whether records of a collection may be read by a service of vectors.
pub(super) fn covers(
    wanted: &MeaningSettings,
    collection: &str,
    public: bool,
) -> Result<bool, ApiError> {
    if public {
        return Ok(wanted.public);
    }
    for pattern in &wanted.private {
        if glob(pattern, "meaning.private[]")?.matches(collection) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn glob(pattern: &str, setting: &str) -> Result<CollectionGlob, ApiError> {
    pattern.parse().map_err(|_error| {
        let text = format!("`{setting}` is a name or a pattern such as agent.memory.*");
        invalid(&text)
    })
}

fn check(settings: &MemorySettings) -> Result<(), ApiError> {
    rules(&settings.retention)?;
    for pattern in &settings.meaning.private {
        glob(pattern, "meaning.private[]")?;
    }
    if settings.meaning.private.len() > MAX_RULES {
        return Err(invalid("`meaning.private` has at most 32 patterns"));
    }
    if settings.retention.len() > MAX_RULES {
        return Err(invalid("`retention` has at most 32 rules"));
    }
    let compaction = settings.compaction;
    let most = compaction.max_episodes;
    let fits = (1..=MAX_EPISODES).contains(&most)
        && (1..=most).contains(&u16::from(compaction.min_episodes))
        && compaction.max_strength <= 100;
    if fits {
        Ok(())
    } else {
        Err(invalid(
            "`compaction` has 1 to 256 `maxEpisodes`, no more `minEpisodes`, and a `maxStrength` of at most 100",
        ))
    }
}

fn invalid(what: &str) -> ApiError {
    ApiError::bad_request("INVALID_SETTING", format!("{what}."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_private_is_read_by_a_service_only_where_the_agent_says_so() {
        let of = |value| serde_json::from_value::<MeaningSettings>(value).unwrap();
        let covered =
            |wanted: &MeaningSettings, public| covers(wanted, "agent.memory.note", public).unwrap();
        let first = of(json!({}));
        assert!(covered(&first, true) && !covered(&first, false));
        let all = of(json!({ "private": ["agent.memory.*"] }));
        assert!(covered(&all, true) && covered(&all, false));
        let other = of(json!({ "public": false, "private": ["agent.memory.fact"] }));
        assert!(!covered(&other, true) && !covered(&other, false));
    }

    #[test]
    fn settings_that_cannot_be_carried_out_are_refused() {
        let of = |value: serde_json::Value| serde_json::from_value::<MemorySettings>(value);
        let code = |value| check(&of(value).unwrap()).map_err(|error| error.code.into_owned());
        assert_eq!(code(json!({})), Ok(()));
        let rule =
            |glob: &str| json!({ "retention": [{ "collection": glob, "deleteAfterDays": 1 }] });
        assert_eq!(code(rule("agent.memory.*")), Ok(()));
        for bad in [
            rule(""),
            rule("agent.*.x"),
            json!({ "compaction": { "maxEpisodes": 257 } }),
            json!({ "compaction": { "maxEpisodes": 0, "minEpisodes": 0 } }),
            json!({ "compaction": { "maxEpisodes": 4, "minEpisodes": 5 } }),
            json!({ "compaction": { "maxStrength": 101 } }),
            json!({ "meaning": { "private": ["*memory"] } }),
            json!({ "retention": vec![json!({ "collection": "a.b" }); 33] }),
        ] {
            assert_eq!(
                code(bad.clone()),
                Err("INVALID_SETTING".to_owned()),
                "{bad}"
            );
        }
        assert!(of(json!({ "retentoin": [] })).is_err());
    }
}
