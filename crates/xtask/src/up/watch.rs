//! The foreground: waits for Ctrl-C, notices networks that stop.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Result;

use super::state::StateFolder;
use super::supervisor::Running;

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// A flag that Ctrl-C and SIGTERM set. Call early: until then a signal just ends us.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>> {
    if let Some(flag) = STOP.get() {
        return Ok(flag.clone());
    }
    let flag = Arc::new(AtomicBool::new(false));
    let setter = flag.clone();
    ctrlc::set_handler(move || {
        // A second Ctrl-C means now; the supervisors stop when our pipes to them close.
        if setter.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })?;
    Ok(STOP.get_or_init(|| flag).clone())
}

/// Sets `stop` when stdin ends.
pub(crate) fn stop_on_stdin_eof(stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().by_ref(), &mut std::io::sink());
        stop.store(true, Ordering::SeqCst);
    });
}

/// Why watching ended.
pub(crate) enum End {
    /// Ctrl-C, SIGTERM or the end of stdin.
    Told,
    /// No network of the folder runs any more.
    NoneLeft,
}

/// Returns when told to stop, or when no network of the folder runs any more.
pub(crate) fn until_stopped(
    folder: &StateFolder,
    running: &mut Vec<Running>,
    stop: &AtomicBool,
) -> Result<End> {
    while !stop.load(Ordering::SeqCst) {
        let mut gone = Vec::new();
        for one in running.iter_mut() {
            if let Some(status) = one.child.try_wait()? {
                gone.push((one.name.clone(), status));
            }
        }
        running.retain(|one| gone.iter().all(|(name, _)| *name != one.name));
        for (name, status) in gone {
            if folder.running(&name)?.is_none() {
                eprintln!(
                    "network {name} stopped ({status}); start it again with `cargo xtask up --only {name}`"
                );
            }
        }
        if running.is_empty() && !any_runs(folder)? {
            eprintln!("no network is left");
            return Ok(End::NoneLeft);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(End::Told)
}

fn any_runs(folder: &StateFolder) -> Result<bool> {
    for name in folder.names()? {
        if folder.running(&name)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
