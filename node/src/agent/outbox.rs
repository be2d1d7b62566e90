//! Hands accepted messages over: to the link of the recipient's network, or to an agent here.
//!
//! One call is in flight per destination; whatever came meanwhile is sealed and stored in one
//! transaction and goes with the next one. A message that is stored waits in SQLite until its destination has committed it, so a crash at any await only
//! means that it is handed over again, and the destination knows it by its id.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use entente_lexicon::api::{AgentNotice, NewEvent, ReceiptView};
use entente_lexicon::{Did, Host, MessageId, ReceiptStatus, Timestamp};
use futures::future::{Either, join, select};
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, WebSocket, console_warn};

use crate::agent::contacts::Contact;
use crate::agent::core::{Core, address};
use crate::agent::identity::Me;
use crate::agent::journey::Stepped;
use crate::agent::resolving::Again;
use crate::agent::send::{Draft, Reply, accepted, refusal};
use crate::agent::socket::push;
use crate::agent::store::End;
use crate::error::ApiError;
use crate::internal::{self, Stubs};

/// Messages of one call.
const MAX_BATCH_ITEMS: usize = 256;
/// Bytes of one call.
const MAX_BATCH_BYTES: usize = 512 * 1024;
/// Bytes that may wait in memory and in SQLite; beyond them a send is refused.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;
/// How long a burst may take to come in before what there is of it is stored.
const GATHER_MS: u64 = 20;
/// An alarm that has not rung so long after it was due is given up.
const OVERDUE_MS: u64 = 30_000;
/// While anything waits, an alarm is due at most so far ahead: whatever happens to this object,
/// it wakes again and goes on.
pub(super) const WATCH_MS: u64 = 10_000;
/// Between two attempts to reach a destination of our own network.
const RETRY_MS: u64 = 1_000;
/// A peer holds messages for 7 days; it has a week more to say what became of them.
const FORGOTTEN_MS: u64 = 14 * 24 * 60 * 60 * 1000;
const UNCONFIRMED: &str = "UNCONFIRMED";
/// How long a sender waits to hear that the next object has the message too. After this it is
/// stored here and the answer is `accepted` all the same.
const HANDOVER_WAIT_MS: u64 = 2_000;

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
    /// It was never handed over before, not even in vain.
    pub(super) is_new: bool,
    /// Its sender does not want to wait: within the network it goes by the queue.
    pub(super) by_queue: bool,
}

/// What waits for a destination, in the order in which it came.
enum Entry {
    /// Not sealed or stored yet: it will be with all that came while the destination was busy.
    Draft(Rc<Contact>, Box<Draft>),
    /// Stored.
    Sealed(Departure),
}

/// How a message of ours ended.
pub(super) struct EndOf {
    pub(super) id: MessageId,
    /// The recipient's DID, or its name if that is all that was ever known.
    pub(super) to: String,
    pub(super) receipt: ReceiptView,
    pub(super) accepted_at: Timestamp,
}

impl EndOf {
    /// `step` is what the store says of it.
    pub(super) fn new(id: MessageId, step: &Stepped, status: ReceiptStatus, end: &End) -> Self {
        Self {
            id,
            to: step.to.clone(),
            receipt: ReceiptView {
                status,
                at: end.at,
                by: end.by.clone(),
                code: end.code.clone(),
                proof: None,
            },
            accepted_at: step.accepted_at,
        }
    }
}

/// Everything that waits to be handed over.
#[derive(Default)]
pub(super) struct Outbox {
    queues: RefCell<BTreeMap<Destination, Queue>>,
    waiters: RefCell<BTreeMap<MessageId, (Reply, Host)>>,
    waiting_bytes: Cell<usize>,
    /// Of the links.
    pub(super) stubs: Stubs,
    restored: Cell<bool>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Entry>,
    running: bool,
}

/// What became of one departure.
pub(super) enum Outcome {
    /// The link has it; receipts follow.
    Stored,
    /// The recipient, an agent of our network, has it.
    Delivered,
    /// It will not be taken.
    Refused(String),
}

/// Where a message stands after it was handed over.
pub(super) enum Fate {
    /// It ended.
    Ended(Vec<EndOf>),
    /// It is tried again: at once, or after a while.
    Again(bool),
    /// What follows is told later, or was told as an error.
    Open,
}

impl Entry {
    fn weight(&self) -> usize {
        match self {
            Self::Draft(_, draft) => draft.weight(),
            Self::Sealed(departure) => departure.bytes.len(),
        }
    }

    /// What its sender wants to wait for and what not does not go together.
    fn by_queue(&self) -> bool {
        match self {
            Self::Draft(_, draft) => draft.request.asynchronous == Some(true),
            Self::Sealed(departure) => departure.by_queue,
        }
    }
}

impl Outbox {
    /// Tells whether `length` more bytes may wait.
    pub(super) fn has_room(&self, length: usize) -> bool {
        self.waiting_bytes.get().saturating_add(length) <= MAX_WAITING_BYTES
    }

    /// Registers who waits to hear that a message, which is stored, was handed over to `host`.
    pub(super) fn wait(&self, id: &MessageId, reply: Reply, host: &Host) {
        let mut waiters = self.waiters.borrow_mut();
        waiters.insert(id.clone(), (reply, host.clone()));
    }

    /// Answers who waits for a message, if anybody still does.
    pub(super) fn answer(&self, id: &MessageId, outcome: Result<(), &str>) {
        if let Some((reply, host)) = self.waiters.borrow_mut().remove(id) {
            reply.tell(match outcome {
                Ok(()) => Ok(accepted(id)),
                Err(code) => Err(refusal(code, &host)),
            });
        }
    }

    fn is_awaited(&self, id: &MessageId) -> bool {
        self.waiters.borrow().contains_key(id)
    }

    pub(super) fn take_room(&self, length: usize) {
        let bytes = self.waiting_bytes.get().saturating_add(length);
        self.waiting_bytes.set(bytes);
    }

    pub(super) fn give_room(&self, length: usize) {
        let bytes = self.waiting_bytes.get().saturating_sub(length);
        self.waiting_bytes.set(bytes);
    }
}

impl Core {
    /// Queues a draft whose recipient is ready.
    pub(super) fn enqueue(self: &Rc<Self>, contact: Rc<Contact>, draft: Draft) {
        self.outbox.take_room(draft.weight());
        let destination = contact.destination();
        self.line_up(destination, Entry::Draft(contact, Box::new(draft)));
    }

    /// Queues a message that has been committed.
    pub(super) fn depart(self: &Rc<Self>, destination: Destination, departure: Departure) {
        self.outbox.take_room(departure.bytes.len());
        self.line_up(destination, Entry::Sealed(departure));
    }

    fn line_up(self: &Rc<Self>, destination: Destination, entry: Entry) {
        let mut queues = self.outbox.queues.borrow_mut();
        let queue = queues.entry(destination.clone()).or_default();
        queue.waiting.push_back(entry);
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
                is_new: false,
                by_queue: false,
            };
            self.depart(destination, departure);
        }
        self.restore_lanes()?;
        self.restore_unsealed()?;
        self.retry_announcements()?;
        let core = Rc::clone(self);
        spawn_local(async move {
            core.tend();
            core.tell_reads();
        });
        Ok(())
    }

    /// Gives up messages that a peer has held for longer than it may, and about which it says
    /// nothing: they may have been delivered.
    fn give_up_forgotten(self: &Rc<Self>) -> Result<(), ApiError> {
        let (me, now) = (self.identity()?, internal::now());
        let horizon = Timestamp(now.0.saturating_sub(FORGOTTEN_MS));
        let end = End {
            at: now,
            by: me.network.to_string(),
            code: Some(UNCONFIRMED.to_owned()),
            sent: None,
        };
        let ended = self.store.transaction(|| {
            let mut ended = Vec::new();
            for id in self.store.forgotten(horizon)? {
                let status = ReceiptStatus::Expired;
                if let Some(step) = self.store.step(&id, status, &end, None)? {
                    ended.extend(self.ends(id, &step, status, &end)?);
                }
            }
            Ok::<_, ApiError>(ended)
        })?;
        self.announce_ends(ended);
        Ok(())
    }

    /// Looks after the keys and what was forgotten elsewhere, and comes back for it.
    pub(super) fn tend(self: &Rc<Self>) {
        if let Err(error) = self.give_up_forgotten() {
            console_warn!("what peers hold could not be looked after: {error}");
        }
        match self.tend_keys() {
            Ok(wait) => self.wake_in(wait),
            Err(error) => console_warn!("the keys could not be looked after: {error}"),
        }
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
            self.gather(destination).await;
            let Some(batch) = self.next_batch(destination) else {
                return;
            };
            if batch.is_empty() {
                continue;
            }
            self.wake_in(WATCH_MS);
            let handed = if self.goes_by_lane(destination, &batch) {
                self.queue_up(destination, &batch)
            } else {
                let outcome = self.hand_over_in_time(destination, &batch).await;
                outcome
                    .and_then(|outcomes| self.settle(destination, &batch, outcomes))
                    .or_else(|error| {
                        console_warn!("handing over failed: {error}");
                        self.queue_up(destination, &batch)
                    })
            };
            if let Err(error) = handed {
                console_warn!("handing over failed, trying again: {error}");
                self.commit_waiting(destination);
                self.put_back(destination, batch);
                self.wake_in(RETRY_MS);
                return;
            }
        }
    }

    /// Has a batch go by the queue, if it is for an agent here and there is one.
    fn queue_up(
        self: &Rc<Self>,
        destination: &Destination,
        batch: &[Departure],
    ) -> Result<(), ApiError> {
        match destination {
            Destination::Local(to) if self.has_queue() => self.enter_lane(to, batch),
            Destination::Local(_) | Destination::Link(_) => {
                Err(ApiError::internal("mail waits for its destination"))
            }
        }
    }

    /// Lets a burst come in whole: as long as every turn of the event loop brings more, what waits
    /// is not stored yet. A message that waits alone goes at once.
    async fn gather(&self, destination: &Destination) {
        let waiting = || {
            let queues = self.outbox.queues.borrow();
            queues
                .get(destination)
                .map_or(0, |queue| queue.waiting.len())
        };
        let begun = internal::now();
        let mut seen = waiting();
        while (2..MAX_BATCH_ITEMS).contains(&seen) && internal::now().since(begun) < GATHER_MS {
            Delay::from(Duration::ZERO).await;
            let more = waiting();
            if more == seen {
                return;
            }
            seen = more;
        }
    }

    /// Takes what came since the last batch, sealing and storing what is not yet. Leaves the queue
    /// not running if there is nothing.
    fn next_batch(self: &Rc<Self>, destination: &Destination) -> Option<Vec<Departure>> {
        let mut entries = Vec::new();
        let mut bytes = 0_usize;
        let mut queues = self.outbox.queues.borrow_mut();
        let queue = queues.get_mut(destination)?;
        while let Some(next) = queue.waiting.front() {
            bytes = bytes.saturating_add(next.weight());
            let full = entries.len() >= MAX_BATCH_ITEMS
                || (bytes > MAX_BATCH_BYTES && !entries.is_empty());
            let other = entries
                .first()
                .is_some_and(|first: &Entry| first.by_queue() != next.by_queue());
            if full || other {
                break;
            }
            entries.extend(queue.waiting.pop_front());
        }
        if entries.is_empty() {
            queues.remove(destination);
            return None;
        }
        drop(queues);
        Some(self.seal_entries(entries))
    }

    fn seal_entries(self: &Rc<Self>, entries: Vec<Entry>) -> Vec<Departure> {
        let mut departures = Vec::with_capacity(entries.len());
        let mut drafts = Vec::new();
        for entry in entries {
            match entry {
                Entry::Draft(contact, draft) => {
                    self.outbox.give_room(draft.weight());
                    drafts.push((contact, *draft));
                }
                Entry::Sealed(departure) => {
                    // What was stored before was sent before.
                    departures.extend(self.commit_counted(std::mem::take(&mut drafts)));
                    departures.push(departure);
                }
            }
        }
        departures.extend(self.commit_counted(drafts));
        departures
    }

    fn commit_counted(self: &Rc<Self>, drafts: Vec<(Rc<Contact>, Draft)>) -> Vec<Departure> {
        let departures = self.commit(drafts);
        for departure in &departures {
            self.outbox.take_room(departure.bytes.len());
        }
        departures
    }

    /// Stores everything that waits for a destination that keeps us waiting, and tells its senders
    /// that it is accepted: it is durable here.
    fn commit_waiting(self: &Rc<Self>, destination: &Destination) {
        let mut queues = self.outbox.queues.borrow_mut();
        let Some(queue) = queues.get_mut(destination) else {
            return;
        };
        let entries = queue.waiting.drain(..).collect();
        drop(queues);
        let departures = self.seal_entries(entries);
        for departure in &departures {
            self.outbox.answer(&departure.id, Ok(()));
        }
        let mut queues = self.outbox.queues.borrow_mut();
        let queue = queues.entry(destination.clone()).or_default();
        let departures = departures.into_iter().map(Entry::Sealed).rev();
        departures.for_each(|entry| queue.waiting.push_front(entry));
    }

    /// Hands a batch over. Whoever waits for it, or behind it, is answered after a while anyway.
    async fn hand_over_in_time(
        self: &Rc<Self>,
        destination: &Destination,
        batch: &[Departure],
    ) -> Result<Vec<Outcome>, ApiError> {
        let mut call = std::pin::pin!(self.hand_over(destination, batch));
        loop {
            let patience = Delay::from(Duration::from_millis(HANDOVER_WAIT_MS));
            match select(call.as_mut(), patience).await {
                Either::Left((outcome, _)) => return outcome,
                Either::Right(((), _)) => {
                    for departure in batch {
                        self.outbox.answer(&departure.id, Ok(()));
                    }
                    self.commit_waiting(destination);
                    if matches!(destination, Destination::Local(_)) && self.has_queue() {
                        return Err(ApiError::internal("the recipient takes its time"));
                    }
                }
            }
        }
    }

    fn put_back(&self, destination: &Destination, batch: Vec<Departure>) {
        let mut queues = self.outbox.queues.borrow_mut();
        let queue = queues.entry(destination.clone()).or_default();
        queue.running = false;
        for departure in batch.into_iter().rev() {
            // It is durable here, so its sender need not wait for the other object to recover.
            self.outbox.answer(&departure.id, Ok(()));
            queue.waiting.push_front(Entry::Sealed(Departure {
                is_new: false,
                ..departure
            }));
        }
    }

    /// Writes down what became of a batch, then tells who waits, then everybody else.
    fn settle(
        self: &Rc<Self>,
        destination: &Destination,
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
        let is_stored = |outcome: &Outcome| matches!(outcome, Outcome::Stored);
        let settled = || {
            let mut ended = Vec::new();
            let (mut again, mut at_once) = (Vec::new(), false);
            for (departure, outcome) in batch.iter().zip(&outcomes) {
                match self.store_outcome(departure, outcome, &me, now)? {
                    Fate::Ended(ends) => ended.extend(ends),
                    Fate::Again(now) => {
                        again.push(departure.id.clone());
                        at_once |= now;
                    }
                    Fate::Open => {}
                }
            }
            Ok::<_, ApiError>((ended, again, at_once))
        };
        let (ended, again, at_once) = if outcomes.iter().all(is_stored) {
            Default::default()
        } else {
            self.store.transaction(settled)?
        };
        let stored = batch.iter().zip(&outcomes);
        let stored = stored.filter(|(_, outcome)| is_stored(outcome));
        self.note_handed(stored.map(|(departure, _)| departure));
        for (departure, outcome) in batch.iter().zip(&outcomes) {
            self.outbox.give_room(departure.bytes.len());
            let answer = match outcome {
                Outcome::Stored | Outcome::Delivered => Ok(()),
                Outcome::Refused(_) if again.contains(&departure.id) => Ok(()),
                Outcome::Refused(code) => Err(code.as_str()),
            };
            if let (Destination::Local(_), Outcome::Refused(code)) = (destination, outcome)
                && answer.is_err()
                && code != "EXPIRED"
            {
                self.contacts.forget(&departure.to);
            }
            self.outbox.answer(&departure.id, answer);
        }
        self.announce_ends(ended);
        if at_once {
            self.resolve_unsealed();
        }
        Ok(())
    }

    pub(super) fn store_outcome(
        &self,
        departure: &Departure,
        outcome: &Outcome,
        me: &Me,
        now: Timestamp,
    ) -> Result<Fate, ApiError> {
        let (status, code) = match outcome {
            Outcome::Stored => return Ok(Fate::Open),
            Outcome::Delivered => (ReceiptStatus::Delivered, None),
            Outcome::Refused(code) => (ReceiptStatus::Refused, Some(code.clone())),
        };
        match self.unseal(&departure.id, code.as_deref())? {
            Again::No => {}
            Again::Now => return Ok(Fate::Again(true)),
            Again::Later => return Ok(Fate::Again(false)),
        }
        // Whoever waits gets the refusal as an error: for them it was never accepted.
        if code.is_some() && self.outbox.is_awaited(&departure.id) {
            self.store.remove_outgoing(&departure.id)?;
            return Ok(Fate::Open);
        }
        if code.is_none() {
            self.conversations.heard(&departure.to, &departure.id);
        }
        let end = End {
            at: now,
            by: me.network.to_string(),
            code,
            sent: None,
        };
        Ok(match self.store.step(&departure.id, status, &end, None)? {
            Some(step) => Fate::Ended(self.ends(departure.id.clone(), &step, status, &end)?),
            None => Fate::Open,
        })
    }

    /// What is told of a step: itself, and that the message was read if that was known before.
    pub(super) fn ends(
        &self,
        id: MessageId,
        step: &Stepped,
        status: ReceiptStatus,
        end: &End,
    ) -> Result<Vec<EndOf>, ApiError> {
        let mut ends = vec![EndOf::new(id.clone(), step, status, end)];
        if step.is_read
            && let Some(read) = self.store.read_end(&id)?
        {
            ends.push(EndOf::new(id, step, ReceiptStatus::Read, &read));
        }
        Ok(ends)
    }

    /// Tells this agent's programs, and the relay, how messages of ours ended: after those who
    /// sent them were told that they were accepted.
    pub(super) fn announce_ends(self: &Rc<Self>, ends: Vec<EndOf>) {
        if ends.is_empty() {
            return;
        }
        // In the turn of what is told, so that both are stored together.
        if let Err(error) = self.push_ends(&ends) {
            console_warn!("webhooks are not told: {error}");
        }
        for end in &ends {
            self.outbox.answer(&end.id, Ok(()));
        }
        if ends
            .iter()
            .any(|end| end.receipt.status == ReceiptStatus::Refused)
        {
            // It may be a record that is shared, and sealed to a key that was replaced.
            self.tell_sharers();
        }
        let is_lost = |end: &EndOf| {
            let status = end.receipt.status;
            matches!(status, ReceiptStatus::Refused | ReceiptStatus::Expired)
        };
        if ends.iter().any(is_lost) {
            // It may be a word on a task.
            self.tend_tasks();
        }
        // It may be something that was said in a group.
        self.tend_groups();
        let core = Rc::clone(self);
        spawn_local(async move {
            let sockets = core.sockets();
            ends.into_iter()
                .for_each(|end| core.announce_end(end, &sockets));
        });
    }

    fn announce_end(&self, end: EndOf, sockets: &[WebSocket]) {
        let Ok(me) = self.identity() else { return };
        let EndOf {
            id,
            to,
            receipt,
            accepted_at,
        } = end;
        let known = Did::parse(&to).ok();
        let host = known
            .and_then(|did| self.contacts.host_of(&did))
            .unwrap_or_else(|| me.host.clone());
        self.report(NewEvent {
            kind: format!("message.{}", receipt.status.as_str()),
            at: receipt.at,
            from: Some(address(&me.did, &me.host)),
            to: Some(format!("{to}@{host}")),
            message: Some(id.to_string()),
            peer: (host != me.host).then(|| host.to_string()),
            code: receipt.code.clone(),
            latency_ms: Some(receipt.at.since(accepted_at)),
            ..NewEvent::default()
        });
        push(
            sockets,
            &AgentNotice::Receipt {
                id: id.to_string(),
                receipt,
            },
        );
    }

    /// Sets the alarm so long ahead, unless one is due sooner. Called in the turn that commits what
    /// it is for, so that both are stored together.
    pub(super) fn wake_in(&self, millis: u64) {
        let now = internal::now();
        let at = now.after(millis);
        let due = self.alarm.get();
        // One that is due and has not rung yet is not put off; one that never rang does not count.
        if due.is_some_and(|due| due <= at && due.after(OVERDUE_MS) > now) {
            return;
        }
        self.alarm.set(Some(at));
        let (storage, alarm) = (self.state.storage(), Rc::clone(&self.alarm));
        spawn_local(async move {
            // An earlier life of the object may have wanted to wake sooner than this one knows of.
            let before = async {
                match due {
                    None => storage.get_alarm().await.ok().flatten(),
                    Some(_) => None,
                }
            };
            let set = storage.set_alarm(Duration::from_millis(millis));
            let (before, mut set) = join(before, set).await;
            let before = before.and_then(|at| u64::try_from(at).ok()).map(Timestamp);
            if let Some(before) = before.filter(|before| alarm.get().is_none_or(|at| *before < at))
            {
                alarm.set(Some(before));
                let wait = before.0.saturating_sub(internal::now().0);
                set = storage.set_alarm(Duration::from_millis(wait)).await;
            }
            if let Err(error) = set {
                console_warn!("the alarm could not be set: {error}");
            }
        });
    }
}
