//! The firehose socket: it reconnects for as long as the page lives.

use futures::future::{AbortHandle, Abortable};
use futures::{SinkExt, StreamExt};
use gloo_net::websocket::Message;
use gloo_net::websocket::futures::WebSocket;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, firehose_url, http, read_frame};
use crate::browser;
use crate::store::Store;
use crate::view::connection::{Phase, STABLE_AFTER_MS, Unread, ack, delay_ms};

/// A socket that says nothing for this long after it was opened is given up.
const FIRST_FRAME_MS: u64 = 10_000;
const PROTOCOL: &str = "entente.ticket.";

/// Starts following the firehose in place of whatever was followed before.
pub(crate) fn follow(store: Store, ticket: Option<String>) {
    let (handle, registration) = AbortHandle::new_pair();
    store.replace_socket(handle);
    spawn_local(async move {
        let _ = Abortable::new(run(store, ticket), registration).await;
    });
}

async fn run(store: Store, mut ticket: Option<String>) {
    let mut failures = 0u32;
    loop {
        store.set_phase(Phase::after(failures, browser::is_online()));
        let started = browser::ticks_ms();
        match connect(store, ticket.take()).await {
            Ok(Some(socket)) => read(store, socket).await,
            Ok(None) => {}
            Err(refusal) => {
                // The key was good once and is not any more.
                store.leave_admin(Some(refusal));
                return;
            }
        }
        let lived = browser::ticks_ms() - started;
        failures = if lived >= STABLE_AFTER_MS as f64 {
            1
        } else {
            failures.saturating_add(1)
        };
        store.set_phase(Phase::after(failures, browser::is_online()));
        if let Ok(health) = http::health().await {
            store.set_problems(health.problems);
        }
        store
            .pause_or_wake(delay_ms(failures, js_sys::Math::random()))
            .await;
    }
}

/// Opens a socket, for the admin with a fresh ticket. Fails only where the key is refused.
async fn connect(store: Store, ticket: Option<String>) -> Result<Option<WebSocket>, Failure> {
    let location = window().location();
    let (Ok(protocol), Ok(host)) = (location.protocol(), location.host()) else {
        return Ok(None);
    };
    let url = firehose_url(&protocol, &host, store.cursor().as_deref());
    let ticket = match (ticket, store.key()) {
        (Some(ticket), _) => Some(ticket),
        (None, None) => None,
        (None, Some(key)) => match http::ticket(&key).await {
            Ok(ticket) => Some(ticket.ticket),
            Err(failure) if failure.is_wrong_key() => return Err(failure),
            Err(_) => return Ok(None),
        },
    };
    let socket = match ticket {
        Some(ticket) => WebSocket::open_with_protocol(&url, &format!("{PROTOCOL}{ticket}")),
        None => WebSocket::open(&url),
    };
    Ok(socket.ok())
}

async fn read(store: Store, mut socket: WebSocket) {
    let mut next = browser::within(FIRST_FRAME_MS, socket.next())
        .await
        .flatten();
    let mut unacknowledged = Unread::default();
    while let Some(Ok(message)) = next {
        if let Message::Text(text) = message
            && let Some(frame) = read_frame(&text)
        {
            store.set_phase(Phase::Connected);
            store.apply(frame);
            if unacknowledged.is_due(text.len())
                && let Some(ack) = store.cursor().as_deref().and_then(ack)
                && socket.send(Message::Text(ack)).await.is_err()
            {
                return;
            }
        }
        next = socket.next().await;
    }
}
