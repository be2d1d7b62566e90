//! Archives that are not taken: each for a reason with a code, and nothing changes.

use std::io::Read as _;

use entente_e2e::wait::{PATIENCE, wait_for};
use entente_trust::crypto::hash::sha256;

use super::import::{begin, delete, export, import};
use super::*;

const CID_BYTES: usize = 36;

/// Takes an archive apart: its header, then each block's CID and bytes.
fn sections(mut archive: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while !archive.is_empty() {
        let (mut length, mut at) = (0_usize, 0);
        loop {
            let byte = archive[at];
            length |= usize::from(byte & 0x7f) << (7 * at);
            at += 1;
            if byte < 0x80 {
                break;
            }
        }
        all.push(archive[at..at + length].to_vec());
        archive = &archive[at + length..];
    }
    all
}

fn joined(sections: &[Vec<u8>]) -> Vec<u8> {
    let mut archive = Vec::new();
    for section in sections {
        let mut length = section.len();
        while length >= 0x80 {
            archive.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        archive.push(u8::try_from(length).unwrap());
        archive.extend_from_slice(section);
    }
    archive
}

fn block(bytes: &[u8]) -> Vec<u8> {
    [&[1, 0x71, 0x12, 32][..], &sha256(&[bytes]), bytes].concat()
}

fn is_key(section: &[u8]) -> bool {
    section.windows(17).any(|part| part == b"agent.memory.wrap")
}

fn is_record(section: &[u8]) -> bool {
    let kind = b"agent.memory.envelope";
    section.windows(kind.len()).any(|part| part == kind)
}

/// An agent with two records, one of them deleted after the export.
fn prepared(name: &str) -> (Agent, Value, Vec<u8>) {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent(name);
    let (kept, gone) = (store(&agent, &note("kept")), store(&agent, &note("gone")));
    let archive = export(&agent);
    delete(&agent, &gone);
    (agent, kept, archive)
}

#[track_caller]
fn refused(agent: &Agent, kept: &Value, archive: &[u8], status: u16, code: &str) {
    import(agent, archive).refused(status, code);
    let now = list(agent, "", 10);
    assert_eq!(now, std::slice::from_ref(kept), "nothing changed");
}

#[test]
fn what_is_no_archive_or_was_changed_is_refused() {
    let (agent, kept, archive) = prepared("refusing-importer");
    let (_turn, _deployment) = deployment();
    let no = |archive: &[u8], code: &str| refused(&agent, &kept, archive, 422, code);
    no(b"", "CAR_TRUNCATED");
    no(&archive[..archive.len() - 1], "CAR_TRUNCATED");
    no(&b"{\"records\": []}".repeat(20), "CAR_HEADER");
    let parts = sections(&archive);
    assert_eq!(joined(&parts), archive);
    let changed = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut parts = parts.clone();
        change(&mut parts);
        joined(&parts)
    };
    let short = changed(&|parts| parts[1].truncate(CID_BYTES - 1));
    no(&short, "CAR_MALFORMED");
    let codec = changed(&|parts| parts[1][1] = 0x70);
    no(&codec, "CAR_CODEC_UNKNOWN");
    let flipped = changed(&|parts| *parts.last_mut().unwrap().last_mut().unwrap() ^= 1);
    no(&flipped, "CAR_HASH_MISMATCH");
    let long = changed(&|parts| parts.push(block(&vec![0; (1 << 20) + 1])));
    no(&long, "CAR_BLOCK_TOO_LARGE");
    let commit = changed(&|parts| {
        // The root names a block that is no commit.
        let other = parts.iter().find(|part| is_record(part)).unwrap()[..CID_BYTES].to_vec();
        let root = parts[1][..CID_BYTES].to_vec();
        let at = parts[0].windows(CID_BYTES).position(|part| part == root);
        parts[0].splice(at.unwrap()..at.unwrap() + CID_BYTES, other);
    });
    no(&commit, "COMMIT_MALFORMED");
    let rootless = changed(&|parts| drop(parts.remove(1)));
    no(&rootless, "REPO_BLOCK_MISSING");
    let treeless = changed(&|parts| drop(parts.remove(2)));
    no(&treeless, "REPO_BLOCK_MISSING");
    let recordless = changed(&|parts| parts.retain(|part| !is_record(part)));
    no(&recordless, "REPO_BLOCK_MISSING");
    let keyless = changed(&|parts| parts.retain(|part| !is_key(part)));
    no(&keyless, "IMPORT_KEY_MISSING");
    let swapped = changed(&|parts| {
        // Each record's key under the other's name.
        let keys: Vec<_> = (0..parts.len()).filter(|at| is_key(&parts[*at])).collect();
        let [one, two] = [&parts[keys[0]], &parts[keys[1]]].map(|part| part[CID_BYTES..].to_vec());
        let at = one
            .windows(3)
            .position(|part| part == b"row")
            .expect("a row");
        parts[keys[0]] = block(&[&one[..at], &two[at..]].concat());
        parts[keys[1]] = block(&[&two[..at], &one[at..]].concat());
    });
    no(&swapped, "WRAP_MISMATCH");
    assert_eq!(import(&agent, &archive).expect(200)["imported"], 1);
}

#[test]
fn more_than_is_taken_at_once_is_refused_before_it_comes() {
    let (agent, kept, _archive) = prepared("overfed-importer");
    let (_turn, deployment) = deployment();
    let announced = 2_304 * 1024 * 1024 + 1;
    let mut socket = begin(deployment.network("alpha"), &agent, announced, &[]);
    let mut answer = [0; 1024];
    let read = socket.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    drop(socket);
    assert_eq!(list(&agent, "", 10), [kept], "nothing changed");
}

#[test]
fn what_another_agent_or_another_key_signed_is_refused() {
    let (agent, kept, archive) = prepared("suspicious-importer");
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let other = alpha.create_agent("generous-exporter");
    let _ = store(&other, &note("take this"));
    refused(&agent, &kept, &export(&other), 422, "COMMIT_WRONG_DID");
    let public = format!("/xrpc/com.atproto.sync.getRepo?did={}", other.did);
    let public = alpha.public.get(&public).body;
    refused(&agent, &kept, &public, 422, "COMMIT_WRONG_DID");
    // Nobody else brings anything in.
    let route = agent.path("/memory/import");
    let post = |client: &entente_e2e::Client| client.send("POST", &route, &[], &archive);
    post(&alpha.public).refused(401, "UNAUTHENTICATED");
    post(&other.client).refused(403, "FORBIDDEN");
    post(&alpha.admin).refused(403, "ADMIN_READ_OFF");
    // A key that was replaced, for whatever reason, speaks for nobody.
    let rotate = agent.path("/keys/rotate");
    let _ = agent.client.post(&rotate, &json!({})).expect(200);
    wait_for("the new key to sign", PATIENCE, || {
        (import(&agent, &archive).status == 422).then_some(())
    });
    refused(&agent, &kept, &archive, 422, "COMMIT_BAD_SIGNATURE");
}

#[test]
fn a_record_whose_key_a_rotation_has_destroyed_does_not_come_back() {
    let (agent, kept, archive) = prepared("rotated-importer");
    let (_turn, _deployment) = deployment();
    let _ = agent
        .client
        .post(&agent.path("/memory/rotate"), &json!({}))
        .expect(200);
    wait_for(
        "the rotation to end and the old key to go",
        PATIENCE,
        || {
            let reply = import(&agent, &archive);
            if reply.status == 422 {
                return Some(());
            }
            // Both keys are there until all rows are rewrapped.
            for record in &list(&agent, "", 10)[1..] {
                delete(&agent, record);
            }
            None
        },
    );
    refused(&agent, &kept, &archive, 422, "WRAP_OTHER_EPOCH");
}
