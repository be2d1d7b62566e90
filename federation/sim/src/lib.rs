//! The deterministic simulator: many networks, the link that ships, every fault we can think of,
//! and checkers that watch.
//!
//! Each end of each link is one `entente_federation::Link`, driven like a Durable Object drives it:
//! a store that survives, an alarm, sockets, agents behind calls that can fail. Time is virtual and
//! all chance comes from the seed, so a run repeats event for event and a failure replays from its
//! command line. Dev code only: nothing that ships depends on it, and it performs no I/O.
//!
//! Start reading at `world` (what exists and how time passes), then `driver` (how outputs are done,
//! and where a machine may die), `calls` (what agents are told), `faults` (what
//! breaks) and `check` (what must hold, a file each).

#![expect(
    clippy::indexing_slicing,
    reason = "the world hands out its indices and removes nothing; a wrong one must stop the run"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a checker looks at the facts it is about, and at no others"
)]

mod agent;
mod byzantine;
mod calls;
mod check;
mod driver;
mod fact;
mod faults;
mod graph;
mod queue;
mod rng;
mod settings;
mod socket;
mod store;
mod trace;
mod wire;
mod world;

pub use entente_federation::PlantedBug;
pub use settings::{Failure, Settings, Summary};

/// Runs one seed to its end: faults, then healing, then the final account.
///
/// # Errors
///
/// The first invariant that did not hold.
pub fn run(settings: Settings) -> Result<Summary, Box<Failure>> {
    world::World::new(settings).run()
}
