//! After a rotation: everybody who holds the old keys is told, in an order that leaves no gap.
//!
//! The relay's one write has already made the new keys ours. What follows can be repeated from any
//! point, and the alarm repeats it until it is done: first the directory, so that whoever meets the
//! new keys finds the document that proves them, then our links, then the cards of our agents.

use futures::stream::{self, StreamExt};
use worker::console_warn;

use crate::error::ApiError;
use crate::internal::{self, new_request_id, now};
use crate::relay::backups::agent_subject;
use crate::relay::core::Core;
use crate::shapes::{AgentInit, CardPaper, InitAgent, Nothing, Published, RelayIdentity};
use crate::store::agents::AgentRow;
use crate::store::d1::Directory;

/// Set with the new keys, dropped when everybody was told.
pub(super) const PUBLISH: &str = "publish";
/// Objects told at once.
const TOLD_AT_ONCE: usize = 16;

impl Core {
    /// Tells everybody of new keys, if that is still to be done. Returns whether something failed
    /// and must be tried again.
    pub(super) async fn publish_if_due(&self) -> Result<bool, ApiError> {
        if !self.store.exists()? || self.store.meta(PUBLISH)?.is_none() {
            return Ok(false);
        }
        let identity = self.identity()?;
        let failed = self.publish(&identity).await?;
        // Another rotation may have come while this one was told.
        if failed || self.identity()?.seq != identity.seq {
            return Ok(true);
        }
        self.store.drop_meta(PUBLISH)?;
        Ok(false)
    }

    async fn publish(&self, identity: &RelayIdentity) -> Result<bool, ApiError> {
        let request = new_request_id();
        let directory = Directory::open(&self.env)?;
        directory.put_network(identity, now()).await?;
        let mut failed = false;
        let peers = directory.peers().await?;
        let told = peers.iter().filter(|peer| !peer.is_closing()).map(|peer| {
            let request = &request;
            async move {
                let stub = internal::link(&self.env, &peer.did)?;
                let Nothing {} = internal::post(&stub, "/own", identity, request).await?;
                Ok::<_, ApiError>(())
            }
        });
        let mut told = stream::iter(told).buffer_unordered(TOLD_AT_ONCE);
        while let Some(outcome) = told.next().await {
            if let Err(error) = outcome {
                console_warn!("a link was not told of the new keys, trying again: {error}");
                failed = true;
            }
        }
        let agents = directory.agents().await?;
        let cards = agents.iter().filter(|row| row.is_active());
        let cards = cards.map(|row| self.publish_row(&directory, row, identity, &request));
        let mut cards = stream::iter(cards).buffer_unordered(TOLD_AT_ONCE);
        while let Some(outcome) = cards.next().await {
            if let Err(error) = outcome {
                console_warn!("a card was not signed with the new key, trying again: {error}");
                failed = true;
            }
        }
        Ok(failed)
    }

    /// Lists an agent's card as it is now, countersigned with our current key.
    pub(super) async fn publish_card(&self, object_id: &str) -> Result<(), ApiError> {
        let identity = self.identity()?;
        let directory = Directory::open(&self.env)?;
        let row = directory.agent_by_object(object_id).await?;
        let row = row.filter(AgentRow::is_active);
        let row = row.ok_or_else(|| ApiError::internal("no such agent is active"))?;
        self.publish_row(&directory, &row, &identity, &new_request_id())
            .await?;
        match &row.did {
            Some(did) => self.note_new_keys(&agent_subject(did.as_str())).await,
            None => Ok(()),
        }
    }

    /// Lists the cards of agents whose rotation was interrupted. Returns whether some are left.
    pub(super) async fn publish_interrupted_cards(&self) -> Result<bool, ApiError> {
        if self.stored()?.is_none() {
            return Ok(false);
        }
        let directory = Directory::open(&self.env)?;
        let mut left = false;
        for row in directory.rotating_agents().await? {
            if let Err(error) = self.publish_card(&row.object_id).await {
                console_warn!("the card of {} is not listed yet: {error}", row.name);
                left = true;
            }
        }
        Ok(left)
    }

    async fn publish_row(
        &self,
        directory: &Directory,
        row: &AgentRow,
        identity: &RelayIdentity,
        request: &str,
    ) -> Result<(), ApiError> {
        let init = InitAgent {
            name: row.name.clone(),
            network_did: identity.did.clone(),
            host: identity.host.clone(),
            admin_read: row.admin_may_read(),
            object_id: row.object_id.clone(),
        };
        let stub = internal::agent(&self.env, &row.object_id)?;
        let now: AgentInit = internal::post(&stub, "/init", &init, request).await?;
        let paper = self.countersign(&CardPaper {
            card: now.card,
            log: now.log,
        })?;
        self.store.note_head(&now.head)?;
        directory
            .put_card(&row.object_id, &now.public_keys, &paper)
            .await?;
        let seq = Published { seq: now.seq };
        let Nothing {} = internal::post(&stub, "/published", &seq, request).await?;
        directory.finish_rotation(&row.object_id, &paper.log).await
    }
}
