//! Requests that networks sign for one another, between the platform's requests and
//! [`entente_well_known::signature`].

use entente_lexicon::Timestamp;
use entente_trust::crypto::sign::VerifyingKey;
use entente_trust::identity::Log;
use entente_trust::proof::Signer;
use entente_well_known::document;
use entente_well_known::signature::{self, Claim, Message, SignatureError, Signed};
use worker::{Headers, Request};

use crate::config::Config;
use crate::error::ApiError;
use crate::internal::{now, random};
use crate::store::peers::PeerRow;

/// The header of a refusal that tells a network with another clock what time it is here.
pub(crate) const TIME: &str = "x-entente-time";

/// Reads who claims to have signed a request to this network, and checks what needs no key.
///
/// # Errors
/// 401 with the code of each fault, and the time here if it is the clock.
pub fn claim(request: &Request, config: &Config) -> Result<Claim, ApiError> {
    let url = request.url()?;
    let headers = request.headers();
    let method = request.method().to_string();
    let header = |name: &str| headers.get(name).ok().flatten();
    let message = Message {
        method: &method,
        // Ours, whatever the request says: one made for another host does not verify here.
        authority: config.host.as_str(),
        path: url.path(),
        query: url.query(),
        header: &header,
    };
    let now = now();
    signature::read(&message, now).map_err(|error| refused(error, now))
}

/// Checks a claim against what the directory holds about the peer; wakes nothing.
///
/// # Errors
/// 401 `UNKNOWN_KEY` if the peer has no such key, 401 `SIGNATURE_INVALID`.
pub fn check_peer(claim: &Claim, peer: &PeerRow) -> Result<(), ApiError> {
    let log = Log::parse(&peer.log).map_err(ApiError::internal)?;
    let document =
        document::verify(&peer.document, &peer.host, Some(&log)).map_err(ApiError::internal)?;
    check(claim, document.keys.get(&claim.kid))
}

/// Checks a claim with the key that it names, if there is one.
///
/// # Errors
/// As [`check_peer`].
pub fn check(claim: &Claim, key: Option<&VerifyingKey>) -> Result<(), ApiError> {
    let key = key.ok_or_else(|| {
        ApiError::new(
            401,
            "UNKNOWN_KEY",
            "The signature names a key that is not the network's.",
        )
    })?;
    claim.verify(key).map_err(|error| refused(error, now()))
}

/// Signs a GET to `authority` and adds the signature to its headers, which must be complete.
///
/// # Errors
/// If the headers cannot be read or written.
pub fn sign_get(
    headers: &Headers,
    signer: &Signer<'_>,
    authority: &str,
    (path, query): (&str, Option<&str>),
) -> Result<(), ApiError> {
    let header = |name: &str| headers.get(name).ok().flatten();
    let message = Message {
        method: "GET",
        authority,
        path,
        query,
        header: &header,
    };
    let Signed { input, signature } =
        signature::sign(&message, signer, now(), &random()).map_err(ApiError::internal)?;
    headers.set(signature::SIGNATURE_INPUT, &input)?;
    headers.set(signature::SIGNATURE, &signature)?;
    Ok(())
}

fn refused(error: SignatureError, now: Timestamp) -> ApiError {
    if error == SignatureError::ClockSkew {
        let message = format!("{error}; here it is {now}. Set your clock and sign again.");
        return ApiError::new(401, error.code(), message).with_header(TIME, now.to_string());
    }
    ApiError::new(401, error.code(), format!("{error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_with_another_clock_is_told_the_time_here() {
        let now = Timestamp(1_800_000_000_000);
        let error = refused(SignatureError::ClockSkew, now);
        assert_eq!((error.status, &*error.code), (401, "CLOCK_SKEW"));
        assert_eq!(error.headers, [(TIME, now.to_string())]);
        assert!(error.message.contains(&now.to_string()), "{error}");
        assert!(refused(SignatureError::Missing, now).headers.is_empty());
    }
}
