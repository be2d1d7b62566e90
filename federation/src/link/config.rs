//! What a link is told at its start: who both sides are, what it may do, where it left off.

use std::collections::BTreeMap;

use entente_lexicon::{Did, Host, Timestamp};
use entente_trust::crypto::sign::VerifyingKey;
use entente_trust::policy::Policy;

use crate::code::Code;
use crate::frame::opening::WireLimits;
use crate::frame::session::MAX_SESSION_FRAME;
use crate::frame::status::Amount;
use crate::frame::stream::{Stream, Streams};

/// This network, as its peer must find it.
#[derive(Clone, Debug)]
pub struct Own {
    /// Our DID.
    pub did: Did,
    /// Our host, as our document publishes it.
    pub host: Host,
    /// The kid of the signing key given to [`Link::new`](super::Link::new).
    pub kid: String,
    /// SHA-256 of the exact bytes of our published document.
    pub document_hash: [u8; 32],
}

/// The peer's discovery document, already verified by `entente_well_known`.
#[derive(Clone, Debug)]
pub struct PeerDocument {
    /// SHA-256 of its exact bytes.
    pub hash: [u8; 32],
    /// The signing keys valid now, by kid.
    pub keys: BTreeMap<String, VerifyingKey>,
    /// The host it publishes.
    pub host: Host,
    /// When it was fetched.
    pub fetched_at: Timestamp,
}

/// The network at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its DID.
    pub did: Did,
    /// The host we dial.
    pub host: Host,
    /// What it published when last fetched.
    pub document: PeerDocument,
}

/// Everything a link needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// This network.
    pub own: Own,
    /// The other one.
    pub peer: Peer,
    /// What may cross the link.
    pub policy: Policy,
    /// Whether we dial; if not, the peer does.
    pub allow_outbound: bool,
    /// Bounds and times.
    pub limits: Limits,
    /// Whether [`Input::Freeze`](super::Input::Freeze) came and no thaw since.
    pub frozen: bool,
}

/// Bounds and times of one link. [`Default`] is what the protocol document starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages in flight towards us at most. Where the peer dials READY tells it; else the
    /// protocol's starting limits hold until STATUS does.
    pub window_items: u32,
    /// Weight of the messages in flight towards us at most, in bytes; told likewise.
    pub window_bytes: u32,
    /// Messages waiting in the outbox at most.
    pub outbox_items: u64,
    /// Bytes waiting in the outbox at most.
    pub outbox_bytes: u64,
    /// The first retry's longest wait.
    pub backoff_first_ms: u64,
    /// Any retry's longest wait.
    pub backoff_cap_ms: u64,
    /// The dialler closes a session that had no work for so long.
    pub idle_ms: u64,
    /// Events in flight towards us at most.
    pub event_window_items: u32,
    /// Their weight, in bytes.
    pub event_window_bytes: u32,
    /// Events waiting at most; the oldest give way to newer ones.
    pub event_outbox_items: u64,
    /// Bytes of events waiting at most.
    pub event_outbox_bytes: u64,
    /// Control records in flight towards us at most.
    pub control_window_items: u32,
    /// Their weight, in bytes.
    pub control_window_bytes: u32,
    /// Control records waiting at most.
    pub control_outbox_items: u64,
    /// Bytes of control records waiting at most.
    pub control_outbox_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window_items: 1024,
            window_bytes: 1024 * 1024,
            outbox_items: 10_000,
            outbox_bytes: 64 * 1024 * 1024,
            backoff_first_ms: 1_000,
            backoff_cap_ms: 3_600_000,
            idle_ms: 30_000,
            event_window_items: 256,
            event_window_bytes: 256 * 1024,
            event_outbox_items: 1_000,
            event_outbox_bytes: 4 * 1024 * 1024,
            control_window_items: 256,
            control_window_bytes: 64 * 1024,
            control_outbox_items: 10_000,
            control_outbox_bytes: 4 * 1024 * 1024,
        }
    }
}

const fn amount(items: u64, bytes: u64) -> Amount {
    Amount { bytes, items }
}

impl Limits {
    /// What the peer may have in flight, in every stream.
    pub(super) fn windows(&self) -> Streams<Amount> {
        Streams {
            msg: amount(self.window_items.into(), self.window_bytes.into()),
            evt: amount(
                self.event_window_items.into(),
                self.event_window_bytes.into(),
            ),
            ctl: amount(
                self.control_window_items.into(),
                self.control_window_bytes.into(),
            ),
        }
    }

    /// What may wait for the peer.
    #[must_use]
    pub const fn outbox(&self, stream: Stream) -> Amount {
        match stream {
            Stream::Msg => amount(self.outbox_items, self.outbox_bytes),
            Stream::Evt => amount(self.event_outbox_items, self.event_outbox_bytes),
            Stream::Ctl => amount(self.control_outbox_items, self.control_outbox_bytes),
        }
    }

    /// What the peer may have in flight of messages, as READY says it.
    pub(super) fn ready(&self) -> WireLimits {
        WireLimits {
            bytes: self.window_bytes.into(),
            frame: MAX_SESSION_FRAME as u64,
            items: self.window_items.into(),
        }
    }
}

/// A message we refused, kept until its sender is known to have heard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Its place in the stream.
    pub seq: u64,
    /// The message's id.
    pub id: [u8; 16],
    /// Why.
    pub code: Code,
}

/// A row of an outbox that is not acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// The item's id.
    pub id: [u8; 16],
    /// Length of its bytes; 0 if it was withdrawn.
    pub length: u32,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When it expires.
    pub expires: Option<Timestamp>,
    /// Whether its sender was told `UNCONFIRMED`.
    pub unconfirmed: bool,
}

/// The sending half of a stream as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoredOut {
    /// The current epoch; 0 if none was begun. From [`Change::OutEpoch`](super::Change::OutEpoch).
    pub epoch: u64,
    /// The number the next message gets: one more than the highest ever given, 1 at first (0 means 1).
    pub next_seq: u64,
    /// Everything up to here was acknowledged or dropped. From
    /// [`Change::Acked`](super::Change::Acked) and [`Change::Settled`](super::Change::Settled).
    pub acked: u64,
    /// The highest number that may have been transmitted. From [`Change::Sent`](super::Change::Sent)
    /// and [`Change::Append`](super::Change::Append).
    pub sent: u64,
    /// Every row beyond `acked`, by number.
    pub rows: Vec<(u64, Waiting)>,
}

/// The receiving half of a stream as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoredIn {
    /// The peer's epoch. From [`Change::Cursor`](super::Change::Cursor).
    pub epoch: u64,
    /// Everything up to here was settled.
    pub seq: u64,
    /// Items stored by [`Change::Received`](super::Change::Received) and not yet passed on.
    pub held: u64,
}

/// What earlier [`Change`](super::Change)s stored. [`Default`] is a fresh link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The sending halves.
    pub out: Streams<RestoredOut>,
    /// The receiving halves.
    pub inn: Streams<RestoredIn>,
    /// Our highest dial number. From [`Change::DialOwn`](super::Change::DialOwn).
    pub dial_own: u64,
    /// The peer's highest dial number. From [`Change::DialPeer`](super::Change::DialPeer).
    pub dial_peer: u64,
    /// Until when the peer's attestation about us holds. From
    /// [`Change::Attested`](super::Change::Attested).
    pub attested: Option<Timestamp>,
    /// Rejects stored by [`Change::Rejected`](super::Change::Rejected) and not yet dropped by
    /// [`Change::RejectsConfirmed`](super::Change::RejectsConfirmed), by rising seq.
    pub rejects: Vec<Reject>,
}
