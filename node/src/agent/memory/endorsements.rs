//! Endorsing: a record like any other, private until its author says otherwise. What is public of it is
//! announced, so that every network that lets it in hears it, and hears when it is withdrawn.
//!
//! The announcement is made in the transaction that changes the public tree, by whatever way that came
//! about: what is told is what the signed repo says.

use std::rc::Rc;

use entente_lexicon::address::AgentRef;
use entente_lexicon::api::memory::{NewRecord, PutRecord, RecordView};
use entente_lexicon::api::reputation::Endorse;
use entente_lexicon::id::BASE32;
use entente_lexicon::{Recipient, RecordKey, RecordPath, Timestamp};
use entente_memory::repo::events::Op;
use entente_memory::repo::json::to_json;
use entente_reputation::{COLLECTION, MAX_AHEAD_MS, Statement};
use entente_trust::crypto::hash;
use entente_trust::memory::Level;
use serde_json::{Map, Value, json};
use worker::{Method, Request, Response};

use crate::agent::core::Core;
use crate::agent::memory::path_of;
use crate::agent::memory::query::Query;
use crate::error::ApiError;
use crate::internal;
use crate::routes::body;

/// Bytes of the digest that names a record after whom and what it is about.
const NAME_BYTES: usize = 15;

impl Core {
    /// Answers what follows `/agents/:name` for endorsements; nothing if there is no such route.
    pub(in crate::agent) async fn endorsement_route(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Option<Response>, ApiError> {
        let path = request.path();
        let Some(rest) = path.strip_prefix("/endorsements") else {
            return Ok(None);
        };
        self.memory.prepare()?;
        let answer = match (request.method(), rest.strip_prefix('/')) {
            (Method::Get, None) => {
                let query: Query = request.query()?;
                let list = self.list_records(&query.of(COLLECTION))?;
                return Ok(Some(Response::from_json(&list)?));
            }
            (Method::Post, None) => {
                let wish: Endorse = body::json(request).await?;
                let (view, new) = self.endorse(wish).await?;
                Response::from_json(&view)?.with_status(if new { 201 } else { 200 })
            }
            (Method::Delete, Some(rkey)) => {
                self.delete_record(&format!("{COLLECTION}:{rkey}"), None)?;
                Response::empty()?.with_status(204)
            }
            _ => return Ok(None),
        };
        self.hide_unpublished().await;
        self.hint_replica()?;
        // The network here knows it at once, unless the relay cannot be reached: then the alarm tells it.
        self.hand_announcements_now().await;
        Ok(Some(answer))
    }

    /// Stores a word for somebody in the place of the one before about the same, and makes it public if,
    /// and only if, that is asked for. Returns whether it is the first.
    async fn endorse(self: &Rc<Self>, wish: Endorse) -> Result<(RecordView, bool), ApiError> {
        let (public, now) = (wish.public, internal::now());
        if wish
            .created_at
            .is_some_and(|at| at.since(now) > MAX_AHEAD_MS)
        {
            return Err(ApiError::bad_request(
                "ENDORSEMENT_UNTIMELY",
                "`createdAt` lies ahead: leave it out, it is now then.",
            ));
        }
        let (rkey, record) = self.worded(wish, now).await?;
        let id = format!("{COLLECTION}:{rkey}");
        let known = self.memory.store.record(&path_of(&id)?)?;
        let was_public = known.as_ref().is_some_and(|one| one.level == Level::Public);
        let view = match &known {
            None => {
                let new = NewRecord {
                    collection: None,
                    rkey: Some(rkey),
                    record: Value::Object(record),
                    level: None,
                    idempotency_key: None,
                };
                self.store_record(new)?.0
            }
            Some(_) => {
                if was_public && !public {
                    let _ = self.withdraw_record(&id)?;
                }
                self.put_record(
                    &id,
                    PutRecord {
                        record: Value::Object(record),
                        swap_record: None,
                    },
                )?
            }
        };
        let view = if public && !was_public {
            self.publish_record(&id)?
        } else {
            view
        };
        Ok((view, known.is_none()))
    }

    /// Makes the record, and its key: the same for the same subject and skill.
    async fn worded(
        self: &Rc<Self>,
        wish: Endorse,
        now: Timestamp,
    ) -> Result<(RecordKey, Map<String, Value>), ApiError> {
        let malformed = |error: entente_lexicon::IdError| {
            ApiError::bad_request(
                "MALFORMED_ADDRESS",
                format!("`subject` is an agent or its DID, either with `@host`: {error}."),
            )
        };
        let recipient: Recipient = wish.subject.parse().map_err(malformed)?;
        let me = self.identity()?;
        let (did, host) = match (&recipient.agent, &recipient.host) {
            (AgentRef::Did(did), host) => (did.clone(), host.clone()),
            (AgentRef::Name(_), host) => {
                let did = self.contact_of(&recipient).await?.did.clone();
                (did, host.clone().or_else(|| Some(me.host.clone())))
            }
        };
        if did == me.did {
            return Err(ApiError::bad_request(
                "ENDORSEMENT_SELF",
                "What an agent says of itself counts for nothing: endorse another one.",
            ));
        }
        let mut record = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                let _ = record.insert(name.to_owned(), value);
            }
        };
        put("$type", Some(json!(COLLECTION)));
        put("subject", Some(json!(did)));
        put("host", host.map(|host| json!(host)));
        put("skill", wish.skill.as_ref().map(|skill| json!(skill)));
        put("score", Some(wish.score));
        put("text", wish.text.map(Value::String));
        put("evidence", wish.evidence);
        put("createdAt", Some(json!(wish.created_at.unwrap_or(now))));
        put("validTo", wish.valid_to.map(|at| json!(at)));
        let skill = wish.skill.unwrap_or_default();
        let digest = hash::sha256(&[did.as_str().as_bytes(), b"\0", skill.as_bytes()]);
        let name = BASE32.encode(digest.get(..NAME_BYTES).unwrap_or_default());
        let rkey = RecordKey::parse(&name).map_err(ApiError::internal)?;
        Ok((rkey, record))
    }

    /// Announces what became of endorsements in the public tree. Part of the write's transaction.
    pub(in crate::agent) fn tell_endorsements(&self, ops: &[Op]) -> Result<(), ApiError> {
        let ours = |op: &&Op| {
            op.path
                .split_once('/')
                .is_some_and(|(name, _)| name == COLLECTION)
        };
        let mut told = ops.iter().filter(ours).peekable();
        if told.peek().is_none() {
            return Ok(());
        }
        let me = self.identity()?;
        for op in told {
            let path: RecordPath = op.path.parse().map_err(ApiError::internal)?;
            let content = match &op.cid {
                None => Statement::withdraw(&me.did, &path)?,
                Some(cid) => {
                    if !self.memory.importing.get() {
                        self.check_announcing()?;
                    }
                    let block = self.store.record_block(&path, cid)?;
                    let block =
                        block.ok_or_else(|| ApiError::internal("a record without block"))?;
                    let Value::Object(record) = to_json(&block).map_err(ApiError::internal)? else {
                        return Err(ApiError::internal("a stored record is no object"));
                    };
                    Statement::give(&me.did, &path, cid.to_string(), record)?
                }
            };
            self.announce_endorsement(&me, content)?;
        }
        Ok(())
    }
}
