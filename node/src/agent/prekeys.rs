//! This agent's own prekeys: one a day, published signed, kept sealed, destroyed once nothing that
//! was sealed to them can arrive any more.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use entente_lexicon::Timestamp;
use entente_trust::crypto::kem::{KemSecret, SEED_LENGTH};
use entente_trust::crypto::sign::kid;
use entente_trust::message::{MAX_PREKEY_LIFE_MS, SignedPrekey};

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::keys_store::StoredPrekey;
use crate::error::ApiError;
use crate::internal;

/// A prekey is followed by another after this.
const ROTATE_MS: u64 = 24 * 60 * 60 * 1000;
/// How long a secret half is kept after its prekey ended: the longest expiry of a message, and a
/// day.
const RETENTION_MS: u64 = 31 * 24 * 60 * 60 * 1000;
/// Secret halves kept parsed.
const MAX_PARSED: usize = 8;

/// Secret halves that were needed lately, by kid.
#[derive(Default)]
pub(super) struct Prekeys {
    parsed: RefCell<BTreeMap<String, Rc<KemSecret>>>,
}

impl Core {
    /// Returns the prekey to publish, made now if the last one is a day old or was signed by a key
    /// that was replaced.
    pub(super) fn current_prekey(&self, me: &Me) -> Result<String, ApiError> {
        let now = internal::now();
        let signer = kid(&me.signing.verifying_key().to_multikey());
        if let Some(newest) = self.store.newest_prekey()?
            && newest.signer == signer
            && now.since(newest.made_at) < ROTATE_MS
        {
            return Ok(newest.published);
        }
        let secret = KemSecret::generate(&mut internal::rng());
        let not_after = now.after(MAX_PREKEY_LIFE_MS);
        let signed = SignedPrekey::sign(&me.did, &secret.public(), now, not_after, &me.signing)
            .map_err(ApiError::internal)?;
        let published = StoredPrekey {
            published: signed.to_text(),
            signer,
            made_at: now,
        };
        let sealed = me.seal_secret(&purpose(signed.kid()), &*secret.seed());
        self.store
            .keep_prekey(signed.kid(), &sealed, &published, not_after)?;
        Ok(published.published)
    }

    /// Returns the secret half of one of our prekeys, unless it was destroyed.
    pub(super) fn prekey_secret(
        &self,
        me: &Me,
        kid: &str,
    ) -> Result<Option<Rc<KemSecret>>, ApiError> {
        if let Some(known) = self.prekeys.parsed.borrow().get(kid) {
            return Ok(Some(Rc::clone(known)));
        }
        let Some(sealed) = self.store.prekey_secret(kid)? else {
            return Ok(None);
        };
        let opened = me.open_secret(&purpose(kid), &sealed)?;
        let seed: &[u8; SEED_LENGTH] = opened
            .as_slice()
            .try_into()
            .map_err(|_error| ApiError::internal("a prekey is damaged"))?;
        let secret = Rc::new(KemSecret::from_seed(seed));
        let mut parsed = self.prekeys.parsed.borrow_mut();
        if parsed.len() >= MAX_PARSED {
            parsed.clear();
        }
        parsed.insert(kid.to_owned(), Rc::clone(&secret));
        Ok(Some(secret))
    }

    /// Makes the prekey of the day and destroys what is past its time. Returns after how many
    /// milliseconds to come back.
    pub(super) fn tend_keys(&self) -> Result<u64, ApiError> {
        let me = self.identity()?;
        let now = internal::now();
        self.store
            .drop_old_keys(Timestamp(now.0.saturating_sub(RETENTION_MS)))?;
        self.prekeys.parsed.borrow_mut().clear();
        self.current_prekey(&me)?;
        Ok(ROTATE_MS)
    }
}

fn purpose(kid: &str) -> String {
    format!("prekey/{kid}")
}
