//! Starting a network's supervisor and waiting until it serves.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::plan::Network;
use super::state::{CONTROL, StateFolder};

/// A supervisor's config file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Config {
    /// `alpha`.
    pub(crate) name: String,
    /// `localhost:8701`.
    pub(crate) host: String,
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
    /// The folder of index.js and index_bg.wasm.
    pub(crate) script: PathBuf,
    /// The folder of static files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assets: Option<PathBuf>,
    /// Where D1 and the objects keep their files.
    pub(crate) persist: PathBuf,
    /// The folder of D1's migrations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) migrations: Option<PathBuf>,
    /// The Worker's variables and secrets.
    pub(crate) vars: Map<String, Value>,
    /// Bindings of Durable Object classes, when not the product's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) objects: Option<Map<String, Value>>,
    /// The control socket's name in the network's folder.
    pub(crate) control: String,
    /// The program that runs workerd so that it dies with the supervisor.
    pub(crate) guard: PathBuf,
    /// Whether it stops when its stdin ends.
    #[serde(rename = "stopOnStdinEof")]
    pub(crate) stop_on_stdin_eof: bool,
}

impl Config {
    /// The parts that every local network has.
    pub(crate) fn new(network: &Network, folder: &StateFolder, script: PathBuf) -> Result<Self> {
        Ok(Self {
            name: network.name.to_owned(),
            host: network.host(),
            port: network.port,
            script,
            assets: None,
            persist: folder.network(network.name).join("persist"),
            migrations: None,
            vars: Map::new(),
            objects: None,
            control: CONTROL.to_owned(),
            guard: std::env::current_exe()?,
            stop_on_stdin_eof: true,
        })
    }
}

/// A supervisor on its way up.
pub(crate) struct Starting {
    name: String,
    child: Child,
    log: PathBuf,
}

/// A supervisor that serves.
pub(crate) struct Running {
    /// The network's name.
    pub(crate) name: String,
    /// The process.
    pub(crate) child: Child,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FirstLine {
    Ready { ready: bool },
    Failed { error: String },
}

/// Fails, naming what to do, when the port stays taken; one that is being given up right now is awaited.
pub(crate) fn check_port(network: &Network) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    let error = loop {
        match TcpListener::bind(("127.0.0.1", network.port)) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => break error,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    bail!(
        "port {} for network {} cannot be used ({error}): another program listens there. \
         Stop it (`ss -ltnp 'sport = :{}'` names it), or choose other ports with --port and another --state folder",
        network.port,
        network.name,
        network.port
    )
}

/// Starts a supervisor; returns before it serves.
pub(crate) fn start(supervisor: &Path, folder: &StateFolder, config: &Config) -> Result<Starting> {
    let place = folder.network(&config.name);
    folder.write(&format!("{}/config.json", config.name), config)?;
    let log = place.join("log");
    let file = OpenOptions::new().create(true).append(true).open(&log)?;
    let mut command = Command::new("node");
    command
        .arg(supervisor)
        .arg(place.join("config.json"))
        .current_dir(&place)
        .stdin(if config.stop_on_stdin_eof {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(file);
    // Its own group: a Ctrl-C in the terminal reaches us alone, and we stop it in good order.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().context("cannot start node")?;
    folder.write(&format!("{}/pid", config.name), &child.id())?;
    Ok(Starting {
        name: config.name.clone(),
        child,
        log,
    })
}

impl Starting {
    /// Waits until the network serves.
    pub(crate) fn wait(mut self) -> Result<Running> {
        let mut line = String::new();
        if let Some(stdout) = self.child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match serde_json::from_str(&line) {
            Ok(FirstLine::Ready { ready: true }) => Ok(Running {
                name: self.name,
                child: self.child,
            }),
            Ok(FirstLine::Failed { error }) => {
                let _ = self.child.wait();
                bail!(
                    "network {} did not start: {error}. Its log is {}",
                    self.name,
                    self.log.display()
                )
            }
            _ => {
                let _ = self.child.kill();
                let status = self.child.wait()?;
                bail!(
                    "network {} did not start ({status}); its log says why: {}",
                    self.name,
                    self.log.display()
                )
            }
        }
    }
}
