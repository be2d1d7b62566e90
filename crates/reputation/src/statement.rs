//! How an endorsement travels: what its author's announcement says of a record of its public repo.

use entente_lexicon::records::Endorsement;
use entente_lexicon::schema;
use entente_lexicon::{Content, Did, RecordPath, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The collection of endorsements, of records and of the announcements that tell of them.
pub const COLLECTION: &str = "agent.trust.endorsement";
/// A word may be so much ahead of the clock here, in milliseconds: clocks differ.
pub const MAX_AHEAD_MS: u64 = 90_000;
/// What was said longer ago than this, in milliseconds, is not taken any more: 30 days, as long as
/// announcements are kept. That something was withdrawn is remembered for longer.
pub const MAX_TRAVEL_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// What an announcement says of an endorsement.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Where the record is, or was: a path in its author's public repo.
    pub path: RecordPath,
    /// What is said of it.
    pub said: Said,
}

/// What is said of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// It is there and says this.
    Given(Box<Given>),
    /// It is not public any more.
    Withdrawn,
}

/// An endorsement as it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The CID that it must have. That it has it, the caller checks.
    pub cid: String,
    /// The record, which is what its Lexicon says.
    pub record: Map<String, Value>,
    /// What of it counts.
    pub endorsement: Endorsement,
}

/// Why an announcement says nothing of an endorsement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// It is not in the form, or its record is none of the type.
    #[error("the announcement tells of no endorsement")]
    Malformed,
    /// The record would be in the repo of another than its author.
    #[error("an agent announces endorsements of its own repo alone")]
    OtherAuthor,
    /// It was said later than now, or too long ago.
    #[error("an endorsement is announced when it is given: 30 days old at most, and not ahead")]
    Untimely,
}

impl StatementError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "ENDORSEMENT_MALFORMED",
            Self::OtherAuthor => "ENDORSEMENT_OTHER_AUTHOR",
            Self::Untimely => "ENDORSEMENT_UNTIMELY",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<Map<String, Value>>,
}

impl Statement {
    /// Says that a record is public.
    ///
    /// # Errors
    /// Never, for what JSON can hold.
    pub fn give(
        author: &Did,
        path: &RecordPath,
        cid: String,
        record: Map<String, Value>,
    ) -> Result<Content, serde_json::Error> {
        content(&Wire {
            uri: format!("at://{author}/{path}"),
            cid: Some(cid),
            record: Some(record),
        })
    }

    /// Says that a record is not public any more.
    ///
    /// # Errors
    /// As [`Statement::give`].
    pub fn withdraw(author: &Did, path: &RecordPath) -> Result<Content, serde_json::Error> {
        content(&Wire {
            uri: format!("at://{author}/{path}"),
            cid: None,
            record: None,
        })
    }

    /// Reads what `author` announced `at`, as it is `now`. That the announcement is the author's, and
    /// that the record has its CID, the caller knows.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn read(
        (author, at): (&Did, Timestamp),
        content: Content,
        now: Timestamp,
    ) -> Result<Self, StatementError> {
        if at.since(now) > MAX_AHEAD_MS || now.since(at) > MAX_TRAVEL_MS {
            return Err(StatementError::Untimely);
        }
        let Content::Json { data } = content else {
            return Err(StatementError::Malformed);
        };
        let wire: Wire =
            serde_json::from_value(data).map_err(|_error| StatementError::Malformed)?;
        let place = wire.uri.strip_prefix("at://");
        let (did, path) = place
            .and_then(|place| place.split_once('/'))
            .ok_or(StatementError::Malformed)?;
        if did != author.as_str() {
            return Err(StatementError::OtherAuthor);
        }
        let path = RecordPath::parse(path).map_err(|_error| StatementError::Malformed)?;
        if path.collection().as_str() != COLLECTION {
            return Err(StatementError::Malformed);
        }
        let said = match (wire.cid, wire.record) {
            (None, None) => Said::Withdrawn,
            (Some(cid), Some(record)) => Said::Given(Box::new(given(cid, record)?)),
            (Some(_), None) | (None, Some(_)) => return Err(StatementError::Malformed),
        };
        Ok(Self { path, said })
    }
}

fn content(wire: &Wire) -> Result<Content, serde_json::Error> {
    let data = serde_json::to_value(wire)?;
    Ok(Content::Json { data })
}

fn given(cid: String, record: Map<String, Value>) -> Result<Given, StatementError> {
    let value = Value::Object(record);
    let checked = schema::lexicons().validate_in(COLLECTION, &value);
    let _kind = checked.map_err(|_fault| StatementError::Malformed)?;
    let read = Endorsement::of(&value).map_err(|_error| StatementError::Malformed)?;
    let Value::Object(record) = value else {
        return Err(StatementError::Malformed);
    };
    Ok(Given {
        cid,
        record,
        endorsement: read,
    })
}
