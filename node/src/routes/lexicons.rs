//! The schemas of records, for whoever writes or reads them. The same for every network of a release.

use entente_lexicon::schema::{canonical, lexicons};
use entente_trust::crypto::hash::sha256;
use serde::Serialize;
use worker::Response;

use crate::error::ApiError;
use crate::routes::call::Call;
use crate::routes::reply;

/// A document changes with a release only.
const MAX_AGE: u32 = 3_600;

#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    /// How the keys of its records are made, where it is a type of record.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

#[derive(Serialize)]
struct List<'a> {
    lexicons: Vec<Listed<'a>>,
}

/// The routes of schemas.
pub(super) fn serve(call: &Call) -> Result<Response, ApiError> {
    if call.parameters.is_empty() {
        list(call)
    } else {
        show(call)
    }
}

/// `GET /lexicons`: which there are.
fn list(call: &Call) -> Result<Response, ApiError> {
    let key = |id| {
        lexicons()
            .record_type(id)
            .map(|known| known.key().to_string())
    };
    let listed = lexicons().ids().map(|id| Listed { id, key: key(id) });
    let list = serde_json::to_string(&List {
        lexicons: listed.collect(),
    })?;
    cached(call, &list)
}

/// `GET /lexicons/:nsid`: a Lexicon v1 document, as it was written.
fn show(call: &Call) -> Result<Response, ApiError> {
    let document = lexicons().document(canonical(call.parameter()));
    let document = document.ok_or_else(|| {
        ApiError::not_found(
            "UNKNOWN_LEXICON",
            "There is no such document: GET /lexicons lists those there are.",
        )
    })?;
    cached(call, document)
}

fn cached(call: &Call, text: &str) -> Result<Response, ApiError> {
    let etag = data_encoding::BASE64URL_NOPAD.encode(&sha256(&[text.as_bytes()]));
    reply::cached(&call.request, text, "application/json", &etag, MAX_AGE)
}
