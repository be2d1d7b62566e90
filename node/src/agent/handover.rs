//! The calls by which messages leave this agent: to a link, or to an agent of our own network.

use std::rc::Rc;

use entente_lexicon::Did;
use entente_trust::message::origin::{has_origin, sign_origin};
use serde_bytes::ByteBuf;

use crate::agent::contacts::Route;
use crate::agent::core::Core;
use crate::agent::outbox::{Departure, Destination, Outcome};
use crate::agent::wire::{self, Delivery, DeliveryReply, Handoff, HandoffItem, HandoffReply};
use crate::error::ApiError;
use crate::internal;

impl Core {
    pub(super) async fn hand_over(
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
        let stubs = &self.outbox.stubs;
        let stub = stubs.get(network.as_str(), || internal::link(&self.env, network))?;
        let plain = self.handoff(batch, false)?;
        let mut answer = wire::call::<HandoffReply>(&stub, "/handoff", &plain).await;
        if answer.as_ref().is_ok_and(|reply| reply.needs_origin) {
            let signed = self.handoff(batch, true)?;
            answer = wire::call(&stub, "/handoff", &signed).await;
        }
        if answer.is_err() {
            stubs.forget(network.as_str());
        }
        match answer {
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

    /// Writes a batch for the link; where it asks, with our signature on the outside.
    fn handoff(&self, batch: &[Departure], signed: bool) -> Result<Handoff, ApiError> {
        let me = self.identity()?;
        let bytes = |departure: &Departure| {
            if signed && !has_origin(&departure.bytes) {
                let bytes = sign_origin(&departure.bytes, &me.signing);
                bytes.map_err(ApiError::internal)
            } else {
                Ok(departure.bytes.clone())
            }
        };
        let items = batch.iter().map(|departure| {
            Ok(HandoffItem {
                id: ByteBuf::from(departure.id.to_bytes()),
                to: departure.to.to_string(),
                bytes: ByteBuf::from(bytes(departure)?),
            })
        });
        Ok(Handoff {
            object: self.state.id().to_string(),
            from: me.did.to_string(),
            is_new: batch.iter().all(|departure| departure.is_new),
            items: items.collect::<Result<_, ApiError>>()?,
        })
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
}
