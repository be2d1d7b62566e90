//! What exists, and how time passes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use entente_federation::{Input, Item, Limits, Link, Own, Peer, PeerDocument, Stream};
use entente_lexicon::{Did, Host, Timestamp, TrustLevel};
use entente_trust::announcement::{Announcement, DEFAULT_COLLECTION};
use entente_trust::crypto::sign::SigningKey;
use entente_trust::policy::Policy;

use crate::agent::Agent;
use crate::check::Checks;
use crate::fact::{Fact, number};
use crate::graph;
use crate::queue::{Call, Job, Queue};
use crate::rng::Rng;
use crate::settings::{Failure, Settings, Summary};
use crate::socket::Socket;
use crate::store::Store;
use crate::trace::Trace;

/// Virtual time 0, as a clock without skew shows it.
const EPOCH_MS: u64 = 1_800_000_000_000;
pub(crate) const AGENTS: usize = 3;
/// A network's agents send something this often, on average.
const SEND_EVERY_MS: u64 = 1_000;
/// The answer to one hand-over in so many is lost.
const ANSWER_LOST_ONCE_IN: u64 = 30;
/// Each link sees a fault this often, on average.
const FAULT_EVERY_MS: u64 = 15_000;
/// Clocks are wrong by this much at most.
const SKEW_MS: u64 = 600_000;
/// Healing takes this long at most; then what is left is stuck.
const HEALING_MS: u64 = 300_000;
/// This long after the last fault nobody accuses anybody.
const CALM_AFTER_MS: u64 = 120_000;

pub(crate) struct Network {
    pub(crate) did: Did,
    pub(crate) host: Host,
    pub(crate) kid: String,
    pub(crate) key: SigningKey,
    pub(crate) document: [u8; 32],
    /// What its clock shows at virtual time 0.
    pub(crate) clock: u64,
    pub(crate) ends: Vec<usize>,
    /// Whether it says what no honest network says.
    pub(crate) lies: bool,
}

/// One network's end of one link. Ends `2n` and `2n + 1` belong together.
pub(crate) struct End {
    pub(crate) network: usize,
    pub(crate) link: Option<Link>,
    pub(crate) life: u64,
    pub(crate) store: Store,
    pub(crate) policy: Policy,
    pub(crate) policy_change: u64,
    pub(crate) limits: Limits,
    /// What the link asked to be woken at, and the job that will.
    pub(crate) wake: Option<u64>,
    pub(crate) alarm: Option<u64>,
    /// By agent, the front one under way.
    pub(crate) calls: BTreeMap<usize, VecDeque<Call>>,
    pub(crate) sockets: BTreeSet<u64>,
    /// Messages refused in an answer that was lost, until they are handed over again.
    pub(crate) unheard: Option<BTreeSet<u64>>,
    /// The last frame it sent, for a liar to repeat.
    pub(crate) last_sent: Option<(u64, Vec<u8>)>,
}

pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) queue: Queue,
    pub(crate) trace: Trace,
    pub(crate) networks: Vec<Network>,
    pub(crate) ends: Vec<End>,
    /// By pair: nothing passes before this.
    pub(crate) cut_until: Vec<u64>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) agent_by_did: BTreeMap<Did, usize>,
    pub(crate) sockets: BTreeMap<u64, Socket>,
    pub(crate) next_socket: u64,
    pub(crate) next_message: u64,
    /// When messages expire, by their sender's clock.
    pub(crate) expiries: BTreeMap<u64, Timestamp>,
    pub(crate) faulty: bool,
    pub(crate) planted: bool,
    pub(crate) checks: Checks,
    pub(crate) summary: Summary,
    pub(crate) violation: Option<(&'static str, String)>,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut rng = Rng::new(settings.seed);
        let count = settings.networks.max(2);
        let mut networks: Vec<_> = (0..count)
            .map(|n| network(n, settings.liars, &mut rng))
            .collect();
        let pairs = graph::pairs(count, &mut rng);
        let mut ends = Vec::new();
        for (a, b) in &pairs {
            for network in [*a, *b] {
                networks[network].ends.push(ends.len());
                ends.push(end(network, &mut rng));
            }
        }
        let agents: Vec<_> = (0..count * AGENTS).map(agent).collect();
        let by_did = agents.iter().enumerate().map(|(n, a)| (a.did.clone(), n));
        let agent_by_did = by_did.collect();
        Self {
            settings,
            now: 0,
            rng,
            queue: Queue::default(),
            trace: Trace::default(),
            networks,
            ends,
            cut_until: vec![0; pairs.len()],
            agents,
            agent_by_did,
            sockets: BTreeMap::new(),
            next_socket: 0,
            next_message: 0,
            expiries: BTreeMap::new(),
            faulty: true,
            planted: false,
            checks: Checks::default(),
            summary: Summary {
                links: pairs.len(),
                ..Summary::default()
            },
            violation: None,
        }
    }

    pub(crate) fn run(mut self) -> Result<Summary, Box<Failure>> {
        for end in 0..self.ends.len() {
            let at = self.rng.below(5_000);
            self.queue.push(at, Job::Start { end, life: 0 });
        }
        for network in 0..self.networks.len() {
            let at = self.rng.below(2 * SEND_EVERY_MS);
            self.queue.push(at, Job::Send { network });
            if self.networks[network].lies {
                self.queue.push(10_000 + at, Job::Lie { network });
            }
        }
        self.queue.push(5_000, Job::Fault);
        let end = self.settings.minutes * 60_000;
        while self.step(end)? {}
        self.now = end;
        self.heal();
        while !self.is_settled() && self.step(end + HEALING_MS)? {}
        self.summary.healing_ms = self.now - end;
        // Late accusations, second answers: whatever still comes must be in order too.
        let quiet = self.now + CALM_AFTER_MS + 60_000;
        while self.step(quiet)? {}
        for end in 0..self.ends.len() {
            if self.is_honest(end) {
                let rest = self.rest(end);
                self.see(&Fact::Left(rest));
            }
        }
        if let Some(failed) = self.checks.finish() {
            self.violation.get_or_insert(failed);
        }
        if self.settings.plant.is_some() && !self.planted {
            let why = "the run gave no occasion: take more minutes or another seed";
            self.violation
                .get_or_insert(("the bug was planted", why.to_owned()));
        }
        self.result()?;
        let (withdrawn, rejected) = self.checks.refused_but_held();
        self.summary.withdrawn_but_held = withdrawn;
        self.summary.rejected_but_held = rejected;
        self.summary.trace = self.trace.finish();
        Ok(self.summary)
    }

    /// Shows a fact to the checkers; the first objection ends the run.
    pub(crate) fn see(&mut self, fact: &Fact<'_>) {
        if let Some(failed) = self.checks.see(fact) {
            self.violation.get_or_insert(failed);
        }
    }

    /// What an end's clock shows.
    pub(crate) fn local(&self, end: usize) -> Timestamp {
        Timestamp(self.networks[self.ends[end].network].clock + self.now)
    }

    /// Draws a clock that is as wrong as clocks may be.
    pub(crate) fn draw_clock(rng: &mut Rng) -> u64 {
        EPOCH_MS - SKEW_MS + rng.below(2 * SKEW_MS)
    }

    pub(crate) fn fault_pause(&mut self) -> u64 {
        let mean = FAULT_EVERY_MS / self.cut_until.len().max(1) as u64;
        self.rng.between(1, 2 * mean.max(1))
    }

    pub(crate) const fn is_calm(&self) -> bool {
        self.now > self.settings.minutes * 60_000 + CALM_AFTER_MS
    }

    fn is_settled(&self) -> bool {
        let is_empty = |end: &End| Stream::ALL.iter().all(|s| end.store.rows(*s) == 0);
        let mut ends = self.ends.iter().enumerate();
        ends.all(|(number, end)| is_empty(end) || !self.is_honest(number))
    }

    fn result(&mut self) -> Result<(), Box<Failure>> {
        let Some((invariant, detail)) = self.violation.take() else {
            return Ok(());
        };
        Err(Box::new(Failure {
            settings: self.settings,
            at_ms: self.now,
            invariant,
            detail,
        }))
    }

    /// Does the next thing that is due by `until`.
    fn step(&mut self, until: u64) -> Result<bool, Box<Failure>> {
        let Some(((at, seq), job)) = self.queue.pop(until) else {
            return Ok(false);
        };
        self.now = self.now.max(at);
        self.summary.events += 1;
        let [kind, a, b] = job.numbers();
        self.trace.numbers(&[at, seq, kind, a, b]);
        self.perform_job(job);
        self.result()?;
        Ok(true)
    }

    fn perform_job(&mut self, job: Job) {
        match job {
            Job::Start { end, life } => self.start(end, life),
            Job::Wake { end } => self.wake(end),
            Job::Arrive { socket, side } => self.arrive(socket, side),
            Job::Connect { end, life } => self.connect(end, life),
            Job::Document { end, life } => {
                if self.ends[end].life == life {
                    let document = self.document(self.ends[end ^ 1].network);
                    self.input(end, Input::Document(Ok(document)));
                }
            }
            Job::Commit(call) => self.commit(*call),
            Job::Answer {
                end,
                life,
                agent,
                epoch,
                verdicts,
            } => self.answer(end, life, agent, (epoch, verdicts)),
            Job::Send { network } => self.send(network),
            Job::Taken { end, life, stream } => self.taken(end, life, stream),
            Job::Lie { network } => self.lie(network),
            Job::Again { end, items } => self.hand_over_again(end, items),
            Job::Fault => self.fault(),
            Job::Reopen { end, change } => self.reopen(end, change),
        }
    }

    /// Some agent of the network writes to some agent of a peer.
    fn send(&mut self, network: usize) {
        if !self.faulty {
            return;
        }
        let pause = self.rng.between(1, 2 * SEND_EVERY_MS);
        self.queue.push(self.now + pause, Job::Send { network });
        let ends = &self.networks[network].ends;
        let end = ends[self.rng.index(ends.len())];
        if self.ends[end].link.is_none() || self.ends[end].unheard.is_some() {
            return;
        }
        let burst = if self.rng.once_in(50) {
            100
        } else {
            self.rng.between(1, 6)
        };
        let items: Vec<_> = (0..burst).map(|_| self.message(end)).collect();
        if self.rng.once_in(ANSWER_LOST_ONCE_IN) {
            self.ends[end].unheard = Some(BTreeSet::new());
            let (pause, items) = (self.rng.between(100, 3_000), items.clone());
            let again = Job::Again { end, items };
            self.queue.push(self.now + pause, again);
        }
        let stream = Stream::Msg;
        self.input(end, Input::Enqueue { stream, items });
        self.send_others(network);
    }

    /// The answer to these was lost: the network hands them over again, before any others. What the
    /// link has, its driver knows by its id; what it refused, it may take now.
    fn hand_over_again(&mut self, end: usize, mut items: Vec<Item>) {
        if self.ends[end].link.is_none() {
            let again = Job::Again { end, items };
            return self.queue.push(self.now + 500, again);
        }
        let Some(refused) = self.ends[end].unheard.take() else {
            return;
        };
        items.retain(|item| {
            refused.contains(&number(&item.id)) && !self.ends[end].store.holds(&item.id)
        });
        self.summary.handed_again += 1;
        let stream = Stream::Msg;
        self.input(end, Input::Enqueue { stream, items });
    }

    /// Now and then the network announces something to all its peers, or says something about a
    /// message to one of them.
    fn send_others(&mut self, network: usize) {
        if self.rng.once_in(16) {
            let burst = if self.rng.once_in(10) { 40 } else { 1 };
            for end in self.networks[network].ends.clone() {
                self.offer(end, Stream::Evt, burst);
            }
        }
        if self.rng.once_in(2) {
            let ends = &self.networks[network].ends;
            let end = ends[self.rng.index(ends.len())];
            let burst = self.rng.between(1, 5);
            self.offer(end, Stream::Ctl, burst);
        }
    }

    fn offer(&mut self, end: usize, stream: Stream, burst: u64) {
        let make = |_| {
            let item = self.message(end);
            match stream {
                Stream::Evt => self.announcement(end, item),
                Stream::Msg | Stream::Ctl => Item {
                    expires: None,
                    ..item
                },
            }
        };
        let items = (0..burst).map(make).collect();
        self.input(end, Input::Enqueue { stream, items });
    }

    /// Turns a message into an announcement of the same agent. A link asks for its form; drivers
    /// alone ask who signed it.
    #[expect(clippy::expect_used, reason = "a constant form")]
    fn announcement(&self, end: usize, item: Item) -> Item {
        let text = "x".repeat(item.bytes.len() / 4);
        let announcement = Announcement {
            id: item.id,
            from: item.from.clone(),
            network: self.networks[self.ends[end].network].did.clone(),
            collection: DEFAULT_COLLECTION.to_owned(),
            at: self.local(end),
            content: format!(r#"{{"kind":"text","text":"{text}"}}"#),
            kid: String::new(),
        };
        let bytes = announcement.with_signature([0; 64]);
        Item {
            to: self.networks[self.ends[end ^ 1].network].did.clone(),
            bytes: bytes.expect("an announcement of our own").into(),
            expires: None,
            ..item
        }
    }

    fn message(&mut self, end: usize) -> Item {
        self.next_message += 1;
        let mut id = [1; 16];
        id[..8].copy_from_slice(&self.next_message.to_be_bytes());
        let from = self.ends[end].network * AGENTS + self.rng.index(AGENTS);
        let to = self.ends[end ^ 1].network * AGENTS + self.rng.index(AGENTS);
        let length = 50 + self.rng.index(400);
        let expires = if self.rng.once_in(4) {
            let soon = self.rng.between(100, 60_000);
            Some(self.local(end).after(soon))
        } else {
            None
        };
        self.expiries
            .extend(expires.map(|expires| (self.next_message, expires)));
        Item {
            id,
            from: self.agents[from].did.clone(),
            to: self.agents[to].did.clone(),
            bytes: vec![id[7]; length].into(),
            expires,
        }
    }

    pub(crate) fn own(&self, network: usize) -> Own {
        let network = &self.networks[network];
        Own {
            did: network.did.clone(),
            host: network.host.clone(),
            kid: network.kid.clone(),
            document_hash: network.document,
        }
    }

    pub(crate) fn peer(&self, network: usize) -> Peer {
        Peer {
            did: self.networks[network].did.clone(),
            host: self.networks[network].host.clone(),
            document: self.document(network),
        }
    }

    pub(crate) fn document(&self, network: usize) -> PeerDocument {
        let network = &self.networks[network];
        PeerDocument {
            hash: network.document,
            keys: BTreeMap::from([(network.kid.clone(), network.key.verifying_key())]),
            host: network.host.clone(),
            fetched_at: Timestamp(0),
        }
    }
}

fn network(number: usize, liars: usize, rng: &mut Rng) -> Network {
    Network {
        // The last of each so many: the first networks are honest in every world.
        lies: liars > 0 && number % liars == liars - 1,
        did: Did::from_scid(&rng.bytes32()),
        host: host(number),
        kid: format!("kid-{number}"),
        key: SigningKey::from_seed(&rng.bytes32()),
        document: rng.bytes32(),
        clock: World::draw_clock(rng),
        ends: Vec::new(),
    }
}

#[expect(clippy::expect_used, reason = "a constant form")]
fn host(number: usize) -> Host {
    Host::parse(&format!("net{number}.example.com")).expect("a valid host")
}

fn end(network: usize, rng: &mut Rng) -> End {
    let backoff_cap_ms = 20_000;
    let mut limits = Limits {
        backoff_cap_ms,
        ..Limits::default()
    };
    // Some are tight, so that windows close and outboxes fill.
    if rng.once_in(2) {
        limits = Limits {
            window_items: 16,
            window_bytes: 8 * 1024,
            outbox_items: 64,
            outbox_bytes: 16 * 1024,
            event_window_items: 8,
            event_window_bytes: 4 * 1024,
            event_outbox_items: 32,
            event_outbox_bytes: 16 * 1024,
            control_window_items: 8,
            control_window_bytes: 4 * 1024,
            control_outbox_items: 32,
            control_outbox_bytes: 16 * 1024,
            ..limits
        };
    }
    End {
        network,
        link: None,
        life: 0,
        store: Store::default(),
        policy: open(),
        policy_change: 0,
        limits,
        wake: None,
        alarm: None,
        calls: BTreeMap::new(),
        sockets: BTreeSet::new(),
        unheard: None,
        last_sent: None,
    }
}

pub(crate) const fn open() -> Policy {
    Policy::new(TrustLevel::Open, BTreeSet::new())
}

fn agent(number: usize) -> Agent {
    let mut hash = [7; 32];
    hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Agent::new(Did::from_scid(&hash))
}
