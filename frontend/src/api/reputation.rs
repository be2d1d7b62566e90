//! Requests about what is public and what is said of agents.

use entente_lexicon::api::reputation::{ReputationList, ReputationView};
use entente_lexicon::api::timeline::Timeline;
use gloo_net::http::Method;

use crate::api::http::{call, open};
use crate::api::{Failure, escape};

/// Entries of one page.
const SHOWN: u32 = 20;

/// Reads a page of the timeline. This needs no key.
pub(crate) async fn timeline(cursor: Option<&str>) -> Result<Timeline, Failure> {
    let cursor = cursor.map(|cursor| format!("&cursor={}", escape(cursor)));
    let cursor = cursor.unwrap_or_default();
    open(&format!("/timeline?limit={SHOWN}{cursor}")).await
}

/// Lists the agents here with their scores.
pub(crate) async fn list(key: &str) -> Result<ReputationList, Failure> {
    call(Method::GET, "/reputation", key, None::<&()>).await
}

/// Reads what is said of an agent here.
pub(crate) async fn show(key: &str, agent: &str) -> Result<ReputationView, Failure> {
    let path = format!("/agents/{}/reputation", escape(agent));
    call(Method::GET, &path, key, None::<&()>).await
}
