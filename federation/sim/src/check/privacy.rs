//! Nothing crosses a link while its policy is private, and nothing that policy does not let pass.

use entente_lexicon::{Did, TrustLevel};
use entente_trust::policy::{Direction, Item, ItemKind, Policy, Proof, Verdict, decide};

use super::Check;
use crate::fact::{Fact, number};

/// The type of BYE, with which a session ends when the level becomes private.
const BYE: u8 = 5;

#[derive(Debug, Default)]
pub(crate) struct Privacy;

impl Check for Privacy {
    fn name(&self) -> &'static str {
        "nothing crosses private"
    }

    fn see(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Dialled { end, level } if *level == TrustLevel::Private => {
                Err(format!("end {end} dialled"))
            }
            Fact::Transmitted {
                end, level, frame, ..
            } if *level == TrustLevel::Private && frame.first() != Some(&BYE) => Err(format!(
                "end {end} sent a frame that starts {:?}",
                frame.first()
            )),
            Fact::Handed {
                end, item, policy, ..
            } => passes(policy, Direction::Inbound, &item.from)
                .map_err(|why| format!("end {end} handed on message {}: {why}", number(&item.id))),
            Fact::Accepted { item, policy } => passes(policy, Direction::Outbound, &item.to)
                .map_err(|why| format!("message {} was accepted: {why}", number(&item.id))),
            _ => Ok(()),
        }
    }
}

fn passes(policy: &Policy, direction: Direction, peer_agent: &Did) -> Result<(), String> {
    let item = Item {
        kind: ItemKind::Message { peer_agent },
        proof: Proof::Pending,
    };
    match decide(policy, direction, &item) {
        Verdict::Pass => Ok(()),
        Verdict::Hold(reason) | Verdict::Refuse(reason) => Err(reason.to_string()),
    }
}
