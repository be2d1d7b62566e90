//! Waiting for something to become true.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything local may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

const STEP: Duration = Duration::from_millis(40);

/// Asks again and again until `probe` returns something.
///
/// # Panics
/// After `limit`, naming `what` it waited for.
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {limit:?} in vain for {what}"
        );
        thread::sleep(STEP);
    }
}

/// As [`wait_for`], for a condition.
///
/// # Panics
/// As [`wait_for`].
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    wait_for(what, limit, || holds().then_some(()));
}
