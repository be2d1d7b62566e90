//! Somebody who can write to the bucket changes nothing that its owner reads: every change is named.

use super::*;

/// Uploads six chunks and a bit; the length tells which object is which.
fn marked(agent: &Agent, number: usize) -> (Value, Vec<u8>) {
    let bytes = noise(20 + number as u64, 6 * CHUNK + 1 + number);
    (upload(agent, &bytes), bytes)
}

#[test]
fn whatever_is_done_to_what_is_stored_is_refused_by_name() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("victim");
    let stored: Vec<_> = (0..11).map(|number| marked(&agent, number)).collect();
    let long = noise(40, 2 * PART + 40);
    let long = (upload(&agent, &long), long);
    deployment.kill9("alpha");
    let objects = deployment.objects("alpha");
    let key_of = |bytes: &[u8]| {
        let size = sealed_length(bytes.len());
        let found = objects.iter().find(|object| object.size == size);
        found.expect("the object").key.clone()
    };
    let key = |number: usize| key_of(&stored[number].1);
    let late = 20 * (CHUNK + TAG) + 5;
    let _ = deployment.tamper(
        "alpha",
        &[
            json!({ "do": "drop", "key": key(0), "at": 2 }),
            json!({ "do": "double", "key": key(1), "at": 2 }),
            json!({ "do": "swap", "key": key(2), "at": 1, "with": 3 }),
            json!({ "do": "cut", "key": key(3), "bytes": 5 }),
            json!({ "do": "extend", "key": key(4), "bytes": 5 }),
            json!({ "do": "flip", "key": key(5), "at": 2 * (CHUNK + TAG) + 9 }),
            json!({ "do": "drop", "key": key(6), "at": 6 }),
            json!({ "do": "remove", "key": key(7) }),
            // Under another blob's key, of the same length but for a byte.
            json!({ "do": "exchange", "key": key(8), "with": key(9) }),
            json!({ "do": "flip", "key": key_of(&long.1), "at": late }),
        ],
    );
    deployment.restart("alpha");
    for (number, code) in [
        (0, "BLOB_CHUNK_MISSING"),
        (1, "BLOB_CHUNK_REPEATED"),
        (2, "BLOB_CHUNK_MISPLACED"),
        (3, "BLOB_TRUNCATED"),
        (4, "BLOB_EXTENDED"),
        (5, "BLOB_CHUNK_DAMAGED"),
        (6, "BLOB_TRUNCATED"),
        (7, "BLOB_MISSING"),
        (8, "BLOB_CHUNK_DAMAGED"),
        (9, "BLOB_CHUNK_DAMAGED"),
    ] {
        read(&agent, &stored[number].0).refused(500, code);
    }
    // What was not touched opens, also beside a damaged chunk.
    assert!(read(&agent, &stored[10].0).body == stored[10].1);
    let range = read_range(&agent, &stored[5].0, "bytes=0-99");
    assert!(range.status == 206 && range.body == stored[5].1[..100]);
    // Damage that is met once the answer has begun breaks it off: it never looks whole.
    let (blob, bytes) = &long;
    let path = blob_path(&agent, blob);
    let broken = agent.client.attempt("GET", &path, &[], &[]);
    assert!(broken.is_err(), "an answer that is broken off");
    let range = read_range(&agent, blob, &format!("bytes={}-", 21 * CHUNK));
    assert!(range.status == 206 && range.body == bytes[21 * CHUNK..]);
    let _ = agent.client.get(&agent.path("")).expect(200);
    assert_eq!(blobs(&agent).len(), 12, "nothing was changed by it");
}
