//! A panic anywhere answers every caller in flight at once, and costs nothing that was saved.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use entente_e2e::client::{Client, Reply};
use entente_e2e::deployment::Options;
use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Deployment, Network};
use serde_json::json;

/// Callers that wait inside the object while it panics.
const HELD: usize = 4;

/// A panic hurts a whole network, so these tests take turns.
fn deployment() -> (MutexGuard<'static, ()>, &'static Deployment) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let start = || {
        Options::default()
            .networks(2)
            .var("PANIC_ROUTE", "1")
            // Each panic makes the networks dial again: not what the limit on dials is for.
            .var("PEER_HELLOS_PER_MINUTE", "1000")
            .start()
    };
    (turn, SHARED.get_or_init(start))
}

fn drill(client: &Client, wish: &str) -> Reply {
    client.send("GET", "/agents", &[("x-entente-panic", wish)], b"")
}

/// Holds callers inside `target`, makes it panic until they are all answered, and returns their
/// answers: whoever came too late for one panic is met by the next.
fn panic_under(network: &Network, target: &str) -> Vec<Reply> {
    let held = format!("hold {target}");
    thread::scope(|scope| {
        let callers: Vec<_> = (0..HELD)
            .map(|_| scope.spawn(|| drill(&network.admin, &held)))
            .collect();
        wait_for(
            &format!("callers of {target} to be answered"),
            PATIENCE,
            || {
                drill(&network.admin, target).refused(500, "PANIC");
                callers
                    .iter()
                    .all(thread::ScopedJoinHandle::is_finished)
                    .then_some(())
            },
        );
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    })
}

#[test]
fn every_caller_in_flight_gets_a_500_at_once_wherever_the_panic_is() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    for target in [
        "worker".to_owned(),
        "relay".to_owned(),
        "agent alice".to_owned(),
        format!("link {}", beta.did),
    ] {
        for reply in panic_under(alpha, &target) {
            reply.refused(500, "PANIC");
        }
        assert_eq!(
            alpha.public.get("/health").expect(200)["status"],
            "ok",
            "after {target}"
        );
    }
}

#[test]
fn what_was_accepted_before_a_panic_is_delivered_after_it() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let (alice, diana) = (deployment.agent("alice"), deployment.agent("diana"));
    for target in [
        "agent alice".to_owned(),
        "relay".to_owned(),
        format!("link {}", beta.did),
    ] {
        let before = alice.send(&diana.address, &format!("before the panic of {target}"));
        drill(&alpha.admin, &target).refused(500, "PANIC");
        let after = alice.send(&diana.address, &format!("after the panic of {target}"));
        for id in [before, after] {
            diana.wait_for_message(&id);
            alice.wait_for_status(&id, "delivered");
        }
    }
}

#[test]
fn the_drill_does_nothing_unless_the_deployment_asks_for_it() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let headers = [("x-entente-panic", "worker")];
    let stranger = alpha.public.send("GET", "/health", &headers, b"");
    assert_eq!(stranger.status, 200, "only the admin may ask");
    let nobody = drill(&alpha.admin, "nobody");
    nobody.refused(400, "INVALID_BODY");
    let plain = Options::default().networks(1).bare().start();
    let reply = drill(&plain.network("alpha").admin, "worker");
    assert_eq!(reply.expect(200)["agents"], json!([]));
}
