//! Requests to the network this page came from.

use entente_lexicon::api::{
    Accepted, AddPeer, ChangePeer, Health, Inbox, MarkedRead, MessageList, MessageStatus, PeerList,
    PeerView, SendMessage, Ticket,
};
use entente_lexicon::keys::{IdentityView, Unfreeze};
use entente_lexicon::link_view::PeerDetail;
use gloo_net::http::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use web_sys::AbortSignal;

use crate::api::{Failure, escape};

const TIMEOUT_MS: u32 = 20_000;
/// Messages asked for at once; the most the API gives.
pub(crate) const PAGE: usize = 200;
pub(super) const PEERS: &str = "/admin/federation/peers";

/// Asks how the network is. This needs no key.
pub(crate) async fn health() -> Result<Health, Failure> {
    let signal = AbortSignal::timeout_with_u32(TIMEOUT_MS);
    let request = RequestBuilder::new("/health").abort_signal(Some(&signal));
    // A network that is not well says so with a status of its own.
    let Ok(answer) = request.send().await else {
        return Err(Failure::no_answer());
    };
    answer
        .json()
        .await
        .map_err(|error| Failure::bad_answer(&error.to_string()))
}

/// Asks for a pass to the admin's view of the firehose. This is also how a key is tried.
pub(crate) async fn ticket(key: &str) -> Result<Ticket, Failure> {
    call(Method::POST, "/admin/ticket", key, None::<&()>).await
}

/// Sends a message as an agent.
pub(crate) async fn send(key: &str, agent: &str, body: &SendMessage) -> Result<Accepted, Failure> {
    call(
        Method::POST,
        &format!("{}/messages", agent_path(agent)),
        key,
        Some(body),
    )
    .await
}

/// Asks how far a message came.
pub(crate) async fn message(key: &str, agent: &str, id: &str) -> Result<MessageStatus, Failure> {
    let path = format!("{}/messages/{}", agent_path(agent), escape(id));
    call(Method::GET, &path, key, None::<&()>).await
}

/// Lists what an agent sent.
pub(crate) async fn sent(
    key: &str,
    agent: &str,
    cursor: Option<&str>,
) -> Result<MessageList, Failure> {
    let path = format!(
        "{}/messages?direction=out&{}",
        agent_path(agent),
        page(cursor)
    );
    call(Method::GET, &path, key, None::<&()>).await
}

/// Reads an agent's inbox.
pub(crate) async fn inbox(key: &str, agent: &str, cursor: Option<&str>) -> Result<Inbox, Failure> {
    let path = format!("{}/inbox?{}", agent_path(agent), page(cursor));
    call(Method::GET, &path, key, None::<&()>).await
}

/// Marks a message in an agent's inbox as read.
pub(crate) async fn mark_read(key: &str, agent: &str, id: &str) -> Result<MarkedRead, Failure> {
    let path = format!("{}/inbox/{}/read", agent_path(agent), escape(id));
    call(Method::POST, &path, key, None::<&()>).await
}

/// Lists the peers.
pub(crate) async fn peers(key: &str) -> Result<PeerList, Failure> {
    call(Method::GET, PEERS, key, None::<&()>).await
}

/// Asks for everything about one link.
pub(crate) async fn peer_detail(key: &str, did: &str) -> Result<PeerDetail, Failure> {
    let path = format!("{PEERS}/{}", escape(did));
    call(Method::GET, &path, key, None::<&()>).await
}

/// Has a link dial now.
pub(crate) async fn probe_peer(key: &str, did: &str) -> Result<(), Failure> {
    let path = format!("{PEERS}/{}/probe", escape(did));
    request(Method::POST, &path, key, None::<&()>)
        .await
        .map(drop)
}

/// Takes back a peer that was put aside.
pub(crate) async fn pardon_peer(key: &str, did: &str) -> Result<(), Failure> {
    let path = format!("{PEERS}/{}/penalty", escape(did));
    request(Method::DELETE, &path, key, None::<&()>)
        .await
        .map(drop)
}

/// Adds a peer.
pub(crate) async fn add_peer(key: &str, body: &AddPeer) -> Result<PeerView, Failure> {
    call(Method::POST, PEERS, key, Some(body)).await
}

/// Changes what a peer may.
pub(crate) async fn change_peer(key: &str, did: &str, body: &ChangePeer) -> Result<(), Failure> {
    let answer = request(
        Method::PATCH,
        &format!("{PEERS}/{}", escape(did)),
        key,
        Some(body),
    )
    .await;
    answer.map(drop)
}

/// Removes a peer.
pub(crate) async fn remove_peer(key: &str, did: &str) -> Result<(), Failure> {
    let path = format!("{PEERS}/{}", escape(did));
    request(Method::DELETE, &path, key, None::<&()>)
        .await
        .map(drop)
}

/// Goes on with a frozen link.
pub(crate) async fn unfreeze(key: &str, did: &str, body: &Unfreeze) -> Result<PeerView, Failure> {
    let path = format!("{PEERS}/{}/unfreeze", escape(did));
    call(Method::POST, &path, key, Some(body)).await
}

/// Asks who this network is.
pub(crate) async fn keys(key: &str) -> Result<IdentityView, Failure> {
    call(Method::GET, "/admin/keys", key, None::<&()>).await
}

/// Gives this network new keys.
pub(crate) async fn rotate_keys(key: &str) -> Result<IdentityView, Failure> {
    call(Method::POST, "/admin/keys/rotate", key, None::<&()>).await
}

fn agent_path(agent: &str) -> String {
    format!("/agents/{}", escape(agent))
}

fn page(cursor: Option<&str>) -> String {
    let from = cursor.map_or_else(String::new, |cursor| format!("&cursor={}", escape(cursor)));
    format!("limit={PAGE}{from}")
}

pub(super) async fn call<B: Serialize, T: DeserializeOwned>(
    method: Method,
    path: &str,
    key: &str,
    body: Option<&B>,
) -> Result<T, Failure> {
    parse(&request(method, path, key, body).await?)
}

/// Asks for what everybody may see.
pub(super) async fn open<T: DeserializeOwned>(path: &str) -> Result<T, Failure> {
    let signal = AbortSignal::timeout_with_u32(TIMEOUT_MS);
    let builder = RequestBuilder::new(path)
        .abort_signal(Some(&signal))
        .header("accept", "application/json");
    parse(&read(builder.send().await).await?)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::bad_answer(&error.to_string()))
}

pub(super) async fn request<B: Serialize>(
    method: Method,
    path: &str,
    key: &str,
    body: Option<&B>,
) -> Result<String, Failure> {
    let signal = AbortSignal::timeout_with_u32(TIMEOUT_MS);
    let builder = RequestBuilder::new(path)
        .method(method)
        .abort_signal(Some(&signal))
        .header("accept", "application/json")
        .header("authorization", &format!("Bearer {key}"));
    let sent = match body {
        Some(body) => {
            let text = serde_json::to_string(body)
                .map_err(|error| Failure::bad_answer(&error.to_string()))?;
            let request = builder
                .header("content-type", "application/json")
                .body(text);
            match request {
                Ok(request) => request.send().await,
                Err(error) => Err(error),
            }
        }
        None => builder.send().await,
    };
    read(sent).await
}

async fn read(answer: Result<Response, gloo_net::Error>) -> Result<String, Failure> {
    let Ok(answer) = answer else {
        return Err(Failure::no_answer());
    };
    let Ok(text) = answer.text().await else {
        return Err(Failure::no_answer());
    };
    if answer.ok() {
        Ok(text)
    } else {
        Err(Failure::from_answer(answer.status(), &text))
    }
}
