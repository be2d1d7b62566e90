//! The key that wraps keys is rotated while records are read and written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use entente_e2e::wait::{PATIENCE, wait_for};

use super::*;

#[test]
fn rotation_rewraps_rows_while_reads_and_writes_go_on_and_survives_a_kill() {
    const RECORDS: usize = 60;
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("turner");
    let records: Vec<_> = (0..RECORDS)
        .map(|number| store(&agent, &note(&format!("record {number}"))))
        .collect();
    let rotate = || agent.client.post(&agent.path("/memory/rotate"), &json!({}));
    assert_eq!(rotate().expect(200)["epoch"], 2);
    deployment.kill9("alpha");
    deployment.restart("alpha");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                store(&agent, &note("written meanwhile"));
            }
        });
        for record in &records {
            assert_eq!(
                get(&agent, record).expect(200),
                *record,
                "no ciphertext changed"
            );
        }
        wait_for("the rotation to end", PATIENCE, || {
            let view = agent
                .client
                .get(&agent.path("/memory/rotation"))
                .expect(200);
            (view["rowsLeft"] == 0 && view["epoch"] == 2).then_some(())
        });
        over.store(true, Ordering::SeqCst);
    });
    for record in &records {
        assert_eq!(get(&agent, record).expect(200), *record);
    }
}
