//! Requests about trust: who asks to peer, approvals, bans, and what a change would do.

use entente_lexicon::api::{
    AcceptRequest, ApprovePeer, BanList, BanView, ChangePeer, NewBan, PeerRequests, PeerView,
    Preview, QuarantineList,
};
use gloo_net::http::Method;

use crate::api::http::{PEERS, call, request};
use crate::api::{Failure, escape};

const REQUESTS: &str = "/admin/federation/requests";
const QUARANTINE: &str = "/admin/federation/quarantine";
const BANS: &str = "/admin/federation/bans";

/// Lists the networks that dialled and wait.
pub(crate) async fn requests(key: &str) -> Result<PeerRequests, Failure> {
    call(Method::GET, REQUESTS, key, None::<&()>).await
}

/// Takes a network that waits as a peer.
pub(crate) async fn accept(
    key: &str,
    did: &str,
    body: &AcceptRequest,
) -> Result<PeerView, Failure> {
    let path = format!("{REQUESTS}/{}/accept", escape(did));
    call(Method::POST, &path, key, Some(body)).await
}

/// Turns a network that waits away.
pub(crate) async fn reject(key: &str, did: &str) -> Result<(), Failure> {
    let path = format!("{REQUESTS}/{}/reject", escape(did));
    let answer = request(Method::POST, &path, key, None::<&()>).await;
    answer.map(drop)
}

/// Approves a peer by the fingerprint that was compared.
pub(crate) async fn approve(key: &str, did: &str, body: &ApprovePeer) -> Result<PeerView, Failure> {
    call(Method::POST, &approval(did), key, Some(body)).await
}

/// Takes an approval back.
pub(crate) async fn withdraw(key: &str, did: &str) -> Result<PeerView, Failure> {
    call(Method::DELETE, &approval(did), key, None::<&()>).await
}

/// Asks what a change would do; nothing changes.
pub(crate) async fn preview(key: &str, did: &str, body: &ChangePeer) -> Result<Preview, Failure> {
    let path = format!("{PEERS}/{}/preview", escape(did));
    call(Method::POST, &path, key, Some(body)).await
}

/// Lists the bans in force.
pub(crate) async fn bans(key: &str) -> Result<BanList, Failure> {
    call(Method::GET, BANS, key, None::<&()>).await
}

/// Bans a network.
pub(crate) async fn ban(key: &str, body: &NewBan) -> Result<BanView, Failure> {
    call(Method::POST, BANS, key, Some(body)).await
}

/// Lifts a ban.
pub(crate) async fn lift(key: &str, subject: &str) -> Result<(), Failure> {
    let path = format!("{BANS}/{}", escape(subject));
    let answer = request(Method::DELETE, &path, key, None::<&()>).await;
    answer.map(drop)
}

/// Lists messages that wait for a decision.
pub(crate) async fn quarantine(key: &str, cursor: Option<&str>) -> Result<QuarantineList, Failure> {
    let from = cursor.map_or_else(String::new, |cursor| format!("?cursor={}", escape(cursor)));
    call(
        Method::GET,
        &format!("{QUARANTINE}{from}"),
        key,
        None::<&()>,
    )
    .await
}

/// Decides about one of them: `release` or `refuse`.
pub(crate) async fn decide(key: &str, item: &str, decision: &str) -> Result<(), Failure> {
    let path = format!("{QUARANTINE}/{}/{decision}", escape(item));
    let answer = request(Method::POST, &path, key, None::<&()>).await;
    answer.map(drop)
}

fn approval(did: &str) -> String {
    format!("{PEERS}/{}/approve", escape(did))
}
