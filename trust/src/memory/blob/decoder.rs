//! Opening a blob as it comes, whatever the pieces it comes in.

use std::fmt;

use super::{BlobReader, SEALED_CHUNK_LENGTH, sealed_length};
use crate::memory::MemoryError;

/// Opens a blob piece by piece, holding one chunk at most.
///
/// What it gives out is authentic as far as it goes; that it was all of it is known when
/// [`BlobDecoder::finish`] says so. The last chunk comes only then. After an error nothing more
/// comes.
pub struct BlobDecoder {
    reader: BlobReader,
    stored: u64,
    index: u64,
    waiting: Vec<u8>,
    failed: Option<MemoryError>,
}

impl BlobDecoder {
    pub(super) fn new(reader: BlobReader, stored: u64) -> Self {
        Self {
            reader,
            stored,
            index: 0,
            waiting: Vec::with_capacity(SEALED_CHUNK_LENGTH),
            failed: None,
        }
    }

    /// Takes more of the body and appends what opens of it to `out`.
    ///
    /// # Errors
    /// [`MemoryError`]: `BlobChunkDamaged`, `BlobChunkMissing`, `BlobChunkRepeated`,
    /// `BlobChunkMisplaced`, `BlobExtended`; the same again when called again.
    pub fn push(&mut self, mut sealed: &[u8], out: &mut Vec<u8>) -> Result<(), MemoryError> {
        while !sealed.is_empty() {
            if let Some(error) = self.failed {
                return Err(error);
            }
            let room = SEALED_CHUNK_LENGTH - self.waiting.len();
            let (now, later) = sealed.split_at(room.min(sealed.len()));
            self.waiting.extend_from_slice(now);
            sealed = later;
            // The last chunk waits for the end, in case that something follows it.
            let last = self.reader.is_last(self.index);
            let full = self.waiting.len() == SEALED_CHUNK_LENGTH;
            if full && (!last || self.overflows(sealed)) {
                self.take(out)?;
            }
        }
        self.failed.map_or(Ok(()), Err)
    }

    /// Appends the last chunk, if everything was there and nothing more.
    ///
    /// # Errors
    /// [`MemoryError`], as [`BlobDecoder::push`], and `BlobTruncated`.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), MemoryError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let expected = self.reader.stored_length(self.index);
        if self.reader.is_last(self.index) && self.waiting.len() == expected {
            return self.take(out);
        }
        let found = self.reader.whereabouts(self.index, &self.waiting);
        Err(match (found, self.waiting.len() > expected) {
            (Some(other), _) => self.out_of_place(other),
            (None, true) => MemoryError::BlobExtended,
            (None, false) => MemoryError::BlobTruncated,
        })
    }

    /// Whether more is waiting than the last chunk is long.
    fn overflows(&self, more: &[u8]) -> bool {
        self.waiting.len() > self.reader.stored_length(self.index) || !more.is_empty()
    }

    fn take(&mut self, out: &mut Vec<u8>) -> Result<(), MemoryError> {
        if self.index >= self.reader.count() {
            return self.fail(MemoryError::BlobExtended);
        }
        let length = self.reader.stored_length(self.index);
        let opened = self
            .waiting
            .get(..length)
            .and_then(|front| self.reader.try_at(self.index, front));
        let Some(plaintext) = opened else {
            let found = self.reader.whereabouts(self.index, &self.waiting);
            let error = found.map_or(MemoryError::BlobChunkDamaged, |other| {
                self.out_of_place(other)
            });
            return self.fail(error);
        };
        if self.waiting.len() > length {
            return self.fail(MemoryError::BlobExtended);
        }
        out.extend_from_slice(&plaintext);
        self.index += 1;
        self.waiting.clear();
        Ok(())
    }

    /// Names what happened where `other` stands in the place of the chunk that is due.
    fn out_of_place(&self, other: u64) -> MemoryError {
        let expected = sealed_length(self.reader.size());
        if other < self.index && self.stored > expected {
            MemoryError::BlobChunkRepeated
        } else if other > self.index && self.stored < expected {
            MemoryError::BlobChunkMissing
        } else {
            MemoryError::BlobChunkMisplaced
        }
    }

    fn fail(&mut self, error: MemoryError) -> Result<(), MemoryError> {
        self.failed = Some(error);
        Err(error)
    }
}

impl fmt::Debug for BlobDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobDecoder(at chunk {})", self.index)
    }
}
