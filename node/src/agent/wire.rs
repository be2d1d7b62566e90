//! What objects of one network say to each other: compact binary, never JSON, since every message
//! crosses two of these hops.

use std::collections::BTreeSet;

use entente_lexicon::api::timeline::{TimelineEntry, TimelinePlace};
use entente_lexicon::api::{Event, FilterWish};
use entente_lexicon::{ReceiptStatus, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use worker::{Request, Response};

use crate::error::ApiError;
use crate::internal::{self, Stub};

/// From the Worker to the relay: which entries of a timeline.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TimelineWish {
    /// Entries behind this instant and key.
    pub(crate) at: Timestamp,
    pub(crate) key: String,
    /// This author's alone, by DID.
    pub(crate) author: Option<String>,
    /// A JSON list of patterns, one of which must cover the collection.
    pub(crate) globs: Option<String>,
    /// Nothing from before.
    pub(crate) since: Timestamp,
    /// Only what is from before this.
    pub(crate) until: Timestamp,
    /// So many at most.
    pub(crate) limit: u32,
}

/// The answer to a [`TimelineWish`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TimelinePage {
    /// The newest first, each with its place.
    pub(crate) entries: Vec<(TimelinePlace, TimelineEntry)>,
}

/// From the Worker to the relay: what is said of these.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AboutWish {
    /// By DID.
    pub(crate) subjects: Vec<String>,
}

/// The answer to an [`AboutWish`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AboutReply {
    /// What is said of them, the newest first.
    pub(crate) held: Vec<HeldEndorsement>,
    /// Which of them speaks well of whom.
    pub(crate) praised: BTreeSet<(String, String)>,
}

/// An endorsement as the relay holds it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HeldEndorsement {
    /// The author's DID.
    pub(crate) author: String,
    /// The author's network.
    pub(crate) network: String,
    /// That network's host.
    pub(crate) host: String,
    /// The author's name.
    pub(crate) name: String,
    /// The peer that brought it, by host.
    pub(crate) peer: Option<String>,
    /// Where the record is.
    pub(crate) uri: String,
    /// The record's CID.
    pub(crate) cid: String,
    /// The record, as JSON.
    pub(crate) record: String,
    /// When it was announced, by its author's clock.
    pub(crate) made: Timestamp,
    /// The announcement's id.
    pub(crate) id: [u8; 16],
    /// When it came here.
    pub(crate) stored_at: Timestamp,
}

/// From a sending agent to the link of the recipient's network: keep these, then carry them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Handoff {
    /// The sending agent's object, where receipts go.
    pub(crate) object: String,
    /// The sending agent's DID.
    pub(crate) from: String,
    /// None of them was handed over before, not even in vain: none can be here already.
    pub(crate) is_new: bool,
    /// The messages, in the order they were accepted.
    pub(crate) items: Vec<HandoffItem>,
}

/// One message of a [`Handoff`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HandoffItem {
    /// The message's id, 16 bytes.
    pub(crate) id: ByteBuf,
    /// The recipient's DID.
    pub(crate) to: String,
    /// The sealed message.
    pub(crate) bytes: ByteBuf,
}

/// The answer to a [`Handoff`]: for each item `None` once it is stored, or the code that refuses it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HandoffReply {
    /// In the order of the items.
    pub(crate) refused: Vec<Option<String>>,
    /// None was taken: each must carry its sender's signature on the outside first.
    pub(crate) needs_origin: bool,
}

/// From a link, or from an agent of the same network, to the receiving agent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// The DID of the network the messages come from.
    pub(crate) network: String,
    /// Its host.
    pub(crate) host: String,
    /// The sealed messages, in order.
    pub(crate) items: Vec<ByteBuf>,
}

/// The answer to a [`Delivery`], once everything it says is committed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeliveryReply {
    /// In the order of the items: `None` where delivered, or the code that refuses it.
    pub(crate) refused: Vec<Option<String>>,
}

/// From a link to a sending agent: what became of its messages.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Receipts {
    /// The DID of the network whose relay signed them.
    pub(crate) by: String,
    /// Each message's latest step.
    pub(crate) items: Vec<Receipt>,
    /// The signatures under them, each perhaps under many; see [`Proof`](crate::proof::Proof).
    pub(crate) proofs: Vec<ByteBuf>,
    /// Where the link has no row of the message any more: whom each must have been sent to, on the
    /// network `by`.
    pub(crate) from: Option<Vec<String>>,
}

/// One message's latest step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// The message's id, 16 bytes.
    pub(crate) id: ByteBuf,
    /// What became of it.
    pub(crate) status: ReceiptStatus,
    /// When.
    pub(crate) at: Timestamp,
    /// Why it was refused.
    pub(crate) code: Option<String>,
    /// When it was first sent to the peer.
    pub(crate) sent: Option<Timestamp>,
    /// The place of its signature among the proofs.
    pub(crate) proof: Option<usize>,
}

/// From a link, or from an agent of the same network: records that concern this agent's mail. The
/// answer is a [`DeliveryReply`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Controls {
    /// The DID of the network the records come from.
    pub(crate) network: String,
    /// Its host.
    pub(crate) host: String,
    /// The records.
    pub(crate) items: Vec<ControlItem>,
}

/// One record of [`Controls`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ControlItem {
    /// The agent it speaks of or for.
    pub(crate) from: String,
    /// See `entente_federation::frame::control`.
    pub(crate) bytes: ByteBuf,
}

/// From an agent to the relay: what happened to its public repo.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewRepoEvent {
    /// By which the relay knows it.
    pub(crate) id: ByteBuf,
    /// An `entente_memory::repo::events::Event` in DAG-CBOR.
    pub(crate) event: ByteBuf,
}

/// From an agent of ours, or from a link, to the relay: keep and show these.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewAnnouncements {
    /// The host of the peer that brought them; `None` for our own agents'.
    pub(crate) peer: Option<String>,
    /// In order.
    pub(crate) items: Vec<NewAnnouncement>,
}

/// One announcement whose signature holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewAnnouncement {
    /// As its agent signed it.
    pub(crate) bytes: ByteBuf,
    /// Its agent's name.
    pub(crate) name: String,
    /// Its agent's host.
    pub(crate) host: String,
}

/// From the relay to a link: offer these to the peer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Announcements {
    /// As their agents signed them, in order.
    pub(crate) items: Vec<ByteBuf>,
}

/// The answer to either, once everything it says is committed: for each item `None`, or the code
/// that refuses it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refusals {
    /// In the order of the items.
    pub(crate) refused: Vec<Option<String>>,
}

/// The prekey of an agent, as a link or the agent's object answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PrekeyReply {
    /// As its agent published it: the reader verifies it.
    pub(crate) prekey: String,
    /// Whether the link must see who sent a message.
    pub(crate) needs_origin: bool,
}

/// From the queue's consumer to a sending agent: what comes next for this recipient?
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LanePull {
    /// The recipient's DID.
    pub(crate) to: String,
    /// So many messages at most.
    pub(crate) limit: u32,
}

/// The answer to a [`LanePull`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LanePage {
    /// The recipient's object.
    pub(crate) object: String,
    /// The DID of the network.
    pub(crate) network: String,
    /// Its host.
    pub(crate) host: String,
    /// In order; none if nothing waits, or it is not due yet.
    pub(crate) items: Vec<LaneItem>,
    /// How often something was offered in vain since something was taken.
    pub(crate) failures: u32,
}

/// One message of a [`LanePage`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LaneItem {
    /// The message's id, 16 bytes.
    pub(crate) id: ByteBuf,
    /// Its last 16 bytes, others each time it is sealed.
    pub(crate) tail: ByteBuf,
    /// The sealed message.
    pub(crate) bytes: ByteBuf,
}

/// From the queue's consumer to a sending agent: what became of messages.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LaneSettled {
    /// The recipient's DID.
    pub(crate) to: String,
    /// One by one.
    pub(crate) items: Vec<LaneOutcome>,
}

/// What became of one message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LaneOutcome {
    /// The message's id, 16 bytes.
    pub(crate) id: ByteBuf,
    /// As in its [`LaneItem`].
    pub(crate) tail: ByteBuf,
    /// `None` where delivered, or the code that refuses it.
    pub(crate) code: Option<String>,
}

/// From the queue's consumer to a sending agent: nothing was taken.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LaneFailed {
    /// The recipient's DID.
    pub(crate) to: String,
    /// Why.
    pub(crate) fault: LaneFault,
    /// As in the [`LanePage`].
    pub(crate) failures: u32,
}

/// Why nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LaneFault {
    /// The recipient answers nothing.
    Down,
    /// It answers, but not when it is given the first message.
    Head,
}

/// The answer to a [`LaneFailed`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LaneWait {
    /// How long to wait before another attempt; nothing if that is somebody else's affair.
    pub(crate) millis: Option<u64>,
}

/// How far the replica of an agent's records is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplicaCursor {
    /// Which life of the agent's records: a new one where they were lost and made anew.
    pub(crate) life: String,
    /// The last revision that the replica has: microseconds since 1970, always growing.
    pub(crate) revision: u64,
}

/// From the queue's consumer to an agent: what follows, as far as it fits on a page?
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReplicaPull {
    /// What the replica has; nothing where it has nothing.
    pub(crate) cursor: Option<ReplicaCursor>,
}

/// The answer to a [`ReplicaPull`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReplicaPage {
    /// The cursor names what the agent has no way on from: the replica must begin anew.
    pub(crate) reset: bool,
    /// Records that were removed, as `collection/rkey`.
    pub(crate) gone: Vec<String>,
    /// Records as they are now.
    pub(crate) records: Vec<ReplicaRecord>,
    /// How far the replica is with this page.
    pub(crate) cursor: ReplicaCursor,
}

impl ReplicaPage {
    /// Whether the replica has everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.records.is_empty()
    }
}

/// One record of a [`ReplicaPage`]: sealed, unless it is public.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReplicaRecord {
    pub(crate) collection: String,
    pub(crate) rkey: String,
    pub(crate) version: u64,
    pub(crate) cid: String,
    /// The block that the CID names.
    pub(crate) ciphertext: ByteBuf,
    /// The row that wraps its key for the owner; none where the record is public.
    pub(crate) encrypted_dek: Option<ByteBuf>,
    pub(crate) revision: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) shares: Vec<ReplicaShare>,
}

impl ReplicaRecord {
    /// Returns `collection/rkey`.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.collection, self.rkey)
    }
}

/// Somebody a [`ReplicaRecord`] is shared with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReplicaShare {
    pub(crate) recipient: String,
    /// The row that wraps the record's key for them; none until it was sent.
    pub(crate) encrypted_dek: Option<ByteBuf>,
    pub(crate) at: Timestamp,
}

/// From the queue's consumer to an agent: its records could not be replicated.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReplicaFailed {
    /// Why, for people.
    pub(crate) error: String,
}

/// Calls another object with one of these and reads its answer.
///
/// # Errors
/// The object's own error, or 500 `INTERNAL` if it cannot be reached or answers nonsense.
pub(crate) async fn call<T: DeserializeOwned>(
    stub: &Stub,
    path: &str,
    body: &impl Serialize,
) -> Result<T, ApiError> {
    let bytes = serde_ipld_dagcbor::to_vec(body).map_err(ApiError::internal)?;
    let answer = internal::post_bytes(stub, path, &bytes, &internal::new_request_id()).await?;
    serde_ipld_dagcbor::from_slice(&answer).map_err(ApiError::internal)
}

/// Reads what another object sent.
///
/// # Errors
/// 500 `INTERNAL`: only our own objects call.
pub(crate) async fn read<T: DeserializeOwned>(request: &mut Request) -> Result<T, ApiError> {
    let bytes = request.bytes().await?;
    serde_ipld_dagcbor::from_slice(&bytes).map_err(ApiError::internal)
}

/// Answers another object.
///
/// # Errors
/// If the platform cannot build a response.
pub(crate) fn respond(body: &impl Serialize) -> Result<Response, ApiError> {
    let bytes = serde_ipld_dagcbor::to_vec(body).map_err(ApiError::internal)?;
    Ok(Response::from_bytes(bytes)?)
}

/// `POST /wakes/filters` of the relay: these are an agent's filters, in place of those before. It
/// answers with nothing, once they are committed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LeftFilters {
    /// The agent.
    pub(crate) did: String,
    /// Its object.
    pub(crate) object: String,
    /// Rises with each change: an older call that is late changes nothing.
    pub(crate) version: u64,
    /// All of them.
    pub(crate) filters: Vec<LeftFilter>,
}

/// One filter of [`LeftFilters`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftFilter {
    /// Its id.
    pub(crate) id: String,
    /// What it lets through.
    pub(crate) wish: FilterWish,
    /// As in `SetWakeFilter`.
    pub(crate) own: bool,
}

/// `POST /woken` of an agent: what its filters let through of a stretch of events. It answers with
/// nothing, once that is committed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Woken {
    /// Which sequence of events.
    pub(crate) epoch: String,
    /// What was before it in the sequence is lost to the agent.
    pub(crate) gap: bool,
    /// The event before the first that was looked at.
    pub(crate) after: u64,
    /// The last event that was looked at.
    pub(crate) upto: u64,
    /// The version of the agent's filters.
    pub(crate) version: u64,
    /// Those that passed, each with the ids of the filters.
    pub(crate) events: Vec<(Event, Vec<String>)>,
}
