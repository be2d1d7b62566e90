//! The HTTP API of a local network, as the admin or as an agent.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use entente_lexicon::api::ErrorBody;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{Request, StatusCode};

/// Speaks to one network with one bearer key.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    url: String,
    key: String,
}

/// A status and a body that was read whole.
struct Reply {
    status: StatusCode,
    body: String,
}

impl Client {
    /// `url` is the network's origin, `key` the admin's key or an agent's token.
    pub(crate) fn new(url: &str, key: &str) -> Self {
        Self {
            agent: agent(Duration::from_secs(30), 0),
            url: url.to_owned(),
            key: key.to_owned(),
        }
    }

    /// Waits so long for each answer.
    pub(crate) fn with_patience(mut self, patience: Duration) -> Self {
        self.agent = agent(patience, 0);
        self
    }

    /// Keeps its connection for the next request, as a program does that asks all the time.
    pub(crate) fn keep_connection(mut self) -> Self {
        self.agent = agent(Duration::from_secs(30), 1);
        self
    }

    /// Reads `path`; `None` when it is 404.
    pub(crate) fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let reply = self.send("GET", path, String::new())?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.accept("GET", path, &reply).map(Some)
    }

    /// Reads `path`.
    pub(crate) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let reply = self.send("GET", path, String::new())?;
        self.accept("GET", path, &reply)
    }

    /// Posts JSON to `path`.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let reply = self.send("POST", path, serde_json::to_string(body)?)?;
        self.accept("POST", path, &reply)
    }

    fn send(&self, method: &str, path: &str, body: String) -> Result<Reply> {
        let url = format!("{}{path}", self.url);
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json")
            .body(body)?;
        let mut response = self
            .agent
            .run(request)
            .with_context(|| format!("{method} {url} got no answer"))?;
        let body = response
            .body_mut()
            .read_to_string()
            .with_context(|| format!("{method} {url} broke off"))?;
        Ok(Reply {
            status: response.status(),
            body,
        })
    }

    fn accept<T: DeserializeOwned>(&self, method: &str, path: &str, reply: &Reply) -> Result<T> {
        let Reply { status, body } = reply;
        let place = format!("{method} {}{path}", self.url);
        if status.is_success() {
            return serde_json::from_str(body)
                .with_context(|| format!("{place}: unexpected answer {}", excerpt(body)));
        }
        match serde_json::from_str::<ErrorBody>(body) {
            Ok(ErrorBody { error }) => {
                bail!(
                    "{place}: {} {}: {} (request {})",
                    status.as_u16(),
                    error.code,
                    error.message,
                    error.request
                )
            }
            Err(_) => Err(anyhow!("{place}: {} {}", status.as_u16(), excerpt(body))),
        }
    }
}

/// Unless told, every request has a connection of its own: one that is kept may be closed by the other side in the
/// moment that something is sent over it, and what was posted is not sent twice.
fn agent(patience: Duration, kept: usize) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(patience))
        .max_redirects(0)
        .max_idle_connections(kept)
        .build();
    config.into()
}

fn excerpt(text: &str) -> String {
    text.chars().take(200).collect()
}
