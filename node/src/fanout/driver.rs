//! Drives a [`Shard`]: sockets, calls to the relay, timers, storage.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use entente_firehose::{Filter, Input, Limits, Output, Page, Shard, Start};
use entente_lexicon::Timestamp;
use entente_lexicon::api::Viewer;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, Env, State, WebSocket, console_warn};

use crate::agent::wire;
use crate::error::ApiError;
use crate::fanout::store::FanoutStore;
use crate::fanout::wire::{Joined, Push, Sockets};
use crate::internal::{self, new_request_id, now};
use crate::shapes::Nothing;
use crate::store::sqlite::Sqlite;

/// Between two attempts at a relay that does not answer.
const RETRY_MS: u64 = 1_000;
/// The code that closes the socket of a viewer that another life of this object was bringing up.
const RESTART_CLOSE: u16 = 1012;

/// A fan-out object while it is awake. Everything here can be rebuilt from SQLite.
pub(super) struct Driver {
    pub(super) state: State,
    env: Env,
    db: Rc<Sqlite>,
    live: RefCell<Option<Live>>,
    /// How many viewers the relay was last told of.
    told: Cell<usize>,
    /// Viewers that wait for the relay's answer.
    joining: Cell<usize>,
}

struct Live {
    store: FanoutStore,
    shard: Shard,
    sockets: BTreeMap<u64, WebSocket>,
}

impl Driver {
    pub(super) fn new(state: State, env: Env) -> Rc<Self> {
        let db = Rc::new(Sqlite::new(&state));
        Rc::new(Self {
            state,
            env,
            db,
            live: RefCell::new(None),
            told: Cell::default(),
            joining: Cell::default(),
        })
    }

    /// Runs `work` upon what is alive, restoring it first if need be. Never awaits.
    fn with_live<T>(
        &self,
        work: impl FnOnce(&mut Live) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut slot = self.live.borrow_mut();
        if let Some(live) = slot.as_mut() {
            return work(live);
        }
        work(slot.insert(self.restore()?))
    }

    fn restore(&self) -> Result<Live, ApiError> {
        let store = FanoutStore::open(Rc::clone(&self.db))?;
        let mut shard = Shard::new(Limits::default(), store.seen()?);
        let mut open = BTreeMap::new();
        for socket in self.state.get_websockets() {
            if let Ok(Some(id)) = socket.deserialize_attachment::<u64>() {
                open.insert(id, socket);
            }
        }
        let mut sockets = BTreeMap::new();
        for kept in store.subscribers()? {
            match open.remove(&kept.id) {
                Some(socket) if kept.is_live => {
                    sockets.insert(kept.id, socket);
                    let restored = Input::Restore {
                        id: kept.id,
                        viewer: kept.viewer,
                        filter: kept.filter,
                    };
                    // A subscriber that is up to date needs nothing done.
                    let _ = shard.handle(now(), restored);
                }
                unfinished => {
                    store.forget(kept.id)?;
                    if let Some(socket) = unfinished {
                        let reason = "restarting: come back with your cursor";
                        let _ = socket.close(Some(RESTART_CLOSE), Some(reason));
                    }
                }
            }
        }
        Ok(Live {
            store,
            shard,
            sockets,
        })
    }

    /// Asks the relay for what happens from now on, under the name by which the Worker found us.
    pub(super) async fn join(&self, name: String) -> Result<Joined, ApiError> {
        self.with_live(|live| live.store.set_name(&name))?;
        let join = Sockets {
            shard: name,
            sockets: self.sockets(),
        };
        let relay = internal::relay(&self.env)?;
        self.joining.set(self.joining.get().saturating_add(1));
        let joined = internal::post(&relay, "/firehose/join", &join, &new_request_id()).await;
        self.joining.set(self.joining.get().saturating_sub(1));
        joined
    }

    /// Takes a viewer whose socket is accepted in this turn, after the relay's answer.
    pub(super) fn welcome(
        self: &Rc<Self>,
        socket: &WebSocket,
        viewer: Viewer,
        filter: Filter,
        start: Option<Start>,
        joined: &Joined,
    ) -> Result<(), ApiError> {
        let id = self.with_live(|live| {
            let id = live.store.add(viewer)?;
            live.sockets.insert(id, socket.clone());
            Ok(id)
        })?;
        socket.serialize_attachment(id)?;
        let status = match viewer {
            Viewer::Admin => &joined.status.admin,
            Viewer::Observer => &joined.status.observer,
        };
        let _ = socket.send_with_str(status);
        self.feed(Input::Join {
            id,
            viewer,
            filter,
            start,
            head: &joined.head,
        })
    }

    /// Takes in what the relay pushed. Returns how many viewers there are.
    pub(super) fn take(self: &Rc<Self>, push: &Push) -> Result<usize, ApiError> {
        self.feed(Input::Pushed(&push.batch))?;
        if let Some(status) = &push.status {
            self.feed(Input::Status {
                admin: &status.admin,
                observer: &status.observer,
            })?;
        }
        let sockets = self.sockets();
        self.told.set(sockets);
        Ok(sockets)
    }

    pub(super) fn hear(self: &Rc<Self>, socket: &WebSocket, text: &str) -> Result<(), ApiError> {
        match socket.deserialize_attachment::<u64>()? {
            Some(id) => self.feed(Input::Heard { id, text }),
            None => Ok(()),
        }
    }

    pub(super) fn leave(self: &Rc<Self>, socket: &WebSocket) -> Result<(), ApiError> {
        let Some(id) = socket.deserialize_attachment::<u64>()? else {
            return Ok(());
        };
        self.feed(Input::Left(id))?;
        self.forget(id)?;
        let sockets = self.sockets();
        if sockets < self.told.replace(sockets) || sockets == 0 {
            let driver = Rc::clone(self);
            spawn_local(async move {
                if let Err(error) = driver.tell_relay().await {
                    console_warn!("the relay does not know yet who left: {error}");
                }
            });
        }
        Ok(())
    }

    async fn tell_relay(&self) -> Result<(), ApiError> {
        let Some(shard) = self.with_live(|live| live.store.name())? else {
            return Ok(());
        };
        let left = Sockets {
            shard,
            sockets: self.sockets(),
        };
        let relay = internal::relay(&self.env)?;
        let Nothing {} = internal::post(&relay, "/firehose/left", &left, &new_request_id()).await?;
        Ok(())
    }

    fn forget(&self, id: u64) -> Result<(), ApiError> {
        self.with_live(|live| {
            live.sockets.remove(&id);
            live.store.forget(id)
        })
    }

    /// How many viewers there are, with those that are about to be.
    pub(super) fn sockets(&self) -> usize {
        let here = self.with_live(|live| Ok(live.shard.len())).unwrap_or(0);
        here.saturating_add(self.joining.get())
    }

    fn feed(self: &Rc<Self>, input: Input<'_>) -> Result<(), ApiError> {
        let done = self.with_live(|live| {
            let outputs = live.shard.handle(now(), input);
            let mut calls = Vec::new();
            for output in outputs {
                match output {
                    Output::Seen(cursor) => live.store.set_seen(&cursor)?,
                    Output::Keep(id, filter, is_live) => live.store.keep(id, &filter, is_live)?,
                    Output::Send(id, text) => {
                        if let Some(socket) = live.sockets.get(&id) {
                            // One that is gone has its close event to come.
                            let _ = socket.send_with_str(&text);
                        }
                    }
                    Output::Close(id, code, reason) => {
                        if let Some(socket) = live.sockets.remove(&id) {
                            let _ = socket.close(Some(code), Some(reason));
                        }
                        live.store.forget(id)?;
                    }
                    call @ (Output::Pull { .. } | Output::Wake(_)) => calls.push(call),
                }
            }
            Ok(calls)
        });
        match done {
            Ok(calls) => {
                calls.into_iter().for_each(|call| self.call(&call));
                Ok(())
            }
            Err(error) => {
                // What was decided is not kept: start over from what is, and let everybody come back.
                self.start_over();
                Err(error)
            }
        }
    }

    fn start_over(&self) {
        if let Some(live) = self.live.take() {
            for socket in live.sockets.into_values() {
                let _ = socket.close(
                    Some(RESTART_CLOSE),
                    Some("restarting: come back with your cursor"),
                );
            }
        }
    }

    fn call(self: &Rc<Self>, call: &Output) {
        match call {
            Output::Pull { by, after } => {
                let (driver, by, after) = (Rc::clone(self), *by, *after);
                spawn_local(async move { driver.pull(by, after).await });
            }
            Output::Wake(at) => {
                let (driver, at) = (Rc::clone(self), *at);
                spawn_local(async move { driver.wake(at).await });
            }
            Output::Seen(_) | Output::Keep(..) | Output::Send(..) | Output::Close(..) => {}
        }
    }

    async fn pull(self: &Rc<Self>, by: Option<u64>, after: u64) {
        let page = match self.page(after).await {
            Ok(page) => Some(page),
            Err(error) => {
                console_warn!("past events could not be had, trying again: {error}");
                Delay::from(Duration::from_millis(RETRY_MS)).await;
                None
            }
        };
        self.feed_quietly(Input::Pulled {
            by,
            page: page.as_ref(),
        });
    }

    async fn page(&self, after: u64) -> Result<Page, ApiError> {
        let relay = internal::relay(&self.env)?;
        wire::call(&relay, "/firehose/after", &after).await
    }

    async fn wake(self: &Rc<Self>, at: Timestamp) {
        let wait = at.since(now()).max(1);
        Delay::from(Duration::from_millis(wait)).await;
        self.feed_quietly(Input::Timeout);
    }

    fn feed_quietly(self: &Rc<Self>, input: Input<'_>) {
        if let Err(error) = self.feed(input) {
            console_warn!("a fan-out object starts over: {error}");
        }
    }
}
