//! Messages on their way through the graph, as short pulses.

use std::collections::BTreeMap;

use entente_lexicon::api::Event;

use crate::view::kind::{Kind, Tone};
use crate::view::names::id_of;
use crate::view::topology::{Layout, Point};

/// Pulses in flight at most; what exceeds them is counted elsewhere, not drawn.
pub const MAX_PULSES: usize = 24;
const PIXELS_PER_MS: f64 = 0.32;
const MIN_DURATION_MS: f64 = 350.0;

/// Who stands where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// This network.
    pub hub: Point,
    /// Agents by id.
    pub agents: BTreeMap<String, Point>,
    /// Peers by host.
    pub peers: BTreeMap<String, Point>,
}

impl Places {
    /// Names the points of a picture.
    #[must_use]
    pub fn new(picture: &Layout, agents: &[String], hosts: &[String]) -> Self {
        let named = |names: &[String], points: &[Point]| {
            names.iter().cloned().zip(points.iter().copied()).collect()
        };
        Self {
            hub: picture.hub,
            agents: named(agents, &picture.agents),
            peers: named(hosts, &picture.peers),
        }
    }

    fn agent(&self, party: Option<&String>) -> Option<Point> {
        self.agents.get(id_of(party?)).copied()
    }

    /// Returns the points a message passes, or none where nothing moved.
    #[must_use]
    pub fn path(&self, event: &Event) -> Option<Vec<Point>> {
        let peer = || self.peers.get(event.peer.as_ref()?).copied();
        let ends = match Kind::parse(&event.kind) {
            Kind::Accepted if event.peer.is_some() => [self.agent(event.from.as_ref()), peer()],
            Kind::Accepted => [
                self.agent(event.from.as_ref()),
                self.agent(event.to.as_ref()),
            ],
            // Observers are not told which peer: what no agent here wrote came from outside.
            Kind::Received if event.peer.is_some() || self.agent(event.from.as_ref()).is_none() => {
                [peer(), self.agent(event.to.as_ref())]
            }
            Kind::Refused => [peer().or(Some(self.hub)), self.agent(event.from.as_ref())],
            Kind::Delivered
            | Kind::Read
            | Kind::Quarantined
            | Kind::Held
            | Kind::Decided
            | Kind::ReceiptRefused
            | Kind::Received
            | Kind::Expired
            | Kind::Unconfirmed
            | Kind::AgentCreated
            | Kind::AgentDeleted
            | Kind::AgentKeysRotated
            | Kind::KeysRotated
            | Kind::KeysRecovered
            | Kind::PeerAdded
            | Kind::PeerChanged
            | Kind::PeerRemoved
            | Kind::LinkUp
            | Kind::LinkIdle
            | Kind::LinkDown
            | Kind::LinkRefused
            | Kind::LinkFrozen
            | Kind::LinkThawed
            | Kind::Announced
            | Kind::AnnouncementReceived
            | Kind::EventsLost
            | Kind::Other => return None,
        };
        let [start, end] = ends;
        let points: Vec<Point> = [start, Some(self.hub), end].into_iter().flatten().collect();
        (points.len() > 1 && length(&points) > 1.0).then_some(points)
    }
}

/// One message on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Pulse {
    points: Vec<Point>,
    tone: Tone,
    start_ms: f64,
    duration_ms: f64,
}

/// A pulse at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spark {
    /// Where it is.
    pub at: Point,
    /// How it is coloured.
    pub tone: Tone,
}

/// All pulses in flight.
#[derive(Clone, Debug, Default)]
pub struct Pulses {
    slots: Vec<Option<Pulse>>,
}

impl Pulses {
    /// Starts a pulse where a slot is free.
    pub fn start(&mut self, points: Vec<Point>, tone: Tone, now_ms: f64) {
        let duration_ms = (length(&points) / PIXELS_PER_MS).max(MIN_DURATION_MS);
        let pulse = Pulse {
            points,
            tone,
            start_ms: now_ms,
            duration_ms,
        };
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(pulse);
        } else if self.slots.len() < MAX_PULSES {
            self.slots.push(Some(pulse));
        }
    }

    /// Returns where the pulse of each slot is, and frees the slots of those that arrived.
    pub fn frame(&mut self, now_ms: f64) -> Vec<Option<Spark>> {
        for slot in &mut self.slots {
            if slot
                .as_ref()
                .is_some_and(|p| now_ms - p.start_ms >= p.duration_ms)
            {
                *slot = None;
            }
        }
        let spark = |pulse: &Pulse| {
            let share = ((now_ms - pulse.start_ms) / pulse.duration_ms).clamp(0.0, 1.0);
            Spark {
                at: along(&pulse.points, ease(share)),
                tone: pulse.tone,
            }
        };
        self.slots
            .iter()
            .map(|slot| slot.as_ref().map(spark))
            .collect()
    }

    /// Tells whether nothing moves.
    #[must_use]
    pub fn is_still(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }
}

fn ease(share: f64) -> f64 {
    share * share * (3.0 - 2.0 * share)
}

fn length(points: &[Point]) -> f64 {
    points.windows(2).map(leg).sum()
}

fn leg(pair: &[Point]) -> f64 {
    match pair {
        [a, b] => a.distance(*b),
        _ => 0.0,
    }
}

/// Returns the point this share of the way along a line.
fn along(points: &[Point], share: f64) -> Point {
    let mut left = length(points) * share;
    for pair in points.windows(2) {
        let [a, b] = pair else { continue };
        let leg = leg(pair);
        if left <= leg && leg > 0.0 {
            return a.toward(*b, left / leg);
        }
        left -= leg;
    }
    points.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::fixture::event;

    fn places() -> Places {
        let at = |x, y| Point { x, y };
        Places {
            hub: at(100.0, 100.0),
            agents: BTreeMap::from([("did:cf:1".to_owned(), at(100.0, 0.0))]),
            peers: BTreeMap::from([("b.example".to_owned(), at(200.0, 100.0))]),
        }
    }

    #[test]
    fn a_message_to_a_peer_goes_through_the_hub() {
        let sent = Event {
            from: Some("did:cf:1@a.example".to_owned()),
            to: Some("did:cf:9@b.example".to_owned()),
            peer: Some("b.example".to_owned()),
            ..event(1, "message.accepted")
        };
        let path = places().path(&sent).unwrap();
        assert_eq!(path.len(), 3);
        let mut pulses = Pulses::default();
        pulses.start(path, Tone::Calm, 0.0);
        let half = pulses.frame(312.5).first().copied().flatten().unwrap();
        assert!(
            half.at.distance(Point { x: 100.0, y: 100.0 }) < 0.5,
            "{half:?}"
        );
        assert!(!pulses.is_still());
        assert_eq!(pulses.frame(10_000.0), [None]);
        assert!(pulses.is_still());
    }

    #[test]
    fn what_does_not_move_has_no_path() {
        assert_eq!(places().path(&event(1, "link.up")), None);
        assert_eq!(places().path(&event(1, "message.delivered")), None);
        let unknown = Event {
            peer: Some("x".to_owned()),
            ..event(1, "message.accepted")
        };
        assert_eq!(places().path(&unknown), None);
    }

    #[test]
    fn pulses_are_bounded() {
        let mut pulses = Pulses::default();
        for _ in 0..100 {
            pulses.start(
                vec![Point::default(), Point { x: 9.0, y: 0.0 }],
                Tone::Good,
                0.0,
            );
        }
        assert_eq!(pulses.frame(1.0).len(), MAX_PULSES);
    }
}
