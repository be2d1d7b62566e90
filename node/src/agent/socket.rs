//! The agent's own socket: many sends in flight, receipts and messages pushed as they happen.

use std::rc::Rc;

use entente_lexicon::api::{Accepted, AgentCommand, AgentNotice, ErrorDetail, Ticket};
use entente_trust::crypto::token::{Token, token_hash};
use worker::{
    Headers, Request, Response, WebSocket, WebSocketIncomingMessage, WebSocketPair, console_warn,
};

use crate::agent::core::Core;
use crate::agent::send::Reply;
use crate::auth::gate::{TICKET_PROTOCOL, ticket_protocol};
use crate::error::ApiError;
use crate::internal::{self, ACTOR};

/// A ticket opens one socket within this time.
const TICKET_LIFE_MS: u64 = 30_000;
/// Programs that may be connected as one agent at once.
const MAX_SOCKETS: usize = 32;
/// The longest command.
const MAX_COMMAND_BYTES: usize = 96 * 1024;

impl Core {
    /// Makes a one-time pass for a socket, since a browser cannot set a header on one.
    pub(super) fn make_ticket(&self) -> Result<Ticket, ApiError> {
        let token = Token::generate(&mut internal::rng(), "");
        let expires_at = internal::now().after(TICKET_LIFE_MS);
        self.store
            .add_ticket(&token_hash(token.as_str()), expires_at)?;
        Ok(Ticket {
            ticket: token.as_str().to_owned(),
            expires_at,
        })
    }

    /// Opens a socket for whoever the Worker let through, or for who shows a ticket.
    pub(super) fn open_socket(&self, request: &Request) -> Result<Response, ApiError> {
        let headers = request.headers();
        if headers
            .get("upgrade")?
            .is_none_or(|value| !value.eq_ignore_ascii_case("websocket"))
        {
            return Err(ApiError::new(
                426,
                "UPGRADE_REQUIRED",
                "This route speaks WebSocket only: connect with ws:// or wss://.",
            ));
        }
        let protocol = ticket_protocol(request)?;
        let shown = protocol
            .as_deref()
            .and_then(|text| text.strip_prefix(TICKET_PROTOCOL));
        let admitted = match (headers.get(ACTOR)?, shown) {
            (Some(_), _) => true,
            (None, Some(ticket)) => self
                .store
                .take_ticket(&token_hash(ticket), internal::now())?,
            (None, None) => false,
        };
        if !admitted {
            return Err(ApiError::new(
                401,
                "TICKET_INVALID",
                "The ticket is unknown, used or older than 30 s: get a new one with POST /agents/:name/ticket.",
            ));
        }
        if self.sockets().len() >= MAX_SOCKETS {
            return Err(ApiError::new(
                429,
                "TOO_MANY_SOCKETS",
                "32 programs are connected as this agent already: close one of them.",
            ));
        }
        let pair = WebSocketPair::new()?;
        self.state.accept_web_socket(&pair.server);
        let response_headers = Headers::new();
        if let Some(protocol) = protocol {
            response_headers.set("sec-websocket-protocol", &protocol)?;
        }
        Ok(Response::from_websocket(pair.client)?.with_headers(response_headers))
    }

    /// Takes a command from a socket. Returns at once: many sends may be in flight.
    pub(super) fn hear(self: &Rc<Self>, socket: &WebSocket, message: WebSocketIncomingMessage) {
        let text = match message {
            WebSocketIncomingMessage::String(text) => text,
            WebSocketIncomingMessage::Binary(_) => {
                return tell(
                    socket,
                    &error(None, "INVALID_JSON", "Send commands as JSON text."),
                );
            }
        };
        if text.len() > MAX_COMMAND_BYTES {
            return tell(
                socket,
                &error(None, "BODY_TOO_LARGE", "A command is at most 96 KiB long."),
            );
        }
        let (reference, mut request) = match serde_json::from_str(&text) {
            Ok(AgentCommand::Send { reference, message }) => (reference, message),
            Err(fault) => {
                let reference = reference_of(&text);
                let notice = error(
                    reference,
                    "INVALID_COMMAND",
                    &format!("Not a command: {fault}."),
                );
                return tell(socket, &notice);
            }
        };
        request
            .idempotency_key
            .get_or_insert_with(|| reference.clone());
        self.submit_for(request, Reply::Socket(socket.clone(), reference));
    }
}

/// Pushes a notice to every program that acts as this agent.
pub(super) fn push(sockets: &[WebSocket], notice: &AgentNotice) {
    if sockets.is_empty() {
        return;
    }
    match serde_json::to_string(notice) {
        Ok(text) => sockets.iter().for_each(|socket| {
            // A socket that is just closing hears nothing more; the inbox has it all.
            let _ = socket.send_with_str(&text);
        }),
        Err(fault) => console_warn!("a notice could not be written: {fault}"),
    }
}

/// Answers a send.
pub(super) fn tell_outcome(
    socket: &WebSocket,
    reference: String,
    outcome: Result<Accepted, ApiError>,
) {
    let notice = match outcome {
        Ok(accepted) => AgentNotice::Accepted {
            reference,
            id: accepted.id,
        },
        Err(fault) => AgentNotice::Error {
            reference: Some(reference),
            error: fault.body(&internal::new_request_id()).error,
        },
    };
    tell(socket, &notice);
}

fn tell(socket: &WebSocket, notice: &AgentNotice) {
    if let Ok(text) = serde_json::to_string(notice) {
        let _ = socket.send_with_str(&text);
    }
}

fn error(reference: Option<String>, code: &str, message: &str) -> AgentNotice {
    AgentNotice::Error {
        reference,
        error: ErrorDetail {
            code: code.to_owned(),
            message: message.to_owned(),
            request: internal::new_request_id(),
        },
    }
}

/// Reads the client's name for a request out of a command that is otherwise wrong.
fn reference_of(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    value.get("ref")?.as_str().map(str::to_owned)
}
