//! Where things are in the repository.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The repository this binary was built from.
#[derive(Clone, Debug)]
pub(crate) struct Repo {
    root: PathBuf,
}

impl Repo {
    /// Finds it: where this was compiled, or above the working directory when it was moved since.
    pub(crate) fn find() -> Result<Self> {
        let compiled = Path::new(env!("CARGO_MANIFEST_DIR"));
        let here = env::current_dir()?;
        let places = compiled.ancestors().skip(2).take(1).chain(here.ancestors());
        for place in places {
            if place.join("node/local/supervisor.mjs").is_file()
                && place.join("Cargo.toml").is_file()
            {
                return Ok(Self {
                    root: place.to_path_buf(),
                });
            }
        }
        bail!("this is not the project's folder; run `cargo xtask` from inside the repository")
    }

    /// The top.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the top.
    pub(crate) fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// The glue around workerd.
    pub(crate) fn local(&self) -> PathBuf {
        self.join("node/local")
    }

    /// What is built.
    pub(crate) fn dist(&self) -> PathBuf {
        self.join("dist")
    }

    /// The Worker's bundle.
    pub(crate) fn worker_bundle(&self) -> PathBuf {
        self.join("dist/worker")
    }

    /// The static files the Worker serves.
    pub(crate) fn assets(&self) -> PathBuf {
        self.join("dist/assets")
    }

    /// Cargo's output for `target` (a triple) and `profile` (`debug` or `release`).
    pub(crate) fn cargo_output(&self, target: &str, profile: &str) -> PathBuf {
        let base =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.join("target"), PathBuf::from);
        self.root.join(base).join(target).join(profile)
    }
}
