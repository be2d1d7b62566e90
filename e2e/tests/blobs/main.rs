//! Blobs: what is too long for a record goes in in parts, sealed, and lives as long as a record
//! refers to it.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod large;
mod lent;
mod lives;
mod public;
mod refusals;
mod stalled;
mod tampered;
mod uploads;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use entente_e2e::{Agent, Deployment, Options, Reply};
use entente_lexicon::id::BASE32;
use entente_trust::crypto::hash::sha256;
use serde_json::{Value, json};

const PART: usize = 8 * 1024 * 1024;
const CHUNK: usize = 64 * 1024;
/// What a sealed chunk has besides its plaintext.
const TAG: usize = 16;

/// Some of these tests kill networks, so they take turns.
fn deployment() -> (MutexGuard<'static, ()>, &'static Deployment) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| Options::default().networks(1).bare().start());
    (turn, shared)
}

/// Bytes that repeat nowhere, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The CID of raw bytes with this SHA-256, written down independently of the product.
fn cid_of(digest: [u8; 32]) -> String {
    let bytes = [&[1, 0x55, 0x12, 32], &digest[..]].concat();
    format!("b{}", BASE32.encode(&bytes))
}

fn cid(bytes: &[u8]) -> String {
    cid_of(sha256(&[bytes]))
}

fn sealed_length(length: usize) -> u64 {
    (length + length.div_ceil(CHUNK) * TAG) as u64
}

fn begin(agent: &Agent, length: usize) -> Value {
    let body = json!({ "size": length, "mimeType": "application/octet-stream" });
    agent.client.post(&agent.path("/blobs"), &body).expect(201)
}

fn upload_path(agent: &Agent, upload: &Value, rest: &str) -> String {
    let id = upload["upload"].as_str().unwrap();
    agent.path(&format!("/blobs/{id}{rest}"))
}

fn put_part(agent: &Agent, upload: &Value, part: impl std::fmt::Display, bytes: &[u8]) -> Reply {
    let path = upload_path(agent, upload, &format!("/{part}"));
    agent.client.send("PUT", &path, &[], bytes)
}

fn complete(agent: &Agent, upload: &Value) -> Reply {
    let path = upload_path(agent, upload, "/complete");
    agent.client.post(&path, &json!({}))
}

fn state(agent: &Agent, upload: &Value) -> Value {
    agent
        .client
        .get(&upload_path(agent, upload, ""))
        .expect(200)
}

/// Uploads bytes as a blob.
fn upload(agent: &Agent, bytes: &[u8]) -> Value {
    let upload = begin(agent, bytes.len());
    for (part, bytes) in bytes.chunks(PART).enumerate() {
        let now = put_part(agent, &upload, part, bytes).expect(200);
        assert_eq!(now["received"], part + 1);
    }
    complete(agent, &upload).expect(200)
}

fn blob_path(agent: &Agent, blob: &Value) -> String {
    agent.path(&format!("/blobs/{}", blob["cid"].as_str().unwrap()))
}

fn read(agent: &Agent, blob: &Value) -> Reply {
    agent.client.get(&blob_path(agent, blob))
}

fn read_range(agent: &Agent, blob: &Value, range: &str) -> Reply {
    let path = blob_path(agent, blob);
    agent.client.send("GET", &path, &[("range", range)], &[])
}

/// Stores a record that refers to a blob, and returns it.
fn attach(agent: &Agent, blob: &Value) -> Value {
    let record =
        json!({ "$type": "agent.memory.note", "text": "see there", "attached": blob["blob"] });
    let body = json!({ "record": record });
    agent.client.post(&agent.path("/memory"), &body).expect(201)
}

fn record_path(agent: &Agent, record: &Value) -> String {
    agent.path(&format!("/memory/{}", record["id"].as_str().unwrap()))
}

fn blobs(agent: &Agent) -> Vec<Value> {
    let list = agent.client.get(&agent.path("/blobs")).expect(200);
    list["blobs"].as_array().unwrap().clone()
}
