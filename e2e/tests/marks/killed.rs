//! Networks that die between a mark and its receipt.

use super::*;

/// A link that failed while its peer was down dials again within this time.
const RECOVERY: std::time::Duration = std::time::Duration::from_secs(120);

fn becomes_read(writer: &Agent, id: &str) {
    wait_for(&format!("{id} to be read"), RECOVERY, || {
        let path = writer.path(&format!("/messages/{id}"));
        let reply = writer.client.attempt("GET", &path, &[], &[]).ok()?;
        (reply.status == 200 && reply.value()["status"] == "read").then_some(())
    });
}

#[test]
fn a_mark_that_was_answered_reaches_the_writer_whoever_dies() {
    let deployment = Options::default().networks(2).bare().start();
    let (near, far) = (deployment.network("alpha"), deployment.network("beta"));
    let writer = near.create_agent("writer");
    let local = far.create_agent("local-writer");
    let reader = far.create_agent_with("reader", json!({ "readReceipts": true }));
    let first = arrived(&writer, &reader, "read, then killed");
    let beside = arrived(&local, &reader, "read beside it");

    // The reader's network dies as soon as it has answered.
    let _ = read(&reader, &first);
    let _ = read(&reader, &beside);
    deployment.kill9("beta");
    deployment.restart("beta");
    becomes_read(&writer, &first);
    becomes_read(&local, &beside);

    // It dies while the writer's network is away, and the mark waits.
    let second = arrived(&writer, &reader, "read while nobody listens");
    deployment.kill9("alpha");
    let _ = read(&reader, &second);
    deployment.kill9("beta");
    deployment.restart("beta");
    deployment.restart("alpha");
    becomes_read(&writer, &second);

    // The writer's network dies as it hears of it, again and again.
    for round in 0..3 {
        let id = arrived(&writer, &reader, &format!("round {round}"));
        let _ = read(&reader, &id);
        deployment.kill9("alpha");
        deployment.restart("alpha");
        becomes_read(&writer, &id);
        assert_eq!(
            steps(&writer.status(&id)),
            ["accepted", "delivered", "read"]
        );
    }
}
