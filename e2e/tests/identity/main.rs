//! Keys that rotate while mail flows, and keys that change as they may not.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod frozen;
mod rotation;
mod secrets;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use entente_e2e::{Deployment, Options};

/// These tests rotate and kill networks, so they take turns.
fn deployment() -> (MutexGuard<'static, ()>, &'static Deployment) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| Options::default().networks(2).fake_peers(8).start());
    (turn, shared)
}
