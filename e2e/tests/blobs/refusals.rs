//! Bad input: each refused with its own code, and nothing changed.

use std::io::Write;
use std::net::TcpStream;

use entente_e2e::wait::{PATIENCE, wait_for};

use super::*;

#[test]
fn parts_that_do_not_fit_are_refused_and_nothing_changes() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("misfit");
    let bytes = noise(10, 2 * PART + 100);
    let parts: Vec<&[u8]> = bytes.chunks(PART).collect();
    let begun = begin(&agent, bytes.len());
    let _ = put_part(&agent, &begun, 0, parts[0]).expect(200);
    let before = state(&agent, &begun);
    for number in ["3", "99999999999999999999", "-1", "01", "x"] {
        put_part(&agent, &begun, number, parts[1]).refused(400, "BLOB_PART_NUMBER");
    }
    put_part(&agent, &begun, 2, parts[2]).refused(409, "BLOB_PART_ORDER");
    let longer = noise(11, PART + 1);
    for wrong in [&longer[..], &parts[1][..PART - 1], b"x", b""] {
        put_part(&agent, &begun, 1, wrong).refused(400, "BLOB_PART_LENGTH");
    }
    put_part(&agent, &begun, 0, parts[1]).refused(409, "BLOB_PART_CHANGED");
    complete(&agent, &begun).refused(409, "BLOB_INCOMPLETE");
    assert_eq!(state(&agent, &begun), before);
    let _ = put_part(&agent, &begun, 1, parts[1]).expect(200);
    put_part(&agent, &begun, 2, &noise(12, 101)).refused(400, "BLOB_PART_LENGTH");
    let _ = put_part(&agent, &begun, 2, parts[2]).expect(200);
    let blob = complete(&agent, &begun).expect(200);
    assert!(read(&agent, &blob).body == bytes);
    put_part(&agent, &begun, 0, parts[0]).refused(404, "UNKNOWN_UPLOAD");
}

#[test]
fn uploads_that_are_none_are_refused() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("declarer");
    let post = |body: Value| agent.client.post(&agent.path("/blobs"), &body);
    let declare = |size: Value, mime: &str| post(json!({ "size": size, "mimeType": mime }));
    declare(json!(0), "image/png").refused(400, "INVALID_BODY");
    declare(json!(-1), "image/png").refused(400, "INVALID_BODY");
    declare(json!(10_000_u64 * PART as u64 + 1), "image/png").refused(413, "BLOB_TOO_LARGE");
    declare(json!(1), "picture").refused(400, "INVALID_MIME_TYPE");
    declare(json!(1), "text/html\r\nx: y").refused(400, "INVALID_MIME_TYPE");
    post(json!({ "size": 1 })).refused(400, "INVALID_BODY");
    let most = 10_000_u64 * PART as u64;
    let kept: Vec<Value> = vec![declare(json!(most), "image/png").expect(201)];
    declare(json!(most), "image/png").refused(507, "MEMORY_FULL");
    assert_eq!(
        agent
            .client
            .delete(&upload_path(&agent, &kept[0], ""))
            .status,
        204
    );
    let kept: Vec<Value> = (0..16).map(|_| begin(&agent, 1)).collect();
    declare(json!(1), "image/png").refused(429, "TOO_MANY_UPLOADS");
    assert_eq!(
        agent
            .client
            .delete(&upload_path(&agent, &kept[3], ""))
            .status,
        204
    );
    let gone = upload_path(&agent, &kept[3], "");
    agent.client.get(&gone).refused(404, "UNKNOWN_UPLOAD");
    agent.client.delete(&gone).refused(404, "UNKNOWN_UPLOAD");
    let _ = begin(&agent, 1);
    assert!(blobs(&agent).is_empty());
}

#[test]
fn another_agents_uploads_and_blobs_are_out_of_reach() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (owner, other) = (
        alpha.create_agent("blob-owner"),
        alpha.create_agent("blob-other"),
    );
    let bytes = noise(13, 70_000);
    let blob = upload(&owner, &bytes);
    let begun = begin(&owner, bytes.len());
    let _ = begin(&other, 1);
    let own = upload_path(&other, &begun, "");
    other.client.get(&own).refused(404, "UNKNOWN_UPLOAD");
    other.client.delete(&own).refused(404, "UNKNOWN_UPLOAD");
    put_part(&other, &begun, 0, &bytes).refused(404, "UNKNOWN_UPLOAD");
    complete(&other, &begun).refused(404, "UNKNOWN_UPLOAD");
    for method in ["GET", "DELETE"] {
        let path = blob_path(&other, &blob);
        other
            .client
            .send(method, &path, &[], &[])
            .refused(404, "UNKNOWN_BLOB");
        let path = blob_path(&owner, &blob);
        other
            .client
            .send(method, &path, &[], &[])
            .refused(403, "FORBIDDEN");
        alpha
            .public
            .send(method, &path, &[], &[])
            .refused(401, "UNAUTHENTICATED");
    }
    let record = json!({ "$type": "agent.memory.note", "text": "not mine", "x": blob["blob"] });
    let reply = other
        .client
        .post(&other.path("/memory"), &json!({ "record": record }));
    reply.refused(400, "UNKNOWN_BLOB");
    // The admin reads an agent's blobs where the agent was made so, and nowhere else.
    alpha
        .admin
        .get(&blob_path(&owner, &blob))
        .refused(403, "ADMIN_READ_OFF");
    assert_eq!(state(&owner, &begun)["received"], 0);
    assert!(read(&owner, &blob).body == bytes);
    for id in [
        "x",
        "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52z",
        "up_x",
    ] {
        let reply = owner.client.get(&owner.path(&format!("/blobs/{id}")));
        let code = if id == "up_x" {
            "UNKNOWN_UPLOAD"
        } else {
            "UNKNOWN_BLOB"
        };
        reply.refused(404, code);
    }
}

#[test]
fn records_refer_to_blobs_that_are_there_and_as_they_are() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("referrer");
    let blob = upload(&agent, &noise(14, 1_000));
    let store = |attached: &Value| {
        let record =
            json!({ "$type": "agent.memory.note", "text": "see", "deep": [{ "x": attached }] });
        agent
            .client
            .post(&agent.path("/memory"), &json!({ "record": record }))
    };
    let with = |field: &str, value: Value| {
        let mut changed = blob["blob"].clone();
        changed[field] = value;
        changed
    };
    let missing = json!({ "$link": cid(b"nobody uploaded this") });
    store(&with("ref", missing)).refused(400, "UNKNOWN_BLOB");
    store(&with("size", json!(1_001))).refused(400, "BLOB_REF_MISMATCH");
    store(&with("mimeType", json!("image/png"))).refused(400, "BLOB_REF_MISMATCH");
    store(&with("ref", json!({ "$link": "x" }))).refused(400, "BAD_FORMAT");
    assert_eq!(blobs(&agent)[0]["referred"], false);
    let record = store(&blob["blob"]).expect(201);
    assert_eq!(blobs(&agent)[0]["referred"], true);
    agent
        .client
        .delete(&blob_path(&agent, &blob))
        .refused(409, "BLOB_IN_USE");
    let path = record_path(&agent, &record);
    let body = json!({ "record": { "$type": "agent.memory.note", "text": "x", "x": with("size", json!(2)) } });
    let headers = [("content-type", "application/json")];
    let reply = agent
        .client
        .send("PUT", &path, &headers, body.to_string().as_bytes());
    reply.refused(400, "BLOB_REF_MISMATCH");
    assert_eq!(agent.client.get(&path).expect(200), record);
}

#[test]
fn a_network_without_a_bucket_says_so_and_does_all_else() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("bucketless");
    let bytes = noise(15, 2_000);
    let blob = upload(&agent, &bytes);
    let begun = begin(&agent, bytes.len());
    deployment.kill9("alpha");
    let without = deployment.run_misconfigured("alpha", &[("LOCAL_BUCKET", Some("none"))]);
    let body = json!({ "size": 1, "mimeType": "image/png" });
    let reply = agent.client.post(&agent.path("/blobs"), &body);
    reply.refused(503, "BUCKET_MISSING");
    read(&agent, &blob).refused(503, "BUCKET_MISSING");
    put_part(&agent, &begun, 0, &bytes).refused(503, "BUCKET_MISSING");
    let record = attach(&agent, &blob);
    assert_eq!(
        agent.client.get(&record_path(&agent, &record)).expect(200),
        record
    );
    drop(without);
    deployment.restart("alpha");
    assert!(read(&agent, &blob).body == bytes);
    assert_eq!(state(&agent, &begun)["received"], 0);
    let _ = put_part(&agent, &begun, 0, &bytes).expect(200);
    let _ = complete(&agent, &begun).expect(200);
}

#[test]
fn one_part_of_an_agent_moves_at_a_time() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (slow, other) = (alpha.create_agent("slow"), alpha.create_agent("quick"));
    let begun = begin(&slow, PART);
    let part = noise(16, PART);
    let mut half = TcpStream::connect(alpha.host.replace("localhost", "127.0.0.1")).unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: {PART}\r\n\r\n",
        upload_path(&slow, &begun, "/0"),
        alpha.host,
        slow.token,
    );
    half.write_all(head.as_bytes()).unwrap();
    half.write_all(&part[..PART / 2]).unwrap();
    wait_for("the slow part to be in the way", PATIENCE, || {
        let reply = put_part(&slow, &begun, 0, b"of another length");
        let busy = reply.status == 503 && reply.header("retry-after") == Some("1");
        busy.then(|| reply.refused(503, "BLOB_BUSY"))
    });
    assert_eq!(state(&slow, &begun)["received"], 0);
    let _ = upload(&other, &noise(17, 1_000));
    half.write_all(&part[PART / 2..]).unwrap();
    wait_for("the slow part to be stored", PATIENCE, || {
        (state(&slow, &begun)["received"] == 1).then_some(())
    });
    assert_eq!(complete(&slow, &begun).expect(200)["cid"], cid(&part));
}
