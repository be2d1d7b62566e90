//! Requests about announcements.

use entente_lexicon::api::{Announce, Announced, AnnouncementList};
use gloo_net::http::Method;

use crate::api::http::{call, open};
use crate::api::{Failure, escape};

/// Announcements shown at most.
const SHOWN: u32 = 50;

/// Lists the newest announcements. This needs no key.
pub(crate) async fn list() -> Result<AnnouncementList, Failure> {
    open(&format!("/relay/announcements?limit={SHOWN}")).await
}

/// Announces something as an agent.
pub(crate) async fn announce(
    key: &str,
    agent: &str,
    body: &Announce,
) -> Result<Announced, Failure> {
    let path = format!("/agents/{}/announce", escape(agent));
    call(Method::POST, &path, key, Some(body)).await
}
