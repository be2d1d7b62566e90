//! `Content-Digest` (RFC 9530): what ties a signed request to its body.

use entente_trust::crypto::hash::sha256;
use sfv::{BareItem, DictSerializer, Dictionary, ListEntry, Parser, key_ref};

use super::SignatureError;

/// The header, in lower case.
pub const CONTENT_DIGEST: &str = "content-digest";

/// Returns the header's value for a body.
#[must_use]
pub fn of(body: &[u8]) -> String {
    let mut fields = DictSerializer::new();
    fields.bare_item(key_ref("sha-256"), &sha256(&[body])[..]);
    // A dictionary with a member is never empty.
    fields.finish().unwrap_or_default()
}

/// Checks that a body has the digest that the header states. Only SHA-256 is read.
///
/// # Errors
/// [`SignatureError::Malformed`] if the header states none, [`SignatureError::Digest`] if it is
/// another body's.
pub fn check(header: &str, body: &[u8]) -> Result<(), SignatureError> {
    let malformed = |_error| SignatureError::Malformed;
    let fields: Dictionary = Parser::new(header).parse().map_err(malformed)?;
    let Some(ListEntry::Item(item)) = fields.get("sha-256") else {
        return Err(SignatureError::Malformed);
    };
    let BareItem::ByteSequence(digest) = &item.bare_item else {
        return Err(SignatureError::Malformed);
    };
    if digest[..] == sha256(&[body])[..] {
        Ok(())
    } else {
        Err(SignatureError::Digest)
    }
}
