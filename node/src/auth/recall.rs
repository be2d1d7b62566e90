//! Agents whose token an isolate has looked up before, so that a call costs no query.
//!
//! What is remembered is good as long as the agent's object says so. A change of a token or of settings first
//! raises, in the object's SQLite, the version that a remembered row must have, then changes the row: from
//! the moment it is answered no isolate gets past the object with what it remembers. Where the object
//! refuses, the directory is asked again, and what it says then is good at once, as without memory.

use std::cell::RefCell;
use std::collections::HashMap;

use entente_lexicon::AgentName;
use serde::{Deserialize, Serialize};

use crate::store::agents::AgentRow;

/// The header by which the Worker tells an agent's object the version of the row that it remembers.
pub const VERSION: &str = "x-entente-row-version";
/// With this status an object refuses a row that is not good any more; no client ever sees it.
pub const STALE: u16 = 421;
/// Agents that an isolate remembers at most.
const MOST: usize = 1_024;

/// What is needed of an agent's row to pass a call on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// The id of its object.
    pub object_id: String,
    /// Its name.
    pub name: AgentName,
    /// Whether senders are told that it has read their messages.
    pub tells_reads: bool,
    /// The version of the row that says so.
    pub version: u64,
}

impl From<&AgentRow> for Recalled {
    fn from(row: &AgentRow) -> Self {
        Self {
            object_id: row.object_id.clone(),
            name: row.name.clone(),
            tells_reads: row.tells_reads(),
            version: row.version,
        }
    }
}

/// `POST /outdate` of an agent's object: from here on, rows remembered below this version are not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outdate {
    /// The version that the row is about to have.
    pub version: u64,
}

thread_local! {
    /// By the hash of the token.
    static KNOWN: RefCell<HashMap<String, Recalled>> = RefCell::new(HashMap::new());
}

/// Returns what is remembered of the agent with a token, by the token's hash.
#[must_use]
pub fn recall(hash: &str) -> Option<Recalled> {
    KNOWN.with_borrow(|known| known.get(hash).cloned())
}

/// Remembers an agent that was just looked up.
pub fn remember(hash: &str, row: &AgentRow) {
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(hash.to_owned(), Recalled::from(row));
    });
}

/// Forgets an agent whose object refused.
pub fn forget(hash: &str) {
    KNOWN.with_borrow_mut(|known| known.remove(hash));
}
