//! Signatures of agent cards: JWS (RFC 7515, flattened) with EdDSA over the card's canonical JSON
//! (RFC 8785), in the form that has no empty values.
//!
//! The official SDK for JavaScript (1.3.0) drops the security schemes of a card that it has parsed before
//! it checks or makes a signature. So our cards have two signatures, one over all and one without the
//! schemes, and others' are taken with either: nothing is read from the schemes of a card.

use data_encoding::BASE64URL_NOPAD;
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::jcs::canonical;
use serde_json::{Map, Value, json};

/// Signatures of a card that are looked at.
const MAX_SIGNATURES: usize = 8;
/// Fields that ProtoJSON leaves out where they are false; of other flags it says so.
const PLAIN_FLAGS: [&str; 2] = ["required", "pkceRequired"];

/// Why a card is not its agent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It has no canonical form.
    #[error("the card has no canonical form")]
    NotCanonical,
    /// None of its signatures is one that can be checked: EdDSA, with a key id.
    #[error("none of the card's signatures is EdDSA with a kid, which is what can be checked here")]
    Unsupported,
    /// The signature is not one by the key over this card.
    #[error("the card is not signed by the key that it names")]
    Invalid,
}

/// One signature that can be checked, given the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The key's id.
    pub kid: String,
    /// Where its keys are published, if the signature says so.
    pub jku: Option<String>,
    protected: String,
    signature: Vec<u8>,
}

/// Signs a card, which has no signatures yet; `kid` names the key.
///
/// # Errors
/// [`SignatureError::NotCanonical`].
pub fn sign(card: &Value, key: &SigningKey, kid: &str) -> Result<Value, SignatureError> {
    let header = json!({ "alg": "EdDSA", "kid": kid, "typ": "JOSE" });
    let protected = BASE64URL_NOPAD.encode(header.to_string().as_bytes());
    let signatures = payloads(card)?.map(|payload| {
        let payload = BASE64URL_NOPAD.encode(&payload);
        let signature = key.sign(&[protected.as_bytes(), b".", payload.as_bytes()]);
        json!({ "protected": protected, "signature": BASE64URL_NOPAD.encode(&signature) })
    });
    let mut card = card.clone();
    let fields = card.as_object_mut().ok_or(SignatureError::NotCanonical)?;
    fields.insert("signatures".to_owned(), json!(signatures));
    Ok(card)
}

/// Tells whether a card has signatures at all.
#[must_use]
pub fn is_signed(card: &Value) -> bool {
    let signatures = card.get("signatures").and_then(Value::as_array);
    signatures.is_some_and(|signatures| !signatures.is_empty())
}

/// Finds the signatures of a card that can be checked.
#[must_use]
pub fn signers(card: &Value) -> Vec<Signer> {
    let signatures = card.get("signatures").and_then(Value::as_array);
    let signatures = signatures.into_iter().flatten().take(MAX_SIGNATURES);
    signatures.filter_map(signer).collect()
}

fn signer(entry: &Value) -> Option<Signer> {
    let protected = entry.get("protected")?.as_str()?;
    let signature = entry.get("signature")?.as_str()?;
    let header = BASE64URL_NOPAD.decode(protected.as_bytes()).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let known = matches!(text("alg"), Some("EdDSA" | "Ed25519"));
    // What a critical header changes is not known here, and neither is another form of the payload.
    if !known || header.get("crit").is_some() || header.get("b64").is_some() {
        return None;
    }
    Some(Signer {
        kid: text("kid").filter(|kid| !kid.is_empty())?.to_owned(),
        jku: text("jku").map(str::to_owned),
        protected: protected.to_owned(),
        signature: BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?,
    })
}

/// Checks that `key` made this signature over this card.
///
/// # Errors
/// [`SignatureError`].
pub fn verify(card: &Value, signer: &Signer, key: &VerifyingKey) -> Result<(), SignatureError> {
    for payload in payloads(card)? {
        let payload = BASE64URL_NOPAD.encode(&payload);
        let signed = [signer.protected.as_bytes(), b".", payload.as_bytes()];
        if key.verify(&signed, &signer.signature).is_ok() {
            return Ok(());
        }
    }
    Err(SignatureError::Invalid)
}

/// Finds a key in what a host publishes: a JSON Web Key Set, or a DID document.
#[must_use]
pub fn published_key(document: &Value, kid: &str) -> Option<VerifyingKey> {
    let list = |name: &str| document.get(name).and_then(Value::as_array);
    let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    for key in list("keys").into_iter().flatten() {
        let is_ed25519 = text(key, "crv").as_deref() == Some("Ed25519");
        if is_ed25519 && text(key, "kid").as_deref() == Some(kid) {
            let bytes = BASE64URL_NOPAD.decode(text(key, "x")?.as_bytes()).ok()?;
            return VerifyingKey::from_bytes(&bytes).ok();
        }
    }
    for method in list("verificationMethod").into_iter().flatten() {
        if text(method, "id").as_deref() == Some(kid) {
            return VerifyingKey::from_multikey(&text(method, "publicKeyMultibase")?).ok();
        }
    }
    None
}

/// Returns the path under which the host of the card publishes the key that signed it, and nothing if
/// the signature leads to another host: `origin` is that of the card's URL.
#[must_use]
pub fn key_path(signer: &Signer, origin: &str) -> Option<String> {
    if let Some(jku) = &signer.jku {
        let path = jku.strip_prefix(origin)?;
        return path.starts_with('/').then(|| path.to_owned());
    }
    let (did, _fragment) = signer.kid.split_once('#')?;
    let mut parts = did.strip_prefix("did:web:")?.split(':');
    let host = parts.next()?.replace("%3A", ":").replace("%3a", ":");
    let (_scheme, own) = origin.split_once("://")?;
    if own != host {
        return None;
    }
    let path: Vec<&str> = parts.collect();
    let plain = |part: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty() && part.chars().all(plain) && part.chars().any(|c| c != '.')
    };
    if !path.iter().all(plain) {
        return None;
    }
    Some(if path.is_empty() {
        "/.well-known/did.json".to_owned()
    } else {
        format!("/{}/did.json", path.join("/"))
    })
}

/// What is signed: the card without its signatures and without empty values, canonical; then the same
/// without its security schemes.
fn payloads(card: &Value) -> Result<[Vec<u8>; 2], SignatureError> {
    let mut fields = card.as_object().cloned().unwrap_or_default();
    fields.remove("signatures");
    let whole = payload(&fields)?;
    fields.remove("securitySchemes");
    Ok([whole, payload(&fields)?])
}

fn payload(fields: &Map<String, Value>) -> Result<Vec<u8>, SignatureError> {
    let cleaned = cleaned(&Value::Object(fields.clone())).unwrap_or_else(|| json!({}));
    canonical(&cleaned).map_err(|_error| SignatureError::NotCanonical)
}

/// Leaves out what is empty: texts, lists and objects, and `null`.
fn cleaned(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) => (!text.is_empty()).then(|| value.clone()),
        Value::Array(items) => {
            let items: Vec<Value> = items.iter().filter_map(cleaned).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, value)| {
                **value != Value::Bool(false) || !PLAIN_FLAGS.contains(&name.as_str())
            });
            let kept = kept.filter_map(|(name, value)| Some((name.clone(), cleaned(value)?)));
            let kept: Map<String, Value> = kept.collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Bool(_) | Value::Number(_) => Some(value.clone()),
    }
}
