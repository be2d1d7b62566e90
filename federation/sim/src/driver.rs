//! Drives one link like its Durable Object does, and lets its machine die between any two outputs.

use entente_federation::{
    Change, Config, Event, Input, Item, Link, Outputs, Request, Stream, Streams,
};

use crate::fact::{Fact, Rest, number};
use crate::queue::Job;
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
            frozen: false,
            limits: self.ends[end].limits,
        };
        let key = self.networks[network].key.clone();
        // What an earlier life stored of events and control records is passed on by now.
        self.ends[end].store.pass_on(Stream::Evt);
        self.ends[end].store.pass_on(Stream::Ctl);
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
            Input::Enqueue { stream, items } => (*stream, items.clone()),
            _ => (Stream::Msg, Vec::new()),
        };
        let now = self.local(end);
        let plant = self.settings.plant.filter(|_| {
            !self.planted && self.summary.committed >= PLANT_AFTER && self.is_honest(end)
        });
        let Some(link) = self.ends[end].link.as_mut() else {
            return;
        };
        plant.into_iter().for_each(|bug| link.plant(bug));
        let outputs = link.handle(now, input);
        self.planted |= plant.is_some() && outputs.planted.is_none();
        self.perform(end, &enqueued, outputs);
    }

    fn perform(&mut self, end: usize, enqueued: &(Stream, Vec<Item>), outputs: Outputs) {
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
        if self.keeps_bounds(end) {
            self.see(&Fact::Rested(rest));
        }
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

    fn store(&mut self, end: usize, enqueued: &(Stream, Vec<Item>), changes: Vec<Change>) {
        let mut fates = Vec::new();
        let now = self.local(end);
        for change in changes {
            if let Change::Rejected(reject) = &change
                && self.is_honest(end)
            {
                let message = number(&reject.id);
                self.see(&Fact::Rejected { message });
            }
            self.see_stored(end, &change);
            let store = &mut self.ends[end].store;
            let stored = store.apply(now, change, &enqueued.1, &mut fates);
            if let Err(why) = stored
                && self.keeps_bounds(end)
            {
                let detail = format!("end {end}: {why}");
                self.violation
                    .get_or_insert(("changes fit the store", detail));
            }
        }
        for fate in fates {
            self.fate(end, enqueued, &fate);
        }
    }

    fn see_stored(&mut self, end: usize, change: &Change) {
        let filters = self.ends[end].policy != crate::world::open();
        if self.is_honest(end) {
            self.see(&Fact::Stored {
                end,
                change,
                filters,
            });
        }
        self.summary.gaps += u64::from(matches!(change, Change::Gap { .. }));
        if let Change::Received { stream, .. } = change {
            self.summary.received += 1;
            let (life, stream) = (self.ends[end].life, *stream);
            let pause = self.rng.between(1, 300);
            self.queue
                .push(self.now + pause, Job::Taken { end, life, stream });
        }
    }

    /// The driver has passed on one item of events or control records.
    pub(crate) fn taken(&mut self, end: usize, life: u64, stream: Stream) {
        if self.ends[end].life == life && self.ends[end].link.is_some() {
            self.ends[end].store.pass_on_one(stream);
            self.input(end, Input::Taken { stream, count: 1 });
        }
    }

    fn fate(&mut self, end: usize, (stream, enqueued): &(Stream, Vec<Item>), fate: &Fate) {
        if !self.is_honest(end) {
            return;
        }
        let is_message = *stream == Stream::Msg;
        let failed = match fate {
            Fate::Accepted(index) if is_message => {
                self.summary.accepted += 1;
                let (item, policy) = (&enqueued[*index], &self.ends[end].policy);
                self.checks.see(&Fact::Accepted { item, policy })
            }
            Fate::Refused(index) if is_message => {
                self.summary.refused += 1;
                let message = number(&enqueued[*index].id);
                if let Some(unheard) = &mut self.ends[end].unheard {
                    unheard.insert(message);
                    return;
                }
                self.checks.see(&Fact::Refused { message })
            }
            Fate::Accepted(index) => {
                let (stream, item) = (*stream, &enqueued[*index]);
                self.checks.see(&Fact::Offered { end, stream, item })
            }
            Fate::Refused(_) => None,
            Fate::Expired(id) => {
                self.summary.expired += 1;
                let message = number(id);
                self.checks.see(&Fact::Expired { message })
            }
            Fate::Unconfirmed(id, is_final) => {
                let (message, is_final) = (number(id), *is_final);
                self.checks.see(&Fact::Unconfirmed { message, is_final })
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
            Event::Misbehaved { .. } if self.is_honest(end) => self.summary.accusations += 1,
            _ => {}
        }
        self.trace.bytes(format!("{event:?}").as_bytes());
        let calm = self.is_calm();
        if self.is_honest(end) {
            self.see(&Fact::Told { end, event, calm });
        }
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
        let view = it.link.as_ref().map(|link| link.view(self.local(end)));
        let rows = Streams::each(|stream| it.store.rows(stream));
        Rest {
            end,
            level: it.policy.level,
            limits: it.limits,
            queued: view.map_or(rows, |view| Streams {
                msg: view.queued,
                evt: view.queued_events,
                ctl: view.queued_controls,
            }),
            rows,
            bytes: Streams::each(|stream| it.store.bytes(stream)),
            rejects: it.store.rejects(),
            has_alarm: it.wake.is_some(),
        }
    }

    fn transmit(&mut self, end: usize, socket: u64, frame: Vec<u8>) {
        self.trace.bytes(&frame);
        let level = self.ends[end].policy.level;
        let under_way = self.under_way(end, socket);
        if self.keeps_bounds(end) {
            self.see(&Fact::Transmitted {
                end,
                level,
                frame: &frame,
                under_way,
            });
        }
        if !self.keeps_bounds(end) {
            self.ends[end].last_sent = Some((socket, frame.clone()));
        }
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
                stream,
                from_seq,
                max_items,
                max_bytes,
            } => {
                let store = &self.ends[end].store;
                let items = store.load(stream, from_seq, max_items, max_bytes);
                self.input(end, Input::Loaded { stream, items });
            }
            Request::Deliver { epoch, items } => self.deliver(end, epoch, items),
        }
    }
}
