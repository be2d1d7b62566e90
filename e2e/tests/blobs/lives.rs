//! How long a blob lives, and that nothing is left of it in the bucket.

use std::fs;
use std::time::Duration;

use entente_e2e::wait::wait_for;

use super::*;

/// What nobody needs is kept for so long: longer than any of these tests takes from an upload to the
/// record that refers to it.
const KEEP_MS: &str = "8000";
/// A sweep may come just too early for an object, and the next one as much later.
const SWEPT: Duration = Duration::from_secs(90);

/// A network whose bucket nobody else uses.
fn alone() -> Deployment {
    Options::default().networks(1).bare().start()
}

/// The same, and it keeps what nobody needs for a moment only.
fn forgetful() -> Deployment {
    let options = Options::default().networks(1).bare();
    options.var("BLOB_KEEP_MS", KEEP_MS).start()
}

/// Files of the bucket: one for every part of an object.
fn files(deployment: &Deployment) -> usize {
    let folder = deployment.persist("alpha").join("r2/blobs/blobs");
    fs::read_dir(folder).map_or(0, Iterator::count)
}

fn wait_for_files(deployment: &Deployment, count: usize) {
    let what = format!("the bucket to have {count} files");
    wait_for(&what, SWEPT, || (files(deployment) == count).then_some(()));
}

fn wait_until_gone(agent: &Agent, blob: &Value) {
    wait_for("the blob to be gone", SWEPT, || {
        (read(agent, blob).status == 404).then_some(())
    });
}

#[test]
fn what_no_record_needs_is_swept_and_what_one_needs_stays() {
    let deployment = forgetful();
    let agent = deployment.network("alpha").create_agent("sweeper");
    let bytes = noise(50, 70_000);
    let kept = upload(&agent, &bytes);
    let record = attach(&agent, &kept);
    let lonely = upload(&agent, &noise(51, 80_000));
    let abandoned = begin(&agent, PART + 1);
    let _ = put_part(&agent, &abandoned, 0, &noise(52, PART)).expect(200);
    wait_until_gone(&agent, &lonely);
    let path = upload_path(&agent, &abandoned, "");
    wait_for("the upload to expire", SWEPT, || {
        (agent.client.get(&path).status == 404).then_some(())
    });
    put_part(&agent, &abandoned, 1, b"x").refused(404, "UNKNOWN_UPLOAD");
    complete(&agent, &abandoned).refused(404, "UNKNOWN_UPLOAD");
    wait_for_files(&deployment, 1);

    // What no row names, as after storage was set back: swept too. Another agent's is its own matter.
    deployment.kill9("alpha");
    let objects = deployment.objects("alpha");
    let prefix = objects[0].key.rsplit_once('/').unwrap().0;
    let orphans: Vec<_> = (0..3)
        .map(
            |number| json!({ "do": "put", "key": format!("{prefix}/orphan{number}"), "bytes": 10 }),
        )
        .collect();
    assert_eq!(deployment.tamper("alpha", &orphans).len(), 4);
    deployment.restart("alpha");
    wait_for_files(&deployment, 1);
    assert!(read(&agent, &kept).body == bytes, "a record needs it");
    assert_eq!(agent.client.get(&record_path(&agent, &record)).status, 200);
    assert_eq!(blobs(&agent).len(), 1);
}

#[test]
fn a_blob_goes_with_the_last_record_or_version_that_refers_to_it() {
    let deployment = alone();
    let agent = deployment.network("alpha").create_agent("last");
    let bytes = noise(53, 70_000);
    let blob = upload(&agent, &bytes);
    let (one, two) = (attach(&agent, &blob), attach(&agent, &blob));
    assert_eq!(agent.client.delete(&record_path(&agent, &one)).status, 204);
    assert!(read(&agent, &blob).body == bytes);
    // A version before this one refers to it still, and stays readable.
    let path = record_path(&agent, &two);
    let headers = [("content-type", "application/json")];
    let put_record = |fields: &Value| {
        let mut record = fields.clone();
        record["$type"] = json!("agent.memory.note");
        let body = json!({ "record": record }).to_string();
        let put = agent.client.send("PUT", &path, &headers, body.as_bytes());
        let _ = put.expect(200);
    };
    let put = |text: &str| put_record(&json!({ "text": text }));
    put("without it");
    assert!(read(&agent, &blob).body == bytes);
    // Publishing and taking back make versions too.
    let third = attach(&agent, &blob);
    let public = format!("{}/public", record_path(&agent, &third));
    let _ = agent.client.post(&public, &json!({})).expect(200);
    let _ = agent.client.delete(&public).expect(200);
    assert_eq!(
        agent.client.delete(&record_path(&agent, &third)).status,
        204
    );
    for number in 0..31 {
        put(&format!("{number}"));
        assert_eq!(read(&agent, &blob).status, 200, "after {number}");
    }
    // The version that referred to it is dropped by one that does.
    put_record(&json!({ "text": "again", "attached": blob["blob"] }));
    assert!(read(&agent, &blob).body == bytes);
    // Forgetting says what becomes of it: another record needs it, or none.
    let other = attach(&agent, &blob);
    let forget = |record: &Value| {
        let path = format!("{}/forget", record_path(&agent, record));
        let report = agent.client.post(&path, &json!({})).expect(200);
        let done = report["done"].as_array().unwrap();
        done.iter()
            .any(|step| step["step"] == "blob" && step["of"] == blob["cid"])
    };
    assert!(!forget(&two), "another record refers to it");
    assert!(read(&agent, &blob).body == bytes);
    assert!(forget(&other), "it goes with the last one");
    read(&agent, &blob).refused(404, "UNKNOWN_BLOB");
    wait_for_files(&deployment, 0);

    let blob = upload(&agent, &bytes);
    let record = attach(&agent, &blob);
    assert_eq!(
        agent.client.delete(&record_path(&agent, &record)).status,
        204
    );
    read(&agent, &blob).refused(404, "UNKNOWN_BLOB");
    wait_for_files(&deployment, 0);
    let blob = upload(&agent, &bytes);
    assert_eq!(agent.client.delete(&blob_path(&agent, &blob)).status, 204);
    wait_for_files(&deployment, 0);
}

#[test]
fn an_upload_given_up_and_a_deleted_agent_leave_nothing_in_the_bucket() {
    let deployment = alone();
    let alpha = deployment.network("alpha");
    let (agent, other) = (alpha.create_agent("leaver"), alpha.create_agent("stayer"));
    let bytes = noise(54, 70_000);
    let kept = upload(&other, &bytes);
    attach(&other, &kept);
    let given_up = begin(&agent, PART + 1);
    let _ = put_part(&agent, &given_up, 0, &noise(55, PART)).expect(200);
    assert_eq!(files(&deployment), 2);
    assert_eq!(
        agent
            .client
            .delete(&upload_path(&agent, &given_up, ""))
            .status,
        204
    );
    wait_for_files(&deployment, 1);
    for number in 0..3 {
        let blob = upload(&agent, &noise(56 + number, 70_000));
        attach(&agent, &blob);
    }
    let open = begin(&agent, PART + 1);
    let _ = put_part(&agent, &open, 0, &noise(60, PART)).expect(200);
    assert!(files(&deployment) >= 4, "{}", files(&deployment));
    assert_eq!(alpha.admin.delete(&agent.path("")).status, 204);
    wait_for_files(&deployment, 1);
    assert!(read(&other, &kept).body == bytes);
}
