//! `cargo xtask tidy`: what the compiler does not check about the shape of the code.

mod arrows;
mod planted;
mod size;
mod spec;

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::paths::Repo;
use crate::process;
use crate::progress::Step;

/// Runs all rules; fails when any is broken.
pub(crate) fn run(repo: &Repo) -> Result<()> {
    let step = Step::begin("tidy");
    let faults = faults(repo)?;
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    if !faults.is_empty() {
        bail!("{} faults; the lines above name them", faults.len());
    }
    step.end();
    Ok(())
}

fn faults(repo: &Repo) -> Result<Vec<String>> {
    let path = repo.join("docs/ARCHITECTURE.md");
    let document =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let metadata = process::output(process::cargo(repo.root()).args([
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
        "--locked",
    ]))?;
    let packages = arrows::packages(&metadata)?;
    let mut faults = arrows::compare(&arrows::table(&document)?, &packages);
    faults.extend(arrows::reserved(&packages));
    faults.extend(planted::check(&metadata)?);
    faults.extend(size::check(repo)?);
    faults.extend(spec::check(repo)?);
    Ok(faults)
}
