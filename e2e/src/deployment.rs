//! Whole local deployments, started as a person would start them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::ports::Ports;
use crate::wait::{PATIENCE, wait_for, wait_until};

/// A cold start may have to build the Worker first.
const START_LIMIT: Duration = Duration::from_secs(900);
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Ports from the base on: networks first, then fake peers.
const FIRST_PEER: u16 = 20;
const STATE_PREFIX: &str = "entente-e2e-";

/// What a deployment is made of.
#[derive(Clone, Debug)]
pub struct Options {
    networks: u16,
    fake_peers: u16,
    vars: Vec<String>,
    dev_hosts: Vec<String>,
    bare: bool,
}

/// Running networks. Everything ends with the process that holds it, however that ends.
#[derive(Debug)]
pub struct Deployment {
    state: PathBuf,
    options: Options,
    networks: Vec<Network>,
    runners: Mutex<Vec<Child>>,
    peer_ports: Mutex<Vec<u16>>,
    dev_hosts: Vec<String>,
    _ports: Ports,
}

/// A network that was started beside `cargo xtask up`; it stops when this is dropped.
#[derive(Debug)]
pub struct Supervisor(Child);

/// One network of a deployment.
#[derive(Clone, Debug)]
pub struct Network {
    /// `alpha`.
    pub name: String,
    /// `http://localhost:8701`.
    pub url: String,
    /// `localhost:8701`.
    pub host: String,
    /// The network's DID.
    pub did: String,
    /// The admin's key.
    pub admin_key: String,
    /// The dashboard's address.
    pub dashboard: String,
    /// Speaks without a key.
    pub public: Client,
    /// Speaks as the admin.
    pub admin: Client,
    /// The demo agents.
    pub agents: Vec<Agent>,
}

/// An agent and its token.
#[derive(Clone, Debug)]
pub struct Agent {
    /// `alice`.
    pub name: String,
    /// Its DID.
    pub did: String,
    /// `did:cf:…@host`.
    pub address: String,
    /// Its bearer token.
    pub token: String,
    /// Speaks as the agent.
    pub client: Client,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            networks: 3,
            fake_peers: 0,
            // Whoever looks at backups asks for them: in the middle of another test they would be in its way.
            vars: vec!["BACKUP_EVERY_SECONDS=0".to_owned()],
            dev_hosts: Vec::new(),
            bare: false,
        }
    }
}

impl Options {
    /// So many networks, in a chain.
    #[must_use]
    pub fn networks(mut self, count: u16) -> Self {
        self.networks = count;
        self
    }

    /// Lets the networks reach so many fake peers; see [`Deployment::take_peer_port`].
    #[must_use]
    pub fn fake_peers(mut self, count: u16) -> Self {
        self.fake_peers = count;
        self
    }

    /// Sets a variable of every network's Worker.
    #[must_use]
    pub fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push(format!("{name}={value}"));
        self
    }

    /// Lets the networks reach another service on this machine: `localhost:…`.
    #[must_use]
    pub fn dev_host(mut self, host: &str) -> Self {
        self.dev_hosts.push(host.to_owned());
        self
    }

    /// Leaves out the demo agents and their conversation.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Starts it and waits until everything is ready.
    ///
    /// # Panics
    /// If `cargo xtask up` fails, with what it said.
    #[must_use]
    pub fn start(self) -> Deployment {
        sweep();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let state =
            std::env::temp_dir().join(format!("{STATE_PREFIX}{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&state);
        fs::create_dir_all(&state).expect("the state folder");
        let ports = Ports::take(FIRST_PEER + self.fake_peers);
        let base = ports.base;
        let peer_ports: Vec<u16> = (0..self.fake_peers)
            .map(|index| base + FIRST_PEER + index)
            .collect();
        let networks = (1..=self.networks).map(|index| base + index);
        let all = networks.chain(peer_ports.iter().copied());
        let dev_hosts = all.map(|port| format!("localhost:{port}"));
        let dev_hosts = dev_hosts.chain(self.dev_hosts.clone()).collect();
        let mut deployment = Deployment {
            state,
            options: self,
            networks: Vec::new(),
            runners: Mutex::default(),
            peer_ports: Mutex::new(peer_ports),
            dev_hosts,
            _ports: ports,
        };
        let count = deployment.options.networks.to_string();
        let port = base.to_string();
        deployment.up(&["--networks", &count, "--port", &port]);
        deployment.networks = deployment.listed().iter().map(Network::read).collect();
        assert_eq!(
            deployment.networks.len(),
            usize::from(deployment.options.networks)
        );
        deployment
    }
}

impl Deployment {
    /// Starts `count` networks with their demo agents.
    #[must_use]
    pub fn start(count: u16) -> Self {
        Options::default().networks(count).start()
    }

    /// Returns a network by name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn network(&self, name: &str) -> &Network {
        let found = self.networks.iter().find(|network| network.name == name);
        found.unwrap_or_else(|| panic!("no network {name}"))
    }

    /// Returns all networks.
    #[must_use]
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// Returns a demo agent of any network by name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn agent(&self, name: &str) -> &Agent {
        let found = self
            .networks
            .iter()
            .flat_map(|n| &n.agents)
            .find(|agent| agent.name == name);
        found.unwrap_or_else(|| panic!("no demo agent {name}"))
    }

    /// Returns a port at which the networks will look for a fake peer; each is given once.
    ///
    /// # Panics
    /// If more are taken than [`Options::fake_peers`] asked for.
    #[must_use]
    pub fn take_peer_port(&self) -> u16 {
        self.peer_ports
            .lock()
            .unwrap()
            .pop()
            .expect("a fake peer's port is left")
    }

    /// Returns the process id of a network's supervisor, as `networks.json` tells it now.
    ///
    /// # Panics
    /// If the network is not listed.
    #[must_use]
    pub fn pid(&self, name: &str) -> u32 {
        let listed = self.listed();
        let entry = listed.iter().find(|network| network["name"] == name);
        let pid = entry
            .and_then(|network| network["pid"].as_u64())
            .expect("the network is listed");
        u32::try_from(pid).expect("a process id")
    }

    /// Kills a network with `kill -9` and waits until nothing answers any more.
    pub fn kill9(&self, name: &str) {
        let pid = self.pid(name);
        let killed = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -9 {pid}"))
            .status();
        assert!(killed.expect("sh runs").success(), "kill -9 {pid}");
        let public = self.network(name).public.clone();
        wait_until(&format!("{name} to be gone"), PATIENCE, || {
            public.attempt("GET", "/health", &[], &[]).is_err()
        });
    }

    /// Starts a killed network again with `up --only`.
    pub fn restart(&self, name: &str) {
        self.up(&["--only", name]);
    }

    /// Runs a network that does not run, with other variables than its own (`None` leaves one out),
    /// whether it is then healthy or not.
    ///
    /// # Panics
    /// If it does not answer at all.
    #[must_use]
    pub fn run_misconfigured(&self, name: &str, vars: &[(&str, Option<&str>)]) -> Supervisor {
        let folder = self.state.join(name);
        let text = fs::read_to_string(folder.join("config.json")).expect("the network's config");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        config["stopOnStdinEof"] = json!(true);
        for (key, value) in vars {
            let all = config["vars"].as_object_mut().expect("variables");
            match value {
                Some(value) => all.insert((*key).to_owned(), json!(value)),
                None => all.remove(*key),
            };
        }
        let path = folder.join("misconfigured.json");
        fs::write(&path, config.to_string()).expect("the config is written");
        let log = folder.join("misconfigured.log");
        let child = Command::new("node")
            .arg(root().join("node/local/supervisor.mjs"))
            .arg(path)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log"))
            .spawn()
            .expect("node starts");
        let mut running = Supervisor(child);
        let public = self.network(name).public.clone();
        wait_until(&format!("{name} to answer"), START_LIMIT, || {
            if let Some(status) = running.0.try_wait().expect("a child") {
                panic!("{name} ended ({status}):\n{}", read(&log));
            }
            public.attempt("GET", "/health", &[], &[]).is_ok()
        });
        running
    }

    /// Asks a network's D1, through `cargo xtask sql`; returns what it printed.
    ///
    /// # Panics
    /// If the command fails.
    #[must_use]
    pub fn sql(&self, network: &str, statement: &str) -> String {
        let mut command = xtask();
        command
            .args(["sql", network, statement, "--state"])
            .arg(&self.state);
        let output = command.stdin(Stdio::null()).output().expect("xtask runs");
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "sql {statement}: {out}{err}");
        out.into_owned()
    }

    /// Returns the folder with everything a network keeps: D1, the objects' SQLite, journals.
    #[must_use]
    pub fn persist(&self, name: &str) -> PathBuf {
        self.state.join(name).join("persist")
    }

    /// Returns the folder of the whole deployment.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Returns what a network has logged.
    #[must_use]
    pub fn log(&self, name: &str) -> String {
        let bytes = fs::read(self.state.join(name).join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn listed(&self) -> Vec<Value> {
        let Ok(text) = fs::read_to_string(self.state.join("networks.json")) else {
            return Vec::new();
        };
        let value: Value = serde_json::from_str(&text).expect("networks.json is JSON");
        value["networks"].as_array().cloned().unwrap_or_default()
    }

    /// Runs `up` beside us and waits until it says that it is ready: `networks.json` is written when
    /// it is, and names a process of this run.
    fn up(&self, args: &[&str]) {
        let before: Vec<Value> = self
            .listed()
            .iter()
            .map(|network| network["pid"].clone())
            .collect();
        let log = self
            .state
            .join(format!("up-{}.log", self.runners.lock().unwrap().len()));
        let file = File::create(&log).expect("a log");
        let mut command = xtask();
        command
            .arg("up")
            .args(args)
            .args(["--stop-on-stdin-eof", "--state"])
            .arg(&self.state);
        if self.options.bare {
            command.arg("--bare");
        }
        if let Some(bundle) = std::env::var_os("ENTENTE_BUNDLE") {
            command.arg("--bundle").arg(bundle);
        }
        command.args([
            "--var",
            &format!("DEV_PEER_HOSTS={}", self.dev_hosts.join(",")),
        ]);
        for var in &self.options.vars {
            command.args(["--var", var]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(file.try_clone().expect("the log twice"))
            .stderr(file)
            .spawn()
            .expect("xtask starts");
        wait_for("`cargo xtask up` to be ready", START_LIMIT, || {
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("`cargo xtask up` ended ({status}):\n{}", read(&log));
            }
            let now = self.listed();
            let mut fresh = now
                .iter()
                .filter(|network| !before.contains(&network["pid"]))
                .peekable();
            let healthy = |network: &Value| is_healthy(network["url"].as_str().unwrap_or_default());
            (fresh.peek().is_some() && fresh.all(healthy)).then_some(())
        });
        self.runners.lock().unwrap().push(child);
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        let mut runners = std::mem::take(&mut *self.runners.lock().unwrap());
        runners
            .iter_mut()
            .for_each(|child| drop(child.stdin.take()));
        runners.iter_mut().for_each(stop);
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.state);
        }
    }
}

impl Supervisor {
    /// Kills it with `kill -9`.
    ///
    /// # Panics
    /// If there is nothing to kill.
    pub fn kill9(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        stop(&mut self.0);
    }
}

fn stop(child: &mut Child) {
    drop(child.stdin.take());
    let deadline = Instant::now() + STOP_LIMIT;
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

impl Network {
    fn read(entry: &Value) -> Self {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let url = text("url");
        let public = Client::new(&url);
        let agents = entry["agents"].as_array().cloned().unwrap_or_default();
        Self {
            name: text("name"),
            host: url.trim_start_matches("http://").to_owned(),
            did: text("did"),
            admin_key: text("adminKey"),
            dashboard: text("dashboard"),
            admin: public.with_key(&text("adminKey")),
            agents: agents
                .iter()
                .map(|agent| Agent::read(&public, agent))
                .collect(),
            public,
            url,
        }
    }

    /// Creates an agent that nobody else uses.
    #[must_use]
    pub fn create_agent(&self, name: &str) -> Agent {
        self.create_agent_with(name, json!({}))
    }

    /// Creates an agent with settings.
    #[must_use]
    pub fn create_agent_with(&self, name: &str, config: Value) -> Agent {
        let body = json!({ "name": name, "config": config });
        Agent::read(
            &self.public,
            &self.admin.post("/agents/create", &body).expect(201),
        )
    }

    /// Returns the peer with this DID as the admin sees it.
    #[must_use]
    pub fn peer(&self, did: &str) -> Value {
        self.admin
            .get(&format!("/admin/federation/peers/{did}"))
            .expect(200)
    }

    /// Waits until the peer with this DID is in `state`, and returns it.
    pub fn wait_for_peer(&self, did: &str, state: &str) -> Value {
        wait_for(
            &format!("{}'s link to be {state}", self.name),
            PATIENCE,
            || {
                let peer = self.peer(did);
                (peer["state"] == state).then_some(peer)
            },
        )
    }
}

impl Agent {
    fn read(public: &Client, entry: &Value) -> Self {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let token = text("token");
        Self {
            name: text("name"),
            did: text("did"),
            address: text("address"),
            client: public.with_key(&token),
            token,
        }
    }

    /// Returns a path below the agent's own.
    #[must_use]
    pub fn path(&self, rest: &str) -> String {
        format!("/agents/{}{rest}", self.name)
    }

    /// Sends a text and returns the message's id.
    #[must_use]
    pub fn send(&self, to: &str, text: &str) -> String {
        self.send_body(&json!({ "to": to, "content": { "kind": "text", "text": text } }))
    }

    /// Sends any body that must be accepted, and returns the message's id.
    ///
    /// # Panics
    /// If it is not accepted.
    #[must_use]
    pub fn send_body(&self, body: &Value) -> String {
        let reply = self.client.post(&self.path("/messages"), body).expect(202);
        assert!(["accepted", "resolving"].contains(&reply["status"].as_str().unwrap()));
        reply["id"].as_str().expect("an id").to_owned()
    }

    /// Returns what became of a message.
    #[must_use]
    pub fn status(&self, id: &str) -> Value {
        self.client
            .get(&self.path(&format!("/messages/{id}")))
            .expect(200)
    }

    /// Waits until a message has a status, and returns all that is known of it.
    pub fn wait_for_status(&self, id: &str, status: &str) -> Value {
        wait_for(&format!("{id} to be {status}"), PATIENCE, || {
            let found = self.status(id);
            (found["status"] == status).then_some(found)
        })
    }

    /// Returns the whole inbox, oldest first, read in pages of `limit`.
    #[must_use]
    pub fn inbox(&self, limit: usize) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/inbox?limit={limit}{cursor}");
            let page = self.client.get(&self.path(&path)).expect(200);
            let messages = page["messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return all;
            }
            all.extend(messages);
            let next = page["cursor"]
                .as_str()
                .expect("a cursor on every page with messages");
            cursor = format!("&cursor={next}");
        }
    }

    /// Waits until a message is in the inbox, and returns it.
    pub fn wait_for_message(&self, id: &str) -> Value {
        wait_for(&format!("{id} in {}'s inbox", self.name), PATIENCE, || {
            self.inbox(200)
                .into_iter()
                .find(|message| message["id"] == id)
        })
    }
}

/// Copies a folder with all that is in it, such as what a network that does not run keeps.
///
/// # Panics
/// If it cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("what is in it") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its kind").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            let _bytes = fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// The top of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

fn xtask() -> Command {
    if let Some(built) = std::env::var_os("ENTENTE_XTASK") {
        let mut command = Command::new(built);
        command.current_dir(root());
        return command;
    }
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["run", "--quiet", "--package", "xtask", "--"])
        .current_dir(root());
    command
}

fn is_healthy(url: &str) -> bool {
    let reply = Client::new(url).attempt("GET", "/health", &[], &[]);
    reply.is_ok_and(|reply| reply.status == 200)
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Deletes the state that killed test processes left behind.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(STATE_PREFIX) else {
            continue;
        };
        let pid = rest.split('-').next().unwrap_or_default();
        let gone = Path::new("/proc/self").exists() && !Path::new("/proc").join(pid).exists();
        if gone && pid.parse::<u32>().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
