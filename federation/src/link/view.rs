//! What a link shows of itself.

use entente_lexicon::api::LinkState;
use entente_lexicon::{Timestamp, TrustLevel};

use crate::code::Code;
use crate::frame::status::Status;

/// A link at one instant, for the dashboard and the admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its state.
    pub state: LinkState,
    /// Since when.
    pub since: Timestamp,
    /// The level agreed in the last handshake.
    pub granted: Option<TrustLevel>,
    /// What went wrong last; cleared by a session that comes up.
    pub last_error: Option<Code>,
    /// When we dial next.
    pub next_retry: Option<Timestamp>,
    /// The last round trip.
    pub round_trip_ms: Option<u64>,
    /// Until when the peer's attestation about us holds.
    pub attested: Option<Timestamp>,
    /// Messages not acknowledged.
    pub queued: u64,
    /// Events not acknowledged.
    pub queued_events: u64,
    /// Control records not acknowledged.
    pub queued_controls: u64,
    /// Since when the oldest message waits.
    pub oldest: Option<Timestamp>,
    /// What our STATUS would tell the peer now: our limits, how much of them it uses, our view.
    pub status: Status,
    /// The peer's last STATUS, and when it came: its limits, how much of them we use, its view of
    /// us.
    pub peer: Option<(Status, Timestamp)>,
}
