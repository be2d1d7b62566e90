//! Tasks between two agents: the requester's side and the worker's, as state machines.
//!
//! The worker decides how a task stands, and its last word is the outcome; what a requester concludes
//! without it (the worker cannot be reached, the deadline passed) is presumed, and gives way to that
//! word if it comes. So both sides agree in the end however words are delayed, repeated or reordered.
//! No I/O, no clock. Start reading at [`Task`]; `docs/protocol/tasks.md` is the specification.

mod keep;
mod refusal;
mod requester;
mod task;
mod tree;
mod word;
mod worker;

pub use keep::{RETENTION_MS, Ties};
pub use refusal::Refusal;
pub use task::{
    Act, DEFAULT_DEADLINE_MS, GRACE_MS, Heard, Presumed, Role, Task, Terms, Tick, may_follow,
};
pub use tree::{Child, MAX_CHILDREN, MAX_DEPTH, check_child, descendants};
pub use word::{Says, Word};
