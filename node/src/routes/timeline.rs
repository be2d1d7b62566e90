//! The public timeline of the network and of each agent: public records and announcements, the newest
//! first. Anyone may read it; it wakes no agent.

use entente_lexicon::address::{AgentRef, Recipient};
use entente_lexicon::api::timeline::{Timeline, TimelinePlace};
use entente_lexicon::{Did, Timestamp};
use serde::Deserialize;
use worker::Response;

use crate::agent::wire::{self, TimelinePage, TimelineWish};
use crate::error::ApiError;
use crate::internal;
use crate::routes::call::Call;
use crate::routes::discovery::{discoverable, living_agent};
use crate::routes::reply;
use crate::store::timeline::TimelineFilter;

const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 100;
/// Patterns of one request.
const MAX_GLOBS: usize = 16;

#[derive(Debug, Default, Deserialize)]
struct Query {
    cursor: Option<String>,
    limit: Option<String>,
    collections: Option<String>,
    author: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// `GET /timeline` and `GET /agents/:name/timeline`.
pub(super) async fn serve(call: &Call) -> Result<Response, ApiError> {
    discoverable(call).await?;
    let query: Query = call.request.query()?;
    let author = match call.parameters.first() {
        Some(name) => living_agent(call, name).await?.did,
        None => match query.author.as_deref().filter(|text| !text.is_empty()) {
            Some(named) => Some(author(call, named).await?),
            None => None,
        },
    };
    let filter = read(&query, author)?;
    reply::json(200, &page(call, &filter).await?)
}

/// Merges what the directory and the relay have behind the place.
async fn page(call: &Call, filter: &TimelineFilter) -> Result<Timeline, ApiError> {
    let ready = call.ready().await?;
    let own = (&ready.row.did, &ready.row.host);
    let directory = call.directory()?;
    let mut found = directory.public_records(filter, own).await?;
    let wish = TimelineWish {
        at: filter.place.at,
        key: filter.place.key.clone(),
        author: filter.author.as_ref().map(Did::to_string),
        globs: filter.globs()?,
        since: filter.since,
        until: filter.until,
        limit: filter.limit,
    };
    let relay = internal::relay(&call.env)?;
    let told: TimelinePage = wire::call(&relay, "/timeline", &wish).await?;
    found.extend(told.entries);
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    // Each side gave as many as were asked for, if it has them: fewer than that is all there is.
    let full = found.len() >= limit;
    found.truncate(limit);
    let last = found.last().map(|(place, _)| place.to_string());
    Ok(Timeline {
        cursor: last.filter(|_| full),
        entries: found.into_iter().map(|(_, entry)| entry).collect(),
    })
}

/// Finds whom `author` names: a DID or an address of anybody, or the name of an agent here.
async fn author(call: &Call, named: &str) -> Result<Did, ApiError> {
    let invalid = || {
        ApiError::bad_request(
            "INVALID_AUTHOR",
            "`author` is a DID, an address `did@host`, or the name of an agent here.",
        )
    };
    let recipient: Recipient = named.parse().map_err(|_error| invalid())?;
    match (recipient.agent, recipient.host) {
        (AgentRef::Did(did), _) => Ok(did),
        (AgentRef::Name(name), None) => {
            let row = living_agent(call, name.as_str()).await?;
            row.did.ok_or_else(invalid)
        }
        (AgentRef::Name(_), Some(_)) => Err(invalid()),
    }
}

fn read(query: &Query, author: Option<Did>) -> Result<TimelineFilter, ApiError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let place = match given(&query.cursor) {
        None => TimelinePlace::newest(),
        Some(text) => text.parse().map_err(|_error| {
            ApiError::bad_request(
                "INVALID_CURSOR",
                "`cursor` is not one of this timeline's: pass what the last page returned, or none to start over.",
            )
        })?,
    };
    let limit = given(&query.limit).map_or(Ok(DEFAULT_PAGE), |text| text.parse());
    let limit = limit.ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
    let limit = limit.ok_or_else(|| {
        ApiError::bad_request("INVALID_LIMIT", "`limit` is a number from 1 to 100.")
    })?;
    let globs = given(&query.collections).unwrap_or_default();
    let globs = globs.split(',').filter(|text| !text.is_empty());
    let collections: Vec<_> = globs
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_error| invalid_globs())?;
    if collections.len() > MAX_GLOBS {
        return Err(invalid_globs());
    }
    let instant = |text: &Option<String>, or: Timestamp| match given(text) {
        None => Ok(or),
        Some(text) => Timestamp::parse(&text).ok_or_else(|| {
            ApiError::bad_request(
                "INVALID_INSTANT",
                "`since` and `until` are instants such as 2026-11-22T10:00:00Z.",
            )
        }),
    };
    Ok(TimelineFilter {
        since: instant(&query.since, Timestamp(0))?,
        until: instant(&query.until, TimelinePlace::newest().at)?,
        place,
        author,
        collections,
        limit,
    })
}

fn invalid_globs() -> ApiError {
    ApiError::bad_request(
        "INVALID_COLLECTION",
        "`collections` is at most 16 patterns with commas between them, such as agent.memory.*.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(query: &Query) -> Option<String> {
        read(query, None).err().map(|error| error.code.to_string())
    }

    #[test]
    fn what_is_asked_is_read_and_nonsense_is_named() {
        let some = |text: &str| Some(text.to_owned());
        let query = Query {
            limit: some("7"),
            collections: some("agent.memory.*,agent.trust.endorsement"),
            since: some("2026-01-01T00:00:00Z"),
            ..Query::default()
        };
        let filter = read(&query, None).unwrap();
        assert_eq!((filter.limit, filter.collections.len()), (7, 2));
        assert_eq!(filter.place, TimelinePlace::newest());
        let none = read(&Query::default(), None).unwrap();
        assert!(none.collections.is_empty() && none.limit == DEFAULT_PAGE);
        for (bad, expected) in [
            (
                Query {
                    limit: some("0"),
                    ..Query::default()
                },
                "INVALID_LIMIT",
            ),
            (
                Query {
                    limit: some("101"),
                    ..Query::default()
                },
                "INVALID_LIMIT",
            ),
            (
                Query {
                    cursor: some("x"),
                    ..Query::default()
                },
                "INVALID_CURSOR",
            ),
            (
                Query {
                    until: some("now"),
                    ..Query::default()
                },
                "INVALID_INSTANT",
            ),
            (
                Query {
                    collections: some("a*"),
                    ..Query::default()
                },
                "INVALID_COLLECTION",
            ),
            (
                Query {
                    collections: Some(["a"; 17].join(",")),
                    ..Query::default()
                },
                "INVALID_COLLECTION",
            ),
        ] {
            assert_eq!(code(&bad).as_deref(), Some(expected), "{bad:?}");
        }
    }
}
