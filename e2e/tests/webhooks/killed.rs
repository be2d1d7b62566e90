//! kill -9 while a webhook is sent.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const MESSAGES: usize = 40;

#[test]
fn kill_9_while_webhooks_are_sent_loses_none_and_each_keeps_its_id() {
    let (_turn, shared) = shared();
    let (writer, reader) = (shared.agent("kill-writer"), shared.agent("kill-reader"));
    let hook = shared.hook(&reader, "/kill", json!({}));
    let mut sent = BTreeSet::new();
    for round in 0..4 {
        // The receiver has what it is sent, and nobody ever hears its answer.
        shared.receiver.answer(Answer::Silence);
        let before = shared.receiver.at("/kill").len();
        for number in 0..MESSAGES / 4 {
            let text = format!("{round}/{number}");
            let id = writer.send(&reader.address, &text);
            let _ = reader.wait_for_message(&id);
            sent.insert(id);
        }
        let _ = shared.receiver.wait_for("/kill", before + 1);
        shared.deployment.kill9("alpha");
        shared.receiver.answer(Answer::Status(204));
        shared.deployment.restart("alpha");
    }
    wait_for("all webhooks to be sent", 4 * PATIENCE, || {
        let view = show(&reader, &hook);
        (view["waiting"] == 0).then_some(())
    });
    // The ledger: each message was told of, under one id, with one body; and nothing else was.
    let mut told: BTreeMap<String, BTreeSet<(String, Vec<u8>)>> = BTreeMap::new();
    let posted = shared.receiver.at("/kill");
    for one in &posted {
        let subject = one.value()["data"]["id"].as_str().unwrap().to_owned();
        let id = one.header("idempotency-key").to_owned();
        told.entry(subject)
            .or_default()
            .insert((id, one.body.clone()));
    }
    assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), sent);
    assert!(told.values().all(|ids| ids.len() == 1), "{told:?}");
    let distinct: BTreeSet<_> = ids(&posted).into_iter().collect();
    assert_eq!(distinct.len(), MESSAGES);
    assert!(
        posted.len() > MESSAGES,
        "something was under way at each kill"
    );
    assert_eq!(show(&reader, &hook)["dead"], 0);
}
