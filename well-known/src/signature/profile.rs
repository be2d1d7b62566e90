//! The one kind of signature that networks put on requests to one another.

use data_encoding::BASE64URL_NOPAD;
use entente_lexicon::{Did, Timestamp};
use entente_trust::crypto::sign::{SIGNATURE_LENGTH, VerifyingKey};
use entente_trust::proof::Signer;
use sfv::{
    BareItem, DictSerializer, InnerList, Integer, Item, KeyRef, Parameters, StringRef, key_ref,
    string_ref,
};

use super::base::{self, Message};
use super::digest::CONTENT_DIGEST;
use super::error::SignatureError;

/// What a signature is for; one made for anything else is worth nothing here.
pub const TAG: &str = "entente-link";
/// The longest life of a signature, in seconds.
pub const LIFETIME_S: u64 = 60;
/// By how much two networks' clocks may differ, in seconds.
pub const SKEW_S: u64 = 90;
/// The header with what is covered, in lower case.
pub const SIGNATURE_INPUT: &str = "signature-input";
/// The header with the signature, in lower case.
pub const SIGNATURE: &str = "signature";
/// The header by which a network names its host to one that does not know it yet.
pub const HOST: &str = "x-entente-host";
/// The header with the DID that a request with a body is meant for.
pub const DESTINATION: &str = "x-entente-to";

pub(super) const ALGORITHM: &str = "ed25519";
const LABEL: &str = "sig1";
/// Headers that are believed, and so must be covered wherever they stand.
const BELIEVED: [&str; 3] = [HOST, DESTINATION, CONTENT_DIGEST];
/// What a request that carries a body must have.
const OF_A_BODY: [&str; 2] = [DESTINATION, CONTENT_DIGEST];
const NONCE_LENGTH: std::ops::RangeInclusive<usize> = 16..=64;

/// The two headers of a signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The value of [`SIGNATURE_INPUT`].
    pub input: String,
    /// The value of [`SIGNATURE`].
    pub signature: String,
}

/// What a signature says about its request. Nothing of it is believed before it verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The network that claims to have signed.
    pub did: Did,
    /// The name of its key.
    pub kid: String,
    /// Never used twice by that network.
    pub nonce: String,
    /// Until when the nonce must be remembered: afterwards the signature is not valid any more.
    pub until: Timestamp,
    base: String,
    signature: [u8; SIGNATURE_LENGTH],
}

/// Signs a request as a network. `nonce` must be fresh.
///
/// # Errors
/// [`SignatureError::Incomplete`] if the request has a body without digest or destination;
/// [`SignatureError::Malformed`] if the signer's names cannot stand in a header.
pub fn sign(
    message: &Message<'_>,
    signer: &Signer<'_>,
    created: Timestamp,
    nonce: &[u8; 16],
) -> Result<Signed, SignatureError> {
    let components = required(message)?;
    let created = created.0 / 1_000;
    let parameters = [
        (key_ref("created"), integer(created)?),
        (
            key_ref("expires"),
            integer(created.saturating_add(LIFETIME_S))?,
        ),
        (key_ref("nonce"), text(&BASE64URL_NOPAD.encode(nonce))?),
        (
            key_ref("keyid"),
            text(&format!("{}#{}", signer.did, signer.kid))?,
        ),
        (key_ref("alg"), string_ref(ALGORITHM).to_owned().into()),
        (key_ref("tag"), string_ref(TAG).to_owned().into()),
    ];
    seal(message, &components, parameters, signer)
}

/// Writes the two headers of a signature over these components with these parameters.
pub(super) fn seal<const N: usize>(
    message: &Message<'_>,
    components: &[String],
    parameters: [(&'static KeyRef, BareItem); N],
    signer: &Signer<'_>,
) -> Result<Signed, SignatureError> {
    let items = components.iter().map(|name| text(name).map(Item::new));
    let input = InnerList {
        items: items.collect::<Result<_, _>>()?,
        params: parameters
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    };
    let base = base::text(message, components, &input)?;
    let mut signature = DictSerializer::new();
    signature.bare_item(key_ref(LABEL), &signer.key.sign(&[base.as_bytes()])[..]);
    Ok(Signed {
        input: format!("{LABEL}={}", base::serialised(&input)?),
        signature: signature.finish().unwrap_or_default(),
    })
}

/// Reads the signature of a request and checks everything about it that needs no key.
///
/// # Errors
/// Each variant of [`SignatureError`] but the last two.
pub fn read(message: &Message<'_>, now: Timestamp) -> Result<Claim, SignatureError> {
    let header = |name| (message.header)(name).filter(|text| !text.trim().is_empty());
    let (Some(input), Some(signature)) = (header(SIGNATURE_INPUT), header(SIGNATURE)) else {
        return Err(SignatureError::Missing);
    };
    let found = base::find(message, &input, &signature)?;
    let parameters = &found.input.params;
    if string(parameters, "tag")? != TAG || string(parameters, "alg")? != ALGORITHM {
        return Err(SignatureError::Purpose);
    }
    for name in required(message)? {
        if !found.components.contains(&name) {
            return Err(SignatureError::Incomplete(covered(&name)));
        }
    }
    let until = check_time(parameters, now)?;
    let nonce = string(parameters, "nonce")?;
    if !NONCE_LENGTH.contains(&nonce.len()) {
        return Err(SignatureError::Malformed);
    }
    let (did, kid) = string(parameters, "keyid")?
        .split_once('#')
        .ok_or(SignatureError::Malformed)?;
    Ok(Claim {
        did: Did::parse(did).map_err(|_error| SignatureError::Malformed)?,
        kid: kid.to_owned(),
        nonce: nonce.to_owned(),
        until,
        base: found.base,
        signature: found
            .signature
            .try_into()
            .map_err(|_error| SignatureError::Malformed)?,
    })
}

impl Claim {
    /// Checks the signature with the key that the claim names.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), SignatureError> {
        key.verify(&[self.base.as_bytes()], &self.signature)
            .map_err(|_error| SignatureError::Invalid)
    }
}

/// What a signature on this request must cover: everything in it that is believed.
fn required(message: &Message<'_>) -> Result<Vec<String>, SignatureError> {
    let mut names = vec!["@method", "@authority", "@path"];
    if message.query.is_some() {
        names.push("@query");
    }
    let has = |name: &&str| (message.header)(name).is_some();
    names.extend(BELIEVED.into_iter().filter(has));
    let carries_body = !matches!(message.method, "GET" | "HEAD");
    if carries_body && !OF_A_BODY.iter().all(has) {
        return Err(SignatureError::Incomplete(
            "Content-Digest and x-entente-to, which a request with a body needs",
        ));
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

fn covered(name: &str) -> &'static str {
    match name {
        "@method" => "the component @method",
        "@authority" => "the component @authority",
        "@path" => "the component @path",
        "@query" => "the component @query",
        HOST => "the component x-entente-host",
        DESTINATION => "the component x-entente-to",
        _ => "the component content-digest",
    }
}

/// Judges when the signature is valid, for a clock that may differ from ours.
fn check_time(parameters: &Parameters, now: Timestamp) -> Result<Timestamp, SignatureError> {
    let created = seconds(parameters, "created")?;
    let expires = seconds(parameters, "expires")?;
    if expires < created || expires.saturating_sub(created) > LIFETIME_S {
        return Err(SignatureError::Lifetime);
    }
    let instant = |seconds: u64| Timestamp(seconds.saturating_mul(1_000));
    let from = instant(created.saturating_sub(SKEW_S));
    let until = instant(expires.saturating_add(SKEW_S));
    if now < from || now > until {
        return Err(SignatureError::ClockSkew);
    }
    Ok(until)
}

fn seconds(parameters: &Parameters, name: &'static str) -> Result<u64, SignatureError> {
    let value = parameters
        .get(name)
        .ok_or(SignatureError::Incomplete(name))?;
    let BareItem::Integer(value) = value else {
        return Err(SignatureError::Malformed);
    };
    u64::try_from(i64::from(*value)).map_err(|_error| SignatureError::Malformed)
}

fn string<'a>(parameters: &'a Parameters, name: &'static str) -> Result<&'a str, SignatureError> {
    match parameters.get(name) {
        Some(BareItem::String(value)) => Ok(value.as_str()),
        Some(_) => Err(SignatureError::Malformed),
        None => Err(SignatureError::Incomplete(name)),
    }
}

pub(super) fn integer(value: u64) -> Result<BareItem, SignatureError> {
    Integer::try_from(value)
        .map(BareItem::Integer)
        .map_err(|_error| SignatureError::Malformed)
}

pub(super) fn text(value: &str) -> Result<BareItem, SignatureError> {
    StringRef::from_str(value)
        .map(|value| BareItem::String(value.to_owned()))
        .map_err(|_error| SignatureError::Malformed)
}
