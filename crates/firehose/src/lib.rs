//! The firehose, from the relay's numbered events to each subscriber's socket, without any socket.
//!
//! [`Shard::handle`] takes one thing that happened (a subscriber joined, the relay pushed events, a
//! page of past events came, a client said something) and returns what is to be done about it. It
//! promises each subscriber every event that its filter lets through, once and in order from where it
//! began, or else says so: a `gap` frame where the relay no longer keeps them, a `slow` frame with the
//! cursor to come back with where the subscriber does not keep up. What waits for a subscriber is
//! bounded. Start reading at [`shard`].
//!
//! [`standing`] and [`courier`] are for agents that events wake: whom, and when each is called.

pub mod courier;
pub mod cursor;
pub mod filter;
pub mod flow;
pub mod index;
pub mod shard;
pub mod standing;

pub use courier::{Courier, Job};
pub use cursor::Cursor;
pub use filter::{BadFilter, Filter, Subject};
pub use shard::{Batch, Face, Head, Input, Limits, Output, Page, Shard, Shown, Start};
pub use standing::{Occurrence, Standing, StandingFilter};
