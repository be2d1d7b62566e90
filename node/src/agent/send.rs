//! Sending: check, resolve, seal, commit, hand over; then, and only then, say `accepted`.

use std::rc::Rc;
use std::time::Duration;

use entente_lexicon::api::{Accepted, NewEvent, SendMessage};
use entente_lexicon::message::DEFAULT_PRIORITY;
use entente_lexicon::{Content, MessageId, ReceiptStatus, Recipient, Timestamp};
use entente_trust::crypto::hash;
use entente_trust::message::{Body, Header, SealError, seal};
use futures::channel::oneshot;
use futures::future::{Either, select};
use worker::Delay;

use crate::agent::contacts::{Contact, Route};
use crate::agent::core::{Core, address};
use crate::agent::identity::Me;
use crate::agent::outbox::{Departure, Destination};
use crate::agent::store::NewMessage;
use crate::error::ApiError;
use crate::internal;

/// The longest content, as JSON.
const MAX_CONTENT_BYTES: usize = 60 * 1024;
/// The longest thread name and idempotency key.
const MAX_TEXT_BYTES: usize = 256;
/// How far ahead a message may expire.
const MAX_EXPIRY_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Without `expiresAt` a message is worth delivering this long.
const DEFAULT_EXPIRY_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// How long a sender waits to hear that the next object has the message too. It is durable here
/// from the start, so after this the answer is `accepted` all the same.
const HANDOVER_WAIT_MS: u64 = 2_000;

impl Core {
    /// Sends one message. Returns once it is durable and, unless that takes long, handed over.
    pub(super) async fn send(self: &Rc<Self>, request: SendMessage) -> Result<Accepted, ApiError> {
        let me = self.identity()?;
        let recipient = check(&request, internal::now())?;
        let contact = self.contact_of(&recipient).await?;
        let digest = request_digest(&request)?;
        if let Some(earlier) = self.earlier(&request, &digest)? {
            return Ok(earlier);
        }
        let (id, stored) = self.commit(&me, &contact, &request, digest)?;
        let Either::Left((outcome, _)) =
            select(stored, Delay::from(Duration::from_millis(HANDOVER_WAIT_MS))).await
        else {
            return Ok(accepted(&id));
        };
        match outcome {
            Ok(Err(code)) => {
                self.contacts.forget(&contact.did);
                Err(refusal(&code, &contact))
            }
            Ok(Ok(())) | Err(oneshot::Canceled) => Ok(accepted(&id)),
        }
    }

    /// Answers a repeated request as the first time.
    fn earlier(
        &self,
        request: &SendMessage,
        digest: &[u8; 32],
    ) -> Result<Option<Accepted>, ApiError> {
        let Some(key) = &request.idempotency_key else {
            return Ok(None);
        };
        match self.store.by_request(key)? {
            None => Ok(None),
            Some((id, known)) if known == digest => Ok(Some(accepted(&id))),
            Some(_) => Err(ApiError::new(
                409,
                "IDEMPOTENCY_MISMATCH",
                "This idempotency key was used for another message: use a new key, or repeat the first request exactly.",
            )),
        }
    }

    /// Seals and stores a message and queues it. No await from here to its end: one turn, one
    /// commit.
    fn commit(
        self: &Rc<Self>,
        me: &Me,
        contact: &Rc<Contact>,
        request: &SendMessage,
        digest: [u8; 32],
    ) -> Result<(MessageId, oneshot::Receiver<Result<(), String>>), ApiError> {
        let now = internal::now();
        let id = MessageId::from_parts(now.0, internal::random());
        let header = Header {
            id: id.to_bytes(),
            from: me.did.clone(),
            to: contact.did.clone(),
            network: contact.network.clone(),
            index: contact.next_index.get(),
            expires: Some(request.expires_at.unwrap_or(now.after(DEFAULT_EXPIRY_MS))),
        };
        let body = Body {
            content: request.content.clone(),
            thread: request.thread.clone(),
            priority: request.priority.unwrap_or(DEFAULT_PRIORITY),
            created_at: now,
        };
        let bytes = seal(
            &header,
            &body,
            &me.signing,
            &contact.kem,
            &contact.kid,
            &mut internal::rng(),
        )
        .map_err(unsealable)?;
        if !self.outbox.has_room(bytes.len()) {
            return Err(ApiError::new(
                429,
                "OUTBOX_FULL",
                "Too much mail of this agent is waiting to be handed over: wait a moment and send again.",
            ));
        }
        self.store.transaction(|| {
            self.store.insert(NewMessage {
                id: &id,
                outgoing: true,
                peer: &contact.did,
                host: &contact.host,
                network: &contact.network,
                created_at: now,
                stored_at: now,
                body: me.seal_body(&id, &body)?,
                digest,
                request: request.idempotency_key.as_deref(),
                envelope: Some(&bytes),
            })?;
            self.store
                .set_next_index(&contact.did, header.index.saturating_add(1))?;
            Ok::<_, ApiError>(())
        })?;
        contact.next_index.set(header.index.saturating_add(1));
        self.report_accepted(me, contact, &id, request, now);
        let stored = self.outbox.wait(&id);
        let departure = Departure {
            id: id.clone(),
            to: contact.did.clone(),
            bytes,
        };
        self.depart(contact.destination(), departure);
        Ok((id, stored))
    }

    fn report_accepted(
        &self,
        me: &Me,
        contact: &Contact,
        id: &MessageId,
        request: &SendMessage,
        now: Timestamp,
    ) {
        self.report(NewEvent {
            kind: "message.accepted".to_owned(),
            at: now,
            from: Some(address(&me.did, &me.host)),
            to: Some(address(&contact.did, &contact.host)),
            message: Some(id.to_string()),
            peer: matches!(contact.route, Route::Link).then(|| contact.host.to_string()),
            label: (request.thread.as_deref() == Some(DEMO_THREAD)).then(|| DEMO_THREAD.to_owned()),
            ..NewEvent::default()
        });
    }
}

/// The thread of the conversation that `cargo xtask up` sends, so that viewers see what it is.
const DEMO_THREAD: &str = "demo script";

impl Contact {
    fn destination(&self) -> Destination {
        match self.route {
            Route::Link => Destination::Link(self.network.clone()),
            Route::Local { .. } => Destination::Local(self.did.clone()),
        }
    }
}

fn accepted(id: &MessageId) -> Accepted {
    Accepted {
        id: id.to_string(),
        status: ReceiptStatus::Accepted,
    }
}

/// Checks everything about a request that needs no knowledge of the recipient.
fn check(request: &SendMessage, now: Timestamp) -> Result<Recipient, ApiError> {
    let recipient: Recipient = request
        .to
        .parse()
        .map_err(|error: entente_lexicon::IdError| {
            ApiError::bad_request("MALFORMED_ADDRESS", format!("`to`: {error}."))
        })?;
    if request
        .priority
        .is_some_and(|priority| !(1..=5).contains(&priority))
    {
        return Err(ApiError::bad_request(
            "INVALID_PRIORITY",
            "`priority` is 1 (lowest) to 5.",
        ));
    }
    let expiry_ok = request
        .expires_at
        .is_none_or(|at| at > now && at.since(now) <= MAX_EXPIRY_MS);
    if !expiry_ok {
        return Err(ApiError::bad_request(
            "INVALID_EXPIRY",
            "`expiresAt` lies in the future, at most 30 days ahead.",
        ));
    }
    let texts = [&request.thread, &request.idempotency_key];
    let fits = |text: &String| !text.is_empty() && text.len() <= MAX_TEXT_BYTES;
    if !texts.into_iter().flatten().all(fits) {
        return Err(ApiError::bad_request(
            "INVALID_TEXT",
            "`thread` and `idempotencyKey` are 1 to 256 bytes long where they are given.",
        ));
    }
    check_content(&request.content)?;
    Ok(recipient)
}

fn check_content(content: &Content) -> Result<(), ApiError> {
    if serde_json::to_vec(content)?.len() > MAX_CONTENT_BYTES {
        return Err(ApiError::new(
            413,
            "CONTENT_TOO_LARGE",
            "The content is over 60 KiB: store it elsewhere and send a `ref` to it.",
        ));
    }
    match content {
        Content::Ref { uri } if url::Url::parse(uri).is_err() => Err(ApiError::bad_request(
            "INVALID_URI",
            "`content.uri` is an absolute URI such as https://example.com/report.",
        )),
        Content::Text { .. } | Content::Json { .. } | Content::Ref { .. } => Ok(()),
    }
}

fn request_digest(request: &SendMessage) -> Result<[u8; 32], ApiError> {
    Ok(hash::sha256(&[&serde_json::to_vec(request)?]))
}

/// Says why a message cannot be sealed.
fn unsealable(error: SealError) -> ApiError {
    match error {
        SealError::TooLarge => ApiError::new(413, "CONTENT_TOO_LARGE", format!("{error}.")),
        SealError::Field => ApiError::bad_request("INVALID_BODY", format!("{error}.")),
        SealError::Key => ApiError::new(502, "CARD_INVALID", format!("{error}.")),
    }
}

/// Says why the next object would not take a message.
fn refusal(code: &str, contact: &Contact) -> ApiError {
    let (status, message) = match code {
        "NOT_PEERED" => (
            422,
            "is not a peer of this network: an admin can add it with POST /admin/federation/peers",
        ),
        "NOT_ALLOWED" => (
            403,
            "is held at allowlist and this agent is not on its list: an admin can add it to allowAgents",
        ),
        "POLICY_PRIVATE" => (403, "is held at private: nothing is sent there"),
        "BANNED" => (403, "is banned by this network: nothing is sent there"),
        "OUTBOUND_CLOSED" => (
            403,
            "is sent nothing by this network: an admin can set allowOutbound",
        ),
        "OUTBOX_FULL" => (
            429,
            "has too much mail waiting: try again when its link is up",
        ),
        "AGENT_DELETED" => (410, "no longer has this agent"),
        _ => (422, "refused the message"),
    };
    let host = &contact.host;
    ApiError::new(status, code.to_owned(), format!("{host} {message}."))
}
