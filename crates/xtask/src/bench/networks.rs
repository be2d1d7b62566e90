//! The networks that are measured: two of ours, and two with the floor's Worker.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use entente_lexicon::api::LocalAgent;
use serde_json::{Map, Value, json};

use super::meter;
use crate::cli::{BenchMessage, BenchSide};
use crate::down;
use crate::paths::Repo;
use crate::progress::Step;
use crate::up::client::Client;
use crate::up::launch::Launch;
use crate::up::plan::{self, Network};
use crate::up::state::{Shape, StateFolder};
use crate::up::supervisor::{self, Config, Running};
use crate::up::{agents, peers};

/// Makes the frame that sends a message with that body.
pub(super) type Frame = Box<dyn Fn(&str) -> String>;

/// Two networks and how to send from one to the other.
pub(super) struct Subject {
    /// What the report calls it.
    pub(super) name: String,
    /// Where messages go in.
    pub(super) sender_url: String,
    /// The sending agent's token.
    pub(super) sender_token: String,
    /// Where they come out.
    pub(super) receiver_url: String,
    /// The receiving agent's token.
    pub(super) receiver_token: String,
    /// How to say it.
    pub(super) frame: Frame,
    /// Supervisors and workerds of both networks.
    pub(super) processes: Vec<u32>,
}

/// Networks that run for the benchmark; `stop` them.
pub(super) struct Started {
    /// What is measured.
    pub(super) subjects: Vec<Subject>,
    folders: Vec<StateFolder>,
    // Their stdin: when we go, they go.
    running: Vec<Running>,
}

impl Started {
    /// Stops all.
    pub(super) fn stop(self) -> Result<()> {
        stop(&self.folders, self.running)
    }
}

/// Stops the networks of the folders.
pub(super) fn stop(folders: &[StateFolder], running: Vec<Running>) -> Result<()> {
    for folder in folders {
        down::stop_all(folder)?;
    }
    for mut one in running {
        one.child.wait()?;
    }
    Ok(())
}

/// Starts the chosen sides with fresh state.
pub(super) fn start(repo: &Repo, args: &BenchMessage) -> Result<Started> {
    let mut started = Started {
        subjects: Vec::new(),
        folders: Vec::new(),
        running: Vec::new(),
    };
    if args.only != Some(BenchSide::Floor) {
        node(repo, args, &mut started)?;
    }
    if args.only != Some(BenchSide::Node) {
        floor(repo, args, &mut started)?;
    }
    Ok(started)
}

/// A folder for networks of a side, with nothing in it.
pub(super) fn fresh(repo: &Repo, side: &str, port: u16) -> Result<StateFolder> {
    let folder = StateFolder::open(&repo.join(".bench").join(side))?;
    down::stop_all(&folder)?;
    folder.delete()?;
    folder.set_shape(Shape { networks: 2, port })?;
    Ok(folder)
}

/// The supervisors and workerds of running networks.
pub(super) fn processes(running: &[Running]) -> Result<Vec<u32>> {
    let mut all = Vec::new();
    for one in running {
        all.extend(meter::family(one.child.id())?);
    }
    Ok(all)
}

fn node(repo: &Repo, args: &BenchMessage, started: &mut Started) -> Result<()> {
    let folder = fresh(repo, "node", args.port)?;
    let networks = plan::networks(2, args.port);
    let bundle = args
        .bundle
        .as_ref()
        .map_or_else(|| Ok(repo.worker_bundle()), std::path::absolute)?;
    let launch = Launch {
        repo,
        folder: &folder,
        networks: &networks,
        bundle,
        vars: Map::new(),
        detach: false,
    };
    let running = launch.start(&networks)?;
    started.folders.push(folder.clone());
    let step = Step::begin("peering");
    let mut ends = Vec::new();
    for network in &networks {
        let admin = Client::new(&network.url(), &folder.secrets(network.name)?.admin_key);
        let _: Value = admin.post("/admin/init", &json!({}))?;
        let agent = agents::ensure(&folder, network, &admin)?
            .into_iter()
            .next()
            .context("no agent was made")?;
        ends.push((network, admin, agent));
    }
    let [(alpha, alpha_admin, from), (beta, beta_admin, to)] = ends.as_slice() else {
        anyhow::bail!("the benchmark needs two networks");
    };
    peers::ensure((alpha, alpha_admin), (beta, beta_admin))?;
    peers::wait_until_up(alpha, alpha_admin, beta)?;
    step.end();
    let address = to.address.clone();
    // A reference is also an idempotency key: it must be new in every run.
    let references = AtomicU64::new(0);
    started.subjects.push(Subject {
        name: "entente".to_owned(),
        sender_url: socket_url(alpha, from),
        sender_token: from.token.clone(),
        receiver_url: socket_url(beta, to),
        receiver_token: to.token.clone(),
        frame: Box::new(move |body| {
            let number = references.fetch_add(1, Ordering::Relaxed);
            let content = json!({ "kind": "text", "text": body });
            json!({ "type": "send", "ref": format!("bench-{number}"), "to": address, "content": content }).to_string()
        }),
        processes: processes(&running)?,
    });
    started.running.extend(running);
    Ok(())
}

fn socket_url(network: &Network, agent: &LocalAgent) -> String {
    format!("ws://{}/agents/{}/ws", network.host(), agent.name)
}

fn floor(repo: &Repo, args: &BenchMessage, started: &mut Started) -> Result<()> {
    let port = args.port.saturating_add(10);
    let folder = fresh(repo, "floor", port)?;
    let networks = plan::networks(2, port);
    let step = Step::begin("starting the floor");
    let mut running = Vec::new();
    for (network, peer) in networks.iter().zip(networks.iter().rev()) {
        supervisor::check_port(network)?;
        let mut config = Config::new(network, &folder, repo.local().join("floor"))?;
        config.objects = Some(pairs([
            ("AGENT", "FloorAgent".into()),
            ("LINK", "FloorLink".into()),
            ("FANOUT", "FloorFanout".into()),
        ]));
        config.vars = pairs([
            ("NETWORK_HOST", network.host()),
            ("PEER", peer.host()),
            ("DEV_PEER_HOSTS", plan::dev_peer_hosts(&networks)),
        ]);
        running.push(
            supervisor::start(&repo.local().join("supervisor.mjs"), &folder, &config)?.wait()?,
        );
    }
    started.folders.push(folder);
    step.end();
    let processes = processes(&running)?;
    for size in &args.floor_bytes {
        for (mode, called) in [("single", "one message a call"), ("batch", "coalescing")] {
            let url = |network: Option<&Network>| {
                format!(
                    "ws://{}/{mode}/{size}/ws",
                    network.map(Network::host).unwrap_or_default()
                )
            };
            started.subjects.push(Subject {
                name: format!("floor, {called}, {size} B"),
                sender_url: url(networks.first()),
                sender_token: "none".to_owned(),
                receiver_url: url(networks.last()),
                receiver_token: "none".to_owned(),
                frame: Box::new(|body| json!({ "content": { "text": body } }).to_string()),
                processes: processes.clone(),
            });
        }
    }
    started.running.extend(running);
    Ok(())
}

/// Names and texts as a map.
pub(super) fn pairs<const N: usize>(pairs: [(&str, String); N]) -> Map<String, Value> {
    pairs
        .map(|(key, value)| (key.to_owned(), Value::String(value)))
        .into_iter()
        .collect()
}
