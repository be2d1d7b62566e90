//! Sending: check, resolve, seal, commit, hand over; then, and only then, say `accepted`.
//!
//! Whatever came while a destination was busy is sealed and stored in one transaction.

use std::collections::BTreeMap;
use std::rc::Rc;

use entente_lexicon::api::{Accepted, NewEvent, SendMessage};
use entente_lexicon::message::DEFAULT_PRIORITY;
use entente_lexicon::{Content, Did, Host, MessageId, ReceiptStatus, Recipient, Timestamp};
use entente_trust::crypto::hash;
use entente_trust::message::{Body, Header, SealError};
use futures::channel::oneshot;
use worker::WebSocket;

use crate::agent::contacts::{Contact, Route};
use crate::agent::core::{Core, address};
use crate::agent::identity::Me;
use crate::agent::outbox::{Departure, Destination};
use crate::agent::resolving::Unreached;
use crate::agent::socket::tell_outcome;
use crate::agent::store::{Earlier, NewMessage};
use crate::error::ApiError;
use crate::internal;

/// The longest content, as JSON.
const MAX_CONTENT_BYTES: usize = 60 * 1024;
/// The longest thread name and idempotency key.
pub(super) const MAX_TEXT_BYTES: usize = 256;
/// How far ahead a message may expire.
const MAX_EXPIRY_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Without `expiresAt` a message is worth delivering this long.
const DEFAULT_EXPIRY_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// What a message takes up beside its content while it waits.
const OVERHEAD_BYTES: usize = 1_024;

/// A message on its way in: checked, not yet sealed or stored, and its sender not yet answered.
pub(super) struct Draft {
    pub(super) recipient: Recipient,
    pub(super) request: SendMessage,
    /// SHA-256 of the request, to know it again.
    digest: [u8; 32],
    pub(super) reply: Reply,
}

/// Who waits to hear what became of a draft.
pub(super) enum Reply {
    /// A program's socket, and its name for the message.
    Socket(WebSocket, String),
    /// A call.
    Caller(oneshot::Sender<Result<Accepted, ApiError>>),
}

impl Reply {
    /// Answers.
    pub(super) fn tell(self, outcome: Result<Accepted, ApiError>) {
        match self {
            Self::Socket(socket, reference) => tell_outcome(&socket, reference, outcome),
            // A caller that went away needs no answer.
            Self::Caller(caller) => drop(caller.send(outcome)),
        }
    }
}

impl Draft {
    /// Bytes that it takes up while it waits, more or less.
    pub(super) fn weight(&self) -> usize {
        let text = match &self.request.content {
            Content::Text { text } => text.len(),
            Content::Ref { uri } => uri.len(),
            Content::Json { .. } => MAX_CONTENT_BYTES / 8,
            Content::Share(part) => part.data.as_ref().map_or(0, String::len),
            Content::Record(_) | Content::Group(_) | Content::Topic(_) | Content::Cast(_) => {
                MAX_CONTENT_BYTES / 8
            }
        };
        text.saturating_add(OVERHEAD_BYTES)
    }
}

impl Core {
    /// Sends one message of a program's. Returns once it is durable and, unless that takes long,
    /// handed over.
    pub(super) async fn send(self: &Rc<Self>, request: SendMessage) -> Result<Accepted, ApiError> {
        let (caller, outcome) = oneshot::channel();
        self.submit_for(request, Reply::Caller(caller));
        outcome
            .await
            .map_err(|oneshot::Canceled| ApiError::internal("a message was forgotten"))?
    }

    /// As [`Core::send`], for what the agent itself writes.
    pub(super) async fn send_own(
        self: &Rc<Self>,
        request: SendMessage,
    ) -> Result<Accepted, ApiError> {
        let (caller, outcome) = oneshot::channel();
        self.submit(request, Reply::Caller(caller));
        outcome
            .await
            .map_err(|oneshot::Canceled| ApiError::internal("a message was forgotten"))?
    }

    /// Takes a program's message in: what agents alone write it may not.
    pub(super) fn submit_for(self: &Rc<Self>, request: SendMessage, reply: Reply) {
        match no_share(&request.content) {
            Ok(()) => self.submit(request, reply),
            Err(error) => reply.tell(Err(error)),
        }
    }

    /// Takes a message in; whoever sent it is answered later. Does not wait for anything, so
    /// messages keep the order in which they came.
    pub(super) fn submit(self: &Rc<Self>, request: SendMessage, reply: Reply) {
        let checked = check(&request, internal::now());
        let checked = checked.and_then(|recipient| Ok((recipient, request_digest(&request)?)));
        let (recipient, digest) = match checked {
            Ok(checked) => checked,
            Err(error) => return reply.tell(Err(error)),
        };
        let draft = Draft {
            recipient,
            request,
            digest,
            reply,
        };
        if !self.outbox.has_room(draft.weight()) {
            return draft.reply.tell(Err(ApiError::new(
                429,
                "OUTBOX_FULL",
                "Too much mail of this agent is waiting to be handed over: wait a moment and send again.",
            )));
        }
        match self.reachable(&draft.recipient) {
            Some(contact) => self.enqueue(contact, draft),
            None => self.park(draft),
        }
    }

    /// Seals and stores drafts in one transaction, and returns them ready to be handed over. Those
    /// that are known, cannot be sealed or must wait for a key are dealt with here.
    pub(super) fn commit(self: &Rc<Self>, drafts: Vec<(Rc<Contact>, Draft)>) -> Vec<Departure> {
        if drafts.is_empty() {
            return Vec::new();
        }
        let mut batch = Batch::default();
        let committed = self.identity().and_then(|me| {
            self.store.transaction(|| {
                let known = self.earlier(&drafts)?;
                for (contact, draft) in &drafts {
                    let step = self.seal_draft(&me, contact, draft, &known, &mut batch)?;
                    batch.steps.push(step);
                }
                batch
                    .next_index
                    .iter()
                    .try_for_each(|(did, index)| self.store.set_next_index(did, *index))?;
                Ok::<_, ApiError>(())
            })?;
            Ok(me)
        });
        match committed {
            Ok(me) => self.committed(&me, drafts, batch.steps),
            Err(error) => {
                for (_, draft) in drafts {
                    draft.reply.tell(Err(error.clone()));
                }
                Vec::new()
            }
        }
    }

    /// Finds requests that were made before, by idempotency key.
    fn earlier(
        &self,
        drafts: &[(Rc<Contact>, Draft)],
    ) -> Result<BTreeMap<String, Earlier>, ApiError> {
        let keys = drafts.iter().filter_map(|(_, draft)| draft.key());
        let keys: Vec<&str> = keys.collect();
        if keys.is_empty() {
            return Ok(BTreeMap::new());
        }
        Ok(self.store.by_requests(&keys)?)
    }

    fn seal_draft(
        &self,
        me: &Me,
        contact: &Rc<Contact>,
        draft: &Draft,
        known: &BTreeMap<String, Earlier>,
        batch: &mut Batch,
    ) -> Result<Step, ApiError> {
        if let Some(key) = draft.key() {
            if let Some(earlier) = known.get(key) {
                return Ok(Step::Answered(draft.repeats(&earlier.digest).map(|()| {
                    Accepted {
                        id: earlier.id.to_string(),
                        status: earlier.status.when_accepted(),
                    }
                })));
            }
            if let Some((id, digest)) = batch.keys.get(key) {
                return Ok(Step::Answered(draft.repeats(digest).map(|()| accepted(id))));
            }
        }
        let now = internal::now();
        let id = MessageId::from_parts(now.0, internal::random());
        let place = contact.next_index.get();
        let header = Header {
            id: id.to_bytes(),
            from: me.did.clone(),
            to: contact.did.clone(),
            network: contact.network.clone(),
            index: place,
            expires: Some(draft.expires(now)),
        };
        let body = draft.body(now);
        let bytes = match self.conversations.seal(me, &id, &header, &body, now) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Step::Park),
            Err(error) => return Ok(Step::Answered(Err(unsealable(error)))),
        };
        self.store.insert(NewMessage {
            id: &id,
            outgoing: true,
            peer: contact.did.as_str(),
            host: &contact.host,
            network: &contact.network,
            created_at: now,
            stored_at: now,
            body: me.seal_body(&id, &body)?,
            digest: draft.digest,
            request: draft.key(),
            envelope: Some(&bytes),
            status: ReceiptStatus::Accepted,
            place: Some(place),
            expires: header.expires,
        })?;
        contact.next_index.set(place.saturating_add(1));
        batch
            .next_index
            .insert(contact.did.clone(), place.saturating_add(1));
        if let Some(key) = draft.key() {
            batch
                .keys
                .insert(key.to_owned(), (id.clone(), draft.digest));
        }
        Ok(Step::Sealed(id, bytes, now))
    }

    /// Stores a draft whose recipient's keys cannot be fetched now. It is sealed when they can.
    pub(super) fn hold(
        self: &Rc<Self>,
        me: &Me,
        draft: &Draft,
        to: &Unreached,
    ) -> Result<Accepted, ApiError> {
        if let Some(key) = draft.key()
            && let Some(earlier) = self.store.by_requests(&[key])?.remove(key)
        {
            return draft.repeats(&earlier.digest).map(|()| Accepted {
                id: earlier.id.to_string(),
                status: earlier.status,
            });
        }
        let now = internal::now();
        let id = MessageId::from_parts(now.0, internal::random());
        self.store.insert(NewMessage {
            id: &id,
            outgoing: true,
            peer: &to.peer,
            host: &to.host,
            network: &to.network,
            created_at: now,
            stored_at: now,
            body: me.seal_body(&id, &draft.body(now))?,
            digest: draft.digest,
            request: draft.key(),
            envelope: None,
            status: ReceiptStatus::Resolving,
            place: None,
            expires: Some(draft.expires(now)),
        })?;
        Ok(Accepted {
            id: id.to_string(),
            status: ReceiptStatus::Resolving,
        })
    }

    /// Says what became of each draft of a batch that was committed.
    fn committed(
        self: &Rc<Self>,
        me: &Me,
        drafts: Vec<(Rc<Contact>, Draft)>,
        steps: Vec<Step>,
    ) -> Vec<Departure> {
        let mut departures = Vec::with_capacity(drafts.len());
        for ((contact, draft), step) in drafts.into_iter().zip(steps) {
            match step {
                Step::Answered(outcome) => draft.reply.tell(outcome),
                Step::Park => self.park(draft),
                Step::Sealed(id, bytes, at) => {
                    self.report_accepted(me, &contact, &id, &draft.request, at);
                    let by_queue = draft.request.asynchronous == Some(true);
                    if by_queue {
                        draft.reply.tell(Ok(accepted(&id)));
                    } else {
                        self.outbox.wait(&id, draft.reply, &contact.host);
                    }
                    departures.push(Departure {
                        id,
                        to: contact.did.clone(),
                        bytes,
                        is_new: true,
                        by_queue,
                    });
                }
            }
        }
        departures
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

/// What becomes of the drafts of one transaction.
#[derive(Default)]
struct Batch {
    steps: Vec<Step>,
    next_index: BTreeMap<Did, u64>,
    keys: BTreeMap<String, (MessageId, [u8; 32])>,
}

enum Step {
    /// It needs nothing more.
    Answered(Result<Accepted, ApiError>),
    /// Its recipient's prekey lapsed meanwhile.
    Park,
    /// It is stored.
    Sealed(MessageId, Vec<u8>, Timestamp),
}

impl Draft {
    fn key(&self) -> Option<&str> {
        self.request.idempotency_key.as_deref()
    }

    fn expires(&self, now: Timestamp) -> Timestamp {
        self.request
            .expires_at
            .unwrap_or(now.after(DEFAULT_EXPIRY_MS))
    }

    fn body(&self, now: Timestamp) -> Body {
        Body {
            content: self.request.content.clone(),
            thread: self.request.thread.clone(),
            priority: self.request.priority.unwrap_or(DEFAULT_PRIORITY),
            created_at: now,
        }
    }

    /// Checks that a request with the same key is the same request.
    fn repeats(&self, digest: &[u8]) -> Result<(), ApiError> {
        if digest == self.digest {
            return Ok(());
        }
        Err(ApiError::new(
            409,
            "IDEMPOTENCY_MISMATCH",
            "This idempotency key was used for another message: use a new key, or repeat the first request exactly.",
        ))
    }
}

/// The thread of the conversation that `cargo xtask up` sends, so that viewers see what it is.
const DEMO_THREAD: &str = "demo script";

impl Contact {
    pub(super) fn destination(&self) -> Destination {
        match self.route {
            Route::Link => Destination::Link(self.network.clone()),
            Route::Local { .. } => Destination::Local(self.did.clone()),
        }
    }
}

pub(super) fn accepted(id: &MessageId) -> Accepted {
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

pub(super) fn check_content(content: &Content) -> Result<(), ApiError> {
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
        Content::Text { .. }
        | Content::Json { .. }
        | Content::Ref { .. }
        | Content::Share(_)
        | Content::Record(_)
        | Content::Group(_)
        | Content::Topic(_)
        | Content::Cast(_) => Ok(()),
    }
}

/// Refuses what agents alone write.
pub(super) fn no_share(content: &Content) -> Result<(), ApiError> {
    let instead = match content {
        Content::Share(_) => "Records are shared with POST /agents/:name/memory/:id/share.",
        Content::Record(_) => {
            "Tasks are asked for with POST /agents/:name/tasks, and handed over with POST /agents/:name/handoffs."
        }
        Content::Group(_) => {
            "What is said in a group is said with POST /agents/:name/groups/:id/messages."
        }
        Content::Topic(_) => "Topics are listened to with POST /agents/:name/subscriptions.",
        Content::Cast(_) => "Broadcasts are made with POST /agents/:name/broadcasts.",
        Content::Text { .. } | Content::Json { .. } | Content::Ref { .. } => return Ok(()),
    };
    Err(ApiError::bad_request("INVALID_CONTENT", instead))
}

fn request_digest(request: &SendMessage) -> Result<[u8; 32], ApiError> {
    Ok(hash::sha256(&[&serde_json::to_vec(request)?]))
}

/// Says why a message cannot be sealed.
pub(super) fn unsealable(error: SealError) -> ApiError {
    match error {
        SealError::TooLarge => ApiError::new(413, "CONTENT_TOO_LARGE", format!("{error}.")),
        SealError::Field => ApiError::bad_request("INVALID_BODY", format!("{error}.")),
        SealError::Key | SealError::Epoch => {
            ApiError::new(502, "CARD_INVALID", format!("{error}."))
        }
    }
}

/// Says why the next object would not take a message.
pub(super) fn refusal(code: &str, host: &Host) -> ApiError {
    let (status, message) = match code {
        "NOT_PEERED" => (
            422,
            "is not a peer of this network: an admin can add it with POST /admin/federation/peers",
        ),
        "NOT_ALLOWED" => (
            403,
            "is held at allowlist and this agent is not on its list: an admin can add it to allowAgents",
        ),
        "SENDER_BLOCKED" => (403, "has this agent, which takes no mail of yours"),
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
    ApiError::new(status, code.to_owned(), format!("{host} {message}."))
}
