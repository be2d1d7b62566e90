//! `cargo xtask up`: local networks, peered, with demo agents talking across them.

pub(crate) mod agents;
pub(crate) mod client;
mod conversation;
pub(crate) mod launch;
pub(crate) mod peers;
pub(crate) mod pid;
pub(crate) mod plan;
pub(crate) mod state;
pub(crate) mod supervisor;
mod table;
mod watch;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use entente_lexicon::api::{LocalNetwork, LocalNetworks};
use serde_json::{Map, Value};

use self::client::Client;
use self::launch::Launch;
use self::plan::Network;
use self::state::{Shape, StateFolder};
use self::supervisor::Running;
use self::watch::End;
use crate::cli::{Build, Up};
use crate::down;
use crate::paths::Repo;
use crate::progress::Step;

const NETWORKS: u16 = 3;
const PORT: u16 = 8700;

/// Runs the command.
pub(crate) fn run(repo: &Repo, args: &Up) -> Result<()> {
    let folder = StateFolder::open(&args.state.folder)?;
    let stop = watch::stop_flag()?;
    if args.stop_on_stdin_eof {
        watch::stop_on_stdin_eof(stop.clone());
    }
    let networks = plan(&folder, args)?;
    let chosen = choose(&networks, args.only.as_deref())?;
    let bundle = bundle(repo, args)?;
    let launch = Launch {
        repo,
        folder: &folder,
        networks: &networks,
        bundle,
        vars: vars(args)?,
        detach: args.detach,
    };
    if args.only.is_some() {
        for network in &chosen {
            down::stop(&folder, network.name)?;
        }
    }
    let mut running = launch.start(&chosen)?;
    let ready =
        prepare(&folder, args, &chosen, &running).and_then(|found| announce(&folder, args, &found));
    if ready.is_ok() && args.detach {
        return Ok(());
    }
    let done = ready.and_then(|()| watch::until_stopped(&folder, &mut running, &stop));
    // Where no network is left, one that runs by now was started by another command since.
    if !matches!(done, Ok(End::NoneLeft)) {
        stop_after(&folder, args, &running)?;
    }
    done.map(drop)
}

/// Stops what this command is answerable for: with `--only` what it runs itself, otherwise all.
fn stop_after(folder: &StateFolder, args: &Up, running: &[Running]) -> Result<()> {
    let step = Step::begin("stopping");
    if args.only.is_some() {
        for one in running {
            if folder.running(&one.name)? == Some(one.child.id()) {
                down::stop(folder, &one.name)?;
            }
        }
    } else {
        down::stop_all(folder)?;
    }
    step.end();
    Ok(())
}

/// Decides which networks there are, from the arguments and from what the folder remembers.
fn plan(folder: &StateFolder, args: &Up) -> Result<Vec<Network>> {
    if args.only.is_none() {
        refuse_running(folder)?;
    }
    if args.fresh {
        folder.delete()?;
    }
    let known = folder.shape()?;
    let known_port = known.map(|shape| shape.port);
    let port = args.port.or(known_port).unwrap_or(PORT);
    if let Some(known_port) = known_port.filter(|known| *known != port) {
        bail!(
            "the networks in {} were made for ports above {known_port}, and their names contain the port. \
             Leave out --port, name another --state folder, or start over with --fresh",
            folder.path().display()
        );
    }
    let known_count = known.map(|shape| shape.networks);
    let count = match args.only {
        Some(_) => known_count.or(args.networks).unwrap_or(NETWORKS),
        None => args.networks.or(known_count).unwrap_or(NETWORKS),
    };
    folder.set_shape(Shape {
        networks: count,
        port,
    })?;
    Ok(plan::networks(count, port))
}

fn refuse_running(folder: &StateFolder) -> Result<()> {
    for name in folder.names()? {
        if let Some(pid) = folder.running(&name)? {
            bail!(
                "network {name} is running already (process {pid}, state {}). \
                 Stop all with `cargo xtask down`, or restart one with `cargo xtask up --only {name}`",
                folder.path().display()
            );
        }
    }
    Ok(())
}

fn choose(networks: &[Network], only: Option<&str>) -> Result<Vec<Network>> {
    let Some(name) = only else {
        return Ok(networks.to_vec());
    };
    let found = networks
        .iter()
        .find(|network| network.name == name)
        .with_context(|| {
            let names: Vec<_> = networks.iter().map(|network| network.name).collect();
            format!(
                "there is no network {name}; the networks are {}",
                names.join(", ")
            )
        })?;
    Ok(vec![found.clone()])
}

fn bundle(repo: &Repo, args: &Up) -> Result<PathBuf> {
    if let Some(folder) = &args.bundle {
        crate::setup::node(repo)?;
        return Ok(std::path::absolute(folder)?);
    }
    crate::build::run(repo, &Build::default())?;
    Ok(repo.worker_bundle())
}

fn vars(args: &Up) -> Result<Map<String, Value>> {
    let pairs = args.vars.iter().map(|text| {
        let (key, value) = text
            .split_once('=')
            .with_context(|| format!("--var {text}: expected KEY=VALUE"))?;
        Ok((key.to_owned(), Value::String(value.to_owned())))
    });
    pairs.collect()
}

/// Initialises, peers and populates what was just started; returns what scripts want to know.
fn prepare(
    folder: &StateFolder,
    args: &Up,
    chosen: &[Network],
    running: &[Running],
) -> Result<Vec<LocalNetwork>> {
    let step = Step::begin("identities and demo agents");
    let mut found = Vec::new();
    for (network, process) in chosen.iter().zip(running) {
        found.push(introduce(folder, args, network, process)?);
    }
    step.end();
    if args.only.is_none() {
        peer(chosen, &found)?;
        if let (false, [alpha, beta, ..]) =
            (args.bare || folder.conversation_sent(), found.as_slice())
        {
            let step = Step::begin("demo script: alice and diana say hello");
            conversation::hold(alpha, beta)?;
            folder.set_conversation_sent()?;
            step.end();
        }
    }
    Ok(found)
}

/// `POST /admin/init` and the demo agents of one network.
fn introduce(
    folder: &StateFolder,
    args: &Up,
    network: &Network,
    process: &Running,
) -> Result<LocalNetwork> {
    let secrets = folder.secrets(network.name)?;
    let admin = Client::new(&network.url(), &secrets.admin_key);
    let identity: Identity = admin.post("/admin/init", &serde_json::json!({}))?;
    if let Some(key) = &identity.recovery_key {
        let path = folder.keep_recovery_key(network.name, key)?;
        println!("recovery key of {}: {}", network.name, path.display());
    }
    let agents = if args.bare {
        Vec::new()
    } else {
        agents::ensure(folder, network, &admin)?
    };
    Ok(LocalNetwork {
        name: network.name.to_owned(),
        url: network.url(),
        did: identity.did,
        pid: process.child.id(),
        admin_key: secrets.admin_key,
        dashboard: format!("{}/dashboard", network.url()),
        agents,
    })
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    did: String,
    /// Answered once, by the first `POST /admin/init`.
    recovery_key: Option<String>,
}

/// Peers the networks as a chain and waits for the links.
fn peer(networks: &[Network], found: &[LocalNetwork]) -> Result<()> {
    let admins: Vec<_> = found
        .iter()
        .map(|network| Client::new(&network.url, &network.admin_key))
        .collect();
    let ends: Vec<_> = networks.iter().zip(&admins).collect();
    if ends.len() < 2 {
        return Ok(());
    }
    let names: Vec<_> = networks.iter().map(|network| network.name).collect();
    let step = Step::begin(format!("peering {}", names.join("–")));
    for (one, other) in ends.iter().zip(ends.iter().skip(1)) {
        peers::ensure(*one, *other)?;
    }
    for (one, other) in ends.iter().zip(ends.iter().skip(1)) {
        peers::wait_until_up(one.0, one.1, other.0)?;
        peers::wait_until_up(other.0, other.1, one.0)?;
    }
    step.end();
    Ok(())
}

/// Writes networks.json and prints the table.
fn announce(folder: &StateFolder, args: &Up, found: &[LocalNetwork]) -> Result<()> {
    let all = match args.only {
        Some(_) => merge(folder.networks()?, found),
        None => LocalNetworks {
            networks: found.to_vec(),
        },
    };
    folder.set_networks(&all)?;
    println!("\n{}", table::render(found));
    println!(
        "for scripts: {}",
        folder.path().join("networks.json").display()
    );
    if args.detach {
        println!("running in the background; `cargo xtask down` stops them");
    } else {
        println!("running; Ctrl-C stops them");
    }
    Ok(())
}

/// Puts `found` in place of its older self.
fn merge(mut all: LocalNetworks, found: &[LocalNetwork]) -> LocalNetworks {
    all.networks
        .retain(|old| found.iter().all(|new| new.name != old.name));
    all.networks.extend(found.iter().cloned());
    all.networks.sort_by_key(port);
    all
}

fn port(network: &LocalNetwork) -> u16 {
    network
        .url
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .unwrap_or(0)
}
