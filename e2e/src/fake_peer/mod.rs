//! A federation peer of our own, written from the specification alone.
//!
//! It serves a discovery document and agents' cards, answers and dials the federation socket, and
//! speaks the handshake and the session frames well enough to be a real peer. Since every step
//! hands its bytes to the test before they go out, it can also lie at every step. What it checks
//! in what a network sends, it checks by the book and fails the test.

mod document;
mod http;
mod identity;
mod opening;
mod session;
mod upgrade;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::client::Client;
use crate::deployment::Network;
use crate::socket::Socket;
use crate::wait::PATIENCE;

pub use document::{duplicate_key, resign, sign_document};
pub use identity::{FakeAgent, Identity, Known, now};
pub use opening::{Initiator, Party, Responder, alter, opening_frame};
pub use session::{Direction, Frame, Item, Kind, Receipt, Session};
pub use upgrade::{SignedUpgrade, check_upgrade};

/// A peer at `localhost:<port>`.
#[derive(Debug)]
pub struct FakePeer {
    /// Who it is.
    pub identity: Identity,
    shared: Arc<Shared>,
    dialled: Mutex<Receiver<Upgrade>>,
}

/// What the peer answers with.
#[derive(Clone, Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// Headers besides the length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What the peer does when it is dialled.
#[derive(Clone, Debug, Default)]
pub enum OnDial {
    /// Leaves the caller waiting for an answer.
    #[default]
    Hold,
    /// Upgrades; the test takes the socket with [`FakePeer::accepted`].
    Accept,
    /// Answers with a page instead.
    Answer(Page),
}

/// A socket that a network opened, and what it said when it did.
#[derive(Debug)]
pub struct Upgrade {
    /// The socket.
    pub socket: Socket,
    /// The request's headers, names in lower case.
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Shared {
    pages: Mutex<BTreeMap<String, Page>>,
    on_dial: Mutex<OnDial>,
    asked: Mutex<Vec<String>>,
    upgrades: Mutex<Sender<Upgrade>>,
}

/// The path of a network's document.
pub const DOCUMENT_PATH: &str = "/.well-known/agent-network.json";
/// The path of a network's identity log.
pub const LOG_PATH: &str = "/.well-known/agent-network-log.jsonl";
/// The path that peers dial.
pub const FEDERATION_PATH: &str = "/relay/federation";

impl FakePeer {
    /// Starts a well-behaved peer that keeps its callers waiting.
    #[must_use]
    pub fn start(port: u16) -> Self {
        let identity = Identity::network(&format!("localhost:{port}"));
        let (upgrades, dialled) = channel();
        let shared = Arc::new(Shared {
            pages: Mutex::default(),
            on_dial: Mutex::default(),
            asked: Mutex::default(),
            upgrades: Mutex::new(upgrades),
        });
        http::serve(port, Arc::clone(&shared));
        let peer = Self {
            identity,
            shared,
            dialled: Mutex::new(dialled),
        };
        peer.serve(DOCUMENT_PATH, Page::json(&peer.identity.document));
        peer
    }

    /// Answers a path with this page from now on.
    pub fn serve(&self, path: &str, page: Page) {
        self.shared
            .pages
            .lock()
            .unwrap()
            .insert(path.to_owned(), page);
    }

    /// Publishes an identity: its document, and its log from each entry on. Its agents' cards are to
    /// be published anew.
    ///
    /// # Panics
    /// If the log has no text.
    pub fn publish(&self, identity: &Identity) {
        self.serve_log(LOG_PATH, identity);
        self.serve_document(&identity.document);
    }

    /// Serves an identity's log from each entry on.
    fn serve_log(&self, path: &str, identity: &Identity) {
        let log = identity.log.to_text().expect("a log");
        for (from, _) in log.lines().enumerate() {
            let page: String = log.split_inclusive('\n').skip(from).collect();
            self.serve(&format!("{path}?from={from}"), Page::jsonl(&page));
        }
    }

    /// Answers its discovery document with this text from now on.
    pub fn serve_document(&self, text: &str) {
        self.serve(DOCUMENT_PATH, Page::json(text));
    }

    /// Decides what happens when it is dialled from now on.
    pub fn on_dial(&self, what: OnDial) {
        *self.shared.on_dial.lock().unwrap() = what;
    }

    /// Makes a new agent and publishes it.
    #[must_use]
    pub fn add_agent(&self, name: &str) -> FakeAgent {
        let agent = FakeAgent::new(&self.identity, name);
        self.publish_agent(&agent, name);
        agent
    }

    /// Publishes an agent's card, log and prekey from now on, under its DID and its name.
    pub fn publish_agent(&self, agent: &FakeAgent, name: &str) {
        let log = format!("/relay/agents/{}/log", agent.identity.did);
        self.serve_log(&log, &agent.identity);
        for key in [agent.identity.did.as_str(), name] {
            let card = format!("/relay/agents/{key}");
            self.serve(&format!("{card}/prekey"), Page::json(&agent.prekey));
            self.serve(&card, Page::json(&agent.card));
        }
    }

    /// Returns the next socket that a network opened.
    ///
    /// # Panics
    /// If none does.
    #[must_use]
    pub fn accepted(&self) -> Upgrade {
        let dialled = self.dialled.lock().unwrap();
        dialled
            .recv_timeout(PATIENCE)
            .expect("a network dials the fake peer")
    }

    /// Takes the next dial of `network` up to a session, as `identity`: its own, or a forged one.
    ///
    /// # Panics
    /// If the network does not dial or breaks the handshake off.
    #[must_use]
    pub fn answer(&self, network: &Network, identity: &Identity) -> (Socket, Session) {
        let mut wire = self.accepted().socket;
        let mut responder = Responder::new(identity, self.know(network), &wire.frame());
        wire.send_bytes(responder.hello_ack());
        responder.read_auth(&wire.frame());
        let (ready, session) = responder.ready();
        wire.send_bytes(ready);
        (wire, session)
    }

    /// Drops every socket that was opened and not taken.
    pub fn forget_sockets(&self) {
        while self.dialled.lock().unwrap().try_recv().is_ok() {}
    }

    /// Returns every path asked for so far.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Opens a federation socket to a network, as itself.
    #[must_use]
    pub fn dial(&self, network: &Network) -> Socket {
        let upgrade = SignedUpgrade::new(&self.identity, network);
        dial_with(network, &upgrade.headers()).expect("the network upgrades")
    }

    /// Asks a network's admin to add it as a peer.
    #[must_use]
    pub fn ask_to_peer(&self, network: &Network, level: &str) -> crate::Reply {
        let url = format!("http://{}", self.identity.host);
        let body = serde_json::json!({ "peerUrl": url, "trustLevel": level });
        network.admin.post("/admin/federation/peers", &body)
    }

    /// Becomes a peer of a network at this level.
    pub fn join(&self, network: &Network, level: &str) -> Value {
        self.ask_to_peer(network, level).expect(201)
    }

    /// Reads what a network publishes about itself.
    #[must_use]
    pub fn know(&self, network: &Network) -> Known {
        Known::read(&Client::new(&network.url).get(DOCUMENT_PATH).body)
    }
}

/// Opens a federation socket with any headers.
///
/// # Errors
/// The status and body of a refusal.
pub fn dial_with(
    network: &Network,
    headers: &[(&'static str, String)],
) -> Result<Socket, (u16, Vec<u8>)> {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    Socket::open(&format!("{}{FEDERATION_PATH}", network.url), &headers)
}

impl Page {
    /// A good answer in JSON.
    #[must_use]
    pub fn json(text: &str) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self {
            status: 200,
            headers,
            body: text.as_bytes().to_vec(),
        }
    }

    /// A page of a log.
    #[must_use]
    pub fn jsonl(text: &str) -> Self {
        let headers = vec![("content-type".to_owned(), "application/jsonl".to_owned())];
        Self {
            headers,
            ..Self::json(text)
        }
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(to: &str) -> Self {
        Self {
            status: 302,
            headers: vec![("location".to_owned(), to.to_owned())],
            body: Vec::new(),
        }
    }

    /// An empty answer.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }
}
