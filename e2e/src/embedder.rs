//! A service of vectors for tests: the sidecar in `e2e/embedder`, behind a gate that can be shut.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::client::Client;
use crate::deployment::root;

/// How the gate answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// As the sidecar does.
    Open,
    /// With a 503.
    Shut,
    /// With vectors of three dimensions.
    Narrow,
}

/// The sidecar and its gate. Both end with the process that holds them.
#[derive(Debug)]
pub struct Embedder {
    /// `localhost:…`, for [`Options::dev_host`](crate::Options::dev_host).
    pub host: String,
    state: Arc<Mutex<State>>,
    _sidecar: Child,
}

#[derive(Debug)]
struct State {
    gate: Gate,
    /// What was asked, key and body.
    seen: Vec<(String, String)>,
}

impl Embedder {
    /// Starts it; installs its packages first if they are not there.
    ///
    /// # Panics
    /// If the sidecar does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = root().join("e2e/embedder");
        if !folder.join("node_modules").exists() {
            let mut install = Command::new("npm");
            install.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
            let status = install.current_dir(&folder).status().expect("npm runs");
            assert!(status.success(), "npm ci in {}", folder.display());
        }
        let mut sidecar = Command::new("node")
            .args(["server.mjs", "0", "--stop-on-stdin-eof"])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let mut url = String::new();
        let stdout = sidecar.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut url).expect("its URL");
        let upstream = Client::new(url.trim());
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State {
            gate: Gate::Open,
            seen: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, upstream) = (Arc::clone(&shared), upstream.clone());
                thread::spawn(move || serve(stream, &state, &upstream));
            }
        });
        Self {
            host: format!("localhost:{port}"),
            state,
            _sidecar: sidecar,
        }
    }

    /// Returns the value of `EMBEDDING_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.host)
    }

    /// Sets how it answers from here on.
    ///
    /// # Panics
    /// If a request has panicked.
    pub fn set(&self, gate: Gate) {
        self.state.lock().unwrap().gate = gate;
    }

    /// Tells whether a text was ever sent to it.
    ///
    /// # Panics
    /// As [`Embedder::set`].
    #[must_use]
    pub fn has_read(&self, text: &str) -> bool {
        let state = self.state.lock().unwrap();
        state.seen.iter().any(|(_key, body)| body.contains(text))
    }

    /// Returns the keys it was shown.
    ///
    /// # Panics
    /// As [`Embedder::set`].
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.seen.iter().map(|(key, _body)| key.clone()).collect()
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, upstream: &Client) {
    let Some((key, body)) = read(&stream) else {
        return;
    };
    let gate = {
        let mut state = state.lock().unwrap();
        state.seen.push((key, body.clone()));
        state.gate
    };
    let (status, answer) = match gate {
        Gate::Shut => (503, json!({ "error": "shut" }).to_string()),
        Gate::Narrow => (200, narrow(&body).to_string()),
        Gate::Open => {
            let headers = [("content-type", "application/json")];
            let reply = upstream.send("POST", "/embeddings", &headers, body.as_bytes());
            (reply.status, reply.text())
        }
    };
    let length = answer.len();
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(answer.as_bytes());
}

fn narrow(body: &str) -> Value {
    let asked: Value = serde_json::from_str(body).unwrap_or_default();
    let count = asked["input"].as_array().map_or(0, Vec::len);
    let one = |index: usize| json!({ "index": index, "embedding": [1.0, 0.5, 0.25] });
    json!({ "data": (0..count).map(one).collect::<Vec<_>>() })
}

/// Reads one request: what it shows as a key, and its body.
fn read(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let (mut key, mut length) = (String::new(), 0_usize);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => value.trim().clone_into(&mut key),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((key, String::from_utf8(body).ok()?))
}
