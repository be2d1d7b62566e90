//! A plain HTTP client for one network.

use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Request};

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_BODY: u64 = 1 << 30;
const EXCERPT_CHARS: usize = 800;
const JSON: &str = "application/json";

/// Speaks to one network, as the admin, as an agent or as nobody.
#[derive(Clone, Debug)]
pub struct Client {
    url: String,
    bearer: Option<String>,
    agent: ureq::Agent,
}

/// What a network answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// What was asked, for messages.
    pub asked: String,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// Speaks to the network at the origin `url` without a key.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(0)
            .ip_family(ureq::config::IpFamily::Ipv4Only)
            .timeout_global(Some(TIMEOUT))
            .build()
            .new_agent();
        Self {
            url: url.trim_end_matches('/').to_owned(),
            bearer: None,
            agent,
        }
    }

    /// Returns the same client with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            bearer: Some(key.to_owned()),
            ..self.clone()
        }
    }

    /// Returns the origin.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the key, for a socket.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.bearer.as_deref()
    }

    /// Sends a request; `Err` only if there was no answer.
    ///
    /// # Errors
    /// What kept the answer away.
    pub fn attempt(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        if let Some(key) = &self.bearer {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(body.to_vec())
            .expect("a test writes valid requests");
        let mut response = if body.is_empty() {
            self.agent.run(request.map(|_| ()))
        } else {
            self.agent.run(request)
        }
        .map_err(|error| error.to_string())?;
        let body = response
            .body_mut()
            .with_config()
            .limit(MAX_BODY)
            .read_to_vec()
            .map_err(|error| error.to_string())?;
        Ok(Reply {
            asked: format!("{method} {path}"),
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body,
        })
    }

    /// Sends a request.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.attempt(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {}{path}: {error}", self.url))
    }

    /// Sends a GET.
    #[must_use]
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], &[])
    }

    /// Sends a POST with a JSON body.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.json("POST", path, body)
    }

    /// Sends a PATCH with a JSON body.
    #[must_use]
    pub fn patch(&self, path: &str, body: &Value) -> Reply {
        self.json("PATCH", path, body)
    }

    /// Sends a DELETE.
    #[must_use]
    pub fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], &[])
    }

    fn json(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send(
            method,
            path,
            &[("content-type", JSON)],
            body.to_string().as_bytes(),
        )
    }
}

impl Reply {
    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns as much of the body as a person wants to read.
    #[must_use]
    pub fn excerpt(&self) -> String {
        self.text().chars().take(EXCERPT_CHARS).collect()
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error} in {}", self.asked, self.excerpt()))
    }

    /// Checks the status and returns the body as JSON.
    ///
    /// # Panics
    /// If the status is another one.
    #[must_use]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(
            self.status,
            status,
            "{} answered {}",
            self.asked,
            self.excerpt()
        );
        self.value()
    }

    /// Checks that this is an error body with this status and stable code, whose request id is the
    /// one in the header.
    ///
    /// # Panics
    /// If it is anything else.
    pub fn refused(&self, status: u16, code: &str) {
        let found = self.excerpt();
        assert_eq!(self.status, status, "{} answered {found}", self.asked);
        let error = &self.value()["error"];
        assert_eq!(error["code"], code, "{} answered {found}", self.asked);
        let said = error["message"].as_str().unwrap_or_default();
        assert!(
            said.len() >= 10,
            "{}: the message says nothing: {found}",
            self.asked
        );
        let request = error["request"].as_str().unwrap_or_default();
        assert!(
            !request.is_empty(),
            "{}: no request id: {found}",
            self.asked
        );
        assert_eq!(
            self.header("x-request-id"),
            Some(request),
            "{}: {found}",
            self.asked
        );
    }

    /// Returns a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
