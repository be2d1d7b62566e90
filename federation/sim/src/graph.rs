//! Who peers with whom.

use std::collections::BTreeSet;

use crate::rng::Rng;

/// Peers a network has at most.
const DEGREE: usize = 8;

/// A ring, so that everything hangs together, and random pairs on top until each network has its
/// peers or chance finds no more.
pub(crate) fn pairs(networks: usize, rng: &mut Rng) -> Vec<(usize, usize)> {
    let mut pairs = BTreeSet::new();
    let mut degree = vec![0; networks];
    let mut join = |a: usize, b: usize| {
        let pair = (a.min(b), a.max(b));
        let free = degree[a] < DEGREE && degree[b] < DEGREE;
        if a != b && free && pairs.insert(pair) {
            degree[a] += 1;
            degree[b] += 1;
        }
    };
    for network in 0..networks {
        join(network, (network + 1) % networks);
    }
    for _ in 0..networks * DEGREE * 4 {
        let (a, b) = (rng.index(networks), rng.index(networks));
        join(a, b);
    }
    pairs.into_iter().collect()
}
