//! Feeds the state machine and does what it says.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use entente_federation::{
    Change, CloseCode, Event, Input, Link, Outputs, Request, SocketId, Stream,
};
use entente_lexicon::Timestamp;
use entente_lexicon::api::{LinkState, NewEvent};
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, Env, State, WebSocket, console_error, console_warn};

use crate::backup::Keeper as Backups;
use crate::config::{Config, Problem};
use crate::error::ApiError;
use crate::internal;
use crate::link::deliver::Deliveries;
use crate::link::keeper::Keeper;
use crate::link::own::Own;
use crate::link::prekeys::Prekeys;
use crate::link::store::{LinkStore, Outgoing};
use crate::reporter::Reporter;
use crate::shapes::InitLink;
use crate::store::sqlite::Sqlite;

/// One link while its object is awake. Everything but the session can be rebuilt from SQLite.
pub(super) struct Driver {
    pub(super) state: State,
    pub(super) env: Env,
    pub(super) config: Result<Config, Problem>,
    pub(super) store: LinkStore,
    pub(super) backups: Backups,
    pub(super) reporter: Rc<Reporter>,
    pub(super) peer: RefCell<Option<Rc<InitLink>>>,
    pub(super) own: RefCell<Option<Rc<Own>>>,
    /// The peer's fingerprint, for people.
    pub(super) fingerprint: RefCell<String>,
    pub(super) machine: RefCell<Option<Link>>,
    pub(super) sockets: RefCell<BTreeMap<SocketId, WebSocket>>,
    pub(super) next_socket: Cell<u64>,
    pub(super) deliveries: Deliveries,
    pub(super) prekeys: Prekeys,
    pub(super) telling: Cell<bool>,
    pub(super) passing: Cell<bool>,
    pub(super) tending: Cell<bool>,
    /// More came while what had come was passed on.
    pub(super) pass_again: Cell<bool>,
    pub(super) keeper: Keeper,
    /// The state and error that were last written down.
    pub(super) noted: RefCell<Option<(LinkState, Option<String>)>>,
    /// What viewers were told last, so that each retry that fails alike is not told again.
    reported: RefCell<(&'static str, Option<String>)>,
    /// The earliest alarm set; a spurious one is harmless, so a later wish does not move it.
    armed: Cell<Option<Timestamp>>,
    /// The earliest timer in memory, likewise.
    timer: Cell<Option<Timestamp>>,
}

impl Driver {
    pub(super) fn new(state: State, env: Env) -> Rc<Self> {
        let db = Rc::new(Sqlite::new(&state));
        let driver = Rc::new(Self {
            backups: Backups::new(&db, &env),
            store: LinkStore::new(db),
            config: Config::from_env(&env),
            reporter: Reporter::new(env.clone()),
            peer: RefCell::new(None),
            own: RefCell::new(None),
            fingerprint: RefCell::default(),
            machine: RefCell::new(None),
            sockets: RefCell::default(),
            next_socket: Cell::new(1),
            deliveries: Deliveries::default(),
            prekeys: Prekeys::default(),
            telling: Cell::new(false),
            passing: Cell::new(false),
            tending: Cell::new(false),
            pass_again: Cell::new(false),
            keeper: Keeper::new(&env),
            noted: RefCell::new(None),
            reported: RefCell::default(),
            armed: Cell::new(None),
            timer: Cell::new(None),
            state,
            env,
        });
        driver.watch();
        driver
    }

    /// Returns the deployment's variables.
    pub(super) fn config(&self) -> Result<&Config, ApiError> {
        self.config
            .as_ref()
            .map_err(|problem| problem.clone().into())
    }

    /// Returns the peer this link leads to.
    pub(super) fn peer(&self) -> Result<Rc<InitLink>, ApiError> {
        self.peer.borrow().clone().ok_or_else(not_peered)
    }

    /// Gives the machine an input and does what it answers. Failing to store is the only error:
    /// then nothing was sent, and the machine is dropped, to be rebuilt from what is stored.
    pub(super) fn feed(self: &Rc<Self>, input: Input<'_>) -> Result<(), ApiError> {
        self.feed_offer(input, &[]).map(|_| ())
    }

    /// As [`Self::feed`], for messages that agents hand over. Returns for each the code that
    /// refuses it, or `None`.
    pub(super) fn feed_offer(
        self: &Rc<Self>,
        input: Input<'_>,
        offered: &[Outgoing],
    ) -> Result<Vec<Option<String>>, ApiError> {
        let mut refused = vec![None; offered.len()];
        let mut waiting = VecDeque::from([self.handle(input)?]);
        while let Some(outputs) = waiting.pop_front() {
            for change in &outputs.changes {
                if let Change::Refuse {
                    index_in_input,
                    code,
                } = change
                    && let Some(slot) = refused.get_mut(*index_in_input)
                {
                    *slot = Some(code.to_string());
                }
            }
            waiting.extend(self.perform(outputs, offered)?);
        }
        Ok(refused)
    }

    fn handle(&self, input: Input<'_>) -> Result<Outputs, ApiError> {
        let mut machine = self.machine.borrow_mut();
        let machine = machine.as_mut().ok_or_else(not_peered)?;
        Ok(machine.handle(internal::now(), input))
    }

    /// Does one batch of outputs. Returns the outputs of each `Load` that it answered.
    fn perform(
        self: &Rc<Self>,
        outputs: Outputs,
        offered: &[Outgoing],
    ) -> Result<Vec<Outputs>, ApiError> {
        if let Err(error) = self.store_changes(&outputs.changes, offered) {
            self.reset();
            return Err(error);
        }
        self.wake_at(outputs.wake);
        for (socket, frame) in &outputs.transmits {
            self.transmit(*socket, frame);
        }
        for (socket, code, reason) in &outputs.closes {
            self.close(*socket, *code, reason);
        }
        let mut loaded = Vec::new();
        for request in outputs.requests {
            loaded.extend(self.run(request)?);
        }
        outputs.events.iter().for_each(|event| self.report(event));
        self.note_changes(&outputs.changes);
        self.note_state();
        self.weigh();
        let ended =
            |change: &Change| matches!(change, Change::Acked { .. } | Change::Bounced { .. });
        if outputs.changes.iter().any(ended) {
            self.tell_senders();
        }
        let arrived =
            |change: &Change| matches!(change, Change::Received { .. } | Change::Gap { .. });
        if outputs.changes.iter().any(arrived) {
            self.pass_on();
        }
        Ok(loaded)
    }

    fn store_changes(&self, changes: &[Change], offered: &[Outgoing]) -> Result<(), ApiError> {
        if changes.is_empty() {
            return Ok(());
        }
        let now = internal::now();
        // One row is a transaction by itself.
        if let [change @ Change::Append { .. }] = changes {
            return Ok(self.store.apply(change, offered, now)?);
        }
        self.store.transaction(|| {
            changes
                .iter()
                .try_for_each(|change| self.store.apply(change, offered, now))?;
            Ok::<_, ApiError>(())
        })
    }

    fn run(self: &Rc<Self>, request: Request) -> Result<Option<Outputs>, ApiError> {
        match request {
            Request::Dial => {
                let driver = Rc::clone(self);
                spawn_local(async move { driver.dial().await });
            }
            Request::Load {
                stream,
                from_seq,
                max_items,
                max_bytes,
            } => {
                let items = self.store.load(stream, from_seq, max_items, max_bytes)?;
                return self.handle(Input::Loaded { stream, items }).map(Some);
            }
            Request::Deliver { epoch, items } => self.deliver(epoch, items),
            Request::FetchDocument => {
                let driver = Rc::clone(self);
                spawn_local(async move { driver.refetch_document().await });
            }
        }
        Ok(None)
    }

    /// Runs the machine's timers.
    pub(super) fn tick(self: &Rc<Self>) {
        if self.armed.get().is_some_and(|due| due <= internal::now()) {
            self.armed.set(None);
        }
        self.feed_quietly(Input::Timeout);
        self.tend_quarantine();
    }

    /// Feeds the machine where nobody waits for the outcome.
    pub(super) fn feed_quietly(self: &Rc<Self>, input: Input<'_>) {
        if let Err(error) = self.feed(input)
            && error.code != "NOT_PEERED"
        {
            console_error!("the link could not store a step and starts over: {error}");
        }
    }

    /// Drops session and machine; the next call rebuilds them from what is stored.
    pub(super) fn reset(&self) {
        self.machine.replace(None);
        for socket in self.sockets.take().into_values() {
            let _ = socket.close(Some(RESET_CLOSE), Some("starting over"));
        }
        self.arm(Some(internal::now().after(RESET_RETRY_MS)));
    }

    /// Comes back in time. Alarms outlive this object, but each is a write: what is due within a
    /// moment is left to a timer, and the alarm stands behind it.
    pub(super) fn wake_at(self: &Rc<Self>, wake: Option<Timestamp>) {
        let Some(at) = wake else { return };
        let now = internal::now();
        if at >= now.after(SOON_MS) {
            return self.arm(Some(at));
        }
        self.arm(Some(now.after(SOON_MS)));
        if self.timer.get().is_some_and(|due| due <= at && due > now) {
            return;
        }
        self.timer.set(Some(at));
        let driver = Rc::clone(self);
        spawn_local(async move {
            Delay::from(Duration::from_millis(at.since(now).max(1))).await;
            driver
                .timer
                .set(driver.timer.get().filter(|due| *due != at));
            driver.feed_quietly(Input::Timeout);
        });
    }

    /// Sets the alarm, unless one is due sooner.
    pub(super) fn arm(&self, wake: Option<Timestamp>) {
        let Some(at) = wake else { return };
        let now = internal::now();
        if self.armed.get().is_some_and(|due| due <= at && due > now) {
            return;
        }
        self.armed.set(Some(at));
        let storage = self.state.storage();
        spawn_local(async move {
            let wait = Duration::from_millis(at.since(now));
            if let Err(error) = storage.set_alarm(wait).await {
                console_warn!("the alarm could not be set: {error}");
            }
        });
    }

    fn report(self: &Rc<Self>, event: &Event) {
        let (kind, code) = match event {
            Event::Up { .. } => {
                self.keeper.attempts.set(0);
                ("link.up", None)
            }
            Event::Idle => ("link.idle", None),
            Event::Down { code } => {
                let attempts = &self.keeper.attempts;
                attempts.set(attempts.get().saturating_add(1));
                ("link.down", Some(code.to_string()))
            }
            Event::Misbehaved { how, frame, .. } => {
                console_warn!("the peer misbehaved in frame {frame}: {how:?}");
                self.note_fault(*how);
                (
                    "link.refused",
                    Some(CloseCode::from(*how).code().to_string()),
                )
            }
            Event::RolledBack { stream, epoch } => {
                console_warn!(
                    "our outbox {} was rolled back; everything is offered again in epoch {epoch}",
                    stream.as_str()
                );
                return;
            }
            Event::PeerReset { stream, epoch } => {
                console_warn!("the peer began {} anew, in epoch {epoch}", stream.as_str());
                return;
            }
            Event::Gap { stream, from, upto } => {
                console_warn!("{} {from} to {upto} are missing for good", stream.as_str());
                return;
            }
            Event::Refused { stream, code } => {
                if *stream == Stream::Evt {
                    self.event_refused(code);
                }
                return;
            }
            Event::StoreBroken { stream, seq } => {
                console_error!(
                    "{} {seq} is missing in the outbox; the link waits for a restart",
                    stream.as_str()
                );
                return;
            }
        };
        let said = (kind, code.clone());
        if self.reported.replace(said.clone()) == said {
            return;
        }
        let host = self
            .peer
            .borrow()
            .as_ref()
            .map(|peer| peer.host.to_string());
        self.reporter.report(NewEvent {
            kind: kind.to_owned(),
            at: internal::now(),
            peer: host,
            code,
            ..NewEvent::default()
        });
    }
}

/// After a failed write: close as "service restart", and try again after this.
const RESET_CLOSE: u16 = 1012;
const RESET_RETRY_MS: u64 = 1_000;
/// What is due sooner than this is left to a timer in memory.
const SOON_MS: u64 = 1_000;

/// The error of a link that leads nowhere.
pub(super) fn not_peered() -> ApiError {
    ApiError::new(
        422,
        "NOT_PEERED",
        "That host is not a peer of this network: an admin can add it with POST /admin/federation/peers.",
    )
}
