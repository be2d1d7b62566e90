//! Groups of agents: the owner's side and the members', as a state machine.
//!
//! The owner signs who is in from each epoch on, and makes a key for it; each change is a new epoch
//! with a new key, told to those who are in and to nobody else. Nobody is in who has not joined.
//! What is said under another epoch than the listener's is refused with a code by which both come to
//! the newest one, and is then said again: so what was accepted arrives, once and in the order of its
//! author, or is reported. No I/O, no clock, no entropy. Start reading at [`Group`];
//! `docs/protocol/groups.md` is the specification.

mod group;
mod lane;
mod member;
mod owner;
mod refusal;
mod stored;
mod word;

pub use group::{Current, Group, Standing};
pub use lane::{After, MAX_TRIES, after, next_heard};
pub use owner::{Fresh, MAX_INVITED};
pub use refusal::Refusal;
pub use word::{Says, Tell, Waiting};
