//! Asks policy about one item.

use entente_lexicon::Did;
use entente_trust::announcement::Announcement;
use entente_trust::policy::{self, Direction, ItemKind, Origin, Policy, Proof, Verdict};

use super::config::Config;
use super::io::Item;
use crate::code::Code;
use crate::frame::stream::Stream;

/// What an item is judged by: the policy, and who is at each end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub(super) policy: &'a Policy,
    pub(super) own: &'a Did,
    pub(super) peer: &'a Did,
}

impl<'a> Rules<'a> {
    pub(super) const fn of(config: &'a Config) -> Self {
        Self {
            policy: &config.policy,
            own: &config.own.did,
            peer: &config.peer.did,
        }
    }

    /// Says why an item of a stream may not pass, if it may not.
    pub(super) fn refusal(self, stream: Stream, direction: Direction, item: &Item) -> Option<Code> {
        match stream {
            Stream::Evt => self.event_refusal(direction, item),
            // A control record concerns a message between the same two agents.
            Stream::Msg | Stream::Ctl => {
                let peer_agent = match direction {
                    Direction::Inbound => &item.from,
                    Direction::Outbound => &item.to,
                };
                self.decide(direction, ItemKind::Message { peer_agent })
            }
        }
    }

    /// A public event is judged by what stands in it; whether that is true the driver looks at
    /// later, when it has the agent's key.
    fn event_refusal(self, direction: Direction, item: &Item) -> Option<Code> {
        let event = match Announcement::decode(&item.bytes) {
            Ok(found) => found.announcement,
            Err(error) => return Some(Code::from_static(error.code())),
        };
        let (speaker, listener) = match direction {
            Direction::Inbound => (self.peer, self.own),
            Direction::Outbound => (self.own, self.peer),
        };
        if event.from != item.from || event.id != item.id || item.to != *listener {
            return Some(Code::EVENT_MALFORMED);
        }
        let origin = if event.network == *speaker {
            Origin::Speaker
        } else {
            Origin::Other(&event.network)
        };
        let collection = &event.collection;
        self.decide(direction, ItemKind::Event { collection, origin })
    }

    fn decide(self, direction: Direction, kind: ItemKind<'_>) -> Option<Code> {
        let item = policy::Item {
            kind,
            proof: Proof::Pending,
        };
        match policy::decide(self.policy, direction, &item) {
            Verdict::Pass => None,
            // It waits: no session is up meanwhile.
            Verdict::Hold(_) if direction == Direction::Outbound => None,
            Verdict::Hold(reason) | Verdict::Refuse(reason) => {
                Some(Code::from_static(reason.code()))
            }
        }
    }
}
