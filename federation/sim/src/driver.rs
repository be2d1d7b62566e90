//! Drives one link like its Durable Object does, and lets its machine die between any two outputs.

use entente_federation::{Change, Config, Event, Input, Item, Link, Outputs, Request};

use crate::fact::{Fact, Rest, number};
use crate::queue::Job;
use crate::settings::Plant;
use crate::socket::Parcel;
use crate::store::Fate;
use crate::world::World;

/// One input in so many kills the machine somewhere in its outputs.
const CRASH_ONCE_IN: u64 = 150;
/// The plant waits for so many acknowledgements, so that the run is in full swing.
const PLANT_AFTER: u64 = 20;

/// How many more outputs are done before the machine dies.
struct Fuse(Option<u64>);

impl Fuse {
    fn burns_out(&mut self) -> bool {
        match &mut self.0 {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

impl World {
    /// A machine comes (back) to life with what its store holds.
    pub(crate) fn start(&mut self, end: usize, life: u64) {
        if self.ends[end].life != life || self.ends[end].link.is_some() {
            return;
        }
        let network = self.ends[end].network;
        let config = Config {
            own: self.own(network),
            peer: self.peer(self.ends[end ^ 1].network),
            policy: self.ends[end].policy.clone(),
            allow_outbound: true,
            limits: self.ends[end].limits,
        };
        let key = self.networks[network].key.clone();
        let restored = self.ends[end].store.restored();
        self.ends[end].link = Some(Link::new(config, key, restored, self.rng.bytes32()));
        self.input(end, Input::Timeout);
    }

    /// A machine loses its memory and its sockets; calls of its that are under way go on.
    pub(crate) fn crash(&mut self, end: usize) {
        let it = &mut self.ends[end];
        it.life += 1;
        it.link = None;
        it.wake = None;
        it.alarm = None;
        it.calls.clear();
        let (life, sockets) = (it.life, std::mem::take(&mut it.sockets));
        for socket in sockets {
            self.put(end, socket, Parcel::Close(1006));
        }
        self.summary.crashes += 1;
        self.trace.numbers(&[100, end as u64]);
        let pause = if self.rng.once_in(4) {
            self.rng.between(1_000, 10_000)
        } else {
            self.rng.between(10, 500)
        };
        self.queue.push(self.now + pause, Job::Start { end, life });
    }

    pub(crate) fn wake(&mut self, end: usize) {
        let it = &mut self.ends[end];
        if it.alarm != Some(self.now) {
            return;
        }
        it.alarm = None;
        if it.wake.is_some_and(|wake| wake <= self.now) {
            it.wake = None;
            self.input(end, Input::Timeout);
        } else if let Some(wake) = it.wake {
            it.alarm = Some(wake);
            self.queue.push(wake, Job::Wake { end });
        }
    }

    /// Gives a link one input and does what it says, in order.
    pub(crate) fn input(&mut self, end: usize, input: Input<'_>) {
        let enqueued = match &input {
            Input::Enqueue { items } => items.clone(),
            _ => Vec::new(),
        };
        let now = self.local(end);
        let Some(link) = self.ends[end].link.as_mut() else {
            return;
        };
        let outputs = link.handle(now, input);
        self.perform(end, &enqueued, outputs);
    }

    fn perform(&mut self, end: usize, enqueued: &[Item], outputs: Outputs) {
        let parts = outputs.transmits.len() + outputs.closes.len() + outputs.requests.len();
        self.trace.numbers(&[
            101,
            end as u64,
            outputs.changes.len() as u64,
            outputs.wake.map_or(0, |wake| wake.0),
            parts as u64,
        ]);
        let dies = self.faulty && parts > 0 && self.rng.once_in(CRASH_ONCE_IN);
        let mut fuse = Fuse(dies.then(|| self.rng.below(parts as u64)));
        self.store(end, enqueued, outputs.changes);
        for event in &outputs.events {
            self.told(end, event);
        }
        self.set_alarm(end, outputs.wake.map(|wake| wake.since(self.local(end))));
        let rest = self.rest(end);
        self.see(&Fact::Rested(rest));
        for (socket, frame) in outputs.transmits {
            if fuse.burns_out() {
                return self.crash(end);
            }
            self.transmit(end, socket.0, frame);
        }
        for (socket, code, _) in outputs.closes {
            if fuse.burns_out() {
                return self.crash(end);
            }
            self.put(end, socket.0, Parcel::Close(code));
        }
        let life = self.ends[end].life;
        for request in outputs.requests {
            if fuse.burns_out() {
                return self.crash(end);
            }
            self.request(end, request);
            // The answer to a load may have been the machine's last input.
            if self.ends[end].life != life {
                return;
            }
        }
    }

    fn store(&mut self, end: usize, enqueued: &[Item], changes: Vec<Change>) {
        let mut fates = Vec::new();
        for change in changes {
            if self.drops(&change) {
                continue;
            }
            if let Change::Rejected(reject) = &change {
                let message = number(&reject.id);
                self.see(&Fact::Rejected { message });
            }
            if let Err(why) = self.ends[end].store.apply(change, enqueued, &mut fates) {
                let detail = format!("end {end}: {why}");
                self.violation
                    .get_or_insert(("changes fit the store", detail));
            }
        }
        for fate in fates {
            self.fate(end, enqueued, &fate);
        }
    }

    fn drops(&mut self, change: &Change) -> bool {
        let wanted = self.settings.plant == Some(Plant::DropAck) && !self.planted;
        let ready = self.summary.committed >= PLANT_AFTER;
        let drops = wanted && ready && matches!(change, Change::Acked { .. });
        self.planted |= drops;
        drops
    }

    fn fate(&mut self, end: usize, enqueued: &[Item], fate: &Fate) {
        let failed = match fate {
            Fate::Accepted(index) => {
                self.summary.accepted += 1;
                let (item, policy) = (&enqueued[*index], &self.ends[end].policy);
                self.checks.see(&Fact::Accepted { item, policy })
            }
            Fate::Refused(index) => {
                self.summary.refused += 1;
                let message = number(&enqueued[*index].id);
                self.checks.see(&Fact::Refused { message })
            }
            Fate::Withdrawn(id) => self.checks.see(&Fact::Withdrawn {
                message: number(id),
            }),
            Fate::Settled(id, code) => self.checks.see(&Fact::Settled {
                message: number(id),
                refused: code.is_some(),
            }),
        };
        if let Some(failed) = failed {
            self.violation.get_or_insert(failed);
        }
    }

    fn told(&mut self, end: usize, event: &Event) {
        match event {
            Event::Up { .. } => self.summary.sessions += 1,
            Event::Misbehaved { .. } => self.summary.accusations += 1,
            _ => {}
        }
        self.trace.bytes(format!("{event:?}").as_bytes());
        let calm = self.is_calm();
        self.see(&Fact::Told { end, event, calm });
    }

    fn set_alarm(&mut self, end: usize, after_ms: Option<u64>) {
        let wake = after_ms.map(|ms| self.now + ms);
        let it = &mut self.ends[end];
        it.wake = wake;
        if let Some(wake) = wake.filter(|wake| it.alarm.is_none_or(|alarm| *wake < alarm)) {
            it.alarm = Some(wake);
            self.queue.push(wake, Job::Wake { end });
        }
    }

    pub(crate) fn rest(&self, end: usize) -> Rest {
        let it = &self.ends[end];
        let queued = it
            .link
            .as_ref()
            .map(|link| link.view(self.local(end)).queued);
        Rest {
            end,
            level: it.policy.level,
            limits: it.limits,
            queued: queued.unwrap_or(it.store.rows()),
            rows: it.store.rows(),
            bytes: it.store.bytes(),
            rejects: it.store.rejects(),
            has_alarm: it.wake.is_some(),
        }
    }

    fn transmit(&mut self, end: usize, socket: u64, frame: Vec<u8>) {
        self.trace.bytes(&frame);
        let level = self.ends[end].policy.level;
        let under_way = self.under_way(end, socket);
        self.see(&Fact::Transmitted {
            end,
            level,
            frame: &frame,
            under_way,
        });
        self.put(end, socket, Parcel::Frame(frame));
    }

    fn request(&mut self, end: usize, request: Request) {
        match request {
            Request::Dial => self.dial(end),
            Request::FetchDocument => {
                let life = self.ends[end].life;
                self.queue.push(self.now + 50, Job::Document { end, life });
            }
            Request::Load {
                from_seq,
                max_items,
                max_bytes,
            } => {
                let items = self.ends[end].store.load(from_seq, max_items, max_bytes);
                self.input(end, Input::Loaded { items });
            }
            Request::Deliver { epoch, items } => self.deliver(end, epoch, items),
        }
    }
}
