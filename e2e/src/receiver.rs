//! A receiver of webhooks for tests: it keeps what it is sent, and answers as it is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::deployment::root;
use crate::wait::{PATIENCE, wait_for};

/// How it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With this status and nothing else.
    Status(u16),
    /// With a redirect.
    Redirect(String),
    /// Not at all, as long as this holds.
    Silence,
}

/// One request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// `POST`.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A receiver. It ends with the process that holds it.
#[derive(Debug)]
pub struct Receiver {
    /// `localhost:…`, for [`Options::dev_host`](crate::Options::dev_host).
    pub host: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    answer: Answer,
    posted: Vec<Posted>,
}

impl Posted {
    /// Returns a header.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Has another implementation of RFC 9421 judge the signature, at `host`, by a key as Multikey text:
    /// `None` if it believes it, else why not.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn fault(&self, host: &str, key: &str) -> Option<String> {
        let body = String::from_utf8(self.body.clone()).expect("text");
        let headers: serde_json::Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let case = json!({
            "method": self.method,
            "url": format!("http://{host}{}", self.path),
            "headers": headers,
            "body": body,
            "key": key,
        });
        let mut child = Command::new("node")
            .arg(root().join("e2e/oracles/webhook.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let mut stdin = child.stdin.take().expect("its input");
        stdin
            .write_all(case.to_string().as_bytes())
            .expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "the oracle failed: {said}");
        (said != "ok").then_some(said)
    }
}

impl Receiver {
    /// Starts it; it answers 204.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State {
            answer: Answer::Status(204),
            posted: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self {
            host: format!("localhost:{port}"),
            state,
        }
    }

    /// Returns the URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    /// Sets how it answers from here on, also those that it kept waiting.
    ///
    /// # Panics
    /// If a request has panicked.
    pub fn answer(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    /// Returns what came at a path, in the order it came.
    ///
    /// # Panics
    /// As [`Receiver::answer`].
    #[must_use]
    pub fn at(&self, path: &str) -> Vec<Posted> {
        let state = self.state.lock().unwrap();
        let at = state.posted.iter().filter(|posted| {
            let (before, _) = posted.path.split_once('?').unwrap_or((&posted.path, ""));
            before == path
        });
        at.cloned().collect()
    }

    /// Waits until so many requests came at a path.
    ///
    /// # Panics
    /// If they do not.
    #[must_use]
    pub fn wait_for(&self, path: &str, count: usize) -> Vec<Posted> {
        wait_for(&format!("{count} requests at {path}"), PATIENCE, || {
            let posted = self.at(path);
            (posted.len() >= count).then_some(posted)
        })
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let Some(posted) = read(&stream) else { return };
    state.lock().unwrap().posted.push(posted);
    let head = loop {
        let answer = state.lock().unwrap().answer.clone();
        match answer {
            Answer::Status(status) => break format!("HTTP/1.1 {status} x\r\n"),
            Answer::Redirect(to) => break format!("HTTP/1.1 307 x\r\nlocation: {to}\r\n"),
            Answer::Silence => thread::sleep(Duration::from_millis(20)),
        }
    };
    let head = format!("{head}content-length: 0\r\nconnection: close\r\n\r\n");
    // Whoever asked may be gone.
    let _ = stream.write_all(head.as_bytes());
}

fn read(stream: &TcpStream) -> Option<Posted> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(Some(0), |(_, value)| value.parse().ok())?;
    let chunked = headers
        .iter()
        .any(|(name, value)| name == "transfer-encoding" && value.contains("chunked"));
    let body = if chunked {
        read_chunks(&mut reader)?
    } else {
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        body
    };
    Some(Posted {
        method,
        path,
        headers,
        body,
    })
}

fn read_chunks(reader: &mut impl std::io::BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        chunk.truncate(length);
        if chunk.is_empty() {
            return Some(body);
        }
        body.extend(chunk);
    }
}
