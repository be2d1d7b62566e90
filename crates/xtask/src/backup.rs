//! `cargo xtask backup` and `cargo xtask restore`: a local network's backups.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use entente_lexicon::api::{BackupList, BackupView, RestoreAgent, RestoreNetwork, Restored};
use serde_json::Map;

use crate::cli::{Backup, Build, Restore};
use crate::down;
use crate::paths::Repo;
use crate::progress::{Step, note};
use crate::up::client::Client;
use crate::up::launch::Launch;
use crate::up::plan::{self, Network};
use crate::up::state::StateFolder;

/// A backup or a restore may take as long as this.
const PATIENCE: Duration = Duration::from_secs(600);
const AGAIN: Duration = Duration::from_millis(500);

/// Makes a backup now, or lists what there is.
pub(crate) fn back_up(args: &Backup) -> Result<()> {
    let folder = StateFolder::open(&args.state.folder)?;
    let network = find(&folder, &args.network)?;
    if folder.running(network.name)?.is_none() {
        bail!(
            "network {0} is not running; start it with `cargo xtask up --only {0}`",
            network.name
        );
    }
    let admin = admin(&folder, &network)?;
    if !args.list {
        let step = Step::begin(format!("backing up {}", network.name));
        let made: BackupView = patiently(|| admin.post("/admin/backups", &Map::new()))?;
        step.end();
        note(format!(
            "generation {}: {} objects, {} bytes",
            made.generation, made.parts, made.bytes
        ));
    }
    print!("{}", render(&admin.read("/admin/backups")?));
    Ok(())
}

/// Puts a network back where nothing is, or one agent.
pub(crate) fn restore(repo: &Repo, args: &Restore) -> Result<()> {
    let folder = StateFolder::open(&args.state.folder)?;
    let network = find(&folder, &args.network)?;
    let admin = admin(&folder, &network)?;
    let is_running = folder.running(network.name)?.is_some();
    if let Some(agent) = &args.agent {
        if !is_running {
            bail!(
                "network {0} is not running; start it with `cargo xtask up --only {0}`",
                network.name
            );
        }
        let step = Step::begin(format!("restoring {agent} of {}", network.name));
        let path = format!("/admin/agents/{agent}/restore");
        let wish = RestoreAgent {
            generation: args.generation,
        };
        let restored: Restored = patiently(|| admin.post(&path, &wish))?;
        step.end();
        say(&restored);
        return Ok(());
    }
    // `up` would make a new identity in an empty network, so the network is started here, without one.
    if !is_running {
        start(repo, &folder, &network)?;
    }
    let step = Step::begin(format!("restoring {}", network.name));
    let wish = RestoreNetwork {
        network: args.did.clone(),
        generation: args.generation,
    };
    let outcome = patiently(|| admin.post("/admin/backups/restore", &wish));
    if !is_running {
        down::stop(&folder, network.name)?;
    }
    let restored: Restored = outcome?;
    step.end();
    say(&restored);
    println!("go on with `cargo xtask up --only {}`", network.name);
    Ok(())
}

fn start(repo: &Repo, folder: &StateFolder, network: &Network) -> Result<()> {
    crate::build::run(repo, &Build::default())?;
    let shape = folder.shape()?.context("no networks were made here")?;
    let networks = plan::networks(shape.networks, shape.port);
    let launch = Launch {
        repo,
        folder,
        networks: &networks,
        bundle: repo.worker_bundle(),
        vars: Map::new(),
        detach: true,
    };
    launch.start(std::slice::from_ref(network)).map(drop)
}

fn find(folder: &StateFolder, name: &str) -> Result<Network> {
    let shape = folder.shape()?.with_context(|| {
        format!(
            "there are no networks in {}: `cargo xtask up` makes some",
            folder.path().display()
        )
    })?;
    let networks = plan::networks(shape.networks, shape.port);
    let names: Vec<_> = networks.iter().map(|network| network.name).collect();
    let known = names.join(", ");
    let found = networks.into_iter().find(|network| network.name == name);
    found.with_context(|| format!("there is no network {name}; the networks are {known}"))
}

fn admin(folder: &StateFolder, network: &Network) -> Result<Client> {
    let secrets = folder.secrets(network.name)?;
    Ok(Client::new(&network.url(), &secrets.admin_key).with_patience(PATIENCE))
}

/// Waits for another backup that is under way.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match attempt() {
            Err(error)
                if error.to_string().contains("BACKUP_RUNNING") && begun.elapsed() < PATIENCE =>
            {
                std::thread::sleep(AGAIN);
            }
            outcome => return outcome,
        }
    }
}

fn say(restored: &Restored) {
    if restored.already {
        println!(
            "{} was back already as of {} (generation {}): nothing was changed",
            restored.did, restored.at, restored.generation
        );
        return;
    }
    println!(
        "{} is back as of {} (generation {}): {} objects, {} rows",
        restored.did, restored.at, restored.generation, restored.parts, restored.rows
    );
}

/// One line a generation, the newest first, then how far behind the newest is.
fn render(list: &BackupList) -> String {
    let mut text = String::new();
    for one in &list.generations {
        let age = one
            .age_ms
            .map_or_else(|| "-".to_owned(), |age| format!("{} s old", age / 1000));
        let error = one.error.as_deref().unwrap_or_default();
        let line = format!(
            "{:>6}  {:<8} {:>12}  {:>4} objects {:>12} bytes  {error}",
            one.generation, one.state, age, one.parts, one.bytes
        );
        text += line.trim_end();
        text.push('\n');
    }
    text += &match list.lag_ms {
        Some(lag) => format!(
            "{} objects changed since; the oldest change waits for {} s\n",
            list.changed,
            lag / 1000
        ),
        None => "nothing changed since\n".to_owned(),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_how_old_each_is_and_how_far_behind() {
        let whole = BackupView {
            generation: 7,
            state: "whole".to_owned(),
            age_ms: Some(61_000),
            bytes: 1234,
            parts: 5,
            ..BackupView::default()
        };
        let failed = BackupView {
            generation: 6,
            state: "failed".to_owned(),
            error: Some("503 BUCKET_FAILED".to_owned()),
            ..BackupView::default()
        };
        let list = BackupList {
            generations: vec![whole, failed],
            lag_ms: Some(9_000),
            changed: 2,
            ..BackupList::default()
        };
        let text = render(&list);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains("61 s old") && lines[0].ends_with("1234 bytes"));
        assert!(lines[1].contains("failed") && lines[1].ends_with("503 BUCKET_FAILED"));
        assert_eq!(
            lines[2],
            "2 objects changed since; the oldest change waits for 9 s"
        );
        assert_eq!(render(&BackupList::default()), "nothing changed since\n");
    }
}
