//! Keeps a link within its bounds: puts a peer aside that misbehaves, and sheds sessions when the
//! isolate's links hold too much.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use entente_federation::{Change, CloseCode, Input, Misbehaved};
use entente_lexicon::Timestamp;
use entente_lexicon::link_view::PenaltyView;
use serde::{Deserialize, Serialize};
use wasm_bindgen_futures::spawn_local;
use worker::{Env, console_warn};

use crate::config::Problem;
use crate::edge::bounds::Bounds;
use crate::edge::budget::Share;
use crate::edge::penalty;
use crate::error::ApiError;
use crate::internal::now;
use crate::link::conduct::{Conduct, Meter};
use crate::link::driver::Driver;
use crate::store::d1::Directory;

const CONDUCT: &str = "conduct";
/// The first byte of a frame with messages.
const MSG: u8 = 1;

/// What a link holds and how its peer behaves.
pub(super) struct Keeper {
    bounds: Result<Bounds, Problem>,
    conduct: RefCell<Option<Conduct>>,
    share: Share,
    /// Bytes sent since the peer last acknowledged anything.
    pub(super) unacknowledged: Cell<u64>,
    /// Bytes received that agents have not taken.
    pub(super) undelivered: Cell<u64>,
    /// Rises whenever a message moves.
    progress: Cell<u64>,
    /// Attempts that failed since the link was last up.
    pub(super) attempts: Cell<u32>,
}

/// How the peer was last put aside, as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    penalty: PenaltyView,
    at: Timestamp,
}

impl Keeper {
    pub(super) fn new(env: &Env) -> Self {
        Self {
            bounds: Bounds::from_env(env),
            conduct: RefCell::default(),
            share: Share::join(),
            unacknowledged: Cell::default(),
            undelivered: Cell::default(),
            progress: Cell::default(),
            attempts: Cell::default(),
        }
    }
}

impl Driver {
    pub(super) fn bounds(&self) -> Result<Bounds, ApiError> {
        self.keeper.bounds.clone().map_err(ApiError::from)
    }

    fn with_conduct<T>(&self, work: impl FnOnce(&mut Conduct) -> T) -> Result<T, ApiError> {
        let mut slot = self.keeper.conduct.borrow_mut();
        if let Some(conduct) = slot.as_mut() {
            return Ok(work(conduct));
        }
        let mut conduct = Conduct::new(self.bounds()?.hellos_per_minute, now());
        if let Some(text) = self.store.meta(CONDUCT)? {
            let Stored { penalty, at } = serde_json::from_str(&text)?;
            conduct.restore(penalty, at);
        }
        Ok(work(slot.insert(conduct)))
    }

    /// Lets a peer open a socket, unless it is put aside or there is no room for what it may bring.
    pub(super) fn greet(&self) -> Result<(), ApiError> {
        let at = now();
        let aside = self.with_conduct(|conduct| conduct.current(at).cloned())?;
        let penalty = match aside {
            Some(penalty) => Some(penalty),
            None => self.put_aside(self.with_conduct(|conduct| conduct.hello(at))?)?,
        };
        if let Some(penalty) = penalty {
            return Err(penalty::refusal(&penalty, at));
        }
        if self.keeper.share.has_room(self.bounds()?.link_budget) {
            return Ok(());
        }
        Err(ApiError::new(
            503,
            "OVER_BUDGET",
            "This network holds as many bytes as it can, most of them for yours: try again shortly.",
        )
        .with_header("retry-after", "5".to_owned()))
    }

    /// The peer as it is put aside now.
    pub(super) fn penalty(&self) -> Result<Option<PenaltyView>, ApiError> {
        let at = now();
        self.with_conduct(|conduct| conduct.current(at).cloned())
    }

    /// Forgets what the peer did; the Worker forgets too.
    pub(super) fn pardon(&self) -> Result<(), ApiError> {
        self.with_conduct(Conduct::pardon)?;
        self.store.forget_meta(CONDUCT)?;
        Ok(())
    }

    /// Notes a break of the protocol that no misfortune explains.
    pub(super) fn note_fault(&self, how: Misbehaved) {
        if matches!(
            how,
            Misbehaved::MalformedFrame
                | Misbehaved::OversizeFrame
                | Misbehaved::UnexpectedFrame
                | Misbehaved::BadMac
                | Misbehaved::BadSignature
                | Misbehaved::BadReceipt
                | Misbehaved::BadKemKey
                | Misbehaved::Replayed
                | Misbehaved::OutOfWindow
                | Misbehaved::StaleEpoch
        ) {
            let code = CloseCode::from(how).as_str();
            let judged = self.with_conduct(|conduct| conduct.fault(code, now()));
            self.log(judged.and_then(|penalty| self.put_aside(penalty)));
        }
    }

    /// Notes an event that no honest peer would have sent. Returns whether the peer is put aside.
    pub(super) fn note_forgery(&self, code: &str) -> bool {
        let judged = self.with_conduct(|conduct| conduct.fault(code, now()));
        let outcome = judged.and_then(|penalty| self.put_aside(penalty));
        let aside = matches!(outcome, Ok(Some(_)));
        self.log(outcome);
        aside
    }

    /// Whether what comes over a socket is a flood; then the peer is put aside.
    pub(super) fn is_flood(&self, meter: &mut Meter, bytes: usize) -> bool {
        let flood = meter.note(bytes, self.keeper.progress.get(), now());
        if flood {
            let code = CloseCode::Flood.as_str();
            let judged = self.with_conduct(|conduct| Some(conduct.strike(code, now())));
            self.log(judged.and_then(|penalty| self.put_aside(penalty)));
        }
        flood
    }

    fn log(&self, outcome: Result<Option<PenaltyView>, ApiError>) {
        if let Err(error) = outcome {
            console_warn!("how the peer behaves could not be stored: {error}");
        }
    }

    fn put_aside(&self, penalty: Option<PenaltyView>) -> Result<Option<PenaltyView>, ApiError> {
        let Some(penalty) = penalty else {
            return Ok(None);
        };
        let stored = Stored {
            penalty: penalty.clone(),
            at: now(),
        };
        self.store
            .set_meta(CONDUCT, &serde_json::to_string(&stored)?)?;
        let (env, did) = (self.env.clone(), self.peer()?.peer_did.clone());
        spawn_local(async move {
            let outcome = async {
                Directory::open(&env)?
                    .put_penalty(&did, &stored.penalty)
                    .await
            };
            if let Err(error) = outcome.await {
                console_warn!("the Worker could not be told of a penalty: {error}");
            }
        });
        Ok(Some(penalty))
    }

    /// Notes what the machine stored: messages that moved.
    pub(super) fn note_changes(&self, changes: &[Change]) {
        let moved =
            |change: &Change| matches!(change, Change::Acked { .. } | Change::Cursor { .. });
        if changes.iter().any(moved) {
            let keeper = &self.keeper;
            keeper.progress.set(keeper.progress.get().wrapping_add(1));
            if let Some(conduct) = keeper.conduct.borrow_mut().as_mut() {
                conduct.progress();
            }
        }
        let acked = |change: &Change| matches!(change, Change::Acked { .. });
        if changes.iter().any(acked) {
            self.keeper.unacknowledged.set(0);
        }
    }

    pub(super) fn note_sent(&self, frame: &[u8]) {
        if frame.first() == Some(&MSG) {
            let sent = &self.keeper.unacknowledged;
            sent.set(sent.get().saturating_add(frame.len() as u64));
        }
    }

    pub(super) fn note_undelivered(&self, more: usize, less: usize) {
        let held = &self.keeper.undelivered;
        let now = held.get().saturating_add(more as u64);
        held.set(now.saturating_sub(less as u64));
    }

    /// Tells the isolate's budget what this link holds, and sheds its sockets if it must.
    pub(super) fn weigh(self: &Rc<Self>) {
        let keeper = &self.keeper;
        let held = keeper.unacknowledged.get();
        let held = held.saturating_add(keeper.undelivered.get());
        let Ok(limit) = self.bounds().map(|bounds| bounds.link_budget) else {
            return;
        };
        if !keeper.share.note(held, limit) {
            return;
        }
        console_warn!("the links of this isolate hold too much: the heaviest sheds {held} bytes");
        // The machine may be in the middle of a step.
        self.drop_sockets(CloseCode::OverBudget);
    }

    /// Closes every socket, in a turn of its own.
    pub(super) fn drop_sockets(self: &Rc<Self>, code: CloseCode) {
        let driver = Rc::clone(self);
        spawn_local(async move { driver.shed(code) });
    }

    fn shed(self: &Rc<Self>, code: CloseCode) {
        let open: Vec<_> = self.sockets.borrow().keys().copied().collect();
        for socket in open {
            self.close(socket, code.number(), code.as_str());
            self.keeper.unacknowledged.set(0);
            let code = code.number();
            self.feed_quietly(Input::Closed { socket, code });
        }
    }
}
