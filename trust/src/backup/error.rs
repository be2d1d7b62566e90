//! Why a backup is refused.

/// Why a backup cannot be read. Nothing is restored from one that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// No sealed part of a backup, or one of another kind than its place says.
    #[error(
        "the bytes are no part of a backup, or another kind of part: put the right object back"
    )]
    Malformed,
    /// A later release wrote it.
    #[error(
        "the backup has a version that this release does not know: restore with a newer release"
    )]
    UnknownVersion,
    /// Another master key sealed it.
    #[error(
        "the backup was sealed under another ENCRYPTION_MASTER_KEY: set that key, or name it in ENCRYPTION_MASTER_KEY_PREVIOUS"
    )]
    WrongKey,
    /// It is of another network, or of another agent or link.
    #[error("the backup belongs to another network, agent or link: put its own back in its place")]
    OtherOwner,
    /// It is of another generation than its place says.
    #[error(
        "the backup is of another generation than its name says: an older one was put in its place; ask for that one by its own number if it is what you want"
    )]
    OtherGeneration,
    /// A chunk stands where another should.
    #[error("a chunk stands in another's place: put the chunks back in order")]
    Misplaced,
    /// A chunk, or the end of one, is missing.
    #[error(
        "a chunk of the backup is missing or cut off: restore another generation by its number"
    )]
    Truncated,
    /// A chunk or manifest was changed.
    #[error(
        "the backup was changed after it was written: restore another generation by its number"
    )]
    Damaged,
    /// What was opened is not what a snapshot consists of.
    #[error(
        "the backup opens, but does not hold what a snapshot holds: restore another generation by its number"
    )]
    Invalid,
    /// More than a snapshot may be.
    #[error("there is more to back up than a snapshot may hold")]
    TooLarge,
}

impl BackupError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "BACKUP_MALFORMED",
            Self::UnknownVersion => "BACKUP_UNKNOWN_VERSION",
            Self::WrongKey => "BACKUP_WRONG_KEY",
            Self::OtherOwner => "BACKUP_OTHER_OWNER",
            Self::OtherGeneration => "BACKUP_OTHER_GENERATION",
            Self::Misplaced => "BACKUP_MISPLACED",
            Self::Truncated => "BACKUP_TRUNCATED",
            Self::Damaged => "BACKUP_DAMAGED",
            Self::Invalid => "BACKUP_INVALID",
            Self::TooLarge => "BACKUP_TOO_LARGE",
        }
    }
}
