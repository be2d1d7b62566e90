//! The JSON shapes around keys: who a network is, rotation, recovery, frozen links.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::api::PublicKeysView;

/// `POST /admin/init`; every member may be left out, as may the body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Init {
    /// The public half (Multikey) of a recovery key that the admin keeps. Without it the network
    /// makes one and answers it, this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_public_key: Option<String>,
}

/// `GET /admin/keys`: the network's identity as its admin sees it. Also the answer to
/// `POST /admin/init`, `/admin/keys/rotate` and `/admin/keys/recover`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityView {
    /// Its DID.
    pub did: String,
    /// Its host.
    pub host: String,
    /// Its name.
    pub name: String,
    /// Its signing key's fingerprint, for admins of peers to compare by voice.
    pub fingerprint: String,
    /// The number of its identity log's head entry: how often its keys were rotated.
    pub seq: u64,
    /// The hash of that entry.
    pub log: String,
    /// Since when its keys are current.
    pub rotated_at: Timestamp,
    /// The public id of the master key that seals its keys.
    pub master_key_id: String,
    /// The recovery key, where this call made one: shown this once and kept nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_key: Option<String>,
}

/// `POST /admin/keys/recover`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recover {
    /// The recovery key, as it was answered when it was made. It is spent by this.
    pub recovery_key: String,
    /// The public half (Multikey) of the recovery key to come. Without it the network makes one
    /// and answers it, this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_public_key: Option<String>,
}

impl std::fmt::Debug for Recover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recover(…)")
    }
}

/// The answer to `POST /agents/:name/keys/rotate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentKeys {
    /// The agent's DID, which stays.
    pub did: String,
    /// Its new keys.
    pub public_keys: PublicKeysView,
    /// The number of its identity log's head entry.
    pub seq: u64,
}

/// Why a link is frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrozenLink {
    /// Since when.
    pub since: Timestamp,
    /// What was wrong with what the peer served: a stable code.
    pub reason: String,
    /// The same for a person.
    pub explanation: String,
    /// The fingerprint of the key that is pinned.
    pub known_fingerprint: String,
    /// The fingerprint of the key that the peer served instead, if it served one at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_fingerprint: Option<String>,
}

/// `POST /admin/federation/peers/:did/unfreeze`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unfreeze {
    /// The fingerprint of the key that the admin trusts. The peer must serve exactly that.
    pub fingerprint: String,
}

/// The answer to `POST /admin/keys/reseal`: how far everything is sealed under the current master
/// key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resealed {
    /// The public id of that key.
    pub master_key_id: String,
    /// Agents whose secrets are sealed under it, besides the network's.
    pub agents: u64,
    /// Agents that could not be reached: call again before the previous key is dropped.
    pub left: u64,
}
