//! The keys by which others call this agent: made, listed, revoked.

use entente_lexicon::api::a2a::{A2aKeyCreated, A2aKeyList, NewA2aKey};
use entente_tasks::Role;
use entente_trust::crypto::token::Token;

use crate::agent::core::Core;
use crate::agent::tasks::a2a::ANYONE;
use crate::auth::gate::{A2A_PREFIX, token_key};
use crate::error::ApiError;
use crate::internal;

/// Keys of one agent that work, at most.
const MAX_KEYS: u64 = 1_000;
/// The longest name of a caller, in bytes.
const MAX_NAME_BYTES: usize = 100;

impl Core {
    /// Makes a key for a caller. It is kept as a hash alone.
    pub(in crate::agent::tasks) fn make_a2a_key(
        &self,
        new: &NewA2aKey,
    ) -> Result<A2aKeyCreated, ApiError> {
        if new.name.is_empty() || new.name.len() > MAX_NAME_BYTES {
            return Err(ApiError::bad_request(
                "INVALID_BODY",
                "`name` is 1 to 100 bytes long.",
            ));
        }
        if self.tasks.a2a.store.count_callers()? >= MAX_KEYS {
            return Err(ApiError::new(
                409,
                "A2A_TOO_MANY_KEYS",
                "This agent has given 1,000 keys that still work: revoke some with DELETE /agents/:name/a2a/keys/:id.",
            ));
        }
        let key = Token::generate(&mut internal::rng(), A2A_PREFIX);
        let hash = token_key(key.as_str());
        let id = self
            .tasks
            .a2a
            .store
            .add_caller(&new.name, &hash, internal::now())?;
        Ok(A2aKeyCreated {
            id,
            name: new.name.clone(),
            key: key.as_str().to_owned(),
        })
    }

    pub(in crate::agent::tasks) fn list_a2a_keys(&self) -> Result<A2aKeyList, ApiError> {
        Ok(A2aKeyList {
            keys: self.tasks.a2a.store.callers()?,
        })
    }

    /// Has a key stop working, from the next call on.
    pub(in crate::agent::tasks) fn revoke_a2a_key(&self, id: &str) -> Result<(), ApiError> {
        let n = id.parse().ok();
        let known = n.map(|n| self.tasks.a2a.store.revoke(n, internal::now()));
        if known.transpose()? == Some(true) {
            return Ok(());
        }
        Err(ApiError::not_found(
            "A2A_KEY_UNKNOWN",
            "This agent gave no key of that number: GET /agents/:name/a2a/keys lists them.",
        ))
    }

    /// Finds out who calls, by the hash of the key that was shown.
    pub(super) fn a2a_caller(&self, shown: Option<&str>, open: bool) -> Result<u64, ApiError> {
        let caller = match shown {
            Some(hash) => self.tasks.a2a.store.caller(hash)?,
            None => open.then_some(ANYONE),
        };
        caller.ok_or_else(|| {
            ApiError::new(
                401,
                "A2A_KEY_INVALID",
                "This agent is called with a key that it gave: send `Authorization: Bearer <key>`, or ask whoever runs it for one.",
            )
            .with_header("www-authenticate", "Bearer".to_owned())
        })
    }

    /// What the other side of a task is called where it is no agent of a network.
    pub(in crate::agent::tasks) fn a2a_name(
        &self,
        role: Role,
        other: u64,
    ) -> Result<String, ApiError> {
        let name = match role {
            Role::Worker => self.tasks.a2a.store.caller_name(other)?,
            Role::Requester => {
                let agent = self.tasks.a2a.remotes.agent(other)?;
                agent.map(|agent| agent.name)
            }
        };
        Ok(format!("a2a:{}", name.as_deref().unwrap_or("anyone")))
    }
}
