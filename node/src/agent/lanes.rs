//! Mail for agents of this network that goes by the queue: because its sender does not want to wait, or
//! because its recipient keeps it waiting.
//!
//! The rows are the truth. What is on its way to one agent by the queue is a lane: it is handed over in
//! order, by the queue's consumer ([`crate::mail`]), which asks this object what comes next and tells it
//! what became of it. As long as something waits there, all that follows to the same agent goes the same
//! way. A hint that is lost is sent again by the alarm; what was offered too often in vain is a dead
//! letter, kept until somebody has it offered again or throws it away, or it expires.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use entente_delivery::{Fault, Lane};
use entente_lexicon::{Did, MessageId, ReceiptStatus, Timestamp};
use rand_core::Rng as _;
use serde_bytes::ByteBuf;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, Method, Request, Response, console_warn};

use crate::agent::contacts::Route;
use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::outbox::{Departure, Destination, EndOf, Fate, Outcome};
use crate::agent::store::End;
use crate::agent::wire::{
    self, LaneFailed, LaneFault, LaneItem, LaneOutcome, LanePage, LanePull, LaneSettled, LaneWait,
};
use crate::error::ApiError;
use crate::internal;
use crate::mail::{self, Hint};

/// Bytes of one page, unless the first message is longer.
const PAGE_BYTES: usize = 512 * 1024;
/// Hints of so many milliseconds are one.
const GATHER: Duration = Duration::from_millis(50);
/// A hint that nobody came for so long after it was due is sent again.
const REPAIR_MS: u64 = 5_000;
/// What a dead letter's receipt says of a recipient that answered nothing.
pub(super) const RECIPIENT_DOWN: &str = "RECIPIENT_DOWN";
/// The same of one that fails whenever it is given this message.
pub(super) const RECIPIENT_FAILS: &str = "RECIPIENT_FAILS";
/// What the receipt of a dead letter says that was thrown away.
const DISCARDED: &str = "DISCARDED";

/// The lanes while the object is awake.
#[derive(Default)]
pub(super) struct Lanes {
    /// Whom something goes to by the queue, once that was read.
    open: RefCell<Option<BTreeSet<Did>>>,
    /// Whom a hint is about to be sent for.
    hinting: RefCell<BTreeSet<Did>>,
}

impl Core {
    /// Tells whether this deployment has a queue for mail.
    pub(super) fn has_queue(&self) -> bool {
        self.env.queue(mail::QUEUE).is_ok()
    }

    /// Tells whether a batch goes by the queue.
    pub(super) fn goes_by_lane(&self, destination: &Destination, batch: &[Departure]) -> bool {
        let Destination::Local(to) = destination else {
            return false;
        };
        if !self.has_queue() {
            return false;
        }
        batch.iter().any(|departure| departure.by_queue) || self.has_lane(to)
    }

    fn has_lane(&self, to: &Did) -> bool {
        let mut open = self.lanes.open.borrow_mut();
        if open.is_none() {
            let Ok(lanes) = self.store.lanes() else {
                return false;
            };
            open.replace(lanes.into_iter().map(|(to, _)| to).collect());
        }
        open.as_ref().is_some_and(|open| open.contains(to))
    }

    fn forget_lanes(&self) {
        self.lanes.open.replace(None);
    }

    /// Has a batch go by the queue: written down, then hinted at. Whoever waits for it is answered.
    pub(super) fn enter_lane(
        self: &Rc<Self>,
        to: &Did,
        batch: &[Departure],
    ) -> Result<(), ApiError> {
        let (me, now) = (self.identity()?, internal::now());
        let end = self.own_end(&me, now, None);
        self.wake_in(REPAIR_MS);
        self.store.transaction(|| {
            if self.store.lane(to)?.is_none() {
                self.store.set_lane(to, &Lane::moved(now))?;
            }
            for departure in batch {
                self.store.enter_lane(&departure.id)?;
                self.store
                    .step(&departure.id, ReceiptStatus::Queued, &end, None)?;
            }
            Ok::<_, ApiError>(())
        })?;
        self.forget_lanes();
        for departure in batch {
            self.outbox.answer(&departure.id, Ok(()));
        }
        self.hint_lane(to);
        Ok(())
    }

    fn own_end(&self, me: &Me, at: Timestamp, code: Option<&str>) -> End {
        End {
            at,
            by: me.network.to_string(),
            code: code.map(str::to_owned),
            sent: None,
        }
    }

    /// Sends a hint, a moment later and one for all that follows until then. If the queue does not take it,
    /// what waits goes directly.
    fn hint_lane(self: &Rc<Self>, to: &Did) {
        if !self.lanes.hinting.borrow_mut().insert(to.clone()) {
            return;
        }
        let (core, to) = (Rc::clone(self), to.clone());
        spawn_local(async move {
            Delay::from(GATHER).await;
            core.lanes.hinting.borrow_mut().remove(&to);
            let hint = Hint {
                from: core.state.id().to_string(),
                to: to.to_string(),
            };
            if let Err(error) = mail::hint(&core.env, hint).await {
                console_warn!("the queue takes no mail, it goes directly: {error}");
                if let Err(error) = core.leave_lane(&to) {
                    console_warn!("mail waits: {error}");
                }
            }
        });
    }

    fn leave_lane(self: &Rc<Self>, to: &Did) -> Result<(), ApiError> {
        let queued = self.store.transaction(|| self.store.leave_lane(to))?;
        self.forget_lanes();
        for one in queued {
            self.outbox.give_room(one.bytes.len());
            self.depart(
                Destination::Local(to.clone()),
                Departure {
                    id: one.id,
                    to: to.clone(),
                    bytes: one.bytes,
                    is_new: false,
                    by_queue: false,
                },
            );
        }
        Ok(())
    }

    /// Takes up what goes by the queue, in a new life of the object.
    pub(super) fn restore_lanes(self: &Rc<Self>) -> Result<(), ApiError> {
        self.outbox.take_room(self.store.queued_bytes()?);
        self.tend_lanes();
        Ok(())
    }

    /// Sends hints again that got lost, and ends what expired. Called by the alarm.
    pub(super) fn tend_lanes(self: &Rc<Self>) {
        if let Err(error) = self.tend_lanes_now() {
            console_warn!("mail of the queue could not be looked after: {error}");
            self.wake_in(REPAIR_MS);
        }
    }

    fn tend_lanes_now(self: &Rc<Self>) -> Result<(), ApiError> {
        let now = internal::now();
        self.expire_queued(now)?;
        self.tell_dead();
        for (to, lane) in self.store.lanes()? {
            if !self.store.has_queued(&to)? {
                self.store.close_lane(&to)?;
                self.forget_lanes();
                continue;
            }
            if now >= lane.due {
                self.hint_lane(&to);
                self.wake_in(REPAIR_MS);
            } else {
                self.wake_in(lane.due.since(now).saturating_add(REPAIR_MS));
            }
        }
        if let Some(at) = self.store.next_expiry()? {
            self.wake_in(at.since(now));
        }
        Ok(())
    }

    fn expire_queued(self: &Rc<Self>, now: Timestamp) -> Result<(), ApiError> {
        let expired = self.store.expired_queued(now)?;
        if expired.is_empty() {
            return Ok(());
        }
        let me = self.identity()?;
        let end = self.own_end(&me, now, Some("EXPIRED"));
        let status = ReceiptStatus::Expired;
        let ended = self.store.transaction(|| {
            let mut ended = Vec::new();
            for (id, _) in &expired {
                if let Some(step) = self.store.step(id, status, &end, None)? {
                    ended.push(EndOf::new(id.clone(), &step, status, &end));
                }
            }
            Ok::<_, ApiError>(ended)
        })?;
        for (_, length) in expired {
            self.outbox.give_room(length);
        }
        self.announce_ends(ended);
        Ok(())
    }

    /// What the queue's consumer asks; nothing if there is no such route.
    pub(super) async fn lane_route(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Option<Response>, ApiError> {
        let path = request.path();
        match (request.method(), path.as_str()) {
            (Method::Post, "/lane/pull") => {
                let pull = wire::read(request).await?;
                wire::respond(&self.lane_page(&pull).await?).map(Some)
            }
            (Method::Post, "/lane/settled") => {
                let settled = wire::read(request).await?;
                self.lane_settled(settled)?;
                wire::respond(&()).map(Some)
            }
            (Method::Post, "/lane/failed") => {
                let failed = wire::read(request).await?;
                wire::respond(&self.lane_failed(&failed)?).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Returns what comes next, in order, from the oldest on that has not ended; nothing if it is not due.
    async fn lane_page(self: &Rc<Self>, pull: &LanePull) -> Result<LanePage, ApiError> {
        let me = self.identity()?;
        let to = Did::parse(&pull.to).map_err(ApiError::internal)?;
        let mut page = LanePage {
            object: String::new(),
            network: me.network.to_string(),
            host: me.host.to_string(),
            items: Vec::new(),
            failures: 0,
        };
        let lane = self.store.lane(&to)?;
        let Some(lane) = lane.filter(|lane| lane.is_due(internal::now())) else {
            return Ok(page);
        };
        let object = match self.local_contact(&to).await {
            Ok(contact) => match &contact.route {
                Route::Local { object } => object.clone(),
                Route::Link => return Err(ApiError::internal("a neighbour that is far away")),
            },
            Err(error) if error.status < 500 => {
                self.refuse_lane(&to, &error.code)?;
                return Ok(page);
            }
            Err(error) => return Err(error),
        };
        // Nothing is awaited from here on.
        let mut bytes = 0_usize;
        for one in self.store.queued(&to, pull.limit)? {
            bytes = bytes.saturating_add(one.bytes.len());
            if bytes > PAGE_BYTES && !page.items.is_empty() {
                break;
            }
            let tail = one.bytes.last_chunk::<16>().copied().unwrap_or_default();
            page.items.push(LaneItem {
                id: ByteBuf::from(one.id.to_bytes()),
                tail: ByteBuf::from(tail),
                bytes: ByteBuf::from(one.bytes),
            });
        }
        if page.items.is_empty() && !self.store.has_queued(&to)? {
            self.store.close_lane(&to)?;
            self.forget_lanes();
        }
        page.object = object;
        page.failures = lane.failures;
        Ok(page)
    }

    /// The recipient is no more: whatever waits for it is refused.
    fn refuse_lane(self: &Rc<Self>, to: &Did, code: &str) -> Result<(), ApiError> {
        let queued = self.store.queued(to, u32::MAX)?;
        let items = queued.iter().map(|one| LaneOutcome {
            id: ByteBuf::from(one.id.to_bytes()),
            tail: ByteBuf::from(one.bytes.last_chunk::<16>().copied().unwrap_or_default()),
            code: Some(code.to_owned()),
        });
        self.lane_settled(LaneSettled {
            to: to.to_string(),
            items: items.collect(),
        })
    }

    /// Writes down what became of messages. What was sealed anew meanwhile, or has ended, is another
    /// message than the one that was handed over.
    fn lane_settled(self: &Rc<Self>, settled: LaneSettled) -> Result<(), ApiError> {
        let (me, now) = (self.identity()?, internal::now());
        let to = Did::parse(&settled.to).map_err(ApiError::internal)?;
        let (mut room, mut again) = (0_usize, false);
        let ended = self.store.transaction(|| {
            let mut ended = Vec::new();
            for item in settled.items {
                let id = item.id.as_slice().try_into().map_err(ApiError::internal)?;
                let tail = item.tail.as_slice().try_into();
                let tail = tail.map_err(ApiError::internal)?;
                let id = MessageId::from_bytes(id);
                let Some(length) = self.store.queued_length(&id, &tail)? else {
                    continue;
                };
                room = room.saturating_add(length);
                let departure = Departure {
                    id,
                    to: to.clone(),
                    bytes: Vec::new(),
                    is_new: false,
                    by_queue: true,
                };
                let outcome = item.code.map_or(Outcome::Delivered, Outcome::Refused);
                if matches!(&outcome, Outcome::Refused(code) if code != "EXPIRED") {
                    self.contacts.forget(&to);
                }
                match self.store_outcome(&departure, &outcome, &me, now)? {
                    Fate::Ended(ends) => ended.extend(ends),
                    Fate::Again(at_once) => again |= at_once,
                    Fate::Open => {}
                }
            }
            if self.store.lane(&to)?.is_some() {
                self.store.set_lane(&to, &Lane::moved(now))?;
            }
            Ok::<_, ApiError>(ended)
        })?;
        self.outbox.give_room(room);
        self.announce_ends(ended);
        if again {
            self.resolve_unsealed();
        }
        Ok(())
    }

    /// Nothing was taken: it is offered again later, or not at all.
    fn lane_failed(self: &Rc<Self>, failed: &LaneFailed) -> Result<LaneWait, ApiError> {
        let (me, now) = (self.identity()?, internal::now());
        let to = Did::parse(&failed.to).map_err(ApiError::internal)?;
        let policy = self.policy()?;
        let random = internal::rng().next_u64();
        let (fault, code) = match failed.fault {
            LaneFault::Down => (Fault::Down, RECIPIENT_DOWN),
            LaneFault::Head => (Fault::Head, RECIPIENT_FAILS),
        };
        let Some(lane) = self.store.lane(&to)? else {
            return Ok(LaneWait { millis: None });
        };
        if lane.failures != failed.failures || !lane.is_due(now) {
            // Somebody else was there in between.
            return Ok(LaneWait { millis: None });
        }
        let end = self.own_end(&me, now, Some(code));
        let (next, ended) = self.store.transaction(|| {
            let tries = self.store.lane_tries(&to)?;
            let before: Vec<u32> = tries.iter().map(|(_, tries)| *tries).collect();
            let (mut ended, mut gave_up) = (Vec::new(), false);
            let mut aside = lane.gives_way(fault);
            for ((id, before), tries) in tries.iter().zip(Lane::counted(&before, fault)) {
                if *before == tries {
                    continue;
                }
                self.store.set_tries(id, tries)?;
                // Of a fault that is the first message's, only that one's attempts have changed.
                if policy.is_spent(tries) || std::mem::take(&mut aside) {
                    gave_up = true;
                    self.store.bury(id)?;
                    let status = ReceiptStatus::Dead;
                    if let Some(step) = self.store.step(id, status, &end, None)? {
                        ended.push(EndOf::new(id.clone(), &step, status, &end));
                    }
                }
            }
            let next = lane.failed((fault, gave_up), &policy, now, random);
            self.store.set_lane(&to, &next)?;
            Ok::<_, ApiError>((next, ended))
        })?;
        let wait = next.due.since(now);
        self.wake_in(wait.saturating_add(REPAIR_MS));
        self.announce_ends(ended);
        self.tell_dead();
        Ok(LaneWait { millis: Some(wait) })
    }

    /// Has a dead letter offered again, with all its attempts. Returns whether it was one.
    pub(super) fn redrive_message(self: &Rc<Self>, id: &MessageId) -> Result<bool, ApiError> {
        let (me, now) = (self.identity()?, internal::now());
        let end = self.own_end(&me, now, None);
        let to = self.store.transaction(|| {
            let Some(to) = self.store.unbury(id)? else {
                return Ok(None);
            };
            self.store.step(id, ReceiptStatus::Queued, &end, None)?;
            self.store.set_lane(&to, &Lane::moved(now))?;
            Ok::<_, ApiError>(Some(to))
        })?;
        self.forget_lanes();
        self.wake_in(REPAIR_MS);
        if let Some(to) = &to {
            self.hint_lane(to);
        }
        Ok(to.is_some())
    }

    /// Throws a dead letter away: it bounces. Returns whether it was one.
    pub(super) fn discard_message(self: &Rc<Self>, id: &MessageId) -> Result<bool, ApiError> {
        let (me, now) = (self.identity()?, internal::now());
        let end = self.own_end(&me, now, Some(DISCARDED));
        let status = ReceiptStatus::Refused;
        let dead = self.store.dead_messages(Some(id), 0, 1)?;
        let Some(dead) = dead.first() else {
            return Ok(false);
        };
        let step = self
            .store
            .transaction(|| self.store.step(id, status, &end, None))?;
        self.outbox
            .give_room(usize::try_from(dead.bytes).unwrap_or(usize::MAX));
        let ended = step.map(|step| EndOf::new(id.clone(), &step, status, &end));
        self.announce_ends(ended.into_iter().collect());
        Ok(true)
    }
}
