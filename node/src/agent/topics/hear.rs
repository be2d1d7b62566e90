//! What other agents say to many, and who wants to listen: checked and committed with their mail.

use data_encoding::BASE64_NOPAD;
use entente_lexicon::api::topics::OpenTo;
use entente_lexicon::cast::{CastPart, TopicPart, Via};
use entente_lexicon::records::comms::{self, Broadcast};
use entente_lexicon::{Content, Did, Timestamp, schema};
use entente_trust::group::{GroupKey, Place, open_text};
use entente_trust::message::Body;
use serde_json::Value;

use crate::agent::contacts::Contact;
use crate::agent::core::Core;
use crate::agent::groups::GroupFault;
use crate::agent::identity::Me;
use crate::agent::topics::MAX_LISTENERS;
use crate::agent::topics::cast::BROADCAST;
use crate::agent::topics::store::NETWORK;
use crate::error::ApiError;

const MALFORMED: GroupFault = GroupFault::Refused("BROADCAST_MALFORMED");
const NOT_SUBSCRIBED: GroupFault = GroupFault::Refused("TOPIC_NOT_SUBSCRIBED");

impl Core {
    /// Whoever refuses what is said of a topic does not listen to it any more.
    pub(in crate::agent) fn forget_listener(&self, topic: &str, who: &Did) -> Result<(), ApiError> {
        self.topics.prepare()?;
        Ok(self.topics.store.drop_listener(topic, who)?)
    }

    /// Somebody wants to listen, or does not any more. Part of the delivery's transaction.
    pub(in crate::agent) fn take_topic(
        &self,
        me: &Me,
        sender: &Contact,
        part: &TopicPart,
        now: Timestamp,
    ) -> Result<(), GroupFault> {
        self.topics.prepare()?;
        let store = &self.topics.store;
        if !part.listen {
            return Ok(store.drop_listener(&part.topic, &sender.did)?);
        }
        let may = match store.topic(&part.topic)? {
            None => false,
            Some(OpenTo::Network) => sender.network == me.network,
            Some(OpenTo::Everyone) => true,
        };
        if !may {
            return Err(GroupFault::Refused("TOPIC_CLOSED"));
        }
        let listeners = store.listeners(&part.topic)?;
        let known = listeners.iter().any(|who| who.did == sender.did);
        if listeners.len() >= MAX_LISTENERS && !known {
            return Err(GroupFault::Refused("TOPIC_FULL"));
        }
        Ok(store.add_listener(&part.topic, (&sender.did, &sender.host), now)?)
    }

    /// Somebody says something to many. Returns whether it is new.
    pub(in crate::agent) fn take_cast(
        &self,
        me: &Me,
        sender: &Contact,
        body: &mut Body,
        now: Timestamp,
    ) -> Result<bool, GroupFault> {
        let Content::Cast(part) = &mut body.content else {
            return Err(MALFORMED);
        };
        if self.has_cast(&sender.did, &part.cast)? {
            return Ok(false);
        }
        let record = open(sender, part)?;
        let broadcast: Broadcast = comms::read(&record).map_err(|_error| MALFORMED)?;
        self.topics.prepare()?;
        self.may_come(me, sender, part.via, &broadcast)?;
        part.sealed = None;
        part.key = None;
        part.record = Some(record);
        body.thread = broadcast.thread;
        body.priority = broadcast.priority;
        self.keep_cast(me, sender, body, now)?;
        Ok(true)
    }

    /// Nobody is said anything of a topic that it does not listen to.
    fn may_come(
        &self,
        me: &Me,
        sender: &Contact,
        via: Via,
        broadcast: &Broadcast,
    ) -> Result<(), GroupFault> {
        let topic = broadcast.topic.as_deref();
        let listens = |of: &str, topic: &str| self.topics.store.listens(of, topic);
        let may = match (via, topic) {
            (Via::Address, _) => true,
            (Via::Topic, Some(topic)) => listens(sender.did.as_str(), topic)?,
            (Via::Topic, None) => false,
            (Via::Network, _) if sender.network != me.network => return Err(MALFORMED),
            (Via::Network, Some(topic)) => listens(NETWORK, topic)?,
            (Via::Network, None) => true,
        };
        may.then_some(()).ok_or(NOT_SUBSCRIBED)
    }
}

/// Opens a broadcast as it came.
fn open(sender: &Contact, part: &CastPart) -> Result<Value, GroupFault> {
    let decode = |text: &Option<String>| {
        let bytes = text
            .as_ref()
            .map(|text| BASE64_NOPAD.decode(text.as_bytes()));
        bytes.and_then(Result::ok).ok_or(MALFORMED)
    };
    if part.record.is_some() {
        return Err(MALFORMED);
    }
    let (sealed, key) = (decode(&part.sealed)?, decode(&part.key)?);
    let key = GroupKey::from_bytes(&key).ok_or(MALFORMED)?;
    let id = part.cast.to_bytes();
    let place = Place {
        group: &id,
        epoch: 0,
        id: &id,
        author: &sender.did,
    };
    let text = open_text(&key, &place, &sealed).map_err(|_error| MALFORMED)?;
    let record: Value = serde_json::from_slice(&text).map_err(|_error| MALFORMED)?;
    let checked = schema::check(Some(BROADCAST), &record);
    checked.map_err(|fault| GroupFault::Refused(fault.code.as_str()))?;
    Ok(record)
}
