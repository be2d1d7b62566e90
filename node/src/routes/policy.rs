//! Reading what an admin wants to let cross, and trying it before it is set.

use std::collections::BTreeSet;

use entente_lexicon::api::{AcceptRequest, AddPeer, ChangePeer, Preview};
use entente_lexicon::{Address, CollectionGlob, Did};
use worker::Response;

use crate::error::ApiError;
use crate::internal;
use crate::routes::call::Call;
use crate::routes::{body, peers, reply};
use crate::shapes::{PeerPolicy, RECENT_PATH, RecentMessages, TryPolicy};

/// Agents, networks or collections that one list may name.
const MAX_LISTED: usize = 1_000;

/// Applies a change to a policy.
pub(super) fn changed(policy: PeerPolicy, change: ChangePeer) -> Result<PeerPolicy, ApiError> {
    let PeerPolicy {
        level,
        allow_agents,
        allow_collections,
        allow_networks,
        allow_inbound,
        allow_outbound,
    } = policy;
    Ok(PeerPolicy {
        level: change.trust_level.unwrap_or(level),
        allow_agents: dids("allowAgents", change.allow_agents)?.unwrap_or(allow_agents),
        allow_collections: match change.allow_collections {
            Some(globs) => globs.map(collections).transpose()?,
            None => allow_collections,
        },
        allow_networks: dids("allowNetworks", change.allow_networks)?.unwrap_or(allow_networks),
        allow_inbound: change.allow_inbound.unwrap_or(allow_inbound),
        allow_outbound: change.allow_outbound.unwrap_or(allow_outbound),
    })
}

/// Returns what an admin says of a new peer, as a change to a policy that says nothing.
pub(super) fn of_new_peer(wish: &AddPeer) -> ChangePeer {
    ChangePeer {
        trust_level: Some(wish.trust_level),
        allow_agents: wish.allow_agents.clone(),
        allow_collections: wish.allow_collections.clone().map(Some),
        allow_networks: wish.allow_networks.clone(),
        allow_inbound: wish.allow_inbound,
        allow_outbound: wish.allow_outbound,
    }
}

/// Returns what an admin says of a network that asked, likewise.
pub(super) fn of_accepted(wish: &AcceptRequest) -> ChangePeer {
    ChangePeer {
        trust_level: Some(wish.trust_level),
        allow_agents: wish.allow_agents.clone(),
        allow_collections: wish.allow_collections.clone().map(Some),
        allow_networks: wish.allow_networks.clone(),
        allow_inbound: wish.allow_inbound,
        allow_outbound: wish.allow_outbound,
    }
}

/// `POST /admin/federation/peers/:did/preview`: what would this change do? It does nothing.
pub(super) async fn preview(mut call: Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let change: ChangePeer = body::json(&mut call.request).await?;
    let peer = peers::peer(&call).await?;
    let policy = changed(peer.policy(), change)?;
    let agents = call.directory()?.agents().await?;
    let ours = agents
        .into_iter()
        .filter(|agent| agent.is_active())
        .filter_map(|agent| agent.did)
        .collect();
    let relay = internal::relay(&call.env)?;
    let path = format!("{RECENT_PATH}?peer={}", peer.host);
    let recent: RecentMessages = internal::get(&relay, &path, &call.id).await?;
    let trial = TryPolicy {
        policy,
        ours,
        recent: recent.messages.iter().filter_map(crossed).collect(),
        announcements: recent.announcements,
    };
    let link = internal::link(&call.env, &peer.did)?;
    let preview: Preview = internal::post(&link, "/preview", &trial, &call.id).await?;
    reply::json(200, &preview)
}

/// Reads a message that crossed: whether it came in, our agent, the peer's.
fn crossed((came_in, from, to): &(bool, String, String)) -> Option<(bool, Did, Did)> {
    let did = |text: &str| Some(text.parse::<Address>().ok()?.did);
    let (from, to) = (did(from)?, did(to)?);
    Some(if *came_in {
        (true, to, from)
    } else {
        (false, from, to)
    })
}

fn dids(member: &str, texts: Option<Vec<String>>) -> Result<Option<BTreeSet<Did>>, ApiError> {
    let Some(texts) = texts else { return Ok(None) };
    check_length(member, texts.len())?;
    let parsed = texts.iter().map(|text| {
        Did::parse(text).map_err(|error| {
            ApiError::bad_request("MALFORMED_ADDRESS", format!("`{member}`: {error}."))
        })
    });
    parsed.collect::<Result<_, _>>().map(Some)
}

fn collections(texts: Vec<String>) -> Result<Vec<String>, ApiError> {
    check_length("allowCollections", texts.len())?;
    for text in &texts {
        text.parse::<CollectionGlob>().map_err(|error| {
            ApiError::bad_request(
                "INVALID_COLLECTION",
                format!("`allowCollections`: {error}."),
            )
        })?;
    }
    Ok(texts)
}

fn check_length(member: &str, length: usize) -> Result<(), ApiError> {
    if length <= MAX_LISTED {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "INVALID_BODY",
        format!("`{member}` names at most 1,000."),
    ))
}

#[cfg(test)]
mod tests {
    use entente_lexicon::TrustLevel;

    use super::*;

    fn with(change: ChangePeer) -> Result<PeerPolicy, ApiError> {
        changed(PeerPolicy::new(TrustLevel::Open), change)
    }

    #[test]
    fn a_list_names_agents_by_did() {
        let list = |texts| ChangePeer {
            allow_agents: Some(texts),
            ..ChangePeer::default()
        };
        let did = Did::from_scid(&[1; 32]).to_string();
        let policy = with(list(vec![did.clone(), did.clone()])).unwrap();
        assert_eq!(policy.allow_agents.len(), 1);
        let error = with(list(vec!["alice".to_owned()])).unwrap_err();
        assert_eq!(error.code, "MALFORMED_ADDRESS");
        assert!(with(list(vec![did; MAX_LISTED + 1])).is_err());
    }

    #[test]
    fn what_a_change_does_not_name_stays() {
        let policy = PeerPolicy {
            allow_collections: Some(vec!["a.*".to_owned()]),
            allow_outbound: false,
            ..PeerPolicy::new(TrustLevel::Allowlist)
        };
        let same = changed(policy.clone(), ChangePeer::default()).unwrap();
        assert_eq!(same, policy);
        let back = ChangePeer {
            allow_collections: Some(None),
            ..ChangePeer::default()
        };
        assert_eq!(changed(policy, back).unwrap().allow_collections, None);
    }

    #[test]
    fn a_pattern_for_collections_is_checked() {
        let change = ChangePeer {
            allow_collections: Some(Some(vec!["a*".to_owned()])),
            ..ChangePeer::default()
        };
        assert_eq!(with(change).unwrap_err().code, "INVALID_COLLECTION");
    }
}
