//! A WebSocket whose two directions live in two threads.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

/// The sending half.
pub(super) struct Sender(WebSocket<TcpStream>);

/// The receiving half.
pub(super) struct Receiver(WebSocket<TcpStream>);

/// Opens a socket; `token` is the bearer's.
pub(super) fn open(url: &str, token: &str) -> Result<(Sender, Receiver)> {
    let mut request = url.into_client_request()?;
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {token}").parse()?);
    let host = request
        .uri()
        .authority()
        .context("a socket's address needs a host")?
        .to_string();
    let stream = TcpStream::connect(&host).with_context(|| format!("cannot connect to {host}"))?;
    stream.set_nodelay(true)?;
    let second = stream.try_clone()?;
    let (first, _) =
        tungstenite::client(request, stream).map_err(|error| anyhow::anyhow!("{url}: {error}"))?;
    first
        .get_ref()
        .set_read_timeout(Some(Duration::from_millis(500)))?;
    Ok((
        Sender(WebSocket::from_raw_socket(second, Role::Client, None)),
        Receiver(first),
    ))
}

impl Sender {
    /// Sends one text frame.
    pub(super) fn send(&mut self, text: String) -> Result<()> {
        Ok(self.0.send(Message::text(text))?)
    }
}

impl Receiver {
    /// The next text frame; `None` when nothing came for half a second.
    pub(super) fn receive(&mut self) -> Result<Option<Message>> {
        match self.0.read() {
            Ok(message) => Ok(Some(message)),
            Err(tungstenite::Error::Io(error))
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}
