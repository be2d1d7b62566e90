//! The project's commands, run as `cargo xtask <command>`.
//!
//! It needs rustup's cargo and Node 20 or newer and sets up everything else by itself. One module a
//! command; start reading in [`run`] and `cli`. It may start processes, read clocks and draw
//! entropy; it knows the product only through its HTTP API and `entente-lexicon`, and hands `sim` on to
//! the simulator.

mod backup;
mod bench;
mod build;
mod check;
mod cli;
mod down;
mod guard;
mod paths;
mod process;
mod progress;
mod setup;
mod sim;
mod sql;
mod stamp;
mod test;
mod tidy;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

/// Runs the command named by the process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    if let Some(code) = guard::run_if_asked() {
        return code;
    }
    match cli::Cli::parse().dispatch() {
        Ok(code) => code,
        Err(error) => {
            progress::failure(&error);
            ExitCode::FAILURE
        }
    }
}
