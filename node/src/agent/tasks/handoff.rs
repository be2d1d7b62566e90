//! Handing work over: the records it needs are shared with who takes over, then the handoff goes as
//! mail, so that they are there when it comes.

use std::rc::Rc;

use entente_lexicon::api::SendMessage;
use entente_lexicon::api::tasks::{HandedOff, NewComms};
use entente_lexicon::message::RecordPart;
use entente_lexicon::records::comms::{self, Handoff};
use entente_lexicon::{Content, RecordPath};
use entente_trust::memory::Level;
use serde_json::Value;

use crate::agent::core::{Core, address};
use crate::agent::identity::Me;
use crate::agent::memory::Named;
use crate::agent::tasks::record::{self, HANDOFF};
use crate::error::ApiError;
use crate::internal;

impl Core {
    /// Hands work over to another agent. Whatever is refused is refused before anything is shared.
    pub(super) async fn hand_off(self: &Rc<Self>, new: NewComms) -> Result<HandedOff, ApiError> {
        let me = self.identity()?;
        let key = record::key(new.idempotency_key.as_deref(), "", &new.record)?;
        // Repeated, it has to be the same mail: no time is filled in for it.
        let dated = new.record.get("createdAt").is_some();
        let mut whole = record::complete(new.record, HANDOFF, internal::now())?;
        if let (false, true, Some(fields)) = (dated, key.is_some(), whole.as_object_mut()) {
            fields.remove("createdAt");
        }
        let handoff: Handoff = comms::read(&whole)?;
        if let Some(task) = &handoff.request {
            let _task = self.known_task(task)?;
        }
        let sealed = self.may_hand_off(&me, &handoff)?;
        let contact = self.recipient_of(&me, handoff.to.as_deref()).await?;
        let to = address(&contact.did, &contact.host);
        for path in &sealed {
            self.share_named(path, &contact.did, &to).await?;
        }
        let sent = self
            .send_own(SendMessage {
                to,
                thread: handoff.thread,
                priority: Some(handoff.priority),
                expires_at: handoff.expires_at,
                idempotency_key: key.map(|(key, _)| key),
                content: Content::Record(RecordPart {
                    record: whole,
                    task: None,
                }),
                asynchronous: None,
            })
            .await?;
        let uris = handoff.records.into_iter().filter_map(|record| record.uri);
        Ok(HandedOff {
            id: sent.id,
            status: sent.status.as_str().to_owned(),
            records: uris.collect(),
        })
    }

    /// Checks every record that a handoff names; returns those whose keys are to be wrapped for the
    /// recipient. A public record needs none.
    fn may_hand_off(&self, me: &Me, handoff: &Handoff) -> Result<Vec<RecordPath>, ApiError> {
        let own = format!("at://{}/", me.did);
        let mut sealed = Vec::new();
        for (place, record) in handoff.records.iter().enumerate() {
            let at = format!("`/records/{place}`");
            let Some(uri) = &record.uri else {
                return Err(ApiError::bad_request(
                    "HANDOFF_WITHOUT_URI",
                    format!("{at}: name the record by its `uri` as well as its `cid`."),
                ));
            };
            let Some(path) = uri.strip_prefix(&own) else {
                return Err(ApiError::new(
                    403,
                    "HANDOFF_FOREIGN_RECORD",
                    format!(
                        "{at}: {uri} is not this agent's. What others share with it, they alone pass on."
                    ),
                ));
            };
            let path = RecordPath::parse(path).map_err(|_error| unknown(&at, uri))?;
            match self.named_record(&path, &record.cid)? {
                Named::Own(Level::Public) => {}
                Named::Own(Level::Private | Level::Shared) if sealed.contains(&path) => {}
                Named::Own(Level::Private | Level::Shared) => sealed.push(path),
                Named::Changed => {
                    return Err(ApiError::new(
                        409,
                        "HANDOFF_RECORD_CHANGED",
                        format!("{at}: {uri} has another CID by now: read it again."),
                    ));
                }
                Named::Unknown => return Err(unknown(&at, uri)),
            }
        }
        Ok(sealed)
    }

    /// Finds the request of a task, as it was made or came.
    pub(super) fn request_of(
        &self,
        me: &Me,
        stored: &crate::agent::tasks::store::StoredTask,
    ) -> Result<Value, ApiError> {
        let word = self.tasks.store.request_word(stored.n)?;
        let word = word.ok_or_else(|| ApiError::internal("a task without a request"))?;
        record::open(me, &stored.id, &word)
    }
}

fn unknown(at: &str, uri: &str) -> ApiError {
    ApiError::new(
        422,
        "HANDOFF_UNKNOWN_RECORD",
        format!("{at}: this agent's memory has no record {uri}: store it first."),
    )
}
