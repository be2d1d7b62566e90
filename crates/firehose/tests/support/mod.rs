//! A relay whose every event is known, the calls between it and one shard, and what each subscriber
//! was sent.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use entente_firehose::{
    Batch, Cursor, Face, Filter, Head, Input, Limits, Output, Page, Shard, Shown, Start,
};
use entente_lexicon::Timestamp;
use entente_lexicon::api::{FilterWish, Viewer};
use serde_json::{Value, json};

/// Events of a page, fewer than the shipped relay's so that there are many.
const PAGE: usize = 7;

/// What the test knows of one subscriber.
struct Client {
    viewer: Viewer,
    wish: FilterWish,
    /// The event before the first that it is due.
    began: u64,
    frames: Vec<Value>,
    closed: Option<u16>,
}

/// A call that is on its way to the shard.
enum Call {
    Push(Batch),
    Pull(Option<u64>, u64),
}

pub(crate) struct World {
    limits: Limits,
    pub(crate) shard: Shard,
    pub(crate) keep: u64,
    epoch: String,
    events: Vec<Rc<Shown>>,
    pushed: u64,
    calls: VecDeque<Call>,
    clients: BTreeMap<u64, Client>,
    filters: BTreeMap<u64, (Filter, bool)>,
    seen: Option<Cursor>,
    now: Timestamp,
    next: u64,
}

fn shown(epoch: &str, seq: u64) -> Rc<Shown> {
    let face = |who: &str| {
        Face {
        text: json!({"type": "event", "cursor": format!("{epoch}.{seq}"), "face": who, "event": {"seq": seq}})
            .to_string()
            .into(),
        names: vec![format!("{who}-{}", seq % 5)],
    }
    };
    Rc::new(Shown {
        seq,
        collection: format!("c.{}", seq % 10),
        kind: "k".to_owned(),
        admin: face("admin"),
        observer: Some(face("observer")),
    })
}

impl World {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            shard: Shard::new(limits, None),
            keep: u64::MAX,
            epoch: "e".to_owned(),
            events: Vec::new(),
            pushed: 0,
            calls: VecDeque::new(),
            clients: BTreeMap::new(),
            filters: BTreeMap::new(),
            seen: None,
            now: Timestamp(1_000_000),
            next: 0,
        }
    }

    fn newest(&self) -> u64 {
        self.events.last().map_or(0, |event| event.seq)
    }

    fn floor(&self) -> u64 {
        self.newest().saturating_sub(self.keep)
    }

    pub(crate) fn cursor(&self, seq: u64) -> Cursor {
        Cursor {
            epoch: self.epoch.clone(),
            seq,
        }
    }

    /// The relay numbers some events and pushes them.
    pub(crate) fn happen(&mut self, count: u64) {
        let after = self.newest();
        let events: Vec<Rc<Shown>> = (1..=count).map(|n| shown(&self.epoch, after + n)).collect();
        self.events.extend(events.clone());
        self.pushed = self.newest();
        let epoch = self.epoch.clone();
        let batch = Batch {
            epoch,
            after,
            events,
        };
        self.calls.push_back(Call::Push(batch));
    }

    pub(crate) fn relay_loses_all(&mut self, epoch: &str) {
        self.epoch = epoch.to_owned();
        self.events.clear();
    }

    pub(crate) fn lose_push(&mut self) {
        let push = self
            .calls
            .iter()
            .position(|call| matches!(call, Call::Push(_)));
        push.map(|at| self.calls.remove(at));
    }

    /// The relay does not answer: the driver says so, and the shard asks again.
    pub(crate) fn lose_pull(&mut self) {
        let pull = self
            .calls
            .iter()
            .position(|call| matches!(call, Call::Pull(..)));
        if let Some(Call::Pull(by, _)) = pull.and_then(|at| self.calls.remove(at)) {
            self.feed(|shard, now| shard.handle(now, Input::Pulled { by, page: None }));
        }
    }

    pub(crate) fn do_some(&mut self, count: usize) {
        for _ in 0..count {
            match self.calls.pop_front() {
                None => return,
                Some(Call::Push(batch)) => {
                    self.feed(|shard, now| shard.handle(now, Input::Pushed(&batch)));
                }
                Some(Call::Pull(by, after)) => {
                    let page = self.page(after);
                    let page = Some(&page);
                    self.feed(|shard, now| shard.handle(now, Input::Pulled { by, page }));
                }
            }
        }
    }

    pub(crate) fn settle(&mut self) {
        self.do_some(10_000);
        assert!(self.calls.is_empty(), "the shard asks without end");
        // A push that was lost is noticed at the next.
        if self.newest() > self.seen.as_ref().map_or(0, |seen| seen.seq) && !self.clients.is_empty()
        {
            let epoch = self.epoch.clone();
            let after = self.newest();
            self.happen(1);
            self.do_some(10_000);
            assert!(self.calls.is_empty() && epoch == self.epoch && self.newest() == after + 1);
        }
    }

    fn page(&self, after: u64) -> Page {
        let after = after.max(self.floor());
        let events = self.events.iter().filter(|event| event.seq > after);
        Page {
            batch: Batch {
                epoch: self.epoch.clone(),
                after,
                events: events.take(PAGE).cloned().collect(),
            },
            newest: self.newest(),
        }
    }

    pub(crate) fn join(&mut self, viewer: Viewer, wish: &FilterWish, start: Start) -> u64 {
        self.next += 1;
        let (id, filter) = (self.next, Filter::try_from(wish).unwrap());
        let head = Head {
            epoch: self.epoch.clone(),
            floor: self.floor(),
            newest: self.newest(),
        };
        let began = match &start {
            Start::After(cursor) => cursor.seq,
            Start::Recent(count) => head.newest.saturating_sub(*count),
        };
        let client = Client {
            viewer,
            wish: wish.clone(),
            began,
            frames: Vec::new(),
            closed: None,
        };
        self.clients.insert(id, client);
        self.feed(|shard, now| {
            let input = Input::Join {
                id,
                viewer,
                filter,
                start: Some(start),
                head: &head,
            };
            shard.handle(now, input)
        });
        let frames = &mut self.clients.get_mut(&id).unwrap().frames;
        assert!(
            ["cursor", "gap"]
                .iter()
                .any(|kind| frames[0]["type"] == *kind)
        );
        frames.retain(|frame| frame["type"] != "cursor");
        id
    }

    /// A subscriber that was dropped comes back with the cursor of the notice.
    pub(crate) fn come_back(&mut self, id: u64) {
        let client = &self.clients[&id];
        let cursor = client.frames.last().unwrap()["cursor"]
            .as_str()
            .unwrap()
            .to_owned();
        let (viewer, wish) = (client.viewer, client.wish.clone());
        let _ = self.join(viewer, &wish, Start::After(cursor.parse().unwrap()));
    }

    pub(crate) fn leave(&mut self, id: u64) {
        self.clients.get_mut(&id).unwrap().closed = Some(1000);
        self.feed(|shard, now| shard.handle(now, Input::Left(id)));
    }

    /// Nothing is left of the shard but what it had kept.
    pub(crate) fn sleep(&mut self) {
        // An object with a call or a timer under way does not sleep.
        self.do_some(10_000);
        self.timeout(10_000);
        self.shard = Shard::new(self.limits, self.seen.clone());
        for id in self.here() {
            let (filter, is_live) = self.filters[&id].clone();
            assert!(is_live, "{id} had an answer under way");
            let viewer = self.clients[&id].viewer;
            self.feed(|shard, now| shard.handle(now, Input::Restore { id, viewer, filter }));
        }
    }

    pub(crate) fn say(&mut self, id: u64, said: &Value) {
        let text = said.to_string();
        self.feed(|shard, now| shard.handle(now, Input::Heard { id, text: &text }));
    }

    /// A subscriber says that it has read all it got.
    pub(crate) fn ack(&mut self, id: u64) {
        let newest = self
            .frames(id)
            .iter()
            .rev()
            .find_map(|frame| frame.get("cursor").cloned());
        if let Some(cursor) = newest {
            self.say(id, &json!({"type": "ack", "cursor": cursor}));
        }
    }

    pub(crate) fn ack_all(&mut self) {
        self.here().into_iter().for_each(|id| self.ack(id));
    }

    pub(crate) fn timeout(&mut self, after_ms: u64) {
        self.now = self.now.after(after_ms);
        self.feed(|shard, now| shard.handle(now, Input::Timeout));
    }

    fn feed(&mut self, input: impl FnOnce(&mut Shard, Timestamp) -> Vec<Output>) {
        for output in input(&mut self.shard, self.now) {
            match output {
                Output::Seen(cursor) => self.seen = Some(cursor),
                Output::Keep(id, filter, is_live) => {
                    self.filters.insert(id, (filter, is_live));
                }
                Output::Send(id, text) => {
                    let client = self.clients.get_mut(&id).unwrap();
                    assert_eq!(client.closed, None, "{id} is gone");
                    client.frames.push(serde_json::from_str(&text).unwrap());
                }
                Output::Close(id, code, _) => {
                    self.clients.get_mut(&id).unwrap().closed = Some(code)
                }
                Output::Pull { by, after } => self.calls.push_back(Call::Pull(by, after)),
                Output::Wake(_) => {}
            }
        }
    }

    pub(crate) fn frames(&self, id: u64) -> &[Value] {
        &self.clients[&id].frames
    }

    pub(crate) fn seqs(&self, id: u64) -> Vec<u64> {
        let frames = self.frames(id).iter();
        frames
            .filter_map(|frame| frame["event"]["seq"].as_u64())
            .collect()
    }

    pub(crate) fn closed(&self, id: u64) -> Option<u16> {
        self.clients[&id].closed
    }

    pub(crate) fn here(&self) -> Vec<u64> {
        let here = self
            .clients
            .iter()
            .filter(|(_, client)| client.closed.is_none());
        here.map(|(id, _)| *id).collect()
    }

    pub(crate) fn dropped(&self) -> Vec<u64> {
        let slow = |client: &Client| client.closed.is_some_and(|code| code != 1000);
        let dropped = self.clients.iter().filter(|(_, client)| slow(client));
        dropped.map(|(id, _)| *id).collect()
    }

    /// Every subscriber got what it was due: until now, until it left, or until the notice's cursor.
    pub(crate) fn check(&self) {
        for (id, client) in &self.clients {
            let filter = Filter::try_from(&client.wish).unwrap();
            let upto = match client.closed {
                None => self.newest(),
                Some(1000) => self.seqs(*id).last().copied().unwrap_or(client.began),
                Some(_) => {
                    let notice = client.frames.last().unwrap();
                    assert_eq!(notice["type"], "slow");
                    notice["cursor"]
                        .as_str()
                        .unwrap()
                        .parse::<Cursor>()
                        .unwrap()
                        .seq
                }
            };
            let due = self
                .events
                .iter()
                .filter(|event| (client.began + 1..=upto).contains(&event.seq));
            let due = due.filter(|event| {
                let names = match client.viewer {
                    Viewer::Admin => &event.admin.names,
                    Viewer::Observer => &event.observer.as_ref().unwrap().names,
                };
                filter.passes(&entente_firehose::Subject {
                    collection: &event.collection,
                    kind: &event.kind,
                    names,
                })
            });
            let due: Vec<u64> = due.map(|event| event.seq).collect();
            assert_eq!(self.seqs(*id), due, "subscriber {id}");
        }
    }
}
