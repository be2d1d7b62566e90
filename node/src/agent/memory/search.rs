//! Finding records: SQLite matches blinded words, and only what it finds is opened.
//!
//! Private and public records have tables and keys of their own: whoever publishes a known text
//! must learn nothing of the words of private ones. See `entente_memory::search`.

use std::rc::Rc;

use entente_lexicon::Timestamp;
use entente_lexicon::api::memory::{SearchHit, SearchResult};
use entente_lexicon::records::MemoryFields;
use entente_memory::life::Validity;
use entente_memory::search::Index;
use entente_memory::search::filter::{Filter, SourceFilter, Traits};
use entente_memory::search::rank::{Importance, Ranking};
use entente_trust::memory::blind::{BlindRoot, Space};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::query::limit;
use crate::agent::memory::store::StoredRecord;
use crate::agent::read::given;
use crate::error::ApiError;
use crate::internal;

/// Where the sealed root of all blinding is kept.
const ROOT: &str = "blind-root";
/// Hits that are opened and ranked for one answer: the best by their words alone.
const MAX_OPENED: u32 = 400;
/// The longest text to look for.
const MAX_QUERY_BYTES: usize = 4_096;

/// The indexes of this agent, by space.
pub(super) struct Indexes {
    private: Index,
    public: Index,
}

impl Indexes {
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
    limit: Option<String>,
}

impl Core {
    fn indexes(&self, me: &Me) -> Result<Rc<Indexes>, ApiError> {
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
        let space = space_of(record);
        let tokens = self.indexes(me)?.of(space).tokens(&words(value));
        self.memory.store.unindex(record.n)?;
        self.memory.store.keep_tokens(space, record.n, &tokens)?;
        Ok(())
    }

    /// Finds records by words, the best first.
    pub(super) fn search(&self, query: &SearchQuery) -> Result<SearchResult, ApiError> {
        let me = self.identity()?;
        let text = given(&query.q).ok_or_else(|| {
            ApiError::bad_request("INVALID_QUERY", "`q` is what to look for: ?q=harbour.")
        })?;
        if text.len() > MAX_QUERY_BYTES {
            return Err(ApiError::bad_request(
                "INVALID_QUERY",
                "`q` is at most 4,096 bytes long.",
            ));
        }
        let most = limit(given(&query.limit))?;
        let filter = query.filter()?;
        let indexes = self.indexes(&me)?;
        let (now, ranking) = (internal::now(), Ranking::default());
        let mut hits = Vec::new();
        for space in [Space::Private, Space::Public] {
            let Some(expression) = indexes.of(space).query(text) else {
                continue;
            };
            let found = self
                .memory
                .store
                .matching(space, expression.as_str(), MAX_OPENED)?;
            for (record, relevance) in found {
                let view = self.view(&me, &record)?;
                let Ok(fields) = MemoryFields::of(&view.record) else {
                    continue;
                };
                let written = fields.created_at.unwrap_or(record.created_at);
                let traits = Traits {
                    collection: record.path.collection().as_str(),
                    written,
                    validity: Validity::new(fields.valid_from, fields.valid_to).unwrap_or_default(),
                    source: fields.source.as_ref(),
                };
                if !filter.passes(&traits) {
                    continue;
                }
                let importance = Importance::of_hundred(fields.importance);
                let score = ranking.score(relevance, importance, written, now);
                hits.push(SearchHit {
                    record: view,
                    score,
                });
            }
        }
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(SearchResult { hits })
    }
}

impl SearchQuery {
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
            valid_at: instant("validAt", given(&self.valid_at))?,
            sources: source.into_iter().collect(),
        })
    }
}

fn instant(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, ApiError> {
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
fn words(record: &Map<String, Value>) -> String {
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
