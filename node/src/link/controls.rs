//! Records between networks: taken from our agents, and passed on to them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use entente_federation::{Input, Item, Stream};
use entente_lexicon::Did;
use entente_lexicon::api::NewEvent;
use serde_bytes::ByteBuf;
use worker::{Request, Response, console_warn};

use crate::agent::wire::{self, ControlItem, Controls, DeliveryReply, Handoff, HandoffReply};
use crate::error::ApiError;
use crate::internal;
use crate::link::driver::Driver;
use crate::link::store::{LinkStore, Outgoing};
use crate::link::streams::Arrival;
use crate::params;
use crate::store::sqlite::StoreError;

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
        // What a network's agents never said is worth an admin's look.
        let codes: BTreeSet<_> = reply.refused.into_iter().flatten().collect();
        for code in codes {
            console_warn!("a record of the peer was refused: {code}");
            self.reporter.report(NewEvent {
                kind: "receipt.refused".to_owned(),
                at: internal::now(),
                peer: Some(peer.host.to_string()),
                code: Some(code),
                ..NewEvent::default()
            });
        }
        Ok(())
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
