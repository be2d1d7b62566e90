//! The firehose: what happens, as viewers see it and ask for it.

use serde::{Deserialize, Serialize};

use super::{NetworkView, PublicPeer};
use crate::Timestamp;

/// One agent's presence on the firehose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentPresence {
    /// Its DID, or for an observer an id that is stable for a day.
    pub id: String,
    /// Its name; absent for an observer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `idle` or `working` (sent or received within the last 5 seconds).
    pub state: String,
    /// When it last did anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Messages sent since the relay began to count.
    pub sent: u64,
    /// Messages received since the relay began to count.
    pub received: u64,
    /// Whether an admin may send and read as it; absent for an observer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_read: Option<bool>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Rises by one an event within an epoch of the relay.
    pub seq: u64,
    /// `message.accepted`, `message.delivered`, `message.received`, `message.read`, `message.refused`,
    /// `agent.created`, `agent.deleted`, `peer.added`, `peer.changed`, `peer.removed`, `link.up`,
    /// `link.idle`, `link.down`, `link.refused`.
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// Who acted: an address for the admin, an anonymous id for an observer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Upon whom, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The message's id; absent for an observer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The peer's host, for events of links and for messages that cross one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Why something was refused or went down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A label such as `demo script`; absent for an observer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Milliseconds from accepted to delivered, on `message.delivered`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// So many more like this one happened in the same moment and are not shown one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
}

/// Who is watching the firehose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Viewer {
    /// Sees names and addresses, never bodies.
    Admin,
    /// Sees anonymised ids.
    Observer,
}

/// What `WS /relay/firehose` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum FirehoseFrame {
    /// Sent on connecting and whenever something in it changed, at most once a second.
    Status {
        /// For whom this stream is made.
        viewer: Viewer,
        /// This network.
        network: NetworkView,
        /// All agents.
        agents: Vec<AgentPresence>,
        /// All peers.
        peers: Vec<PublicPeer>,
    },
    /// One event.
    Event {
        /// Opaque: pass it as `?cursor=` to go on after this event.
        cursor: String,
        /// The event.
        event: Event,
    },
    /// The cursor is older than what the relay keeps: events were missed.
    Gap {
        /// Where the stream goes on.
        cursor: String,
    },
    /// Where the stream begins; later, that nothing the filter lets through happened for a while.
    Cursor {
        /// How far the stream has come.
        cursor: String,
    },
    /// The filter is another from here on.
    Filtered {
        /// Events after it went through the new filter.
        cursor: String,
        /// The filter, as it is understood.
        filter: FilterWish,
    },
    /// The viewer did not say for too long how far it has read: the socket closes with 4408. Coming
    /// back with the cursor misses nothing.
    Slow {
        /// Where to go on.
        cursor: String,
    },
    /// A command was not understood; nothing changed.
    Error {
        /// A stable code, listed in docs/protocol/errors.md.
        code: String,
        /// What is wrong and what to do, for a person.
        message: String,
    },
}

/// What a viewer says to `WS /relay/firehose`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum FirehoseCommand {
    /// Everything up to a cursor was read. Due at least every 1,000 events and every MiB.
    Ack {
        /// The cursor of the last frame that was read.
        cursor: String,
    },
    /// From now on other events are wanted.
    Filter(FilterWish),
}

/// Which events a viewer wants. An event passes if it fits every list that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterWish {
    /// Names of collections, or patterns such as `agent.public.*`, at most 100. Events that are no
    /// announcement are of `agent.observability.event`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collections: Vec<String>,
    /// Kinds of events, or patterns such as `message.*`, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// DIDs, addresses, or for an observer ids, that act or are acted upon, at most 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dids: Vec<String>,
}

/// What an object reports to the relay; the relay gives it a number and shows it to viewers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewEvent {
    /// As in [`Event::kind`].
    pub kind: String,
    /// As in [`Event::at`].
    pub at: Timestamp,
    /// As in [`Event::from`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// As in [`Event::to`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// As in [`Event::message`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// As in [`Event::peer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// As in [`Event::code`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// As in [`Event::label`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// As in [`Event::latency_ms`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// As in [`Event::more`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
}

impl Event {
    /// How many this event stands for.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.more.unwrap_or(0).saturating_add(1)
    }
}
