//! Looking at and stopping processes by their ids.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Whether `pid` is the supervisor that was started with `config`, and alive.
pub(crate) fn is_supervisor(pid: u32, config: &Path) -> bool {
    command_line(pid).is_some_and(|line| {
        line.contains("supervisor.mjs") && line.contains(&*config.to_string_lossy())
    })
}

/// What the process was started as; `None` when it is gone (or only waits to be reaped).
fn command_line(pid: u32) -> Option<String> {
    if Path::new("/proc/self/cmdline").exists() {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    let output = std::process::Command::new("ps")
        .args(["-o", "command=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Asks the supervisor to stop, waits, and kills it when it does not.
pub(crate) fn stop(pid: u32, config: &Path) -> Result<()> {
    signal(pid, false);
    if gone_within(pid, config, Duration::from_secs(10)) {
        return Ok(());
    }
    signal(pid, true);
    if gone_within(pid, config, Duration::from_secs(5)) {
        return Ok(());
    }
    bail!("process {pid} does not stop; look at it with `ps -p {pid}` and kill it by hand")
}

fn gone_within(pid: u32, config: &Path, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        if !is_supervisor(pid, config) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[cfg(unix)]
fn signal(pid: u32, kill: bool) {
    use rustix::process::{Pid, Signal, kill_process};

    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    let signal = if kill { Signal::KILL } else { Signal::TERM };
    // A process that is gone already is what we want.
    let _ = kill_process(pid, signal);
}

#[cfg(not(unix))]
fn signal(pid: u32, _: bool) {
    let _ = std::process::Command::new("taskkill")
        .args(["/T", "/F", "/PID", &pid.to_string()])
        .output();
}
