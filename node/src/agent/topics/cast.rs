//! Saying something to many: to who listens to a topic, to a network, to groups, to who is named.

use std::collections::BTreeMap;
use std::rc::Rc;

use entente_lexicon::api::topics::{BroadcastView, NewBroadcast};
use entente_lexicon::cast::Via;
use entente_lexicon::message::RecordPart;
use entente_lexicon::records::comms::{self, Broadcast};
use entente_lexicon::{Address, Content, Did, MessageId, Recipient};
use entente_trust::crypto::hash;
use entente_trust::group::MAX_TEXT;
use entente_trust::message::Body;
use serde_json::Value;

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::tasks::complete;
use crate::agent::topics::MAX_LISTENERS;
use crate::agent::topics::act::unknown_topic;
use crate::error::ApiError;
use crate::internal;
use crate::store::d1::Directory;

pub(super) const BROADCAST: &str = "agent.comms.broadcast";
/// Whom an audience names besides addresses.
const NETWORK: &str = "network";
const GROUP: &str = "group:";

/// To whom something is said: agents, each once, and groups.
#[derive(Default)]
struct Audience {
    agents: BTreeMap<Did, (Address, Via)>,
    groups: Vec<MessageId>,
}

impl Core {
    /// Says something to many. Returns it, and whether it is new.
    pub(super) async fn broadcast(
        self: &Rc<Self>,
        wish: NewBroadcast,
    ) -> Result<(BroadcastView, bool), ApiError> {
        let me = self.identity()?;
        let digest = hash::sha256(&[b"broadcast", &serde_json::to_vec(&wish)?]);
        let key = wish.idempotency_key.as_deref();
        if key.is_some_and(|key| !(1..=256).contains(&key.len())) {
            return Err(ApiError::bad_request(
                "INVALID_TEXT",
                "`idempotencyKey` is 1 to 256 bytes long where it is given.",
            ));
        }
        if let Some(id) = self.cast_before(key, &digest)? {
            return Ok((self.cast_view(&me, &id)?, false));
        }
        let now = internal::now();
        let record = complete(wish.record, BROADCAST, now)?;
        let length = serde_json::to_vec(&record)?.len();
        if length > MAX_TEXT.saturating_sub(1_024) {
            return Err(ApiError::new(
                413,
                "CONTENT_TOO_LARGE",
                "What is said to many is at most 31 KiB: store it elsewhere and send a `ref` to it.",
            ));
        }
        let broadcast: Broadcast = comms::read(&record)?;
        let audience = self.audience(&me, &broadcast).await?;
        // While they were looked up, the same may have been said.
        if let Some(id) = self.cast_before(key, &digest)? {
            return Ok((self.cast_view(&me, &id)?, false));
        }
        let id = MessageId::from_parts(now.0, internal::random());
        let in_groups = Body {
            content: Content::Record(RecordPart {
                record: record.clone(),
                task: None,
            }),
            thread: broadcast.thread.clone(),
            priority: broadcast.priority,
            created_at: now,
        };
        let recipients: Vec<_> = audience.agents.into_values().collect();
        self.store.transaction(|| {
            let request = key.map(|key| (key, digest));
            self.commit_cast(&me, &id, &record, request, &recipients)?;
            for group in &audience.groups {
                let request = format!("broadcast/{id}/{group}");
                self.post_in_group(&me, group, &in_groups, Some((&request, digest)))?;
            }
            Ok::<_, ApiError>(())
        })?;
        self.tend_groups();
        Ok((self.cast_view(&me, &id)?, true))
    }

    async fn audience(
        self: &Rc<Self>,
        me: &Me,
        broadcast: &Broadcast,
    ) -> Result<Audience, ApiError> {
        let mut audience = Audience::default();
        if broadcast.audience.is_empty() {
            let topic = broadcast.topic.as_deref().ok_or_else(|| {
                ApiError::bad_request(
                    "BROADCAST_WITHOUT_AUDIENCE",
                    "Name a `topic`, or in `audience`: network, group:<id>, or addresses.",
                )
            })?;
            let store = &self.topics.store;
            store.topic(topic)?.ok_or_else(unknown_topic)?;
            for listener in store.listeners(topic)? {
                let did = listener.did.clone();
                audience.agents.insert(did, (listener, Via::Topic));
            }
        }
        for entry in &broadcast.audience {
            if let Some(id) = entry.strip_prefix(GROUP) {
                audience.groups.push(self.known_group(id)?);
            } else if entry == NETWORK {
                self.whole_network(me, &mut audience).await?;
            } else {
                let recipient: Recipient =
                    entry.parse().map_err(|error: entente_lexicon::IdError| {
                        ApiError::bad_request("MALFORMED_ADDRESS", format!("`audience`: {error}."))
                    })?;
                let contact = self.contact_of(&recipient).await?;
                let address = Address {
                    did: contact.did.clone(),
                    host: contact.host.clone(),
                };
                audience
                    .agents
                    .insert(contact.did.clone(), (address, Via::Address));
            }
        }
        audience.agents.remove(&me.did);
        if audience.agents.len() > MAX_LISTENERS {
            return Err(ApiError::new(
                409,
                "AUDIENCE_TOO_LARGE",
                "A broadcast has at most 1,000 recipients besides groups: name fewer.",
            ));
        }
        Ok(audience)
    }

    async fn whole_network(&self, me: &Me, audience: &mut Audience) -> Result<(), ApiError> {
        let rows = Directory::open(&self.env)?.agents().await?;
        let active = rows.into_iter().filter(|row| row.is_active());
        for did in active.filter_map(|row| row.did) {
            let address = Address {
                did: did.clone(),
                host: me.host.clone(),
            };
            audience
                .agents
                .entry(did)
                .or_insert((address, Via::Network));
        }
        Ok(())
    }

    pub(super) fn show_cast(&self, id: &str) -> Result<BroadcastView, ApiError> {
        let me = self.identity()?;
        let id = MessageId::parse(id).map_err(|_error| unknown_broadcast())?;
        self.cast_view(&me, &id)
    }

    fn cast_view(&self, me: &Me, id: &MessageId) -> Result<BroadcastView, ApiError> {
        let (record, at, to) = self.cast_state(me, id)?.ok_or_else(unknown_broadcast)?;
        Ok(BroadcastView {
            id: id.to_string(),
            record: Value::clone(&record),
            at,
            to,
        })
    }
}

fn unknown_broadcast() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_BROADCAST",
        "This agent has made no broadcast of that id.",
    )
}
