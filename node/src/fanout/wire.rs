//! What the relay and its fan-out objects say to each other.

use std::rc::Rc;

use entente_firehose::{Batch, Head};
use entente_lexicon::api::Viewer;
use serde::{Deserialize, Serialize};

/// `POST /firehose/seat` of the relay: a viewer asks to be let in.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AskSeat {
    /// As whom.
    pub(crate) viewer: Viewer,
    /// The ticket that an admin shows in place of a key.
    pub(crate) ticket: Option<String>,
}

/// The answer to that.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Seat {
    /// The name of the fan-out object that takes it.
    pub(crate) shard: String,
}

/// `POST /firehose/join` of the relay: a fan-out object gets one more viewer and wants what happens
/// from now on. `POST /firehose/left`: it has fewer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sockets {
    /// The object's name.
    pub(crate) shard: String,
    /// How many viewers it has.
    pub(crate) sockets: usize,
}

/// The answer to `POST /firehose/join`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Joined {
    /// Where the sequence is.
    pub(crate) head: Head,
    /// What is so.
    pub(crate) status: StatusFrames,
}

/// The status frame for both kinds of viewers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StatusFrames {
    /// For admins.
    pub(crate) admin: Rc<str>,
    /// For observers.
    pub(crate) observer: Rc<str>,
}

/// `POST /push` of a fan-out object, which answers how many viewers it has.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Push {
    /// What happened.
    pub(crate) batch: Batch,
    /// What is so, if it changed.
    pub(crate) status: Option<StatusFrames>,
}
