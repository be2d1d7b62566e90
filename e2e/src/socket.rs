//! A WebSocket client with deadlines.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message, WebSocket};

use crate::wait::PATIENCE;

/// One end of a WebSocket.
#[derive(Debug)]
pub struct Socket {
    inner: WebSocket<TcpStream>,
    /// The subprotocol the server chose.
    pub protocol: Option<String>,
}

/// How a socket ended, or what came over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A text message.
    Text(String),
    /// A binary message.
    Bytes(Vec<u8>),
    /// The other side closed, with this code (1006 if without one) and reason.
    Closed(u16, String),
    /// Nothing, until the deadline.
    Silence,
}

impl Socket {
    /// Opens a socket at `url` (`http://…` or `ws://…`).
    ///
    /// # Errors
    /// The HTTP status and body where the server did not upgrade (status 0 if it did not answer).
    pub fn open(url: &str, headers: &[(&'static str, &str)]) -> Result<Self, (u16, Vec<u8>)> {
        let url = url.replacen("http://", "ws://", 1);
        let authority = url
            .trim_start_matches("ws://")
            .split('/')
            .next()
            .unwrap_or_default();
        let port: u16 = authority
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("a port");
        let mut request = url
            .as_str()
            .into_client_request()
            .expect("a test writes valid URLs");
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a test writes valid headers");
            request.headers_mut().insert(*name, value);
        }
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|_| (0, Vec::new()))?;
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        match tungstenite::client(request, stream) {
            Ok((inner, response)) => {
                let protocol = response.headers().get("sec-websocket-protocol");
                let protocol = protocol
                    .and_then(|text| text.to_str().ok())
                    .map(str::to_owned);
                Ok(Self { inner, protocol })
            }
            Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => Err((
                response.status().as_u16(),
                response.into_body().unwrap_or_default(),
            )),
            Err(_) => Err((0, Vec::new())),
        }
    }

    /// Wraps a socket whose upgrade was done already.
    #[must_use]
    pub fn from_inner(inner: WebSocket<TcpStream>) -> Self {
        Self {
            inner,
            protocol: None,
        }
    }

    /// Sends JSON as text; a socket that is gone is noticed when reading.
    pub fn send(&mut self, value: &Value) {
        let _ = self.inner.send(Message::text(value.to_string()));
    }

    /// Sends text as it is.
    pub fn send_text(&mut self, text: &str) {
        let _ = self.inner.send(Message::text(text));
    }

    /// Sends a binary message.
    pub fn send_bytes(&mut self, bytes: Vec<u8>) {
        let _ = self.inner.send(Message::binary(bytes));
    }

    /// Writes bytes beneath the WebSocket, which the other side takes for parts of frames.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.inner.get_mut().write_all(bytes);
    }

    /// Closes.
    pub fn close(&mut self, code: u16) {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        let _ = self.inner.close(Some(frame));
        let _ = self.inner.flush();
    }

    /// Hears what comes next, for at most `limit`.
    pub fn hear(&mut self, limit: Duration) -> Heard {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Heard::Silence;
            }
            let _ = self.inner.get_ref().set_read_timeout(Some(left));
            match self.inner.read() {
                Ok(Message::Text(text)) => return Heard::Text(text.to_string()),
                Ok(Message::Binary(bytes)) => return Heard::Bytes(bytes.to_vec()),
                Ok(Message::Close(frame)) => {
                    let _ = self.inner.flush();
                    return frame.map_or(Heard::Closed(1006, String::new()), |frame| {
                        Heard::Closed(frame.code.into(), frame.reason.to_string())
                    });
                }
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return Heard::Closed(1006, String::new()),
            }
        }
    }

    /// Hears the next text message as JSON.
    ///
    /// # Panics
    /// If anything else comes, or nothing in time.
    #[must_use]
    pub fn next(&mut self, what: &str) -> Value {
        match self.hear(PATIENCE) {
            Heard::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other @ (Heard::Bytes(_) | Heard::Closed(..) | Heard::Silence) => {
                panic!("expected {what}, heard {other:?}")
            }
        }
    }

    /// Hears messages until one fits, and returns it.
    ///
    /// # Panics
    /// If none fits in time or the socket closes.
    #[must_use]
    pub fn until(&mut self, what: &str, mut fits: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            let value = self.next(what);
            if fits(&value) {
                return value;
            }
        }
    }

    /// Hears the next binary frame.
    ///
    /// # Panics
    /// If anything else comes, or nothing.
    #[must_use]
    pub fn frame(&mut self) -> Vec<u8> {
        match self.hear(PATIENCE) {
            Heard::Bytes(bytes) => bytes,
            other @ (Heard::Text(_) | Heard::Closed(..) | Heard::Silence) => {
                panic!("expected a frame, heard {other:?}")
            }
        }
    }

    /// Hears messages until the socket closes, and returns code and reason.
    ///
    /// # Panics
    /// If it stays open for `limit`.
    #[must_use]
    pub fn closed(&mut self, limit: Duration) -> (u16, String) {
        let deadline = Instant::now() + limit;
        loop {
            match self.hear(deadline.saturating_duration_since(Instant::now())) {
                Heard::Closed(code, reason) => return (code, reason),
                Heard::Silence => panic!("the socket was still open after {limit:?}"),
                Heard::Text(_) | Heard::Bytes(_) => {}
            }
        }
    }
}
