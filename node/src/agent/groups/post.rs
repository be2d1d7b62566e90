//! Saying something to all: sealed once under the epoch's key, sent to each member by itself.

use std::rc::Rc;

use entente_lexicon::api::groups::{NewPost as Wish, PostView};
use entente_lexicon::message::DEFAULT_PRIORITY;
use entente_lexicon::{Address, Did, MessageId};
use entente_trust::crypto::hash;
use entente_trust::group::{MAX_TEXT, Place, seal_text};
use entente_trust::message::Body;

use crate::agent::core::Core;
use crate::agent::groups::act::unknown;
use crate::agent::groups::refused;
use crate::agent::groups::store::{NewPost, StoredPost};
use crate::agent::identity::Me;
use crate::agent::send::{MAX_TEXT_BYTES, check_content, no_share};
use crate::error::ApiError;
use crate::internal;

/// What one agent has said in groups and has not come to its listeners, each counted by itself.
const MAX_OPEN: u64 = 10_000;

impl Core {
    /// Says something in a group. Returns it, and whether it is new: the same idempotency key finds
    /// what it said before.
    pub(super) fn say_in_group(
        self: &Rc<Self>,
        id: &str,
        wish: &Wish,
    ) -> Result<(PostView, bool), ApiError> {
        let me = self.identity()?;
        let id = self.known_group(id)?;
        let digest = hash::sha256(&[&id.to_bytes(), &serde_json::to_vec(wish)?]);
        let body = check(wish)?;
        let key = wish.idempotency_key.as_deref();
        if let Some(before) = self.said_before(key, &digest)? {
            return Ok((self.post_view(&me, &before)?, false));
        }
        let request = key.map(|key| (key, digest));
        let n = self
            .groups
            .store
            .transaction(|| self.post_in_group(&me, &id, &body, request))?;
        self.tend_groups();
        let stored = self.groups.store.post(n)?;
        let stored = stored.ok_or_else(|| ApiError::internal("a post is gone"))?;
        Ok((self.post_view(&me, &stored)?, true))
    }

    /// Writes down what is said in a group. Part of the caller's transaction.
    pub(in crate::agent) fn post_in_group(
        &self,
        me: &Me,
        id: &MessageId,
        body: &Body,
        request: Option<(&str, [u8; 32])>,
    ) -> Result<u64, ApiError> {
        let group = self.group(me, id)?.ok_or_else(unknown)?;
        let (_, listeners) = group.speak().map_err(refused)?;
        let post = MessageId::from_parts(internal::now().0, internal::random());
        let sealed = self.seal_post(me, id, &me.did, &post, body)?;
        self.commit_post(me, (id, &post), sealed, request, &listeners)
    }

    pub(super) fn said_before(
        &self,
        key: Option<&str>,
        digest: &[u8; 32],
    ) -> Result<Option<StoredPost>, ApiError> {
        let known = key
            .map(|key| self.groups.store.by_request(key))
            .transpose()?;
        let Some((n, before)) = known.flatten() else {
            return Ok(None);
        };
        if before != digest {
            return Err(ApiError::new(
                409,
                "IDEMPOTENCY_MISMATCH",
                "This idempotency key was used for something else: use a new key, or repeat the first request exactly.",
            ));
        }
        Ok(self.groups.store.post(n)?)
    }

    /// Refuses more than can be on its way.
    pub(super) fn has_room(&self) -> Result<(), ApiError> {
        if self.groups.store.count_open()? < MAX_OPEN {
            return Ok(());
        }
        Err(ApiError::new(
            429,
            "GROUP_OUTBOX_FULL",
            "10,000 things that this agent said to many are still on their way: wait until some have come.",
        ))
    }

    /// Writes down what is said and to whom. Part of the caller's transaction.
    fn commit_post(
        &self,
        me: &Me,
        (group, id): (&MessageId, &MessageId),
        body: Vec<u8>,
        request: Option<(&str, [u8; 32])>,
        listeners: &[&Address],
    ) -> Result<u64, ApiError> {
        let store = &self.groups.store;
        self.has_room()?;
        let n = store.insert_post(&NewPost {
            group,
            id,
            sender: &me.did,
            host: &me.host,
            outgoing: true,
            at: internal::now(),
            body,
            request,
        })?;
        for listener in listeners {
            store.send(n, group, listener)?;
        }
        self.wake_in(super::RETRY_MS);
        Ok(n)
    }

    /// Seals something that was said for this agent's own storage, bound to its place.
    pub(super) fn seal_post(
        &self,
        me: &Me,
        group: &MessageId,
        from: &Did,
        id: &MessageId,
        body: &Body,
    ) -> Result<Vec<u8>, ApiError> {
        let plain = serde_json::to_vec(body)?;
        Ok(me.seal_secret(&purpose(group, from, id), &plain))
    }

    /// Opens something that was said from this agent's own storage.
    pub(super) fn open_post(&self, me: &Me, stored: &StoredPost) -> Result<Body, ApiError> {
        let purpose = purpose(&stored.group, &stored.sender, &stored.id);
        let plain = me.open_secret(&purpose, &stored.body)?;
        Ok(serde_json::from_slice(&plain)?)
    }

    /// Returns what was said as it travels under an epoch's key: sealed once for all listeners.
    pub(super) fn travelling(
        &self,
        me: &Me,
        stored: &StoredPost,
        current: &entente_groups::Current,
    ) -> Result<Vec<u8>, ApiError> {
        let epoch = current.roster.epoch;
        if let Some((of, sealed)) = &stored.sealed
            && *of == epoch
        {
            return Ok(sealed.clone());
        }
        let body = self.open_post(me, stored)?;
        let (group, id) = (stored.group.to_bytes(), stored.id.to_bytes());
        let place = Place {
            group: &group,
            epoch,
            id: &id,
            author: &me.did,
        };
        let text = serde_json::to_vec(&body)?;
        let sealed = seal_text(&current.key, &place, internal::random(), &text);
        let sealed = sealed.map_err(ApiError::internal)?;
        self.groups.store.seal(stored.n, epoch, &sealed)?;
        Ok(sealed)
    }
}

fn purpose(group: &MessageId, from: &Did, id: &MessageId) -> String {
    format!("group/{group}/{from}/{id}")
}

/// Checks what a program wants said, and makes it what is said.
fn check(wish: &Wish) -> Result<Body, ApiError> {
    no_share(&wish.content)?;
    check_content(&wish.content)?;
    let priority = wish.priority.unwrap_or(DEFAULT_PRIORITY);
    if !(1..=5).contains(&priority) {
        return Err(ApiError::bad_request(
            "INVALID_PRIORITY",
            "`priority` is 1 (lowest) to 5.",
        ));
    }
    let texts = [&wish.thread, &wish.idempotency_key];
    let fits = |text: &String| (1..=MAX_TEXT_BYTES).contains(&text.len());
    if !texts.into_iter().flatten().all(fits) {
        return Err(ApiError::bad_request(
            "INVALID_TEXT",
            "`thread` and `idempotencyKey` are 1 to 256 bytes long where they are given.",
        ));
    }
    let body = Body {
        content: wish.content.clone(),
        thread: wish.thread.clone(),
        priority,
        created_at: internal::now(),
    };
    if serde_json::to_vec(&body)?.len() > MAX_TEXT {
        return Err(ApiError::new(
            413,
            "CONTENT_TOO_LARGE",
            "What is said in a group is at most 32 KiB: store it elsewhere and send a `ref` to it.",
        ));
    }
    Ok(body)
}
