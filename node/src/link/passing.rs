//! Passes on what streams evt and ctl brought: it is stored here already, and leaves only once
//! whoever it is for has committed it.

use std::rc::Rc;
use std::time::Duration;

use entente_federation::{Input, Stream};
use entente_lexicon::api::NewEvent;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, console_warn};

use crate::error::ApiError;
use crate::internal;
use crate::link::driver::Driver;

/// Items passed on at a time.
const MAX_BATCH: u32 = 128;
/// Between two attempts that fail, at first and at most.
const RETRY_MS: u64 = 1_000;
const MAX_RETRY_MS: u64 = 15_000;

impl Driver {
    /// Starts passing on, unless that is under way: then it goes round once more.
    pub(super) fn pass_on(self: &Rc<Self>) {
        self.pass_again.set(true);
        if self.passing.replace(true) {
            return;
        }
        let driver = Rc::clone(self);
        spawn_local(async move {
            let mut wait = RETRY_MS;
            while driver.pass_again.replace(false) {
                let Err(error) = driver.pass_all_on().await else {
                    wait = RETRY_MS;
                    continue;
                };
                if driver.machine.borrow().is_none() {
                    // The link was removed, or starts over and will pass on then.
                    break;
                }
                console_warn!("what a peer sent could not be passed on, trying again: {error}");
                driver.pass_again.set(true);
                Delay::from(Duration::from_millis(wait)).await;
                wait = wait.saturating_mul(2).min(MAX_RETRY_MS);
            }
            driver.passing.set(false);
        });
    }

    /// What arrives meanwhile is passed on too.
    async fn pass_all_on(self: &Rc<Self>) -> Result<(), ApiError> {
        loop {
            let controls = match self.tell_gaps(Stream::Ctl).await {
                Ok(()) => self.pass_controls().await,
                failed => failed,
            };
            // Whatever becomes of records, events go on.
            self.tell_gaps(Stream::Evt).await?;
            self.pass_all_events().await?;
            controls?;
            if self.store.arrived(Stream::Ctl)? == 0 && self.store.arrived(Stream::Evt)? == 0 {
                return Ok(());
            }
        }
    }

    async fn pass_all_events(self: &Rc<Self>) -> Result<(), ApiError> {
        let stream = Stream::Evt;
        loop {
            let arrivals = self.store.arrivals(stream, MAX_BATCH)?;
            let Some(last) = arrivals.last().map(|arrival| arrival.n) else {
                return Ok(());
            };
            self.pass_events(&arrivals).await?;
            self.store.passed_on(stream, last)?;
            let count = arrivals.len() as u64;
            self.feed_quietly(Input::Taken { stream, count });
        }
    }

    /// Shows viewers what is missing.
    async fn tell_gaps(&self, stream: Stream) -> Result<(), ApiError> {
        for gap in self.store.gaps(stream)? {
            let missing = gap.last.saturating_sub(gap.first).saturating_add(1);
            let event = NewEvent {
                kind: "events.gap".to_owned(),
                at: gap.at,
                peer: Some(self.peer()?.host.to_string()),
                label: Some(format!("{missing} {}", stream.as_str())),
                ..NewEvent::default()
            };
            internal::report(&self.env, &[event]).await?;
            self.store.told_gap(stream, gap.first)?;
        }
        Ok(())
    }
}
