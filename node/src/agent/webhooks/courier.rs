//! For whoever has something to send to a URL.
//!
//! [`Core::add_target`] names the place, [`Core::push`] writes down what to send, in the transaction of
//! what it tells of, and [`Core::start_courier`] has it sent at once. If nobody calls that, the alarm does.

use entente_delivery::{Delivery, Disabled, Endpoint};
use entente_lexicon::MessageId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::core::Core;
use crate::agent::webhooks::store::{StoredDelivery, StoredTarget};
use crate::config::Config;
use crate::error::ApiError;
use crate::internal;
use entente_well_known::guard::{GuardError, check_webhook_url};

/// Deliveries that may wait for one target or be dead letters, together; beyond them it is disabled.
const MAX_KEPT: u64 = 1_000;
/// What is written down is sent after this at the latest.
const WATCH_MS: u64 = 1_000;

/// A place to send to. Sealed where it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::agent) struct TargetConfig {
    /// Where.
    pub(in crate::agent) url: String,
    /// The type of what is sent.
    pub(in crate::agent) content_type: String,
    /// Headers besides those that every delivery has, such as what the receiver knows us by.
    pub(in crate::agent) headers: Vec<(String, String)>,
    /// What whoever made the target wants to know of it.
    pub(in crate::agent) settings: Value,
}

/// Something to send.
pub(in crate::agent) struct Push<'a> {
    /// The id that every attempt carries: a fresh one.
    pub(in crate::agent) id: &'a MessageId,
    /// What it tells of, such as `message.received`.
    pub(in crate::agent) event: &'a str,
    /// The id of what that happened to.
    pub(in crate::agent) subject: &'a str,
    /// What is sent, byte for byte.
    pub(in crate::agent) body: &'a [u8],
}

impl Core {
    /// Adds a target of an owner, such as `webhook`, and returns its id. To be called in a transaction.
    ///
    /// # Errors
    /// 422 `WEBHOOK_URL` if the rules for URLs do not admit it.
    pub(in crate::agent) fn add_target(
        &self,
        owner: &str,
        config: &TargetConfig,
    ) -> Result<String, ApiError> {
        self.check_target(&config.url)?;
        let (me, now) = (self.identity()?, internal::now());
        let id = MessageId::from_parts(now.0, internal::random()).to_string();
        let config = serde_json::to_vec(config)?;
        let target = StoredTarget {
            config: me.seal_secret(&target_purpose(&id), &config),
            created_at: now,
            endpoint: Endpoint::new(now),
            id: id.clone(),
        };
        self.webhooks.store.add_target(&target, owner)?;
        Ok(id)
    }

    /// Removes a target with everything that waits for it. Returns whether there was one. To be called in a
    /// transaction.
    pub(in crate::agent) fn remove_target(&self, id: &str) -> Result<bool, ApiError> {
        Ok(self.webhooks.store.remove_target(id)?)
    }

    /// Returns what whoever made a target wanted to know of it; nothing if there is no such target.
    pub(in crate::agent) fn target_settings(&self, id: &str) -> Result<Option<Value>, ApiError> {
        let stored = self.webhooks.store.target(id)?;
        let config = stored.map(|stored| self.open_target(&stored));
        Ok(config.transpose()?.map(|config| config.settings))
    }

    /// Writes down what is to be sent. Returns whether it will be: a target that is disabled, or gone, is
    /// sent nothing. To be called in the transaction of what it tells of.
    pub(in crate::agent) fn push(&self, target: &str, push: &Push<'_>) -> Result<bool, ApiError> {
        let store = &self.webhooks.store;
        let Some(stored) = store.target(target)? else {
            return Ok(false);
        };
        if stored.endpoint.disabled.is_some() {
            return Ok(false);
        }
        let (waiting, dead) = store.count(target)?;
        if waiting.saturating_add(dead) >= MAX_KEPT {
            let disabled = Endpoint {
                disabled: Some(Disabled::Backlog),
                ..stored.endpoint
            };
            store.set_endpoint(target, &disabled)?;
            store.give_up(target)?;
            return Ok(false);
        }
        let (me, now) = (self.identity()?, internal::now());
        let id = push.id.to_string();
        store.insert(&StoredDelivery {
            n: 0,
            target: target.to_owned(),
            event: push.event.to_owned(),
            subject: push.subject.to_owned(),
            body: Some(me.seal_secret(&push_purpose(&id), push.body)),
            id,
            created_at: now,
            delivery: Delivery::new(now),
            attempts: 0,
            tried_at: None,
            status: None,
            error: None,
        })?;
        self.wake_in(WATCH_MS);
        Ok(true)
    }

    /// Checks a URL by the rules for those that somebody else names.
    pub(super) fn check_target(&self, url: &str) -> Result<url::Url, ApiError> {
        let config = Config::from_env(&self.env)?;
        let own = std::slice::from_ref(&config.host);
        check_webhook_url(url, own, &config.dev_hosts)
            .map_err(|rule: GuardError| ApiError::new(422, "WEBHOOK_URL", format!("{rule}.")))
    }

    pub(super) fn open_target(&self, stored: &StoredTarget) -> Result<TargetConfig, ApiError> {
        let me = self.identity()?;
        let config = me.open_secret(&target_purpose(&stored.id), &stored.config)?;
        Ok(serde_json::from_slice(&config)?)
    }
}

fn target_purpose(id: &str) -> String {
    format!("push-target/{id}")
}

pub(super) fn push_purpose(id: &str) -> String {
    format!("push/{id}")
}
