//! `cargo xtask build`: the Worker's bundle and the dashboard's, in dist/.

mod bindgen;
mod dashboard;
mod worker;

use std::fs::{self, File};
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context as _, Result};

use crate::cli::Build;
use crate::paths::Repo;
use crate::process;
use crate::progress::Step;
use crate::setup;

/// Builds both bundles; does only what is out of date.
pub(crate) fn run(repo: &Repo, args: &Build) -> Result<()> {
    setup::node(repo)?;
    if let (Some(wasm), Some(out)) = (&args.wasm, &args.out) {
        return worker::bundle(repo, &absolute(wasm)?, &absolute(out)?);
    }
    setup::wasm_target(repo)?;
    fs::create_dir_all(repo.dist())?;
    let _lock = lock(&repo.dist().join(".lock"))?;
    worker::build(repo, args.release)?;
    dashboard::build(repo, args.release)
}

/// Two builds at once would write into the same folders: the second waits.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    if file.try_lock().is_err() {
        let step = Step::begin("another build is running; waiting for it");
        file.lock()?;
        step.end();
    }
    Ok(file)
}

/// Compiles `package` to wasm and returns the module's path.
fn compile(repo: &Repo, package: &str, release: bool) -> Result<PathBuf> {
    let profile = if release { "release" } else { "debug" };
    let step = Step::begin(format!(
        "cargo build {package} ({}, {profile})",
        setup::WASM
    ));
    let mut cargo = process::cargo(repo.root());
    cargo
        .args([
            "build",
            "--quiet",
            "--package",
            package,
            "--lib",
            "--target",
            setup::WASM,
        ])
        .args(release.then_some("--release"));
    // Both bundles share one build of their common dependencies, so both get the same environment.
    cargo.env("WASM_BINDGEN_USE_JS_SYS", "1");
    process::run(&mut cargo)?;
    step.end();
    let file = format!("{}.wasm", package.replace('-', "_"));
    Ok(repo.cargo_output(setup::WASM, profile).join(file))
}

/// Makes an empty folder in place of whatever was there.
fn empty_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

/// Puts a finished folder in place of the last one.
fn replace_folder(new: &Path, place: &Path) -> Result<()> {
    if place.exists() {
        fs::remove_dir_all(place).with_context(|| format!("cannot replace {}", place.display()))?;
    }
    fs::rename(new, place).with_context(|| format!("cannot write {}", place.display()))
}

/// Copies a folder with everything in it.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}
