//! What the checkers see.

use entente_federation::{Change, Event, Item, Limits, Stream, Streams};
use entente_lexicon::TrustLevel;
use entente_trust::policy::Policy;

/// One thing that happened. Messages are named by the number in their id.
#[derive(Debug)]
pub(crate) enum Fact<'a> {
    /// A link stored a message: from here on it owes its sender an answer.
    Accepted { item: &'a Item, policy: &'a Policy },
    /// A link refused a message at once.
    Refused { message: u64 },
    /// A sender was told that its stored message may no longer cross.
    Withdrawn { message: u64 },
    /// A sender was told that its message was never sent and has expired.
    Expired { message: u64 },
    /// An agent said that a message came too late, by its clock.
    TooLate { message: u64 },
    /// A sender was told that nobody knows what became of its message, yet or for good.
    Unconfirmed { message: u64, is_final: bool },
    /// A link took an event or a control record for its peer.
    Offered {
        end: usize,
        stream: Stream,
        item: &'a Item,
    },
    /// A driver is about to store this; `filters` if the end's policy lets not everything in.
    Stored {
        end: usize,
        change: &'a Change,
        filters: bool,
    },
    /// A sender was told what the peer made of its message.
    Settled { message: u64, refused: bool },
    /// A receiving link stored its refusal of a message.
    Rejected { message: u64 },
    /// A receiving link handed a message on in this life; so many wait there now. Its place is
    /// (epoch, number), as is the end of what its store says is settled.
    Handed {
        end: usize,
        life: u64,
        place: (u64, u64),
        settled: (u64, u64),
        item: &'a Item,
        policy: &'a Policy,
        waiting: usize,
    },
    /// An agent committed a message as new; an orphan's call outlived the machine that made it.
    Committed {
        message: u64,
        from: usize,
        to: usize,
        is_orphan: bool,
    },
    /// A link sent a frame; so many bytes are under way on that socket now.
    Transmitted {
        end: usize,
        level: TrustLevel,
        frame: &'a [u8],
        under_way: usize,
    },
    /// A link asked for a socket.
    Dialled { end: usize, level: TrustLevel },
    /// A link said something; calm is long after the last fault.
    Told {
        end: usize,
        event: &'a Event,
        calm: bool,
    },
    /// A link is at rest after an input, its changes stored.
    Rested(Rest),
    /// The run is over.
    Left(Rest),
}

/// A link at rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub(crate) end: usize,
    pub(crate) level: TrustLevel,
    pub(crate) limits: Limits,
    /// What the link counts as not acknowledged.
    pub(crate) queued: Streams<u64>,
    /// What its store holds.
    pub(crate) rows: Streams<u64>,
    pub(crate) bytes: Streams<u64>,
    pub(crate) rejects: usize,
    pub(crate) has_alarm: bool,
}

/// The number in a message's id.
pub(crate) fn number(id: &[u8; 16]) -> u64 {
    id.iter()
        .take(8)
        .fold(0, |all, byte| (all << 8) | u64::from(*byte))
}
