//! Who reads too slowly is told, dropped, and misses nothing when it comes back.

use super::*;
use entente_e2e::wait::PATIENCE;

/// Frames that may be unread, and then some: three events a message.
const MESSAGES: usize = 420;

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
    for n in 0..MESSAGES {
        let id = from.send(&to.address, &format!("number {n}"));
        from.wait_for_status(&id, "delivered");
    }
    // One says what it read and stays.
    let mut expected = Vec::new();
    let delivered = |frame: &Value| frame["event"]["kind"] == "message.delivered";
    while expected.iter().filter(|frame| delivered(frame)).count() < MESSAGES {
        let frame = quick.next("an event");
        if frame["type"] == "event" {
            if expected.len() % 100 == 99 {
                quick.send(&json!({ "type": "ack", "cursor": frame["cursor"] }));
            }
            expected.push(frame);
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
