//! Why something of an agent's memory is not sealed or not opened.

/// Each way in which sealed memory is refused. Nothing is changed by a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// The plaintext of a record is too long.
    #[error("a record is at most 128 KiB; store more as a blob and refer to it")]
    RecordTooLarge,
    /// Not an envelope of a record: another magic, or flags that are not zero.
    #[error("the bytes are no record envelope; write it anew from a backup or an export")]
    RecordMalformed,
    /// Shorter than the shortest envelope, or longer than the longest.
    #[error(
        "the record's envelope is cut off or too long; restore it from the replica or a backup"
    )]
    RecordLength,
    /// A suite that this release does not know.
    #[error("the record is sealed with a suite that this release does not know; upgrade")]
    RecordUnknownSuite,
    /// An older version of this record stands where a newer one belongs.
    #[error("an older version of the record was put back; restore the version that the repo signs")]
    RecordOldVersion,
    /// The key, owner, place or version is another one: the envelope was moved or swapped.
    #[error("the envelope belongs to another record or key; restore the one that the repo signs")]
    RecordMismatch,
    /// The right key and place, but the ciphertext was changed, cut or extended.
    #[error("the record's ciphertext was changed, cut or extended; restore it from a backup")]
    RecordDamaged,
    /// An owner's row is 77 bytes long.
    #[error("an owner's row is 77 bytes long; restore it from the replica or a backup")]
    WrapLength,
    /// A version of the row that this release does not know.
    #[error("the owner's row has a version that this release does not know; upgrade")]
    WrapUnknownVersion,
    /// No key of the epoch that the row names is at hand.
    #[error("the row needs the KEK of another epoch; open the epoch that it names")]
    WrapOtherEpoch,
    /// The row belongs to another record or DEK, or was changed.
    #[error("the owner's row belongs to another record, or was changed; restore it from a backup")]
    WrapMismatch,
    /// The length does not fit the KEM that the row names.
    #[error("the shared row is cut off or too long; ask its owner to share again")]
    ShareLength,
    /// A version of the row that this release does not know.
    #[error("the shared row has a version that this release does not know; upgrade")]
    ShareUnknownVersion,
    /// A KEM that this release does not know.
    #[error("the shared row uses a KEM that this release does not know; upgrade")]
    ShareUnknownKem,
    /// The row is for another key than the one at hand.
    #[error("the row was made for another recipient or another of its keys; ask to share again")]
    ShareWrongRecipient,
    /// The owner did not sign this row for this record, DEK and recipient.
    #[error("the owner did not sign this row for this record and recipient; ask to share again")]
    ShareBadSignature,
    /// The owner signed it, and yet it does not open.
    #[error("the owner signed a row that does not open; ask to share again")]
    ShareUnopenable,
    /// The recipient's key cannot be used.
    #[error("the recipient's key cannot be used; fetch its card again")]
    ShareBadKey,
    /// Not the header of a blob.
    #[error("the bytes are no blob header; restore the record that refers to the blob")]
    BlobMalformed,
    /// A suite that this release does not know.
    #[error("the blob is sealed with a suite that this release does not know; upgrade")]
    BlobUnknownSuite,
    /// The key, owner or place is another one.
    #[error(
        "the blob's header belongs to another blob or key; restore the record that refers to it"
    )]
    BlobMismatch,
    /// Too long, or a chunk beyond the end.
    #[error("a blob is at most 10,000 parts of 8 MiB, and has no chunks beyond its end")]
    BlobTooLarge,
    /// A chunk was changed, or stands far from its place.
    #[error("a chunk of the blob was changed; restore the blob from a backup")]
    BlobChunkDamaged,
    /// A chunk is missing here.
    #[error("a chunk of the blob is missing; upload the part again or restore the blob")]
    BlobChunkMissing,
    /// A chunk stands here twice.
    #[error("a chunk of the blob is there twice; upload the part again or restore the blob")]
    BlobChunkRepeated,
    /// A chunk of the blob stands in the place of another one.
    #[error("chunks of the blob changed places; upload the part again or restore the blob")]
    BlobChunkMisplaced,
    /// The blob ends too early.
    #[error("the blob is cut off; upload what is missing or restore the blob")]
    BlobTruncated,
    /// Something follows the blob's last chunk.
    #[error("something follows the blob's end; restore the blob")]
    BlobExtended,
    /// A part that is not the last one is 8 MiB long; the last one is shorter, and not empty.
    #[error("every part but the last one is 8 MiB long; cut the upload so")]
    BlobPartLength,
    /// The part was begun with other bytes before.
    #[error("the part was begun with other bytes; upload the same bytes, or begin a new blob")]
    BlobPartChanged,
    /// Nothing becomes public by the way.
    #[error("a record becomes public only by the act of its own: POST …/memory/:id/public")]
    PublicNeedsAct,
    /// A public record has no one it is shared with.
    #[error("a public record is readable by everyone; make it private before sharing it")]
    AlreadyPublic,
}

impl MemoryError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::RecordTooLarge => "RECORD_TOO_LARGE",
            Self::RecordMalformed => "RECORD_MALFORMED",
            Self::RecordLength => "RECORD_LENGTH",
            Self::RecordUnknownSuite => "RECORD_UNKNOWN_SUITE",
            Self::RecordOldVersion => "RECORD_OLD_VERSION",
            Self::RecordMismatch => "RECORD_MISMATCH",
            Self::RecordDamaged => "RECORD_DAMAGED",
            Self::WrapLength => "WRAP_LENGTH",
            Self::WrapUnknownVersion => "WRAP_UNKNOWN_VERSION",
            Self::WrapOtherEpoch => "WRAP_OTHER_EPOCH",
            Self::WrapMismatch => "WRAP_MISMATCH",
            Self::ShareLength => "SHARE_LENGTH",
            Self::ShareUnknownVersion => "SHARE_UNKNOWN_VERSION",
            Self::ShareUnknownKem => "SHARE_UNKNOWN_KEM",
            Self::ShareWrongRecipient => "SHARE_WRONG_RECIPIENT",
            Self::ShareBadSignature => "SHARE_BAD_SIGNATURE",
            Self::ShareUnopenable => "SHARE_UNOPENABLE",
            Self::ShareBadKey => "SHARE_BAD_KEY",
            Self::BlobMalformed => "BLOB_MALFORMED",
            Self::BlobUnknownSuite => "BLOB_UNKNOWN_SUITE",
            Self::BlobMismatch => "BLOB_MISMATCH",
            Self::BlobTooLarge => "BLOB_TOO_LARGE",
            Self::BlobChunkDamaged => "BLOB_CHUNK_DAMAGED",
            Self::BlobChunkMissing => "BLOB_CHUNK_MISSING",
            Self::BlobChunkRepeated => "BLOB_CHUNK_REPEATED",
            Self::BlobChunkMisplaced => "BLOB_CHUNK_MISPLACED",
            Self::BlobTruncated => "BLOB_TRUNCATED",
            Self::BlobExtended => "BLOB_EXTENDED",
            Self::BlobPartLength => "BLOB_PART_LENGTH",
            Self::BlobPartChanged => "BLOB_PART_CHANGED",
            Self::PublicNeedsAct => "PUBLIC_NEEDS_ACT",
            Self::AlreadyPublic => "ALREADY_PUBLIC",
        }
    }
}
