//! Records between networks: taken from our agents, and passed on to them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use entente_federation::frame::control::Control;
use entente_federation::quarantine::{Between, Outcome};
use entente_federation::{Input, Item, Stream};
use entente_lexicon::Did;
use entente_lexicon::api::NewEvent;
use serde_bytes::ByteBuf;
use worker::{Request, Response, console_warn};

use crate::agent::wire::{
    self, ControlItem, Controls, DeliveryReply, Handoff, HandoffReply, Receipt, Receipts,
};
use crate::error::ApiError;
use crate::internal;
use crate::link::driver::Driver;
use crate::link::receipts::ending;
use crate::link::store::{LinkStore, Outgoing};
use crate::link::streams::Arrival;
use crate::params;
use crate::proof::Proof;
use crate::store::sqlite::StoreError;

/// An outcome that the peer's key did not sign.
const OUTCOME_INVALID: &str = "OUTCOME_INVALID";
/// Records passed on at a time.
const MAX_BATCH: u32 = 128;

impl LinkStore {
    fn forget_arrivals(&self, done: &[u64]) -> Result<(), StoreError> {
        let list = serde_json::to_string(done).unwrap_or_else(|_| "[]".to_owned());
        self.db.exec(
            "DELETE FROM arrivals WHERE n IN (SELECT value FROM json_each(?))",
            params![list],
        )
    }
}

impl Driver {
    /// `POST /controls`.
    pub(super) async fn route_controls(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Response, ApiError> {
        let handoff = wire::read(request).await?;
        self.wake().await?;
        wire::respond(&self.take_controls(handoff)?)
    }

    /// Takes records from an agent of ours. Answers once they are stored. One that comes twice goes
    /// twice: whoever it is for knows it.
    fn take_controls(self: &Rc<Self>, handoff: Handoff) -> Result<HandoffReply, ApiError> {
        let from = Did::parse(&handoff.from).map_err(ApiError::internal)?;
        let offered = handoff.items.into_iter().map(|entry| {
            let id = entry.id.into_vec().try_into();
            let item = Item {
                id: id.map_err(|_error| ApiError::internal("a record's id is not 16 bytes"))?,
                from: from.clone(),
                to: Did::parse(&entry.to).map_err(ApiError::internal)?,
                expires: None,
                bytes: entry.bytes.into_vec().into(),
            };
            let object = String::new();
            Ok::<_, ApiError>(Outgoing { item, object })
        });
        let offered = offered.collect::<Result<Vec<_>, _>>()?;
        let items = offered.iter().map(|one| one.item.clone()).collect();
        let stream = Stream::Ctl;
        Ok(HandoffReply {
            refused: self.feed_offer(Input::Enqueue { stream, items }, &offered)?,
            needs_origin: false,
        })
    }

    /// Passes on all records that wait. An agent that cannot take its own keeps no other waiting.
    pub(super) async fn pass_controls(self: &Rc<Self>) -> Result<(), ApiError> {
        let stream = Stream::Ctl;
        loop {
            let arrivals = self.store.arrivals(stream, MAX_BATCH)?;
            if arrivals.is_empty() {
                return Ok(());
            }
            let mut failed = None;
            for (agent, batch) in by_agent(&arrivals) {
                match self.pass_to(&agent, &batch).await {
                    Ok(()) => {
                        let done: Vec<_> = batch.iter().map(|arrival| arrival.n).collect();
                        self.store.forget_arrivals(&done)?;
                        let count = done.len() as u64;
                        self.feed_quietly(Input::Taken { stream, count });
                    }
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    /// Passes records on to one agent; those for nobody here are let go.
    async fn pass_to(&self, agent: &Did, batch: &[&Arrival]) -> Result<(), ApiError> {
        let peer = self.peer()?;
        let Ok(object) = self.object_of(agent).await? else {
            return Ok(());
        };
        let (outcomes, batch) = self.outcomes(batch)?;
        self.pass_outcomes(&object, outcomes).await?;
        if batch.is_empty() {
            return Ok(());
        }
        let controls = Controls {
            network: peer.peer_did.to_string(),
            host: peer.host.to_string(),
            items: batch
                .iter()
                .map(|arrival| ControlItem {
                    from: arrival.item.from.to_string(),
                    bytes: ByteBuf::from(arrival.item.bytes.as_ref()),
                })
                .collect(),
        };
        let stub = internal::agent(&self.env, &object)?;
        let reply = match wire::call::<DeliveryReply>(&stub, "/controls", &controls).await {
            Ok(reply) => reply,
            Err(error) if error.status == 410 => return Ok(()),
            Err(error) => return Err(error),
        };
        let codes: BTreeSet<_> = reply.refused.into_iter().flatten().collect();
        codes.into_iter().try_for_each(|code| self.blame(code))
    }

    /// What a network's agents never said is worth an admin's look.
    fn blame(&self, code: String) -> Result<(), ApiError> {
        console_warn!("a record of the peer was refused: {code}");
        self.reporter.report(NewEvent {
            kind: "receipt.refused".to_owned(),
            at: internal::now(),
            peer: Some(self.peer()?.host.to_string()),
            code: Some(code),
            ..NewEvent::default()
        });
        Ok(())
    }

    /// Takes outcomes out of a batch: what the peer's own network says, and not its agents. One that
    /// is not signed by the peer's key is let go.
    fn outcomes<'a>(
        &self,
        batch: &[&'a Arrival],
    ) -> Result<(Outcomes, Vec<&'a Arrival>), ApiError> {
        let (own, peer) = (self.own()?, self.peer()?);
        let mut outcomes = Outcomes::default();
        let mut others = Vec::new();
        let mut document = None;
        for arrival in batch {
            let Some(Control::Outcome(outcome)) = Control::decode(&arrival.item.bytes) else {
                others.push(*arrival);
                continue;
            };
            let document = match &document {
                Some(known) => known,
                None => document.insert(self.verify(&peer)?),
            };
            let between = Between {
                holder: &peer.peer_did,
                network: &own.did,
                recipient: &arrival.item.from,
                sender: &arrival.item.to,
            };
            let retired = document.retired.iter().map(|old| (&old.kid, &old.key));
            let mut keys = document.keys.iter().chain(retired);
            let key = keys.find(|(kid, _)| **kid == outcome.kid);
            if key.is_some_and(|(_, key)| outcome.is_by(key, &between)) {
                outcomes.push(arrival, &outcome, &between);
            } else {
                self.blame(OUTCOME_INVALID.to_owned())?;
            }
        }
        Ok((outcomes, others))
    }

    async fn pass_outcomes(&self, object: &str, outcomes: Outcomes) -> Result<(), ApiError> {
        if outcomes.receipts.is_empty() {
            return Ok(());
        }
        let by = self.peer()?.peer_did.to_string();
        let stub = internal::agent(&self.env, object)?;
        let receipts = Receipts {
            by,
            items: outcomes.receipts,
            proofs: outcomes.proofs,
            from: Some(outcomes.from),
        };
        match wire::call::<()>(&stub, "/receipts", &receipts).await {
            Err(error) if error.status != 410 => Err(error),
            // Told; or the sender was deleted meanwhile.
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// What a peer decided about messages of one of our agents, as receipts.
#[derive(Default)]
struct Outcomes {
    receipts: Vec<Receipt>,
    proofs: Vec<ByteBuf>,
    /// The recipient of each.
    from: Vec<String>,
}

impl Outcomes {
    fn push(&mut self, arrival: &Arrival, outcome: &Outcome, between: &Between<'_>) {
        let code = outcome.code.as_ref().map(ToString::to_string);
        let statement = outcome.statement(between);
        let proof = Proof::signed("outcome", &outcome.kid, statement, &outcome.signature);
        self.receipts.push(Receipt {
            id: ByteBuf::from(outcome.id),
            status: ending(code.as_deref()),
            at: outcome.at,
            code,
            sent: None,
            proof: Some(self.proofs.len()),
        });
        self.proofs.push(ByteBuf::from(proof.encode()));
        self.from.push(arrival.item.from.to_string());
    }
}

fn by_agent(arrivals: &[Arrival]) -> BTreeMap<Did, Vec<&Arrival>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for arrival in arrivals {
        groups
            .entry(arrival.item.to.clone())
            .or_default()
            .push(arrival);
    }
    groups
}
