//! Compaction: episodes that have faded roll up into a summary that keeps their CIDs, and go to the
//! archive. The summary is the caller's, or the sentences that say most.

use std::collections::BTreeSet;

use entente_lexicon::api::life::{
    Compact, Compacted, CompactionPlan, CompactionSettings, Covered, RollupView,
};
use entente_lexicon::records::{MemoryFields, Source};
use entente_lexicon::{Nsid, Timestamp};
use entente_memory::life::compaction::{BadSummary, Episode, Policy, Rollup, plan};
use entente_memory::life::decay::Decay;
use entente_memory::life::extract::Extract;
use entente_memory::repo::Cid;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::life_store::Link;
use crate::agent::memory::query::{cursor, foreign_cursor, place_of};
use crate::agent::memory::records::{Checked, object};
use crate::agent::memory::store::StoredRecord;
use crate::agent::memory::{id_of, path_of};
use crate::agent::read::given;
use crate::error::ApiError;
use crate::internal;

const EPISODE: &str = "agent.memory.episode";
const SUMMARY: &str = "agent.memory.summary";
/// Episodes that one plan looks at.
const MAX_OPENED: u32 = 500;
/// Summaries that one call makes by itself.
const MAX_SUMMARIES: usize = 8;
/// What the source of an extract says.
const EXTRACT: (&str, &str) = ("tool", "extract");

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Episodes as they are opened for a plan, by CID.
struct Opened {
    record: StoredRecord,
    text: String,
    importance: u8,
}

/// What a plan was made of.
struct Due {
    rollups: Vec<Rollup>,
    episodes: Vec<Opened>,
    /// The place of the last episode that was looked at; none when there are no more.
    last: Option<u64>,
}

impl Core {
    /// Shows which episodes one summary each would cover.
    pub(super) fn compaction_plan(&self, after: Option<&str>) -> Result<CompactionPlan, ApiError> {
        let me = self.identity()?;
        let due = self.due(&me, place(&me, after)?, self.settings()?.compaction)?;
        let view = |rollup: &Rollup| RollupView {
            thread: rollup.thread.clone(),
            covers: due
                .of(rollup)
                .map(|one| Covered {
                    id: id_of(&one.record.path),
                    cid: one.record.cid.to_string(),
                })
                .collect(),
            from: rollup.from,
            to: rollup.to,
        };
        Ok(CompactionPlan {
            rollups: due.rollups.iter().map(view).collect(),
            cursor: due.last.map(|last| cursor(&me, last)),
        })
    }

    /// Stores summaries, and puts what they cover into the archive: each with its episodes in one
    /// transaction. Sent again, finds what was stored.
    pub(super) fn compact(&self, request: &Compact) -> Result<Compacted, ApiError> {
        let me = self.identity()?;
        if request.covers.is_empty() {
            if request.text.is_some() {
                return Err(incomplete());
            }
            let after = place(&me, given(&request.cursor))?;
            return self.compact_due(&me, after);
        }
        let covers = request.covers.iter();
        let covers = covers.map(|one| self.known(&path_of(&one.id)?, Some(&one.cid)));
        let records = covers.collect::<Result<Vec<_>, _>>()?;
        if let Some(before) = self.summary_of(&me, &records)? {
            return Ok(Compacted {
                summaries: vec![self.view(&me, &before)?],
                cursor: None,
            });
        }
        let settings = self.settings()?.compaction;
        let due = self.due_of(&me, records, settings, None)?;
        let cids: Vec<Cid> = due.episodes.iter().map(|one| one.record.cid).collect();
        let planned = due.rollups.first().filter(|_first| due.rollups.len() == 1);
        let planned = planned.ok_or_else(incomplete)?;
        planned.accepts(&cids).map_err(refused)?;
        let stored = self.sum_up(&me, planned, &due, request.text.as_deref())?;
        Ok(Compacted {
            summaries: vec![self.view(&me, &stored)?],
            cursor: None,
        })
    }

    fn compact_due(&self, me: &Me, after: u64) -> Result<Compacted, ApiError> {
        let due = self.due(me, after, self.settings()?.compaction)?;
        let mut summaries = Vec::new();
        for rollup in due.rollups.iter().take(MAX_SUMMARIES) {
            let stored = self.sum_up(me, rollup, &due, None)?;
            summaries.push(self.view(me, &stored)?);
        }
        let left = due.rollups.len() > MAX_SUMMARIES;
        let next = if left { Some(after) } else { due.last };
        Ok(Compacted {
            summaries,
            cursor: next.map(|next| cursor(me, next)),
        })
    }

    /// Goes on by itself from a place. Returns where the next call begins; nothing after the last.
    pub(super) fn compact_some(&self, me: &Me, after: u64) -> Result<Option<u64>, ApiError> {
        let due = self.due(me, after, self.settings()?.compaction)?;
        for rollup in due.rollups.iter().take(MAX_SUMMARIES) {
            self.sum_up(me, rollup, &due, None)?;
        }
        let left = due.rollups.len() > MAX_SUMMARIES;
        Ok(if left { Some(after) } else { due.last })
    }

    fn due(&self, me: &Me, after: u64, settings: CompactionSettings) -> Result<Due, ApiError> {
        let records = self.memory.store.episodes(after, MAX_OPENED)?;
        let whole = records.len() >= usize::try_from(MAX_OPENED).unwrap_or(usize::MAX);
        let last = records.last().filter(|_last| whole).map(|last| last.n);
        self.due_of(me, records, settings, last)
    }

    fn due_of(
        &self,
        me: &Me,
        records: Vec<StoredRecord>,
        settings: CompactionSettings,
        last: Option<u64>,
    ) -> Result<Due, ApiError> {
        let mut covered = BTreeSet::new();
        let (mut known, mut episodes) = (Vec::new(), Vec::new());
        for record in records {
            let value = object(&self.plain(me, &record)?)?;
            let Ok(fields) = MemoryFields::deserialize(&value) else {
                continue;
            };
            if record.path.collection().as_str() != EPISODE {
                return Err(incomplete());
            }
            if self.memory.store.is_covered(&self.names_of(me, &record)?)? {
                covered.insert(record.cid);
            }
            let life = self.memory.store.life(record.n)?;
            known.push(Episode {
                memory: self.ranked_as(me, &record, &value, &life),
                thread: thread(fields.source.as_ref()),
            });
            episodes.push(Opened {
                record,
                text: fields.text,
                importance: fields.importance,
            });
        }
        Ok(Due {
            rollups: plan(&known, &covered, &policy(settings), internal::now()),
            episodes,
            last,
        })
    }

    fn sum_up(
        &self,
        me: &Me,
        rollup: &Rollup,
        due: &Due,
        text: Option<&str>,
    ) -> Result<StoredRecord, ApiError> {
        let now = internal::now();
        let covered: Vec<&Opened> = due.of(rollup).collect();
        let checked = self.summary(rollup, &covered, text, now)?;
        self.check_room(checked.plain.len())?;
        self.memory.store.transaction(|| {
            let stored = self.insert_record(me, &checked, None, now)?;
            for one in &covered {
                self.memory.store.archive(one.record.n, now)?;
            }
            Ok(stored)
        })
    }

    fn summary(
        &self,
        rollup: &Rollup,
        covered: &[&Opened],
        text: Option<&str>,
        now: Timestamp,
    ) -> Result<Checked, ApiError> {
        let links = covered.iter().map(|one| one.record.cid);
        let mut value = Map::new();
        value.insert("covers".to_owned(), cid_links(links));
        let period = json!({ "from": rollup.from.to_string(), "to": rollup.to.to_string() });
        value.insert("period".to_owned(), period);
        let importance = covered.iter().map(|one| one.importance).max();
        value.insert("importance".to_owned(), json!(importance.unwrap_or(50)));
        let text = match text {
            Some(text) => text.to_owned(),
            None => {
                value.insert("source".to_owned(), extracted());
                let texts: Vec<_> = covered.iter().map(|one| one.text.as_str()).collect();
                Extract::default().of(&texts)
            }
        };
        value.insert("text".to_owned(), Value::String(text));
        let collection = Nsid::parse(SUMMARY).map_err(ApiError::internal)?;
        self.check(Some(collection), None, Value::Object(value), now)
    }

    /// Finds the summary of exactly these records.
    fn summary_of(
        &self,
        me: &Me,
        records: &[StoredRecord],
    ) -> Result<Option<StoredRecord>, ApiError> {
        let Some(first) = records.first() else {
            return Ok(None);
        };
        let wanted: BTreeSet<Cid> = records.iter().map(|record| record.cid).collect();
        let names = self.names_of(me, first)?;
        for candidate in self.memory.store.naming(Link::MadeFrom, &names)? {
            if candidate.path.collection().as_str() != SUMMARY {
                continue;
            }
            let (known, _value) = self.opened(me, &candidate)?;
            let from = known.map(|known| known.derived_from).unwrap_or_default();
            if from.into_iter().collect::<BTreeSet<_>>() == wanted {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    /// Makes the text of an extract anew, of those of its sources that are still there. Nothing if
    /// there are none, or if somebody wrote it.
    pub(super) fn extract_again(
        &self,
        me: &Me,
        value: &Map<String, Value>,
        sources: &[StoredRecord],
        now: Timestamp,
    ) -> Result<Option<Map<String, Value>>, ApiError> {
        if sources.is_empty() || value.get("source") != Some(&extracted()) {
            return Ok(None);
        }
        let mut texts = Vec::new();
        for source in sources {
            let (_known, value) = self.opened(me, source)?;
            let text = value.get("text").and_then(Value::as_str);
            texts.push(text.unwrap_or_default().to_owned());
        }
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let mut value = value.clone();
        value.insert("text".to_owned(), json!(Extract::default().of(&texts)));
        value.insert(
            "covers".to_owned(),
            cid_links(sources.iter().map(|source| source.cid)),
        );
        value.insert("createdAt".to_owned(), json!(now.to_string()));
        Ok(Some(value))
    }
}

impl Due {
    fn of<'a>(&'a self, rollup: &'a Rollup) -> impl Iterator<Item = &'a Opened> {
        let covers: BTreeSet<&Cid> = rollup.covers.iter().collect();
        self.episodes
            .iter()
            .filter(move |one| covers.contains(&one.record.cid))
    }
}

fn cid_links(cids: impl Iterator<Item = Cid>) -> Value {
    cids.map(|cid| json!({ "$link": cid.to_string() }))
        .collect()
}

fn extracted() -> Value {
    let (kind, id) = EXTRACT;
    json!({ "kind": kind, "id": id })
}

/// What an episode belongs to: where it came from.
fn thread(source: Option<&Source>) -> String {
    match source {
        Some(Source { kind, id: Some(id) }) => format!("{kind}:{id}"),
        Some(Source { kind, id: None }) => kind.clone(),
        None => String::new(),
    }
}

fn policy(settings: CompactionSettings) -> Policy {
    Policy {
        min_age_ms: u64::from(settings.min_age_days).saturating_mul(DAY_MS),
        max_strength: f64::from(settings.max_strength) / 100.0,
        decay: Decay::default(),
        min_episodes: usize::from(settings.min_episodes),
        max_episodes: usize::from(settings.max_episodes),
    }
}

fn place(me: &Me, text: Option<&str>) -> Result<u64, ApiError> {
    let Some(text) = text else { return Ok(0) };
    place_of(me, text).ok_or_else(foreign_cursor)
}

fn incomplete() -> ApiError {
    refused(BadSummary)
}

fn refused(error: BadSummary) -> ApiError {
    ApiError::bad_request(
        error.code(),
        "`covers` is exactly what one rollup of GET …/memory/compaction lists, each with its id and CID; `text` goes with it.",
    )
}
