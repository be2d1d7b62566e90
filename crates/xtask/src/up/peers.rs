//! Peering neighbours.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use entente_lexicon::TrustLevel;
use entente_lexicon::api::{AddPeer, LinkState, PeerList, PeerView};

use super::client::Client;
use super::plan::Network;

const PATIENCE: Duration = Duration::from_secs(30);

/// Peers two networks, each as its own admin, unless they are peers already.
pub(crate) fn ensure(one: (&Network, &Client), other: (&Network, &Client)) -> Result<()> {
    add(one.1, other.0)?;
    add(other.1, one.0)
}

fn add(admin: &Client, peer: &Network) -> Result<()> {
    if find(admin, peer)?.is_some() {
        return Ok(());
    }
    let wanted = AddPeer::new(peer.url(), TrustLevel::Open);
    let _: PeerView = admin.post("/admin/federation/peers", &wanted)?;
    Ok(())
}

/// Waits until `network` says that its link to `peer` works.
pub(crate) fn wait_until_up(network: &Network, admin: &Client, peer: &Network) -> Result<()> {
    let begun = Instant::now();
    loop {
        let view = find(admin, peer)?;
        let state = view.as_ref().map(|view| view.state);
        if matches!(state, Some(LinkState::Up | LinkState::Idle)) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let error = view
                .and_then(|view| view.last_error)
                .unwrap_or_else(|| "none".into());
            bail!(
                "the link from {} to {} is not up after {} s (state {state:?}, last error {error}); \
                 the logs in the state folder may say why",
                network.name,
                peer.name,
                PATIENCE.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn find(admin: &Client, peer: &Network) -> Result<Option<PeerView>> {
    let list: PeerList = admin.read("/admin/federation/peers")?;
    Ok(list.peers.into_iter().find(|view| view.host == peer.host()))
}
