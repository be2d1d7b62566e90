//! Why a signed request is turned away.

/// Why a request's signature is not believed. Each has a code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// `Signature` or `Signature-Input` is absent.
    #[error("the request is not signed: send Signature-Input and Signature (RFC 9421)")]
    Missing,
    /// The headers are no structured fields of the form that is needed.
    #[error(
        "Signature-Input and Signature are not one RFC 9421 signature over components without parameters"
    )]
    Malformed,
    /// There is more than one signature.
    #[error("the request has several signatures: send one")]
    Ambiguous,
    /// It was made for something else, or with another algorithm.
    #[error("the signature's tag is not `entente-link` or its alg is not `ed25519`")]
    Purpose,
    /// It does not cover something that must be covered, or lacks a parameter.
    #[error("the signature lacks {0}")]
    Incomplete(&'static str),
    /// It is valid for longer than a minute, or ends before it begins.
    #[error("the signature must expire within 60 seconds after it was created")]
    Lifetime,
    /// It is not valid now.
    #[error("the signature is not valid now: the clocks differ by more than 90 seconds")]
    ClockSkew,
    /// It is not by this key over this request.
    #[error("the signature does not verify with the key it names")]
    Invalid,
    /// The body is not the one whose digest was signed.
    #[error("the body does not have the Content-Digest that was signed")]
    Digest,
}

impl SignatureError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "SIGNATURE_MISSING",
            Self::Malformed => "SIGNATURE_MALFORMED",
            Self::Ambiguous => "SIGNATURE_AMBIGUOUS",
            Self::Purpose => "SIGNATURE_PURPOSE",
            Self::Incomplete(_) => "SIGNATURE_INCOMPLETE",
            Self::Lifetime => "SIGNATURE_LIFETIME",
            Self::ClockSkew => "CLOCK_SKEW",
            Self::Invalid => "SIGNATURE_INVALID",
            Self::Digest => "DIGEST_MISMATCH",
        }
    }
}
