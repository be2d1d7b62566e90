//! CAR v1: a header that names one root, then blocks, each with its CID, each behind its length.
//!
//! ```text
//! archive = section(header) section(CID ‖ block) …
//! header  = {"roots": [link], "version": 1}
//! section(x) = unsigned LEB128 of x's length ‖ x
//! ```

use cid::Cid;

use super::block::{CID_LENGTH, CidError, MAX_BLOCK_BYTES, is_named, parse_cid};
use super::cbor::{CborError, Reader, Writer};

/// The header of an archive with one root is shorter than this.
const MAX_HEADER_BYTES: usize = 128;
const MAX_SECTION_BYTES: usize = CID_LENGTH + MAX_BLOCK_BYTES;
/// What is behind a length of more bytes than this is too long in any case.
const MAX_VARINT_BYTES: u32 = 4;

/// Why bytes are no archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarError {
    /// The archive ends within a section, or before its header.
    #[error("the archive is cut short")]
    Truncated,
    /// Not the header of a CAR v1 with one root.
    #[error("the archive does not begin with the header of a CAR v1 with one root")]
    Header,
    /// A length that is not written in its shortest form, or a section that cannot hold a CID.
    #[error("the archive has a section with a wrong length")]
    Length,
    /// A block of more than [`MAX_BLOCK_BYTES`].
    #[error("the archive has a block of more than 1 MiB")]
    TooLarge,
    /// A CID that is none.
    #[error("the archive has a block without a CID")]
    Cid,
    /// A CID of another version, codec or hash function.
    #[error("the archive has a block of a kind that is not known here")]
    Codec,
    /// A block that its CID does not name.
    #[error("the archive has a block that is not the one its CID names")]
    Hash,
}

impl From<CidError> for CarError {
    fn from(error: CidError) -> Self {
        match error {
            CidError::Malformed => Self::Cid,
            CidError::Unknown => Self::Codec,
        }
    }
}

impl From<CborError> for CarError {
    fn from(_error: CborError) -> Self {
        Self::Header
    }
}

/// Returns the first bytes of an archive.
#[must_use]
pub fn header(root: &Cid) -> Vec<u8> {
    header_of(Some(root))
}

/// Returns the first bytes of an archive of blocks that have no root; nobody imports such a one.
#[must_use]
pub fn header_without_root() -> Vec<u8> {
    header_of(None)
}

fn header_of(root: Option<&Cid>) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.map(2);
    writer.text("roots");
    writer.array(root.iter().len());
    if let Some(root) = root {
        writer.link(root);
    }
    writer.text("version");
    writer.unsigned(1);
    let header = writer.into_bytes();
    let mut archive = Vec::with_capacity(header.len() + 1);
    write_length(&mut archive, header.len());
    archive.extend(header);
    archive
}

/// Appends a block to an archive.
pub fn append(archive: &mut Vec<u8>, cid: &Cid, block: &[u8]) {
    write_length(archive, CID_LENGTH + block.len());
    archive.extend(cid.to_bytes());
    archive.extend_from_slice(block);
}

fn write_length(archive: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        archive.extend(u8::try_from(length & 0x7f | 0x80));
        length >>= 7;
    }
    archive.extend(u8::try_from(length));
}

/// Reads an archive as its bytes come in; holds no more of them than one section and what was fed
/// last. Every block's hash is checked.
#[derive(Clone, Debug, Default)]
pub struct CarReader {
    buffer: Vec<u8>,
    /// How much of the buffer has been read.
    read: usize,
    root: Option<Cid>,
}

impl CarReader {
    /// Takes the next bytes. Read all blocks there are before feeding more.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read.min(self.buffer.len()));
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the root, once the header has been read by [`CarReader::block`].
    #[must_use]
    pub const fn root(&self) -> Option<&Cid> {
        self.root.as_ref()
    }

    /// Returns the next block; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`CarError`]; nothing can be read after one.
    pub fn block(&mut self) -> Result<Option<(Cid, Vec<u8>)>, CarError> {
        if self.root.is_none() {
            let Some((header, end)) = self.section(MAX_HEADER_BYTES, CarError::Header)? else {
                return Ok(None);
            };
            self.root = Some(read_header(header)?);
            self.read = end;
        }
        let Some((section, end)) = self.section(MAX_SECTION_BYTES, CarError::TooLarge)? else {
            return Ok(None);
        };
        let (cid, block) = section
            .split_at_checked(CID_LENGTH)
            .ok_or(CarError::Length)?;
        let cid = parse_cid(cid)?;
        if !is_named(&cid, block) {
            return Err(CarError::Hash);
        }
        let block = block.to_vec();
        self.read = end;
        Ok(Some((cid, block)))
    }

    /// Ends. Returns the root.
    ///
    /// # Errors
    /// [`CarError::Truncated`] if the last section is not whole, or nothing came.
    pub fn end(self) -> Result<Cid, CarError> {
        let left = self.read < self.buffer.len();
        self.root.filter(|_root| !left).ok_or(CarError::Truncated)
    }

    /// Returns the section at hand and where it ends in the buffer, if it is whole.
    fn section(
        &self,
        limit: usize,
        too_long: CarError,
    ) -> Result<Option<(&[u8], usize)>, CarError> {
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        let Some((length, behind)) = read_length(rest, too_long)? else {
            return Ok(None);
        };
        if length > limit {
            return Err(too_long);
        }
        let Some(section) = behind.get(..length) else {
            return Ok(None);
        };
        let end = self.read + (rest.len() - behind.len()) + length;
        Ok(Some((section, end)))
    }
}

fn read_header(bytes: &[u8]) -> Result<Cid, CarError> {
    let mut reader = Reader::new(bytes);
    reader.map(2)?;
    reader.member("roots")?;
    if reader.array()? != 1 {
        return Err(CarError::Header);
    }
    let root = reader.link()?;
    reader.member("version")?;
    let version = reader.unsigned()?;
    reader.end()?;
    if version == 1 {
        Ok(root)
    } else {
        Err(CarError::Header)
    }
}

fn read_length(bytes: &[u8], too_long: CarError) -> Result<Option<(usize, &[u8])>, CarError> {
    let mut length = 0_usize;
    let mut rest = bytes;
    for place in 0..MAX_VARINT_BYTES {
        let Some((byte, behind)) = rest.split_first() else {
            return Ok(None);
        };
        rest = behind;
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let shortest = *byte != 0 || place == 0;
            return if shortest {
                Ok(Some((length, rest)))
            } else {
                Err(CarError::Length)
            };
        }
    }
    Err(too_long)
}
