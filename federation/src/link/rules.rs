//! Asks policy about one item.

use entente_lexicon::{Did, TrustLevel};
use entente_trust::policy::{self, Direction, ItemKind, Policy, Proof, Verdict};

use super::io::Item;
use crate::code::Code;
use crate::frame::stream::Stream;

/// Says why an item of a stream may not pass, if it may not.
pub(super) fn refusal(
    stream: Stream,
    policy: &Policy,
    direction: Direction,
    item: &Item,
) -> Option<Code> {
    match stream {
        Stream::Evt => event_refusal(policy),
        // A control record concerns a message between the same two agents.
        Stream::Msg | Stream::Ctl => {
            let peer_agent = match direction {
                Direction::Inbound => &item.from,
                Direction::Outbound => &item.to,
            };
            message_refusal(policy, direction, peer_agent)
        }
    }
}

/// Says why a message may not pass, if it may not.
pub(super) fn message_refusal(
    policy: &Policy,
    direction: Direction,
    peer_agent: &Did,
) -> Option<Code> {
    let item = policy::Item {
        kind: ItemKind::Message { peer_agent },
        proof: Proof::Pending,
    };
    match policy::decide(policy, direction, &item) {
        Verdict::Pass => None,
        // It waits: no session is up meanwhile.
        Verdict::Hold(_) if direction == Direction::Outbound => None,
        Verdict::Hold(reason) | Verdict::Refuse(reason) => Some(Code::from_static(reason.code())),
    }
}

/// Public events pass where nothing is filtered.
fn event_refusal(policy: &Policy) -> Option<Code> {
    match policy.level {
        TrustLevel::Open => None,
        TrustLevel::Allowlist | TrustLevel::Verified | TrustLevel::Private => {
            Some(Code::from_static("NOT_ALLOWED"))
        }
    }
}
