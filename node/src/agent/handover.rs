//! The calls by which messages leave this agent: to a link, or to an agent of our own network.

use std::rc::Rc;

use entente_lexicon::Did;
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
}
