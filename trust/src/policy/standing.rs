//! How far both networks satisfy `verified`.

use entente_lexicon::Timestamp;

use super::Reason;

/// Documents fetched longer ago than this vouch for nothing: a day.
pub const DOCUMENT_LIFE_MS: u64 = 24 * 60 * 60 * 1000;

/// An admin's word that the peer's fingerprint is the right one, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval {
    /// From when it holds.
    pub not_before: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// Tells it from every other.
    pub nonce: [u8; 16],
}

impl Approval {
    /// Tells whether it holds now.
    #[must_use]
    pub const fn holds(&self, now: Timestamp) -> bool {
        self.not_before.0 <= now.0 && now.0 < self.expires.0
    }
}

/// What both networks have done towards `verified`, at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// We have approved the peer.
    pub approved: bool,
    /// The peer has shown an attestation that it approved us.
    pub attested: bool,
    /// The peer's documents were fetched within a day.
    pub fresh: bool,
}

impl Standing {
    /// Nothing was done.
    pub const NONE: Self = Self {
        approved: false,
        attested: false,
        fresh: false,
    };

    /// Everything was.
    pub const WHOLE: Self = Self {
        approved: true,
        attested: true,
        fresh: true,
    };

    /// Says what is lacking first.
    #[must_use]
    pub const fn lacks(self) -> Option<Reason> {
        if !self.approved {
            Some(Reason::ApprovalNeeded)
        } else if !self.attested {
            Some(Reason::ApprovalAwaited)
        } else if !self.fresh {
            Some(Reason::DocumentsStale)
        } else {
            None
        }
    }
}
