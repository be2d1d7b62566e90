//! An agent's repos over HTTP, judged by atproto's reference implementation.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests report by panicking"
)]

mod overtaken;
mod records;
mod serving;
mod since;
mod stream;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use entente_e2e::deployment::root;
use entente_e2e::{Agent, Client, Deployment, Options};
use serde_json::{Value, json};

fn deployment() -> &'static Deployment {
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    SHARED.get_or_init(|| Options::default().networks(1).start())
}

/// Has the reference implementation verify an archive: `None` if it does not believe it, else
/// `{head, rev, records: [{path, cid, text}]}`.
fn judged(archive: &[u8], did: &str, key: &str, name: &str) -> Option<Value> {
    asked("read", &[("repo.car", archive)], (did, key), name)
}

/// Asks the reference implementation about archives: `None` if it believes them not.
fn asked(
    command: &str,
    archives: &[(&str, &[u8])],
    (did, key): (&str, &str),
    name: &str,
) -> Option<Value> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for (file, archive) in archives {
        fs::write(folder.join(file), archive).unwrap();
    }
    let wanted = json!({ "did": did, "key": format!("did:key:{key}") });
    fs::write(folder.join("wanted.json"), wanted.to_string()).unwrap();
    let output = Command::new("node")
        .arg(root().join("e2e/oracles/repo.mjs"))
        .arg(command)
        .arg(&folder)
        .output()
        .unwrap();
    let told = output.status.success().then_some(output.stdout);
    told.map(|told| serde_json::from_slice(&told).unwrap())
}

/// The key of an agent's repo, as its `did.json` shows it to software for atproto.
fn repo_key(public: &Client, agent: &Agent) -> String {
    let document = public.get(&agent.path("/did.json")).expect(200);
    let methods = document["verificationMethod"].as_array().unwrap();
    let ours = methods
        .iter()
        .find(|method| method["id"].as_str().unwrap().ends_with("#atproto"));
    ours.unwrap()["publicKeyMultibase"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn sync(public: &Client, method: &str, agent: &Agent) -> entente_e2e::Reply {
    public.get(&format!(
        "/xrpc/com.atproto.sync.{method}?did={}",
        agent.did
    ))
}
