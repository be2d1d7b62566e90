//! The `Link` object: one per peer, drives `entente_federation`'s state machine.
//!
//! The machine decides; this folder only does what it says, in the order it says: store the
//! changes in one transaction, set the alarm, send frames, close sockets, then run requests. One
//! object per peer, so that links scale out and a stuck peer delays nobody else. Sessions live in
//! memory only: after an eviction, a deploy or a panic the peers shake hands anew and go on from
//! the stored cursors. Start reading at [`driver`].

mod backup;
mod conduct;
mod controls;
mod deliver;
mod detail;
mod directory;
mod driver;
mod freeze;
mod history;
mod keeper;
mod object;
mod own;
mod passing;
mod policy;
mod prekeys;
mod preview;
mod public;
mod quarantine;
mod receipts;
mod shelf;
mod sockets;
mod store;
mod streams;
mod upgrade;
mod why;

pub use object::Link;
pub(crate) use policy::lists;
