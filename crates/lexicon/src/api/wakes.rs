//! Filters that wake an agent, and what woke it.

use serde::{Deserialize, Serialize};

use super::{Event, FilterWish};
use crate::Timestamp;

/// `POST /agents/:name/filters` and `PUT /agents/:name/filters/:id`: an event passes if it fits every
/// list that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetWakeFilter {
    /// As in [`FilterWish::collections`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collections: Vec<String>,
    /// As in [`FilterWish::kinds`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// As in [`FilterWish::dids`], as an observer sees them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dids: Vec<String>,
    /// Whether what the agent does itself, and what is done to it, wakes it too.
    #[serde(default)]
    pub own: bool,
}

impl SetWakeFilter {
    /// Returns the filter alone.
    #[must_use]
    pub fn wish(&self) -> FilterWish {
        FilterWish {
            collections: self.collections.clone(),
            kinds: self.kinds.clone(),
            dids: self.dids.clone(),
        }
    }
}

/// One filter, in `GET /agents/:name/filters`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WakeFilterView {
    /// Its id.
    pub id: String,
    /// What it lets through.
    #[serde(flatten)]
    pub filter: SetWakeFilter,
    /// When it was made, or last replaced.
    pub set_at: Timestamp,
    /// `active`, or `pending` until the relay knows of it.
    pub state: String,
}

/// `GET /agents/:name/filters`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WakeFilterList {
    /// All of them, the oldest first.
    pub filters: Vec<WakeFilterView>,
}

/// One thing that woke the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The place after it: pass it as `?cursor=` to read on.
    pub cursor: String,
    /// The event, as an observer sees it; in full if the agent itself acted. Absent where events were
    /// lost before this place: then `gap` is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// The filters that it passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// The agent was too far behind, or the network's events began anew: some that fit may be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
}

/// `GET /agents/:name/wakes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WakeList {
    /// What woke the agent after the cursor, the oldest first; all that is kept if there was none.
    pub wakes: Vec<Wake>,
    /// Where to read on. Absent as long as nothing ever woke the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// What followed the cursor is not kept any more, or the cursor is none: some were missed.
    pub gap: bool,
}
