//! The kinds of events.

/// A kind of event, or one this page does not know yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The relay took a message from an agent of ours.
    Accepted,
    /// A message of ours reached its recipient.
    Delivered,
    /// An agent of ours got a message.
    Received,
    /// A message of ours will never be delivered.
    Refused,
    /// An agent was created.
    AgentCreated,
    /// An agent was deleted.
    AgentDeleted,
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
    /// Anything else.
    Other,
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
        match text {
            "message.accepted" => Self::Accepted,
            "message.delivered" => Self::Delivered,
            "message.received" => Self::Received,
            "message.refused" => Self::Refused,
            "agent.created" => Self::AgentCreated,
            "agent.deleted" => Self::AgentDeleted,
            "peer.added" => Self::PeerAdded,
            "peer.changed" => Self::PeerChanged,
            "peer.removed" => Self::PeerRemoved,
            "link.up" => Self::LinkUp,
            "link.idle" => Self::LinkIdle,
            "link.down" => Self::LinkDown,
            "link.refused" => Self::LinkRefused,
            _ => Self::Other,
        }
    }

    /// Returns the word shown in the feed.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Received => "received",
            Self::Refused => "refused",
            Self::AgentCreated => "agent created",
            Self::AgentDeleted => "agent deleted",
            Self::PeerAdded => "peer added",
            Self::PeerChanged => "peer changed",
            Self::PeerRemoved => "peer removed",
            Self::LinkUp => "link up",
            Self::LinkIdle => "link idle",
            Self::LinkDown => "link down",
            Self::LinkRefused => "link refused",
            Self::Other => "event",
        }
    }

    /// Returns the character drawn before the word; it differs by meaning, not only by colour.
    #[must_use]
    pub fn glyph(self) -> &'static str {
        match self {
            Self::Accepted => "↗",
            Self::Delivered => "✓",
            Self::Received => "↙",
            Self::Refused | Self::LinkRefused => "✕",
            Self::AgentCreated | Self::PeerAdded => "+",
            Self::AgentDeleted | Self::PeerRemoved => "−",
            Self::PeerChanged => "∆",
            Self::LinkUp => "↑",
            Self::LinkIdle => "◦",
            Self::LinkDown => "↓",
            Self::Other => "·",
        }
    }

    /// Returns how to colour it.
    #[must_use]
    pub fn tone(self) -> Tone {
        match self {
            Self::Delivered | Self::LinkUp | Self::AgentCreated | Self::PeerAdded => Tone::Good,
            Self::Refused | Self::LinkRefused => Tone::Bad,
            Self::LinkDown | Self::AgentDeleted | Self::PeerRemoved => Tone::Warn,
            Self::Accepted | Self::Received | Self::PeerChanged | Self::LinkIdle | Self::Other => {
                Tone::Calm
            }
        }
    }

    /// Tells whether it may change what the list of peers shows.
    #[must_use]
    pub fn concerns_peers(self) -> bool {
        match self {
            Self::PeerAdded
            | Self::PeerChanged
            | Self::PeerRemoved
            | Self::LinkUp
            | Self::LinkIdle
            | Self::LinkDown
            | Self::LinkRefused => true,
            Self::Accepted
            | Self::Delivered
            | Self::Received
            | Self::Refused
            | Self::AgentCreated
            | Self::AgentDeleted
            | Self::Other => false,
        }
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
    }
}
