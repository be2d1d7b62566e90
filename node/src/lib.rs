//! The Worker: routes and Durable Objects that drive the pure crates.
//!
//! The only crate that names `worker`: everything that touches the platform (fetch, WebSockets,
//! D1, the objects' SQLite, alarms, clocks and entropy) is here, and nothing that decides what a
//! frame, a signature or a trust level means. Start reading at [`routes`], which dispatches every
//! request by [`auth`]'s access table; then at the objects: [`relay`], [`link`], [`agent`] and [`fanout`].

pub mod agent;
pub mod auth;
pub mod backup;
pub mod config;
pub mod drill;
pub mod edge;
pub mod embedding;
pub mod error;
pub mod fanout;
pub mod guard;
pub mod internal;
pub mod lifecycle;
pub mod link;
mod mail;
mod proof;
pub mod relay;
pub mod replica;
mod reporter;
pub mod routes;
pub mod shapes;
pub mod store;

use worker::{Context, Env, MessageBatch, MessageExt as _, Request, Response, console_warn, event};

/// Answers one HTTP request.
///
/// # Errors
/// None in practice: every failure is turned into an error body. What is left would be a
/// platform fault, which the runtime answers with a bare 500.
#[event(fetch, respond_with_errors)]
pub async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    routes::handle(request, env).await
}

/// Takes hints: that agents' records changed, whose replica is brought up to date then, and that mail waits
/// to be handed over.
///
/// # Errors
/// None: what fails is asked to come again.
#[event(queue)]
pub async fn queue(batch: MessageBatch<()>, env: Env, _context: Context) -> worker::Result<()> {
    let (mut mail, mut changes) = (Vec::new(), Vec::new());
    for message in batch.raw_iter() {
        match (mail::Hint::read(&message), replica::read(&message)) {
            (Some(hint), _) => mail.push((hint, message)),
            (None, Some(did)) => changes.push((did, message)),
            (None, None) => {
                console_warn!("the queue carries something that is no hint");
                message.ack();
            }
        }
    }
    mail::consume(mail, &env).await;
    replica::consume(changes, &env).await;
    Ok(())
}
