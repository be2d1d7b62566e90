//! This agent's dead letters, of mail and of webhooks alike.

use std::rc::Rc;

use entente_lexicon::MessageId;
use entente_lexicon::api::dead::{DeadLetter, DeadLetterList};
use entente_lexicon::api::webhooks::DeadChanged;
use serde::Deserialize;
use wasm_bindgen_futures::spawn_local;
use worker::{Method, Request, Response, console_warn};

use crate::agent::core::Core;
use crate::agent::webhooks::{Deed, no_dead_letter};
use crate::error::ApiError;
use crate::store::d1::Directory;

const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 100;
/// Dead letters that one call changes, of each kind.
const MAX_CHANGED: u32 = 1_000;
/// Where the number is kept that the directory was told.
const TOLD: &str = "dead-letters-told";
/// A directory that could not be told is told again after this.
const RETRY_MS: u64 = 30_000;

#[derive(Debug, Default, Deserialize)]
struct Query {
    cursor: Option<String>,
    limit: Option<u32>,
}

impl Core {
    /// Answers what follows `/agents/:name` for dead letters; nothing if there is no such route.
    pub(super) async fn dead_route(
        self: &Rc<Self>,
        request: &Request,
    ) -> Result<Option<Response>, ApiError> {
        let path = request.path();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let deed = |name: &str| match name {
            "redrive" => Some(Deed::Redrive),
            "discard" => Some(Deed::Discard),
            _ => None,
        };
        let changed = match (request.method(), parts.as_slice()) {
            (Method::Get, ["dead-letters"]) => {
                let list = self.list_dead(&request.query::<Query>()?)?;
                return Ok(Some(Response::from_json(&list)?));
            }
            (Method::Post, ["dead-letters", name]) => match deed(name) {
                Some(deed) => self.do_to_all_dead(deed)?,
                None => return Ok(None),
            },
            (Method::Post, ["dead-letters", id, name]) => match deed(name) {
                Some(deed) => self.do_to_dead_letter(id, deed)?,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        self.tell_dead();
        Ok(Some(Response::from_json(&DeadChanged { changed })?))
    }

    fn list_dead(&self, query: &Query) -> Result<DeadLetterList, ApiError> {
        let limit = query.limit.unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(ApiError::bad_request(
                "INVALID_LIMIT",
                "`limit` is a number from 1 to 100.",
            ));
        }
        let cursor = query.cursor.as_deref().filter(|text| !text.is_empty());
        let (in_mail, after) = place(cursor.unwrap_or("m0")).ok_or_else(|| {
            ApiError::bad_request(
                "INVALID_CURSOR",
                "`cursor` is not one of this list's: pass what the last page returned, or none to start over.",
            )
        })?;
        let mut dead_letters = Vec::new();
        let mut next = None;
        if in_mail {
            for dead in self.store.dead_messages(None, after, limit)? {
                next = Some(format!("m{}", dead.n));
                dead_letters.push(DeadLetter {
                    id: dead.id.to_string(),
                    kind: "message".to_owned(),
                    agent: None,
                    to: dead.to.to_string(),
                    event: None,
                    at: dead.at,
                    code: dead.code,
                    status: None,
                    attempts: dead.tries,
                    expires_at: dead.expires,
                });
            }
        }
        let room = limit.saturating_sub(u32::try_from(dead_letters.len()).unwrap_or(limit));
        let after = if in_mail { 0 } else { after };
        if room > 0 {
            let pushes = self.dead_pushes(after, room)?;
            next = pushes
                .last()
                .map(|last| format!("w{}", last.n))
                .filter(|_| pushes.len() >= room as usize);
            dead_letters.extend(pushes.into_iter().map(|dead| DeadLetter {
                id: dead.id,
                kind: "webhook".to_owned(),
                agent: None,
                to: dead.target,
                event: Some(dead.event),
                at: dead.tried_at.unwrap_or(dead.created_at),
                code: None,
                status: dead.status,
                attempts: dead.attempts,
                expires_at: None,
            }));
        }
        Ok(DeadLetterList {
            dead_letters,
            total: self.count_dead()?,
            cursor: next,
        })
    }

    fn count_dead(&self) -> Result<u64, ApiError> {
        let messages = self.store.count_dead_messages()?;
        Ok(messages.saturating_add(self.count_dead_pushes()?))
    }

    fn do_to_message(self: &Rc<Self>, id: &MessageId, deed: Deed) -> Result<bool, ApiError> {
        match deed {
            Deed::Redrive => self.redrive_message(id),
            Deed::Discard => self.discard_message(id),
        }
    }

    fn do_to_dead_letter(self: &Rc<Self>, id: &str, deed: Deed) -> Result<u64, ApiError> {
        if let Ok(message) = MessageId::parse(id)
            && self.do_to_message(&message, deed)?
        {
            return Ok(1);
        }
        if self.do_to_dead_push(id, deed)? {
            return Ok(1);
        }
        Err(no_dead_letter())
    }

    fn do_to_all_dead(self: &Rc<Self>, deed: Deed) -> Result<u64, ApiError> {
        let mut changed = 0_u64;
        for dead in self.store.dead_messages(None, 0, MAX_CHANGED)? {
            changed += u64::from(self.do_to_message(&dead.id, deed)?);
        }
        for dead in self.dead_pushes(0, MAX_CHANGED)? {
            changed += u64::from(self.do_to_dead_push(&dead.id, deed)?);
        }
        Ok(changed)
    }

    /// Tells the directory how many dead letters there are, if that changed.
    pub(super) fn tell_dead(self: &Rc<Self>) {
        if self.telling_dead.replace(true) {
            return;
        }
        let core = Rc::clone(self);
        spawn_local(async move {
            if let Err(error) = core.tell_dead_now().await {
                console_warn!("the directory does not know of dead letters: {error}");
                core.wake_in(RETRY_MS);
            }
            core.telling_dead.set(false);
        });
    }

    async fn tell_dead_now(&self) -> Result<(), ApiError> {
        loop {
            let count = self.count_dead()?;
            let told = self.store.meta(TOLD)?;
            let told = told.and_then(|bytes| bytes.try_into().ok());
            if told.map_or(0, u64::from_be_bytes) == count {
                return Ok(());
            }
            let directory = Directory::open(&self.env)?;
            let object = self.state.id().to_string();
            directory.set_dead_letters(&object, count).await?;
            self.store.set_meta(TOLD, &count.to_be_bytes())?;
        }
    }
}

/// Reads a cursor: whether it stands among messages, and after which row.
fn place(cursor: &str) -> Option<(bool, u64)> {
    let (kind, after) = cursor.split_at_checked(1)?;
    let after = after.parse().ok()?;
    match kind {
        "m" => Some((true, after)),
        "w" => Some((false, after)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_stands_among_messages_or_webhooks() {
        assert_eq!(place("m0"), Some((true, 0)));
        assert_eq!(place("w17"), Some((false, 17)));
        for bad in ["", "m", "x1", "m-1", "ä1", "w1x"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
