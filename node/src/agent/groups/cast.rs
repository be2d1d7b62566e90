//! Broadcasts on their way: sealed once under a key of their own, which each recipient is told.

use std::rc::Rc;

use data_encoding::BASE64_NOPAD;
use entente_lexicon::api::SendMessage;
use entente_lexicon::api::groups::ListenerView;
use entente_lexicon::cast::{CastPart, Via};
use entente_lexicon::records::comms::{self, Broadcast};
use entente_lexicon::{Address, Content, Did, MessageId, Timestamp};
use entente_trust::group::{GroupKey, Place, seal_text};
use entente_trust::message::Body;
use serde_json::Value;

use crate::agent::contacts::Contact;
use crate::agent::core::Core;
use crate::agent::groups::GroupFault;
use crate::agent::groups::store::{NewPost, SendState, StoredPost, StoredSend};
use crate::agent::identity::Me;
use crate::error::ApiError;
use crate::internal;

/// How far a broadcast of this agent's came.
type CastState = (Rc<Value>, Timestamp, Vec<ListenerView>);

impl Core {
    pub(in crate::agent) fn prepare_casts(&self) -> Result<(), ApiError> {
        self.groups.prepare()
    }

    /// Writes a broadcast down, and to whom it goes. Part of the caller's transaction.
    pub(in crate::agent) fn commit_cast(
        &self,
        me: &Me,
        id: &MessageId,
        record: &Value,
        request: Option<(&str, [u8; 32])>,
        recipients: &[(Address, Via)],
    ) -> Result<(), ApiError> {
        let (store, now) = (&self.groups.store, internal::now());
        self.has_room()?;
        let key = GroupKey::generate(&mut internal::rng());
        let bytes = id.to_bytes();
        let place = Place {
            group: &bytes,
            epoch: 0,
            id: &bytes,
            author: &me.did,
        };
        let text = serde_json::to_vec(record)?;
        let sealed = seal_text(&key, &place, internal::random(), &text);
        let sealed = sealed.map_err(ApiError::internal)?;
        let n = store.insert_post(&NewPost {
            group: id,
            id,
            sender: &me.did,
            host: &me.host,
            outgoing: true,
            at: now,
            body: self.seal_post(me, id, &me.did, id, &shown(id, record, now))?,
            request,
        })?;
        let key = me.seal_secret(&key_purpose(id), &*key.to_bytes());
        store.seal_cast(n, &sealed, &key)?;
        for (to, via) in recipients {
            store.send_cast(n, id, to, *via)?;
        }
        self.wake_in(super::RETRY_MS);
        Ok(())
    }

    /// Finds what a program's request with this key said to many.
    pub(in crate::agent) fn cast_before(
        &self,
        key: Option<&str>,
        digest: &[u8; 32],
    ) -> Result<Option<MessageId>, ApiError> {
        let before = self.said_before(key, digest)?;
        Ok(before.map(|post| post.id))
    }

    /// Returns a broadcast of this agent's, and how far it came.
    pub(in crate::agent) fn cast_state(
        &self,
        me: &Me,
        id: &MessageId,
    ) -> Result<Option<CastState>, ApiError> {
        let store = &self.groups.store;
        let Some(post) = store.cast(id, &me.did)? else {
            return Ok(None);
        };
        let record = record_of(self.open_post(me, &post)?)?;
        let states = store.cast_states(post.n, id)?.into_iter();
        let to = states.map(|SendState { to, status, code }| ListenerView {
            member: to.to_string(),
            status,
            code,
        });
        Ok(Some((Rc::new(record), post.at, to.collect())))
    }

    /// Whether a broadcast came before.
    pub(in crate::agent) fn has_cast(
        &self,
        from: &Did,
        id: &MessageId,
    ) -> Result<bool, GroupFault> {
        self.groups.prepare()?;
        Ok(self.groups.store.has_post(id, from, id)?)
    }

    /// Writes down that a broadcast came. Part of the delivery's transaction.
    pub(in crate::agent) fn keep_cast(
        &self,
        me: &Me,
        sender: &Contact,
        body: &Body,
        now: Timestamp,
    ) -> Result<(), GroupFault> {
        let Content::Cast(CastPart { cast: id, .. }) = &body.content else {
            return Ok(());
        };
        self.groups.store.insert_post(&NewPost {
            group: id,
            id,
            sender: &sender.did,
            host: &sender.host,
            outgoing: false,
            at: now,
            body: self.seal_post(me, id, &sender.did, id, body)?,
            request: None,
        })?;
        Ok(())
    }

    /// Hands a broadcast to mail for one recipient.
    pub(super) async fn send_cast(
        self: &Rc<Self>,
        me: &Me,
        post: &StoredPost,
        (send, via): (&StoredSend, Via),
        expires: Timestamp,
    ) -> Result<(), ApiError> {
        let gone = || ApiError::internal("a broadcast is gone");
        let sealed_key = post.key.as_ref().ok_or_else(gone)?;
        let (_, sealed) = post.sealed.as_ref().ok_or_else(gone)?;
        let key = me.open_secret(&key_purpose(&post.id), sealed_key)?;
        let part = CastPart {
            cast: post.id.clone(),
            via,
            sealed: Some(BASE64_NOPAD.encode(sealed)),
            key: Some(BASE64_NOPAD.encode(&key)),
            record: None,
        };
        let record = record_of(self.open_post(me, post)?)?;
        let broadcast: Broadcast = comms::read(&record)?;
        let expires = broadcast.expires_at.map_or(expires, |at| at.min(expires));
        let message = SendMessage {
            to: send.to.to_string(),
            thread: None,
            priority: Some(broadcast.priority),
            expires_at: Some(expires),
            idempotency_key: Some(format!("cast/{}/{}", send.n, send.tries)),
            asynchronous: None,
            content: Content::Cast(part),
        };
        let mail = self.mail_once(message).await?;
        Ok(self.groups.store.sent(send.n, &mail, 0)?)
    }

    /// Somebody does not listen to a topic any more, and has said so by refusing what was said of it.
    pub(super) fn not_listening(&self, me: &Me, send: &StoredSend) -> Result<(), ApiError> {
        let Some(post) = self.groups.store.post(send.post)? else {
            return Ok(());
        };
        if post.key.is_none() {
            return Ok(());
        }
        let record = record_of(self.open_post(me, &post)?)?;
        match record.get("topic").and_then(Value::as_str) {
            Some(topic) => self.forget_listener(topic, &send.to.did),
            None => Ok(()),
        }
    }
}

fn key_purpose(id: &MessageId) -> String {
    format!("cast/{id}")
}

/// A broadcast as it is kept.
fn shown(id: &MessageId, record: &Value, now: Timestamp) -> Body {
    Body {
        content: Content::Cast(CastPart {
            cast: id.clone(),
            via: Via::Address,
            sealed: None,
            key: None,
            record: Some(record.clone()),
        }),
        thread: None,
        priority: entente_lexicon::message::DEFAULT_PRIORITY,
        created_at: now,
    }
}

fn record_of(body: Body) -> Result<Value, ApiError> {
    match body.content {
        Content::Cast(CastPart {
            record: Some(record),
            ..
        }) => Ok(record),
        Content::Text { .. }
        | Content::Json { .. }
        | Content::Ref { .. }
        | Content::Share(_)
        | Content::Record(_)
        | Content::Group(_)
        | Content::Topic(_)
        | Content::Cast(_) => Err(ApiError::internal("a broadcast without a record")),
    }
}
