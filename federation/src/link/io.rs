//! What goes into a link and what comes out of it.

use std::sync::Arc;

use entente_lexicon::{Did, Timestamp, TrustLevel};
use entente_trust::crypto::sign::SigningKey;
use entente_trust::policy::Policy;

use super::config::{Limits, PeerDocument, Reject};
use crate::code::Code;
use crate::frame::stream::Stream;
use crate::handshake::Claimed;
use crate::handshake::fault::Misbehaved;

/// A socket, named by the driver that opened it; never used twice in one driver's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u64);

/// A sealed message, or an item of another stream, on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub id: [u8; 16],
    /// The sending agent; in stream evt the one that announces.
    pub from: Did,
    /// The receiving agent; in stream evt the receiving network.
    pub to: Did,
    /// The sealed envelope, the announcement, or the record of stream ctl. Empty: it was withdrawn
    /// ([`Change::Bounced`], [`Change::Emptied`]).
    pub bytes: Arc<[u8]>,
    /// When it is not worth delivering any more. Known at its sender only: the peer finds it in the
    /// envelope.
    pub expires: Option<Timestamp>,
}

/// A message that its own link gives up, or cannot say anything about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounce {
    /// Its number.
    pub seq: u64,
    /// Its id.
    pub id: [u8; 16],
    /// Why.
    pub code: Code,
    /// Whether this is the last word. If not, the message stays queued.
    pub is_final: bool,
}

/// What became of a message at the receiving agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryVerdict {
    /// The agent has committed it, now or before.
    Delivered,
    /// It will never take it.
    Refused(Code),
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The socket asked for by [`Request::Dial`] is open.
    Dialled {
        /// The new socket.
        socket: SocketId,
    },
    /// The socket asked for by [`Request::Dial`] could not be opened.
    DialFailed {
        /// Why.
        code: Code,
    },
    /// The peer opened a socket.
    Accepted {
        /// The new socket.
        socket: SocketId,
        /// Who signed its upgrade.
        claimed: Claimed,
    },
    /// A frame arrived.
    Frame {
        /// Where.
        socket: SocketId,
        /// The binary message, undecoded.
        bytes: &'a [u8],
    },
    /// A socket closed, or the driver closed it on its own account (not as told by
    /// [`Outputs::closes`]; saying so then too is harmless).
    Closed {
        /// Which.
        socket: SocketId,
        /// The WebSocket close code; 1006 if there was none.
        code: u16,
    },
    /// The deadline in [`Outputs::wake`] has come. Too early or twice is harmless.
    Timeout,
    /// Items for the peer.
    Enqueue {
        /// The stream they go by.
        stream: Stream,
        /// In the order to be sent.
        items: Vec<Item>,
    },
    /// The answer to [`Request::Load`]: by rising seq, from the seq asked for.
    Loaded {
        /// The stream.
        stream: Stream,
        /// The stored items.
        items: Vec<(u64, Item)>,
    },
    /// Agents answered [`Request::Deliver`]; in parts and in any order between agents.
    Delivered {
        /// The epoch of the request.
        epoch: u64,
        /// What became of each, by its number and id: a peer that was rolled back may give a number
        /// twice.
        verdicts: Vec<(u64, [u8; 16], DeliveryVerdict)>,
    },
    /// Items stored by [`Change::Received`] were passed on.
    Taken {
        /// Their stream.
        stream: Stream,
        /// How many.
        count: u64,
    },
    /// The answer to [`Request::FetchDocument`].
    Document(Result<PeerDocument, Code>),
    /// Dial once even without work, as a fresh link does.
    Probe,
    /// Our own document changed, perhaps because our keys did.
    OwnDocument {
        /// Its new hash.
        hash: [u8; 32],
        /// The kid of our signing key.
        kid: String,
        /// That key. A session under another one ends in order.
        key: SigningKey,
    },
    /// The peer's keys changed in a way that its log does not prove: no session, nothing delivered
    /// either way, the outbox kept, until [`Input::Thaw`]. Store it: [`Config::frozen`](super::Config).
    Freeze,
    /// An admin decided which document of the peer holds.
    Thaw(PeerDocument),
    /// The admin changed what may cross.
    Policy(Policy),
    /// Our limits changed; the peer is told.
    Limits(Limits),
    /// The peer is being removed: say goodbye and stay silent. The driver refuses what is queued.
    Shutdown {
        /// Why.
        code: Code,
    },
}

/// Everything one input asks of the driver, in the order it must be done.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use = "an output left undone is a lost message"]
pub struct Outputs {
    /// Store these in one transaction before anything else is done.
    pub changes: Vec<Change>,
    /// When to send [`Input::Timeout`]; replaces every earlier deadline.
    pub wake: Option<Timestamp>,
    /// Binary messages to send.
    pub transmits: Vec<(SocketId, Vec<u8>)>,
    /// Sockets to close with this code and reason, after the transmits.
    pub closes: Vec<(SocketId, u16, &'static str)>,
    /// What the driver must do and answer.
    pub requests: Vec<Request>,
    /// What the application may want to know.
    pub events: Vec<Event>,
    /// A planted bug that found no occasion.
    #[cfg(feature = "planted-bugs")]
    pub planted: Option<super::PlantedBug>,
}

/// One thing to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An item of the input joined the outbox.
    Append {
        /// The stream.
        stream: Stream,
        /// Its index in [`Input::Enqueue`].
        index_in_input: usize,
        /// Its number in the stream: never given twice, contiguous.
        seq: u64,
        /// It is transmitted right away.
        sent: bool,
    },
    /// What has numbers up to here may have been transmitted.
    Sent {
        /// The stream.
        stream: Stream,
        /// The highest number.
        upto: u64,
    },
    /// An item of the input was refused and must not be stored; tell its sender.
    Refuse {
        /// Its index in [`Input::Enqueue`].
        index_in_input: usize,
        /// Why.
        code: Code,
    },
    /// Stored messages are given up by this side: policy no longer lets them cross, or they
    /// expired. Tell their senders, with our signature. Keep the rows with empty bytes until they
    /// are acknowledged, unless the bounce is not final.
    Bounced {
        /// When.
        at: Timestamp,
        /// Which, by number.
        bounces: Vec<Bounce>,
        /// Our signature; see `frame::receipt::bounce_statement`.
        evidence: Evidence,
    },
    /// A stored item of evt or ctl may no longer cross: keep its row with empty bytes until it is
    /// settled.
    Emptied {
        /// The stream.
        stream: Stream,
        /// Its number.
        seq: u64,
    },
    /// Rows of evt or ctl up to `upto` can go.
    Settled {
        /// The stream.
        stream: Stream,
        /// The last number.
        upto: u64,
        /// They were dropped to make room; if not, the peer has them.
        dropped: bool,
    },
    /// The peer's relay has settled everything up to here. Rows up to `upto` can go: those listed
    /// in `rejects` were refused, withdrawn ones were refused before, all others delivered.
    Acked {
        /// The last settled number.
        upto: u64,
        /// When, by the peer's clock for a receipt, by ours for a handshake.
        at: Timestamp,
        /// What it refused, among the newly settled.
        rejects: Vec<Reject>,
        /// The peer's signature.
        evidence: Evidence,
    },
    /// An item of evt or ctl arrived: keep it until it is passed on, then say [`Input::Taken`].
    Received {
        /// The stream.
        stream: Stream,
        /// The peer's epoch.
        epoch: u64,
        /// Its number.
        seq: u64,
        /// The item.
        item: Item,
    },
    /// Items of evt or ctl are missing for good: the peer dropped them for want of room, or one of
    /// the two was rolled back. Show it.
    Gap {
        /// The stream.
        stream: Stream,
        /// The first number missing.
        from: u64,
        /// The last.
        upto: u64,
    },
    /// We have settled everything up to here.
    Cursor {
        /// The stream.
        stream: Stream,
        /// The peer's epoch.
        epoch: u64,
        /// The last settled number.
        seq: u64,
    },
    /// We refused a message; keep this until it is confirmed.
    Rejected(Reject),
    /// The peer has stored our rejects up to here: drop them.
    RejectsConfirmed {
        /// The last confirmed number.
        upto: u64,
    },
    /// Our dial number rose.
    DialOwn(u64),
    /// The peer's dial number rose.
    DialPeer(u64),
    /// The peer showed, in a handshake, whether it vouches for us.
    Attested {
        /// Its attestation, byte for byte; empty if there is none that holds.
        bytes: Vec<u8>,
        /// Until when it holds.
        until: Option<Timestamp>,
    },
    /// Our stream has a new epoch; numbers go on.
    OutEpoch {
        /// The stream.
        stream: Stream,
        /// The epoch.
        epoch: u64,
    },
}

/// The peer's signature under an acknowledgement, to be shown to anybody who doubts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A receipt batch: one signature over the ids of all messages it settles.
    Receipt {
        /// The peer's key.
        kid: String,
        /// The exact bytes signed; see `frame::receipt` for the layout.
        statement: Vec<u8>,
        /// The ids of all messages it settles, whose digest the statement holds.
        ids: Vec<u8>,
        /// Ed25519.
        signature: [u8; 64],
    },
    /// Our own word: a batch of bounces.
    Bounce {
        /// Our key.
        kid: String,
        /// The exact bytes signed; see `frame::receipt::bounce_statement`.
        statement: Vec<u8>,
        /// Ed25519.
        signature: [u8; 64],
    },
    /// The cursor inside a handshake frame: signed is the frame's label, a zero byte and
    /// SHA-256("entente/1 digest" ‖ 0x00 ‖ `prior` ‖ `body`).
    Handshake {
        /// The peer's key.
        kid: String,
        /// 3 for AUTH, 4 for READY.
        frame: u8,
        /// The transcript hash before the frame.
        prior: [u8; 32],
        /// The frame's body.
        body: Vec<u8>,
        /// Ed25519.
        signature: [u8; 64],
    },
}

/// One thing the driver must do and answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Open a socket to the peer; answer [`Input::Dialled`] or [`Input::DialFailed`].
    Dial,
    /// Read the outbox; answer [`Input::Loaded`] at once, before any other input.
    Load {
        /// The stream.
        stream: Stream,
        /// The first number wanted.
        from_seq: u64,
        /// At most so many.
        max_items: usize,
        /// Stop once so many bytes are exceeded (always at least one item).
        max_bytes: usize,
    },
    /// Hand these to our agents; answer [`Input::Delivered`] for each once its agent committed.
    /// Messages to one agent keep their order.
    Deliver {
        /// To be given back with the verdicts.
        epoch: u64,
        /// By rising seq.
        items: Vec<(u64, Item)>,
    },
    /// Fetch and verify the peer's document; answer [`Input::Document`].
    FetchDocument,
}

/// One fact for the application and the dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session is up: both sides proved their keys and their knowledge of the session's.
    Up {
        /// The socket.
        socket: SocketId,
        /// The level both agreed on.
        granted: TrustLevel,
        /// Whether we dialled.
        initiator: bool,
    },
    /// The session ended in good order; the next message opens one.
    Idle,
    /// A session or an attempt ended with an error.
    Down {
        /// Why.
        code: Code,
    },
    /// The peer broke the protocol on this socket, which is closed.
    Misbehaved {
        /// The socket.
        socket: SocketId,
        /// The frame's number: 1 to 4 in the handshake, 5 in the session.
        frame: u8,
        /// How.
        how: Misbehaved,
    },
    /// The peer knew more of our stream than we do: we were rolled back and offer everything again.
    RolledBack {
        /// The stream.
        stream: Stream,
        /// The new epoch.
        epoch: u64,
    },
    /// The peer began a new epoch: its outbox is new, or was rolled back.
    PeerReset {
        /// The stream.
        stream: Stream,
        /// The new epoch.
        epoch: u64,
    },
    /// An item of evt or ctl was not let in: policy, or it is none. It is settled and leaves no other
    /// trace.
    Refused {
        /// The stream.
        stream: Stream,
        /// Why.
        code: Code,
    },
    /// We forgot what we had acknowledged, and it is not offered again; or, in evt, the peer dropped
    /// it.
    Gap {
        /// The stream.
        stream: Stream,
        /// The first number missing at our side of the stream.
        from: u64,
        /// The last.
        upto: u64,
    },
    /// The driver's store has not what it should have; sending stops until the next start.
    StoreBroken {
        /// The stream.
        stream: Stream,
        /// The number that is missing.
        seq: u64,
    },
}
