//! The prekeys of the peer's agents, as they publish them: kept a while, never believed here. The
//! agent that asks verifies them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use entente_lexicon::{Did, Timestamp};
use entente_trust::message::SignedPrekey;
use worker::Response;

use crate::agent::wire::PrekeyReply;
use crate::error::ApiError;
use crate::guard;
use crate::internal;
use crate::link::driver::Driver;

/// A prekey is asked for again after this: agents make one a day.
const LIFE_MS: u64 = 60 * 60 * 1000;
/// Whoever asks past the cache still gets what is as young as this.
const FRESH_MS: u64 = 1_000;
/// Prekeys kept.
const MAX_KEPT: usize = 1_024;

/// What was fetched lately, by agent.
#[derive(Default)]
pub(super) struct Prekeys {
    kept: RefCell<BTreeMap<Did, (Timestamp, String)>>,
}

impl Driver {
    /// Answers with the prekey of one of the peer's agents.
    pub(super) async fn prekey(
        self: &Rc<Self>,
        agent: &str,
        fresh: bool,
    ) -> Result<Response, ApiError> {
        let agent = Did::parse(agent).map_err(ApiError::internal)?;
        let peer = self.peer()?;
        let life = if fresh { FRESH_MS } else { LIFE_MS };
        let known = self.prekeys.kept.borrow().get(&agent).cloned();
        let prekey = match known {
            Some((at, text)) if internal::now().since(at) < life => text,
            Some(_) | None => {
                let path = format!("/relay/agents/{agent}/prekey");
                let target = guard::target(self.config()?, &peer.host)?;
                let text = guard::fetch_text(&target, &path)
                    .await
                    .map_err(|error| gone(error, &agent))?;
                SignedPrekey::parse(&text)
                    .map_err(|error| ApiError::new(502, error.code(), format!("{error}.")))?;
                let mut kept = self.prekeys.kept.borrow_mut();
                if kept.len() >= MAX_KEPT {
                    kept.clear();
                }
                kept.insert(agent, (internal::now(), text.clone()));
                text
            }
        };
        Ok(Response::from_json(&PrekeyReply {
            prekey,
            needs_origin: self.needs_origin(),
        })?)
    }
}

fn gone(error: ApiError, agent: &Did) -> ApiError {
    if error.status == 410 {
        return ApiError::new(
            410,
            "AGENT_DELETED",
            format!("The peer's agent {agent} was deleted."),
        );
    }
    error
}
