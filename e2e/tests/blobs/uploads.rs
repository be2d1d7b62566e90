//! Uploading and reading back, whole and by range, also when the network is killed in between.

use std::fs;
use std::path::Path;

use super::*;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_kill_between_the_bucket_and_the_row_loses_nothing() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("between");
    let bytes = noise(6, PART + 100);
    let begun = begin(&agent, bytes.len());
    for (part, bytes) in bytes.chunks(PART).enumerate() {
        let _ = put_part(&agent, &begun, part, bytes).expect(200);
    }
    // The objects are set back to where they did not know yet that the bucket had done its part.
    let objects = deployment.persist("alpha").join("do");
    let aside = deployment.state().join("aside");
    deployment.kill9("alpha");
    copy(&objects, &aside);
    deployment.restart("alpha");
    let blob = complete(&agent, &begun).expect(200);
    deployment.kill9("alpha");
    fs::remove_dir_all(&objects).unwrap();
    copy(&aside, &objects);
    deployment.restart("alpha");
    assert_eq!(state(&agent, &begun)["received"], 2);
    assert!(blobs(&agent).is_empty());
    let again = complete(&agent, &begun).expect(200);
    assert_eq!(again["blob"], blob["blob"]);
    assert!(read(&agent, &again).body == bytes);
}

#[test]
fn a_blob_goes_in_in_parts_and_comes_out_whole_and_by_range() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("uploader");
    let bytes = noise(1, 2 * PART + 3 * CHUNK + 77);
    let begun = begin(&agent, bytes.len());
    assert_eq!(
        (&begun["partSize"], &begun["parts"]),
        (&json!(PART), &json!(3))
    );
    let blob = upload(&agent, &bytes);
    assert_eq!(blob["cid"], cid(&bytes), "the CID is that of the bytes");
    assert_eq!(blob["size"], bytes.len());
    let ref_of = json!({ "$type": "blob", "ref": { "$link": blob["cid"] },
        "mimeType": "application/octet-stream", "size": bytes.len() });
    assert_eq!(blob["blob"], ref_of);

    let whole = read(&agent, &blob);
    assert_eq!(whole.status, 200);
    assert!(whole.body == bytes, "the bytes are what they were");
    assert_eq!(
        whole.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(
        whole.header("content-length"),
        Some(bytes.len().to_string().as_str())
    );
    assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));
    let end = bytes.len();
    for (from, to) in [
        (0, 1),
        (CHUNK - 1, CHUNK + 1),
        (PART - 5, PART + 70_000),
        (2 * PART + 3 * CHUNK, end),
        (end - 1, end),
        (CHUNK, 5 * CHUNK),
    ] {
        let part = read_range(&agent, &blob, &format!("bytes={from}-{}", to - 1));
        assert_eq!(part.status, 206, "{from}-{to}");
        let place = format!("bytes {from}-{}/{end}", to - 1);
        assert_eq!(part.header("content-range"), Some(place.as_str()));
        assert!(part.body == bytes[from..to], "{from}-{to}");
    }
    let last = read_range(&agent, &blob, "bytes=-100");
    assert!(last.status == 206 && last.body == bytes[end - 100..]);
    read_range(&agent, &blob, &format!("bytes={end}-")).refused(416, "BLOB_RANGE");
    let head = agent
        .client
        .send("HEAD", &blob_path(&agent, &blob), &[], &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(
        head.header("content-length"),
        Some(end.to_string().as_str())
    );
    assert_eq!(head.header("accept-ranges"), Some("bytes"));
    assert_eq!(blobs(&agent), [blob]);
}

#[test]
fn an_upload_survives_kills_and_goes_on_where_it_was() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("resumer");
    let bytes = noise(2, 2 * PART + 4_321);
    let parts: Vec<&[u8]> = bytes.chunks(PART).collect();
    let begun = begin(&agent, bytes.len());
    let again = || {
        deployment.kill9("alpha");
        deployment.restart("alpha");
    };
    again();
    assert_eq!(state(&agent, &begun)["received"], 0);
    assert_eq!(
        put_part(&agent, &begun, 0, parts[0]).expect(200)["received"],
        1
    );
    again();
    assert_eq!(state(&agent, &begun)["received"], 1);
    assert_eq!(
        put_part(&agent, &begun, 0, parts[0]).expect(200)["received"],
        1
    );
    put_part(&agent, &begun, 0, parts[1]).refused(409, "BLOB_PART_CHANGED");
    // Killed while a part is on its way: it is stored, or it is not, and either way it can be sent
    // again.
    std::thread::scope(|scope| {
        let path = upload_path(&agent, &begun, "/1");
        let (client, part) = (&agent.client, parts[1]);
        scope.spawn(move || client.attempt("PUT", &path, &[], part).is_ok());
        deployment.kill9("alpha");
    });
    deployment.restart("alpha");
    let received = state(&agent, &begun)["received"].as_u64().unwrap();
    assert!((1..=2).contains(&received), "{received}");
    assert_eq!(
        put_part(&agent, &begun, 1, parts[1]).expect(200)["received"],
        2
    );
    complete(&agent, &begun).refused(409, "BLOB_INCOMPLETE");
    assert_eq!(
        put_part(&agent, &begun, 2, parts[2]).expect(200)["received"],
        3
    );
    again();
    let blob = complete(&agent, &begun).expect(200);
    assert_eq!(blob["cid"], cid(&bytes));
    again();
    assert_eq!(complete(&agent, &begun).expect(200), blob, "said again");
    assert!(read(&agent, &blob).body == bytes);
    assert_eq!(blobs(&agent), [blob]);
}

#[test]
fn the_same_bytes_are_one_blob() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("twice");
    let bytes = noise(3, 100_000);
    let first = upload(&agent, &bytes);
    let record = attach(&agent, &first);
    let second = upload(&agent, &bytes);
    assert_eq!(second["cid"], first["cid"]);
    assert_eq!(second["referred"], true, "the record's reference holds");
    assert_eq!(blobs(&agent).len(), 1);
    assert!(read(&agent, &second).body == bytes);
    let record = agent.client.get(&record_path(&agent, &record)).expect(200);
    assert_eq!(record["record"]["attached"], first["blob"]);
}

#[test]
fn blobs_stay_readable_while_the_keys_that_wrap_are_rotated() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("rotating");
    let bytes = noise(4, CHUNK + 1);
    let blob = upload(&agent, &bytes);
    let begun = begin(&agent, bytes.len());
    let rotated = agent.client.post(&agent.path("/memory/rotate"), &json!({}));
    assert_eq!(rotated.expect(200)["epoch"], 2);
    entente_e2e::wait_for("the rotation to end", entente_e2e::wait::PATIENCE, || {
        let path = agent.path("/memory/rotation");
        let view = agent.client.get(&path).expect(200);
        (view["rowsLeft"] == 0).then_some(())
    });
    assert!(read(&agent, &blob).body == bytes);
    let other = noise(5, bytes.len());
    let _ = put_part(&agent, &begun, 0, &other).expect(200);
    let blob = complete(&agent, &begun).expect(200);
    assert!(read(&agent, &blob).body == other);
}
