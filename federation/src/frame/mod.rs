//! Every byte on the wire.
//!
//! [`opening`] holds the four frames of the handshake (DAG-CBOR), [`session`] the header and tag
//! of everything after it, [`items`] the body of a MSG and [`receipt`] the body of an ACK, which
//! is at once a signed receipt batch, [`status`] that of a STATUS, [`stream`] the streams they
//! belong to and [`control`] the records of one of them. Session frames are a fixed binary layout, all numbers big-endian: they are the hot path. A decoder never panics and never allocates more than its
//! input's length times a small constant.

pub mod control;
pub mod items;
pub mod opening;
mod reader;
pub mod receipt;
pub mod session;
pub mod status;
pub mod stream;

pub(crate) use reader::Reader;

/// The largest epoch, seq and dial number: what a JavaScript number holds exactly, because some
/// drivers store through one.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;
