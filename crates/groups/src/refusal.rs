//! Why an act or a word is refused.

/// Why an act or a word is refused; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Only the owner does that.
    #[error("the owner alone says who is in a group and what it is called")]
    NotOwner,
    /// The owner cannot leave.
    #[error("the owner of a group stays: delete the group to end it")]
    OwnerStays,
    /// This agent is not in.
    #[error("this agent is not in the group")]
    NotJoined,
    /// There is no invitation to take or turn down.
    #[error("there is no open invitation to this group")]
    NotInvited,
    /// It is in already.
    #[error("the agent is in the group already")]
    AlreadyMember,
    /// Whoever speaks, or is spoken of, is not in.
    #[error("the agent is not in the group")]
    NotMember,
    /// There is no room.
    #[error("a group has at most 100 members, its owner and those who are invited among them")]
    Full,
    /// A name that is none, or a roster that is too long.
    #[error("a group's name is 1 to 200 bytes long, and the list of its members at most 40 KiB")]
    Unfit,
    /// The roster is not the owner's, or the key is not the roster's.
    #[error("the roster or its key is not what the owner made")]
    Forged,
    /// What was said is of an epoch before the newest.
    #[error("it was said under a key that has been replaced")]
    OldEpoch,
    /// What was said is of an epoch that this agent has not heard of.
    #[error("it was said under a key that this agent does not have yet")]
    UnknownEpoch,
    /// Something that was said before has not come yet.
    #[error("what was said before it has not come yet")]
    OutOfOrder,
}

impl Refusal {
    /// Returns the stable code, as docs/protocol/errors.md lists it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotOwner => "GROUP_NOT_OWNER",
            Self::OwnerStays => "GROUP_OWNER_STAYS",
            Self::NotJoined => "GROUP_NOT_JOINED",
            Self::NotInvited => "GROUP_NOT_INVITED",
            Self::AlreadyMember => "GROUP_ALREADY_MEMBER",
            Self::NotMember => "GROUP_NOT_MEMBER",
            Self::Full => "GROUP_FULL",
            Self::Unfit => "GROUP_UNFIT",
            Self::Forged => "GROUP_FORGED",
            Self::OldEpoch => "GROUP_OLD_EPOCH",
            Self::UnknownEpoch => "GROUP_UNKNOWN_EPOCH",
            Self::OutOfOrder => "GROUP_OUT_OF_ORDER",
        }
    }
}
