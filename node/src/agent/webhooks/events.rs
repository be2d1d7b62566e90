//! What webhooks tell of, written down with what happened.

use std::rc::Rc;

use entente_lexicon::api::InboxMessage;
use entente_lexicon::api::webhooks::{HookBody, HookEvent, Include};
use entente_lexicon::{MessageId, Timestamp};
use serde_json::{Value, json};

use crate::agent::core::{Core, address};
use crate::agent::outbox::EndOf;
use crate::agent::webhooks::courier::Push;
use crate::agent::webhooks::hooks::Hook;
use crate::error::ApiError;
use crate::internal;

/// Something that happened, without what was said.
pub(in crate::agent) struct Happened<'a> {
    pub(in crate::agent) event: HookEvent,
    /// The id of what it happened to.
    pub(in crate::agent) subject: &'a str,
    pub(in crate::agent) at: Timestamp,
}

impl Core {
    /// Tells the webhooks that want to know; `data` makes what each of them is told. To be called in the
    /// transaction of what happened.
    pub(in crate::agent) fn push_event(
        &self,
        happened: &Happened<'_>,
        data: impl Fn(Include) -> Result<Value, ApiError>,
    ) -> Result<(), ApiError> {
        for hook in self.hooks()?.iter() {
            if hook.settings.events.contains(&happened.event) {
                self.push_to(hook, happened, data(hook.settings.include)?)?;
            }
        }
        Ok(())
    }

    /// Tells one webhook. Returns the delivery's id, or nothing if the webhook is disabled.
    pub(super) fn push_to(
        &self,
        hook: &Hook,
        happened: &Happened<'_>,
        data: Value,
    ) -> Result<Option<String>, ApiError> {
        let me = self.identity()?;
        let id = MessageId::from_parts(internal::now().0, internal::random());
        let body = HookBody {
            id: id.to_string(),
            event: happened.event,
            at: happened.at,
            agent: address(&me.did, &me.host),
            data,
        };
        let push = Push {
            id: &id,
            event: happened.event.as_str(),
            subject: happened.subject,
            body: &serde_json::to_vec(&body)?,
        };
        let taken = self.push(&hook.id, &push)?;
        Ok(taken.then(|| id.to_string()))
    }

    /// Messages arrived.
    pub(in crate::agent) fn push_arrivals<'a>(
        &self,
        arrivals: impl Iterator<Item = &'a InboxMessage>,
    ) -> Result<(), ApiError> {
        if self.hooks()?.is_empty() {
            return Ok(());
        }
        for message in arrivals {
            let happened = Happened {
                event: HookEvent::Received,
                subject: &message.id,
                at: message.received_at,
            };
            self.push_event(&happened, |include| match include {
                Include::Content => Ok(serde_json::to_value(message)?),
                Include::Reference => Ok(json!({
                    "id": message.id,
                    "from": message.from,
                    "receivedAt": message.received_at,
                })),
            })?;
        }
        Ok(())
    }

    /// Messages of ours came a step further. Where there are no webhooks nothing is looked for.
    pub(in crate::agent) fn push_ends(self: &Rc<Self>, ends: &[EndOf]) -> Result<(), ApiError> {
        if self.hooks()?.is_empty() {
            return Ok(());
        }
        for end in ends {
            let id = end.id.to_string();
            let happened = Happened {
                event: HookEvent::Receipt,
                subject: &id,
                at: end.receipt.at,
            };
            self.push_event(&happened, |_include| {
                let mut data = json!({
                    "id": id,
                    "to": end.to,
                    "status": end.receipt.status,
                    "at": end.receipt.at,
                    "by": end.receipt.by,
                });
                if let (Some(code), Some(data)) = (&end.receipt.code, data.as_object_mut()) {
                    data.insert("code".to_owned(), json!(code));
                }
                Ok(data)
            })?;
        }
        self.start_courier();
        Ok(())
    }
}
