//! The replica in D1 becomes what each agent's memory is, whatever is lost on the way.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod follows;
mod repairs;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use data_encoding::{BASE32_NOPAD, HEXUPPER};
use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Agent, Client, Deployment, Options};
use entente_trust::crypto::hash::sha256;
use serde_json::{Value, json};

/// What a lost hint costs: the alarm sends another one.
const REPAIR: Duration = Duration::from_secs(60);
/// What wraps a record's key for its owner.
const WRAP_BYTES: usize = 77;

/// Some of these tests kill networks, so they take turns.
fn deployment() -> (MutexGuard<'static, ()>, &'static Deployment) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| Options::default().networks(1).bare().start());
    (turn, shared)
}

fn store(agent: &Agent, text: &str) -> Value {
    let body = json!({ "record": { "$type": "agent.memory.note", "text": text } });
    agent.client.post(&agent.path("/memory"), &body).expect(201)
}

fn change(agent: &Agent, record: &Value, text: &str) {
    let body = json!({ "record": { "$type": "agent.memory.note", "text": text } }).to_string();
    let headers = [("content-type", "application/json")];
    let path = path(agent, record, "");
    let reply = agent.client.send("PUT", &path, &headers, body.as_bytes());
    let _ = reply.expect(200);
}

fn path(agent: &Agent, record: &Value, rest: &str) -> String {
    agent.path(&format!("/memory/{}{rest}", record["id"].as_str().unwrap()))
}

fn view(client: &Client, agent: &Agent) -> Value {
    client.get(&agent.path("/memory/replica")).expect(200)
}

/// What the agent's memory is: of each record its id, CID, version, whether it is public, and whom it
/// is shared with.
fn truth(agent: &Agent) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = agent.path(&format!("/memory?limit=100{cursor}"));
        let page = agent.client.get(&page).expect(200);
        for record in page["records"].as_array().unwrap() {
            let with = record["sharedWith"].as_array();
            let mut with: Vec<_> = with
                .into_iter()
                .flatten()
                .map(|share| share["did"].clone())
                .collect();
            with.sort_by_key(Value::to_string);
            all.push(json!({
                "id": record["id"], "cid": record["cid"], "version": record["version"],
                "public": u8::from(record["level"] == "public"), "with": with,
            }));
        }
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    all.sort_by_key(|record| record["id"].to_string());
    all
}

fn ask(deployment: &Deployment, statement: &str) -> Value {
    serde_json::from_str(&deployment.sql("alpha", statement)).expect("JSON")
}

/// What the replica says it is.
fn replica(deployment: &Deployment, agent: &Agent) -> Vec<Value> {
    let found = ask(
        deployment,
        &format!(
            "SELECT json_group_array(json_object('id', collection || ':' || rkey, 'cid', cid,
                'version', version, 'public', public, 'with', json((SELECT json_group_array(r)
                    FROM (SELECT recipient_did AS r FROM shared_records
                        WHERE record_id = records.id ORDER BY recipient_did)))))
             FROM records WHERE did = '{}'",
            agent.did
        ),
    );
    let mut all = found.as_array().unwrap().clone();
    all.sort_by_key(|record| record["id"].to_string());
    all
}

/// Waits until the replica is what the memory is, and checks that each block is the one that its CID
/// names, and each key is wrapped unless the record is public.
fn becomes_the_truth(deployment: &Deployment, agent: &Agent, patience: Duration) -> Vec<Value> {
    let truth = truth(agent);
    wait_for("the replica to be the truth", patience, || {
        (replica(deployment, agent) == truth).then_some(())
    });
    let rows = ask(
        deployment,
        &format!(
            "SELECT json_group_array(json_array(cid, hex(ciphertext), public,
                length(encrypted_dek))) FROM records WHERE did = '{}'",
            agent.did
        ),
    );
    for row in rows.as_array().unwrap() {
        let block = HEXUPPER
            .decode(row[1].as_str().unwrap().as_bytes())
            .unwrap();
        let named = [&[1, 0x71, 0x12, 32][..], &sha256(&[&block])].concat();
        let cid = format!("b{}", BASE32_NOPAD.encode(&named).to_lowercase());
        assert_eq!(row[0], cid);
        let wrap = (row[2] == 0).then_some(WRAP_BYTES);
        assert_eq!(row[3], json!(wrap), "{row}");
    }
    truth
}

fn wait_until_done(agent: &Agent) -> Value {
    wait_for("the agent to know", PATIENCE, || {
        let view = view(&agent.client, agent);
        (view["pending"] == 0).then_some(view)
    })
}
