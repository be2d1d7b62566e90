//! What the admin allows to cross this link, as the state machine takes it.

use entente_trust::policy::{Ban, CollectionGlob, Policy};

use crate::config::Config;
use crate::error::ApiError;
use crate::shapes::{LinkBan, PeerPolicy};

/// Joins what was decided about the peer with what the deployment allows at all.
pub(super) fn policy_of(
    peer: &PeerPolicy,
    ban: Option<LinkBan>,
    config: &Config,
) -> Result<Policy, ApiError> {
    let globs = peer.allow_collections.as_ref().map(|globs| {
        let parsed = globs.iter().map(|glob| glob.parse::<CollectionGlob>());
        parsed.collect::<Result<Vec<_>, _>>()
    });
    Ok(Policy {
        allow_collections: globs.transpose().map_err(ApiError::internal)?,
        allow_networks: peer.allow_networks.clone(),
        allow_inbound: peer.allow_inbound && config.allow_inbound,
        allow_outbound: peer.allow_outbound && config.allow_outbound,
        ban: ban.map(|ban| Ban { until: ban.until }),
        ..Policy::new(peer.level, peer.allow_agents.clone())
    })
}
