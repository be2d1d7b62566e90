//! Examples for the tests of this module.

use entente_lexicon::api::{AgentPresence, Event, LinkState, PublicPeer};
use entente_lexicon::{Timestamp, TrustLevel};

pub(crate) fn presence(id: &str, name: Option<&str>) -> AgentPresence {
    AgentPresence {
        id: id.to_owned(),
        name: name.map(str::to_owned),
        state: "idle".to_owned(),
        last_seen: None,
        sent: 0,
        received: 0,
        admin_read: None,
    }
}

pub(crate) fn peer(host: &str) -> PublicPeer {
    PublicPeer {
        did: format!("did:cf:{host}"),
        host: host.to_owned(),
        trust_level: TrustLevel::Open,
        state: LinkState::Up,
    }
}

pub(crate) fn event(seq: u64, kind: &str) -> Event {
    Event {
        seq,
        kind: kind.to_owned(),
        at: Timestamp(1_000 * seq),
        from: None,
        to: None,
        message: None,
        peer: None,
        code: None,
        label: None,
        latency_ms: None,
        more: None,
    }
}
