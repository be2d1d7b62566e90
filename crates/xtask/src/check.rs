//! `cargo xtask check`: formatting and lints.

use std::process::Command;

use anyhow::{Result, bail};

use crate::paths::Repo;
use crate::process;
use crate::progress::Step;
use crate::setup::{self, WASM};

/// The packages that only make sense as wasm.
const WASM_PACKAGES: [&str; 2] = ["entente-node", "entente-frontend"];

/// Runs all checks; fails after the last when any failed.
pub(crate) fn run(repo: &Repo) -> Result<()> {
    setup::wasm_target(repo)?;
    let mut failed = Vec::new();
    for (name, mut command) in commands(repo) {
        let step = Step::begin(name);
        if process::run(&mut command).is_err() {
            failed.push(name);
        }
        step.end();
    }
    if !failed.is_empty() {
        bail!(
            "failed: {}; what they printed above says where",
            failed.join(", ")
        );
    }
    Ok(())
}

/// Each check's name and its command.
pub(crate) fn commands(repo: &Repo) -> Vec<(&'static str, Command)> {
    let mut format = process::cargo(repo.root());
    format.args(["fmt", "--all", "--check"]);

    let mut native = process::cargo(repo.root());
    native.args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--exclude",
        "entente-node",
    ]);
    native.args(["--", "-D", "warnings"]);
    // The browser driver's build script would download it.
    native.env("PLAYWRIGHT_SKIP_DRIVER_DOWNLOAD", "1");

    let mut wasm = process::cargo(repo.root());
    wasm.args(["clippy", "--quiet", "--target", WASM]);
    for package in WASM_PACKAGES {
        wasm.args(["--package", package]);
    }
    wasm.args(["--", "-D", "warnings"]);
    wasm.env("WASM_BINDGEN_USE_JS_SYS", "1");

    vec![
        ("formatting", format),
        ("lints (native)", native),
        ("lints (wasm)", wasm),
    ]
}
