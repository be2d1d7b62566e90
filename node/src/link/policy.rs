//! What the admin allows to cross this link, as the state machine takes it.

use data_encoding::HEXLOWER;
use entente_lexicon::api::{ApprovalView, LinkState};
use entente_lexicon::{CollectionGlob, Did};
use entente_trust::policy::{
    Approval, Ban, Direction, Item, ItemKind, Policy, Proof, Verdict, decide, needs_attestations,
    needs_origin,
};

use crate::config::Config;
use crate::error::ApiError;
use crate::internal;
use crate::link::driver::{Driver, not_peered};
use crate::shapes::{InitLink, PeerApproval, PeerPolicy};

impl Driver {
    /// Tells whether the peer's side, or ours, asks for the origin agent's signature. While the
    /// peer's level is not known yet, it may.
    pub(super) fn needs_origin(&self) -> bool {
        let machine = self.machine.borrow();
        machine.as_ref().is_none_or(|machine| {
            let granted = machine.view(internal::now()).granted;
            needs_origin(machine.policy().level) || granted.is_none_or(needs_origin)
        })
    }

    /// Checks that what concerns one of the peer's agents may cross, beside the streams.
    ///
    /// # Errors
    /// 403 with the reason's code; 409 `KEY_CHANGED` while the link is frozen.
    pub(super) fn admits(&self, agent: &Did, inbound: bool) -> Result<(), ApiError> {
        if self.frozen()?.is_some() {
            return Err(ApiError::new(
                409,
                "KEY_CHANGED",
                "The link to that network is frozen because its keys changed unproven: an admin must decide first.",
            ));
        }
        let direction = if inbound {
            Direction::Inbound
        } else {
            Direction::Outbound
        };
        let item = Item {
            kind: ItemKind::Message { peer_agent: agent },
            proof: Proof::Pending,
        };
        let machine = self.machine.borrow();
        let machine = machine.as_ref().ok_or_else(not_peered)?;
        match decide(machine.policy(), direction, &item) {
            Verdict::Pass => Ok(()),
            Verdict::Hold(reason) | Verdict::Refuse(reason) => Err(ApiError::new(
                403,
                reason.code(),
                "The link's policy lets nothing pass to or from that agent: ask this network's admin.",
            )),
        }
    }

    /// Shows who has approved whom.
    pub(super) fn approval_view(&self, record: &InitLink) -> Result<ApprovalView, ApiError> {
        let machine = self.machine.borrow();
        let machine = machine.as_ref().ok_or_else(not_peered)?;
        let view = machine.view(internal::now());
        let policy = machine.policy();
        let asked = needs_attestations(policy.level) || view.state == LinkState::Waiting;
        let lacks = policy.standing.lacks().filter(|_| asked);
        let ours = record.approval.as_ref();
        Ok(ApprovalView {
            fingerprint: ours.map(|approval| approval.fingerprint.clone()),
            ours_until: ours.map(|approval| approval.expires),
            theirs_until: view.attested,
            lacks: lacks.map(|reason| reason.code().to_owned()),
        })
    }
}

/// Returns everything that was decided about the peer.
pub(super) fn policy_of(record: &InitLink, config: &Config) -> Result<Policy, ApiError> {
    Ok(Policy {
        ban: record.ban.map(|ban| Ban { until: ban.until }),
        approval: record.approval.as_ref().map(approval).transpose()?,
        ..lists(&record.policy, config)?
    })
}

/// Joins what may cross to and from the peer with what the deployment allows at all.
pub(crate) fn lists(peer: &PeerPolicy, config: &Config) -> Result<Policy, ApiError> {
    let globs = peer.allow_collections.as_ref().map(|globs| {
        let parsed = globs.iter().map(|glob| glob.parse::<CollectionGlob>());
        parsed.collect::<Result<Vec<_>, _>>()
    });
    Ok(Policy {
        allow_collections: globs.transpose().map_err(ApiError::internal)?,
        allow_networks: peer.allow_networks.clone(),
        allow_inbound: peer.allow_inbound && config.allow_inbound,
        allow_outbound: peer.allow_outbound && config.allow_outbound,
        ..Policy::new(peer.level, peer.allow_agents.clone())
    })
}

fn approval(stored: &PeerApproval) -> Result<Approval, ApiError> {
    let nonce = HEXLOWER
        .decode(stored.nonce.as_bytes())
        .map_err(ApiError::internal)?;
    Ok(Approval {
        not_before: stored.not_before,
        expires: stored.expires,
        nonce: nonce
            .try_into()
            .map_err(|_error| ApiError::internal("an approval's nonce is not 16 bytes"))?,
    })
}
