//! The questions that objects ask of the network's directory.

use entente_lexicon::address::AgentRef;
use entente_lexicon::{Did, Host};
use worker::Env;

use crate::error::ApiError;
use crate::store::agents::AgentRow;
use crate::store::d1::Directory;
use crate::store::peers::PeerRow;

/// Finds the living agent with this DID.
///
/// # Errors
/// If D1 fails, as everywhere here.
pub async fn active_agent_by_did(env: &Env, did: &Did) -> Result<Option<AgentRow>, ApiError> {
    let row = Directory::open(env)?.agent_by_did(did).await?;
    Ok(row.filter(AgentRow::is_active))
}

/// Finds the living agent with this name or DID.
///
/// # Errors
/// If D1 fails.
pub async fn active_agent(env: &Env, agent: &AgentRef) -> Result<Option<AgentRow>, ApiError> {
    let directory = Directory::open(env)?;
    let row = match agent {
        AgentRef::Did(did) => directory.agent_by_did(did).await?,
        AgentRef::Name(name) => directory.agent_by_name(name).await?,
    };
    Ok(row.filter(AgentRow::is_active))
}

/// Finds the peer at this host, unless it is being removed.
///
/// # Errors
/// If D1 fails.
pub async fn peer_at(env: &Env, host: &Host) -> Result<Option<PeerRow>, ApiError> {
    let row = Directory::open(env)?.peer_by_host(host).await?;
    Ok(row.filter(|row| !row.is_closing()))
}

/// Finds the peer with this DID, unless it is being removed.
///
/// # Errors
/// If D1 fails.
pub async fn peer(env: &Env, did: &Did) -> Result<Option<PeerRow>, ApiError> {
    let row = Directory::open(env)?.peer(did).await?;
    Ok(row.filter(|row| !row.is_closing()))
}
