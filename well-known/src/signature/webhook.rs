//! The signature on what an agent sends to a URL that its owner named: one Ed25519 signature with the tag
//! `entente-webhook`, by the agent's signing key, over the whole request.
//!
//! Unlike between networks there is no nonce: the receiver knows a delivery by its idempotency key, which
//! is covered, and a second attempt carries the same one.

use entente_lexicon::Timestamp;
use entente_trust::proof::Signer;
use sfv::{StringRef, key_ref, string_ref};

use super::base::Message;
use super::digest::CONTENT_DIGEST;
use super::error::SignatureError;
use super::profile::{ALGORITHM, Signed, integer, seal, text};

/// What the signature is for.
pub const TAG: &str = "entente-webhook";
/// The life of a signature, in seconds: an attempt ends long before, and clocks differ.
pub const LIFETIME_S: u64 = 300;
/// The header with the delivery's id, a string of RFC 8941, in lower case.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

const COVERED: [&str; 6] = [
    "@method",
    "@authority",
    "@path",
    "content-type",
    CONTENT_DIGEST,
    IDEMPOTENCY_KEY,
];

/// Returns the value of [`IDEMPOTENCY_KEY`] for a delivery.
///
/// # Errors
/// [`SignatureError::Malformed`] if the id is not ASCII.
pub fn idempotency_key(id: &str) -> Result<String, SignatureError> {
    let id = StringRef::from_str(id).map_err(|_error| SignatureError::Malformed)?;
    Ok(sfv::ItemSerializer::new().bare_item(id).finish())
}

/// Signs a request whose headers include a content type, the body's digest and the delivery's id.
///
/// # Errors
/// [`SignatureError::Incomplete`] if one of them is missing.
pub fn sign(
    message: &Message<'_>,
    signer: &Signer<'_>,
    created: Timestamp,
) -> Result<Signed, SignatureError> {
    let mut components: Vec<String> = COVERED.map(str::to_owned).into();
    if message.query.is_some() {
        components.insert(3, "@query".to_owned());
    }
    let created = created.0 / 1_000;
    let parameters = [
        (key_ref("created"), integer(created)?),
        (
            key_ref("expires"),
            integer(created.saturating_add(LIFETIME_S))?,
        ),
        (
            key_ref("keyid"),
            text(&format!("{}#{}", signer.did, signer.kid))?,
        ),
        (key_ref("alg"), string_ref(ALGORITHM).to_owned().into()),
        (key_ref("tag"), string_ref(TAG).to_owned().into()),
    ];
    seal(message, &components, parameters, signer)
}

#[cfg(test)]
mod tests {
    use entente_lexicon::Did;
    use entente_trust::crypto::sign::SigningKey;

    use super::super::base::find;
    use super::super::digest;
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn signed(query: Option<&str>, drop: &str) -> Result<(Signed, String), SignatureError> {
        let (did, key) = (Did::from_scid(&[9; 32]), SigningKey::from_seed(&[3; 32]));
        let signer = Signer {
            did: &did,
            kid: "kid",
            key: &key,
        };
        let digest = digest::of(b"{}");
        let header = |name: &str| match name {
            _ if name == drop => None,
            "content-type" => Some("application/json".to_owned()),
            CONTENT_DIGEST => Some(digest.clone()),
            IDEMPOTENCY_KEY => Some("\"abc\"".to_owned()),
            _ => None,
        };
        let message = Message {
            method: "POST",
            authority: "hooks.example",
            path: "/in",
            query,
            header: &header,
        };
        let signed = sign(&message, &signer, NOW)?;
        let found = find(&message, &signed.input, &signed.signature)?;
        let holds = key
            .verifying_key()
            .verify(&[found.base.as_bytes()], &found.signature);
        assert_eq!(holds, Ok(()));
        Ok((signed, found.base))
    }

    #[test]
    fn everything_that_a_receiver_believes_is_signed() {
        let (signed, base) = signed(Some("key=1"), "").unwrap();
        let digest = digest::of(b"{}");
        let did = Did::from_scid(&[9; 32]);
        assert_eq!(
            base,
            format!(
                "\"@method\": POST\n\"@authority\": hooks.example\n\"@path\": /in\n\
                 \"@query\": ?key=1\n\"content-type\": application/json\n\
                 \"content-digest\": {digest}\n\"idempotency-key\": \"abc\"\n\
                 \"@signature-params\": (\"@method\" \"@authority\" \"@path\" \"@query\" \
                 \"content-type\" \"content-digest\" \"idempotency-key\");created=1800000000;\
                 expires=1800000300;keyid=\"{did}#kid\";alg=\"ed25519\";tag=\"entente-webhook\""
            )
        );
        assert!(signed.input.starts_with("sig1=("));
    }

    #[test]
    fn nothing_is_signed_that_lacks_a_part() {
        assert!(signed(None, "").is_ok());
        for missing in ["content-type", CONTENT_DIGEST, IDEMPOTENCY_KEY] {
            let refused = signed(None, missing).unwrap_err();
            assert_eq!(refused.code(), "SIGNATURE_INCOMPLETE", "{missing}");
        }
    }

    #[test]
    fn a_delivery_is_named_by_a_structured_string() {
        assert_eq!(idempotency_key("abc"), Ok("\"abc\"".to_owned()));
        assert_eq!(idempotency_key("\u{e9}"), Err(SignatureError::Malformed));
    }
}
