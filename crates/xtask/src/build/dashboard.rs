//! dist/assets/dashboard: the dashboard's wasm, its glue and its static files.

use std::path::Path;

use anyhow::Result;

use super::{bindgen, copy_folder, empty_folder, replace_folder};
use crate::paths::Repo;
use crate::progress::Step;
use crate::stamp::Fingerprint;

/// Bundles the module at `wasm`, with the names of its functions or without, unless that was done already.
pub(crate) fn bundle(repo: &Repo, wasm: &Path, names: bool) -> Result<()> {
    let statics = repo.join("frontend/static");
    let place = repo.assets().join("dashboard");
    let made_from = Fingerprint::new()
        .bytes(bindgen::VERSION.as_bytes())
        .bytes(&[u8::from(names)])
        .metadata(wasm)?
        .folder(&statics)?;
    // Outside the folder, because everything inside is served.
    let stamp = repo.dist().join(".dashboard-stamp");
    if place.join("app_bg.wasm").is_file() && made_from.matches(&stamp) {
        return Ok(());
    }
    let step = Step::begin("bundling the dashboard (wasm-bindgen)");
    let work = repo.dist().join("dashboard.new");
    empty_folder(&work)?;
    bindgen::for_browser(wasm, &work, names)?;
    copy_folder(&statics, &work)?;
    std::fs::create_dir_all(repo.assets())?;
    replace_folder(&work, &place)?;
    made_from.write(&stamp)?;
    step.end();
    Ok(())
}
