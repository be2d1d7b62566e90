//! Attestations: "I, network A, whose admin saw B's fingerprint, vouch for B until then".
//!
//! ```text
//! attestation = DAG-CBOR [body: bytes, signature: bytes]
//! body        = DAG-CBOR {iss, aud: DID, key: fingerprint of aud's signing key, nbf, exp: ms, nonce: 16 bytes}
//! signature   = Ed25519 by iss's signing key over "entente-attestation/1" ‖ 0x00 ‖ body
//! ```
//!
//! The one it is about shows nothing and proves nothing by it: it only learns that it is vouched
//! for. Each side of a link makes one about the other and checks the other's about itself, so a
//! link at `verified` needs both. What stands here is checked by whoever it is about, who knows
//! its own name and its own key best.

use entente_lexicon::{Did, Timestamp};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::crypto::multikey::fingerprint;
use crate::crypto::sign::{SIGNATURE_LENGTH, SigningKey, VerifyingKey};
use crate::policy::Approval;

const LABEL: &[u8] = b"entente-attestation/1\0";
/// None is longer.
pub const MAX_ATTESTATION: usize = 512;
/// An approval holds this long unless told: 90 days.
pub const DEFAULT_LIFE_MS: u64 = 90 * 24 * 60 * 60 * 1000;
/// None holds longer: a year.
pub const MAX_LIFE_MS: u64 = 366 * 24 * 60 * 60 * 1000;
/// Clocks may differ by so much.
pub const SKEW_MS: u64 = 90_000;

/// What an attestation says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// The network that vouches.
    pub issuer: Did,
    /// The network it vouches for.
    pub audience: Did,
    /// The fingerprint of the latter's signing key.
    pub fingerprint: String,
    /// From when, until when, and what tells it from others.
    pub approval: Approval,
}

/// Why an attestation counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// There is none.
    #[error("the peer shows no attestation: its admin has not approved this network")]
    Missing,
    /// It is not in the one form.
    #[error("the attestation is malformed")]
    Malformed,
    /// It is by another network than the one that shows it.
    #[error("the attestation is by another network than the one that shows it")]
    OtherIssuer,
    /// It is about another network.
    #[error("the attestation is about another network")]
    OtherAudience,
    /// It is about a key that is not ours, or no longer.
    #[error("the attestation is about another key than this network's")]
    OtherKey,
    /// The peer's key did not sign it.
    #[error("the attestation's signature is not by the peer")]
    BadSignature,
    /// It does not hold yet.
    #[error("the attestation does not hold yet: compare the clocks")]
    NotYet,
    /// It does not hold any more, or would for too long.
    #[error("the attestation has expired: the peer's admin can approve again")]
    Expired,
}

impl AttestationError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "ATTESTATION_MISSING",
            Self::Malformed => "ATTESTATION_MALFORMED",
            Self::OtherIssuer => "ATTESTATION_OTHER_ISSUER",
            Self::OtherAudience => "ATTESTATION_OTHER_AUDIENCE",
            Self::OtherKey => "ATTESTATION_OTHER_KEY",
            Self::BadSignature => "ATTESTATION_BAD_SIGNATURE",
            Self::NotYet => "ATTESTATION_NOT_YET",
            Self::Expired => "ATTESTATION_EXPIRED",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Wire(ByteBuf, ByteArray<SIGNATURE_LENGTH>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    aud: Did,
    exp: u64,
    iss: Did,
    key: String,
    nbf: u64,
    nonce: ByteArray<16>,
}

impl Attestation {
    /// Signs it with the issuer's key.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let body = self.body();
        let signature = key.sign(&[LABEL, &body]);
        let wire = Wire(ByteBuf::from(body), ByteArray::new(signature));
        serde_ipld_dagcbor::to_vec(&wire).unwrap_or_default()
    }

    /// Reads canonical bytes only; nothing of it is believed.
    ///
    /// # Errors
    /// [`AttestationError::Missing`] where there are no bytes, [`AttestationError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<(Self, [u8; SIGNATURE_LENGTH]), AttestationError> {
        if bytes.is_empty() {
            return Err(AttestationError::Missing);
        }
        if bytes.len() > MAX_ATTESTATION {
            return Err(AttestationError::Malformed);
        }
        let malformed = |_error| AttestationError::Malformed;
        let wire: Wire = serde_ipld_dagcbor::from_slice(bytes).map_err(malformed)?;
        let body: Body = serde_ipld_dagcbor::from_slice(&wire.0).map_err(malformed)?;
        let found = Self {
            issuer: body.iss,
            audience: body.aud,
            fingerprint: body.key,
            approval: Approval {
                not_before: Timestamp(body.nbf),
                expires: Timestamp(body.exp),
                nonce: body.nonce.into_array(),
            },
        };
        let canonical = found.body() == wire.0.as_slice()
            && serde_ipld_dagcbor::to_vec(&wire).is_ok_and(|again| again == bytes);
        canonical
            .then(|| (found, wire.1.into_array()))
            .ok_or(AttestationError::Malformed)
    }

    fn body(&self) -> Vec<u8> {
        let body = Body {
            aud: self.audience.clone(),
            exp: self.approval.expires.0,
            iss: self.issuer.clone(),
            key: self.fingerprint.clone(),
            nbf: self.approval.not_before.0,
            nonce: ByteArray::new(self.approval.nonce),
        };
        serde_ipld_dagcbor::to_vec(&body).unwrap_or_default()
    }
}

/// Vouches for `audience`, whose signing key is `key`, in the name of `issuer`.
#[must_use]
pub fn attest(
    (issuer, own_key): (&Did, &SigningKey),
    (audience, key): (&Did, &VerifyingKey),
    approval: Approval,
) -> Vec<u8> {
    let attestation = Attestation {
        issuer: issuer.clone(),
        audience: audience.clone(),
        fingerprint: fingerprint(&key.to_multikey()),
        approval,
    };
    attestation.sign(own_key)
}

/// Checks what `issuer` shows about us: our DID and our signing key. Returns until when it holds.
///
/// # Errors
/// The first check that fails.
pub fn check(
    bytes: &[u8],
    (issuer, key): (&Did, &VerifyingKey),
    (own, own_key): (&Did, &VerifyingKey),
    now: Timestamp,
) -> Result<Timestamp, AttestationError> {
    let (found, signature) = Attestation::decode(bytes)?;
    if found.issuer != *issuer {
        return Err(AttestationError::OtherIssuer);
    }
    if found.audience != *own {
        return Err(AttestationError::OtherAudience);
    }
    key.verify(&[LABEL, &found.body()], &signature)
        .map_err(|_error| AttestationError::BadSignature)?;
    if found.fingerprint != fingerprint(&own_key.to_multikey()) {
        return Err(AttestationError::OtherKey);
    }
    let Approval {
        not_before,
        expires,
        ..
    } = found.approval;
    if not_before.0 > now.0.saturating_add(SKEW_MS) {
        return Err(AttestationError::NotYet);
    }
    if expires <= now || expires.since(not_before) > MAX_LIFE_MS {
        return Err(AttestationError::Expired);
    }
    Ok(expires)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn did(seed: u8) -> Did {
        Did::from_scid(&[seed; 32])
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn approval() -> Approval {
        Approval {
            not_before: NOW,
            expires: NOW.after(DEFAULT_LIFE_MS),
            nonce: [9; 16],
        }
    }

    /// Network 1 vouches for network 2.
    fn made(approval: Approval) -> Vec<u8> {
        let audience = key(2).verifying_key();
        attest((&did(1), &key(1)), (&did(2), &audience), approval)
    }

    /// Network 2 checks it at an instant.
    fn checked(bytes: &[u8], now: Timestamp) -> Result<Timestamp, AttestationError> {
        let (issuer, own) = (key(1).verifying_key(), key(2).verifying_key());
        check(bytes, (&did(1), &issuer), (&did(2), &own), now)
    }

    #[test]
    fn an_attestation_holds_for_whom_it_is_about_while_it_lasts() {
        let bytes = made(approval());
        assert!(bytes.len() <= MAX_ATTESTATION, "{}", bytes.len());
        let end = approval().expires;
        assert_eq!(checked(&bytes, NOW), Ok(end));
        assert_eq!(checked(&bytes, Timestamp(end.0 - 1)), Ok(end));
        assert_eq!(checked(&bytes, end), Err(AttestationError::Expired));
        assert_eq!(checked(&bytes, Timestamp(NOW.0 - SKEW_MS)), Ok(end));
        let early = Timestamp(NOW.0 - SKEW_MS - 1);
        assert_eq!(checked(&bytes, early), Err(AttestationError::NotYet));
        let forever = made(Approval {
            expires: NOW.after(MAX_LIFE_MS + 1),
            ..approval()
        });
        assert_eq!(checked(&forever, NOW), Err(AttestationError::Expired));
        assert_eq!(checked(&[], NOW), Err(AttestationError::Missing));
    }

    #[test]
    fn an_attestation_by_or_about_another_counts_for_nothing() {
        let made = |issuer: u8, signer: u8, about: u8, about_key: u8| {
            let audience = key(about_key).verifying_key();
            attest(
                (&did(issuer), &key(signer)),
                (&did(about), &audience),
                approval(),
            )
        };
        for (bytes, error) in [
            (made(3, 3, 2, 2), AttestationError::OtherIssuer),
            (made(1, 1, 3, 3), AttestationError::OtherAudience),
            (made(1, 1, 2, 3), AttestationError::OtherKey),
            (made(1, 3, 2, 2), AttestationError::BadSignature),
        ] {
            assert_eq!(checked(&bytes, NOW), Err(error));
        }
    }

    proptest! {
        #[test]
        fn a_changed_attestation_never_holds(at in 0usize..512, bit in 0u8..8, cut in 0usize..512) {
            let mut bytes = made(approval());
            let short = bytes.get(..cut % bytes.len()).unwrap().to_vec();
            prop_assert!(checked(&short, NOW).is_err());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(checked(&bytes, NOW).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(checked(&bytes, NOW).is_err());
        }
    }
}
