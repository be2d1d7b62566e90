//! Who reads too slowly is told, dropped, and misses nothing when it comes back.

use super::*;
use entente_e2e::wait::PATIENCE;

/// Frames that may be unread, and then some: three events a message.
const MESSAGES: usize = 420;
/// Messages whose events are not summed up.
const BURST: usize = 10;

#[test]
fn who_never_says_what_it_read_is_dropped_with_a_cursor_that_misses_nothing() {
    let deployment = Options::default().networks(1).bare().start();
    let alpha = deployment.network("alpha");
    let (from, to) = (
        alpha.create_agent("much-from"),
        alpha.create_agent("much-to"),
    );
    let mut quick = watch(alpha, "?kinds=message.*");
    let mut slow = watch(alpha, "?kinds=message.*");
    let mut expected = Vec::new();
    for burst in 0..MESSAGES / BURST {
        for n in 0..BURST {
            let _ = from.send(&to.address, &format!("number {n} of {burst}"));
        }
        // One says what it read and stays.
        let mut left = BURST * 3;
        let last = quick.until("the burst", |frame| {
            if frame["type"] == "event" {
                expected.push(frame.clone());
                left -= 1;
            }
            left == 0
        });
        if burst % 10 == 9 {
            quick.send(&json!({ "type": "ack", "cursor": last["cursor"] }));
        }
    }
    let mut seen = Vec::new();
    let notice = slow.until("the notice", |frame| {
        if frame["type"] == "event" {
            seen.push(frame.clone());
        }
        frame["type"] == "slow"
    });
    assert_eq!(slow.closed(PATIENCE).0, 4408);
    assert!(
        seen.len() < expected.len() && seen.len() > 900,
        "{}",
        seen.len()
    );
    let cursor = notice["cursor"].as_str().unwrap();
    let mut back = watch(alpha, &format!("?kinds=message.*&cursor={cursor}"));
    while seen.len() < expected.len() {
        let frame = back.next("an event");
        if frame["type"] == "event" {
            seen.push(frame);
        }
    }
    assert_eq!(seen, expected);
}
