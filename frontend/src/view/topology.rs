//! Where the nodes of the federation graph stand: the same input always gives the same picture.

use std::f64::consts::{PI, TAU};

/// Agents drawn at most; the list beside the graph has the rest.
pub const MAX_AGENTS: usize = 48;
/// Agents drawn at most where it is narrow.
const MAX_AGENTS_NARROW: usize = 18;
/// The longest host that has room beside others, by how many peers there are.
const HOST_CHARS: usize = 24;
const HOST_CHARS_NARROW: usize = 15;
/// Above this number agents lose their labels, which show again on focus and hover.
const MAX_LABELLED: usize = 16;
/// Above this number agents stand in two rings.
const MAX_ONE_RING: usize = 20;
const HUB_RADIUS: f64 = 34.0;
/// Where on an edge its badge sits: outside the ring of agents.
pub const BADGE_AT: f64 = 0.72;
/// Peers keep to two arcs this wide so that their labels do not meet the agents'.
const MAX_ARC: f64 = PI * 0.72;
/// Agents do not stand in gaps between peers narrower than this.
const MIN_GAP: f64 = PI * 0.3;

/// A point in CSS pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// From the left.
    pub x: f64,
    /// From the top.
    pub y: f64,
}

impl Point {
    /// Returns the point this share of the way to `other`.
    #[must_use]
    pub fn toward(self, other: Self, share: f64) -> Self {
        Self {
            x: self.x + (other.x - self.x) * share,
            y: self.y + (other.y - self.y) * share,
        }
    }

    /// Returns the distance to `other`.
    #[must_use]
    pub fn distance(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }
}

/// The picture: positions in the order of the input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// The width of the picture.
    pub width: f64,
    /// The height of the picture.
    pub height: f64,
    /// Where this network stands.
    pub hub: Point,
    /// The radius of its node.
    pub hub_radius: f64,
    /// Where agents stand, at most [`MAX_AGENTS`].
    pub agents: Vec<Point>,
    /// Where peers stand.
    pub peers: Vec<Point>,
    /// Where the badges of the edges to the peers sit.
    pub badges: Vec<Point>,
    /// How many characters of a host there is room for; 0 where hosts show only when pointed at.
    pub host_chars: usize,
    /// Whether agents show their labels without being pointed at.
    pub labelled: bool,
}

/// Returns the height a picture of this width and content wants.
#[must_use]
pub fn wanted_height(width: f64, peers: usize) -> f64 {
    let crowd = peers.saturating_sub(6) as f64 * 18.0;
    if width < 520.0 {
        400.0 + crowd * 0.5
    } else {
        380.0 + crowd
    }
}

/// Places everything.
#[must_use]
pub fn layout(width: f64, height: f64, agents: usize, peers: usize) -> Layout {
    let hub = Point {
        x: width / 2.0,
        y: height / 2.0 - 6.0,
    };
    let wide = width >= height * 1.15;
    let (rx, ry) = (
        (width / 2.0 - if wide { 92.0 } else { 58.0 }).max(60.0),
        (height / 2.0 - 52.0).max(60.0),
    );
    let angles = peer_angles(peers, wide);
    let on_ellipse = |angle: &f64| Point {
        x: hub.x + rx * angle.cos(),
        y: hub.y + ry * angle.sin(),
    };
    let peers: Vec<Point> = angles.iter().map(on_ellipse).collect();
    let ring = if wide {
        ((rx * 0.52).min(230.0), ry * 0.86)
    } else {
        (rx * 0.98, (ry * 0.5).min(110.0))
    };
    let shown = agents.min(if wide { MAX_AGENTS } else { MAX_AGENTS_NARROW });
    let host_chars = match peers.len() {
        0..=2 => HOST_CHARS,
        _ if wide => HOST_CHARS,
        3..=4 => HOST_CHARS_NARROW,
        5.. => 0,
    };
    let agents = agent_angles(shown, &angles)
        .into_iter()
        .enumerate()
        .map(|(index, angle)| {
            let inner = shown > MAX_ONE_RING && !index.is_multiple_of(2);
            let share = if inner { 0.74 } else { 1.0 };
            Point {
                x: hub.x + ring.0 * share * angle.cos(),
                y: hub.y + ring.1 * share * angle.sin(),
            }
        })
        .collect();
    Layout {
        width,
        height,
        hub,
        hub_radius: HUB_RADIUS,
        agents,
        badges: peers
            .iter()
            .map(|peer| hub.toward(*peer, BADGE_AT))
            .collect(),
        peers,
        host_chars,
        labelled: shown <= MAX_LABELLED,
    }
}

/// Peers alternate between two facing arcs: right and left, or bottom and top where it is narrow.
fn peer_angles(peers: usize, wide: bool) -> Vec<f64> {
    let turn = if wide { 0.0 } else { PI / 2.0 };
    let first = peers.div_ceil(2);
    let place = |index: usize| {
        let (side, count) = if index.is_multiple_of(2) {
            (0.0, first)
        } else {
            (PI, peers - first)
        };
        let arc = MAX_ARC * (1.0 - 1.0 / count.max(1) as f64);
        let step = if count > 1 {
            arc / (count - 1) as f64
        } else {
            0.0
        };
        turn + side - arc / 2.0 + step * (index / 2) as f64
    };
    (0..peers).map(place).collect()
}

/// Agents share the gaps between peers in proportion to their width, evenly within a gap.
fn agent_angles(agents: usize, peers: &[f64]) -> Vec<f64> {
    let gaps = gaps(peers);
    let total: f64 = gaps.iter().map(|(_, width)| width).sum();
    if total <= 0.0 {
        return Vec::new();
    }
    let mut counts: Vec<usize> = gaps
        .iter()
        .map(|(_, width)| (agents as f64 * width / total) as usize)
        .collect();
    while counts.iter().sum::<usize>() < agents {
        let room = |(index, count): (usize, &usize)| {
            let width = gaps.get(index).map_or(0.0, |gap| gap.1);
            (index, width / (*count + 1) as f64)
        };
        let widest = counts
            .iter()
            .enumerate()
            .map(room)
            .fold((0, f64::MIN), |best, next| {
                if next.1 > best.1 + 1e-9 { next } else { best }
            });
        match counts.get_mut(widest.0) {
            Some(count) => *count += 1,
            None => break,
        }
    }
    let within = |((start, width), count): (&(f64, f64), &usize)| {
        let (start, step) = (*start, width / (*count + 1) as f64);
        (1..=*count)
            .map(move |index| start + step * index as f64)
            .collect::<Vec<_>>()
    };
    gaps.iter().zip(&counts).flat_map(within).collect()
}

/// Returns start and width of the gaps that may hold agents.
fn gaps(peers: &[f64]) -> Vec<(f64, f64)> {
    let mut sorted: Vec<f64> = peers.iter().map(|angle| angle.rem_euclid(TAU)).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(first) = sorted.first().copied() else {
        return vec![(-PI / 2.0, TAU)];
    };
    let ends = sorted.iter().skip(1).copied().chain([first + TAU]);
    let all: Vec<(f64, f64)> = sorted.iter().zip(ends).map(|(a, b)| (*a, b - a)).collect();
    all.into_iter()
        .filter(|(_, width)| *width >= MIN_GAP)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_peers_face_each_other_and_agents_stand_between() {
        let picture = layout(900.0, 400.0, 3, 2);
        let [right, left] = picture.peers.as_slice() else {
            unreachable!()
        };
        assert!(right.x > 800.0 && left.x < 100.0);
        assert!((right.y - picture.hub.y).abs() < 0.01 && (left.y - picture.hub.y).abs() < 0.01);
        for agent in &picture.agents {
            assert!(
                (agent.y - picture.hub.y).abs() > 60.0,
                "{agent:?} stands on an edge"
            );
        }
        let narrow = layout(328.0, 420.0, 3, 2);
        assert!((narrow.peers[0].x - narrow.hub.x).abs() < 0.01);
    }

    proptest! {
        #[test]
        fn everyone_has_a_place_inside_and_apart(width in 320.0..1600.0f64, agents in 0usize..80, peers in 0usize..12) {
            let height = wanted_height(width, peers);
            let picture = layout(width, height, agents, peers);
            prop_assert!(picture.agents.len() == agents || picture.agents.len() >= MAX_AGENTS_NARROW);
            prop_assert!(picture.agents.len() <= MAX_AGENTS);
            prop_assert_eq!(picture.peers.len(), peers);
            for point in picture.agents.iter().chain(&picture.peers) {
                prop_assert!(point.x > 20.0 && point.x < width - 20.0, "{:?}", point);
                prop_assert!(point.y > 20.0 && point.y < height - 20.0, "{:?}", point);
            }
            for (index, a) in picture.peers.iter().enumerate() {
                for b in picture.peers.iter().skip(index + 1) {
                    prop_assert!(a.distance(*b) > 20.0);
                }
                for b in &picture.agents {
                    prop_assert!(a.distance(*b) > 20.0, "{:?} {:?}", a, b);
                }
            }
        }
    }
}
