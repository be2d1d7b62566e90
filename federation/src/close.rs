//! Why a socket closes: one table of WebSocket close codes and of what the dialler does next.

use entente_trust::policy::Reason;

use crate::code::Code;
use crate::handshake::fault::Misbehaved;

/// What the side that may dial does after a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// In good order: dial again as soon as there is work.
    Now,
    /// Something failed: dial again with backoff.
    Soon,
    /// The other side does not want this link: dial again rarely.
    Later,
}

macro_rules! close_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $retry:ident;)*) => {
        /// Why a socket is closed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CloseCode {
            $($(#[$doc])* $name,)*
        }

        impl CloseCode {
            /// Every close code, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the WebSocket close code.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }

            /// Returns the reason's text, which is also its stable code.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Returns what the dialler does next.
            #[must_use]
            pub const fn retry(self) -> Retry {
                match self { $(Self::$name => Retry::$retry,)* }
            }

            /// Reads a WebSocket close code.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

close_codes! {
    /// No work for a while.
    Idle = 4400, "IDLE", Now;
    /// Both sides dialled at once and the other socket stays.
    Duplicate = 4401, "DUPLICATE", Now;
    /// A newer session took over.
    Replaced = 4402, "REPLACED", Now;
    /// The level changed and has to be agreed on again.
    PolicyChanged = 4403, "POLICY_CHANGED", Now;
    /// This side has no memory of the session.
    SessionLost = 4404, "SESSION_LOST", Now;
    /// Too many handshakes at once.
    Busy = 4405, "BUSY", Soon;
    /// Nothing was heard although an answer was due.
    Silence = 4406, "SILENCE", Soon;
    /// This side removed the peer.
    Removed = 4407, "REMOVED", Later;
    /// One side's level is `private`.
    PolicyPrivate = 4408, "POLICY_PRIVATE", Later;
    /// The level is `verified` and this side's admin has not approved the other network.
    ApprovalNeeded = 4409, "APPROVAL_NEEDED", Later;
    /// The peer's keys changed in a way that its log does not prove: a person must look.
    KeyChanged = 4410, "KEY_CHANGED", Later;
    /// A network has new keys, and its sessions go on under those.
    KeyRotated = 4411, "KEY_ROTATED", Now;
    /// The level is `verified` and the other network shows no attestation that holds.
    AttestationMissing = 4412, "ATTESTATION_MISSING", Later;
    /// The other side banned this one.
    Banned = 4413, "BANNED", Later;
    /// The links of one side hold too many bytes together, and this one the most.
    OverBudget = 4417, "OVER_BUDGET", Soon;
    /// Frames without end while no message moves.
    Flood = 4418, "FLOOD", Soon;
    /// [`Misbehaved::MalformedFrame`].
    MalformedFrame = 4420, "MALFORMED_FRAME", Soon;
    /// [`Misbehaved::OversizeFrame`].
    OversizeFrame = 4421, "OVERSIZE_FRAME", Soon;
    /// [`Misbehaved::UnexpectedFrame`].
    UnexpectedFrame = 4422, "UNEXPECTED_FRAME", Soon;
    /// [`Misbehaved::HandshakeTimeout`].
    HandshakeTimeout = 4423, "HANDSHAKE_TIMEOUT", Soon;
    /// [`Misbehaved::WrongRecipient`].
    WrongRecipient = 4424, "WRONG_RECIPIENT", Later;
    /// [`Misbehaved::OwnDid`].
    OwnDid = 4425, "OWN_DID", Later;
    /// [`Misbehaved::UpgradeMismatch`].
    UpgradeMismatch = 4426, "UPGRADE_MISMATCH", Later;
    /// [`Misbehaved::NoCommonVersion`].
    NoCommonVersion = 4427, "NO_COMMON_VERSION", Later;
    /// [`Misbehaved::NoCommonSuite`].
    NoCommonSuite = 4428, "NO_COMMON_SUITE", Later;
    /// [`Misbehaved::StaleDocument`].
    StaleDocument = 4429, "STALE_DOCUMENT", Soon;
    /// [`Misbehaved::HostMismatch`].
    HostMismatch = 4430, "HOST_MISMATCH", Later;
    /// [`Misbehaved::UnknownKey`].
    UnknownKey = 4431, "UNKNOWN_KEY", Soon;
    /// [`Misbehaved::BadKemKey`].
    BadKemKey = 4432, "BAD_KEM_KEY", Soon;
    /// [`Misbehaved::WrongPeer`].
    WrongPeer = 4433, "WRONG_PEER", Later;
    /// [`Misbehaved::NotOffered`].
    NotOffered = 4434, "NOT_OFFERED", Later;
    /// [`Misbehaved::BadSignature`].
    BadSignature = 4435, "BAD_SIGNATURE", Soon;
    /// [`Misbehaved::BadMac`].
    BadMac = 4436, "BAD_MAC", Soon;
    /// [`Misbehaved::StaleDial`].
    StaleDial = 4437, "STALE_DIAL", Soon;
    /// [`Misbehaved::LevelTooOpen`].
    LevelTooOpen = 4438, "LEVEL_TOO_OPEN", Later;
    /// [`Misbehaved::Replayed`].
    Replayed = 4439, "REPLAYED", Soon;
    /// [`Misbehaved::OutOfWindow`].
    OutOfWindow = 4440, "OUT_OF_WINDOW", Soon;
    /// [`Misbehaved::StaleEpoch`].
    StaleEpoch = 4441, "STALE_EPOCH", Soon;
    /// [`Misbehaved::BadReceipt`].
    BadReceipt = 4442, "BAD_RECEIPT", Soon;
}

impl CloseCode {
    /// Returns what a close by the peer means for us: what is needed there is awaited here, and the
    /// other way round.
    #[must_use]
    pub fn by_peer(self) -> Code {
        if self == Self::ApprovalNeeded {
            Code::from_static(Reason::ApprovalAwaited.code())
        } else if self == Self::AttestationMissing {
            Code::from_static(Reason::ApprovalNeeded.code())
        } else {
            self.code()
        }
    }

    /// Returns the reason as a code for views and receipts.
    #[must_use]
    pub fn code(self) -> Code {
        Code::from_static(self.as_str())
    }
}

impl From<Misbehaved> for CloseCode {
    fn from(fault: Misbehaved) -> Self {
        match fault {
            Misbehaved::BadKemKey => Self::BadKemKey,
            Misbehaved::BadMac => Self::BadMac,
            Misbehaved::BadReceipt => Self::BadReceipt,
            Misbehaved::BadSignature => Self::BadSignature,
            Misbehaved::HandshakeTimeout => Self::HandshakeTimeout,
            Misbehaved::HostMismatch => Self::HostMismatch,
            Misbehaved::LevelTooOpen => Self::LevelTooOpen,
            Misbehaved::MalformedFrame => Self::MalformedFrame,
            Misbehaved::NoCommonSuite => Self::NoCommonSuite,
            Misbehaved::NoCommonVersion => Self::NoCommonVersion,
            Misbehaved::NotOffered => Self::NotOffered,
            Misbehaved::OutOfWindow => Self::OutOfWindow,
            Misbehaved::OversizeFrame => Self::OversizeFrame,
            Misbehaved::OwnDid => Self::OwnDid,
            Misbehaved::Replayed => Self::Replayed,
            Misbehaved::StaleDial => Self::StaleDial,
            Misbehaved::StaleDocument => Self::StaleDocument,
            Misbehaved::StaleEpoch => Self::StaleEpoch,
            Misbehaved::UnexpectedFrame => Self::UnexpectedFrame,
            Misbehaved::UnknownKey => Self::UnknownKey,
            Misbehaved::UpgradeMismatch => Self::UpgradeMismatch,
            Misbehaved::WrongPeer => Self::WrongPeer,
            Misbehaved::WrongRecipient => Self::WrongRecipient,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_code_reads_back_and_has_a_code_of_its_own() {
        let mut last = 0;
        for close in CloseCode::ALL {
            assert!((4400..4500).contains(&close.number()) && close.number() > last);
            last = close.number();
            assert_eq!(CloseCode::from_number(close.number()), Some(*close));
            assert_eq!(close.code().as_str(), close.as_str());
        }
        assert_eq!(CloseCode::from_number(1006), None);
    }
}
