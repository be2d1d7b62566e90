//! The JSON that the Worker and its objects exchange with one another.
//!
//! None of it is reachable from outside: clients see `entente_lexicon::api`.

use std::collections::{BTreeMap, BTreeSet};

use entente_lexicon::api::{LinkState, NewEvent, PublicKeysView};
use entente_lexicon::{AgentName, Did, Host, Tid, Timestamp, TrustLevel};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /init` of an agent's object. Idempotent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InitAgent {
    /// The agent's name.
    pub name: AgentName,
    /// The DID of this network.
    pub network_did: Did,
    /// The host of this network.
    pub host: Host,
    /// Whether the admin may act as the agent and read its mail.
    pub admin_read: bool,
    /// The object's own id, which entry 0 of the agent's log names.
    pub object_id: String,
}

/// The answer to [`InitAgent`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentInit {
    /// The agent's DID.
    pub did: Did,
    /// Its public keys.
    pub public_keys: PublicKeysView,
    /// Its identity log, one entry a line.
    pub log: String,
    /// The number of its head entry.
    pub seq: u64,
    /// Its card, signed by the agent and not yet by the network.
    pub card: Value,
    /// What its public repo is at.
    pub head: RepoHead,
}

/// What an agent's public repo is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoHead {
    /// The agent's DID.
    pub did: Did,
    /// The last commit's CID.
    pub commit: String,
    /// Its revision.
    pub rev: Tid,
}

/// `POST /repos/heads` of the relay, answered by a list of [`RepoHead`]: of those that it has heard of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadsOf {
    /// The agents.
    pub dids: Vec<Did>,
}

/// `POST /repos/deleted` of the relay: an agent is gone, and its repo with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoDeleted {
    /// Its DID.
    pub did: Did,
}

/// `POST /init` of a link's object. Idempotent; replaces policy and document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InitLink {
    /// The peer's DID.
    pub peer_did: Did,
    /// The peer's host.
    pub host: Host,
    /// What may cross to and from it.
    pub policy: PeerPolicy,
    /// The ban in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ban: Option<LinkBan>,
    /// Our admin's approval of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<PeerApproval>,
    /// Its verified document, byte for byte.
    pub document: String,
    /// When that was fetched.
    #[serde(default)]
    pub fetched_at: Timestamp,
    /// Its verified identity log, one entry a line: the pin.
    pub log: String,
    /// Rises with every change; a lower one than the last is stale.
    #[serde(default)]
    pub policy_version: u64,
}

/// What an admin decided may cross to and from a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerPolicy {
    /// The level it is held at.
    pub level: TrustLevel,
    /// Its agents that may talk.
    pub allow_agents: BTreeSet<Did>,
    /// Patterns for collections; `None` is what the level says.
    pub allow_collections: Option<Vec<String>>,
    /// Other networks whose events may pass through it.
    pub allow_networks: BTreeSet<Did>,
    /// Whether anything may come in.
    pub allow_inbound: bool,
    /// Whether anything may go out.
    pub allow_outbound: bool,
}

impl PeerPolicy {
    /// Makes the policy of a level: nobody listed, both directions open.
    #[must_use]
    pub const fn new(level: TrustLevel) -> Self {
        Self {
            level,
            allow_agents: BTreeSet::new(),
            allow_collections: None,
            allow_networks: BTreeSet::new(),
            allow_inbound: true,
            allow_outbound: true,
        }
    }
}

/// An admin's approval of a peer's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerApproval {
    /// The fingerprint that was approved.
    pub fingerprint: String,
    /// From when it holds.
    pub not_before: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// Tells it from every other: 16 bytes in hex.
    pub nonce: String,
}

/// A ban as a link must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkBan {
    /// Until when; `None` is until an admin lifts it.
    pub until: Option<Timestamp>,
}

/// `POST /preview` of a link's object: what would this policy change?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TryPolicy {
    /// The policy to try.
    pub policy: PeerPolicy,
    /// Our own agents, by DID.
    pub ours: Vec<Did>,
    /// Messages that crossed lately: whether they came in, our agent, the peer's.
    pub recent: Vec<(bool, Did, Did)>,
    /// The last announcements, ours and the peer's.
    pub announcements: Vec<RecentAnnouncement>,
}

/// An announcement as policy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecentAnnouncement {
    /// Whether the peer brought it; if not, it is ours.
    pub came_in: bool,
    /// What it is about.
    pub collection: String,
    /// The network it was made in.
    pub network: Did,
}

/// `GET /recent?peer=<host>` of the relay's object: messages that crossed to or from a peer lately,
/// each once: whether it came in, its sender's address, its recipient's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentMessages {
    /// Newest first.
    pub messages: Vec<(bool, String, String)>,
    /// The last announcements, ours and the peer's.
    pub announcements: Vec<RecentAnnouncement>,
}

/// `GET /quarantine` of a link's object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShelfPage {
    /// Messages after this number.
    pub after: u64,
    /// At most so many.
    pub limit: u32,
}

/// `POST /quarantine` of a link's object: what an admin decided about a message that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decide {
    /// The message's number there.
    pub n: u64,
    /// What becomes of it.
    pub decision: Decision,
}

/// What becomes of a message that was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Its agent gets it.
    Release,
    /// Its sender is told that it is refused.
    Refuse,
}

/// `POST /close` of a link's object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseLink {
    /// The code that senders of queued mail are told.
    pub reason: String,
}

/// `POST /init` of the relay's object. Idempotent; makes keys once and never again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InitRelay {
    /// The object's own id, which entry 0 of the network's log names.
    pub object_id: String,
    /// The host of this network.
    pub host: Host,
    /// Its name.
    pub name: String,
    /// The DID that the directory already lists. A relay without it has lost its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Did>,
    /// The public half of the recovery key; without it a birth makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<String>,
}

/// The network's identity, as `GET /identity` of the relay's object tells the links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayIdentity {
    /// The network's DID.
    pub did: Did,
    /// Its host.
    pub host: Host,
    /// Its name.
    pub name: String,
    /// The relay's object id.
    pub object_id: String,
    /// The id of the signing key.
    pub kid: String,
    /// The signing key's seed, sealed under the master key: base64url without padding.
    pub sealed_signing_key: String,
    /// The network's public keys.
    pub public_keys: PublicKeysView,
    /// Its identity log, one entry a line.
    pub log: String,
    /// The number of its head entry.
    pub seq: u64,
    /// The hash of its head entry.
    pub head: String,
    /// When its head entry was made.
    pub rotated_at: Timestamp,
    /// The exact bytes of its document.
    pub document: String,
    /// Their SHA-256 in base64url without padding.
    pub document_hash: String,
    /// Its did:web document.
    pub did_document: String,
    /// The public id of the master key that sealed the keys.
    pub master_key_id: String,
    /// What the document was built for; another value means that it must be rebuilt.
    pub built_for: String,
    /// When the keys were made.
    pub created_at: Timestamp,
    /// The recovery key, where this call made one: it is kept nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_key: Option<String>,
}

/// `POST /countersign` of the relay's object, which answers with the [`CardPaper`] it has signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Countersign {
    /// What is to be signed.
    pub paper: CardPaper,
    /// What the new agent's public repo is at.
    pub head: RepoHead,
}

/// What the directory lists of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CardPaper {
    /// An agent's card.
    pub card: Value,
    /// The agent's identity log, one entry a line.
    pub log: String,
}

/// `POST /publish-card` of the relay's object: lists an agent's card as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishCard {
    /// The agent's object.
    pub object_id: String,
}

/// `POST /published` of an agent's object: the card of this entry of its log is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The entry's number.
    pub seq: u64,
}

/// `GET /resolve` of a link's object: one of the peer's agents, verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// Its card, byte for byte.
    pub card: String,
    /// Its identity log, one entry a line.
    pub log: String,
}

/// Why a peer's keys are not believed. Also `POST /freeze` of a link's object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Broken {
    /// A stable code.
    pub reason: String,
    /// The same for a person.
    pub explanation: String,
    /// The fingerprint of the key that was served.
    pub served_fingerprint: Option<String>,
}

/// `POST /events` of the relay's object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// What happened, in order.
    pub events: Vec<NewEvent>,
}

/// `POST /first-contact` of the relay's object: asks for a place under the limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstContact {
    /// The host that the stranger claims.
    pub host: Host,
    /// The key that it claims to have signed with.
    pub key: String,
}

/// `GET /links` of the relay's object: the state of each link by the peer's host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStates {
    /// State by host.
    pub links: BTreeMap<Host, LinkState>,
}

/// `GET /lend` and `GET /lend/chunks` of an agent's object, and what another network's agent signs:
/// chunks of a blob that a shared record refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoanWish {
    /// Who reads.
    pub reader: Did,
    /// The record's path, `collection/rkey`.
    pub record: String,
    /// The blob's CID.
    pub cid: String,
    /// The id of the record's key, as the reader knows it.
    pub dek: String,
    /// The first chunk.
    pub from: u64,
    /// The one after the last.
    pub to: u64,
}

/// Where a reader lives, as `GET /lend` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    /// The host of its network.
    pub host: String,
}

/// An empty JSON object, where there is nothing to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// The header by which the Worker tells the relay that an admin looks.
pub const VIEWER: &str = "x-entente-viewer";

/// `GET /recent` of the relay's object answers [`RecentMessages`].
pub const RECENT_PATH: &str = "/recent";
/// `GET /peers` of the relay's object answers `api::PublicPeers`.
pub const PEERS_PATH: &str = "/peers";

/// From the Worker to the relay: put an agent back from a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreOneAgent {
    /// Its DID.
    pub did: Did,
    /// Its object.
    pub object_id: String,
    /// The generation; the newest that holds it unless said.
    pub generation: Option<u64>,
    /// Its identity log as the directory lists it; none where the agent was deleted.
    pub log: Option<String>,
}
