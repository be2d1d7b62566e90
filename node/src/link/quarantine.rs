//! Messages that only an admin can decide about: held, then delivered or refused, then told.
//!
//! Each step is stored before the next begins, and [`Driver::tend_quarantine`] takes up whatever a
//! crash left between them: what is released is handed over until its agent has answered (it knows
//! a message by its id), what has ended is told until the link has the record.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use entente_federation::frame::control::Control;
use entente_federation::quarantine::{self, Between, Outcome};
use entente_federation::{Amount, Code, DeliveryVerdict, Input, Item, Stream};
use entente_lexicon::api::{NewEvent, QuarantineList, Quarantined};
use entente_lexicon::{Address, Did, Host, MessageId, Timestamp};
use entente_trust::message::Header;
use entente_trust::message::origin::strip_origin;
use entente_trust::policy::{self, Direction, ItemKind, Proof, Verdict, decide};
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, Method, Request, Response, console_warn};

use crate::error::ApiError;
use crate::internal;
use crate::link::driver::{Driver, not_peered};
use crate::link::shelf::Held;
use crate::link::store::Outgoing;
use crate::shapes::{Decide, Decision, Nothing, ShelfPage};
use crate::store::d1::Directory;

/// What the admin refused.
const QUARANTINE_REFUSED: &str = "QUARANTINE_REFUSED";
/// What nobody decided about in time.
const QUARANTINE_LAPSED: &str = "QUARANTINE_LAPSED";
/// What found no room.
const QUARANTINE_FULL: &str = "QUARANTINE_FULL";
const EXPIRED: &str = "EXPIRED";
/// What an agent says that cannot fetch a sender's card now.
const SENDER_UNREACHABLE: &str = "SENDER_UNREACHABLE";
/// Messages looked at in one turn.
const MAX_BATCH: u32 = 64;
/// Between two attempts of what fails.
const RETRY_MS: u64 = 1_000;
/// Before something is tried again that waits for others.
const WAIT_MS: u64 = 15_000;

impl Driver {
    /// Holds a message back, or says what became of it if it was here before.
    pub(super) fn hold(
        self: &Rc<Self>,
        item: &Item,
        reason: &Code,
    ) -> Result<DeliveryVerdict, ApiError> {
        let refused = |code| Ok(DeliveryVerdict::Refused(Code::from_static(code)));
        if let Some(known) = self.store.shelved(&item.from, &item.id)? {
            return match known.ended {
                Some((_, None)) => Ok(DeliveryVerdict::Delivered),
                Some((_, Some(code))) => Ok(DeliveryVerdict::Refused(Code::lossy(&code))),
                None if known.item.bytes != item.bytes => refused("ID_REUSED"),
                None => Ok(DeliveryVerdict::Refused(Code::QUARANTINED)),
            };
        }
        let now = internal::now();
        let header = Header::peek(strip_origin(&item.bytes)).ok();
        let expires = header.and_then(|header| header.expires);
        if expires.is_some_and(|at| at <= now) {
            return refused(EXPIRED);
        }
        let bounds = self.bounds()?;
        let most = Amount {
            items: bounds.quarantine_items,
            bytes: quarantine::MAX_HELD_BYTES,
        };
        let length = item.bytes.len() as u64;
        if !quarantine::has_room(self.store.shelf_usage()?, length, most) {
            return refused(QUARANTINE_FULL);
        }
        let lapses_at = quarantine::lapses(now, expires, bounds.quarantine_ms);
        let item = Item {
            expires,
            ..item.clone()
        };
        self.store.shelve(&item, reason, (now, lapses_at))?;
        self.arm(Some(lapses_at));
        self.tell_viewers("quarantine.held", &item, Some(reason.to_string()))?;
        Ok(DeliveryVerdict::Refused(Code::QUARANTINED))
    }

    fn tell_viewers(&self, kind: &str, item: &Item, code: Option<String>) -> Result<(), ApiError> {
        let (peer, own) = (self.peer()?, self.own()?);
        self.reporter.report(NewEvent {
            kind: kind.to_owned(),
            at: internal::now(),
            from: Some(address(&item.from, &peer.host)),
            to: Some(address(&item.to, &own.host)),
            message: Some(MessageId::from_bytes(item.id).to_string()),
            peer: Some(peer.host.to_string()),
            code,
            ..NewEvent::default()
        });
        Ok(())
    }

    /// `GET /quarantine?after=&limit=` and `POST /quarantine`.
    pub(super) async fn route_quarantine(
        self: &Rc<Self>,
        mut request: Request,
    ) -> Result<Response, ApiError> {
        self.wake().await?;
        if request.method() == Method::Post {
            self.decide_quarantine(&request.json().await?)?;
            return Ok(Response::from_json(&Nothing {})?);
        }
        let page: ShelfPage = request.query()?;
        Ok(Response::from_json(&self.list_quarantine(&page)?)?)
    }

    /// Lists what waits for the admin.
    fn list_quarantine(&self, page: &ShelfPage) -> Result<QuarantineList, ApiError> {
        let (peer, own) = (self.peer()?, self.own()?);
        let shelf = self.store.shelf(page.after, page.limit)?;
        let held = shelf.iter().map(|held| Quarantined {
            item: format!("{}.{}", peer.peer_did, held.n),
            id: MessageId::from_bytes(held.item.id).to_string(),
            peer: peer.peer_did.to_string(),
            host: peer.host.to_string(),
            from: address(&held.item.from, &peer.host),
            to: address(&held.item.to, &own.host),
            reason: held.reason.clone(),
            bytes: held.length,
            held_at: held.held_at,
            lapses_at: held.lapses_at,
            released: held.turn.is_some(),
        });
        Ok(QuarantineList {
            held: held.collect(),
            cursor: None,
        })
    }

    /// Does what an admin decided.
    fn decide_quarantine(self: &Rc<Self>, decide: &Decide) -> Result<(), ApiError> {
        let now = internal::now();
        let held = self.store.shelved_at(decide.n)?.ok_or_else(|| {
            ApiError::not_found(
                "NOT_QUARANTINED",
                "Nothing is held under that name: GET /admin/federation/quarantine lists what is.",
            )
        })?;
        if held.ended.is_some() || held.turn.is_some() || held.lapses_at <= now {
            return Err(ApiError::new(
                409,
                "QUARANTINE_DECIDED",
                "That message was released, refused or has lapsed already: GET /admin/federation/quarantine lists what waits.",
            ));
        }
        match decide.decision {
            Decision::Release => {
                self.check_release(&held)?;
                self.store.release(held.n)?;
            }
            Decision::Refuse => self.end(&held, Some(QUARANTINE_REFUSED))?,
        }
        self.arm(Some(now.after(RETRY_MS)));
        self.tend_quarantine();
        Ok(())
    }

    /// An admin vouches for a message, not against the lists.
    fn check_release(&self, held: &Held) -> Result<(), ApiError> {
        let item = policy::Item {
            kind: ItemKind::Message {
                peer_agent: &held.item.from,
            },
            proof: Proof::Sound,
        };
        let machine = self.machine.borrow();
        let machine = machine.as_ref().ok_or_else(not_peered)?;
        match decide(machine.policy(), Direction::Inbound, &item) {
            Verdict::Pass | Verdict::Hold(_) => Ok(()),
            Verdict::Refuse(reason) => Err(ApiError::new(
                409,
                "RELEASE_REFUSED",
                format!("It may not pass even so ({}): {reason}.", reason.code()),
            )),
        }
    }

    fn end(&self, held: &Held, code: Option<&str>) -> Result<(), ApiError> {
        self.store.end_shelved(held.n, internal::now(), code)?;
        self.tell_viewers("quarantine.ended", &held.item, code.map(str::to_owned))
    }

    /// Starts doing what is due, unless that is under way already.
    pub(super) fn tend_quarantine(self: &Rc<Self>) {
        if self.tending.replace(true) {
            return;
        }
        let driver = Rc::clone(self);
        spawn_local(async move {
            let outcome = loop {
                match driver.tend_all().await {
                    Err(error) if error.code != "NOT_PEERED" => {
                        console_warn!("the quarantine could not be tended, trying again: {error}");
                        Delay::from(Duration::from_millis(RETRY_MS)).await;
                    }
                    outcome => break outcome,
                }
            };
            driver.tending.set(false);
            if let Ok(due) = outcome {
                driver.arm(due);
            }
        });
    }

    /// Does all that is due. Returns when something is due again.
    async fn tend_all(self: &Rc<Self>) -> Result<Option<Timestamp>, ApiError> {
        let waits = loop {
            self.lapse().await?;
            let stuck = self.deliver_released().await?;
            let full = self.tell_outcomes()?;
            let more = self.store.released(MAX_BATCH)?.len() > stuck
                || !self.store.lapsed(internal::now(), 1)?.is_empty();
            if !more {
                break stuck > 0 || full;
            }
        };
        let lapse = self.store.next_lapse()?;
        let again = waits.then(|| internal::now().after(WAIT_MS));
        Ok(lapse.into_iter().chain(again).min())
    }

    /// Refuses what nobody decided about in time.
    async fn lapse(&self) -> Result<(), ApiError> {
        loop {
            let now = internal::now();
            let lapsed = self.store.lapsed(now, MAX_BATCH)?;
            if lapsed.is_empty() {
                return Ok(());
            }
            let directory = Directory::open(&self.env)?;
            let did = self.peer()?.peer_did.clone();
            for held in lapsed {
                let expired = held.item.expires.is_some_and(|at| at <= now);
                let code = if expired { EXPIRED } else { QUARANTINE_LAPSED };
                let target = format!("{did}.{} {code}", held.n);
                let request = internal::new_request_id();
                directory
                    .audit("network", "quarantine.lapse", &target, &request, now)
                    .await?;
                self.end(&held, Some(code))?;
            }
        }
    }

    /// Hands over what was released, in that order; an agent that cannot take its own now keeps no
    /// other waiting. Returns how many could not be handed over.
    async fn deliver_released(self: &Rc<Self>) -> Result<usize, ApiError> {
        let mut stuck = BTreeSet::new();
        let mut left = 0_usize;
        for held in self.store.released(MAX_BATCH)? {
            if stuck.contains(&held.item.to) {
                left = left.saturating_add(1);
                continue;
            }
            let batch = [(0, 0, held.item.clone())];
            let verdicts = self.hand_all(&held.item.to, &batch).await;
            match verdicts.map(|verdicts| verdicts.into_iter().next()) {
                Ok(Some(DeliveryVerdict::Delivered)) => self.end(&held, None)?,
                Ok(Some(DeliveryVerdict::Refused(code))) if code.as_str() != SENDER_UNREACHABLE => {
                    self.end(&held, Some(code.as_str()))?;
                }
                Ok(_) => {
                    left = left.saturating_add(1);
                    stuck.insert(held.item.to.clone());
                }
                Err(error) => {
                    console_warn!("a released message waits for its agent: {error}");
                    left = left.saturating_add(1);
                    stuck.insert(held.item.to.clone());
                }
            }
        }
        Ok(left)
    }

    /// Offers outcomes to the control stream. Returns whether some found no room.
    fn tell_outcomes(self: &Rc<Self>) -> Result<bool, ApiError> {
        loop {
            let untold = self.store.untold(MAX_BATCH)?;
            if untold.is_empty() {
                return Ok(false);
            }
            let offered = untold.iter().map(|held| self.outcome(held));
            let offered = offered.collect::<Result<Vec<_>, _>>()?;
            let items = offered.iter().map(|one| one.item.clone()).collect();
            let stream = Stream::Ctl;
            let refused = self.feed_offer(Input::Enqueue { stream, items }, &offered)?;
            let full = |code: &Option<String>| code.as_deref() == Some("OUTBOX_FULL");
            // What policy does not let out any more is not told: its sender gives up by itself.
            let told = untold.iter().zip(&refused).filter(|(_, code)| !full(code));
            let told: Vec<_> = told.map(|(held, _)| held.n).collect();
            self.store.transaction(|| self.store.told_outcomes(&told))?;
            if told.len() < untold.len() {
                return Ok(true);
            }
        }
    }

    fn outcome(&self, held: &Held) -> Result<Outgoing, ApiError> {
        let (own, peer) = (self.own()?, self.peer()?);
        let (at, code) = held.ended.clone().unwrap_or_default();
        let between = Between {
            holder: &own.did,
            network: &peer.peer_did,
            recipient: &held.item.to,
            sender: &held.item.from,
        };
        let code = code.as_deref().map(Code::lossy);
        let signer = own.signer();
        let what = (held.item.id, at);
        let outcome = Outcome::sign(&between, what, code, (signer.kid, signer.key));
        let item = Item {
            id: held.item.id,
            from: held.item.to.clone(),
            to: held.item.from.clone(),
            bytes: Control::Outcome(outcome).encode().into(),
            expires: None,
        };
        let object = String::new();
        Ok(Outgoing { item, object })
    }
}

fn address(did: &Did, host: &Host) -> String {
    let (did, host) = (did.clone(), host.clone());
    Address { did, host }.to_string()
}
