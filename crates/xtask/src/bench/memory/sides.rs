//! What is measured: an agent of ours, with its replica and without, and the floor.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

use crate::bench::networks::{fresh, pairs, processes};
use crate::cli::BenchMemory;
use crate::down;
use crate::paths::Repo;
use crate::progress::Step;
use crate::up::agents;
use crate::up::client::Client;
use crate::up::launch::Launch;
use crate::up::plan;
use crate::up::state::StateFolder;
use crate::up::supervisor::{self, Config, Running};

const PATIENCE: Duration = Duration::from_secs(300);

/// One memory, and how to ask it.
pub(super) struct Side {
    pub(super) name: &'static str,
    /// The origin.
    pub(super) url: String,
    pub(super) token: String,
    /// Where records are.
    pub(super) path: String,
    /// What costs next to nothing.
    pub(super) nothing: String,
    /// Where it tells how far its replica is.
    replica: Option<String>,
    /// Where a rotation is begun and watched.
    rotation: Option<[String; 2]>,
    pub(super) processes: Vec<u32>,
    pub(super) ids: Mutex<Vec<String>>,
    /// Where the next page of the list begins, as a query.
    pub(super) cursor: Mutex<String>,
    pub(super) seed: AtomicU64,
}

/// Everything that runs; `stop` it.
pub(super) struct Started {
    pub(super) sides: Vec<Side>,
    folders: Vec<StateFolder>,
    // Their stdin: when we go, they go.
    running: Vec<Running>,
}

impl Started {
    /// Stops all.
    pub(super) fn stop(self) -> Result<()> {
        for folder in &self.folders {
            down::stop_all(folder)?;
        }
        for mut one in self.running {
            one.child.wait()?;
        }
        Ok(())
    }
}

/// Starts all sides with fresh state.
pub(super) fn start(repo: &Repo, args: &BenchMemory) -> Result<Started> {
    let mut started = Started {
        sides: Vec::new(),
        folders: Vec::new(),
        running: Vec::new(),
    };
    node(repo, args, &mut started, true)?;
    node(repo, args, &mut started, false)?;
    floor(repo, args, &mut started)?;
    Ok(started)
}

fn node(repo: &Repo, args: &BenchMemory, started: &mut Started, replica: bool) -> Result<()> {
    let (name, folder, port) = if replica {
        ("entente", "memory", args.port)
    } else {
        (
            "entente without its replica",
            "memory-alone",
            args.port.saturating_add(10),
        )
    };
    let folder = fresh(repo, folder, port)?;
    let networks = plan::networks(1, port);
    let bundle = args.bundle.as_ref();
    let bundle = bundle.map_or_else(|| Ok(repo.worker_bundle()), std::path::absolute)?;
    let vars = if replica {
        Map::new()
    } else {
        pairs([("LOCAL_QUEUE", "none".to_owned())])
    };
    let launch = Launch {
        repo,
        folder: &folder,
        networks: &networks,
        bundle,
        vars,
        detach: false,
    };
    let running = launch.start(&networks)?;
    started.folders.push(folder.clone());
    let network = networks.first().context("no network")?;
    let admin = Client::new(&network.url(), &folder.secrets(network.name)?.admin_key);
    let _: Value = admin.post("/admin/init", &json!({}))?;
    let agents = agents::ensure(&folder, network, &admin)?;
    let agent = agents.into_iter().next().context("no agent was made")?;
    let path = format!("/agents/{}/memory", agent.name);
    started.sides.push(Side {
        name,
        url: network.url(),
        token: agent.token.clone(),
        nothing: format!("{path}/settings"),
        replica: replica.then(|| format!("{path}/replica")),
        rotation: Some([format!("{path}/rotate"), format!("{path}/rotation")]),
        path,
        processes: processes(&running)?,
        ids: Mutex::default(),
        cursor: Mutex::default(),
        seed: AtomicU64::new(1),
    });
    started.running.extend(running);
    Ok(())
}

fn floor(repo: &Repo, args: &BenchMemory, started: &mut Started) -> Result<()> {
    let port = args.port.saturating_add(20);
    let folder = fresh(repo, "memory-floor", port)?;
    let networks = plan::networks(1, port);
    let network = networks.first().context("no network")?;
    supervisor::check_port(network)?;
    let step = Step::begin("starting the floor");
    let mut config = Config::new(network, &folder, repo.local().join("floor-memory"))?;
    config.objects = Some(pairs([("MEMORY", "FloorMemory".into())]));
    config.vars = pairs([
        ("NETWORK_HOST", network.host()),
        ("DEV_PEER_HOSTS", network.host()),
    ]);
    let script = repo.local().join("supervisor.mjs");
    let running = vec![supervisor::start(&script, &folder, &config)?.wait()?];
    started.folders.push(folder);
    step.end();
    started.sides.push(Side {
        name: "floor",
        url: network.url(),
        token: "none".to_owned(),
        path: "/memory".to_owned(),
        nothing: "/memory/nothing".to_owned(),
        replica: None,
        rotation: None,
        processes: processes(&running)?,
        ids: Mutex::default(),
        cursor: Mutex::default(),
        seed: AtomicU64::new(1),
    });
    started.running.extend(running);
    Ok(())
}

impl Side {
    /// Waits until the replica, where there is one, has everything.
    pub(super) fn settle(&self) -> Result<()> {
        let client = Client::new(&self.url, &self.token);
        let deadline = Instant::now() + PATIENCE;
        while let Some(path) = &self.replica {
            let view: Value = client.read(path)?;
            if view.get("pending") == Some(&json!(0)) {
                break;
            }
            if Instant::now() > deadline {
                bail!("{}: the replica stays behind: {view}", self.name);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Rotates the key that wraps keys. Returns how many rows that took; nothing for the floor.
    pub(super) fn rotate(&self) -> Result<Option<u64>> {
        let Some([rotate, rotation]) = &self.rotation else {
            return Ok(None);
        };
        let client = Client::new(&self.url, &self.token);
        let begun: Value = client.post(rotate, &json!({}))?;
        let rows = begun.get("rows").and_then(Value::as_u64);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let view: Value = client.read(rotation)?;
            if view.get("rowsLeft") == Some(&json!(0)) {
                return Ok(rows);
            }
            if Instant::now() > deadline {
                bail!("{}: the rotation does not end: {view}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
