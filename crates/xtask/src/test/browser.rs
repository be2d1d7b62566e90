//! A Chromium for the end-to-end tests.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::paths::Repo;
use crate::process;
use crate::progress::Step;

const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
];

/// `CHROME_PATH`, else the system's, else Debian's when we may install it.
pub(super) fn find(repo: &Repo) -> Result<PathBuf> {
    if let Some(path) = env::var_os("CHROME_PATH").map(PathBuf::from) {
        if path.is_file() {
            return Ok(path);
        }
        bail!(
            "CHROME_PATH is {}, which is no file: point it to a Chromium or unset it",
            path.display()
        );
    }
    if let Some(path) = on_the_system() {
        return Ok(path);
    }
    if may_install() {
        install(repo)?;
        if let Some(path) = on_the_system() {
            return Ok(path);
        }
    }
    bail!(
        "the browser tests need a Chromium: install one (on Debian `apt-get install chromium`) or set CHROME_PATH"
    )
}

fn on_the_system() -> Option<PathBuf> {
    let folders: Vec<_> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    let places = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let elsewhere = [
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ];
    places
        .chain(elsewhere.map(PathBuf::from))
        .find(|path| path.is_file())
}

#[cfg(unix)]
fn may_install() -> bool {
    rustix::process::geteuid().is_root() && Path::new("/usr/bin/apt-get").is_file()
}

#[cfg(not(unix))]
fn may_install() -> bool {
    false
}

fn install(repo: &Repo) -> Result<()> {
    let step = Step::begin("apt-get install chromium (about 400 MB, once)");
    let apt = |args: &[&str]| {
        let mut command = process::program("apt-get", args, repo.root());
        // Its own progress would drown ours.
        process::output(command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-q"])?;
    apt(&[
        "install",
        "-q",
        "-y",
        "--no-install-recommends",
        "chromium",
        "fonts-dejavu-core",
    ])?;
    step.end();
    Ok(())
}
