//! The recovery key: the one secret of a network that does not stay in its deployment.

use std::fmt;

use entente_lexicon::id::BASE32;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::crypto::sign::{KEY_LENGTH, SigningKey, VerifyingKey};

const PREFIX: &str = "entente-recovery-";

/// Signs the next entry of a network's log when its update key is lost or stolen. Its text is
/// `entente-recovery-` and 52 characters of base32.
#[derive(Clone)]
pub struct RecoveryKey(SigningKey);

/// The text is not a recovery key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a recovery key is the text that POST /admin/init answered: {PREFIX}…")]
pub struct BadRecoveryKey;

impl RecoveryKey {
    /// Draws a fresh key.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(SigningKey::generate(rng))
    }

    /// Reads what [`RecoveryKey::to_text`] wrote; white space around is ignored.
    ///
    /// # Errors
    /// [`BadRecoveryKey`].
    pub fn parse(text: &str) -> Result<Self, BadRecoveryKey> {
        let text = text.trim().strip_prefix(PREFIX).ok_or(BadRecoveryKey)?;
        let bytes = BASE32
            .decode(text.as_bytes())
            .map_err(|_error| BadRecoveryKey)?;
        let bytes = Zeroizing::new(bytes);
        let seed: &[u8; KEY_LENGTH] = bytes
            .as_slice()
            .try_into()
            .map_err(|_error| BadRecoveryKey)?;
        Ok(Self(SigningKey::from_seed(seed)))
    }

    /// Writes the key, to be shown once and kept by its holder.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}", BASE32.encode(&*self.0.seed())))
    }

    /// Returns the key itself.
    #[must_use]
    pub const fn key(&self) -> &SigningKey {
        &self.0
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> VerifyingKey {
        self.0.verifying_key()
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::test_rng::TestRng;

    #[test]
    fn its_text_reads_back_and_debug_does_not_show_it() {
        let key = RecoveryKey::generate(&mut TestRng::new(1));
        let text = key.to_text();
        let read = RecoveryKey::parse(&format!(" {}\n", *text)).unwrap();
        assert_eq!(read.public(), key.public());
        assert_eq!(format!("{key:?}"), "RecoveryKey(…)");
    }

    #[test]
    fn what_is_no_recovery_key_is_refused() {
        let text = RecoveryKey::generate(&mut TestRng::new(1)).to_text();
        for bad in [
            "",
            "entente-recovery-",
            &text[1..],
            &text[..text.len() - 1],
            "entente-recovery-!",
        ] {
            assert!(RecoveryKey::parse(bad).is_err(), "{bad}");
        }
    }
}
