//! Tells the relay what happened, in batches, off the path of the messages themselves.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use entente_lexicon::api::NewEvent;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, Env, console_warn};

use crate::internal;

/// How long events are gathered before they go to the relay.
const BATCH_MS: u64 = 100;
/// Events of one batch that are shown one by one. Viewers cannot follow more; the relay stores each.
const MAX_SHOWN: usize = 50;
/// Kinds of events, by what they are and whom they concern, that the rest is summed up in.
const MAX_SUMS: usize = 50;

/// Gathers an object's events. They are for viewers: a crash may lose the last batch.
pub(crate) struct Reporter {
    env: Env,
    pending: RefCell<Gathered>,
    scheduled: Cell<bool>,
}

impl Reporter {
    /// Makes a reporter for the object that owns `env`.
    pub(crate) fn new(env: Env) -> Rc<Self> {
        Rc::new(Self {
            env,
            pending: RefCell::default(),
            scheduled: Cell::new(false),
        })
    }

    /// Adds an event to the next batch.
    pub(crate) fn report(self: &Rc<Self>, event: NewEvent) {
        self.pending.borrow_mut().add(event);
        if !self.scheduled.replace(true) {
            let reporter = Rc::clone(self);
            spawn_local(async move { reporter.flush().await });
        }
    }

    async fn flush(&self) {
        Delay::from(Duration::from_millis(BATCH_MS)).await;
        self.scheduled.set(false);
        let (events, dropped) = self.pending.take().into_events();
        if dropped > 0 {
            console_warn!("{dropped} events of {BATCH_MS} ms were too different to be summed up");
        }
        if let Err(error) = internal::report(&self.env, &events).await {
            console_warn!("events did not reach the relay: {error}");
        }
    }
}

/// One batch: the first events as they are, the rest summed up with the last of its kind.
#[derive(Debug, Default)]
struct Gathered {
    shown: Vec<NewEvent>,
    sums: BTreeMap<[Option<String>; 5], NewEvent>,
    dropped: u64,
}

impl Gathered {
    fn add(&mut self, event: NewEvent) {
        if self.shown.len() < MAX_SHOWN {
            return self.shown.push(event);
        }
        let key = [
            Some(event.kind.clone()),
            event.from.clone(),
            event.to.clone(),
            event.peer.clone(),
            event.code.clone(),
        ];
        if let Some(sum) = self.sums.get_mut(&key) {
            let more = sum.more.unwrap_or(0).saturating_add(1);
            *sum = NewEvent {
                more: Some(more),
                ..event
            };
        } else if self.sums.len() < MAX_SUMS {
            self.sums.insert(key, event);
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    fn into_events(self) -> (Vec<NewEvent>, u64) {
        let mut events = self.shown;
        events.extend(self.sums.into_values());
        (events, self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, message: usize) -> NewEvent {
        NewEvent {
            kind: kind.to_owned(),
            message: Some(message.to_string()),
            ..NewEvent::default()
        }
    }

    #[test]
    fn few_events_are_shown_one_by_one_and_what_exceeds_them_is_counted_by_kind() {
        let mut gathered = Gathered::default();
        for n in 0..MAX_SHOWN {
            gathered.add(event("a", n));
        }
        for n in 0..1_000 {
            gathered.add(event(if n % 4 == 0 { "a" } else { "b" }, n));
        }
        let (events, dropped) = gathered.into_events();
        assert_eq!((events.len(), dropped), (MAX_SHOWN + 2, 0));
        let sums: Vec<_> = events[MAX_SHOWN..]
            .iter()
            .map(|sum| (sum.kind.as_str(), sum.more, sum.message.as_deref()))
            .collect();
        let expected = [("a", Some(249), Some("996")), ("b", Some(749), Some("999"))];
        assert_eq!(sums, expected);
    }

    #[test]
    fn a_batch_is_bounded_whatever_happens() {
        let mut gathered = Gathered::default();
        for n in 0..10_000 {
            gathered.add(event(&n.to_string(), n));
        }
        let (events, dropped) = gathered.into_events();
        assert_eq!(events.len(), MAX_SHOWN + MAX_SUMS);
        assert_eq!(dropped as usize, 10_000 - MAX_SHOWN - MAX_SUMS);
    }
}
