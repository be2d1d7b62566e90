//! Trust in peers: what may cross, who asks to peer, who is banned, and what a change would do.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Timestamp, TrustLevel};

/// `POST /admin/federation/peers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddPeer {
    /// The peer's origin, such as `https://network.friend.dev`.
    pub peer_url: String,
    /// How far to trust it.
    pub trust_level: TrustLevel,
    /// The peer's agents that may talk, both ways; none under allowlist means nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_agents: Option<Vec<String>>,
    /// Patterns for the collections of public events that pass, both ways; absent means all under
    /// open and none under allowlist and verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_collections: Option<Vec<String>>,
    /// DIDs of other networks whose events may pass through the peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_networks: Option<Vec<String>>,
    /// Whether anything may come in; yes unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_inbound: Option<bool>,
    /// Whether anything may go out; yes unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_outbound: Option<bool>,
}

impl AddPeer {
    /// Wants the network at an origin at a level, with nothing else said.
    #[must_use]
    pub const fn new(peer_url: String, trust_level: TrustLevel) -> Self {
        Self {
            peer_url,
            trust_level,
            allow_agents: None,
            allow_collections: None,
            allow_networks: None,
            allow_inbound: None,
            allow_outbound: None,
        }
    }
}

/// `PATCH /admin/federation/peers/:did`, and what `POST …/preview` tries. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePeer {
    /// The new level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_level: Option<TrustLevel>,
    /// The new list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_agents: Option<Vec<String>>,
    /// The new patterns; `null` goes back to what the level says.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub allow_collections: Option<Option<Vec<String>>>,
    /// The new list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_networks: Option<Vec<String>>,
    /// Whether anything may come in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_inbound: Option<bool>,
    /// Whether anything may go out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_outbound: Option<bool>,
}

/// `POST /admin/federation/requests/:did/accept`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptRequest {
    /// How far to trust it.
    pub trust_level: TrustLevel,
    /// As in [`AddPeer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_agents: Option<Vec<String>>,
    /// As in [`AddPeer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_collections: Option<Vec<String>>,
    /// As in [`AddPeer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_networks: Option<Vec<String>>,
    /// As in [`AddPeer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_inbound: Option<bool>,
    /// As in [`AddPeer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_outbound: Option<bool>,
    /// The fingerprint that the admin compared; another one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// What the admin holds about a peer beyond level and agents; a part of `PeerView`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerTrust {
    /// Patterns for the collections that pass; absent is what the level says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_collections: Option<Vec<String>>,
    /// Other networks whose events may pass through the peer.
    #[serde(default)]
    pub allow_networks: Vec<String>,
    /// Whether anything may come in.
    #[serde(default = "yes")]
    pub allow_inbound: bool,
    /// Whether anything may go out.
    #[serde(default = "yes")]
    pub allow_outbound: bool,
    /// The ban in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ban: Option<BanView>,
    /// Who has approved whom.
    #[serde(default)]
    pub approval: ApprovalView,
}

impl Default for PeerTrust {
    fn default() -> Self {
        Self {
            allow_collections: None,
            allow_networks: Vec::new(),
            allow_inbound: true,
            allow_outbound: true,
            ban: None,
            approval: ApprovalView::default(),
        }
    }
}

/// Who has approved whom, which `verified` asks of both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalView {
    /// The fingerprint that our admin approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Until when our approval holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours_until: Option<Timestamp>,
    /// Until when the peer's attestation about us holds, as it last showed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theirs_until: Option<Timestamp>,
    /// What is lacking for `verified` now: a stable code, absent if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
}

/// `POST /admin/federation/peers/:did/approve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovePeer {
    /// The fingerprint that was compared; without it the one shown is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Until when, at most a year ahead; 90 days unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A network that dialled unasked and waits for an admin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerRequest {
    /// Its DID.
    pub did: String,
    /// Its host.
    pub host: String,
    /// The name that it gives itself.
    pub name: String,
    /// Its signing key's fingerprint, to compare by voice.
    pub fingerprint: String,
    /// How often it dialled, counted once a minute.
    pub attempts: u64,
    /// When it dialled first.
    pub first_at: Timestamp,
    /// When it dialled last.
    pub last_at: Timestamp,
}

/// `GET /admin/federation/requests`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRequests {
    /// Those that wait, the latest first.
    pub requests: Vec<PeerRequest>,
}

/// `POST /admin/federation/bans`: exactly one of `did` and `host`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewBan {
    /// The network's DID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did: Option<String>,
    /// A host, whichever network is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Why; never told to the banned.
    pub reason: String,
    /// When it ends; without it, when an admin lifts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// One ban in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BanView {
    /// The DID or host.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// `GET /admin/federation/bans`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanList {
    /// Newest first.
    pub bans: Vec<BanView>,
}

/// `POST /admin/federation/peers/:did/preview`: what a change would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Whether a link can exist, now and then; the code that says why not.
    pub link: Turn,
    /// Each of our agents with each agent of the peer that is known here, both ways.
    pub agents: PreviewGroup,
    /// Public events by collection, both ways.
    pub collections: PreviewGroup,
    /// Messages that crossed lately, as if they were sent again.
    pub recent: PreviewGroup,
    /// Messages that wait to be sent.
    pub queued: PreviewGroup,
    /// The last announcements, ours and the peer's, as if they were made again.
    pub announcements: PreviewGroup,
}

/// A verdict before and after: `pass`, or the code that refuses or holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// As things are.
    pub before: String,
    /// As they would be.
    pub after: String,
}

/// What a change would do to one sort of items.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewGroup {
    /// How many pass now.
    pub pass_before: u64,
    /// How many would pass.
    pub pass_after: u64,
    /// How many pass now and would not.
    pub stops: u64,
    /// How many do not pass now and would.
    pub starts: u64,
    /// Some of those that change, at most 10 of each sort.
    #[serde(default)]
    pub examples: Vec<PreviewExample>,
}

/// One item whose verdict would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewExample {
    /// `in` or `out`.
    pub direction: String,
    /// Our agent, or absent for events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<String>,
    /// The peer's agent, or the collection.
    pub theirs: String,
    /// The verdicts.
    #[serde(flatten)]
    pub turn: Turn,
}

const fn yes() -> bool {
    true
}

/// Tells `null` from a member that is absent.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_tells_null_from_absent() {
        let read = |text: &str| {
            let change: ChangePeer = serde_json::from_str(text).unwrap();
            assert_eq!(
                serde_json::from_str::<ChangePeer>(&serde_json::to_string(&change).unwrap())
                    .unwrap(),
                change
            );
            change.allow_collections
        };
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"allowCollections":null}"#), Some(None));
        assert_eq!(
            read(r#"{"allowCollections":["a.*"]}"#),
            Some(Some(vec!["a.*".to_owned()]))
        );
        assert!(serde_json::from_str::<ChangePeer>(r#"{"allow":1}"#).is_err());
    }
}

/// One message that is held for an admin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// Its name in the quarantine, for the routes that decide about it.
    pub item: String,
    /// The message's id.
    pub id: String,
    /// The DID of the peer that brought it.
    pub peer: String,
    /// The peer's host.
    pub host: String,
    /// The address that it says it comes from.
    pub from: String,
    /// The recipient's address.
    pub to: String,
    /// Why it is held: a stable code.
    pub reason: String,
    /// Its length, sealed, in bytes.
    pub bytes: u64,
    /// Since when.
    pub held_at: Timestamp,
    /// It is refused then, unless somebody has decided.
    pub lapses_at: Timestamp,
    /// It was released, and waits for its agent.
    pub released: bool,
}

/// `GET /admin/federation/quarantine`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineList {
    /// By peer, the oldest of each first.
    pub held: Vec<Quarantined>,
    /// Where to go on; a page may be empty and have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `POST /admin/federation/quarantine/:item/refuse`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefuseQuarantined {
    /// Why, for the audit log: at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
