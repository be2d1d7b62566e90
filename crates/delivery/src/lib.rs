//! Whether and when something is handed over again, and when it is given up.
//!
//! A [`Delivery`] is one thing for one receiver: it is tried until the receiver takes it or its attempts
//! are spent, and then it is a dead letter, which is kept until somebody has it tried again or throws it
//! away. An [`Endpoint`] is a receiver: while it fails it is asked for one thing at a time, and at last no
//! more. A [`Lane`] is the way to an agent that keeps others waiting: in order, each only when those
//! before it have ended. [`Policy`] says how long all of them wait. No I/O, no clock, no entropy.

mod delivery;
mod endpoint;
mod lane;
mod policy;

pub use delivery::{Delivery, NotDead, State};
pub use endpoint::{Disabled, Endpoint, Verdict, WINDOW};
pub use lane::{Fault, HEAD_ATTEMPTS, HEAD_WAIT_MS, Lane};
pub use policy::{DEFAULT_ATTEMPTS, FIRST_WAIT_MS, MAX_ATTEMPTS, MAX_WAIT_MS, Policy};
