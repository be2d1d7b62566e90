//! Runs workerd so that it dies with its supervisor, however that dies.
//!
//! The supervisor names this binary as its workerd (`MINIFLARE_WORKERD_PATH`) and the true one in
//! `ENTENTE_WORKERD`. On Linux the kernel is asked to kill us when the parent goes, which survives
//! the `exec`; elsewhere we stay and watch the parent.

use std::process::ExitCode;

const TRUE_WORKERD: &str = "ENTENTE_WORKERD";

/// Becomes workerd when started as one. Returns the exit code if it comes back.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let workerd = std::env::var_os(TRUE_WORKERD)?;
    let mut args = std::env::args_os().skip(1).peekable();
    if args.peek()? != "serve" {
        return None;
    }
    let mut command = std::process::Command::new(workerd);
    command.args(args).env_remove(TRUE_WORKERD);
    let error = become_child(command);
    eprintln!("error: workerd could not be started: {error}");
    Some(ExitCode::FAILURE)
}

#[cfg(target_os = "linux")]
fn become_child(mut command: std::process::Command) -> std::io::Error {
    use std::os::unix::process::CommandExt as _;

    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    let parent = getppid();
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    if getppid() != parent {
        return std::io::Error::other("the supervisor is gone already");
    }
    command.exec()
}

#[cfg(all(unix, not(target_os = "linux")))]
fn become_child(mut command: std::process::Command) -> std::io::Error {
    use std::time::Duration;

    use rustix::process::getppid;

    let parent = getppid();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return error,
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) => std::process::exit(status.code().unwrap_or(1)),
            Ok(None) => {}
            Err(error) => return error,
        }
        if getppid() != parent {
            return child
                .kill()
                .err()
                .unwrap_or_else(|| std::io::Error::other("the supervisor is gone"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[cfg(not(unix))]
fn become_child(mut command: std::process::Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}
