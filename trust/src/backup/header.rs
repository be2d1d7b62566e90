//! The header of every sealed part, and the key that follows from it.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::BackupError;
use crate::crypto::hash::sha256;
use crate::crypto::rest::{KeyRing, MasterKey};

const MAGIC: [u8; 3] = *b"ENB";
const VERSION: u8 = b'1';
const LABEL: &[u8] = b"entente backup";
const OWNER_LABEL: &[u8] = b"entente backup owner";
pub(super) const SALT_LENGTH: usize = 24;
const KEY_ID_LENGTH: usize = 8;
const OWNER_LENGTH: usize = 16;
const HEADER_LENGTH: usize = 4 + 1 + KEY_ID_LENGTH + OWNER_LENGTH + 8 + SALT_LENGTH + 8;
const TAG_LENGTH: usize = 16;
/// How many bytes a sealed part is longer than what it holds.
pub(super) const OVERHEAD: usize = HEADER_LENGTH + TAG_LENGTH;

/// What a sealed part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A chunk of a snapshot.
    Chunk,
    /// The manifest of a snapshot.
    Manifest,
    /// The index of a network's generation.
    Index,
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Self::Chunk => 1,
            Self::Manifest => 2,
            Self::Index => 3,
        }
    }
}

/// Whose a backup is, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The network's DID.
    pub network: &'a str,
    /// What of the network: `relay`, `directory`, `link/<peer's DID>`, `agent/<DID>`, or `network` for
    /// the index.
    pub subject: &'a str,
    /// The number of the generation.
    pub generation: u64,
}

impl Place<'_> {
    fn owner(&self) -> [u8; OWNER_LENGTH] {
        let context = context(&[self.network.as_bytes(), self.subject.as_bytes()]);
        let hash = sha256(&[OWNER_LABEL, &context]);
        let mut owner = [0; OWNER_LENGTH];
        owner.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        owner
    }
}

/// Which part of a snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot<'a> {
    pub(super) place: Place<'a>,
    pub(super) kind: Kind,
    pub(super) index: u64,
}

/// Length-prefixed, so that no two lists of parts read the same.
fn context(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

impl Slot<'_> {
    fn header(&self, key_id: &[u8; KEY_ID_LENGTH], salt: &[u8; SALT_LENGTH]) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_LENGTH);
        header.extend_from_slice(&MAGIC);
        header.push(VERSION);
        header.push(self.kind.number());
        header.extend_from_slice(key_id);
        header.extend_from_slice(&self.place.owner());
        header.extend_from_slice(&self.place.generation.to_be_bytes());
        header.extend_from_slice(salt);
        header.extend_from_slice(&self.index.to_be_bytes());
        header
    }

    fn cipher(&self, master: &MasterKey, salt: &[u8; SALT_LENGTH]) -> XChaCha20Poly1305 {
        let context = context(&[
            self.place.network.as_bytes(),
            self.place.subject.as_bytes(),
            &self.place.generation.to_be_bytes(),
            &[self.kind.number()],
            salt,
        ]);
        let key = master.derive(&[LABEL, &context]);
        XChaCha20Poly1305::new(&(*key).into())
    }

    fn nonce(&self) -> XNonce {
        let mut nonce = [0; 24];
        let from = self.index.to_be_bytes();
        nonce
            .iter_mut()
            .skip(16)
            .zip(from)
            .for_each(|(to, from)| *to = from);
        XNonce::from(nonce)
    }

    /// Seals what stands here. The caller sees to it that nothing else is sealed in the same slot
    /// under the same salt.
    pub(super) fn seal(&self, ring: &KeyRing, salt: &[u8; SALT_LENGTH], plain: &[u8]) -> Vec<u8> {
        let master = ring.current();
        let header = self.header(&master.key_id(), salt);
        let payload = Payload {
            msg: plain,
            aad: &header,
        };
        #[expect(
            clippy::expect_used,
            reason = "encryption fails only beyond 256 GiB; a silent failure would lose a backup"
        )]
        let sealed = self
            .cipher(master, salt)
            .encrypt(&self.nonce(), payload)
            .expect("a part is short");
        [header, sealed].concat()
    }

    /// Opens what stands here, and returns it with its salt.
    pub(super) fn open(
        &self,
        ring: &KeyRing,
        sealed: &[u8],
    ) -> Result<(Zeroizing<Vec<u8>>, [u8; SALT_LENGTH]), BackupError> {
        let mut rest = Reader(sealed);
        if rest.take::<3>()? != MAGIC {
            return Err(BackupError::Malformed);
        }
        if rest.take::<1>()? != [VERSION] {
            return Err(BackupError::UnknownVersion);
        }
        if rest.take::<1>()? != [self.kind.number()] {
            return Err(BackupError::Malformed);
        }
        let key_id = rest.take::<KEY_ID_LENGTH>()?;
        let owner = rest.take::<OWNER_LENGTH>()?;
        let generation = u64::from_be_bytes(rest.take()?);
        let salt = rest.take::<SALT_LENGTH>()?;
        let index = u64::from_be_bytes(rest.take()?);
        if owner != self.place.owner() {
            return Err(BackupError::OtherOwner);
        }
        if generation != self.place.generation {
            return Err(BackupError::OtherGeneration);
        }
        if index != self.index {
            return Err(BackupError::Misplaced);
        }
        let master = ring.named(&key_id).ok_or(BackupError::WrongKey)?;
        let payload = Payload {
            msg: rest.0,
            aad: &self.header(&key_id, &salt),
        };
        let plain = self
            .cipher(master, &salt)
            .decrypt(&self.nonce(), payload)
            .map_err(|_error| BackupError::Damaged)?;
        Ok((Zeroizing::new(plain), salt))
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BackupError> {
        let (front, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(BackupError::Malformed)?;
        self.0 = rest;
        Ok(*front)
    }
}
