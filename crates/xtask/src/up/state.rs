//! The folder that keeps local networks across runs.
//!
//! ```text
//! .up/state.json            how many networks, on which ports
//! .up/networks.json         for scripts: present while networks run
//! .up/conversation.json     the demo conversation was sent
//! .up/<name>/secrets.json   the admin's key and the master key, made once
//! .up/<name>/agents.json    the demo agents' tokens
//! .up/<name>/config.json    what the supervisor was started with
//! .up/<name>/pid            the supervisor's process id
//! .up/<name>/log            what the supervisor and the Worker say
//! .up/<name>/persist/       D1 and the objects' SQLite files
//! ```

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use data_encoding::BASE64URL_NOPAD;
use entente_lexicon::api::{LocalAgent, LocalNetworks};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::pid;

/// The supervisor's control socket, in the network's folder.
pub(crate) const CONTROL: &str = "control";

/// `state.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// How many networks.
    pub(crate) networks: u16,
    /// Network k listens on this port + k.
    pub(crate) port: u16,
}

/// `secrets.json` of a network.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Secrets {
    /// The admin's bearer key.
    pub(crate) admin_key: String,
    /// 32 bytes as base64url.
    pub(crate) master_key: String,
}

/// The folder; absolute.
#[derive(Clone, Debug)]
pub(crate) struct StateFolder(PathBuf);

impl StateFolder {
    /// Names the folder; it need not exist.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Ok(Self(std::path::absolute(folder)?))
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A network's folder.
    pub(crate) fn network(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Deletes everything; refuses a folder that is not ours.
    pub(crate) fn delete(&self) -> Result<()> {
        if !self.0.exists() {
            return Ok(());
        }
        let ours = self.0.join("state.json").is_file() || fs::read_dir(&self.0)?.next().is_none();
        if !ours {
            bail!(
                "{} was not made by `cargo xtask up` (it has no state.json); not deleting it",
                self.0.display()
            );
        }
        fs::remove_dir_all(&self.0).with_context(|| format!("cannot delete {}", self.0.display()))
    }

    /// How many networks on which ports; `None` before the first run.
    pub(crate) fn shape(&self) -> Result<Option<Shape>> {
        self.read("state.json")
    }

    /// Remembers how many networks on which ports.
    pub(crate) fn set_shape(&self, shape: Shape) -> Result<()> {
        self.write("state.json", &shape)
    }

    /// The network's secrets, made when there are none.
    pub(crate) fn secrets(&self, name: &str) -> Result<Secrets> {
        let file = format!("{name}/secrets.json");
        if let Some(secrets) = self.read(&file)? {
            return Ok(secrets);
        }
        if self.network(name).join("persist").exists() {
            bail!(
                "{}/{file} is missing, but the network's state is there: without its master key it cannot be read. \
                 Bring the file back, or start over with `cargo xtask up --fresh`",
                self.0.display()
            );
        }
        let secrets = Secrets {
            admin_key: format!("admin_{}", random_text()?),
            master_key: random_text()?,
        };
        self.write(&file, &secrets)?;
        Ok(secrets)
    }

    /// The demo agents whose tokens are known.
    pub(crate) fn agents(&self, name: &str) -> Result<Vec<LocalAgent>> {
        Ok(self
            .read(&format!("{name}/agents.json"))?
            .unwrap_or_default())
    }

    /// Keeps the demo agents' tokens.
    pub(crate) fn set_agents(&self, name: &str, agents: &[LocalAgent]) -> Result<()> {
        self.write(&format!("{name}/agents.json"), &agents)
    }

    /// Whether the demo conversation was sent.
    pub(crate) fn conversation_sent(&self) -> bool {
        self.0.join("conversation.json").is_file()
    }

    /// Remembers that the demo conversation was sent.
    pub(crate) fn set_conversation_sent(&self) -> Result<()> {
        self.write("conversation.json", &serde_json::json!({ "sent": true }))
    }

    /// What scripts read.
    pub(crate) fn networks(&self) -> Result<LocalNetworks> {
        Ok(self.read("networks.json")?.unwrap_or_default())
    }

    /// Writes what scripts read; removes it when no network is left.
    pub(crate) fn set_networks(&self, networks: &LocalNetworks) -> Result<()> {
        if networks.networks.is_empty() {
            return match fs::remove_file(self.0.join("networks.json")) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            };
        }
        self.write("networks.json", networks)
    }

    /// The process id of the network's supervisor if it runs.
    pub(crate) fn running(&self, name: &str) -> Result<Option<u32>> {
        let path = self.network(name).join("pid");
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(None);
        };
        let pid: u32 = text.trim().parse().with_context(|| broken(&path))?;
        let config = self.network(name).join("config.json");
        Ok(pid::is_supervisor(pid, &config).then_some(pid))
    }

    /// The names of all networks that have a folder here.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let Ok(entries) = fs::read_dir(&self.0) else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.path().join("config.json").is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn read<T: DeserializeOwned>(&self, file: &str) -> Result<Option<T>> {
        let path = self.0.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(
                serde_json::from_str(&text).with_context(|| broken(&path))?,
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| broken(&path)),
        }
    }

    /// Keeps the key that replaces a network's keys when they are lost, for the owner's eyes only.
    /// On a real network it belongs somewhere else than beside the deployment.
    pub(crate) fn keep_recovery_key(&self, network: &str, key: &str) -> Result<PathBuf> {
        let path = self.0.join(format!("recovery-{network}.key"));
        write_private(&path, &format!("{key}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Writes JSON for the owner's eyes only, whole or not at all.
    pub(crate) fn write<T: Serialize + ?Sized>(&self, file: &str, value: &T) -> Result<()> {
        let path = self.0.join(file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let text = serde_json::to_string_pretty(value)? + "\n";
        write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn broken(path: &Path) -> String {
    format!(
        "{} is damaged: repair it, or start over with `cargo xtask up --fresh` (which deletes the local networks' state)",
        path.display()
    )
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("draft");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(())
}

fn random_text() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("no entropy from the system: {error}"))?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> StateFolder {
        let path =
            std::env::temp_dir().join(format!("entente-xtask-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        StateFolder::open(&path).unwrap()
    }

    #[test]
    fn secrets_are_made_once_and_are_private() {
        let state = folder("secrets");
        let first = state.secrets("alpha").unwrap();
        assert_eq!(first.master_key.len(), 43);
        assert_eq!(state.secrets("alpha").unwrap().admin_key, first.admin_key);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(state.network("alpha").join("secrets.json"))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::remove_dir_all(state.path()).unwrap();
    }

    #[test]
    fn lost_secrets_are_never_made_anew_over_existing_state() {
        let state = folder("lost");
        fs::create_dir_all(state.network("alpha").join("persist")).unwrap();
        assert!(
            state
                .secrets("alpha")
                .unwrap_err()
                .to_string()
                .contains("--fresh")
        );
        fs::remove_dir_all(state.path()).unwrap();
    }

    #[test]
    fn a_damaged_file_says_what_to_do() {
        let state = folder("damaged");
        fs::create_dir_all(state.path()).unwrap();
        fs::write(state.path().join("state.json"), "{").unwrap();
        assert!(state.shape().unwrap_err().to_string().contains("--fresh"));
        fs::remove_dir_all(state.path()).unwrap();
    }

    #[test]
    fn a_foreign_folder_is_not_deleted() {
        let state = folder("foreign");
        fs::create_dir_all(state.path().join("photos")).unwrap();
        assert!(state.delete().is_err());
        assert!(state.path().join("photos").exists());
        fs::remove_dir_all(state.path()).unwrap();
    }
}
