//! What must be there before anything is built: Node, the wasm target, the npm packages.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::paths::Repo;
use crate::process;
use crate::progress::Step;
use crate::stamp::Fingerprint;

/// The target of both bundles.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

const NODE_MIN: u32 = 20;

/// Checks Node's version and installs the npm packages when the lock changed.
pub(crate) fn node(repo: &Repo) -> Result<()> {
    let version = process::output(&mut process::program("node", ["--version"], repo.root()))
        .context("Node is needed to run workerd: install Node 20 or newer (https://nodejs.org) and try again")?;
    check_node(&version)?;
    let modules = repo.join("node_modules");
    let stamp = modules.join(".entente-stamp");
    let wanted = Fingerprint::new().content(&repo.join("package-lock.json"))?;
    if wanted.matches(&stamp) {
        return Ok(());
    }
    let step = Step::begin("npm packages (npm ci; about 190 MB, once)");
    process::run(&mut process::program("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], repo.root()))
        .context("the npm packages could not be installed; check the network or npm's registry setting and try again")?;
    fs::create_dir_all(&modules)?;
    wanted.write(&stamp)?;
    step.end();
    Ok(())
}

/// Adds the wasm target to the toolchain unless it is there.
pub(crate) fn wasm_target(repo: &Repo) -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = process::output(&mut process::program(
        &rustc.to_string_lossy(),
        ["--print", "target-libdir", "--target", WASM],
        repo.root(),
    ))?;
    if fs::read_dir(libraries.trim()).is_ok_and(|mut entries| entries.next().is_some()) {
        return Ok(());
    }
    let step = Step::begin(format!("rustup target add {WASM}"));
    process::run(&mut process::program("rustup", ["target", "add", WASM], repo.root())).with_context(|| {
        format!("the Rust target {WASM} is missing; install rustup (https://rustup.rs), run `rustup target add {WASM}` and try again")
    })?;
    step.end();
    Ok(())
}

fn check_node(version: &str) -> Result<()> {
    let version = version.trim();
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|text| text.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MIN => Ok(()),
        _ => bail!(
            "Node {NODE_MIN} or newer is needed, `node --version` says {version:?}: install a newer one from https://nodejs.org"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_odd_node_versions_are_refused() {
        assert!(check_node("v20.0.0\n").is_ok());
        assert!(check_node("v22.1.0").is_ok());
        assert!(check_node("v18.19.0").is_err());
        assert!(check_node("banana").is_err());
    }
}
