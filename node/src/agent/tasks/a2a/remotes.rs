//! Agents elsewhere that this one calls: their cards, read, verified and pinned.

use std::rc::Rc;

use entente_a2a::card::RemoteCard;
use entente_a2a::signature;
use entente_lexicon::api::a2a::{A2aAgentList, A2aAgentView, NewA2aAgent};
use entente_trust::crypto::sign::VerifyingKey;
use entente_well_known::Target;
use entente_well_known::guard::check_webhook_url;
use serde_json::Value;
use url::Url;

use crate::agent::core::Core;
use crate::agent::tasks::a2a::remote_store::StoredAgent;
use crate::config::Config;
use crate::error::ApiError;
use crate::guard;
use crate::internal;

/// Agents elsewhere that one agent calls, at most.
const MAX_AGENTS: usize = 1_000;
/// The longest key for an agent elsewhere, in bytes.
const MAX_KEY_BYTES: usize = 4_096;
/// Places where the key of one card is looked for.
const MAX_LOOKUPS: usize = 2;
const CARD: &str = ".well-known/agent-card.json";

impl Core {
    /// Reads the card of an agent elsewhere, so that it can be called. Again for the same URL: reads it
    /// anew; then the same key has to have signed it, unless the new one is named.
    pub(in crate::agent::tasks) async fn add_a2a_agent(
        self: &Rc<Self>,
        new: &NewA2aAgent,
    ) -> Result<A2aAgentView, ApiError> {
        let long = |key: &String| key.is_empty() || key.len() > MAX_KEY_BYTES;
        if new.key.as_ref().is_some_and(long) {
            return Err(ApiError::bad_request(
                "INVALID_BODY",
                "`key` is 1 to 4,096 bytes long where it is given.",
            ));
        }
        let named = new.public_key.as_deref().map(VerifyingKey::from_multikey);
        let named = named.transpose().map_err(|error| {
            ApiError::bad_request("INVALID_BODY", format!("`publicKey`: {error}."))
        })?;
        let url = self.a2a_url(&new.url)?;
        let url = if url.path().ends_with('/') {
            url.join(CARD).map_err(ApiError::internal)?
        } else {
            url
        };
        let (target, path) = split(&url)?;
        let text = guard::fetch_text(&target, &path).await.map_err(unread)?;
        let card: Value = serde_json::from_str(&text).map_err(|_error| malformed())?;
        let read = RemoteCard::read(&card).map_err(|error| {
            ApiError::new(422, "A2A_CARD_MALFORMED", format!("The card: {error}."))
        })?;
        let endpoint = self.a2a_url(&read.url)?;
        if endpoint.origin() != url.origin() {
            return Err(ApiError::new(
                422,
                "A2A_CARD_OTHER_HOST",
                "The card names a URL on another host than its own, to which no key is sent.",
            ));
        }
        let signed_by = match signature::is_signed(&card) {
            true => Some(signed_by(&card, named.as_ref(), &target).await?),
            false => None,
        };
        let known = self.tasks.a2a.remotes.agent_at(url.as_str())?;
        let pinned = known.as_ref().and_then(|known| known.pin.clone());
        check_pin(signed_by.as_deref(), pinned.as_deref(), named.as_ref())?;
        if known.is_none() && self.tasks.a2a.remotes.agents()?.len() >= MAX_AGENTS {
            return Err(ApiError::new(
                409,
                "A2A_TOO_MANY_AGENTS",
                "This agent calls 1,000 agents elsewhere: remove some with DELETE /agents/:name/a2a/agents/:id.",
            ));
        }
        let me = self.identity()?;
        let mut agent = StoredAgent {
            n: 0,
            key: new
                .key
                .as_deref()
                .map(|key| me.seal_secret(&purpose(url.as_str()), key.as_bytes())),
            url: url.into(),
            name: read.name,
            description: read.description,
            endpoint: endpoint.into(),
            tenant: read.tenant,
            pin: signed_by,
            added_at: internal::now(),
            removed: false,
        };
        agent.n = self.tasks.a2a.remotes.put_agent(&agent)?;
        Ok(view(&agent))
    }

    pub(in crate::agent::tasks) fn list_a2a_agents(&self) -> Result<A2aAgentList, ApiError> {
        let agents = self.tasks.a2a.remotes.agents()?;
        Ok(A2aAgentList {
            agents: agents.iter().map(view).collect(),
        })
    }

    /// Calls an agent no more. What it was asked for is told so and is presumed to have failed.
    pub(in crate::agent::tasks) fn remove_a2a_agent(&self, id: &str) -> Result<(), ApiError> {
        let n = id.parse().ok();
        let removed = n.map(|n| self.tasks.a2a.remotes.remove_agent(n, internal::now()));
        match removed.transpose()? {
            Some(true) => Ok(()),
            Some(false) | None => Err(unknown_agent()),
        }
    }

    /// Finds the agent elsewhere that a task is for: `a2a:` and its number.
    pub(in crate::agent::tasks) fn a2a_agent_of(&self, to: &str) -> Result<Option<u64>, ApiError> {
        let Some(n) = to.strip_prefix("a2a:") else {
            return Ok(None);
        };
        let n = n.parse().map_err(|_error| unknown_agent())?;
        self.a2a_agent(n).map(|agent| Some(agent.n))
    }

    pub(super) fn a2a_agent(&self, n: u64) -> Result<StoredAgent, ApiError> {
        let known = self.tasks.a2a.remotes.agent(n)?;
        let living = known.filter(|known| !known.removed);
        living.ok_or_else(unknown_agent)
    }

    /// Opens what an agent elsewhere knows this one by.
    pub(super) fn a2a_key_of(&self, agent: &StoredAgent) -> Result<Option<String>, ApiError> {
        let Some(sealed) = &agent.key else {
            return Ok(None);
        };
        let me = self.identity()?;
        let key = me.open_secret(&purpose(&agent.url), sealed)?;
        Ok(Some(String::from_utf8_lossy(&key).into_owned()))
    }

    /// Checks a URL by the rules for those that somebody else names.
    pub(super) fn a2a_url(&self, url: &str) -> Result<Url, ApiError> {
        let config = Config::from_env(&self.env)?;
        let own = std::slice::from_ref(&config.host);
        check_webhook_url(url, own, &config.dev_hosts)
            .map_err(|rule| ApiError::new(422, "A2A_URL", format!("{rule}.")))
    }
}

/// Splits a URL that passed the rules into what the guarded fetch takes.
fn split(url: &Url) -> Result<(Target, String), ApiError> {
    let origin = url.origin().ascii_serialization();
    let host = origin.split_once("://").map_or("", |(_scheme, host)| host);
    let path = url.as_str().strip_prefix(&origin).unwrap_or("/").to_owned();
    let host = entente_lexicon::Host::parse(host).map_err(ApiError::internal)?;
    Ok((Target { host, origin }, path))
}

/// Finds the key that signed a card: the one that is named, or one that the card's own host publishes.
async fn signed_by(
    card: &Value,
    named: Option<&VerifyingKey>,
    target: &Target,
) -> Result<String, ApiError> {
    let mut lookups = Vec::new();
    for signer in signature::signers(card) {
        let key = match named {
            Some(key) => Some(key.clone()),
            None => {
                let path = signature::key_path(&signer, &target.origin);
                let Some(path) = path.filter(|path| !lookups.contains(path)) else {
                    continue;
                };
                if lookups.len() >= MAX_LOOKUPS {
                    break;
                }
                let text = guard::fetch_text(target, &path).await.map_err(unread)?;
                lookups.push(path);
                let document = serde_json::from_str(&text).map_err(|_error| malformed())?;
                signature::published_key(&document, &signer.kid)
            }
        };
        if let Some(key) = key
            && signature::verify(card, &signer, &key).is_ok()
        {
            return Ok(key.to_multikey());
        }
    }
    Err(ApiError::new(
        422,
        "A2A_CARD_SIGNATURE",
        "No signature of the card verifies: it takes EdDSA by a key that the card's host publishes, or by the one named in `publicKey`.",
    ))
}

/// A card that was signed stays signed, by the same key.
fn check_pin(
    signed_by: Option<&str>,
    pinned: Option<&str>,
    named: Option<&VerifyingKey>,
) -> Result<(), ApiError> {
    if named.is_some() && signed_by.is_none() {
        return Err(ApiError::new(
            422,
            "A2A_CARD_SIGNATURE",
            "The card is not signed, and `publicKey` says that it must be.",
        ));
    }
    if pinned.is_some() && named.is_none() && signed_by != pinned {
        return Err(ApiError::new(
            409,
            "A2A_CARD_KEY_CHANGED",
            "Another key signed this card than the one before, or none: ask whoever runs the agent, then name the key in `publicKey`.",
        ));
    }
    Ok(())
}

fn view(agent: &StoredAgent) -> A2aAgentView {
    A2aAgentView {
        id: agent.n,
        to: format!("a2a:{}", agent.n),
        name: agent.name.clone(),
        description: agent.description.clone(),
        url: agent.url.clone(),
        endpoint: agent.endpoint.clone(),
        has_key: agent.key.is_some(),
        signed_by: agent.pin.clone(),
        added_at: agent.added_at,
    }
}

fn purpose(url: &str) -> String {
    format!("a2a/agent/{url}")
}

fn unread(error: ApiError) -> ApiError {
    let status = if error.status >= 500 { 502 } else { 422 };
    ApiError::new(
        status,
        "A2A_CARD_UNREADABLE",
        format!(
            "The agent's card, or the key that signed it, cannot be read ({}): it is served as application/json, 64 KiB at most, without redirects.",
            error.code
        ),
    )
}

fn malformed() -> ApiError {
    ApiError::new(
        422,
        "A2A_CARD_MALFORMED",
        "What is served there is not JSON.",
    )
}

fn unknown_agent() -> ApiError {
    ApiError::not_found(
        "A2A_AGENT_UNKNOWN",
        "This agent calls no agent elsewhere of that number: GET /agents/:name/a2a/agents lists them.",
    )
}
