//! The JSON shapes of groups.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::message::Content;

/// `POST /agents/:name/groups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewGroup {
    /// What it is called, 1 to 200 bytes.
    pub name: String,
    /// Who is invited.
    #[serde(default)]
    pub members: Vec<String>,
}

/// `PATCH /agents/:name/groups/:id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenameGroup {
    /// What it is called from now on.
    pub name: String,
}

/// `POST /agents/:name/groups/:id/members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteMember {
    /// An agent: a name or a DID, either with `@host`.
    pub member: String,
}

/// `POST /agents/:name/groups/:id/messages`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPost {
    /// What is said.
    pub content: Content,
    /// The conversation that it belongs to.
    #[serde(default)]
    pub thread: Option<String>,
    /// 1 (lowest) to 5.
    #[serde(default)]
    pub priority: Option<u8>,
    /// Sent again with the same key, it is said once.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

/// Whose invitations an agent takes without being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoAccept {
    /// Nobody's.
    #[default]
    Nobody,
    /// Those of agents of the same network.
    Network,
    /// Everybody's.
    Everyone,
}

/// `GET` and `PUT /agents/:name/groups/settings`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupSettings {
    /// Whose invitations are taken at once.
    pub auto_accept: AutoAccept,
}

/// A member of a group, or an agent that is to be one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Its address.
    pub member: String,
    /// `owner`, `member` or `invited`.
    pub state: String,
    /// Why mail could not tell it what it was last told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undelivered: Option<String>,
}

/// A group as one agent sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupView {
    /// Its id, the same for all.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Its owner's address.
    pub owner: String,
    /// How this agent stands to it: `invited`, `joining`, `member`, `left`, `removed`, `declined` or
    /// `closed`.
    pub standing: String,
    /// The newest epoch that this agent knows, while it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Who is in, as far as this agent knows; for the owner, also who was invited.
    pub members: Vec<MemberView>,
    /// When it was made, or this agent was invited.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

/// `GET /agents/:name/groups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupList {
    /// Oldest first.
    pub groups: Vec<GroupView>,
}

/// How far something that was said to many came to one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerView {
    /// Its address.
    pub member: String,
    /// As a message's status; `waiting` until mail has it.
    pub status: String,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// Something that was said in a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostView {
    /// Its id, the same for all.
    pub id: String,
    /// The group.
    pub group: String,
    /// Who said it.
    pub from: String,
    /// What was said.
    pub content: Content,
    /// The conversation that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// 1 (lowest) to 5.
    pub priority: u8,
    /// When, by its author's clock.
    pub created_at: Timestamp,
    /// When it was said here, or came.
    pub at: Timestamp,
    /// Of one's own: how far it came, by listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<ListenerView>>,
}

/// `GET /agents/:name/groups/:id/messages`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostList {
    /// As they were said here, or came.
    pub messages: Vec<PostView>,
    /// Where the next page begins; none after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
