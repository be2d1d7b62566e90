//! The kinds of events.

/// A kind of event, or one this page does not know yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The relay took a message from an agent of ours.
    Accepted,
    /// A message of ours reached its recipient.
    Delivered,
    /// The recipient of a message of ours read it.
    Read,
    /// An agent of ours got a message.
    Received,
    /// A message of ours will never be delivered.
    Refused,
    /// A message of ours waits for an admin of its recipient's network.
    Quarantined,
    /// A message to us waits for our admin.
    Held,
    /// What became of it was decided.
    Decided,
    /// A peer passed on a receipt that its agent never gave.
    ReceiptRefused,
    /// A message of ours was not delivered in time.
    Expired,
    /// A message of ours may or may not have arrived in time.
    Unconfirmed,
    /// An agent was created.
    AgentCreated,
    /// An agent was deleted.
    AgentDeleted,
    /// An agent has new keys.
    AgentKeysRotated,
    /// This network has new keys.
    KeysRotated,
    /// This network's keys were replaced by its recovery key.
    KeysRecovered,
    /// A peer was added.
    PeerAdded,
    /// A peer's level or list changed.
    PeerChanged,
    /// A peer was removed.
    PeerRemoved,
    /// A session with a peer began.
    LinkUp,
    /// A session with a peer ended in good order.
    LinkIdle,
    /// A peer does not answer.
    LinkDown,
    /// A peer, or our policy, refuses the link.
    LinkRefused,
    /// A peer's keys changed in a way that nothing proves.
    LinkFrozen,
    /// An admin decided about a frozen link.
    LinkThawed,
    /// An agent of ours announced something to everybody.
    Announced,
    /// A peer brought an announcement.
    AnnouncementReceived,
    /// A peer dropped public events before they came here.
    EventsLost,
    /// Anything else.
    Other,
}

/// Everything that is known of a kind.
struct Known {
    kind: Kind,
    /// As events name it.
    name: &'static str,
    /// The word shown in the feed.
    label: &'static str,
    /// Drawn before the word; it differs by meaning, not only by colour.
    glyph: &'static str,
    tone: Tone,
    /// Whether it may change what the list of peers shows.
    concerns_peers: bool,
}

const OTHER: Known = known(Kind::Other, "", "event", "·", Tone::Calm);

/// The kinds with a name.
const KINDS: [Known; 28] = [
    known(
        Kind::Accepted,
        "message.accepted",
        "accepted",
        "↗",
        Tone::Calm,
    ),
    known(
        Kind::Delivered,
        "message.delivered",
        "delivered",
        "✓",
        Tone::Good,
    ),
    known(Kind::Read, "message.read", "read", "✓", Tone::Good),
    known(
        Kind::Received,
        "message.received",
        "received",
        "↙",
        Tone::Calm,
    ),
    known(Kind::Refused, "message.refused", "refused", "✕", Tone::Bad),
    known(
        Kind::Quarantined,
        "message.quarantined",
        "quarantined",
        "‖",
        Tone::Warn,
    ),
    known(Kind::Held, "quarantine.held", "held", "‖", Tone::Warn),
    known(
        Kind::Decided,
        "quarantine.ended",
        "decided",
        "▸",
        Tone::Calm,
    ),
    known(
        Kind::ReceiptRefused,
        "receipt.refused",
        "false receipt",
        "✕",
        Tone::Bad,
    ),
    known(Kind::Expired, "message.expired", "expired", "✕", Tone::Bad),
    known(
        Kind::Unconfirmed,
        "message.unconfirmed",
        "unconfirmed",
        "?",
        Tone::Warn,
    ),
    known(
        Kind::AgentCreated,
        "agent.created",
        "agent created",
        "+",
        Tone::Good,
    ),
    known(
        Kind::AgentDeleted,
        "agent.deleted",
        "agent deleted",
        "−",
        Tone::Warn,
    ),
    known(
        Kind::AgentKeysRotated,
        "agent.keys.rotated",
        "agent's new keys",
        "↻",
        Tone::Calm,
    ),
    known(
        Kind::KeysRotated,
        "network.keys.rotated",
        "new keys",
        "↻",
        Tone::Calm,
    ),
    known(
        Kind::KeysRecovered,
        "network.keys.recovered",
        "keys recovered",
        "↻",
        Tone::Warn,
    ),
    of_peers(known(
        Kind::PeerAdded,
        "peer.added",
        "peer added",
        "+",
        Tone::Good,
    )),
    of_peers(known(
        Kind::PeerChanged,
        "peer.changed",
        "peer changed",
        "∆",
        Tone::Calm,
    )),
    of_peers(known(
        Kind::PeerRemoved,
        "peer.removed",
        "peer removed",
        "−",
        Tone::Warn,
    )),
    of_peers(known(Kind::LinkUp, "link.up", "link up", "↑", Tone::Good)),
    of_peers(known(
        Kind::LinkIdle,
        "link.idle",
        "link idle",
        "◦",
        Tone::Calm,
    )),
    of_peers(known(
        Kind::LinkDown,
        "link.down",
        "link down",
        "↓",
        Tone::Warn,
    )),
    of_peers(known(
        Kind::LinkRefused,
        "link.refused",
        "link refused",
        "✕",
        Tone::Bad,
    )),
    of_peers(known(
        Kind::LinkFrozen,
        "link.frozen",
        "link frozen",
        "✱",
        Tone::Bad,
    )),
    of_peers(known(
        Kind::LinkThawed,
        "link.thawed",
        "link goes on",
        "↑",
        Tone::Good,
    )),
    known(
        Kind::Announced,
        "announcement.made",
        "announced",
        "»",
        Tone::Calm,
    ),
    known(
        Kind::AnnouncementReceived,
        "announcement.received",
        "announcement",
        "«",
        Tone::Calm,
    ),
    of_peers(known(
        Kind::EventsLost,
        "events.gap",
        "events lost",
        "≠",
        Tone::Warn,
    )),
];

const fn known(
    kind: Kind,
    name: &'static str,
    label: &'static str,
    glyph: &'static str,
    tone: Tone,
) -> Known {
    Known {
        kind,
        name,
        label,
        glyph,
        tone,
        concerns_peers: false,
    }
}

const fn of_peers(mut known: Known) -> Known {
    known.concerns_peers = true;
    known
}

/// How an event is coloured; its icon and its words say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Work going on.
    Calm,
    /// Something went well.
    Good,
    /// Something to look at.
    Warn,
    /// Something failed.
    Bad,
}

impl Tone {
    /// Returns the name used in styles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

impl Kind {
    /// Reads the kind of an event.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let known = KINDS.iter().find(|known| known.name == text);
        known.map_or(Self::Other, |known| known.kind)
    }

    fn known(self) -> &'static Known {
        let known = KINDS.iter().find(|known| known.kind == self);
        known.unwrap_or(&OTHER)
    }

    /// Returns the word shown in the feed.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.known().label
    }

    /// Returns the character drawn before the word; it differs by meaning, not only by colour.
    #[must_use]
    pub fn glyph(self) -> &'static str {
        self.known().glyph
    }

    /// Returns how to colour it.
    #[must_use]
    pub fn tone(self) -> Tone {
        self.known().tone
    }

    /// Tells whether it adds to what everybody was told.
    #[must_use]
    pub fn is_announcement(self) -> bool {
        matches!(self, Self::Announced | Self::AnnouncementReceived)
    }

    /// Tells whether it may change what the list of peers shows.
    #[must_use]
    pub fn concerns_peers(self) -> bool {
        self.known().concerns_peers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_is_shown_as_an_event() {
        assert_eq!(Kind::parse("message.refused").tone(), Tone::Bad);
        assert_eq!(Kind::parse("weather.changed").label(), "event");
        assert!(Kind::parse("link.down").concerns_peers());
        assert!(!Kind::parse("message.accepted").concerns_peers());
        assert!(Kind::parse("link.frozen").concerns_peers());
        assert!(Kind::parse("announcement.made").is_announcement());
        assert!(!Kind::parse("events.gap").is_announcement());
    }

    #[test]
    fn no_two_kinds_share_a_name_or_a_label() {
        for field in [|known: &Known| known.name, |known: &Known| known.label] {
            let mut all: Vec<_> = KINDS.iter().map(field).collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), KINDS.len());
        }
    }
}
