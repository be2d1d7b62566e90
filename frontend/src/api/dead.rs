//! Calls about dead letters.

use entente_lexicon::api::dead::DeadLetterList;
use entente_lexicon::api::webhooks::DeadChanged;
use gloo_net::http::Method;

use crate::api::http::call;
use crate::api::{Failure, escape};

const DEAD: &str = "/admin/dead-letters";

/// Lists the first page of them.
pub(crate) async fn list(key: &str) -> Result<DeadLetterList, Failure> {
    call(Method::GET, DEAD, key, None::<&()>).await
}

/// Has one tried again (`redrive`) or thrown away (`discard`), or all.
pub(crate) async fn change(
    key: &str,
    id: Option<&str>,
    deed: &str,
) -> Result<DeadChanged, Failure> {
    let path = match id {
        Some(id) => format!("{DEAD}/{}/{deed}", escape(id)),
        None => format!("{DEAD}/{deed}"),
    };
    call(Method::POST, &path, key, Some(&serde_json::json!({}))).await
}
