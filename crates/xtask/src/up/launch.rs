//! Starting several networks at once.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Map, Value};

use super::plan::{self, Network};
use super::state::StateFolder;
use super::supervisor::{self, Config, Running};
use crate::paths::Repo;
use crate::progress::Step;

/// How networks are run.
pub(crate) struct Launch<'a> {
    /// The repository.
    pub(crate) repo: &'a Repo,
    /// Where their state is.
    pub(crate) folder: &'a StateFolder,
    /// All networks, also those that are not started now.
    pub(crate) networks: &'a [Network],
    /// The Worker's bundle.
    pub(crate) bundle: PathBuf,
    /// More variables for every Worker.
    pub(crate) vars: Map<String, Value>,
    /// Whether they outlive us.
    pub(crate) detach: bool,
}

impl Launch<'_> {
    /// Starts the networks in `which` and waits until all of them serve.
    pub(crate) fn start(&self, which: &[Network]) -> Result<Vec<Running>> {
        // Everything that can be wrong is found before anything runs.
        let configs = which
            .iter()
            .map(|network| self.config(network))
            .collect::<Result<Vec<_>>>()?;
        for network in which {
            supervisor::check_port(network)?;
        }
        let names: Vec<_> = which.iter().map(|network| network.name).collect();
        let step = Step::begin(format!("starting {}", names.join(", ")));
        let mut starting = Vec::new();
        let script = self.repo.local().join("supervisor.mjs");
        for config in &configs {
            starting.push(supervisor::start(&script, self.folder, config));
        }
        let mut running = Vec::new();
        let mut failure = None;
        for one in starting {
            match one.and_then(supervisor::Starting::wait) {
                Ok(started) => running.push(started),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if let Some(error) = failure {
            for mut one in running {
                let _ = one.child.kill();
                let _ = one.child.wait();
            }
            return Err(error);
        }
        step.end();
        Ok(running)
    }

    fn config(&self, network: &Network) -> Result<Config> {
        let secrets = self.folder.secrets(network.name)?;
        let mut config = Config::new(network, self.folder, self.bundle.clone())?;
        let assets = self.repo.assets();
        config.assets = assets.is_dir().then_some(assets);
        config.migrations = Some(self.repo.join("migrations"));
        config.stop_on_stdin_eof = !self.detach;
        let fixed = [
            ("NETWORK_HOST", network.host()),
            ("NETWORK_NAME", network.name.to_owned()),
            ("TRUST_LEVEL", "allowlist".to_owned()),
            ("DEV_PEER_HOSTS", plan::dev_peer_hosts(self.networks)),
            ("ADMIN_API_KEY", secrets.admin_key),
            ("ENCRYPTION_MASTER_KEY", secrets.master_key),
        ];
        config.vars = fixed
            .map(|(key, value)| (key.to_owned(), Value::String(value)))
            .into_iter()
            .collect();
        config.vars.extend(self.vars.clone());
        Ok(config)
    }
}
