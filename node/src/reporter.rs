//! Tells the relay what happened, in batches, off the path of the messages themselves.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use entente_lexicon::api::NewEvent;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, Env, console_warn};

use crate::internal;

/// How long events are gathered before they go to the relay.
const BATCH_MS: u64 = 100;
/// Events of one batch; what exceeds it is counted, not shown. Viewers cannot follow more anyway.
const MAX_BATCH: usize = 1_000;

/// Gathers an object's events. They are for viewers: a crash may lose the last batch.
pub(crate) struct Reporter {
    env: Env,
    pending: RefCell<Vec<NewEvent>>,
    dropped: Cell<u64>,
    scheduled: Cell<bool>,
}

impl Reporter {
    /// Makes a reporter for the object that owns `env`.
    pub(crate) fn new(env: Env) -> Rc<Self> {
        Rc::new(Self {
            env,
            pending: RefCell::default(),
            dropped: Cell::new(0),
            scheduled: Cell::new(false),
        })
    }

    /// Adds an event to the next batch.
    pub(crate) fn report(self: &Rc<Self>, event: NewEvent) {
        if self.pending.borrow().len() >= MAX_BATCH {
            self.dropped.set(self.dropped.get().saturating_add(1));
            return;
        }
        self.pending.borrow_mut().push(event);
        if !self.scheduled.replace(true) {
            let reporter = Rc::clone(self);
            spawn_local(async move { reporter.flush().await });
        }
    }

    async fn flush(&self) {
        Delay::from(Duration::from_millis(BATCH_MS)).await;
        self.scheduled.set(false);
        let events = self.pending.take();
        let dropped = self.dropped.take();
        if dropped > 0 {
            console_warn!(
                "{dropped} events were not shown: more than {MAX_BATCH} in {BATCH_MS} ms"
            );
        }
        if let Err(error) = internal::report(&self.env, &events).await {
            console_warn!("events did not reach the relay: {error}");
        }
    }
}
