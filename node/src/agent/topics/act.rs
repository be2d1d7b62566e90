//! What an agent's program does about topics.

use std::rc::Rc;

use entente_lexicon::api::SendMessage;
use entente_lexicon::api::topics::{
    OpenTo, OpenTopic, Subscribe, SubscriptionList, SubscriptionView, TopicList, TopicView,
};
use entente_lexicon::cast::TopicPart;
use entente_lexicon::{Address, Content, Did, Host, MessageId, Recipient};

use crate::agent::core::Core;
use crate::agent::topics::store::{NETWORK, Subscription};
use crate::agent::topics::{MAX_SUBSCRIPTIONS, MAX_TOPIC, MAX_TOPICS};
use crate::error::ApiError;
use crate::internal;

impl Core {
    pub(super) fn list_topics(&self) -> Result<TopicList, ApiError> {
        let topics = self.topics.store.topics()?.into_iter();
        let view = |(topic, open_to): (String, OpenTo)| self.topic_view(topic, open_to);
        Ok(TopicList {
            topics: topics.map(view).collect::<Result<_, _>>()?,
        })
    }

    fn topic_view(&self, topic: String, open_to: OpenTo) -> Result<TopicView, ApiError> {
        let listeners = self.topics.store.listeners(&topic)?;
        Ok(TopicView {
            topic,
            open_to,
            listeners: listeners.iter().map(Address::to_string).collect(),
        })
    }

    /// Says who may listen to a topic. Whoever may not any more does not.
    pub(super) fn open_topic(&self, topic: &str, wish: OpenTopic) -> Result<TopicView, ApiError> {
        check(topic)?;
        let me = self.identity()?;
        let store = &self.topics.store;
        let known = store.topics()?;
        if known.len() >= MAX_TOPICS && !known.iter().any(|(name, _)| name == topic) {
            return Err(ApiError::new(
                409,
                "TOO_MANY_TOPICS",
                "This agent speaks of 100 topics: close some with DELETE …/topics/:topic.",
            ));
        }
        self.store.transaction(|| {
            store.put_topic(topic, wish.open_to, internal::now())?;
            match wish.open_to {
                OpenTo::Network => store.drop_foreign(topic, &me.host),
                OpenTo::Everyone => Ok(()),
            }
        })?;
        self.topic_view(topic.to_owned(), wish.open_to)
    }

    pub(super) fn close_topic(&self, topic: &str) -> Result<(), ApiError> {
        let store = &self.topics.store;
        let was_there = self.store.transaction(|| store.drop_topic(topic))?;
        was_there.then_some(()).ok_or_else(unknown_topic)
    }

    /// Takes a listener off a topic.
    pub(super) fn drop_listener(&self, topic: &str, who: &str) -> Result<TopicView, ApiError> {
        let open_to = self.topics.store.topic(topic)?;
        let open_to = open_to.ok_or_else(unknown_topic)?;
        let did = who.split('@').next().unwrap_or(who);
        let did = Did::parse(did).map_err(|error| {
            ApiError::bad_request(
                "MALFORMED_ADDRESS",
                format!("A listener is named by its DID: {error}."),
            )
        })?;
        self.topics.store.drop_listener(topic, &did)?;
        self.topic_view(topic.to_owned(), open_to)
    }

    /// Listens to a topic of another agent's, or of this network. Again: it is asked for again.
    pub(super) async fn subscribe(
        self: &Rc<Self>,
        wish: Subscribe,
    ) -> Result<SubscriptionView, ApiError> {
        check(&wish.topic)?;
        let me = self.identity()?;
        let (of, host) = if wish.of == NETWORK {
            (NETWORK.to_owned(), me.host.clone())
        } else {
            let recipient: Recipient =
                wish.of.parse().map_err(|error: entente_lexicon::IdError| {
                    ApiError::bad_request("MALFORMED_ADDRESS", format!("`of`: {error}."))
                })?;
            let contact = self.contact_of(&recipient).await?;
            (contact.did.to_string(), contact.host.clone())
        };
        let known = self.topics.store.subscriptions()?;
        let is_known = |one: &Subscription| one.of == of && one.topic == wish.topic;
        if known.len() >= MAX_SUBSCRIPTIONS && !known.iter().any(is_known) {
            return Err(ApiError::new(
                409,
                "TOO_MANY_SUBSCRIPTIONS",
                "This agent listens to 1,000 topics: end some with DELETE …/subscriptions/:id.",
            ));
        }
        let now = internal::now();
        let id = MessageId::from_parts(now.0, internal::random());
        let place = (of.as_str(), &host, wish.topic.as_str());
        let id = self.topics.store.subscribe(&id, place, now)?;
        if of != NETWORK {
            let asked = self.tell_topic(&of, host.as_str(), &wish.topic, true).await;
            match asked {
                Ok(mail) => self.topics.store.asked(&id, &mail)?,
                Err(error) => {
                    // A neighbour that says no says so at once.
                    self.topics.store.unsubscribe(&id)?;
                    return Err(error);
                }
            }
        }
        let all = self.topics.store.subscriptions()?;
        let found = all.into_iter().find(|one| one.id == id);
        found.map(view).ok_or_else(unknown_subscription)
    }

    /// Listens no more.
    pub(super) async fn unsubscribe(self: &Rc<Self>, id: &str) -> Result<(), ApiError> {
        let id = MessageId::parse(id).map_err(|_error| unknown_subscription())?;
        let all = self.topics.store.subscriptions()?;
        let found = all.into_iter().find(|one| one.id == id);
        let found = found.ok_or_else(unknown_subscription)?;
        self.topics.store.unsubscribe(&id)?;
        if found.of != NETWORK {
            // Whoever does not hear of it is told when it says something.
            let told = self
                .tell_topic(&found.of, &found.host, &found.topic, false)
                .await;
            drop(told);
        }
        Ok(())
    }

    pub(super) fn list_subscriptions(&self) -> Result<SubscriptionList, ApiError> {
        let all = self.topics.store.subscriptions()?;
        Ok(SubscriptionList {
            subscriptions: all.into_iter().map(view).collect(),
        })
    }

    async fn tell_topic(
        self: &Rc<Self>,
        of: &str,
        host: &str,
        topic: &str,
        listen: bool,
    ) -> Result<MessageId, ApiError> {
        let host = Host::parse(host).map_err(ApiError::internal)?;
        let part = TopicPart {
            topic: topic.to_owned(),
            listen,
        };
        let sent = self
            .send_own(SendMessage {
                to: format!("{of}@{host}"),
                thread: None,
                priority: None,
                expires_at: None,
                idempotency_key: None,
                asynchronous: None,
                content: Content::Topic(part),
            })
            .await?;
        sent.id.parse().map_err(ApiError::internal)
    }
}

fn view(stored: Subscription) -> SubscriptionView {
    let of_network = stored.of == NETWORK;
    let state = match stored.status.as_deref() {
        _ if of_network => "listening",
        Some("delivered" | "read") => "listening",
        Some("refused" | "expired") => "refused",
        Some(_) | None => "asked",
    };
    SubscriptionView {
        id: stored.id.to_string(),
        of: if of_network {
            stored.of
        } else {
            format!("{}@{}", stored.of, stored.host)
        },
        topic: stored.topic,
        state: state.to_owned(),
        code: stored.code,
        created_at: stored.at,
    }
}

/// Checks the name of a topic.
pub(super) fn check(topic: &str) -> Result<(), ApiError> {
    if (1..=MAX_TOPIC).contains(&topic.len()) {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "INVALID_TOPIC",
        "A topic is 1 to 256 bytes long.",
    ))
}

pub(super) fn unknown_topic() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_TOPIC",
        "This agent does not speak of that topic: PUT /agents/:name/topics/:topic opens it.",
    )
}

fn unknown_subscription() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_SUBSCRIPTION",
        "This agent has no subscription of that id: GET /agents/:name/subscriptions lists them.",
    )
}
