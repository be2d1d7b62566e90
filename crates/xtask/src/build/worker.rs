//! dist/worker: the Rust Worker, its glue and our shim in two files.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{bindgen, empty_folder, replace_folder};
use crate::paths::Repo;
use crate::process;
use crate::progress::Step;
use crate::stamp::Fingerprint;

/// Bundles the module at `wasm` into `place`, with the names of its functions or without, unless that is up to date.
pub(crate) fn bundle(repo: &Repo, wasm: &Path, place: &Path, names: bool) -> Result<()> {
    let (shim, script) = (
        repo.local().join("shim.mjs"),
        repo.local().join("bundle.mjs"),
    );
    let made_from = Fingerprint::new()
        .bytes(bindgen::VERSION.as_bytes())
        .bytes(&[u8::from(names)])
        .metadata(wasm)?
        .content(&shim)?
        .content(&script)?;
    let stamp = place.join(".stamp");
    if made_from.matches(&stamp) {
        return Ok(());
    }
    let step = Step::begin("bundling the Worker (wasm-bindgen, esbuild)");
    let work = place.with_extension("new");
    let staging = place.with_extension("staging");
    empty_folder(&work)?;
    empty_folder(&staging)?;
    bindgen::for_worker(wasm, &staging, names)?;
    fs::copy(&shim, staging.join("shim.mjs"))?;
    process::run(
        process::program("node", [&script], repo.root())
            .arg(staging.join("shim.mjs"))
            .arg(work.join("index.js")),
    )
    .context("the Worker's JavaScript could not be bundled")?;
    fs::rename(staging.join("index_bg.wasm"), work.join("index_bg.wasm"))?;
    fs::remove_dir_all(&staging)?;
    made_from.write(&work.join(".stamp"))?;
    replace_folder(&work, place)?;
    step.end();
    Ok(())
}
