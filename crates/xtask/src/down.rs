//! `cargo xtask down`: stops local networks; their state stays.

use std::fs;

use anyhow::Result;
use entente_lexicon::api::LocalNetworks;

use crate::cli::State;
use crate::up::pid;
use crate::up::state::StateFolder;

/// Stops every network of the state folder.
pub(crate) fn run(args: &State) -> Result<()> {
    let folder = StateFolder::open(&args.folder)?;
    let stopped = stop_all(&folder)?;
    if stopped.is_empty() {
        eprintln!("no network of {} is running", folder.path().display());
    } else {
        eprintln!(
            "stopped {}; `cargo xtask up` goes on where they were",
            stopped.join(", ")
        );
    }
    Ok(())
}

/// Stops every network of the folder, whoever started it; returns their names.
pub(crate) fn stop_all(folder: &StateFolder) -> Result<Vec<String>> {
    let mut stopped = Vec::new();
    for name in folder.names()? {
        if stop(folder, &name)? {
            stopped.push(name);
        }
    }
    folder.set_networks(&LocalNetworks::default())?;
    Ok(stopped)
}

/// Stops one network; returns whether it ran.
pub(crate) fn stop(folder: &StateFolder, name: &str) -> Result<bool> {
    let Some(id) = folder.running(name)? else {
        return Ok(false);
    };
    pid::stop(id, &folder.network(name).join("config.json"))?;
    let _ = fs::remove_file(folder.network(name).join("pid"));
    Ok(true)
}
