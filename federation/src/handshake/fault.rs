//! Every way in which a peer can break the protocol.

/// How a peer broke the protocol: one variant per check of `docs/protocol/federation.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Misbehaved {
    /// The KEM key cannot be encapsulated to.
    BadKemKey,
    /// The MAC or session tag is wrong.
    BadMac,
    /// An acknowledgement's signature or content does not fit what was sent.
    BadReceipt,
    /// The signature does not verify.
    BadSignature,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The host is not the one in the document.
    HostMismatch,
    /// The level granted is laxer than the level wanted.
    LevelTooOpen,
    /// The frame's shape, encoding or a field's length is wrong.
    MalformedFrame,
    /// No suite in common.
    NoCommonSuite,
    /// No version in common.
    NoCommonVersion,
    /// The responder chose what was not offered.
    NotOffered,
    /// The peer sent more than the window allows, or left a hole.
    OutOfWindow,
    /// The frame is larger than its kind may be.
    OversizeFrame,
    /// The peer claims our own DID.
    OwnDid,
    /// The counter did not rise.
    Replayed,
    /// The dial number did not rise.
    StaleDial,
    /// The document named is not the current one, even after fetching again.
    StaleDocument,
    /// The stream's epoch went back.
    StaleEpoch,
    /// The frame is valid, but not now.
    UnexpectedFrame,
    /// The kid names no valid key of the peer.
    UnknownKey,
    /// The HELLO's sender is not the one the upgrade named.
    UpgradeMismatch,
    /// The answer comes from another DID than the one dialled.
    WrongPeer,
    /// The HELLO is meant for somebody else.
    WrongRecipient,
}
