//! Hands incoming messages to our agents: one call in flight per agent, in order.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use entente_federation::{Code, DeliveryVerdict, Input, Item};
use entente_lexicon::{Did, Timestamp};
use entente_trust::policy::{self, Direction, ItemKind, Verdict, decide, needs_origin};
use serde_bytes::ByteBuf;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, console_warn};

use crate::agent::wire::{self, Delivery, DeliveryReply};
use crate::error::ApiError;
use crate::internal::{self, Stubs};
use crate::link::driver::{Driver, not_peered};
use crate::store::d1::Directory;

/// Messages of one call.
const MAX_BATCH_ITEMS: usize = 256;
/// Bytes of one call.
const MAX_BATCH_BYTES: usize = 512 * 1024;
/// Between two attempts at an agent that fails.
const RETRY_MS: u64 = 1_000;
/// How long an agent's object id is remembered. A deleted agent says so itself, so this only
/// bounds memory.
const REMEMBER_MS: u64 = 60_000;
/// Agents remembered.
const MAX_REMEMBERED: usize = 4_096;

/// What waits for each of our agents. Bounded by the link's window.
#[derive(Default)]
pub(super) struct Deliveries {
    queues: RefCell<BTreeMap<Did, Queue>>,
    /// The peer's agents whose cards cannot be had, and since when.
    pub(super) unverified: RefCell<BTreeMap<Did, Timestamp>>,
    objects: RefCell<BTreeMap<Did, (String, Timestamp)>>,
    stubs: Stubs,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(u64, u64, Item)>,
    running: bool,
}

impl Driver {
    /// Queues messages for their agents and starts handing them over.
    pub(super) fn deliver(self: &Rc<Self>, epoch: u64, items: Vec<(u64, Item)>) {
        let mut idle = Vec::new();
        let mut queues = self.deliveries.queues.borrow_mut();
        for (seq, item) in items {
            self.note_undelivered(item.bytes.len(), 0);
            let to = item.to.clone();
            let queue = queues.entry(to.clone()).or_default();
            queue.waiting.push_back((epoch, seq, item));
            if !queue.running {
                queue.running = true;
                idle.push(to);
            }
        }
        drop(queues);
        for agent in idle {
            let driver = Rc::clone(self);
            spawn_local(async move { driver.serve(&agent).await });
        }
    }

    async fn serve(self: &Rc<Self>, agent: &Did) {
        loop {
            let batch = self.next_delivery(agent);
            let Some((epoch, _, _)) = batch.first() else {
                return;
            };
            let epoch = *epoch;
            let verdicts = loop {
                match self.hand_over(agent, &batch).await {
                    Ok(verdicts) => break verdicts,
                    Err(error) => {
                        console_warn!("an agent did not take its mail, trying again: {error}");
                        Delay::from(Duration::from_millis(RETRY_MS)).await;
                    }
                }
            };
            let bytes = batch.iter().map(|(_, _, item)| item.bytes.len()).sum();
            self.note_undelivered(0, bytes);
            let settled = batch
                .iter()
                .zip(verdicts)
                .map(|((_, seq, item), verdict)| (*seq, item.id, verdict))
                .collect();
            self.feed_quietly(Input::Delivered {
                epoch,
                verdicts: settled,
            });
        }
    }

    /// Takes what is ready for one agent, all of one epoch; leaves nothing running if that is
    /// nothing.
    fn next_delivery(&self, agent: &Did) -> Vec<(u64, u64, Item)> {
        let mut queues = self.deliveries.queues.borrow_mut();
        let Some(queue) = queues.get_mut(agent) else {
            return Vec::new();
        };
        let mut batch: Vec<(u64, u64, Item)> = Vec::new();
        let mut bytes = 0_usize;
        while let Some((epoch, _, item)) = queue.waiting.front() {
            bytes = bytes.saturating_add(item.bytes.len());
            let full = batch.len() >= MAX_BATCH_ITEMS || bytes > MAX_BATCH_BYTES;
            let other_epoch = batch.first().is_some_and(|(first, _, _)| first != epoch);
            if (full && !batch.is_empty()) || other_epoch {
                break;
            }
            batch.extend(queue.waiting.pop_front());
        }
        if batch.is_empty() {
            queues.remove(agent);
        }
        batch
    }

    /// Hands a batch over, without what our level does not let pass on a closer look.
    async fn hand_over(
        self: &Rc<Self>,
        agent: &Did,
        batch: &[(u64, u64, Item)],
    ) -> Result<Vec<DeliveryVerdict>, ApiError> {
        if !self.checks_origin()? {
            return self.hand_all(agent, batch).await;
        }
        let mut verdicts = vec![DeliveryVerdict::Delivered; batch.len()];
        let mut passed = Vec::with_capacity(batch.len());
        for (entry, verdict) in batch.iter().zip(&mut verdicts) {
            match self.judge(&entry.2).await? {
                Verdict::Pass => passed.push((entry.clone(), verdict)),
                Verdict::Hold(reason) => {
                    *verdict = self.hold(&entry.2, &Code::from_static(reason.code()))?;
                }
                Verdict::Refuse(reason) => {
                    *verdict = DeliveryVerdict::Refused(Code::from_static(reason.code()));
                }
            }
        }
        let (items, places): (Vec<_>, Vec<_>) = passed.into_iter().unzip();
        if !items.is_empty() {
            let outcome = self.hand_all(agent, &items).await?;
            for (place, verdict) in places.into_iter().zip(outcome) {
                *place = verdict;
            }
        }
        Ok(verdicts)
    }

    fn checks_origin(&self) -> Result<bool, ApiError> {
        let machine = self.machine.borrow();
        let machine = machine.as_ref().ok_or_else(not_peered)?;
        Ok(needs_origin(machine.policy().level))
    }

    /// Decides about a message again, now that its origin is known.
    async fn judge(self: &Rc<Self>, item: &Item) -> Result<Verdict, ApiError> {
        let item_to_judge = policy::Item {
            kind: ItemKind::Message {
                peer_agent: &item.from,
            },
            proof: self.proof(item).await?,
        };
        let machine = self.machine.borrow();
        let machine = machine.as_ref().ok_or_else(not_peered)?;
        Ok(decide(machine.policy(), Direction::Inbound, &item_to_judge))
    }

    pub(super) async fn hand_all(
        &self,
        agent: &Did,
        batch: &[(u64, u64, Item)],
    ) -> Result<Vec<DeliveryVerdict>, ApiError> {
        let refuse = |code: &'static str| {
            let verdict = || DeliveryVerdict::Refused(Code::from_static(code));
            batch.iter().map(|_| verdict()).collect()
        };
        let peer = self.peer()?;
        let object = match self.object_of(agent).await? {
            Ok(object) => object,
            Err(code) => return Ok(refuse(code)),
        };
        let delivery = Delivery {
            network: peer.peer_did.to_string(),
            host: peer.host.to_string(),
            items: batch
                .iter()
                .map(|(_, _, item)| ByteBuf::from(item.bytes.as_ref()))
                .collect(),
        };
        let stubs = &self.deliveries.stubs;
        let stub = stubs.get(&object, || internal::agent(&self.env, &object))?;
        let answer = wire::call::<DeliveryReply>(&stub, "/deliver", &delivery).await;
        if answer.is_err() {
            stubs.forget(&object);
        }
        match answer {
            Ok(reply) if reply.refused.len() == batch.len() => {
                Ok(reply.refused.into_iter().map(verdict).collect())
            }
            Ok(_) => Err(ApiError::internal(
                "an agent answered for another number of messages",
            )),
            Err(error) if error.status == 410 => {
                self.deliveries.objects.borrow_mut().remove(agent);
                Ok(refuse("AGENT_DELETED"))
            }
            Err(error) => Err(error),
        }
    }

    /// Finds an agent's object, or the code that refuses its mail; the directory is asked only for
    /// agents not seen lately.
    pub(super) async fn object_of(
        &self,
        agent: &Did,
    ) -> Result<Result<String, &'static str>, ApiError> {
        let now = internal::now();
        if let Some((object, until)) = self.deliveries.objects.borrow().get(agent)
            && *until > now
        {
            return Ok(Ok(object.clone()));
        }
        let row = match Directory::open(&self.env)?.agent_by_did(agent).await? {
            None => return Ok(Err("UNKNOWN_AGENT")),
            Some(row) if !row.is_active() => return Ok(Err("AGENT_DELETED")),
            Some(row) => row,
        };
        let mut objects = self.deliveries.objects.borrow_mut();
        if objects.len() >= MAX_REMEMBERED {
            objects.clear();
        }
        objects.insert(
            agent.clone(),
            (row.object_id.clone(), now.after(REMEMBER_MS)),
        );
        Ok(Ok(row.object_id))
    }
}

fn verdict(refused: Option<String>) -> DeliveryVerdict {
    match refused {
        None => DeliveryVerdict::Delivered,
        Some(code) => DeliveryVerdict::Refused(Code::lossy(&code)),
    }
}
