//! Secrets at rest, sealed under the deployment's master key.
//!
//! ```text
//! blob = version (1) ‖ key id (8) ‖ nonce (24) ‖ XChaCha20-Poly1305 ciphertext ‖ tag (16)
//! key id = HKDF-Expand(master, "entente at rest key id")[..8]
//! subkey = HKDF-Expand(master, "entente at rest" ‖ context)
//! context = u32be length ‖ DID ‖ u32be length ‖ purpose
//! aad = version ‖ key id ‖ context
//! ```
//!
//! So a blob opens only under its master key, for its owner and its purpose: one that was moved to
//! another row is as useless as one that was changed.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::kdf::Prk;

const VERSION: u8 = 1;
const KEY_ID_LENGTH: usize = 8;
const NONCE_LENGTH: usize = 24;
const HEADER_LENGTH: usize = 1 + KEY_ID_LENGTH;
const TAG_LENGTH: usize = 16;
/// How many bytes a blob is longer than its secret.
pub const OVERHEAD: usize = HEADER_LENGTH + NONCE_LENGTH + TAG_LENGTH;

/// The deployment's master key, wiped when dropped.
#[derive(Clone)]
pub struct MasterKey {
    prk: Prk,
    id: [u8; KEY_ID_LENGTH],
}

/// The master key, and the one before it while blobs are being resealed.
#[derive(Clone, Debug)]
pub struct KeyRing {
    current: MasterKey,
    previous: Option<MasterKey>,
}

/// The text is not a master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ENCRYPTION_MASTER_KEY must be 32 random bytes as 43 base64url or 64 hex characters; \
     make one with: openssl rand -hex 32"
)]
pub struct BadMasterKey;

/// Why a blob does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// Another master key sealed it.
    #[error("the secret was sealed under another ENCRYPTION_MASTER_KEY; restore that key")]
    WrongMasterKey,
    /// A later release wrote it.
    #[error("the sealed secret has a version that this release does not know")]
    UnknownVersion,
    /// This master key, but the blob was changed, cut or moved.
    #[error("the sealed secret is damaged, or belongs to another owner or purpose")]
    Corrupt,
}

impl MasterKey {
    /// Reads 32 bytes from base64url (with or without padding) or hex; white space around is
    /// ignored.
    ///
    /// # Errors
    /// [`BadMasterKey`], also for 32 equal bytes, which are a placeholder.
    pub fn parse(text: &str) -> Result<Self, BadMasterKey> {
        let text = text.trim();
        let decoded = if text.len() == 64 {
            HEXLOWER_PERMISSIVE.decode(text.as_bytes())
        } else {
            BASE64URL_NOPAD.decode(text.trim_end_matches('=').as_bytes())
        };
        let bytes = Zeroizing::new(decoded.map_err(|_error| BadMasterKey)?);
        let placeholder = bytes
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a == b));
        if bytes.len() != 32 || placeholder {
            return Err(BadMasterKey);
        }
        let prk = Prk::extract(b"entente at rest", &bytes);
        let mut id = [0; KEY_ID_LENGTH];
        let derived = prk.expand(&[b"entente at rest key id"]);
        for (to, from) in id.iter_mut().zip(derived.iter()) {
            *to = *from;
        }
        Ok(Self { prk, id })
    }

    /// Returns the public name of this key, which every blob carries.
    #[must_use]
    pub const fn key_id(&self) -> [u8; KEY_ID_LENGTH] {
        self.id
    }

    /// Seals `secret` for its owner `did` and the `purpose` it serves (such as `signing/<kid>`).
    #[must_use]
    pub fn seal<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
        did: &str,
        purpose: &str,
        secret: &[u8],
    ) -> Vec<u8> {
        let mut nonce = [0; NONCE_LENGTH];
        rng.fill_bytes(&mut nonce);
        let header = self.header();
        let (cipher, aad) = self.cipher(&header, did, purpose);
        let payload = Payload {
            msg: secret,
            aad: &aad,
        };
        #[expect(
            clippy::expect_used,
            reason = "encryption fails only beyond 256 GiB; a silent failure would lose a key"
        )]
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a secret is short");
        [&header[..], &nonce[..], &sealed[..]].concat()
    }

    /// Opens what [`MasterKey::seal`] made for the same owner and purpose.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn open(
        &self,
        did: &str,
        purpose: &str,
        blob: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, RestError> {
        let (header, rest) = blob
            .split_first_chunk::<HEADER_LENGTH>()
            .ok_or(RestError::Corrupt)?;
        let (nonce, sealed) = rest
            .split_first_chunk::<NONCE_LENGTH>()
            .ok_or(RestError::Corrupt)?;
        let [version, key_id @ ..] = header;
        if *version != VERSION {
            return Err(RestError::UnknownVersion);
        }
        if *key_id != self.id {
            return Err(RestError::WrongMasterKey);
        }
        let (cipher, aad) = self.cipher(header, did, purpose);
        let payload = Payload {
            msg: sealed,
            aad: &aad,
        };
        cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_error| RestError::Corrupt)
    }

    /// Derives a key for another purpose than sealing secrets, which `info` names.
    pub(crate) fn derive(&self, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        self.prk.expand(info)
    }

    fn header(&self) -> [u8; HEADER_LENGTH] {
        let [a, b, c, d, e, f, g, h] = self.id;
        [VERSION, a, b, c, d, e, f, g, h]
    }

    fn cipher(&self, header: &[u8], did: &str, purpose: &str) -> (XChaCha20Poly1305, Vec<u8>) {
        let mut aad = header.to_vec();
        for part in [did, purpose] {
            aad.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            aad.extend_from_slice(part.as_bytes());
        }
        let context = aad.get(HEADER_LENGTH..).unwrap_or_default();
        let subkey = self.prk.expand(&[b"entente at rest", context]);
        let cipher = XChaCha20Poly1305::new(&(*subkey).into());
        (cipher, aad)
    }
}

impl KeyRing {
    /// Makes a ring; a previous key that is the current one is none.
    #[must_use]
    pub fn new(current: MasterKey, previous: Option<MasterKey>) -> Self {
        let previous = previous.filter(|previous| previous.id != current.id);
        Self { current, previous }
    }

    /// Returns the key that seals.
    #[must_use]
    pub const fn current(&self) -> &MasterKey {
        &self.current
    }

    /// Tells whether a key of the ring has this public name.
    #[must_use]
    pub fn knows(&self, id: &[u8]) -> bool {
        let previous = self.previous.as_ref().map(MasterKey::key_id);
        self.current.id == *id || previous.is_some_and(|previous| previous == *id)
    }

    /// Returns the key of the ring that has this public name.
    pub(crate) fn named(&self, id: &[u8]) -> Option<&MasterKey> {
        let all = [Some(&self.current), self.previous.as_ref()];
        all.into_iter().flatten().find(|key| key.id == *id)
    }

    /// Tells whether the current key sealed this blob.
    #[must_use]
    pub fn is_current(&self, blob: &[u8]) -> bool {
        blob.get(1..HEADER_LENGTH) == Some(self.current.id.as_slice())
    }

    /// Seals under the current key; see [`MasterKey::seal`].
    #[must_use]
    pub fn seal<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
        did: &str,
        purpose: &str,
        secret: &[u8],
    ) -> Vec<u8> {
        self.current.seal(rng, did, purpose, secret)
    }

    /// Opens what either key sealed; see [`MasterKey::open`].
    ///
    /// # Errors
    /// [`RestError`].
    pub fn open(
        &self,
        did: &str,
        purpose: &str,
        blob: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, RestError> {
        match (&self.previous, self.current.open(did, purpose, blob)) {
            (Some(previous), Err(RestError::WrongMasterKey)) => previous.open(did, purpose, blob),
            (_, outcome) => outcome,
        }
    }

    /// Seals a blob of the previous key anew; `None` if the current key sealed it.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn reseal<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
        did: &str,
        purpose: &str,
        blob: &[u8],
    ) -> Result<Option<Vec<u8>>, RestError> {
        if self.is_current(blob) {
            return Ok(None);
        }
        let secret = self.open(did, purpose, blob)?;
        Ok(Some(self.seal(rng, did, purpose, &secret)))
    }
}

impl From<MasterKey> for KeyRing {
    fn from(current: MasterKey) -> Self {
        Self::new(current, None)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "MasterKey({}…)",
            data_encoding::HEXLOWER.encode(&self.id)
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::test_rng::TestRng;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const OTHER: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const DID: &str = "did:cf:someone";

    fn master() -> MasterKey {
        MasterKey::parse(HEX).unwrap()
    }

    fn sealed() -> Vec<u8> {
        master().seal(&mut TestRng::new(1), DID, "signing/k1", b"secret")
    }

    #[test]
    fn hex_and_base64url_name_the_same_key() {
        let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        for text in [
            base64,
            &format!("{base64}="),
            &HEX.to_uppercase(),
            &format!(" {HEX}\n"),
        ] {
            assert_eq!(MasterKey::parse(text).unwrap().key_id(), master().key_id());
        }
        assert_ne!(MasterKey::parse(OTHER).unwrap().key_id(), master().key_id());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let zeros = "0".repeat(64);
        for bad in [
            "",
            "secret",
            &HEX[1..],
            &format!("{HEX}00"),
            &zeros,
            &"g".repeat(64),
        ] {
            assert_eq!(MasterKey::parse(bad).err(), Some(BadMasterKey), "{bad}");
        }
    }

    #[test]
    fn sealing_twice_gives_different_blobs_of_known_length() {
        let (master, mut rng) = (master(), TestRng::new(1));
        let first = master.seal(&mut rng, DID, "signing/k1", b"secret");
        let second = master.seal(&mut rng, DID, "signing/k1", b"secret");
        assert_ne!(first, second);
        assert_eq!(first.len(), 6 + OVERHEAD);
    }

    #[test]
    fn another_master_key_is_told_from_a_damaged_blob() {
        let other = MasterKey::parse(OTHER).unwrap();
        let wrong = other.open(DID, "signing/k1", &sealed());
        assert_eq!(wrong.unwrap_err(), RestError::WrongMasterKey);
        let mut damaged = sealed();
        *damaged.last_mut().unwrap() ^= 1;
        let corrupt = master().open(DID, "signing/k1", &damaged);
        assert_eq!(corrupt.unwrap_err(), RestError::Corrupt);
        damaged[0] = 2;
        let unknown = master().open(DID, "signing/k1", &damaged);
        assert_eq!(unknown.unwrap_err(), RestError::UnknownVersion);
    }

    #[test]
    fn a_blob_moved_to_another_owner_or_purpose_does_not_open() {
        let blob = sealed();
        assert_eq!(
            **master().open(DID, "signing/k1", &blob).unwrap(),
            *b"secret"
        );
        for (did, purpose) in [
            ("did:cf:other", "signing/k1"),
            (DID, "hybrid/k1"),
            (DID, "signing/k2"),
            ("did:cf:someonesigning", "/k1"),
        ] {
            let moved = master().open(did, purpose, &blob);
            assert_eq!(moved.unwrap_err(), RestError::Corrupt, "{did} {purpose}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let blob = sealed();
        for bit in 0..blob.len() * 8 {
            let mut flipped = blob.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(master().open(DID, "signing/k1", &flipped).is_err(), "{bit}");
        }
        for length in 0..blob.len() {
            assert!(master().open(DID, "signing/k1", &blob[..length]).is_err());
        }
    }

    #[test]
    fn a_ring_opens_what_the_previous_key_sealed_and_seals_it_anew() {
        let old = sealed();
        let ring = KeyRing::new(MasterKey::parse(OTHER).unwrap(), Some(master()));
        assert!(ring.knows(&master().key_id()) && !ring.is_current(&old));
        let (mut rng, purpose) = (TestRng::new(2), "signing/k1");
        let new = ring.reseal(&mut rng, DID, purpose, &old).unwrap().unwrap();
        assert!(ring.is_current(&new));
        assert_eq!(ring.reseal(&mut rng, DID, purpose, &new), Ok(None));
        // Then the previous key can go.
        let alone = KeyRing::from(MasterKey::parse(OTHER).unwrap());
        assert_eq!(**alone.open(DID, purpose, &new).unwrap(), *b"secret");
        let too_early = alone.open(DID, purpose, &old);
        assert_eq!(too_early.unwrap_err(), RestError::WrongMasterKey);
        assert!(!alone.knows(&master().key_id()));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(secret in proptest::collection::vec(any::<u8>(), 0..200), seed: u64) {
            let blob = master().seal(&mut TestRng::new(seed), DID, "p", &secret);
            prop_assert_eq!(&**master().open(DID, "p", &blob).unwrap(), &secret);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = master().open(DID, "p", &bytes);
        }
    }
}
