//! Reading a request's body: bounded while it streams, then strict JSON.

use futures::TryStreamExt;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use worker::Request;

use crate::error::ApiError;

/// The longest body of any request.
pub(super) const MAX_BODY_BYTES: usize = 96 * 1024;

/// Reads a body, and stops reading as soon as it is too long.
///
/// # Errors
/// 413 `BODY_TOO_LARGE`.
pub(crate) async fn read(request: &mut Request) -> Result<Vec<u8>, ApiError> {
    let announced = request.headers().get("content-length")?;
    if announced.is_some_and(|text| {
        text.parse()
            .is_ok_and(|length: usize| length > MAX_BODY_BYTES)
    }) {
        return Err(too_large());
    }
    if request.inner().body().is_none() {
        return Ok(Vec::new());
    }
    if request.headers().has("content-length")? {
        // HTTP holds whoever sends it to what was announced.
        return Ok(request.bytes().await?);
    }
    let mut stream = request.stream()?;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.try_next().await? {
        if bytes.len().saturating_add(chunk.len()) > MAX_BODY_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Reads a body as JSON of a known shape.
///
/// # Errors
/// 413 `BODY_TOO_LARGE`, 400 `INVALID_JSON` or 400 `INVALID_BODY`.
pub(crate) async fn json<T: DeserializeOwned>(request: &mut Request) -> Result<T, ApiError> {
    parse(&read(request).await?)
}

/// Parses JSON of a known shape; says where it goes wrong.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => {
            ApiError::bad_request("INVALID_JSON", format!("The body is not JSON: {error}."))
        }
        Category::Data => ApiError::bad_request(
            "INVALID_BODY",
            format!("The body has another shape than this route expects: {error}."),
        ),
    })
}

fn too_large() -> ApiError {
    ApiError::new(
        413,
        "BODY_TOO_LARGE",
        "The body is over 96 KiB: store it elsewhere and send a `ref` to it.",
    )
}

#[cfg(test)]
mod tests {
    use entente_lexicon::api::CreateAgent;

    use super::*;

    #[test]
    fn broken_json_is_refused_with_its_position() {
        for bad in ["", "{", "{\"name\": }", "nope"] {
            let error = parse::<CreateAgent>(bad.as_bytes()).unwrap_err();
            assert_eq!((error.status, &*error.code), (400, "INVALID_JSON"), "{bad}");
            assert!(error.message.contains("line 1 column"), "{}", error.message);
        }
    }

    #[test]
    fn json_of_another_shape_is_told_from_broken_json() {
        for bad in ["[]", "{}", "{\"name\": 1}", "{\"name\": \"a\", \"x\": 1}"] {
            let error = parse::<CreateAgent>(bad.as_bytes()).unwrap_err();
            assert_eq!((error.status, &*error.code), (400, "INVALID_BODY"), "{bad}");
        }
        assert!(parse::<CreateAgent>(b"{\"name\": \"a\"}").is_ok());
    }
}
