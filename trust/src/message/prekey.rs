//! Prekeys: the X-Wing keys of a day, signed by their agent, that conversations are opened to.
//!
//! ```text
//! {"v": 1, "did", "kid", "key": Multikey, "notBefore", "notAfter", "sig": base64url}
//! sig = Ed25519 by the agent over "entente prekey" ‖ 0x00 ‖ JCS without sig
//! ```
//!
//! A prekey is valid for at most 48 hours. Its secret half is destroyed once nothing that was
//! sealed to it can arrive any more, so that who takes an agent's keys later cannot go back
//! further than that.

use data_encoding::BASE64URL_NOPAD;
use entente_lexicon::{Did, Timestamp};
use serde::{Deserialize, Serialize};

use crate::crypto::kem::KemPublic;
use crate::crypto::multikey;
use crate::crypto::sign::{SigningKey, VerifyingKey};
use crate::jcs;

/// The longest a prekey may be valid.
pub const MAX_PREKEY_LIFE_MS: u64 = 48 * 60 * 60 * 1000;
/// The longest text of a prekey: its key takes about 1,670 characters.
pub const MAX_PREKEY_TEXT: usize = 4096;
/// How far ahead of ours a signer's clock may be.
const CLOCK_SKEW_MS: u64 = 10 * 60 * 1000;

const LABEL: &[u8] = b"entente prekey\0";
const VERSION: u8 = 1;

/// A prekey as it is published. Nothing of it is believed before [`SignedPrekey::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedPrekey {
    v: u8,
    did: Did,
    kid: String,
    key: String,
    not_before: Timestamp,
    not_after: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

/// A prekey that its agent signed and that was in force when it was checked.
#[derive(Clone, Debug)]
pub struct Prekey {
    /// Whose it is.
    pub did: Did,
    /// Its id.
    pub kid: String,
    /// The key.
    pub key: KemPublic,
    /// From when on it may be used.
    pub not_before: Timestamp,
    /// Until when it may be used.
    pub not_after: Timestamp,
}

/// Why a prekey is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrekeyError {
    /// Not JSON of the right shape, or a key that is none.
    #[error("the prekey is malformed")]
    Malformed,
    /// It is another agent's.
    #[error("the prekey is of another agent")]
    WrongAgent,
    /// Its id is not that of its key.
    #[error("the prekey's id is not that of its key")]
    WrongKid,
    /// It claims to be valid for over 48 hours, or for no time at all.
    #[error("the prekey is valid for longer than 48 hours, or not at all")]
    Lifetime,
    /// The agent did not sign it.
    #[error("the prekey is not signed by its agent")]
    BadSignature,
    /// It is not valid any more, or not yet.
    #[error("the prekey is not in force now")]
    NotInForce,
}

impl PrekeyError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotInForce => "PREKEY_EXPIRED",
            Self::Malformed
            | Self::WrongAgent
            | Self::WrongKid
            | Self::Lifetime
            | Self::BadSignature => "PREKEY_INVALID",
        }
    }
}

impl SignedPrekey {
    /// Signs a prekey. `signing` must be the key of `did`.
    ///
    /// # Errors
    /// [`PrekeyError::Lifetime`].
    pub fn sign(
        did: &Did,
        key: &KemPublic,
        not_before: Timestamp,
        not_after: Timestamp,
        signing: &SigningKey,
    ) -> Result<Self, PrekeyError> {
        let key = key.to_multikey();
        let mut prekey = Self {
            v: VERSION,
            did: did.clone(),
            kid: multikey::kid(&key),
            key,
            not_before,
            not_after,
            sig: None,
        };
        if !prekey.has_sound_lifetime() {
            return Err(PrekeyError::Lifetime);
        }
        let signature = signing.sign(&[LABEL, &prekey.unsigned()?]);
        prekey.sig = Some(BASE64URL_NOPAD.encode(&signature));
        Ok(prekey)
    }

    /// Reads a published prekey.
    ///
    /// # Errors
    /// [`PrekeyError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, PrekeyError> {
        if text.len() > MAX_PREKEY_TEXT {
            return Err(PrekeyError::Malformed);
        }
        serde_json::from_str(text).map_err(|_error| PrekeyError::Malformed)
    }

    /// Writes the prekey as it is published.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the key's id, which nothing proves yet.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Checks that the agent `did`, whose signing key is `signing`, offers this key now.
    ///
    /// # Errors
    /// [`PrekeyError`].
    pub fn verify(
        &self,
        did: &Did,
        signing: &VerifyingKey,
        now: Timestamp,
    ) -> Result<Prekey, PrekeyError> {
        if self.v != VERSION {
            return Err(PrekeyError::Malformed);
        }
        if self.did != *did {
            return Err(PrekeyError::WrongAgent);
        }
        if !self.has_sound_lifetime() {
            return Err(PrekeyError::Lifetime);
        }
        if now >= self.not_after || now.after(CLOCK_SKEW_MS) < self.not_before {
            return Err(PrekeyError::NotInForce);
        }
        if multikey::kid(&self.key) != self.kid {
            return Err(PrekeyError::WrongKid);
        }
        let signature = self.sig.as_deref().unwrap_or_default();
        let signature = BASE64URL_NOPAD
            .decode(signature.as_bytes())
            .map_err(|_error| PrekeyError::Malformed)?;
        signing
            .verify(&[LABEL, &self.unsigned()?], &signature)
            .map_err(|_error| PrekeyError::BadSignature)?;
        let key = KemPublic::from_multikey(&self.key).map_err(|_error| PrekeyError::Malformed)?;
        Ok(Prekey {
            did: self.did.clone(),
            kid: self.kid.clone(),
            key,
            not_before: self.not_before,
            not_after: self.not_after,
        })
    }

    fn has_sound_lifetime(&self) -> bool {
        self.not_after > self.not_before
            && self.not_after.since(self.not_before) <= MAX_PREKEY_LIFE_MS
    }

    fn unsigned(&self) -> Result<Vec<u8>, PrekeyError> {
        let unsigned = Self {
            sig: None,
            ..self.clone()
        };
        jcs::canonical(&unsigned).map_err(|_error| PrekeyError::Malformed)
    }
}

#[cfg(test)]
#[path = "prekey_tests.rs"]
mod tests;
