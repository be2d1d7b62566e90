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
        return worker::bundle(repo, &absolute(wasm)?, &absolute(out)?, true);
    }
    setup::wasm_target(repo)?;
    fs::create_dir_all(repo.dist())?;
    let _lock = lock(&repo.dist().join(".lock"))?;
    let modules = compile(repo, args.release)?;
    // They cost a quarter of the size, which is transferred and compiled wherever the network starts.
    let names = args.names || !args.release;
    worker::bundle(repo, &modules.worker, &repo.worker_bundle(), names)?;
    dashboard::bundle(repo, &modules.dashboard, names)
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

/// The compiled modules.
struct Modules {
    worker: PathBuf,
    dashboard: PathBuf,
}

/// Compiles both crates in one go, so that they share one build of what both depend on.
fn compile(repo: &Repo, release: bool) -> Result<Modules> {
    let profile = if release { "release" } else { "debug" };
    let step = Step::begin(format!(
        "compiling the Worker and the dashboard ({}, {profile})",
        setup::WASM
    ));
    let mut cargo = process::cargo(repo.root());
    cargo
        .args(["build", "--lib", "--target", setup::WASM])
        .args(["--package", "entente-node", "--package", "entente-frontend"])
        .args(release.then_some("--release"))
        .env("WASM_BINDGEN_USE_JS_SYS", "1");
    process::run(&mut cargo)?;
    step.end();
    let folder = repo.cargo_output(setup::WASM, profile);
    Ok(Modules {
        worker: folder.join("entente_node.wasm"),
        dashboard: folder.join("entente_frontend.wasm"),
    })
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
