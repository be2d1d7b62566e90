//! Receivers that fail.

use super::*;

#[test]
fn a_receiver_that_fails_is_tried_again_with_the_same_id_and_body_until_it_takes_it() {
    let (_turn, shared) = shared();
    let (writer, reader) = (shared.agent("again-writer"), shared.agent("again-reader"));
    let hook = shared.hook(&reader, "/again", json!({}));
    shared.receiver.answer(Answer::Status(500));
    let id = writer.send(&reader.address, "again");
    let _ = shared.receiver.wait_for("/again", 2);
    shared.receiver.answer(Answer::Status(200));
    let view = wait_for_hook(&reader, &hook, "the delivery to be done", |view| {
        view["deliveries"][0]["state"] == "delivered"
    });
    let posted = shared.receiver.at("/again");
    assert!(posted.iter().all(|one| one.body == posted[0].body));
    assert!(ids(&posted).iter().all(|one| *one == ids(&posted)[0]));
    let logged = &view["deliveries"][0];
    assert_eq!(logged["attempts"], posted.len());
    assert_eq!(
        (&logged["subject"], &logged["status"]),
        (&json!(id), &json!(200))
    );
    assert_eq!(
        (&view["state"], &view["failures"]),
        (&json!("active"), &json!(0))
    );
}

#[test]
fn what_is_not_taken_becomes_a_dead_letter_and_is_redriven_or_thrown_away() {
    let (_turn, shared) = shared();
    let (writer, reader) = (shared.agent("dead-writer"), shared.agent("dead-reader"));
    let hook = shared.hook(&reader, "/dead", json!({}));
    shared.receiver.answer(Answer::Status(503));
    let _ = writer.send(&reader.address, "dead");
    let view = wait_for_hook(&reader, &hook, "a dead letter", |view| view["dead"] == 1);
    assert_eq!(shared.receiver.at("/dead").len(), ATTEMPTS);
    assert_eq!(view["state"], "active");
    let letter = view["deliveries"][0]["id"].as_str().unwrap().to_owned();
    let which = json!({ "delivery": letter });
    act(
        &reader,
        &hook,
        "redrive",
        &json!({ "delivery": "nonsense" }),
    )
    .refused(404, "UNKNOWN_DEAD_LETTER");

    shared.receiver.answer(Answer::Status(204));
    assert_eq!(
        act(&reader, &hook, "redrive", &which).expect(200)["changed"],
        1
    );
    wait_for_hook(&reader, &hook, "the dead letter to arrive", |view| {
        view["dead"] == 0 && view["deliveries"][0]["state"] == "delivered"
    });
    act(&reader, &hook, "discard", &which).refused(404, "UNKNOWN_DEAD_LETTER");

    shared.receiver.answer(Answer::Status(400));
    let _ = writer.send(&reader.address, "dead again");
    wait_for_hook(&reader, &hook, "another", |view| view["dead"] == 1);
    assert_eq!(
        act(&reader, &hook, "discard", &json!({})).expect(200)["changed"],
        1
    );
    let view = show(&reader, &hook);
    assert_eq!(
        (&view["dead"], &view["deliveries"][0]["state"]),
        (&json!(0), &json!("discarded"))
    );
}

#[test]
fn a_receiver_that_is_gone_is_asked_no_more_until_its_owner_says_so() {
    let (_turn, shared) = shared();
    let (writer, reader) = (shared.agent("gone-writer"), shared.agent("gone-reader"));
    let hook = shared.hook(&reader, "/gone", json!({}));
    shared.receiver.answer(Answer::Status(410));
    let _ = writer.send(&reader.address, "one");
    let view = wait_for_hook(&reader, &hook, "the webhook to be disabled", |view| {
        view["state"] == "disabled"
    });
    assert_eq!(
        (&view["reason"], &view["dead"]),
        (&json!("gone"), &json!(1))
    );
    act(&reader, &hook, "test", &json!({})).refused(409, "WEBHOOK_DISABLED");
    act(&reader, &hook, "redrive", &json!({})).refused(409, "WEBHOOK_DISABLED");
    shared.receiver.answer(Answer::Status(204));
    let id = writer.send(&reader.address, "two");
    let _ = reader.wait_for_message(&id);
    assert_eq!(
        act(&reader, &hook, "enable", &json!({})).expect(200)["state"],
        "active"
    );
    assert_eq!(
        act(&reader, &hook, "redrive", &json!({})).expect(200)["changed"],
        1
    );
    let came = shared.receiver.wait_for("/gone", 2);
    assert_eq!(
        ids(&came)[0],
        ids(&came)[1],
        "the dead letter, not what came meanwhile"
    );
}

#[test]
fn a_receiver_that_fails_on_and_on_is_disabled_and_says_why() {
    let (_turn, shared) = shared();
    let (writer, reader) = (shared.agent("ill-writer"), shared.agent("ill-reader"));
    let hook = shared.hook(&reader, "/ill", json!({}));
    shared.receiver.answer(Answer::Status(500));
    for text in ["one", "two", "three"] {
        let _ = writer.send(&reader.address, text);
    }
    let view = wait_for("the webhook to be disabled", 2 * PATIENCE, || {
        let view = show(&reader, &hook);
        (view["state"] == "disabled").then_some(view)
    });
    assert_eq!(
        (&view["reason"], &view["dead"]),
        (&json!("failing"), &json!(3))
    );
    let asked = shared.receiver.at("/ill").len();
    assert!(asked <= 2 * ATTEMPTS + 3, "asked {asked} times");
}
