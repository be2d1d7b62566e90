//! Receiving: open, check, de-duplicate, commit; then, and only then, answer.

use std::rc::Rc;

use entente_lexicon::api::{AgentNotice, InboxMessage, NewEvent, ReceiptView};
use entente_lexicon::{Did, Host, MessageId, Timestamp};
use entente_trust::crypto::hash;
use entente_trust::message::origin::strip_origin;
use entente_trust::message::{Body, Expected, Header, open};

use crate::agent::contacts::Contact;
use crate::agent::core::{Core, address};
use crate::agent::identity::Me;
use crate::agent::outbox::EndOf;
use crate::agent::store::{End, NewMessage};
use crate::agent::wire::{Delivery, DeliveryReply, Receipt, Receipts};
use crate::error::ApiError;
use crate::internal;

/// One delivered message, before it is announced.
struct Arrival {
    view: InboxMessage,
    peer: Option<String>,
}

impl Core {
    /// Takes a batch of sealed messages. Each is delivered, known already, or refused with a code;
    /// one that cannot be opened never blocks the others.
    pub(super) async fn deliver(
        self: &Rc<Self>,
        delivery: Delivery,
    ) -> Result<DeliveryReply, ApiError> {
        let me = self.identity()?;
        let network = Did::parse(&delivery.network).map_err(ApiError::internal)?;
        let host = Host::parse(&delivery.host).map_err(ApiError::internal)?;
        let mut senders = Vec::with_capacity(delivery.items.len());
        for bytes in &delivery.items {
            senders.push(self.sender_of(bytes, &network, &host).await?);
        }
        let mut refused = Vec::with_capacity(senders.len());
        let mut arrivals = Vec::new();
        self.store.transaction(|| {
            let now = internal::now();
            for (bytes, sender) in delivery.items.iter().zip(senders) {
                let outcome = sender.and_then(|contact| self.take(&me, &contact, bytes, now));
                refused.push(match outcome {
                    Ok(arrival) => {
                        arrivals.extend(arrival);
                        None
                    }
                    Err(Fault::Refused(code)) => Some(code),
                    Err(Fault::Ours(error)) => return Err(error),
                });
            }
            Ok::<_, ApiError>(())
        })?;
        arrivals
            .into_iter()
            .for_each(|arrival| self.announce(arrival));
        Ok(DeliveryReply { refused })
    }

    /// Finds who says to have sent this. Only the network that carries a message may vouch for
    /// its sender.
    async fn sender_of(
        self: &Rc<Self>,
        bytes: &[u8],
        network: &Did,
        host: &Host,
    ) -> Result<Result<Rc<Contact>, Fault>, ApiError> {
        let Ok(header) = Header::peek(bytes) else {
            return Ok(Err(Fault::Refused("MESSAGE_MALFORMED".to_owned())));
        };
        match self.contact_at(&header.from, network, host).await {
            Ok(contact) if contact.network == *network => Ok(Ok(contact)),
            Ok(_) => Ok(Err(Fault::Refused("WRONG_NETWORK".to_owned()))),
            Err(error) if error.status < 500 => {
                Ok(Err(Fault::Refused("UNKNOWN_SENDER".to_owned())))
            }
            Err(error) => Err(error),
        }
    }

    fn take(
        &self,
        me: &Me,
        sender: &Contact,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Option<Arrival>, Fault> {
        let header = Header::peek(bytes).map_err(|_error| refused("MESSAGE_MALFORMED"))?;
        let id = MessageId::from_bytes(header.id);
        // Who carried it may have checked the origin; what binds us stands inside the seal.
        let bytes = strip_origin(bytes);
        let digest = hash::sha256(&[bytes]);
        if let Some(known) = self
            .store
            .incoming_digest(&id, &header.from)
            .map_err(ours)?
        {
            return if known == digest {
                Ok(None)
            } else {
                Err(refused("ID_REUSED"))
            };
        }
        if header.expires.is_some_and(|at| at <= now) {
            return Err(refused("EXPIRED"));
        }
        let expected = Expected {
            from: &sender.did,
            to: &me.did,
            network: &me.network,
            kid: &me.kid,
        };
        let (header, body) = open(bytes, &me.kem, &sender.signing, &expected)
            .map_err(|error| Fault::Refused(error.code().to_owned()))?;
        self.store
            .insert(NewMessage {
                id: &id,
                outgoing: false,
                peer: &header.from,
                host: &sender.host,
                network: &sender.network,
                created_at: body.created_at,
                stored_at: now,
                body: me.seal_body(&id, &body).map_err(Fault::Ours)?,
                digest,
                request: None,
                envelope: None,
            })
            .map_err(ours)?;
        let from = Party {
            did: &header.from,
            host: &sender.host,
            name: Some(sender.name.to_string()),
        };
        let view = inbox_view(me, &id, from, body, now);
        let peer = (sender.network != me.network).then(|| sender.host.to_string());
        Ok(Some(Arrival { view, peer }))
    }

    fn announce(&self, arrival: Arrival) {
        let Arrival { view, peer } = arrival;
        self.report(NewEvent {
            kind: "message.received".to_owned(),
            at: view.received_at,
            from: Some(view.from.clone()),
            to: Some(view.to.clone()),
            message: Some(view.id.clone()),
            peer,
            latency_ms: Some(view.received_at.since(view.created_at)),
            ..NewEvent::default()
        });
        self.push(&AgentNotice::Message { message: view });
    }

    /// Takes receipts from the link that verified them, and answers once they are committed.
    pub(super) fn take_receipts(self: &Rc<Self>, receipts: &Receipts) -> Result<(), ApiError> {
        let ended = self.store.transaction(|| {
            let mut ended = Vec::new();
            for receipt in &receipts.items {
                ended.extend(self.take_receipt(&receipts.by, receipt)?);
            }
            Ok::<_, ApiError>(ended)
        })?;
        self.announce_ends(ended);
        Ok(())
    }

    fn take_receipt(&self, by: &str, receipt: &Receipt) -> Result<Option<EndOf>, ApiError> {
        let bytes = <[u8; 16]>::try_from(receipt.id.as_slice()).map_err(ApiError::internal)?;
        let id = MessageId::from_bytes(bytes);
        let end = End {
            at: receipt.at,
            by: by.to_owned(),
            code: receipt.code.clone(),
        };
        let ended = self.store.end(&id, receipt.status, &end)?;
        Ok(ended.map(|(to, accepted_at)| EndOf {
            id,
            to,
            receipt: ReceiptView {
                status: receipt.status,
                at: end.at,
                by: end.by,
                code: end.code,
            },
            accepted_at,
        }))
    }
}

/// Why a message was not taken.
pub(super) enum Fault {
    /// It is at fault itself; its sender is told this code.
    Refused(String),
    /// We could not; it will be offered again.
    Ours(ApiError),
}

fn refused(code: &str) -> Fault {
    Fault::Refused(code.to_owned())
}

fn ours(error: crate::store::sqlite::StoreError) -> Fault {
    Fault::Ours(error.into())
}

/// The other agent of a message.
pub(super) struct Party<'a> {
    pub(super) did: &'a Did,
    pub(super) host: &'a Host,
    pub(super) name: Option<String>,
}

/// Shows a message as its recipient sees it.
pub(super) fn inbox_view(
    me: &Me,
    id: &MessageId,
    from: Party<'_>,
    body: Body,
    received_at: Timestamp,
) -> InboxMessage {
    InboxMessage {
        id: id.to_string(),
        from: address(from.did, from.host),
        to: address(&me.did, &me.host),
        peer_name: from.name,
        thread: body.thread,
        content: body.content,
        priority: body.priority,
        created_at: body.created_at,
        received_at,
    }
}
