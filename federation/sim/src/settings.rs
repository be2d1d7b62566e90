//! What a run is given and what it gives back.

use std::fmt;

use entente_federation::PlantedBug;

/// Everything that decides a run. The same settings give the same run, event for event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where all chance comes from.
    pub seed: u64,
    /// How many networks, two at least.
    pub networks: usize,
    /// Virtual minutes with faults; healing comes on top.
    pub minutes: u64,
    /// One network in so many lies; 0 for none.
    pub liars: usize,
    /// A bug that a link commits once, to see the checkers find it.
    pub plant: Option<PlantedBug>,
}

const fn name(plant: PlantedBug) -> &'static str {
    match plant {
        PlantedBug::DropAck => "drop-ack",
        PlantedBug::SkipDedup => "skip-dedup",
    }
}

/// What happened, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events taken from the queue.
    pub events: u64,
    /// Links, both ends counted as one.
    pub links: usize,
    /// Messages accepted by a link.
    pub accepted: u64,
    /// Messages that expired before they were ever sent.
    pub expired: u64,
    /// Events and control records that arrived.
    pub received: u64,
    /// Gaps among events, each told to its receiver.
    pub gaps: u64,
    /// Messages refused at once.
    pub refused: u64,
    /// Messages that an agent committed.
    pub committed: u64,
    /// Times an agent was offered what it held.
    pub duplicates: u64,
    /// Sessions that came up, each end counted.
    pub sessions: u64,
    /// Faults put in.
    pub faults: u64,
    /// Machines that lost their memory, whatever the reason.
    pub crashes: u64,
    /// Frames that liars made up.
    pub lies: u64,
    /// Messages handed to a link again, because its answer was lost.
    pub handed_again: u64,
    /// Events `Misbehaved` about honest peers, all of the kinds that honest peers can cause.
    pub accusations: u64,
    /// Messages withdrawn by their sender's link although the agent holds them; see ADR 5.
    pub withdrawn_but_held: u64,
    /// Messages refused by the receiving link although the agent holds them; see ADR 5.
    pub rejected_but_held: u64,
    /// Virtual time until everything was settled after the faults ended, in ms.
    pub healing_ms: u64,
    /// SHA-256 over everything that happened, in order.
    pub trace: [u8; 32],
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The run.
    pub settings: Settings,
    /// Virtual time since the start, in ms.
    pub at_ms: u64,
    /// Which invariant.
    pub invariant: &'static str,
    /// What was seen.
    pub detail: String,
}

impl Failure {
    /// The command that replays the run.
    #[must_use]
    pub fn replay(&self) -> String {
        let Settings {
            seed,
            networks,
            minutes,
            liars,
            plant,
        } = self.settings;
        let plant = plant.map_or_else(String::new, |plant| format!(" --plant {}", name(plant)));
        format!(
            "cargo xtask sim --seed {seed} --networks {networks} --minutes {minutes} --liars {liars}{plant}"
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {} at {}.{:03} s: {} violated",
            self.settings.seed,
            self.at_ms / 1000,
            self.at_ms % 1000,
            self.invariant
        )?;
        writeln!(f, "  {}", self.detail)?;
        write!(f, "  replay: {}", self.replay())
    }
}
