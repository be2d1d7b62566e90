//! One of the objects that hold subscribers' sockets, as a state machine.
//!
//! The relay pushes every batch of events to each shard that has subscribers. A shard knows how far
//! it has seen; what a push skips it asks the relay for. A subscriber that begins in the past is
//! brought up by pages of its own until it has reached the shard, in the turn in which it does.

use std::collections::BTreeMap;
use std::rc::Rc;

use entente_lexicon::Timestamp;
use entente_lexicon::api::{FilterWish, FirehoseCommand, FirehoseFrame, Viewer};
use serde::{Deserialize, Serialize};

use crate::cursor::Cursor;
use crate::filter::{Filter, Subject};
use crate::flow::Flow;
use crate::index::Index;

/// The code that closes the socket of a subscriber that is too slow.
pub const SLOW_CLOSE: u16 = 4408;
/// The code that closes the socket of a subscriber that talks nonsense.
pub const NONSENSE_CLOSE: u16 = 4400;
/// Commands that are not understood before the socket closes.
const MAX_NONSENSE: u8 = 16;
/// A subscriber for which nothing passed hears how far the stream is after so many events.
const PROGRESS: u64 = 1_000;
/// How long a subscriber that is brought up may leave its frames unread, in milliseconds.
const PATIENCE_MS: u64 = 10_000;

/// Frames that one subscriber may leave unread.
const MAX_UNREAD_FRAMES: usize = 1_024;
/// Bytes that one subscriber may leave unread.
const MAX_UNREAD_BYTES: usize = 1_048_576;
/// Bytes that all subscribers of one object may leave unread.
const MAX_ALL_BYTES: usize = 67_108_864;

/// Bounds of one shard.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Frames that one subscriber may leave unread.
    pub frames: usize,
    /// Bytes that one subscriber may leave unread.
    pub bytes: usize,
    /// Bytes that all of them may leave unread.
    pub all_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frames: MAX_UNREAD_FRAMES,
            bytes: MAX_UNREAD_BYTES,
            all_bytes: MAX_ALL_BYTES,
        }
    }
}

/// An event as one kind of viewer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Face {
    /// The frame, as it is sent.
    pub text: Rc<str>,
    /// As in [`Subject::names`].
    pub names: Vec<String>,
}

/// An event as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its number.
    pub seq: u64,
    /// As in [`Subject::collection`].
    pub collection: String,
    /// As in [`Subject::kind`].
    pub kind: String,
    /// What admins see.
    pub admin: Face,
    /// What observers see; the same if absent.
    pub observer: Option<Face>,
}

impl Shown {
    fn face(&self, viewer: Viewer) -> &Face {
        match viewer {
            Viewer::Admin => &self.admin,
            Viewer::Observer => self.observer.as_ref().unwrap_or(&self.admin),
        }
    }
}

/// All events after one and up to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The sequence they are of.
    pub epoch: String,
    /// The event before the first.
    pub after: u64,
    /// The events, without a hole.
    pub events: Vec<Rc<Shown>>,
}

impl Batch {
    fn upto(&self) -> u64 {
        self.events.last().map_or(self.after, |event| event.seq)
    }
}

/// Past events, as the relay answers when it is asked for those after one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The events; they begin later than asked where the relay no longer keeps those before.
    pub batch: Batch,
    /// The newest event that the relay has.
    pub newest: u64,
}

/// What the relay says when a subscriber joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The sequence.
    pub epoch: String,
    /// The event before the oldest one that is kept.
    pub floor: u64,
    /// The newest event.
    pub newest: u64,
}

/// Where a subscriber wants to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// After a cursor.
    After(Cursor),
    /// With the last few events.
    Recent(u64),
}

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A subscriber's socket is open and the relay has answered. Ids never come again.
    Join {
        /// The subscriber.
        id: u64,
        /// As whom it looks.
        viewer: Viewer,
        /// What it wants.
        filter: Filter,
        /// Where it begins; `None` where its cursor made no sense.
        start: Option<Start>,
        /// What the relay said.
        head: &'a Head,
    },
    /// A subscriber that was up to date survived an earlier life of this shard.
    Restore {
        /// The subscriber.
        id: u64,
        /// As whom it looks.
        viewer: Viewer,
        /// What it wants.
        filter: Filter,
    },
    /// The relay pushed events.
    Pushed(&'a Batch),
    /// The relay answered a pull.
    Pulled {
        /// Who asked: a subscriber, or the shard.
        by: Option<u64>,
        /// The answer; `None` if there was none, and the pull is to be repeated.
        page: Option<&'a Page>,
    },
    /// The relay pushed its state, as admins and as observers see it.
    Status {
        /// For admins.
        admin: &'a Rc<str>,
        /// For observers.
        observer: &'a Rc<str>,
    },
    /// A subscriber said something.
    Heard {
        /// The subscriber.
        id: u64,
        /// What it said.
        text: &'a str,
    },
    /// A subscriber's socket is gone.
    Left(u64),
    /// The time that was asked for has come.
    Timeout,
}

/// One thing to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Keep how far this shard has seen, before anything after it is done.
    Seen(Cursor),
    /// Keep what a subscriber wants, for another life of this shard, and whether it is up to date. One
    /// that is not cannot be restored: close its socket, it comes back with its cursor.
    Keep(u64, Filter, bool),
    /// Send a frame.
    Send(u64, Rc<str>),
    /// Close the socket; the subscriber is forgotten.
    Close(u64, u16, &'static str),
    /// Ask the relay for events after one.
    Pull {
        /// For whom.
        by: Option<u64>,
        /// After which.
        after: u64,
    },
    /// Come back with [`Input::Timeout`] at that time.
    Wake(Timestamp),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Gets what is pushed.
    Live,
    /// Is brought up; a page is on its way.
    Pulling,
    /// Is brought up; its frames are unread since then.
    Paused(Timestamp),
}

#[derive(Debug)]
struct Member {
    viewer: Viewer,
    state: State,
    /// Events up to this one are done with.
    after: u64,
    /// What it last heard of where the stream is.
    told: u64,
    flow: Flow,
    nonsense: u8,
}

/// The subscribers of one object.
#[derive(Debug, Default)]
pub struct Shard {
    limits: Limits,
    epoch: Option<String>,
    seen: u64,
    /// The newest event that is known to exist.
    newest: u64,
    pulling: bool,
    members: BTreeMap<u64, Member>,
    admins: Index,
    observers: Index,
    unread: usize,
    out: Vec<Output>,
}

impl Shard {
    /// Makes a shard that has seen everything up to `seen`, which an earlier life kept.
    #[must_use]
    pub fn new(limits: Limits, seen: Option<Cursor>) -> Self {
        let (epoch, seq) = seen.map_or((None, 0), |seen| (Some(seen.epoch), seen.seq));
        Self {
            limits,
            epoch,
            seen: seq,
            newest: seq,
            ..Self::default()
        }
    }

    /// Returns how many subscribers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Takes in one thing that happened; returns what is to be done.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>) -> Vec<Output> {
        match input {
            Input::Join {
                id,
                viewer,
                filter,
                start,
                head,
            } => self.join(id, viewer, filter, start, head),
            Input::Restore { id, viewer, filter } => {
                self.add(id, viewer, filter, State::Live, self.seen);
            }
            Input::Pushed(batch) => self.pushed(batch),
            Input::Pulled { by: None, page } => self.caught_up(page),
            Input::Pulled { by: Some(id), page } => self.bring_up(now, id, page),
            Input::Status { admin, observer } => self.status(admin, observer),
            Input::Heard { id, text } => self.heard(id, text),
            Input::Left(id) => self.forget(id),
            Input::Timeout => self.timeout(now),
        }
        std::mem::take(&mut self.out)
    }

    fn join(&mut self, id: u64, viewer: Viewer, filter: Filter, start: Option<Start>, head: &Head) {
        self.meet(head);
        let after = match start {
            Some(Start::Recent(count)) => Some(head.newest.saturating_sub(count).max(head.floor)),
            Some(Start::After(cursor)) => {
                let known = cursor.epoch == head.epoch
                    && (head.floor..=head.newest.max(self.seen)).contains(&cursor.seq);
                known.then_some(cursor.seq)
            }
            None => None,
        };
        let begin = after.unwrap_or(head.newest);
        let is_live = begin >= self.seen;
        let state = if is_live { State::Live } else { State::Pulling };
        self.add(id, viewer, filter.clone(), state, begin);
        self.out.push(Output::Keep(id, filter, is_live));
        let cursor = self.cursor(begin);
        let frame = match after {
            Some(_) => FirehoseFrame::Cursor { cursor },
            None => FirehoseFrame::Gap { cursor },
        };
        self.say(id, begin, &frame);
        if !is_live {
            self.pull(Some(id), begin);
        }
    }

    /// Takes in what the relay says of itself.
    fn meet(&mut self, head: &Head) {
        if self.epoch.as_ref() != Some(&head.epoch) {
            self.start_over(head.epoch.clone(), head.newest);
        } else if self.members.is_empty() && head.newest > self.seen {
            self.advance(head.newest);
        } else if head.newest > self.seen {
            self.newest = self.newest.max(head.newest);
            self.catch_up();
        }
    }

    /// The relay has begun another sequence: whoever is here is told that what was between is lost.
    fn start_over(&mut self, epoch: String, newest: u64) {
        self.epoch = Some(epoch);
        self.pulling = false;
        self.newest = newest;
        self.advance(newest);
        let ids: Vec<u64> = self.members.keys().copied().collect();
        for id in ids {
            self.set_after(id, newest);
            self.say_gap(id, newest);
            self.go_live(id);
        }
    }

    fn pushed(&mut self, batch: &Batch) {
        if self.epoch.as_ref() != Some(&batch.epoch) {
            return self.start_over(batch.epoch.clone(), batch.upto());
        }
        self.newest = self.newest.max(batch.upto());
        if self.pulling || batch.upto() <= self.seen {
            return;
        }
        if batch.after > self.seen {
            return self.catch_up();
        }
        self.show(batch);
    }

    fn catch_up(&mut self) {
        if !std::mem::replace(&mut self.pulling, true) {
            self.pull(None, self.seen);
        }
    }

    fn caught_up(&mut self, page: Option<&Page>) {
        self.pulling = false;
        let Some(page) = page else {
            return self.catch_up();
        };
        if self.epoch.as_ref() != Some(&page.batch.epoch) {
            return self.start_over(page.batch.epoch.clone(), page.newest);
        }
        self.newest = self.newest.max(page.newest);
        if page.batch.after > self.seen {
            self.advance(page.batch.after);
            self.gap_for_the_live(page.batch.after);
        }
        self.show(&page.batch);
        if self.seen < self.newest {
            self.catch_up();
        }
    }

    fn gap_for_the_live(&mut self, seq: u64) {
        let behind = |member: &Member| member.state == State::Live && member.after < seq;
        let members = self.members.iter().filter(|(_, member)| behind(member));
        let ids: Vec<u64> = members.map(|(id, _)| *id).collect();
        for id in ids {
            self.set_after(id, seq);
            self.say_gap(id, seq);
        }
    }

    /// Shows everybody who is up to date what this shard has not seen of a batch.
    fn show(&mut self, batch: &Batch) {
        let before = self.seen;
        if batch.upto() <= before {
            return;
        }
        self.advance(batch.upto());
        for event in batch.events.iter().filter(|event| event.seq > before) {
            for viewer in [Viewer::Admin, Viewer::Observer] {
                let face = event.face(viewer);
                for id in self.index(viewer).matching(&subject(event, face)) {
                    let after = self
                        .members
                        .get(&id)
                        .map_or(u64::MAX, |member| member.after);
                    if self.is_live(id) && after < event.seq {
                        self.send_event(id, event.seq, &face.text);
                    }
                }
            }
        }
        if self.seen / PROGRESS > before / PROGRESS {
            self.tell_progress();
        }
    }

    fn tell_progress(&mut self) {
        let seen = self.seen;
        let due = |member: &Member| {
            member.state == State::Live
                && member.after <= seen
                && seen.saturating_sub(member.told) >= PROGRESS
        };
        let members = self.members.iter().filter(|(_, member)| due(member));
        let ids: Vec<u64> = members.map(|(id, _)| *id).collect();
        for id in ids {
            let cursor = self.cursor(seen);
            self.say(id, seen, &FirehoseFrame::Cursor { cursor });
        }
    }

    /// Gives a subscriber that is behind a page of what it missed.
    fn bring_up(&mut self, now: Timestamp, id: u64, page: Option<&Page>) {
        let Some(member) = self.members.get(&id) else {
            return;
        };
        if member.state != State::Pulling {
            return;
        }
        let mut after = member.after;
        let Some(page) = page else {
            return self.pull(Some(id), after);
        };
        if self.epoch.as_ref() != Some(&page.batch.epoch) {
            // The push that follows says the same to all.
            return self.start_over(page.batch.epoch.clone(), page.newest);
        }
        let viewer = member.viewer;
        if page.batch.after > after {
            after = page.batch.after;
            self.say_gap(id, after);
        }
        // What the shard itself has not seen yet comes to all at once.
        let upto = page.batch.upto().min(self.seen);
        let due = (after.saturating_add(1))..=upto;
        for event in page
            .batch
            .events
            .iter()
            .filter(|event| due.contains(&event.seq))
        {
            let face = event.face(viewer);
            let filter = self.index(viewer).get(id);
            if filter.is_some_and(|filter| filter.passes(&subject(event, face))) {
                if self.is_full(id) {
                    self.set_after(id, event.seq.saturating_sub(1));
                    self.set_state(id, State::Paused(now));
                    return self.out.push(Output::Wake(now.after(PATIENCE_MS)));
                }
                self.send_event(id, event.seq, &face.text);
            }
        }
        let after = upto.max(after);
        self.set_after(id, after);
        if !self.members.contains_key(&id) {
            return;
        }
        if after < self.seen {
            self.pull(Some(id), after);
        } else {
            self.go_live(id);
        }
        if page.newest > self.seen {
            self.newest = self.newest.max(page.newest);
            self.catch_up();
        }
    }

    fn status(&mut self, admin: &Rc<str>, observer: &Rc<str>) {
        let members = self.members.iter();
        let texts = members.map(|(id, member)| match member.viewer {
            Viewer::Admin => (*id, Rc::clone(admin)),
            Viewer::Observer => (*id, Rc::clone(observer)),
        });
        for (id, text) in texts.collect::<Vec<_>>() {
            let told = self.members.get(&id).map_or(0, |member| member.told);
            self.send(id, told, text);
        }
    }

    fn heard(&mut self, id: u64, text: &str) {
        let Some(member) = self.members.get(&id) else {
            return;
        };
        let after = match member.state {
            State::Live => self.seen.max(member.after),
            State::Pulling | State::Paused(_) => member.after,
        };
        match serde_json::from_str(text) {
            Ok(FirehoseCommand::Ack { cursor }) => match cursor.parse::<Cursor>() {
                Ok(cursor) if self.epoch.as_ref() == Some(&cursor.epoch) => {
                    self.acked(id, cursor.seq);
                }
                // Of a sequence that has ended since: there is nothing left of it to free.
                Ok(_) => {}
                Err(error) => self.refuse(id, "INVALID_CURSOR", &error.to_string()),
            },
            Ok(FirehoseCommand::Filter(wish)) => self.change_filter(id, &wish, after),
            Err(error) => {
                let said = format!(
                    "Not a command: {error}. Send {{\"type\":\"ack\",\"cursor\":\"…\"}} or {{\"type\":\"filter\",\"collections\":[…],\"kinds\":[…],\"dids\":[…]}}."
                );
                self.refuse(id, "INVALID_COMMAND", &said);
            }
        }
    }

    fn change_filter(&mut self, id: u64, wish: &FilterWish, after: u64) {
        let filter = match Filter::try_from(wish) {
            Ok(filter) => filter,
            Err(error) => return self.refuse(id, error.code(), &format!("{error}.")),
        };
        let Some(viewer) = self.members.get(&id).map(|member| member.viewer) else {
            return;
        };
        let index = match viewer {
            Viewer::Admin => &mut self.admins,
            Viewer::Observer => &mut self.observers,
        };
        index.put(id, filter.clone());
        let frame = FirehoseFrame::Filtered {
            cursor: self.cursor(after),
            filter: filter.to_wish(),
        };
        let is_live = self.is_live(id);
        self.out.push(Output::Keep(id, filter, is_live));
        self.say(id, after, &frame);
    }

    fn acked(&mut self, id: u64, seq: u64) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        // Nothing that was not sent can have been read.
        let freed = member.flow.acked(seq.min(member.told));
        self.unread = self.unread.saturating_sub(freed);
        let after = member.after;
        if matches!(member.state, State::Paused(_)) && freed > 0 {
            member.state = State::Pulling;
            self.pull(Some(id), after);
        }
    }

    fn refuse(&mut self, id: u64, code: &str, message: &str) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        member.nonsense = member.nonsense.saturating_add(1);
        let (told, enough) = (member.told, member.nonsense >= MAX_NONSENSE);
        let frame = FirehoseFrame::Error {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        self.say(id, told, &frame);
        if enough {
            self.close(id, NONSENSE_CLOSE, "too many commands that are none");
        }
    }

    fn timeout(&mut self, now: Timestamp) {
        let mut next: Option<Timestamp> = None;
        let mut slow = Vec::new();
        for (id, member) in &self.members {
            let State::Paused(since) = member.state else {
                continue;
            };
            let due = since.after(PATIENCE_MS);
            if due <= now {
                slow.push((*id, member.after));
            } else {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        for (id, after) in slow {
            self.give_up(id, after);
        }
        self.out.extend(next.map(Output::Wake));
    }
}

/// What is said and kept.
impl Shard {
    fn add(&mut self, id: u64, viewer: Viewer, filter: Filter, state: State, after: u64) {
        let member = Member {
            viewer,
            state,
            after,
            told: after,
            flow: Flow::default(),
            nonsense: 0,
        };
        self.members.insert(id, member);
        match viewer {
            Viewer::Admin => self.admins.put(id, filter),
            Viewer::Observer => self.observers.put(id, filter),
        }
    }

    fn forget(&mut self, id: u64) {
        if let Some(member) = self.members.remove(&id) {
            self.unread = self.unread.saturating_sub(member.flow.bytes());
            self.admins.remove(id);
            self.observers.remove(id);
        }
    }

    fn index(&self, viewer: Viewer) -> &Index {
        match viewer {
            Viewer::Admin => &self.admins,
            Viewer::Observer => &self.observers,
        }
    }

    fn is_live(&self, id: u64) -> bool {
        let member = self.members.get(&id);
        member.is_some_and(|member| member.state == State::Live)
    }

    fn go_live(&mut self, id: u64) {
        let viewer = self.members.get(&id).map(|member| member.viewer);
        let filter = viewer.and_then(|viewer| self.index(viewer).get(id));
        if let Some(filter) = filter.cloned().filter(|_| !self.is_live(id)) {
            self.set_state(id, State::Live);
            self.out.push(Output::Keep(id, filter, true));
        }
    }

    fn set_state(&mut self, id: u64, state: State) {
        if let Some(member) = self.members.get_mut(&id) {
            member.state = state;
        }
    }

    fn set_after(&mut self, id: u64, after: u64) {
        if let Some(member) = self.members.get_mut(&id) {
            member.after = after;
        }
    }

    fn advance(&mut self, seen: u64) {
        self.seen = seen;
        self.newest = self.newest.max(seen);
        let epoch = self.epoch.clone().unwrap_or_default();
        self.out.push(Output::Seen(Cursor { epoch, seq: seen }));
    }

    fn pull(&mut self, by: Option<u64>, after: u64) {
        self.out.push(Output::Pull { by, after });
    }

    fn cursor(&self, seq: u64) -> String {
        let epoch = self.epoch.clone().unwrap_or_default();
        Cursor { epoch, seq }.to_string()
    }

    fn is_full(&self, id: u64) -> bool {
        self.members.get(&id).is_none_or(|member| {
            member.flow.frames() >= self.limits.frames || member.flow.bytes() >= self.limits.bytes
        })
    }

    /// Sends an event, or gives up on a subscriber that has left too much unread.
    fn send_event(&mut self, id: u64, seq: u64, text: &Rc<str>) {
        if self.is_full(id) {
            return self.give_up(id, seq.saturating_sub(1));
        }
        self.send(id, seq, Rc::clone(text));
    }

    fn say_gap(&mut self, id: u64, seq: u64) {
        let cursor = self.cursor(seq);
        self.say(id, seq, &FirehoseFrame::Gap { cursor });
    }

    fn say(&mut self, id: u64, seq: u64, frame: &FirehoseFrame) {
        if let Ok(text) = serde_json::to_string(frame) {
            self.send(id, seq, text.into());
        }
    }

    fn send(&mut self, id: u64, seq: u64, text: Rc<str>) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        member.told = member.told.max(seq);
        member.flow.sent(seq, text.len());
        self.unread = self.unread.saturating_add(text.len());
        self.out.push(Output::Send(id, text));
        if self.unread > self.limits.all_bytes {
            self.give_up_on_the_slowest();
        }
    }

    fn give_up_on_the_slowest(&mut self) {
        let slowest = self
            .members
            .iter()
            .max_by_key(|(_, member)| member.flow.bytes());
        if let Some((id, member)) = slowest {
            let after = match member.state {
                State::Live => member.told,
                State::Pulling | State::Paused(_) => member.told.max(member.after),
            };
            self.give_up(*id, after);
        }
    }

    fn give_up(&mut self, id: u64, after: u64) {
        let cursor = self.cursor(after);
        if let Ok(text) = serde_json::to_string(&FirehoseFrame::Slow { cursor }) {
            self.out.push(Output::Send(id, text.into()));
        }
        self.close(id, SLOW_CLOSE, "too slow: come back with the cursor");
    }

    fn close(&mut self, id: u64, code: u16, reason: &'static str) {
        self.forget(id);
        self.out.push(Output::Close(id, code, reason));
    }
}

fn subject<'a>(event: &'a Shown, face: &'a Face) -> Subject<'a> {
    Subject {
        collection: &event.collection,
        kind: &event.kind,
        names: &face.names,
    }
}
