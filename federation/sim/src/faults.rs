//! What breaks, and how all of it heals.

use std::collections::BTreeSet;

use entente_federation::Input;
use entente_lexicon::TrustLevel;
use entente_trust::policy::Policy;

use crate::queue::Job;
use crate::world::{AGENTS, World, open};

/// One fault in a hundred is a partition in a world of so many links.
const PARTITION_SHARE: usize = 40;

impl World {
    /// Something breaks, and the next fault is on its way.
    pub(crate) fn fault(&mut self) {
        if !self.faulty {
            return;
        }
        let pause = self.fault_pause();
        self.queue.push(self.now + pause, Job::Fault);
        self.summary.faults += 1;
        let end = self.rng.index(self.ends.len());
        match self.rng.below(100) {
            0..20 => self.evict(end),
            20..40 => self.break_socket(end),
            40..58 => self.stall(end),
            58..78 => self.flip(end),
            78..90 => {
                let agent = self.rng.index(self.agents.len());
                self.agents[agent].slow_until = self.now + self.rng.between(1_000, 20_000);
            }
            90..95 => {
                let until = self.now + self.rng.between(1_000, 40_000);
                self.cut_until[end / 2] = until;
            }
            95..97 => self.isolate(self.ends[end].network),
            97..99 => self.deploy(self.ends[end].network),
            // These concern all links: as often in a large world as in a small one.
            _ if self.rng.index(self.cut_until.len()) < PARTITION_SHARE => self.partition(),
            _ => self.evict(end),
        }
    }

    fn evict(&mut self, end: usize) {
        if self.ends[end].link.is_some() {
            self.crash(end);
        }
    }

    /// A new version: every link of the network loses its memory at once, and the new machine's
    /// clock is wrong in its own way.
    fn deploy(&mut self, network: usize) {
        let clock = Self::draw_clock(&mut self.rng);
        self.networks[network].clock = clock;
        for end in self.networks[network].ends.clone() {
            self.crash(end);
        }
    }

    fn break_socket(&mut self, end: usize) {
        // Half of the time one side learns of it much later.
        let late = if self.rng.once_in(2) {
            0
        } else {
            self.rng.between(10_000, 60_000)
        };
        for socket in self.ends[end].sockets.clone() {
            self.kill(socket, late);
        }
    }

    /// Nothing gets through one way for a while.
    fn stall(&mut self, end: usize) {
        let until = self.now + self.rng.between(500, 40_000);
        let side = self.rng.index(2);
        for id in self.ends[end].sockets.clone() {
            if let Some(socket) = self.sockets.get_mut(&id) {
                socket.stalled_until[side] = until;
            }
        }
    }

    /// One network loses all its peers.
    fn isolate(&mut self, network: usize) {
        let until = self.now + self.rng.between(1_000, 30_000);
        for end in &self.networks[network].ends {
            self.cut_until[end / 2] = until;
        }
    }

    /// The world falls in two.
    fn partition(&mut self) {
        let until = self.now + self.rng.between(1_000, 20_000);
        let salt = self.rng.next();
        let half = |network: usize| (salt >> (network % 64)) & 1;
        for pair in 0..self.cut_until.len() {
            let [a, b] = [pair * 2, pair * 2 + 1].map(|end| half(self.ends[end].network));
            if a != b {
                self.cut_until[pair] = until;
            }
        }
    }

    /// An admin lets nobody through, or only some, and after a while everybody again.
    fn flip(&mut self, end: usize) {
        let mut allow_agents = BTreeSet::new();
        let level = if self.rng.once_in(2) {
            TrustLevel::Private
        } else {
            let peer = self.ends[end ^ 1].network;
            for agent in peer * AGENTS..(peer + 1) * AGENTS {
                if self.rng.once_in(2) {
                    allow_agents.insert(self.agents[agent].did.clone());
                }
            }
            TrustLevel::Allowlist
        };
        self.set_policy(end, Policy::new(level, allow_agents));
        let change = self.ends[end].policy_change;
        let pause = self.rng.between(200, 20_000);
        self.queue
            .push(self.now + pause, Job::Reopen { end, change });
    }

    pub(crate) fn reopen(&mut self, end: usize, change: u64) {
        if self.ends[end].policy_change == change {
            self.set_policy(end, open());
        }
    }

    fn set_policy(&mut self, end: usize, policy: Policy) {
        self.ends[end].policy = policy.clone();
        self.ends[end].policy_change += 1;
        self.input(end, Input::Policy(policy));
    }

    /// Nothing breaks any more, and what was broken works again.
    pub(crate) fn heal(&mut self) {
        self.faulty = false;
        self.cut_until.fill(0);
        for agent in &mut self.agents {
            agent.slow_until = 0;
        }
        for (id, socket) in &mut self.sockets {
            socket.stalled_until = [0; 2];
            for side in [0, 1] {
                for _ in 0..socket.parcels_to(side) {
                    self.queue.push(self.now, Job::Arrive { socket: *id, side });
                }
            }
        }
        for end in 0..self.ends.len() {
            if self.ends[end].policy != open() {
                self.set_policy(end, open());
            }
        }
    }
}
