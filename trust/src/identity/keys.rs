//! The keys of a network or an agent.

use std::fmt;

use entente_lexicon::Did;
use entente_lexicon::api::PublicKeysView;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::KeyError;
use crate::crypto::dh::{DhPublic, DhSecret};
use crate::crypto::kem::{KemPublic, KemSecret};
use crate::crypto::multikey::kid;
use crate::crypto::rest::{KeyRing, RestError};
use crate::crypto::secp256k1;
use crate::crypto::sign::{SigningKey, VerifyingKey};

/// The keys of a network.
pub type NetworkKeys = IdentityKeys;
/// The keys of an agent.
pub type AgentKeys = IdentityKeys;

/// The secret keys of one identity, parsed and ready for use. They leave their object only sealed.
#[derive(Clone)]
pub struct IdentityKeys {
    /// Ed25519: handshakes, messages, documents, receipts.
    pub signing: SigningKey,
    /// X25519, for parties that publish nothing else.
    pub encryption: DhSecret,
    /// X-Wing: what messages are sealed to.
    pub hybrid: KemSecret,
    /// The key that may sign the next log entry, and nothing else.
    pub next_update: SigningKey,
}

/// The public keys of one identity, parsed and ready for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeys {
    /// Ed25519.
    pub signing: VerifyingKey,
    /// X25519.
    pub encryption: DhPublic,
    /// X-Wing.
    pub hybrid: KemPublic,
}

/// What a sealed key is for; a blob opens for no other purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPurpose {
    /// [`IdentityKeys::signing`].
    Signing,
    /// [`IdentityKeys::encryption`].
    Encryption,
    /// [`IdentityKeys::hybrid`].
    Hybrid,
    /// [`IdentityKeys::next_update`].
    Update,
    /// The key that signs an agent's repo: K-256, outside the identity log.
    Repo,
}

/// One secret key, sealed under the master key for its owner, purpose and kid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKey {
    /// The kid of its public half.
    pub kid: String,
    /// What [`KeyRing::seal`] made of its seed.
    #[serde(with = "serde_bytes")]
    pub blob: Vec<u8>,
}

/// All secret keys of an identity, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKeys {
    /// Ed25519.
    pub signing: SealedKey,
    /// X25519.
    pub encryption: SealedKey,
    /// X-Wing.
    pub hybrid: SealedKey,
    /// Ed25519, for the next log entry.
    pub next_update: SealedKey,
}

impl KeyPurpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Encryption => "encryption",
            Self::Hybrid => "hybrid",
            Self::Update => "update",
            Self::Repo => "repo",
        }
    }
}

impl SealedKey {
    fn seal<R: CryptoRng + ?Sized>(
        master: &KeyRing,
        rng: &mut R,
        did: &Did,
        purpose: KeyPurpose,
        multikey: &str,
        seed: &[u8; 32],
    ) -> Self {
        let kid = kid(multikey);
        let blob = master.seal(rng, did.as_str(), &purpose_text(purpose, &kid), seed);
        Self { kid, blob }
    }

    fn open(
        &self,
        master: &KeyRing,
        did: &Did,
        purpose: KeyPurpose,
    ) -> Result<Zeroizing<[u8; 32]>, RestError> {
        let text = purpose_text(purpose, &self.kid);
        let opened = master.open(did.as_str(), &text, &self.blob)?;
        let seed: &[u8; 32] = opened
            .as_slice()
            .try_into()
            .map_err(|_error| RestError::Corrupt)?;
        Ok(Zeroizing::new(*seed))
    }

    /// Opens a signing key alone, as a `Link` does with the key of its network.
    ///
    /// # Errors
    /// [`RestError`]; [`RestError::Corrupt`] also if the key inside is not the one its kid names.
    pub fn open_signing(&self, master: &KeyRing, did: &Did) -> Result<SigningKey, RestError> {
        self.open_ed25519(master, did, KeyPurpose::Signing)
    }

    /// Opens a retired X-Wing key, as an agent does with mail that was sealed to it.
    ///
    /// # Errors
    /// As [`SealedKey::open_signing`].
    pub fn open_hybrid(&self, master: &KeyRing, did: &Did) -> Result<KemSecret, RestError> {
        let hybrid = KemSecret::from_seed(&*self.open(master, did, KeyPurpose::Hybrid)?);
        self.check(&hybrid.public().to_multikey())?;
        Ok(hybrid)
    }

    /// Seals the key that signs an agent's repo.
    #[must_use]
    pub fn seal_repo<R: CryptoRng + ?Sized>(
        master: &KeyRing,
        rng: &mut R,
        did: &Did,
        key: &secp256k1::SigningKey,
    ) -> Self {
        let multikey = key.verifying_key().to_multikey();
        Self::seal(master, rng, did, KeyPurpose::Repo, &multikey, &key.seed())
    }

    /// Opens the key that signs an agent's repo.
    ///
    /// # Errors
    /// As [`SealedKey::open_signing`].
    pub fn open_repo(
        &self,
        master: &KeyRing,
        did: &Did,
    ) -> Result<secp256k1::SigningKey, RestError> {
        let seed = self.open(master, did, KeyPurpose::Repo)?;
        let key = secp256k1::SigningKey::from_seed(&seed).map_err(|_error| RestError::Corrupt)?;
        self.check(&key.verifying_key().to_multikey())?;
        Ok(key)
    }

    /// Seals this key of the given purpose anew, if the previous master key sealed it. Returns
    /// whether it did.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn reseal<R: CryptoRng + ?Sized>(
        &mut self,
        master: &KeyRing,
        rng: &mut R,
        did: &Did,
        purpose: KeyPurpose,
    ) -> Result<bool, RestError> {
        let text = purpose_text(purpose, &self.kid);
        let resealed = master.reseal(rng, did.as_str(), &text, &self.blob)?;
        let changed = resealed.is_some();
        self.blob = resealed.unwrap_or_else(|| std::mem::take(&mut self.blob));
        Ok(changed)
    }

    fn open_ed25519(
        &self,
        master: &KeyRing,
        did: &Did,
        purpose: KeyPurpose,
    ) -> Result<SigningKey, RestError> {
        let key = SigningKey::from_seed(&*self.open(master, did, purpose)?);
        self.check(&key.verifying_key().to_multikey())?;
        Ok(key)
    }

    fn check(&self, multikey: &str) -> Result<(), RestError> {
        if kid(multikey) == self.kid {
            Ok(())
        } else {
            Err(RestError::Corrupt)
        }
    }
}

fn purpose_text(purpose: KeyPurpose, kid: &str) -> String {
    format!("{}/{kid}", purpose.as_str())
}

impl SealedKeys {
    /// Seals what the previous master key sealed anew. Returns whether anything was.
    ///
    /// # Errors
    /// [`RestError`].
    pub fn reseal<R: CryptoRng + ?Sized>(
        &mut self,
        master: &KeyRing,
        rng: &mut R,
        did: &Did,
    ) -> Result<bool, RestError> {
        let mut changed = false;
        for (key, purpose) in [
            (&mut self.signing, KeyPurpose::Signing),
            (&mut self.encryption, KeyPurpose::Encryption),
            (&mut self.hybrid, KeyPurpose::Hybrid),
            (&mut self.next_update, KeyPurpose::Update),
        ] {
            changed |= key.reseal(master, rng, did, purpose)?;
        }
        Ok(changed)
    }
}

impl IdentityKeys {
    /// Draws fresh keys. For a new identity use [`super::birth`], which also makes its DID.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self {
            signing: SigningKey::generate(rng),
            encryption: DhSecret::generate(rng),
            hybrid: KemSecret::generate(rng),
            next_update: SigningKey::generate(rng),
        }
    }

    /// Returns the public halves.
    #[must_use]
    pub fn public_keys(&self) -> PublicKeys {
        PublicKeys {
            signing: self.signing.verifying_key(),
            encryption: self.encryption.public(),
            hybrid: self.hybrid.public(),
        }
    }

    /// Seals every key for storage.
    #[must_use]
    pub fn seal<R: CryptoRng + ?Sized>(
        &self,
        master: &KeyRing,
        rng: &mut R,
        did: &Did,
    ) -> SealedKeys {
        let public = self.public_keys().view();
        let update = self.next_update.verifying_key().to_multikey();
        let mut seal = |purpose, multikey: &str, seed: Zeroizing<[u8; 32]>| {
            SealedKey::seal(master, rng, did, purpose, multikey, &seed)
        };
        SealedKeys {
            signing: seal(KeyPurpose::Signing, &public.signing, self.signing.seed()),
            encryption: seal(
                KeyPurpose::Encryption,
                &public.encryption,
                self.encryption.seed(),
            ),
            hybrid: seal(KeyPurpose::Hybrid, &public.hybrid, self.hybrid.seed()),
            next_update: seal(KeyPurpose::Update, &update, self.next_update.seed()),
        }
    }

    /// Restores what [`IdentityKeys::seal`] stored.
    ///
    /// # Errors
    /// [`RestError`]. A wrong master key is told from a damaged blob; in neither case may new keys
    /// be made.
    pub fn open(master: &KeyRing, did: &Did, sealed: &SealedKeys) -> Result<Self, RestError> {
        let encryption = sealed
            .encryption
            .open(master, did, KeyPurpose::Encryption)?;
        let encryption = DhSecret::from_seed(&encryption);
        sealed
            .encryption
            .check(&encryption.public().to_multikey())?;
        Ok(Self {
            signing: sealed.signing.open_signing(master, did)?,
            encryption,
            hybrid: sealed.hybrid.open_hybrid(master, did)?,
            next_update: sealed
                .next_update
                .open_ed25519(master, did, KeyPurpose::Update)?,
        })
    }
}

impl fmt::Debug for IdentityKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityKeys(…)")
    }
}

impl PublicKeys {
    /// Writes the keys as Multikey text. The X-Wing key costs a millisecond: keep the result.
    #[must_use]
    pub fn view(&self) -> PublicKeysView {
        PublicKeysView {
            signing: self.signing.to_multikey(),
            encryption: self.encryption.to_multikey(),
            hybrid: self.hybrid.to_multikey(),
        }
    }

    /// Reads the keys from Multikey text.
    ///
    /// # Errors
    /// [`KeyError`] of the first key that is none.
    pub fn parse(view: &PublicKeysView) -> Result<Self, KeyError> {
        Ok(Self {
            signing: VerifyingKey::from_multikey(&view.signing)?,
            encryption: DhPublic::from_multikey(&view.encryption)?,
            hybrid: KemPublic::from_multikey(&view.hybrid)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rest::MasterKey;
    use crate::crypto::test_rng::TestRng;

    const MASTER: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const OTHER: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn sealed() -> (IdentityKeys, Did, KeyRing, SealedKeys) {
        let mut rng = TestRng::new(1);
        let keys = IdentityKeys::generate(&mut rng);
        let did = Did::from_scid(&[1; 32]);
        let master = KeyRing::from(MasterKey::parse(MASTER).unwrap());
        let sealed = keys.seal(&master, &mut rng, &did);
        (keys, did, master, sealed)
    }

    #[test]
    fn sealed_keys_open_to_the_same_keys() {
        let (keys, did, master, sealed) = sealed();
        let opened = IdentityKeys::open(&master, &did, &sealed).unwrap();
        assert_eq!(opened.public_keys(), keys.public_keys());
        let update = opened.next_update.verifying_key();
        assert_eq!(update, keys.next_update.verifying_key());
        let alone = sealed.signing.open_signing(&master, &did).unwrap();
        assert_eq!(alone.verifying_key(), keys.signing.verifying_key());
        assert_eq!(format!("{opened:?}"), "IdentityKeys(…)");
    }

    #[test]
    fn public_keys_read_back_from_their_texts() {
        let (keys, ..) = sealed();
        let view = keys.public_keys().view();
        assert_eq!(PublicKeys::parse(&view), Ok(keys.public_keys()));
        let mixed = PublicKeysView {
            encryption: view.signing.clone(),
            ..view
        };
        assert_eq!(PublicKeys::parse(&mixed), Err(KeyError::Algorithm));
    }

    #[test]
    fn a_wrong_master_key_is_told_from_damage() {
        let (_, did, _, sealed) = sealed();
        let other = KeyRing::from(MasterKey::parse(OTHER).unwrap());
        let wrong = IdentityKeys::open(&other, &did, &sealed);
        assert_eq!(wrong.unwrap_err(), RestError::WrongMasterKey);
    }

    #[test]
    fn resealed_keys_open_without_the_previous_master_key() {
        let (keys, did, old, mut sealed) = sealed();
        let other = MasterKey::parse(OTHER).unwrap();
        let both = KeyRing::new(other.clone(), Some(old.current().clone()));
        let mut rng = TestRng::new(2);
        assert_eq!(sealed.reseal(&both, &mut rng, &did), Ok(true));
        assert_eq!(sealed.reseal(&both, &mut rng, &did), Ok(false));
        let opened = IdentityKeys::open(&KeyRing::from(other), &did, &sealed).unwrap();
        assert_eq!(opened.public_keys(), keys.public_keys());
    }

    #[test]
    fn a_repo_key_opens_as_what_it_is_and_as_nothing_else() {
        let (_, did, master, sealed) = sealed();
        let mut rng = TestRng::new(3);
        let key = secp256k1::SigningKey::generate(&mut rng);
        let repo = SealedKey::seal_repo(&master, &mut rng, &did, &key);
        let opened = repo.open_repo(&master, &did).unwrap();
        assert_eq!(opened.verifying_key(), key.verifying_key());
        let stranger = Did::from_scid(&[2; 32]);
        for refused in [
            repo.open_repo(&master, &stranger).err(),
            sealed.signing.open_repo(&master, &did).err(),
            repo.open_signing(&master, &did).err(),
        ] {
            assert_eq!(refused, Some(RestError::Corrupt));
        }
    }

    #[test]
    fn a_key_of_another_owner_purpose_or_kid_does_not_open() {
        let (_, did, master, sealed) = sealed();
        let stranger = Did::from_scid(&[2; 32]);
        let moved = IdentityKeys::open(&master, &stranger, &sealed);
        assert_eq!(moved.unwrap_err(), RestError::Corrupt);
        let mut swapped = sealed.clone();
        std::mem::swap(&mut swapped.signing, &mut swapped.next_update);
        let swapped = IdentityKeys::open(&master, &did, &swapped);
        assert_eq!(swapped.unwrap_err(), RestError::Corrupt);
        let mut renamed = sealed.clone();
        renamed.hybrid.kid = sealed.encryption.kid.clone();
        let renamed = IdentityKeys::open(&master, &did, &renamed);
        assert_eq!(renamed.unwrap_err(), RestError::Corrupt);
    }
}
