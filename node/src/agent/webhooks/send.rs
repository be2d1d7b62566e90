//! Sending what waits: one runner a target, several targets beside one another, each attempt written down
//! before the next.

use std::rc::Rc;

use entente_delivery::{Delivery, Endpoint, Policy, State, Verdict};
use entente_trust::crypto::multikey::kid;
use entente_trust::proof::Signer;
use entente_well_known::signature::digest::{self, CONTENT_DIGEST};
use entente_well_known::signature::webhook::{self, IDEMPOTENCY_KEY};
use entente_well_known::signature::{Message, SIGNATURE, SIGNATURE_INPUT};
use futures::future::join_all;
use rand_core::Rng as _;
use url::Url;
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use crate::agent::core::Core;
use crate::agent::webhooks::courier::{TargetConfig, push_purpose};
use crate::agent::webhooks::store::{StoredDelivery, Tried};
use crate::config::Config;
use crate::error::ApiError;
use crate::guard;
use crate::internal;

/// Targets that are sent to beside one another: the platform keeps six connections open at once.
const MAX_RUNNERS: usize = 4;
/// What is under way is taken up again after this, if the object dies.
const WATCH_MS: u64 = 15_000;
/// After a fault of ours.
const FAULT_MS: u64 = 5_000;
/// Deliveries that ended well and are still shown.
const LOG: u32 = 100;

/// A request, ready to be sent.
struct Signed {
    url: Url,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Core {
    /// Looks at what an earlier life of the object left, once in each.
    pub(in crate::agent) fn wake_courier(self: &Rc<Self>) {
        if !self.webhooks.woken.replace(true) {
            self.start_courier();
        }
    }

    /// Sends what is due, and comes back for the rest. Returns at once.
    pub(in crate::agent) fn start_courier(self: &Rc<Self>) {
        if let Err(error) = self.start_runners() {
            console_warn!("webhooks wait: {error}");
            self.wake_in(FAULT_MS);
        }
    }

    fn start_runners(self: &Rc<Self>) -> Result<(), ApiError> {
        let now = internal::now();
        for (target, due) in self.webhooks.store.due_targets()? {
            if due > now {
                self.wake_in(due.since(now));
                continue;
            }
            let mut running = self.webhooks.running.borrow_mut();
            if running.contains(&target) {
                continue;
            }
            if running.len() >= MAX_RUNNERS {
                // Whoever ends first comes back.
                break;
            }
            running.insert(target.clone());
            drop(running);
            let core = Rc::clone(self);
            spawn_local(async move {
                if let Err(error) = core.send_to(&target).await {
                    console_warn!("a webhook waits: {error}");
                    core.wake_in(FAULT_MS);
                    core.webhooks.running.borrow_mut().remove(&target);
                    return;
                }
                core.webhooks.running.borrow_mut().remove(&target);
                core.tell_dead();
                core.start_courier();
            });
        }
        Ok(())
    }

    /// Sends what is due for one target, as many at once as it may be sent.
    async fn send_to(self: &Rc<Self>, target: &str) -> Result<(), ApiError> {
        loop {
            let now = internal::now();
            let Some(stored) = self.webhooks.store.target(target)? else {
                return Ok(());
            };
            let window = stored.endpoint.window(now);
            if window == 0 {
                return Ok(());
            }
            let due = self.webhooks.store.due(target, now, window)?;
            if due.is_empty() {
                return Ok(());
            }
            self.wake_in(WATCH_MS);
            let config = self.open_target(&stored)?;
            let attempts = due.iter().map(|one| self.attempt(&config, one));
            for attempt in join_all(attempts).await {
                attempt?;
            }
        }
    }

    async fn attempt(&self, config: &TargetConfig, one: &StoredDelivery) -> Result<(), ApiError> {
        let answer = match self.request(config, one) {
            Ok(signed) => guard::deliver(&signed.url, &signed.headers, &signed.body)
                .await
                .map_err(|fault| fault.to_string()),
            // The rules may have changed since the target was made.
            Err(error) if error.code == "WEBHOOK_URL" => Err(error.message),
            Err(error) => return Err(error),
        };
        let status = answer.as_ref().ok().copied();
        let tried = Tried {
            at: internal::now(),
            status,
            error: answer.err(),
        };
        self.settle_push(one, Verdict::of(status), &tried)
    }

    /// Makes the request: the body as it was written down, and a signature of now.
    fn request(&self, config: &TargetConfig, one: &StoredDelivery) -> Result<Signed, ApiError> {
        let url = self.check_target(&config.url)?;
        let me = self.identity()?;
        let sealed = one.body.as_deref();
        let sealed = sealed.ok_or_else(|| ApiError::internal("a delivery without a body"))?;
        let body = me.open_secret(&push_purpose(&one.id), sealed)?.to_vec();
        let key = webhook::idempotency_key(&one.id).map_err(ApiError::internal)?;
        let own = [
            ("content-type", config.content_type.clone()),
            (CONTENT_DIGEST, digest::of(&body)),
            (IDEMPOTENCY_KEY, key),
        ];
        let header = |name: &str| {
            let found = own.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| value.clone())
        };
        let authority = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let message = Message {
            method: "POST",
            authority: &authority,
            path: url.path(),
            query: url.query(),
            header: &header,
        };
        let signer = Signer {
            did: &me.did,
            kid: &kid(&me.signing.verifying_key().to_multikey()),
            key: &me.signing,
        };
        let signed = webhook::sign(&message, &signer, internal::now());
        let signed = signed.map_err(ApiError::internal)?;
        let own = own.map(|(name, value)| (name.to_owned(), value));
        let signature = [
            (SIGNATURE_INPUT.to_owned(), signed.input),
            (SIGNATURE.to_owned(), signed.signature),
        ];
        // What the owner named comes first, so that it replaces nothing of ours.
        let headers = config.headers.iter().cloned().chain(own).chain(signature);
        let headers = headers.collect();
        Ok(Signed { url, headers, body })
    }

    /// Writes down what an attempt came to, of the delivery and of its target.
    fn settle_push(
        &self,
        one: &StoredDelivery,
        verdict: Verdict,
        tried: &Tried,
    ) -> Result<(), ApiError> {
        let policy = self.policy()?;
        let random = internal::rng().next_u64();
        let store = &self.webhooks.store;
        self.store.transaction(|| {
            let (Some(target), Some(known)) =
                (store.target(&one.target)?, store.delivery(&one.id)?)
            else {
                // It was removed meanwhile.
                return Ok::<_, ApiError>(());
            };
            let next: Delivery = known.delivery.tried(verdict, &policy, tried.at, random);
            store.keep(&one.id, &next, Some(tried))?;
            let endpoint: Endpoint = target.endpoint.heard(verdict, &policy, tried.at, random);
            store.set_endpoint(&one.target, &endpoint)?;
            if endpoint.disabled.is_some() {
                store.give_up(&one.target)?;
            }
            if next.state == State::Delivered {
                store.prune(&one.target, LOG)?;
            }
            Ok(())
        })
    }

    /// How often things are tried.
    pub(in crate::agent) fn policy(&self) -> Result<Policy, ApiError> {
        Ok(Policy::of(Config::from_env(&self.env)?.delivery_attempts))
    }
}
