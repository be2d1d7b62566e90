//! Messages that the next object has, until their rows say so.
//!
//! A row that still holds its sealed bytes is handed over again after a restart, and the link knows
//! it by its id: so nothing is lost if this is written late. Most receipts come before that, and
//! write the row anyway.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use entente_lexicon::MessageId;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, console_warn};

use crate::agent::core::Core;
use crate::agent::outbox::Departure;
use crate::error::ApiError;

/// How long a receipt is waited for before a row is written for this alone.
const PATIENCE_MS: u64 = 1_000;

/// The last bytes of a sealed message, other ones each time it is sealed.
pub(super) type Tail = [u8; 16];
/// Tails by message id.
pub(super) type Tails = BTreeMap<[u8; 16], Tail>;

/// What is handed over and not yet written down as such.
#[derive(Default)]
pub(super) struct Handed {
    tails: RefCell<Tails>,
    scheduled: Cell<bool>,
}

impl Handed {
    /// The row of a message is written for another reason.
    pub(super) fn forget(&self, id: &MessageId) {
        self.tails.borrow_mut().remove(&id.to_bytes());
    }
}

impl Core {
    /// Notes that the next object has these, to be written down soon.
    pub(super) fn note_handed<'a>(
        self: &Rc<Self>,
        departures: impl Iterator<Item = &'a Departure>,
    ) {
        let mut handed = self.handed.tails.borrow_mut();
        let tail = |departure: &Departure| {
            let tail = departure.bytes.last_chunk().copied();
            tail.map(|tail| (departure.id.to_bytes(), tail))
        };
        handed.extend(departures.filter_map(tail));
        if handed.is_empty() || self.handed.scheduled.replace(true) {
            return;
        }
        let core = Rc::clone(self);
        spawn_local(async move {
            Delay::from(Duration::from_millis(PATIENCE_MS)).await;
            core.handed.scheduled.set(false);
            if let Err(error) = core.write_handed() {
                // They stay noted until the next batch, and a restart only hands them over again.
                console_warn!("messages that were handed over are not marked yet: {error}");
            }
        });
    }

    fn write_handed(&self) -> Result<(), ApiError> {
        let mut handed = self.handed.tails.borrow_mut();
        if !handed.is_empty() {
            self.store.handed_over(&handed)?;
            handed.clear();
        }
        Ok(())
    }
}
