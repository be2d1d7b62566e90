//! Finding records: SQLite matches blinded words, vectors tell what is near, and only what they find is
//! opened.
//!
//! Private and public records have tables and keys of their own: whoever publishes a known text
//! must learn nothing of the words of private ones. See `entente_memory::search`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use entente_lexicon::api::memory::{SearchHit, SearchResult};
use entente_lexicon::records::MemoryFields;
use entente_lexicon::{RecordPath, Timestamp};
use entente_memory::life::Validity;
use entente_memory::repo::Cid;
use entente_memory::search::Index;
use entente_memory::search::filter::{Filter, SourceFilter, Traits};
use entente_memory::search::hybrid::Fusion;
use entente_memory::search::rank::Ranking;
use entente_trust::crypto::hash::sha256;
use entente_trust::memory::blind::{BlindKey, BlindRoot, Space};
use serde::Deserialize;
use serde_json::{Map, Value};
use worker::console_warn;

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::life::Shown;
use crate::agent::memory::query::{cursor_in, foreign_cursor, limit, place_in};
use crate::agent::memory::records::object;
use crate::agent::memory::store::StoredRecord;
use crate::agent::read::given;
use crate::error::ApiError;
use crate::internal;

/// Where the sealed root of all blinding is kept.
const ROOT: &str = "blind-root";
/// Hits of each space that are opened and ranked for one answer: the best by their words alone, and
/// page by page the next best.
const WINDOW: u32 = 400;
/// The longest text to look for.
const MAX_QUERY_BYTES: usize = 4_096;

/// The indexes of this agent, by space.
pub(super) struct Indexes {
    private: Index,
    public: Index,
    links: BlindKey,
}

impl Indexes {
    /// Blinds the path of a record, by which others name it.
    pub(super) fn path(&self, path: &RecordPath) -> String {
        self.links.token(&format!("path {path}"))
    }

    /// Makes a name that tells nobody else what it names.
    pub(super) fn named(&self, what: &str) -> String {
        self.links.token(&format!("name {what}"))
    }

    /// Blinds the CID of a record, by which others name it.
    pub(super) fn cid(&self, cid: &Cid) -> String {
        self.links.token(&format!("cid {cid}"))
    }

    fn of(&self, space: Space) -> &Index {
        match space {
            Space::Private => &self.private,
            Space::Public => &self.public,
        }
    }
}

/// The query of a search.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SearchQuery {
    q: Option<String>,
    collection: Option<String>,
    since: Option<String>,
    until: Option<String>,
    valid_at: Option<String>,
    source: Option<String>,
    mode: Option<String>,
    state: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
}

impl Core {
    /// Returns what blinds words and the names of records.
    pub(super) fn indexes(&self, me: &Me) -> Result<Rc<Indexes>, ApiError> {
        if let Some(indexes) = self.memory.indexes.borrow().as_ref() {
            return Ok(Rc::clone(indexes));
        }
        let ring = me.storage_ring();
        let root = match self.store.meta(ROOT)? {
            Some(sealed) => BlindRoot::open(&ring, &me.did, &sealed).map_err(ApiError::internal)?,
            None => {
                let rng = &mut internal::rng();
                let root = BlindRoot::generate(rng);
                self.store.set_meta(ROOT, &root.seal(&ring, &me.did, rng))?;
                root
            }
        };
        let indexes = Rc::new(Indexes {
            private: Index::new(root.space(Space::Private)),
            public: Index::new(root.space(Space::Public)),
            links: root.links(),
        });
        self.memory.indexes.replace(Some(Rc::clone(&indexes)));
        Ok(indexes)
    }

    /// Makes a record findable as it is now, and by nothing that it was. Part of the write's
    /// transaction.
    pub(super) fn index(
        &self,
        me: &Me,
        record: &StoredRecord,
        value: &Map<String, Value>,
    ) -> Result<(), ApiError> {
        self.keep_life(me, record, value)?;
        // A first version can be found by nothing yet.
        if record.version > 1 {
            if self.memory.store.life(record.n)?.stale_since.is_some() {
                return Ok(());
            }
            self.memory.store.unindex(record.n)?;
        }
        let space = space_of(record);
        let tokens = self.indexes(me)?.of(space).tokens(&words(value));
        self.want_vector(me, record)?;
        self.memory.store.keep_tokens(space, record.n, &tokens)?;
        Ok(())
    }

    /// Finds records by words, by meaning or both, the best first.
    pub(super) async fn search(&self, query: &SearchQuery) -> Result<SearchResult, ApiError> {
        let me = self.identity()?;
        let (mut asked, named) = self.asked(&me, query)?;
        let near = match asked.mode {
            Mode::Words => Vec::new(),
            Mode::Meaning | Mode::Hybrid => match self.near(&me, &asked.text).await {
                Ok(near) => near,
                Err(error) if named => return Err(error),
                Err(error) => {
                    // Nobody asked for it, and words find without it.
                    console_warn!("a search goes by words alone: {error}");
                    asked.mode = Mode::Words;
                    Vec::new()
                }
            },
        };
        let (found, more) = match asked.mode {
            Mode::Words => self.candidates(&me, &asked)?,
            Mode::Meaning | Mode::Hybrid => self.fused(&me, &asked, near)?,
        };
        let mut hits = Vec::new();
        let (found, relevance): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let claimed = self.claimed(&me, &found)?;
        for (record, relevance) in found.iter().zip(relevance) {
            let hit = self.hit((&me, &asked, &claimed), record, relevance)?;
            hits.extend(hit.map(|hit| (record.n, hit)));
        }
        hits.sort_by(|a, b| b.1.score.total_cmp(&a.1.score));
        let Place { window, offset } = asked.place;
        let page = hits.len().saturating_sub(offset);
        let next = if page > asked.most {
            Some(Place {
                window,
                offset: offset.saturating_add(asked.most),
            })
        } else {
            more.then(|| Place {
                window: window.saturating_add(1),
                offset: 0,
            })
        };
        let hits = hits.into_iter().skip(offset).take(asked.most);
        let hits = hits.map(|(n, hit)| {
            self.was_read(n);
            hit
        });
        Ok(SearchResult {
            hits: hits.collect(),
            mode: asked.mode.name().to_owned(),
            cursor: next.map(|next| cursor_in(&me, &asked.list, next.number())),
        })
    }

    /// Reads a query; says whether it names its mode.
    fn asked(&self, me: &Me, query: &SearchQuery) -> Result<(Asked, bool), ApiError> {
        let mode = match given(&query.mode) {
            Some(text) => Some(Mode::parse(text)?),
            None => None,
        };
        let chosen = match mode {
            Some(mode) => mode,
            None if self.means_by_default()? => Mode::Hybrid,
            None => Mode::Words,
        };
        Ok((query.read(me, chosen, internal::now())?, mode.is_some()))
    }

    /// As [`Core::candidates`], by meaning, and by words as well where both are asked for. Here all that
    /// was found is ordered before a window is cut out.
    fn fused(
        &self,
        me: &Me,
        asked: &Asked,
        near: Vec<(u64, f64)>,
    ) -> Result<(Vec<(StoredRecord, f64)>, bool), ApiError> {
        let indexes = self.indexes(me)?;
        let mut ordered = near;
        if asked.mode == Mode::Hybrid {
            let mut found = Vec::new();
            for space in [Space::Private, Space::Public] {
                if let Some(expression) = indexes.of(space).query(&asked.text) {
                    found.extend(
                        self.memory
                            .store
                            .matching_places(space, expression.as_str())?,
                    );
                }
            }
            ordered = Fusion::default().fuse(&found, &ordered);
        }
        if !asked.shown.archive() {
            let archived = self.memory.store.archived()?;
            ordered.retain(|(n, _relevance)| !archived.contains(n));
        }
        let size = usize::try_from(WINDOW).unwrap_or(usize::MAX);
        let skip = size.saturating_mul(usize::try_from(asked.place.window).unwrap_or(usize::MAX));
        let more = ordered.len() > skip.saturating_add(size);
        let window: BTreeMap<u64, f64> = ordered.into_iter().skip(skip).take(size).collect();
        let places: Vec<u64> = window.keys().copied().collect();
        let records = self.memory.store.by_places(&places)?.into_iter();
        let relevance = |n: u64| window.get(&n).copied().unwrap_or_default().max(0.0);
        let found = records.map(|record| {
            let relevance = relevance(record.n);
            (record, relevance)
        });
        Ok((found.collect(), more))
    }

    /// Returns what one window of hits consists of, and whether there is another one after it. What
    /// FTS5 finds is ordered by relevance alone; only within a window does the rest of the rank count.
    fn candidates(
        &self,
        me: &Me,
        asked: &Asked,
    ) -> Result<(Vec<(StoredRecord, f64)>, bool), ApiError> {
        let indexes = self.indexes(me)?;
        let skip = asked.place.window.saturating_mul(WINDOW);
        let (mut found, mut more) = (Vec::new(), false);
        for space in [Space::Private, Space::Public] {
            let Some(expression) = indexes.of(space).query(&asked.text) else {
                continue;
            };
            let query = (space, expression.as_str());
            let archive = asked.shown.archive();
            let matching = self.memory.store.matching(query, archive, (skip, WINDOW))?;
            more |= matching.len() >= usize::try_from(WINDOW).unwrap_or(usize::MAX);
            found.extend(matching);
        }
        Ok((found, more))
    }

    /// Opens what was found, and ranks it; nothing if it is not what was asked for.
    fn hit(
        &self,
        (me, asked, claimed): (&Me, &Asked, &BTreeSet<u64>),
        record: &StoredRecord,
        relevance: f64,
    ) -> Result<Option<SearchHit>, ApiError> {
        let value = object(&self.plain(me, record)?)?;
        let Ok(fields) = MemoryFields::deserialize(&value) else {
            return Ok(None);
        };
        let traits = Traits {
            collection: record.path.collection().as_str(),
            written: fields.created_at.unwrap_or(record.created_at),
            validity: Validity::new(fields.valid_from, fields.valid_to).unwrap_or_default(),
            source: fields.source.as_ref(),
        };
        if !asked.filter.passes(&traits) {
            return Ok(None);
        }
        let standing = self.standing(me, record, &value, (asked.shown.at, Some(claimed)))?;
        if !asked.shown.admits(&standing) {
            return Ok(None);
        }
        let known = self.ranked_as(me, record, &value, &standing.life);
        Ok(Some(SearchHit {
            score: Ranking::default().of(relevance, &known, asked.now),
            record: self.view_as(me, record, value, &standing)?,
        }))
    }
}

/// By what records are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Words,
    Meaning,
    Hybrid,
}

impl Mode {
    fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "words" => Ok(Self::Words),
            "meaning" => Ok(Self::Meaning),
            "hybrid" => Ok(Self::Hybrid),
            _ => Err(ApiError::bad_request(
                "INVALID_MODE",
                "`mode` is words, meaning or hybrid.",
            )),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Meaning => "meaning",
            Self::Hybrid => "hybrid",
        }
    }
}

/// Where a page of hits begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    window: u32,
    offset: usize,
}

impl Place {
    fn number(self) -> u64 {
        let offset = u64::try_from(self.offset).unwrap_or(u64::MAX);
        (u64::from(self.window) << 32) | offset.min(u64::from(u32::MAX))
    }

    fn of(number: u64) -> Self {
        let [high, low] = [number >> 32, number & u64::from(u32::MAX)];
        Self {
            window: u32::try_from(high).unwrap_or(u32::MAX),
            offset: usize::try_from(low).unwrap_or(usize::MAX),
        }
    }
}

/// A query that was checked.
struct Asked {
    text: String,
    most: usize,
    filter: Filter,
    shown: Shown,
    mode: Mode,
    place: Place,
    /// What its cursors are good for.
    list: [u8; 32],
    now: Timestamp,
}

impl SearchQuery {
    fn read(&self, me: &Me, mode: Mode, now: Timestamp) -> Result<Asked, ApiError> {
        let text = given(&self.q).ok_or_else(|| {
            ApiError::bad_request("INVALID_QUERY", "`q` is what to look for: ?q=harbour.")
        })?;
        if text.len() > MAX_QUERY_BYTES {
            return Err(ApiError::bad_request(
                "INVALID_QUERY",
                "`q` is at most 4,096 bytes long.",
            ));
        }
        let valid_at = instant("validAt", given(&self.valid_at))?;
        let list = sha256(&[b"search ", mode.name().as_bytes(), b" ", text.as_bytes()]);
        let place = match given(&self.cursor) {
            None => Place::default(),
            Some(text) => Place::of(place_in(me, &list, text).ok_or_else(foreign_cursor)?),
        };
        Ok(Asked {
            text: text.to_owned(),
            most: usize::try_from(limit(given(&self.limit))?).unwrap_or(usize::MAX),
            filter: self.filter()?,
            shown: Shown::read(given(&self.state), valid_at, now)?,
            mode,
            place,
            list,
            now,
        })
    }

    fn filter(&self) -> Result<Filter, ApiError> {
        let collection = given(&self.collection).map(str::parse).transpose();
        let collection = collection.map_err(|_error| {
            ApiError::bad_request(
                "INVALID_COLLECTION",
                "`collection` is a name or a pattern such as agent.memory.*.",
            )
        })?;
        let source = given(&self.source).map(|text| {
            let (kind, id) = match text.split_once(':') {
                Some((kind, id)) => (kind, Some(id.to_owned())),
                None => (text, None),
            };
            SourceFilter {
                kind: kind.to_owned(),
                id,
            }
        });
        Ok(Filter {
            collections: collection.into_iter().collect(),
            since: instant("since", given(&self.since))?,
            until: instant("until", given(&self.until))?,
            valid_at: None,
            sources: source.into_iter().collect(),
        })
    }
}

pub(super) fn instant(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    Timestamp::parse(text).map(Some).ok_or_else(|| {
        ApiError::bad_request(
            "INVALID_INSTANT",
            format!("`{name}` is an instant such as 2030-01-01T00:00:00Z."),
        )
    })
}

fn space_of(record: &StoredRecord) -> Space {
    if record.level.is_sealed() {
        Space::Private
    } else {
        Space::Public
    }
}

/// Everything in a record that a person would look for: its texts, whatever their fields, but not
/// what names other things.
pub(super) fn words(record: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (name, value) in record {
        if !is_name(name) {
            gather(value, &mut text);
        }
    }
    text
}

fn gather(value: &Value, text: &mut String) {
    match value {
        Value::String(words) => {
            text.push_str(words);
            text.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, text)),
        Value::Object(map) => map
            .iter()
            .filter(|(name, _value)| !is_name(name))
            .for_each(|(_name, value)| gather(value, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a field holds a name, an instant or bytes rather than words.
fn is_name(field: &str) -> bool {
    field.starts_with('$')
        || matches!(
            field,
            "createdAt"
                | "validFrom"
                | "validTo"
                | "supersedes"
                | "derivedFrom"
                | "source"
                | "covers"
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_what_a_person_wrote() {
        let record = json!({
            "$type": "agent.memory.decision",
            "text": "we moor at the north pier",
            "tags": ["harbour", "plans"],
            "createdAt": "2026-01-01T00:00:00Z",
            "source": { "kind": "message", "id": "abc" },
            "alternatives": [{ "title": "south pier", "$link": "bafy" }],
            "importance": 80,
        });
        let Value::Object(map) = record else {
            panic!("an object");
        };
        let mut found: Vec<_> = words(&map).lines().map(str::to_owned).collect();
        found.sort();
        assert_eq!(
            found,
            [
                "harbour",
                "plans",
                "south pier",
                "we moor at the north pier"
            ]
        );
    }
}
