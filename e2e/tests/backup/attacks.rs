use std::fs;
use std::path::{Path, PathBuf};

use entente_e2e::{Deployment, Network};
use serde_json::{Value, json};

use super::{back_up, deployment, empty, everything, lose, parts, restore, run_empty, store};

const CHUNK: u8 = 1;
const MANIFEST: u8 = 2;
const INDEX: u8 = 3;
/// Where the owner stands in a header.
const OWNER: std::ops::Range<usize> = 13..29;
/// Where the generation stands in a header.
const GENERATION: std::ops::Range<usize> = 29..37;

/// What a header says of the generation.
fn generation(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[GENERATION].try_into().unwrap())
}

/// Puts other bytes in the place of an object of the bucket, sees that the restore is refused, and puts the
/// right ones back.
fn with(network: &Network, path: &Path, bytes: &[u8], code: &str) {
    let right = fs::read(path).unwrap();
    assert_eq!(
        right.len(),
        bytes.len(),
        "the bucket knows its objects' lengths"
    );
    assert_ne!(right, bytes);
    fs::write(path, bytes).unwrap();
    restore(network, &json!({})).refused(422, code);
    fs::write(path, right).unwrap();
    network
        .admin
        .get("/admin/keys")
        .refused(503, "NOT_INITIALISED");
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

/// One agent's manifest in the place of another's: of one that the newest backup refers to, which is the newest of
/// its owner, since a part that did not change is not written again.
fn swapped(deployment: &Deployment, alpha: &Network) {
    let manifests = parts(deployment, "alpha", MANIFEST);
    let is_newest = |(_, one): &&(PathBuf, Vec<u8>)| {
        let own = manifests
            .iter()
            .filter(|(_, bytes)| bytes[OWNER] == one[OWNER]);
        own.map(|(_, bytes)| generation(bytes)).max() == Some(generation(one))
    };
    let twin = |one: &[u8]| {
        let other = manifests
            .iter()
            .find(|(_, bytes)| bytes.len() == one.len() && bytes[OWNER] != one[OWNER]);
        other.map(|(_, bytes)| bytes)
    };
    let mut newest = manifests.iter().filter(is_newest);
    let pair = newest.find_map(|(path, bytes)| Some((path, twin(bytes)?)));
    let (path, other) = pair.expect("two agents' manifests are equally long");
    with(alpha, path, other, "BACKUP_OTHER_OWNER");
}

#[test]
fn a_bucket_that_was_tampered_with_is_refused_and_nothing_is_begun() {
    let deployment = deployment(1);
    let (alpha, alice) = (deployment.network("alpha"), deployment.agent("alice"));
    let _ = store(alice, "what is to be restored");
    let older = back_up(alpha);
    let kept = everything(alice);
    let _ = back_up(alpha);
    let empty_one = lose(&deployment, "alpha");

    let indexes = parts(&deployment, "alpha", INDEX);
    let newest = indexes.iter().max_by_key(|(_, bytes)| generation(bytes));
    let (path, bytes) = newest.unwrap();
    with(
        alpha,
        path,
        &flipped(bytes, bytes.len() - 1),
        "BACKUP_DAMAGED",
    );
    with(alpha, path, &flipped(bytes, 37), "BACKUP_DAMAGED");
    with(alpha, path, &flipped(bytes, 3), "BACKUP_UNKNOWN_VERSION");
    with(alpha, path, &flipped(bytes, 0), "BACKUP_MALFORMED");
    with(alpha, path, &flipped(bytes, 13), "BACKUP_OTHER_OWNER");
    let (_, old) = indexes
        .iter()
        .min_by_key(|(_, bytes)| generation(bytes))
        .unwrap();
    with(alpha, path, old, "BACKUP_OTHER_GENERATION");
    // Not even with its number rewritten.
    let mut renumbered = old.clone();
    renumbered[GENERATION].copy_from_slice(&bytes[GENERATION]);
    with(alpha, path, &renumbered, "BACKUP_DAMAGED");

    swapped(&deployment, alpha);
    for wish in [
        json!({ "generation": 99 }),
        json!({ "network": "did:cf:nobody" }),
    ] {
        restore(alpha, &wish).refused(404, "BACKUP_NOT_FOUND");
    }
    drop(empty_one);
    empty(&deployment, "alpha");

    let other = "f".repeat(63) + "0";
    let wrong = run_empty(
        &deployment,
        "alpha",
        &[("ENCRYPTION_MASTER_KEY", Some(&other))],
    );
    restore(alpha, &json!({})).refused(503, "BACKUP_WRONG_KEY");
    drop(wrong);
    let elsewhere = run_empty(
        &deployment,
        "alpha",
        &[("NETWORK_HOST", Some("localhost:1"))],
    );
    restore(alpha, &json!({})).refused(503, "HOST_CHANGED");
    drop(elsewhere);

    // An older one, asked for by its number, is what was asked for.
    let _running = run_empty(&deployment, "alpha", &[]);
    let wish = json!({ "generation": older["generation"] });
    let restored: Value = restore(alpha, &wish).expect(200);
    assert_eq!(restored["generation"], older["generation"]);
    assert_eq!(everything(alice), kept);
}

#[test]
fn a_damaged_chunk_ends_a_restore_which_goes_on_when_it_is_put_back() {
    let deployment = deployment(1);
    let (alpha, alice) = (deployment.network("alpha"), deployment.agent("alice"));
    let _ = store(alice, "what is to be restored");
    let _ = back_up(alpha);
    let kept = everything(alice);
    let _running = lose(&deployment, "alpha");
    let chunks = parts(&deployment, "alpha", CHUNK);
    let (path, bytes) = chunks.first().expect("a chunk");
    fs::write(path, flipped(bytes, bytes.len() - 1)).unwrap();
    restore(alpha, &json!({})).refused(422, "BACKUP_DAMAGED");
    alpha
        .admin
        .get("/admin/keys")
        .refused(503, "NOT_INITIALISED");
    alpha
        .admin
        .post("/admin/init", &json!({}))
        .refused(409, "RESTORE_UNFINISHED");
    fs::write(path, bytes).unwrap();
    let _ = restore(alpha, &json!({})).expect(200);
    assert_eq!(everything(alice), kept);
}
