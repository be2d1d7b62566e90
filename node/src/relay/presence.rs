//! What viewers are told about agents and links, kept from the events that pass. Pure.

use std::collections::BTreeMap;

use entente_lexicon::api::{AgentPresence, Event, LinkState};
use entente_lexicon::{Address, Did, Host, Timestamp};
use serde::{Deserialize, Serialize};

/// An agent that did something this lately is `working`.
pub const WORKING_MS: u64 = 5_000;

/// What an agent did since the relay began to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Messages it sent.
    pub sent: u64,
    /// Messages it received.
    pub received: u64,
    /// When it last did either.
    pub last_seen: Timestamp,
}

/// The agents and links of a network as events tell of them.
#[derive(Debug, Default)]
pub struct Presence {
    agents: BTreeMap<Did, Activity>,
    links: BTreeMap<Host, LinkState>,
}

/// What an event changed, to be stored with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// An agent's counts.
    pub agent: Option<(Did, Activity)>,
    /// An agent that is no more.
    pub gone: Option<Did>,
    /// A link's state.
    pub link: Option<(Host, LinkState)>,
    /// A peer that is no more.
    pub removed: Option<Host>,
    /// Whether the directory's agents or peers changed.
    pub directory: bool,
}

impl Presence {
    /// Restores what was stored.
    #[must_use]
    pub fn restore(agents: BTreeMap<Did, Activity>, links: BTreeMap<Host, LinkState>) -> Self {
        Self { agents, links }
    }

    /// Takes note of an event on the network at `host`.
    pub fn note(&mut self, event: &Event, host: &Host) -> Changed {
        let mut changed = Changed {
            directory: event.kind.starts_with("agent.") || event.kind.starts_with("peer."),
            ..Changed::default()
        };
        match event.kind.as_str() {
            "message.accepted" => {
                changed.agent = self.count(event.from.as_deref(), host, |activity| {
                    activity.sent = activity.sent.saturating_add(event.count());
                    activity.last_seen = activity.last_seen.max(event.at);
                });
            }
            "message.received" => {
                changed.agent = self.count(event.to.as_deref(), host, |activity| {
                    activity.received = activity.received.saturating_add(event.count());
                    activity.last_seen = activity.last_seen.max(event.at);
                });
            }
            "agent.deleted" => {
                changed.gone = local(event.from.as_deref(), host);
                if let Some(did) = &changed.gone {
                    self.agents.remove(did);
                }
            }
            "peer.removed" => {
                changed.removed = event
                    .peer
                    .as_deref()
                    .and_then(|text| Host::parse(text).ok());
                if let Some(peer) = &changed.removed {
                    self.links.remove(peer);
                }
            }
            _ => changed.link = self.link(event),
        }
        changed
    }

    fn count(
        &mut self,
        address: Option<&str>,
        host: &Host,
        change: impl Fn(&mut Activity),
    ) -> Option<(Did, Activity)> {
        let did = local(address, host)?;
        let activity = self.agents.entry(did.clone()).or_default();
        change(activity);
        Some((did, *activity))
    }

    fn link(&mut self, event: &Event) -> Option<(Host, LinkState)> {
        let state = match event.kind.as_str() {
            "link.up" => LinkState::Up,
            "link.idle" => LinkState::Idle,
            "link.down" if event.code.as_deref().is_some_and(lacks_approval) => LinkState::Waiting,
            "link.down" => LinkState::Unreachable,
            "link.refused" => LinkState::Refused,
            "link.frozen" => LinkState::Frozen,
            "link.thawed" => LinkState::Connecting,
            _ => return None,
        };
        let host = Host::parse(event.peer.as_deref()?).ok()?;
        self.links.insert(host.clone(), state);
        Some((host, state))
    }

    /// Returns the state of the link to a peer.
    #[must_use]
    pub fn link_state(&self, host: &Host) -> LinkState {
        self.links
            .get(host)
            .copied()
            .unwrap_or(LinkState::Connecting)
    }

    /// Returns all states that are known.
    #[must_use]
    pub const fn links(&self) -> &BTreeMap<Host, LinkState> {
        &self.links
    }

    /// Shows an agent as the admin sees it.
    #[must_use]
    pub fn show(&self, did: &Did, name: &str, admin_read: bool, now: Timestamp) -> AgentPresence {
        let activity = self.agents.get(did).copied();
        let seen = activity.map(|activity| activity.last_seen);
        let working = seen.is_some_and(|seen| now.since(seen) < WORKING_MS);
        let activity = activity.unwrap_or_default();
        AgentPresence {
            id: did.to_string(),
            name: Some(name.to_owned()),
            state: if working { "working" } else { "idle" }.to_owned(),
            last_seen: seen,
            sent: activity.sent,
            received: activity.received,
            admin_read: Some(admin_read),
        }
    }

    /// Tells whether an agent that is working now will not be without doing anything more.
    #[must_use]
    pub fn will_rest(&self, now: Timestamp) -> bool {
        self.agents
            .values()
            .any(|activity| now.since(activity.last_seen) < WORKING_MS)
    }
}

/// Whether a link that went down with this code waits for an admin, on either side.
fn lacks_approval(code: &str) -> bool {
    matches!(code, "APPROVAL_NEEDED" | "APPROVAL_AWAITED") || code.starts_with("ATTESTATION_")
}

fn local(address: Option<&str>, host: &Host) -> Option<Did> {
    let address: Address = address?.parse().ok()?;
    (address.host == *host).then_some(address.did)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    fn did(byte: u8) -> Did {
        Did::from_scid(&[byte; 32])
    }

    fn event(kind: &str, from: u8, to: u8) -> Event {
        Event {
            seq: 1,
            kind: kind.to_owned(),
            at: Timestamp(1_000),
            from: Some(format!("{}@here.example", did(from))),
            to: Some(format!("{}@there.example", did(to))),
            message: None,
            peer: Some("there.example".to_owned()),
            code: None,
            label: None,
            latency_ms: None,
            more: None,
        }
    }

    #[test]
    fn only_agents_that_live_here_are_counted() {
        let (mut presence, here) = (Presence::default(), host("here.example"));
        let changed = presence.note(&event("message.accepted", 1, 2), &here);
        let activity = Activity {
            sent: 1,
            received: 0,
            last_seen: Timestamp(1_000),
        };
        assert_eq!(changed.agent, Some((did(1), activity)));
        let foreign = presence.note(&event("message.received", 1, 2), &here);
        assert_eq!(foreign, Changed::default());
    }

    #[test]
    fn an_event_that_stands_for_many_counts_as_many() {
        let (mut presence, here) = (Presence::default(), host("here.example"));
        let many = Event {
            more: Some(41),
            ..event("message.accepted", 1, 2)
        };
        let changed = presence.note(&many, &here);
        assert_eq!(changed.agent.map(|(_, activity)| activity.sent), Some(42));
    }

    #[test]
    fn an_agent_works_for_five_seconds_and_then_rests() {
        let (mut presence, here) = (Presence::default(), host("here.example"));
        presence.note(&event("message.accepted", 1, 2), &here);
        let state = |at| presence.show(&did(1), "alice", false, Timestamp(at)).state;
        assert_eq!(state(5_999), "working");
        assert_eq!(state(6_000), "idle");
        assert!(presence.will_rest(Timestamp(5_999)));
        assert!(!presence.will_rest(Timestamp(6_000)));
    }

    #[test]
    fn events_of_links_are_remembered_until_the_peer_goes() {
        let (mut presence, here) = (Presence::default(), host("here.example"));
        let there = host("there.example");
        assert_eq!(presence.link_state(&there), LinkState::Connecting);
        let changed = presence.note(&event("link.up", 1, 2), &here);
        assert_eq!(changed.link, Some((there.clone(), LinkState::Up)));
        assert_eq!(presence.link_state(&there), LinkState::Up);
        presence.note(&event("peer.removed", 1, 2), &here);
        assert_eq!(presence.link_state(&there), LinkState::Connecting);
    }

    #[test]
    fn a_link_that_lacks_an_approval_waits_and_is_not_called_unreachable() {
        let (mut presence, here) = (Presence::default(), host("here.example"));
        let mut down = event("link.down", 1, 2);
        for (code, state) in [
            ("APPROVAL_AWAITED", LinkState::Waiting),
            ("ATTESTATION_EXPIRED", LinkState::Waiting),
            ("PEER_SILENT", LinkState::Unreachable),
        ] {
            down.code = Some(code.to_owned());
            presence.note(&down, &here);
            assert_eq!(presence.link_state(&host("there.example")), state, "{code}");
        }
    }

    #[test]
    fn a_deleted_agent_is_forgotten() {
        let (mut presence, here) = (Presence::default(), host("here.example"));
        presence.note(&event("message.accepted", 1, 2), &here);
        let changed = presence.note(&event("agent.deleted", 1, 2), &here);
        assert_eq!((changed.gone, changed.directory), (Some(did(1)), true));
        assert_eq!(presence.show(&did(1), "a", false, Timestamp(0)).sent, 0);
    }
}
