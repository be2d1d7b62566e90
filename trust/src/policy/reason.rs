//! Why an item does not pass.

/// Why an item does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// The level is private.
    #[error("the trust level between these networks is private: nothing passes")]
    Private,
    /// The peer is banned.
    #[error("this network has banned the other: nothing passes until an admin lifts the ban")]
    Banned,
    /// Nothing may come in.
    #[error("this network takes nothing in over this link: an admin can set allowInbound")]
    Inbound,
    /// Nothing may go out.
    #[error("this network sends nothing out over this link: an admin can set allowOutbound")]
    Outbound,
    /// The peer's agent is not on the list.
    #[error("the agent is not on the list of those that may talk; an admin can add it")]
    NotAllowed,
    /// The event's collection is not on the list.
    #[error("the collection is not on the list of those that pass; an admin can add it")]
    CollectionNotAllowed,
    /// The event was made in a network that may not pass through this link.
    #[error("events of that network may not pass through this link; an admin can allow it")]
    NetworkNotAllowed,
    /// Our admin has not approved the peer, or no longer.
    #[error("an admin here must approve the peer by its fingerprint first")]
    ApprovalNeeded,
    /// The peer's admin has not approved us, or no longer.
    #[error("the peer's admin must approve this network by its fingerprint first")]
    ApprovalAwaited,
    /// The peer's documents are older than a day.
    #[error("the peer's documents could not be fetched for a day")]
    DocumentsStale,
    /// The origin agent's signature is missing.
    #[error("the item carries no signature of the agent it comes from")]
    OriginMissing,
    /// The origin agent's signature cannot be checked, because its card cannot be had.
    #[error(
        "the card of the agent that the item comes from cannot be had: its signature is unchecked"
    )]
    OriginUnverified,
    /// The origin agent's signature does not verify.
    #[error("the item's origin signature is not by the agent it claims to come from")]
    OriginWrong,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::Private,
        Self::Banned,
        Self::Inbound,
        Self::Outbound,
        Self::NotAllowed,
        Self::CollectionNotAllowed,
        Self::NetworkNotAllowed,
        Self::ApprovalNeeded,
        Self::ApprovalAwaited,
        Self::DocumentsStale,
        Self::OriginMissing,
        Self::OriginUnverified,
        Self::OriginWrong,
    ];

    /// Returns the stable code told to the sender.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Private => "POLICY_PRIVATE",
            Self::Banned => "BANNED",
            Self::Inbound => "INBOUND_CLOSED",
            Self::Outbound => "OUTBOUND_CLOSED",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::CollectionNotAllowed => "COLLECTION_NOT_ALLOWED",
            Self::NetworkNotAllowed => "NETWORK_NOT_ALLOWED",
            Self::ApprovalNeeded => "APPROVAL_NEEDED",
            Self::ApprovalAwaited => "APPROVAL_AWAITED",
            Self::DocumentsStale => "DOCUMENTS_STALE",
            Self::OriginMissing => "ORIGIN_MISSING",
            Self::OriginUnverified => "ORIGIN_UNVERIFIED",
            Self::OriginWrong => "ORIGIN_INVALID",
        }
    }
}
