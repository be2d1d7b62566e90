//! The signature base of RFC 9421, section 2.5.
//!
//! Supported are header fields as they stand and the derived components `@method`, `@authority`,
//! `@path` and `@query`, all without parameters. Anything else is refused rather than guessed at.

use std::fmt::Write as _;

use sfv::{BareItem, Dictionary, InnerList, ListEntry, ListSerializer, Parser};

use super::SignatureError;

/// The longest `Signature-Input` or `Signature` that is read.
const MAX_HEADER: usize = 2_048;
/// Components that one signature may cover.
const MAX_COMPONENTS: usize = 16;

/// A request, as far as signatures can cover it.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// `GET`.
    pub method: &'a str,
    /// The host, in lower case, with its port unless that is the scheme's default. A verifier
    /// states its own here, whatever the request claims.
    pub authority: &'a str,
    /// The absolute path.
    pub path: &'a str,
    /// What follows `?`, if there is one.
    pub query: Option<&'a str>,
    /// Returns a header by its name in lower case, several of one name joined by `, `.
    pub header: &'a dyn Fn(&str) -> Option<String>,
}

/// One signature as it stands in a request, with the text it must be over. Unverified.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What it covers, in order.
    pub components: Vec<String>,
    /// Its components and parameters as structured fields.
    pub input: InnerList,
    /// The text that is signed.
    pub base: String,
    /// The signature.
    pub signature: Vec<u8>,
}

/// Finds the one signature of a request and rebuilds the text that it is over.
///
/// # Errors
/// [`SignatureError::Malformed`], [`SignatureError::Ambiguous`], and
/// [`SignatureError::Incomplete`] if it covers a header that the request does not have.
pub fn find(message: &Message<'_>, input: &str, signature: &str) -> Result<Found, SignatureError> {
    let (label, input) = only(dictionary(input)?)?;
    let (same, signature) = only(dictionary(signature)?)?;
    let (ListEntry::InnerList(input), ListEntry::Item(signature)) = (input, signature) else {
        return Err(SignatureError::Malformed);
    };
    let BareItem::ByteSequence(signature) = signature.bare_item else {
        return Err(SignatureError::Malformed);
    };
    if label != same {
        return Err(SignatureError::Malformed);
    }
    let components = components(&input)?;
    let base = text(message, &components, &input)?;
    Ok(Found {
        components,
        input,
        base,
        signature,
    })
}

/// Writes the text that a signature with this input is over.
///
/// # Errors
/// [`SignatureError::Malformed`] if a component is not supported or stands twice,
/// [`SignatureError::Incomplete`] if the request does not have it.
pub fn text(
    message: &Message<'_>,
    components: &[String],
    input: &InnerList,
) -> Result<String, SignatureError> {
    let mut base = String::new();
    for (place, name) in components.iter().enumerate() {
        if components.iter().take(place).any(|other| other == name) {
            return Err(SignatureError::Malformed);
        }
        let value = value(message, name)?;
        // Writing to a String cannot fail.
        let _ = writeln!(base, "\"{name}\": {value}");
    }
    let _ = write!(base, "\"@signature-params\": {}", serialised(input)?);
    Ok(base)
}

/// Writes components and parameters in their one canonical form.
///
/// # Errors
/// [`SignatureError::Malformed`] if there is none, which no parsed input has.
pub fn serialised(input: &InnerList) -> Result<String, SignatureError> {
    let mut list = ListSerializer::new();
    list.members([&ListEntry::InnerList(input.clone())]);
    list.finish().ok_or(SignatureError::Malformed)
}

fn dictionary(text: &str) -> Result<Dictionary, SignatureError> {
    if text.len() > MAX_HEADER {
        return Err(SignatureError::Malformed);
    }
    Parser::new(text)
        .parse()
        .map_err(|_error| SignatureError::Malformed)
}

fn only(dictionary: Dictionary) -> Result<(String, ListEntry), SignatureError> {
    let mut members = dictionary.into_iter();
    let (label, member) = members.next().ok_or(SignatureError::Missing)?;
    match members.next() {
        None => Ok((label.as_str().to_owned(), member)),
        Some(_) => Err(SignatureError::Ambiguous),
    }
}

fn components(input: &InnerList) -> Result<Vec<String>, SignatureError> {
    if input.items.len() > MAX_COMPONENTS {
        return Err(SignatureError::Malformed);
    }
    let name = |item: &sfv::Item| {
        let name = item.bare_item.as_string();
        let name = name.filter(|_| item.params.is_empty());
        name.map(|name| name.as_str().to_owned())
            .ok_or(SignatureError::Malformed)
    };
    input.items.iter().map(name).collect()
}

fn value(message: &Message<'_>, name: &str) -> Result<String, SignatureError> {
    Ok(match name {
        "@method" => message.method.to_owned(),
        "@authority" => message.authority.to_owned(),
        "@path" => message.path.to_owned(),
        "@query" => format!("?{}", message.query.unwrap_or_default()),
        _ if is_field_name(name) => {
            let value = (message.header)(name);
            let value = value.ok_or(SignatureError::Incomplete("a header that it covers"))?;
            value.trim().to_owned()
        }
        _ => return Err(SignatureError::Malformed),
    })
}

fn is_field_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    !name.is_empty() && name.bytes().all(allowed)
}
