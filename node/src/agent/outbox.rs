//! Hands accepted messages over: to the link of the recipient's network, or to an agent here.
//!
//! One call is in flight per destination; whatever was accepted meanwhile goes with the next one.
//! A message waits in SQLite until its destination has committed it, so a crash at any await only
//! means that it is handed over again, and the destination knows it by its id.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use entente_lexicon::api::{NewEvent, ReceiptView};
use entente_lexicon::{Did, MessageId, ReceiptStatus, Timestamp};
use futures::channel::oneshot;
use serde_bytes::ByteBuf;
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use crate::agent::contacts::Route;
use crate::agent::core::{Core, address};
use crate::agent::identity::Me;
use crate::agent::store::End;
use crate::agent::wire::{self, Delivery, DeliveryReply, Handoff, HandoffItem, HandoffReply};
use crate::error::ApiError;
use crate::internal;

/// Messages of one call.
const MAX_BATCH_ITEMS: usize = 256;
/// Bytes of one call.
const MAX_BATCH_BYTES: usize = 512 * 1024;
/// Bytes that may wait in memory and in SQLite; beyond them a send is refused.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;
/// While anything waits, an alarm is due at most so far ahead: whatever happens to this object,
/// it wakes again and goes on.
const WATCH_MS: u64 = 10_000;
/// Between two attempts to reach a destination of our own network.
const RETRY_MS: u64 = 1_000;

/// Where messages go next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Destination {
    /// The link of the network with this DID.
    Link(Did),
    /// The agent of our own network with this DID.
    Local(Did),
}

/// A message on its way to its destination.
pub(super) struct Departure {
    pub(super) id: MessageId,
    pub(super) to: Did,
    pub(super) bytes: Vec<u8>,
}

/// Tells who sent a message that the next object has it, or the code that refuses it.
pub(super) type Waiter = oneshot::Sender<Result<(), String>>;

/// How a message of ours ended.
pub(super) struct EndOf {
    pub(super) id: MessageId,
    pub(super) to: Did,
    pub(super) receipt: ReceiptView,
    pub(super) accepted_at: Timestamp,
}

/// Everything that waits to be handed over.
#[derive(Default)]
pub(super) struct Outbox {
    queues: RefCell<BTreeMap<Destination, Queue>>,
    waiters: RefCell<BTreeMap<MessageId, Waiter>>,
    waiting_bytes: Cell<usize>,
    restored: Cell<bool>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Departure>,
    running: bool,
}

/// What became of one departure.
enum Outcome {
    /// The link has it; receipts follow.
    Stored,
    /// The recipient, an agent of our network, has it.
    Delivered,
    /// It will not be taken.
    Refused(String),
}

impl Outbox {
    /// Tells whether `length` more bytes may wait.
    pub(super) fn has_room(&self, length: usize) -> bool {
        self.waiting_bytes.get().saturating_add(length) <= MAX_WAITING_BYTES
    }

    /// Registers who waits for a message that is about to depart.
    pub(super) fn wait(&self, id: &MessageId) -> oneshot::Receiver<Result<(), String>> {
        let (waiter, stored) = oneshot::channel();
        self.waiters.borrow_mut().insert(id.clone(), waiter);
        stored
    }

    /// Answers who waits for a message, if anybody still does.
    pub(super) fn answer(&self, id: &MessageId, outcome: Result<(), String>) {
        if let Some(waiter) = self.waiters.borrow_mut().remove(id) {
            let _ = waiter.send(outcome);
        }
    }

    fn is_awaited(&self, id: &MessageId) -> bool {
        let waiters = self.waiters.borrow();
        waiters.get(id).is_some_and(|waiter| !waiter.is_canceled())
    }
}

impl Core {
    /// Queues a message that has been committed and starts handing it over.
    pub(super) fn depart(self: &Rc<Self>, destination: Destination, departure: Departure) {
        let bytes = self
            .outbox
            .waiting_bytes
            .get()
            .saturating_add(departure.bytes.len());
        self.outbox.waiting_bytes.set(bytes);
        self.wake_in(WATCH_MS);
        let mut queues = self.outbox.queues.borrow_mut();
        let queue = queues.entry(destination.clone()).or_default();
        queue.waiting.push_back(departure);
        if !queue.running {
            queue.running = true;
            drop(queues);
            self.start(destination);
        }
    }

    /// Takes up what an earlier life of this object had accepted but not handed over.
    pub(super) fn restore_outbox(self: &Rc<Self>, me: &Me) -> Result<(), ApiError> {
        if self.outbox.restored.replace(true) {
            return Ok(());
        }
        for row in self.store.waiting()? {
            let destination = if row.network == me.network {
                Destination::Local(row.to.clone())
            } else {
                Destination::Link(row.network)
            };
            let departure = Departure {
                id: row.id,
                to: row.to,
                bytes: row.bytes,
            };
            self.depart(destination, departure);
        }
        Ok(())
    }

    /// Tries every destination again that has something waiting.
    pub(super) fn retry_outbox(self: &Rc<Self>) {
        self.alarm.set(None);
        if !self.outbox.queues.borrow().is_empty() {
            self.wake_in(WATCH_MS);
        }
        let mut idle = Vec::new();
        for (destination, queue) in self.outbox.queues.borrow_mut().iter_mut() {
            if !queue.running && !queue.waiting.is_empty() {
                queue.running = true;
                idle.push(destination.clone());
            }
        }
        idle.into_iter()
            .for_each(|destination| self.start(destination));
    }

    fn start(self: &Rc<Self>, destination: Destination) {
        let core = Rc::clone(self);
        spawn_local(async move { core.run(&destination).await });
    }

    async fn run(self: &Rc<Self>, destination: &Destination) {
        loop {
            let batch = self.next_batch(destination);
            if batch.is_empty() {
                return;
            }
            let outcome = self.hand_over(destination, &batch).await;
            if let Err(error) = outcome.and_then(|outcomes| self.settle(&batch, outcomes)) {
                console_warn!("handing over failed, trying again: {error}");
                self.put_back(destination, batch);
                self.wake_in(RETRY_MS);
                return;
            }
        }
    }

    /// Takes what is ready; leaves the queue not running if that is nothing.
    fn next_batch(&self, destination: &Destination) -> Vec<Departure> {
        let mut queues = self.outbox.queues.borrow_mut();
        let Some(queue) = queues.get_mut(destination) else {
            return Vec::new();
        };
        let mut batch = Vec::new();
        let mut bytes = 0_usize;
        while let Some(next) = queue.waiting.front() {
            bytes = bytes.saturating_add(next.bytes.len());
            if batch.len() >= MAX_BATCH_ITEMS || (bytes > MAX_BATCH_BYTES && !batch.is_empty()) {
                break;
            }
            batch.extend(queue.waiting.pop_front());
        }
        if batch.is_empty() {
            queues.remove(destination);
        }
        batch
    }

    fn put_back(&self, destination: &Destination, batch: Vec<Departure>) {
        let mut queues = self.outbox.queues.borrow_mut();
        let queue = queues.entry(destination.clone()).or_default();
        queue.running = false;
        for departure in batch.into_iter().rev() {
            // It is durable here, so its sender need not wait for the other object to recover.
            self.outbox.answer(&departure.id, Ok(()));
            queue.waiting.push_front(departure);
        }
    }

    async fn hand_over(
        self: &Rc<Self>,
        destination: &Destination,
        batch: &[Departure],
    ) -> Result<Vec<Outcome>, ApiError> {
        match destination {
            Destination::Link(network) => self.hand_to_link(network, batch).await,
            Destination::Local(to) => self.hand_to_agent(to, batch).await,
        }
    }

    async fn hand_to_link(
        &self,
        network: &Did,
        batch: &[Departure],
    ) -> Result<Vec<Outcome>, ApiError> {
        let me = self.identity()?;
        let items = batch
            .iter()
            .map(|departure| HandoffItem {
                id: ByteBuf::from(departure.id.to_bytes()),
                to: departure.to.to_string(),
                bytes: ByteBuf::from(departure.bytes.as_slice()),
            })
            .collect();
        let handoff = Handoff {
            object: self.state.id().to_string(),
            from: me.did.to_string(),
            items,
        };
        let stub = internal::link(&self.env, network)?;
        match wire::call::<HandoffReply>(&stub, "/handoff", &handoff).await {
            Ok(reply) => Ok(reply
                .refused
                .into_iter()
                .map(|code| code.map_or(Outcome::Stored, Outcome::Refused))
                .collect()),
            // The peer was removed while these waited.
            Err(error) if error.code == "NOT_PEERED" => Ok(batch
                .iter()
                .map(|departure| {
                    self.contacts.forget(&departure.to);
                    Outcome::Refused(error.code.to_string())
                })
                .collect()),
            Err(error) => Err(error),
        }
    }

    async fn hand_to_agent(
        self: &Rc<Self>,
        to: &Did,
        batch: &[Departure],
    ) -> Result<Vec<Outcome>, ApiError> {
        let me = self.identity()?;
        let refuse = |code: &str| {
            batch
                .iter()
                .map(|_| Outcome::Refused(code.to_owned()))
                .collect()
        };
        let contact = match self.local_contact(to).await {
            Ok(contact) => contact,
            Err(error) if error.status < 500 => return Ok(refuse(&error.code)),
            Err(error) => return Err(error),
        };
        let Route::Local { object } = &contact.route else {
            return Ok(refuse("UNKNOWN_AGENT"));
        };
        let delivery = Delivery {
            network: me.network.to_string(),
            host: me.host.to_string(),
            items: batch
                .iter()
                .map(|d| ByteBuf::from(d.bytes.as_slice()))
                .collect(),
        };
        let stub = internal::agent(&self.env, object)?;
        match wire::call::<DeliveryReply>(&stub, "/deliver", &delivery).await {
            Ok(reply) => Ok(reply
                .refused
                .into_iter()
                .map(|code| code.map_or(Outcome::Delivered, Outcome::Refused))
                .collect()),
            Err(error) if error.status == 410 => {
                self.contacts.forget(to);
                Ok(refuse("AGENT_DELETED"))
            }
            Err(error) => Err(error),
        }
    }

    /// Writes down what became of a batch, then tells who waits, then everybody else.
    fn settle(
        self: &Rc<Self>,
        batch: &[Departure],
        outcomes: Vec<Outcome>,
    ) -> Result<(), ApiError> {
        if outcomes.len() != batch.len() {
            return Err(ApiError::internal(
                "an answer for another number of messages",
            ));
        }
        let me = self.identity()?;
        let now = internal::now();
        let ended = self.store.transaction(|| {
            let mut ended = Vec::new();
            for (departure, outcome) in batch.iter().zip(&outcomes) {
                let end = self.store_outcome(departure, outcome, &me, now)?;
                ended.extend(end.map(|(receipt, at)| EndOf {
                    id: departure.id.clone(),
                    to: departure.to.clone(),
                    receipt,
                    accepted_at: at,
                }));
            }
            Ok::<_, ApiError>(ended)
        })?;
        for (departure, outcome) in batch.iter().zip(outcomes) {
            let left = self.outbox.waiting_bytes.get();
            let left = left.saturating_sub(departure.bytes.len());
            self.outbox.waiting_bytes.set(left);
            let answer = match outcome {
                Outcome::Stored | Outcome::Delivered => Ok(()),
                Outcome::Refused(code) => Err(code),
            };
            self.outbox.answer(&departure.id, answer);
        }
        self.announce_ends(ended);
        Ok(())
    }

    fn store_outcome(
        &self,
        departure: &Departure,
        outcome: &Outcome,
        me: &Me,
        now: Timestamp,
    ) -> Result<Option<(ReceiptView, Timestamp)>, ApiError> {
        let (status, code) = match outcome {
            Outcome::Stored => {
                self.store.handed_over(&departure.id)?;
                return Ok(None);
            }
            Outcome::Delivered => (ReceiptStatus::Delivered, None),
            // Whoever waits gets the refusal as an error: for them it was never accepted.
            Outcome::Refused(_) if self.outbox.is_awaited(&departure.id) => {
                self.store.remove_outgoing(&departure.id)?;
                return Ok(None);
            }
            Outcome::Refused(code) => (ReceiptStatus::Refused, Some(code.clone())),
        };
        let end = End {
            at: now,
            by: me.network.to_string(),
            code: code.clone(),
        };
        let ended = self.store.end(&departure.id, status, &end)?;
        Ok(ended.map(|(_, at)| {
            (
                ReceiptView {
                    status,
                    at: now,
                    by: end.by,
                    code,
                },
                at,
            )
        }))
    }

    /// Tells this agent's programs, and the relay, how messages of ours ended: after those who
    /// sent them were told that they were accepted.
    pub(super) fn announce_ends(self: &Rc<Self>, ends: Vec<EndOf>) {
        if ends.is_empty() {
            return;
        }
        for end in &ends {
            self.outbox.answer(&end.id, Ok(()));
        }
        let core = Rc::clone(self);
        spawn_local(async move { ends.into_iter().for_each(|end| core.announce_end(end)) });
    }

    fn announce_end(&self, end: EndOf) {
        let Ok(me) = self.identity() else { return };
        let EndOf {
            id,
            to,
            receipt,
            accepted_at,
        } = end;
        let host = self
            .contacts
            .host_of(&to)
            .unwrap_or_else(|| me.host.clone());
        self.report(NewEvent {
            kind: format!("message.{}", receipt.status.as_str()),
            at: receipt.at,
            from: Some(address(&me.did, &me.host)),
            to: Some(address(&to, &host)),
            message: Some(id.to_string()),
            peer: (host != me.host).then(|| host.to_string()),
            code: receipt.code.clone(),
            latency_ms: Some(receipt.at.since(accepted_at)),
            ..NewEvent::default()
        });
        self.push_receipt(&id, receipt);
    }

    /// Sets the alarm so long ahead, unless one is due sooner. Called in the turn that commits what
    /// it is for, so that both are stored together.
    fn wake_in(&self, millis: u64) {
        let now = internal::now();
        let at = now.after(millis);
        let due = self.alarm.get();
        if due.is_some_and(|due| due <= at && due > now) {
            return;
        }
        self.alarm.set(Some(at));
        let storage = self.state.storage();
        spawn_local(async move {
            if let Err(error) = storage.set_alarm(Duration::from_millis(millis)).await {
                console_warn!("the alarm could not be set: {error}");
            }
        });
    }
}
