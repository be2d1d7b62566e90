//! The dashboard's static files, under a strict content security policy.

use worker::{Fetcher, Headers, Method, RequestInit, Response};

use crate::auth::route::Route;
use crate::error::ApiError;
use crate::routes::call::Call;

/// The binding of the static files.
const ASSETS: &str = "ASSETS";
const ORIGIN: &str = "http://assets";
/// Scripts and Wasm come from here only; style attributes are set by components.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
     style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self' ws: wss:; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// Leads from `/` to the dashboard; serves its files.
pub(super) async fn serve(call: &Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::Home {
        redirect("/dashboard")
    } else {
        file(call).await
    }
}

/// Serves a file, or the page itself for a path that is one of its views.
async fn file(call: &Call) -> Result<Response, ApiError> {
    let assets = call.env.assets(ASSETS).map_err(|_error| absent())?;
    let path = match call.request.path().as_str() {
        "/dashboard" => "/dashboard/".to_owned(),
        other => other.to_owned(),
    };
    let mut response = fetch(&assets, call, &path).await?;
    if response.status_code() == 404 && is_view(&path) {
        response = fetch(&assets, call, "/dashboard/").await?;
    }
    if response.status_code() == 404 {
        return Err(absent());
    }
    let headers = Headers::new();
    for (name, value) in response.headers().entries() {
        headers.append(&name, &value)?;
    }
    headers.set("content-security-policy", POLICY)?;
    headers.set("cross-origin-opener-policy", "same-origin")?;
    Ok(response.with_headers(headers))
}

async fn fetch(assets: &Fetcher, call: &Call, path: &str) -> Result<Response, ApiError> {
    let headers = Headers::new();
    if let Some(etag) = call.request.headers().get("if-none-match")? {
        headers.set("if-none-match", &etag)?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Get).with_headers(headers);
    Ok(assets.fetch(format!("{ORIGIN}{path}"), Some(init)).await?)
}

/// Tells whether a path names a view of the page rather than a file.
fn is_view(path: &str) -> bool {
    path.rsplit('/')
        .next()
        .is_some_and(|last| !last.contains('.'))
}

fn redirect(to: &str) -> Result<Response, ApiError> {
    let response = Response::empty()?.with_status(302);
    response.headers().set("location", to)?;
    Ok(response)
}

fn absent() -> ApiError {
    ApiError::not_found(
        "NOT_FOUND",
        "There is no such file in the dashboard; `cargo xtask build` makes it.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_an_extension_is_a_view() {
        assert!(is_view("/dashboard/peers"));
        assert!(is_view("/dashboard/"));
        assert!(!is_view("/dashboard/app.js"));
    }
}
