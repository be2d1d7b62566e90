//! Offers our announcements to the links of all peers: each decides by its own policy.

use std::rc::Rc;

use entente_lexicon::{Did, Timestamp};
use entente_trust::policy::allows_link;
use futures::stream::{self, StreamExt};
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use crate::agent::wire::{self, Announcements, Refusals};
use crate::error::ApiError;
use crate::internal;
use crate::relay::core::Core;
use crate::store::d1::Directory;

/// Links that are offered something at once.
const OFFERED_AT_ONCE: usize = 16;
/// Announcements of one call.
const MAX_BATCH: u32 = 50;

impl Core {
    /// Starts offering, unless that is under way: then it goes round once more. What fails here the
    /// alarm tries again.
    pub(super) fn offer_soon(self: &Rc<Self>) {
        self.offer_again.set(true);
        if self.offering.replace(true) {
            return;
        }
        let core = Rc::clone(self);
        spawn_local(async move {
            while core.offer_again.replace(false) {
                if let Err(error) = core.offer_all().await {
                    console_warn!("announcements were not offered, trying again: {error}");
                }
            }
            core.offering.set(false);
        });
    }

    /// Offers every link what it has not been offered. Returns whether something failed and must be
    /// tried again.
    pub(super) async fn offer_all(&self) -> Result<bool, ApiError> {
        if !self.store.exists()? || !allows_link(self.config()?.trust_level) {
            return Ok(false);
        }
        let newest = self.store.newest_of_ours()?;
        let offered = self.store.offered()?;
        let peers = Directory::open(&self.env)?.peers().await?;
        for gone in offered.keys() {
            if !peers.iter().any(|peer| peer.did == *gone) {
                self.store.forget_offered(gone)?;
            }
        }
        let due = peers.iter().filter(|peer| !peer.is_closing());
        let mut behind = Vec::new();
        for peer in due {
            // What was announced before it became a peer is not for it.
            let before = self.store.last_before(Timestamp(peer.added_at))?;
            let upto = offered.get(&peer.did).copied().unwrap_or(0).max(before);
            if upto < newest {
                behind.push((peer.did.clone(), upto));
            }
        }
        let offers = behind.iter().map(|(did, upto)| self.offer(did, *upto));
        let mut offers = stream::iter(offers).buffer_unordered(OFFERED_AT_ONCE);
        let mut failed = false;
        while let Some(outcome) = offers.next().await {
            if let Err(error) = outcome {
                console_warn!("a link was not offered announcements, trying again: {error}");
                failed = true;
            }
        }
        Ok(failed)
    }

    async fn offer(&self, peer: &Did, mut upto: u64) -> Result<(), ApiError> {
        let link = internal::link(&self.env, peer)?;
        loop {
            let batch = self.store.ours_after(upto, MAX_BATCH)?;
            let Some((last, _)) = batch.last() else {
                return Ok(());
            };
            let last = *last;
            let items = batch.into_iter().map(|(_, bytes)| bytes).collect();
            let Refusals { .. } =
                wire::call(&link, "/announcements", &Announcements { items }).await?;
            self.store.set_offered(peer, last)?;
            upto = last;
        }
    }
}
