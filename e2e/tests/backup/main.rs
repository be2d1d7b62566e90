//! What a network is restored from: backups of everything, sealed, put back where nothing is.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests"
)]

mod agent;
mod attacks;
mod groups;
mod interrupted;
mod network;
mod schedule;

use std::fs;
use std::path::{Path, PathBuf};

use entente_e2e::deployment::Supervisor;
use entente_e2e::wait::{PATIENCE, wait_for, wait_until};
use entente_e2e::{Agent, Deployment, Network, Options};
use serde_json::{Value, json};

/// Backups by command only, unless a test says otherwise: each has a deployment of its own, since it takes
/// its networks away.
fn deployment(networks: u16) -> Deployment {
    Options::default().networks(networks).start()
}

fn back_up(network: &Network) -> Value {
    let made = network.admin.post("/admin/backups", &json!({})).expect(201);
    assert_eq!(made["state"], "whole", "{made}");
    assert_eq!(made["behind"], 0, "{made}");
    made
}

fn backups(network: &Network) -> Value {
    network.admin.get("/admin/backups").expect(200)
}

/// Takes everything of a network away but its bucket, and starts it empty, without an identity.
fn lose(deployment: &Deployment, name: &str) -> Supervisor {
    deployment.kill9(name);
    empty(deployment, name);
    run_empty(deployment, name, &[])
}

/// Starts a network without giving it an identity, and waits until its database has its tables.
fn run_empty(deployment: &Deployment, name: &str, vars: &[(&str, Option<&str>)]) -> Supervisor {
    let running = deployment.run_misconfigured(name, vars);
    let log = deployment.state().join(name).join("misconfigured.log");
    wait_until("the migrations", PATIENCE, || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("ready:"))
    });
    running
}

fn empty(deployment: &Deployment, name: &str) {
    for part in ["do", "d1"] {
        fs::remove_dir_all(deployment.persist(name).join(part)).expect("its state was there");
    }
}

fn restore(network: &Network, wish: &Value) -> entente_e2e::Reply {
    network.admin.post("/admin/backups/restore", wish)
}

fn note(text: &str) -> Value {
    json!({ "record": { "$type": "agent.memory.note", "text": text } })
}

fn store(agent: &Agent, text: &str) -> Value {
    agent
        .client
        .post(&agent.path("/memory"), &note(text))
        .expect(201)
}

/// Everything an agent keeps, as it sees it.
fn everything(agent: &Agent) -> Value {
    let get = |rest: &str| agent.client.get(&agent.path(rest)).expect(200);
    let records = get("/memory?limit=100");
    let opened: Vec<_> = records["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| get(&format!("/memory/{}", record["id"].as_str().unwrap())))
        .collect();
    json!({
        "records": opened,
        "shared": get("/memory/shared"),
        "inbox": get("/inbox?limit=100"),
        "root": root_of(agent),
    })
}

/// The commit that an agent's public repo is at, and its private archive, byte for byte.
fn root_of(agent: &Agent) -> Value {
    let path = format!("/xrpc/com.atproto.sync.getLatestCommit?did={}", agent.did);
    let archive = agent.client.get(&agent.path("/export"));
    assert_eq!(archive.status, 200);
    json!({
        "public": agent.client.get(&path).expect(200),
        "private": data_encoding::HEXLOWER.encode(&archive.body),
    })
}

/// Waits until the list of all repos says that an agent's is at this commit.
fn wait_until_listed(network: &Network, agent: &Agent, head: &Value) {
    wait_for("the commit to be listed", PATIENCE, || {
        let list = network.public.get("/xrpc/com.atproto.sync.listRepos");
        let list = list.expect(200);
        let mut repos = list["repos"].as_array()?.iter();
        let repo = repos.find(|repo| repo["did"] == agent.did)?;
        let is = (&repo["head"], &repo["rev"], &repo["active"]);
        (is == (&head["cid"], &head["rev"], &json!(true))).then_some(())
    });
}

fn found(agent: &Agent, word: &str) -> usize {
    let path = agent.path(&format!("/memory/search?q={word}"));
    let found = agent.client.get(&path).expect(200);
    found["hits"].as_array().unwrap().len()
}

/// A message arrives, and its sender hears of that.
fn talk(from: &Agent, to: &Agent, text: &str) {
    let id = from.send(&to.address, text);
    let message = to.wait_for_message(&id);
    assert_eq!(message["content"]["text"], text);
    from.wait_for_status(&id, "delivered");
}

/// The files of the local bucket: its contents, one a file, and its tables.
fn bucket_files(deployment: &Deployment, name: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, all: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                walk(&entry.path(), all);
            } else {
                all.push(entry.path());
            }
        }
    }
    let mut all = Vec::new();
    walk(&deployment.persist(name).join("r2"), &mut all);
    all
}

/// The sealed parts in the local bucket, by what their header says they are: chunk, manifest or index.
fn parts(deployment: &Deployment, name: &str, kind: u8) -> Vec<(PathBuf, Vec<u8>)> {
    let all = bucket_files(deployment, name).into_iter();
    let read = all.filter_map(|path| Some((path.clone(), fs::read(&path).ok()?)));
    let is_it = |bytes: &[u8]| bytes.starts_with(b"ENB1") && bytes.get(4) == Some(&kind);
    read.filter(|(_, bytes)| is_it(bytes)).collect()
}
