//! The JSON shapes of the HTTP API and of its sockets.
//!
//! Field names are camelCase on the wire. Instants are RFC 3339 strings. Cursors are opaque.

pub mod a2a;
mod announcements;
mod backups;
pub mod blobs;
pub mod blocks;
pub mod dead;
mod firehose;
pub mod groups;
pub mod life;
pub mod memory;
pub mod reputation;
pub mod tasks;
pub mod timeline;
pub mod topics;
mod trust;
pub mod wakes;
pub mod webhooks;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::keys::FrozenLink;
use crate::{Content, ReceiptStatus, Timestamp, TrustLevel};

pub use announcements::{Announce, Announced, AnnouncementList, AnnouncementView};
pub use backups::{BackupList, BackupView, RestoreAgent, RestoreNetwork, Restored};
pub use firehose::{
    AgentPresence, Event, FilterWish, FirehoseCommand, FirehoseFrame, NewEvent, Viewer,
};
pub use trust::{
    AcceptRequest, AddPeer, ApprovalView, ApprovePeer, BanList, BanView, ChangePeer, NewBan,
    PeerRequest, PeerRequests, PeerTrust, Preview, PreviewExample, PreviewGroup, QuarantineList,
    Quarantined, RefuseQuarantined, Turn,
};

/// The body of every error: `{"error": {…}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// A stable code in upper snake case, listed in docs/protocol/errors.md.
    pub code: String,
    /// What happened and what to do next, for a person.
    pub message: String,
    /// The id of the request, which the log names too.
    pub request: String,
}

/// `POST /agents/create`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateAgent {
    /// A label, unique on this network.
    pub name: String,
    /// The model the agent's runtime will use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Free-form settings; `adminRead: true` lets the admin read this agent's mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<BTreeMap<String, Value>>,
}

/// An agent's public keys as Multikey text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicKeysView {
    /// Ed25519.
    pub signing: String,
    /// X25519.
    pub encryption: String,
    /// X-Wing (X25519 + ML-KEM-768), the default for sealing.
    pub hybrid: String,
}

/// The answer to `POST /agents/create`, 201.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentCreated {
    /// The agent's DID.
    pub did: String,
    /// Its name.
    pub name: String,
    /// `did:cf:…@host`.
    pub address: String,
    /// Its bearer token, shown this once.
    pub token: String,
    /// Its public keys.
    pub public_keys: PublicKeysView,
}

/// One agent, in `GET /agents` and `GET /agents/:name`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentView {
    /// Its DID.
    pub did: String,
    /// Its name.
    pub name: String,
    /// `did:cf:…@host`.
    pub address: String,
    /// `active`, or `creating`/`deleting` while the sweep repairs it.
    pub status: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// The model, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether the admin may read its mail.
    pub admin_read: bool,
    /// Whether it tells senders that it has read their messages.
    #[serde(default)]
    pub read_receipts: bool,
    /// Its settings.
    #[serde(default)]
    pub config: BTreeMap<String, Value>,
    /// Its public keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_keys: Option<PublicKeysView>,
}

/// `PATCH /agents/:name`: what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeAgent {
    /// Whether it tells senders from now on that it has read their messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_receipts: Option<bool>,
    /// Who may call it by A2A from now on, and what its card says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub a2a: Option<a2a::A2aSetting>,
}

/// `GET /agents`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentList {
    /// All agents, by name.
    pub agents: Vec<AgentView>,
}

/// `POST /agents/:name/messages`, and a `send` on the agent's socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    /// A name, a DID, or either at a host.
    pub to: String,
    /// What to say.
    pub content: Content,
    /// A conversation this belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// 1 (lowest) to 5 (highest); 3 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// After this it need not be delivered any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Sending again with the same key answers as the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Answer as soon as it is kept; to an agent of this network it goes by the queue.
    #[serde(default, rename = "async", skip_serializing_if = "Option::is_none")]
    pub asynchronous: Option<bool>,
}

/// The answer to a send, 202.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The message's id.
    pub id: String,
    /// Always `accepted`.
    pub status: ReceiptStatus,
}

/// One step of a message's journey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptView {
    /// How far it came.
    pub status: ReceiptStatus,
    /// When.
    pub at: Timestamp,
    /// The DID of the network whose relay says so.
    pub by: String,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Who says so can be held to it: only in `GET /agents/:name/messages/:id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofView>,
}

/// A signature under a receipt, with all that it takes to check it; byte strings are base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofView {
    /// `receipt`, `bounce`, `handshake`, `outcome` or `read`.
    pub kind: String,
    /// The key: of the network that `by` names, or for `read` of the agent.
    pub kid: String,
    /// The exact bytes signed.
    pub statement: String,
    /// Ed25519.
    pub signature: String,
    /// Under a receipt: the ids, 16 bytes each, whose SHA-256 the statement holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<String>,
    /// Under a handshake: the transcript's hash before the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<String>,
    /// Under a handshake: the frame's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// `GET /agents/:name/messages/:id`, and one row of `GET /agents/:name/messages`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageStatus {
    /// The message's id.
    pub id: String,
    /// `out` or `in`.
    pub direction: String,
    /// The sender's address.
    pub from: String,
    /// The recipient's address.
    pub to: String,
    /// The latest status.
    pub status: ReceiptStatus,
    /// When its sender wrote it.
    pub created_at: Timestamp,
    /// When our relay first sent it to the recipient's, as far as that has been told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// Every step, oldest first.
    pub receipts: Vec<ReceiptView>,
    /// The other agent's name on its network, as its card says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_name: Option<String>,
    /// What it says, for those who may read this agent's mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// The conversation it belongs to, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
}

/// `GET /agents/:name/messages`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageList {
    /// Oldest first.
    pub messages: Vec<MessageStatus>,
    /// Where to go on.
    pub cursor: Option<String>,
}

/// One message in an inbox, decrypted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboxMessage {
    /// The message's id.
    pub id: String,
    /// The sender's address.
    pub from: String,
    /// The recipient's address.
    pub to: String,
    /// The sender's name on its network, as its card says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_name: Option<String>,
    /// The conversation it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// What it says.
    pub content: Content,
    /// 1 to 5.
    pub priority: u8,
    /// When its sender wrote it.
    pub created_at: Timestamp,
    /// When this agent got it.
    pub received_at: Timestamp,
    /// When it was read, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
}

/// `POST /agents/:name/inbox/read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkRead {
    /// The messages, 1 to 200.
    pub ids: Vec<String>,
}

/// The answer to [`MarkRead`], and to `POST /agents/:name/inbox/:id/read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkedRead {
    /// Each message and since when it is read, now or before.
    pub messages: Vec<ReadView>,
}

/// One message that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadView {
    /// The message's id.
    pub id: String,
    /// When it was read first.
    pub read_at: Timestamp,
}

/// `GET /agents/:name/inbox`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inbox {
    /// Oldest first.
    pub messages: Vec<InboxMessage>,
    /// Where to go on; present also on the last page, so that a poller can keep it.
    pub cursor: Option<String>,
}

/// A one-time pass for a browser's socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// Goes into the subprotocol as `entente.ticket.<ticket>`.
    pub ticket: String,
    /// It is useless after this.
    pub expires_at: Timestamp,
}

/// What a client says on `WS /agents/:name/ws`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum AgentCommand {
    /// Send a message.
    Send {
        /// The client's own name for this request, also its idempotency key.
        #[serde(rename = "ref")]
        reference: String,
        /// What to send, flattened beside `ref`.
        #[serde(flatten)]
        message: SendMessage,
    },
}

/// What the server says on `WS /agents/:name/ws`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum AgentNotice {
    /// The send was accepted.
    Accepted {
        /// The client's name for the request.
        #[serde(rename = "ref")]
        reference: String,
        /// The message's id.
        id: String,
    },
    /// The send was refused.
    Error {
        /// The client's name for the request, where it could be read.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        /// Why.
        error: ErrorDetail,
    },
    /// A message this agent sent came further.
    Receipt {
        /// The message's id.
        id: String,
        /// The step.
        #[serde(flatten)]
        receipt: ReceiptView,
    },
    /// A task that came by A2A stands like this now.
    Task {
        /// The task's id.
        id: String,
        /// How it stands.
        state: crate::records::comms::TaskState,
    },
    /// An event that one of the agent's filters lets through.
    Wake {
        /// The event and its cursor, flattened beside `type`.
        #[serde(flatten)]
        wake: wakes::Wake,
    },
    /// A message arrived.
    Message {
        /// The message, flattened beside `type`.
        #[serde(flatten)]
        message: InboxMessage,
    },
}

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// No socket yet; dialling or waiting to dial again.
    Connecting,
    /// A session is up.
    Up,
    /// The last session ended in good order; the next message opens one.
    Idle,
    /// The peer does not answer; retrying with backoff.
    Unreachable,
    /// The level is verified, and an admin of either side has not approved the other yet.
    Waiting,
    /// The peer, or our policy, refuses the link.
    Refused,
    /// The peer's keys changed in a way that its log does not prove: an admin must decide.
    Frozen,
}

/// One peer as the admin sees it. `GET /admin/federation/peers[/:did]` and the 201 of `POST`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerView {
    /// The peer's DID.
    pub did: String,
    /// Its host.
    pub host: String,
    /// Its signing key's fingerprint: 8 groups of 4 base32 characters, to compare by voice.
    pub fingerprint: String,
    /// The level we hold it at.
    pub trust_level: TrustLevel,
    /// The level both sides agreed on in the last handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<TrustLevel>,
    /// Its agents that may talk.
    #[serde(default)]
    pub allow_agents: Vec<String>,
    /// The link's state.
    pub state: LinkState,
    /// Since when.
    pub since: Timestamp,
    /// Messages waiting to be acknowledged by it.
    pub queued: u64,
    /// The age of the oldest of them in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_age_ms: Option<u64>,
    /// The last round trip in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<u64>,
    /// The last error's stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When we dial next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_retry: Option<Timestamp>,
    /// Why the link is frozen, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<FrozenLink>,
    /// What else the admin holds about it.
    #[serde(flatten)]
    pub trust: PeerTrust,
    /// How much it may have in flight towards us, and what our outbox towards it holds at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LinkAmounts>,
    /// How much of that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<LinkAmounts>,
    /// How it sees us, as it said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_view: Option<PeerOutlook>,
}

/// Items and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAmount {
    /// How many.
    pub items: u64,
    /// Bytes.
    pub bytes: u64,
}

/// An amount for each stream in flight, and for the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAmounts {
    /// Messages in flight.
    pub messages: LinkAmount,
    /// Public events in flight.
    pub events: LinkAmount,
    /// Control records in flight.
    pub controls: LinkAmount,
    /// Messages waiting.
    pub outbox: LinkAmount,
}

/// How a peer sees the link to us, from its last STATUS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerOutlook {
    /// When it said so, by our clock.
    pub at: Timestamp,
    /// The level it holds us at.
    pub trust_level: TrustLevel,
    /// Messages it holds for us.
    pub queued: u64,
    /// Public events it holds for us.
    pub queued_events: u64,
    /// The age of the oldest message in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_age_ms: Option<u64>,
    /// The last round trip it measured, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<u64>,
    /// What went wrong before the session in which it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How much we may have in flight towards it, and what its outbox towards us holds at most.
    pub limits: LinkAmounts,
    /// How much of that is taken.
    pub usage: LinkAmounts,
}

/// `GET /admin/federation/peers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerList {
    /// All peers, by host.
    pub peers: Vec<PeerView>,
}

/// One peer as the public sees it, in `GET /relay/peers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicPeer {
    /// The peer's DID.
    pub did: String,
    /// Its host.
    pub host: String,
    /// The level both sides agreed on, or ours.
    pub trust_level: TrustLevel,
    /// The link's state.
    pub state: LinkState,
}

/// `GET /relay/peers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicPeers {
    /// All peers, by host.
    pub peers: Vec<PublicPeer>,
}

/// This network, for the dashboard's centre.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkView {
    /// Its DID.
    pub did: String,
    /// Its host.
    pub host: String,
    /// Its name.
    pub name: String,
    /// What it grants to strangers.
    pub trust_level: TrustLevel,
}

/// `POST /agents/:name/token`: the new token, shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// The token.
    pub token: String,
}

/// `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`, or `error` with what is wrong in `problems`.
    pub status: String,
    /// The software's version.
    pub version: String,
    /// Stable codes such as `MASTER_KEY_MISSING`, `MASTER_KEY_WRONG`, `NOT_INITIALISED`.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// One line of `.up/networks.json`, for scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalNetwork {
    /// `alpha`.
    pub name: String,
    /// `http://localhost:8701`.
    pub url: String,
    /// The network's DID.
    pub did: String,
    /// The supervisor's process id.
    pub pid: u32,
    /// The admin's key.
    pub admin_key: String,
    /// The dashboard's address.
    pub dashboard: String,
    /// The demo agents.
    pub agents: Vec<LocalAgent>,
}

/// One demo agent in `.up/networks.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalAgent {
    /// `alice`.
    pub name: String,
    /// Its DID.
    pub did: String,
    /// `did:cf:…@host`.
    pub address: String,
    /// Its bearer token.
    pub token: String,
}

/// `.up/networks.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalNetworks {
    /// In port order.
    pub networks: Vec<LocalNetwork>,
}
