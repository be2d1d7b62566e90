//! Two links, their drivers, and the network between them, in virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use entente_federation::{
    Claimed, Code, Config, Event, Input, Item, Limits, Link, Outputs, Own, Peer, PeerDocument,
    Request, SocketId, Stream, View,
};
use entente_lexicon::{Did, Host, Timestamp, TrustLevel};
use entente_trust::crypto::sign::SigningKey;
use entente_trust::policy::Policy;

use crate::disk::Store;
use crate::rng::TestRng;

/// How long a frame, a dial or a fetch is under way.
pub(crate) const LATENCY_MS: u64 = 10;

pub(crate) const ALPHA: usize = 0;
pub(crate) const BETA: usize = 1;

/// One network's fixed part.
#[derive(Clone)]
pub(crate) struct Identity {
    pub did: Did,
    pub host: Host,
    pub kid: String,
    pub key: SigningKey,
    pub document: [u8; 32],
}

impl Identity {
    pub(crate) fn new(number: u8) -> Self {
        Self {
            did: Did::from_scid(&[number; 32]),
            host: Host::parse(&format!("net{number}.example.com")).unwrap(),
            kid: format!("kid-{number}"),
            key: SigningKey::from_seed(&[number; 32]),
            document: [number ^ 0xff; 32],
        }
    }

    pub(crate) fn claimed(&self) -> Claimed {
        Claimed {
            did: self.did.clone(),
            kid: self.kid.clone(),
        }
    }

    pub(crate) fn own(&self) -> Own {
        Own {
            did: self.did.clone(),
            host: self.host.clone(),
            kid: self.kid.clone(),
            document_hash: self.document,
        }
    }

    pub(crate) fn as_document(&self) -> PeerDocument {
        PeerDocument {
            hash: self.document,
            keys: BTreeMap::from([(self.kid.clone(), self.key.verifying_key())]),
            host: self.host.clone(),
            fetched_at: BEGINNING,
        }
    }

    pub(crate) fn as_peer(&self) -> Peer {
        Peer {
            did: self.did.clone(),
            host: self.host.clone(),
            document: self.as_document(),
        }
    }
}

/// When every test begins, and when documents were fetched.
pub(crate) const BEGINNING: Timestamp = Timestamp(1_800_000_000_000);

pub(crate) fn policy(level: TrustLevel) -> Policy {
    Policy::new(level, BTreeSet::new())
}

pub(crate) fn limits() -> Limits {
    Limits {
        backoff_cap_ms: 60_000,
        ..Limits::default()
    }
}

pub(crate) fn config(own: &Identity, peer: &Identity, level: TrustLevel) -> Config {
    Config {
        own: own.own(),
        peer: peer.as_peer(),
        policy: policy(level),
        allow_outbound: true,
        frozen: false,
        limits: limits(),
    }
}

pub(crate) struct Node {
    pub identity: Identity,
    pub config: Config,
    pub link: Option<Link>,
    pub store: Store,
    pub events: Vec<Event>,
    pub wake: Option<Timestamp>,
    pub dials: usize,
    /// How often the peer's document was asked for.
    pub fetches: usize,
    /// No such fetch succeeds.
    pub documents_fail: bool,
    pub loads: usize,
    pub transmits: usize,
    /// Crash right after the next changes are stored.
    pub crash_after_changes: bool,
    /// These agents are gone.
    pub gone: BTreeSet<Did>,
}

enum Parcel {
    Frame(Vec<u8>),
    Close(u16),
}

struct Socket {
    /// Who dialled.
    from: usize,
    /// To alpha, to beta.
    pipes: [VecDeque<(Timestamp, Parcel)>; 2],
    open: [bool; 2],
    stalled: bool,
}

enum Job {
    Dialled {
        node: usize,
    },
    Delivered {
        node: usize,
        epoch: u64,
        items: Vec<(u64, Item)>,
    },
    Document {
        node: usize,
    },
}

pub(crate) struct Pair {
    pub now: Timestamp,
    pub nodes: [Node; 2],
    pub rng: TestRng,
    /// No dial succeeds.
    pub cut: bool,
    /// How long an agent takes at most.
    pub agent_ms: u64,
    sockets: BTreeMap<SocketId, Socket>,
    next_socket: u64,
    /// By due time and order of making.
    jobs: BTreeMap<(Timestamp, u64), Job>,
    next_job: u64,
    next_message: u64,
}

impl Pair {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, TrustLevel::Open, TrustLevel::Open)
    }

    pub(crate) fn with(seed: u64, alpha: TrustLevel, beta: TrustLevel) -> Self {
        let (a, b) = (Identity::new(1), Identity::new(2));
        let configs = [config(&a, &b, alpha), config(&b, &a, beta)];
        Self::from_configs(seed, [a, b], configs)
    }

    pub(crate) fn from_configs(seed: u64, identities: [Identity; 2], configs: [Config; 2]) -> Self {
        let mut configs = configs.into_iter();
        let nodes = identities.map(|identity| Node {
            identity,
            config: configs.next().unwrap(),
            link: None,
            store: Store::default(),
            events: Vec::new(),
            wake: None,
            dials: 0,
            fetches: 0,
            documents_fail: false,
            loads: 0,
            transmits: 0,
            crash_after_changes: false,
            gone: BTreeSet::new(),
        });
        Self {
            now: BEGINNING,
            nodes,
            rng: TestRng::new(seed),
            cut: false,
            agent_ms: 20,
            sockets: BTreeMap::new(),
            next_socket: 0,
            jobs: BTreeMap::new(),
            next_job: 0,
            next_message: 0,
        }
    }

    pub(crate) fn start(&mut self, node: usize) {
        let seed = self.rng.bytes();
        let it = &mut self.nodes[node];
        let restored = it.store.restore();
        let key = it.identity.key.clone();
        it.link = Some(Link::new(it.config.clone(), key, restored, seed));
        self.input(node, Input::Timeout);
    }

    pub(crate) fn start_both(&mut self) {
        self.start(ALPHA);
        self.start(BETA);
    }

    /// The node dies; what it had in memory and on the wire is gone.
    pub(crate) fn crash(&mut self, node: usize) {
        self.nodes[node].link = None;
        self.nodes[node].wake = None;
        self.nodes[node].crash_after_changes = false;
        let due = self.now.after(LATENCY_MS);
        for socket in self.sockets.values_mut() {
            if std::mem::take(&mut socket.open[node]) {
                socket.pipes[1 - node].push_back((due, Parcel::Close(1006)));
            }
        }
        self.jobs.retain(|_, job| match job {
            Job::Dialled { node: of } | Job::Document { node: of } => *of != node,
            Job::Delivered { node: of, .. } => *of != node,
        });
    }

    /// Both ends of every socket learn that it died, what was on it is lost.
    pub(crate) fn break_sockets(&mut self) {
        let due = self.now.after(LATENCY_MS);
        for socket in self.sockets.values_mut() {
            for node in [ALPHA, BETA] {
                socket.pipes[node].clear();
                if std::mem::take(&mut socket.open[1 - node]) {
                    socket.pipes[node].push_back((due, Parcel::Close(1006)));
                }
            }
            socket.stalled = false;
        }
        // `open` is what a side may still send; the close notes above still arrive.
    }

    /// Nothing moves on the sockets that are open now, and nobody is told.
    pub(crate) fn stall_sockets(&mut self) {
        for socket in self.sockets.values_mut() {
            socket.stalled = true;
        }
    }

    pub(crate) fn send(&mut self, node: usize, count: usize) -> Vec<[u8; 16]> {
        let agents = 3;
        let items: Vec<Item> = (0..count)
            .map(|_| {
                let (from, to) = (self.rng.below(agents), self.rng.below(agents));
                self.message(node, from, to)
            })
            .collect();
        let ids = items.iter().map(|item| item.id).collect();
        self.offer(node, items);
        ids
    }

    pub(crate) fn offer(&mut self, node: usize, items: Vec<Item>) {
        let stream = Stream::Msg;
        self.input(node, Input::Enqueue { stream, items });
    }

    pub(crate) fn message(&mut self, node: usize, from: u64, to: u64) -> Item {
        self.next_message += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.next_message.to_be_bytes());
        id[8] = 1;
        let length = 200 + usize::try_from(self.rng.below(400)).unwrap();
        let bytes = vec![u8::try_from(self.next_message % 251).unwrap(); length];
        Item {
            id,
            from: agent(node, from),
            to: agent(1 - node, to),
            bytes: bytes.into(),
            expires: None,
        }
    }

    pub(crate) fn view(&self, node: usize) -> View {
        self.nodes[node].link.as_ref().unwrap().view(self.now)
    }

    /// Whether every message sent so far has its final status.
    pub(crate) fn settled(&self) -> bool {
        self.nodes.iter().all(|node| node.store.outbox.is_empty())
    }

    pub(crate) fn run_for(&mut self, ms: u64) {
        let end = self.now.after(ms);
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done` or for so long at most; tells whether it was done.
    pub(crate) fn run_until(&mut self, ms: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.after(ms);
        while !done(self) {
            if !self.step(end) {
                self.now = end;
                return done(self);
            }
        }
        true
    }

    /// Does the next thing that is due by `end`.
    fn step(&mut self, end: Timestamp) -> bool {
        let arrival = self
            .sockets
            .iter()
            .filter(|(_, socket)| !socket.stalled)
            .flat_map(|(id, socket)| {
                (0..2).filter_map(|to| Some((socket.pipes[to].front()?.0, *id, to)))
            })
            .min();
        let wake = (0..2)
            .filter_map(|node| Some((self.nodes[node].wake?, node)))
            .min();
        let job = self.jobs.keys().next().copied();
        let times = [arrival.map(|a| a.0), wake.map(|w| w.0), job.map(|j| j.0)];
        let Some(next) = times
            .into_iter()
            .flatten()
            .min()
            .filter(|next| *next <= end)
        else {
            return false;
        };
        self.now = self.now.max(next);
        if job.is_some_and(|job| job.0 == next) {
            let (_, job) = self.jobs.pop_first().unwrap();
            self.do_job(job);
        } else if let Some((_, socket, to)) = arrival.filter(|a| a.0 == next) {
            self.arrive(socket, to);
        } else if let Some((_, node)) = wake {
            self.nodes[node].wake = None;
            self.input(node, Input::Timeout);
        }
        true
    }

    fn arrive(&mut self, id: SocketId, to: usize) {
        let socket = self.sockets.get_mut(&id).unwrap();
        let (_, parcel) = socket.pipes[to].pop_front().unwrap();
        match parcel {
            Parcel::Frame(bytes) if socket.open[to] => {
                self.input(
                    to,
                    Input::Frame {
                        socket: id,
                        bytes: &bytes,
                    },
                );
            }
            Parcel::Frame(_) => {}
            Parcel::Close(code) => {
                socket.open[to] = false;
                self.input(to, Input::Closed { socket: id, code });
            }
        }
        let done = |socket: &Socket| {
            socket.open == [false; 2] && socket.pipes.iter().all(VecDeque::is_empty)
        };
        if self.sockets.get(&id).is_some_and(done) {
            self.sockets.remove(&id);
        }
    }

    fn do_job(&mut self, job: Job) {
        match job {
            Job::Dialled { node } => self.connect(node),
            Job::Document { node } => {
                self.nodes[node].fetches += 1;
                if self.nodes[node].documents_fail {
                    let code = Code::from_static("PEER_UNREACHABLE");
                    return self.input(node, Input::Document(Err(code)));
                }
                let document = PeerDocument {
                    fetched_at: self.now,
                    ..self.nodes[1 - node].identity.as_document()
                };
                self.nodes[node].config.peer.document = document.clone();
                self.input(node, Input::Document(Ok(document)));
            }
            Job::Delivered { node, epoch, items } => {
                let it = &mut self.nodes[node];
                let verdicts = items
                    .into_iter()
                    .map(|(seq, item)| (seq, item.id, it.store.deliver(&it.gone, &item)))
                    .collect();
                self.input(node, Input::Delivered { epoch, verdicts });
            }
        }
    }

    fn connect(&mut self, node: usize) {
        if self.cut || self.nodes[1 - node].link.is_none() {
            let code = Code::from_static("UNREACHABLE");
            return self.input(node, Input::DialFailed { code });
        }
        self.next_socket += 1;
        let socket = SocketId(self.next_socket);
        let fresh = Socket {
            from: node,
            pipes: [VecDeque::new(), VecDeque::new()],
            open: [true; 2],
            stalled: false,
        };
        self.sockets.insert(socket, fresh);
        let claimed = self.nodes[node].identity.claimed();
        self.input(1 - node, Input::Accepted { socket, claimed });
        self.input(node, Input::Dialled { socket });
    }

    pub(crate) fn open_sockets(&self) -> Vec<usize> {
        self.sockets
            .values()
            .filter(|s| s.open == [true; 2])
            .map(|s| s.from)
            .collect()
    }

    /// The driver fetches the peer's document on its own account.
    pub(crate) fn fetch(&mut self, node: usize) {
        self.schedule(0, Job::Document { node });
    }

    fn schedule(&mut self, after_ms: u64, job: Job) {
        self.next_job += 1;
        self.jobs
            .insert((self.now.after(after_ms), self.next_job), job);
    }

    /// Gives a link one input and does what it says, in order.
    pub(crate) fn input(&mut self, node: usize, input: Input<'_>) {
        let enqueued = match &input {
            Input::Enqueue { items, .. } => items.clone(),
            _ => Vec::new(),
        };
        let Some(link) = self.nodes[node].link.as_mut() else {
            return;
        };
        let outputs = link.handle(self.now, input);
        self.perform(node, &enqueued, outputs);
    }

    fn perform(&mut self, node: usize, enqueued: &[Item], outputs: Outputs) {
        let it = &mut self.nodes[node];
        let stored = !outputs.changes.is_empty();
        for change in outputs.changes {
            it.apply(self.now, change, enqueued);
        }
        if stored && it.crash_after_changes {
            return self.crash(node);
        }
        it.wake = outputs.wake;
        it.events.extend(outputs.events);
        it.transmits += outputs.transmits.len();
        let due = self.now.after(LATENCY_MS);
        for (id, bytes) in outputs.transmits {
            self.put(id, node, due, Parcel::Frame(bytes));
        }
        for (id, code, _) in outputs.closes {
            self.put(id, node, due, Parcel::Close(code));
            if let Some(socket) = self.sockets.get_mut(&id) {
                socket.open[node] = false;
            }
        }
        for request in outputs.requests {
            self.request(node, request);
        }
    }

    fn put(&mut self, id: SocketId, from: usize, due: Timestamp, parcel: Parcel) {
        if let Some(socket) = self.sockets.get_mut(&id).filter(|socket| socket.open[from]) {
            socket.pipes[1 - from].push_back((due, parcel));
        }
    }

    fn request(&mut self, node: usize, request: Request) {
        match request {
            Request::Dial => {
                self.nodes[node].dials += 1;
                self.schedule(LATENCY_MS, Job::Dialled { node });
            }
            Request::FetchDocument => self.schedule(LATENCY_MS, Job::Document { node }),
            Request::Load {
                stream,
                from_seq,
                max_items,
                max_bytes,
            } => {
                self.nodes[node].loads += 1;
                let bounds = (from_seq, max_items, max_bytes);
                let items = self.nodes[node].store.load(stream, bounds);
                self.input(node, Input::Loaded { stream, items });
            }
            Request::Deliver { epoch, items } => self.deliver(node, epoch, items),
        }
    }

    /// Each agent answers for itself, later, but in order.
    fn deliver(&mut self, node: usize, epoch: u64, items: Vec<(u64, Item)>) {
        let mut by_agent: BTreeMap<Did, Vec<(u64, Item)>> = BTreeMap::new();
        for (seq, item) in items {
            by_agent
                .entry(item.to.clone())
                .or_default()
                .push((seq, item));
        }
        for (agent, items) in by_agent {
            let busy_until = self.jobs.iter().filter_map(|((due, _), job)| match job {
                Job::Delivered {
                    node: of, items, ..
                } if *of == node => (items[0].1.to == agent).then_some(*due),
                Job::Delivered { .. } | Job::Dialled { .. } | Job::Document { .. } => None,
            });
            let wait = busy_until.max().map_or(0, |due| due.since(self.now));
            let after = wait + self.rng.below(self.agent_ms + 1);
            self.schedule(after, Job::Delivered { node, epoch, items });
        }
    }

    /// Every message sent from a node arrived once and in order, or was refused, and its sender
    /// knows which.
    pub(crate) fn check(&self, sent: &[Vec<[u8; 16]>; 2]) {
        for node in [ALPHA, BETA] {
            let outcome = &self.nodes[node].store.outcome;
            let peer = &self.nodes[1 - node].store;
            let arrived: Vec<[u8; 16]> = peer.agents.values().flatten().copied().collect();
            let once: BTreeSet<[u8; 16]> = arrived.iter().copied().collect();
            assert_eq!(arrived.len(), once.len(), "a message arrived twice");
            for id in &sent[node] {
                let delivered = outcome
                    .get(id)
                    .expect("every message has an outcome")
                    .is_none();
                assert_eq!(once.contains(id), delivered, "the receipt tells the truth");
            }
            assert_eq!(outcome.len(), sent[node].len());
            for agent in peer.agents.values() {
                assert!(agent.is_sorted(), "an agent's messages keep their order");
            }
        }
    }
}

impl Node {
    /// Counts the events that `wanted` picks.
    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }
}

/// An agent of a node.
pub(crate) fn agent(node: usize, number: u64) -> Did {
    let mut hash = [0; 32];
    hash[0] = u8::try_from(100 + node).unwrap();
    hash[1] = u8::try_from(number).unwrap();
    Did::from_scid(&hash)
}
