//! The federation state machine: how two networks prove themselves to one another and move
//! messages between their agents.
//!
//! It performs no I/O, reads no clock and draws no entropy: one [`Input`] goes into
//! [`Link::handle`], one [`Outputs`] comes out, and the machine is at rest again. A Durable Object,
//! the two-peer test harness and the simulator in `federation/sim` are three drivers of this one
//! function. A peer's fault is an [`Event::Misbehaved`], never an `Err`. All cryptography comes from
//! `entente_trust`; what may pass is decided by `entente_trust::policy` alone.
//!
//! Start reading at [`link`] for the life of a link, at [`handshake`] for how it opens, at
//! [`frame`] for every byte on the wire and at [`close`] for why it ends.

pub mod close;
pub mod code;
mod entropy;
pub mod frame;
pub mod handshake;
pub mod link;
pub mod quarantine;

pub use close::{CloseCode, Retry};
pub use code::Code;
pub use frame::status::{Amount, Amounts, Status};
pub use frame::stream::{Stream, Streams};
pub use handshake::Claimed;
pub use handshake::fault::Misbehaved;
#[cfg(feature = "planted-bugs")]
pub use link::PlantedBug;
pub use link::{
    Bounce, Change, Config, DeliveryVerdict, Event, Evidence, Input, Item, Limits, Link, Outputs,
    Own, Peer, PeerDocument, Reject, Request, Restored, RestoredIn, RestoredOut, SocketId, View,
    Waiting,
};
