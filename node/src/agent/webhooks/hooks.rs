//! An agent's webhooks: made, shown, tried, and their dead letters.

use std::rc::Rc;

use entente_delivery::{Delivery, Endpoint, NotDead, State};
use entente_lexicon::api::webhooks::{
    DeadChanged, HookDelivery, HookEvent, HookTest, Include, NewWebhook, WebhookList, WebhookView,
    WhichDead,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::agent::core::Core;
use crate::agent::webhooks::courier::TargetConfig;
use crate::agent::webhooks::events::Happened;
use crate::agent::webhooks::store::{StoredDelivery, StoredTarget};
use crate::error::ApiError;
use crate::internal;

/// Webhooks of one agent.
const MAX_HOOKS: usize = 10;
/// Deliveries that are shown with a webhook.
const SHOWN: u32 = 50;
/// Dead letters that one call changes.
const MAX_CHANGED: u32 = 1_000;
/// Whose targets webhooks are.
const OWNER: &str = "webhook";

/// A webhook: a target, and what its owner wants to be told.
pub(super) struct Hook {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) settings: Settings,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) events: Vec<HookEvent>,
    pub(super) include: Include,
}

/// What is done about dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) enum Deed {
    /// They are tried again.
    Redrive,
    /// They are thrown away.
    Discard,
}

impl Deed {
    fn done_to(self, delivery: Delivery) -> Result<Delivery, NotDead> {
        match self {
            Self::Redrive => delivery.redriven(internal::now()),
            Self::Discard => delivery.discarded(),
        }
    }
}

impl Core {
    /// Returns the webhooks, the oldest first.
    pub(super) fn hooks(&self) -> Result<Rc<Vec<Hook>>, ApiError> {
        if let Some(hooks) = self.webhooks.hooks.borrow().as_ref() {
            return Ok(Rc::clone(hooks));
        }
        let stored = self.webhooks.store.targets_of(OWNER)?;
        let hooks = stored.iter().map(|target| self.hook(target));
        let hooks = Rc::new(hooks.collect::<Result<Vec<_>, _>>()?);
        self.webhooks.hooks.replace(Some(Rc::clone(&hooks)));
        Ok(hooks)
    }

    fn hook(&self, target: &StoredTarget) -> Result<Hook, ApiError> {
        let config = self.open_target(target)?;
        Ok(Hook {
            id: target.id.clone(),
            url: config.url,
            settings: serde_json::from_value(config.settings)?,
        })
    }

    pub(super) fn add_hook(&self, new: NewWebhook) -> Result<WebhookView, ApiError> {
        if self.hooks()?.len() >= MAX_HOOKS {
            return Err(ApiError::new(
                409,
                "TOO_MANY_WEBHOOKS",
                "An agent has at most 10 webhooks: remove one, or send several kinds of events to one URL.",
            ));
        }
        let mut events = new.events.unwrap_or_else(|| HookEvent::CHOICE.into());
        events.sort_unstable();
        events.dedup();
        if events.is_empty() || events.contains(&HookEvent::Test) {
            return Err(ApiError::bad_request(
                "INVALID_EVENTS",
                "`events` names one or more of message.received, message.receipt, task.changed and agent.woken; leave it out for all.",
            ));
        }
        let settings = Settings {
            events,
            include: new.include,
        };
        let config = TargetConfig {
            url: self.check_target(&new.url)?.to_string(),
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            settings: serde_json::to_value(settings)?,
        };
        let id = self.store.transaction(|| self.add_target(OWNER, &config))?;
        self.webhooks.hooks.replace(None);
        self.show_hook(&id)
    }

    pub(super) fn remove_hook(self: &Rc<Self>, id: &str) -> Result<(), ApiError> {
        let (_, hook) = self.known_hook(id)?;
        self.store.transaction(|| self.remove_target(&hook.id))?;
        self.tell_dead();
        self.webhooks.hooks.replace(None);
        Ok(())
    }

    pub(super) fn list_hooks(&self) -> Result<WebhookList, ApiError> {
        let stored = self.webhooks.store.targets_of(OWNER)?;
        let webhooks = stored.iter().map(|target| {
            let hook = self.hook(target)?;
            self.hook_view(target, hook)
        });
        Ok(WebhookList {
            webhooks: webhooks.collect::<Result<_, ApiError>>()?,
        })
    }

    pub(super) fn show_hook(&self, id: &str) -> Result<WebhookView, ApiError> {
        let (target, hook) = self.known_hook(id)?;
        let mut view = self.hook_view(&target, hook)?;
        let latest = self.webhooks.store.latest(id, SHOWN)?;
        view.deliveries = Some(latest.iter().map(delivery_view).collect());
        Ok(view)
    }

    /// Sends a delivery that says nothing, so that its receiver can be tried out.
    pub(super) fn test_hook(self: &Rc<Self>, id: &str) -> Result<HookTest, ApiError> {
        let (_, hook) = self.known_hook(id)?;
        let happened = Happened {
            event: HookEvent::Test,
            subject: id,
            at: internal::now(),
        };
        let sent = self.store.transaction(|| {
            let data = json!({ "webhook": id });
            self.push_to(&hook, &happened, data)
        })?;
        self.start_courier();
        let delivery = sent.ok_or_else(|| {
            ApiError::new(
                409,
                "WEBHOOK_DISABLED",
                "The webhook is disabled: GET it for the reason, repair the receiver, then POST …/enable.",
            )
        })?;
        Ok(HookTest { delivery })
    }

    /// Sends to a webhook again that was disabled. Its dead letters stay until they are redriven.
    pub(super) fn enable_hook(self: &Rc<Self>, id: &str) -> Result<WebhookView, ApiError> {
        let (target, _) = self.known_hook(id)?;
        let endpoint = Endpoint::new(internal::now());
        self.webhooks.store.set_endpoint(&target.id, &endpoint)?;
        self.start_courier();
        self.show_hook(id)
    }

    /// Has dead letters of a webhook tried again, or throws them away.
    pub(super) fn change_dead(
        self: &Rc<Self>,
        id: &str,
        which: &WhichDead,
        deed: Deed,
    ) -> Result<DeadChanged, ApiError> {
        let (target, _) = self.known_hook(id)?;
        if deed == Deed::Redrive && target.endpoint.disabled.is_some() {
            return Err(ApiError::new(
                409,
                "WEBHOOK_DISABLED",
                "The webhook is disabled: POST …/enable first, then redrive.",
            ));
        }
        let dead = match &which.delivery {
            None => self.webhooks.store.dead(Some(id), 0, MAX_CHANGED)?,
            Some(one) => {
                let found = self.webhooks.store.delivery(one)?;
                let found =
                    found.filter(|found| found.target == id && found.delivery.state == State::Dead);
                vec![found.ok_or_else(no_dead_letter)?]
            }
        };
        self.store
            .transaction(|| dead.iter().try_for_each(|one| self.do_to_dead(one, deed)))?;
        self.start_courier();
        self.tell_dead();
        Ok(DeadChanged {
            changed: dead.len() as u64,
        })
    }

    /// Has one dead letter tried again, or throws it away. To be called in a transaction.
    fn do_to_dead(&self, one: &StoredDelivery, deed: Deed) -> Result<(), ApiError> {
        let next = deed.done_to(one.delivery);
        let next = next.map_err(|NotDead| no_dead_letter())?;
        Ok(self.webhooks.store.keep(&one.id, &next, None)?)
    }

    /// Counts dead letters of all that is sent.
    pub(in crate::agent) fn count_dead_pushes(&self) -> Result<u64, ApiError> {
        Ok(self.webhooks.store.count_dead()?)
    }

    /// Returns dead letters of all that is sent, after a row.
    pub(in crate::agent) fn dead_pushes(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredDelivery>, ApiError> {
        Ok(self.webhooks.store.dead(None, after, limit)?)
    }

    /// Has one dead letter tried again, or throws it away. Returns whether it was one; one of a receiver
    /// that is disabled stays.
    pub(in crate::agent) fn do_to_dead_push(
        self: &Rc<Self>,
        id: &str,
        deed: Deed,
    ) -> Result<bool, ApiError> {
        let found = self.webhooks.store.delivery(id)?;
        let Some(found) = found.filter(|found| found.delivery.state == State::Dead) else {
            return Ok(false);
        };
        let target = self.webhooks.store.target(&found.target)?;
        let disabled = target.is_none_or(|target| target.endpoint.disabled.is_some());
        if deed == Deed::Redrive && disabled {
            return Ok(false);
        }
        self.store.transaction(|| self.do_to_dead(&found, deed))?;
        self.start_courier();
        Ok(true)
    }

    fn known_hook(&self, id: &str) -> Result<(StoredTarget, Hook), ApiError> {
        let known = self.hooks()?.iter().any(|hook| hook.id == id);
        let target = known.then(|| self.webhooks.store.target(id)).transpose()?;
        let target = target.flatten().ok_or_else(|| {
            ApiError::not_found(
                "UNKNOWN_WEBHOOK",
                "This agent has no such webhook: GET /agents/:name/webhooks lists them.",
            )
        })?;
        let hook = self.hook(&target)?;
        Ok((target, hook))
    }

    fn hook_view(&self, target: &StoredTarget, hook: Hook) -> Result<WebhookView, ApiError> {
        let (waiting, dead) = self.webhooks.store.count(&target.id)?;
        let endpoint = &target.endpoint;
        let fails = endpoint.failures > 0 && endpoint.disabled.is_none();
        Ok(WebhookView {
            id: hook.id,
            url: hook.url,
            events: hook.settings.events,
            include: hook.settings.include,
            created_at: target.created_at,
            state: match endpoint.disabled {
                None => "active",
                Some(_) => "disabled",
            }
            .to_owned(),
            reason: endpoint.disabled.map(|why| why.as_str().to_owned()),
            failures: endpoint.failures,
            retry_at: fails.then_some(endpoint.resume),
            waiting,
            dead,
            deliveries: None,
        })
    }
}

/// Makes the 404 for a dead letter.
pub(in crate::agent) fn no_dead_letter() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_DEAD_LETTER",
        "There is no such dead letter: it may have been redriven or thrown away, or it expired.",
    )
}

fn delivery_view(stored: &StoredDelivery) -> HookDelivery {
    let waits = stored.delivery.state == State::Waiting;
    HookDelivery {
        id: stored.id.clone(),
        event: stored.event.clone(),
        subject: stored.subject.clone(),
        state: stored.delivery.state.as_str().to_owned(),
        created_at: stored.created_at,
        attempts: stored.attempts,
        tried_at: stored.tried_at,
        status: stored.status,
        error: stored.error.clone(),
        next_at: waits.then_some(stored.delivery.due),
    }
}
