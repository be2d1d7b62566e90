//! What the two sides tell one another.

use entente_lexicon::records::comms::TaskState;
use serde::{Deserialize, Serialize};

/// One thing that one side tells the other about a task. It travels beside a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Word {
    /// Which attempt it speaks of; 1 is the first.
    pub attempt: u32,
    /// Its number among what this side says of the task: 1 is the first. What a later word says
    /// holds, whichever comes first.
    pub n: u32,
    /// What it says.
    pub says: Says,
}

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Says {
    /// The requester: do this.
    Request,
    /// The requester: never mind.
    Cancel,
    /// The requester answers the question that the worker's word of this number asked.
    Input {
        /// The worker's number for the question.
        answers: u32,
    },
    /// The worker: so it stands.
    Status(TaskState),
}
