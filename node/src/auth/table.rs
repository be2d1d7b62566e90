//! The access table: every route, and who may call it. Pure.

use super::route::Route;
use Access::{A2aCaller, Admin, AdminOrAgent, AgentMail, AgentSocket, Public};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Public,
    /// The admin key.
    Admin,
    /// The admin key, or the token of the agent that the path names.
    AdminOrAgent,
    /// The token of the agent that the path names; the admin key only where that agent has
    /// `adminRead`, and then it is audited.
    AgentMail,
    /// As [`Access::AgentMail`]; or nobody yet, where the subprotocol carries a ticket that the
    /// agent's object will judge.
    AgentSocket,
    /// Whom the agent's object admits, by a key that it gave or by its setting.
    A2aCaller,
}

/// One line of the table. In a path, `:x` stands for one segment and `*` for any rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What it does.
    pub route: Route,
    /// How many bytes of the path stand before what is not literal.
    pub literal: usize,
}

const fn entry(method: &'static str, path: &'static str, access: Access, route: Route) -> Entry {
    Entry {
        method,
        path,
        access,
        route,
        literal: literal(path.as_bytes()),
    }
}

const fn literal(path: &[u8]) -> usize {
    let mut rest = path;
    while let [first, after @ ..] = rest {
        if matches!(*first, b':' | b'*') {
            break;
        }
        rest = after;
    }
    path.len() - rest.len()
}

/// Every route there is.
pub const TABLE: &[Entry] = &[
    entry("GET", "/", Public, Route::Home),
    entry("GET", "/health", Public, Route::Health),
    entry("GET", "/dashboard", Public, Route::Dashboard),
    entry("GET", "/dashboard/*", Public, Route::Dashboard),
    entry(
        "GET",
        "/.well-known/agent-network.json",
        Public,
        Route::NetworkDocument,
    ),
    entry(
        "GET",
        "/.well-known/agent-network-log.jsonl",
        Public,
        Route::NetworkLog,
    ),
    entry("GET", "/.well-known/did.json", Public, Route::NetworkDid),
    entry("GET", "/relay/agents/:agent", Public, Route::AgentCard),
    entry("GET", "/relay/agents/:agent/log", Public, Route::AgentLog),
    entry(
        "GET",
        "/relay/agents/:agent/prekey",
        Public,
        Route::AgentPrekey,
    ),
    entry(
        "GET",
        "/relay/agents/:agent/blobs/:cid",
        Public,
        Route::LendBlob,
    ),
    entry("GET", "/lexicons", Public, Route::Lexicons),
    entry("GET", "/lexicons/:nsid", Public, Route::Lexicons),
    entry("GET", "/relay/peers", Public, Route::PublicPeers),
    entry("GET", "/relay/firehose", Public, Route::Firehose),
    entry("GET", "/relay/announcements", Public, Route::Announcements),
    entry("GET", "/timeline", Public, Route::Timeline),
    entry("GET", "/agents/:name/timeline", Public, Route::Timeline),
    entry("GET", "/relay/federation", Public, Route::Federation),
    entry("GET", "/agents/:name/did.json", Public, Route::AgentDid),
    entry("GET", "/xrpc/com.atproto.sync.getRepo", Public, Route::Xrpc),
    entry("GET", "/xrpc/com.atproto.sync.getBlob", Public, Route::Xrpc),
    entry(
        "GET",
        "/xrpc/com.atproto.sync.getBlocks",
        Public,
        Route::Xrpc,
    ),
    entry(
        "GET",
        "/xrpc/com.atproto.sync.getRepoStatus",
        Public,
        Route::Xrpc,
    ),
    entry(
        "GET",
        "/xrpc/com.atproto.sync.listRepos",
        Public,
        Route::Xrpc,
    ),
    entry(
        "GET",
        "/xrpc/com.atproto.sync.subscribeRepos",
        Public,
        Route::Xrpc,
    ),
    entry(
        "GET",
        "/xrpc/com.atproto.sync.getLatestCommit",
        Public,
        Route::Xrpc,
    ),
    entry(
        "GET",
        "/xrpc/com.atproto.sync.getRecord",
        Public,
        Route::Xrpc,
    ),
    entry(
        "GET",
        "/xrpc/com.atproto.repo.getRecord",
        Public,
        Route::Xrpc,
    ),
    entry(
        "GET",
        "/xrpc/com.atproto.repo.listRecords",
        Public,
        Route::Xrpc,
    ),
    entry("GET", "/agents/:name/export", AgentMail, Route::ExportRepo),
    entry("POST", "/admin/init", Admin, Route::Init),
    entry("POST", "/admin/ticket", Admin, Route::AdminTicket),
    entry("GET", "/admin/keys", Admin, Route::ShowKeys),
    entry("POST", "/admin/keys/rotate", Admin, Route::RotateKeys),
    entry("POST", "/admin/keys/recover", Admin, Route::RecoverKeys),
    entry("POST", "/admin/keys/reseal", Admin, Route::ResealKeys),
    entry("POST", "/admin/backups", Admin, Route::Backups),
    entry("GET", "/admin/backups", Admin, Route::Backups),
    entry("POST", "/admin/backups/restore", Admin, Route::Backups),
    entry("POST", "/admin/agents/:name/restore", Admin, Route::Backups),
    entry("POST", "/agents/create", Admin, Route::CreateAgent),
    entry("POST", "/agents", Admin, Route::CreateAgent),
    entry("GET", "/agents", Admin, Route::ListAgents),
    entry("GET", "/agents/:name", AdminOrAgent, Route::ShowAgent),
    entry("PATCH", "/agents/:name", AdminOrAgent, Route::ChangeAgent),
    entry("DELETE", "/agents/:name", Admin, Route::DeleteAgent),
    entry(
        "POST",
        "/agents/:name/token",
        AdminOrAgent,
        Route::RotateToken,
    ),
    entry(
        "POST",
        "/agents/:name/keys/rotate",
        AdminOrAgent,
        Route::RotateAgentKeys,
    ),
    entry(
        "POST",
        "/agents/:name/messages",
        AgentMail,
        Route::SendMessage,
    ),
    entry("POST", "/agents/:name/announce", AgentMail, Route::Announce),
    entry(
        "GET",
        "/agents/:name/messages",
        AgentMail,
        Route::ListMessages,
    ),
    entry(
        "GET",
        "/agents/:name/messages/:id",
        AgentMail,
        Route::ShowMessage,
    ),
    entry("GET", "/agents/:name/inbox", AgentMail, Route::Inbox),
    entry(
        "POST",
        "/agents/:name/inbox/read",
        AgentMail,
        Route::MarkRead,
    ),
    entry(
        "POST",
        "/agents/:name/inbox/:id/read",
        AgentMail,
        Route::MarkRead,
    ),
    entry(
        "POST",
        "/agents/:name/memory",
        AgentMail,
        Route::WriteMemory,
    ),
    entry("GET", "/agents/:name/memory", AgentMail, Route::ReadMemory),
    entry(
        "POST",
        "/agents/:name/memory/import",
        AgentMail,
        Route::ImportRepo,
    ),
    entry(
        "POST",
        "/agents/:name/memory/rotate",
        AgentMail,
        Route::WriteMemory,
    ),
    entry(
        "GET",
        "/agents/:name/memory/rotation",
        AgentMail,
        Route::ReadMemory,
    ),
    entry(
        "GET",
        "/agents/:name/memory/replica",
        AdminOrAgent,
        Route::ReplicaStatus,
    ),
    entry(
        "GET",
        "/agents/:name/memory/search",
        AgentMail,
        Route::ReadMemory,
    ),
    entry(
        "GET",
        "/agents/:name/memory/shared",
        AgentMail,
        Route::ReadMemory,
    ),
    entry(
        "GET",
        "/agents/:name/memory/meaning",
        AgentMail,
        Route::ReadMemory,
    ),
    entry(
        "POST",
        "/agents/:name/memory/reembed",
        AgentMail,
        Route::WriteMemory,
    ),
    entry(
        "GET",
        "/agents/:name/memory/settings",
        AgentMail,
        Route::ReadMemory,
    ),
    entry(
        "PUT",
        "/agents/:name/memory/settings",
        AgentMail,
        Route::WriteMemory,
    ),
    entry(
        "GET",
        "/agents/:name/memory/compaction",
        AgentMail,
        Route::ReadMemory,
    ),
    entry(
        "POST",
        "/agents/:name/memory/compaction",
        AgentMail,
        Route::WriteMemory,
    ),
    entry(
        "POST",
        "/agents/:name/memory/:id/forget",
        AgentMail,
        Route::DeleteMemory,
    ),
    entry(
        "POST",
        "/agents/:name/memory/:id/share",
        AgentMail,
        Route::ShareMemory,
    ),
    entry(
        "DELETE",
        "/agents/:name/memory/:id/share/:with",
        AgentMail,
        Route::ShareMemory,
    ),
    entry(
        "GET",
        "/agents/:name/memory/:id",
        AgentMail,
        Route::ReadMemory,
    ),
    entry(
        "PUT",
        "/agents/:name/memory/:id",
        AgentMail,
        Route::WriteMemory,
    ),
    entry(
        "DELETE",
        "/agents/:name/memory/:id",
        AgentMail,
        Route::DeleteMemory,
    ),
    entry(
        "GET",
        "/agents/:name/memory/:id/history",
        AgentMail,
        Route::ReadMemory,
    ),
    entry(
        "POST",
        "/agents/:name/memory/:id/public",
        AgentMail,
        Route::WriteMemory,
    ),
    entry(
        "DELETE",
        "/agents/:name/memory/:id/public",
        AgentMail,
        Route::WriteMemory,
    ),
    entry("POST", "/agents/:name/blobs", AgentMail, Route::WriteMemory),
    entry("GET", "/agents/:name/blobs", AgentMail, Route::ReadMemory),
    entry(
        "GET",
        "/agents/:name/blobs/:id",
        AgentMail,
        Route::ReadMemory,
    ),
    entry(
        "DELETE",
        "/agents/:name/blobs/:id",
        AgentMail,
        Route::DeleteMemory,
    ),
    entry(
        "POST",
        "/agents/:name/blobs/:upload/complete",
        AgentMail,
        Route::WriteMemory,
    ),
    entry(
        "PUT",
        "/agents/:name/blobs/:upload/:part",
        AgentMail,
        Route::PutBlobPart,
    ),
    entry("POST", "/agents/:name/tasks", AgentMail, Route::Tasks),
    entry("GET", "/agents/:name/tasks", AgentMail, Route::Tasks),
    entry("GET", "/agents/:name/tasks/:id", AgentMail, Route::Tasks),
    entry(
        "POST",
        "/agents/:name/tasks/:id/respond",
        AgentMail,
        Route::Tasks,
    ),
    entry(
        "POST",
        "/agents/:name/tasks/:id/input",
        AgentMail,
        Route::Tasks,
    ),
    entry(
        "POST",
        "/agents/:name/tasks/:id/cancel",
        AgentMail,
        Route::Tasks,
    ),
    entry("POST", "/agents/:name/handoffs", AgentMail, Route::Tasks),
    entry("POST", "/agents/:name/webhooks", AgentMail, Route::Webhooks),
    entry("GET", "/agents/:name/webhooks", AgentMail, Route::Webhooks),
    entry(
        "GET",
        "/agents/:name/webhooks/:id",
        AgentMail,
        Route::Webhooks,
    ),
    entry(
        "DELETE",
        "/agents/:name/webhooks/:id",
        AgentMail,
        Route::Webhooks,
    ),
    entry(
        "POST",
        "/agents/:name/webhooks/:id/:deed",
        AgentMail,
        Route::Webhooks,
    ),
    entry(
        "GET",
        "/agents/:name/dead-letters",
        AgentMail,
        Route::DeadLetters,
    ),
    entry(
        "POST",
        "/agents/:name/dead-letters/:deed",
        AgentMail,
        Route::DeadLetters,
    ),
    entry(
        "POST",
        "/agents/:name/dead-letters/:id/:deed",
        AgentMail,
        Route::DeadLetters,
    ),
    entry("GET", "/admin/dead-letters", Admin, Route::AdminDeadLetters),
    entry(
        "POST",
        "/admin/dead-letters/:deed",
        Admin,
        Route::AdminDeadLetters,
    ),
    entry(
        "POST",
        "/admin/dead-letters/:id/:deed",
        Admin,
        Route::AdminDeadLetters,
    ),
    entry("GET", "/admin/tasks", Admin, Route::AdminTasks),
    entry(
        "GET",
        "/agents/:name/groups/settings",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "PUT",
        "/agents/:name/groups/settings",
        AgentMail,
        Route::Groups,
    ),
    entry("POST", "/agents/:name/groups", AgentMail, Route::Groups),
    entry("GET", "/agents/:name/groups", AgentMail, Route::Groups),
    entry("GET", "/agents/:name/groups/:id", AgentMail, Route::Groups),
    entry(
        "PATCH",
        "/agents/:name/groups/:id",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "DELETE",
        "/agents/:name/groups/:id",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "POST",
        "/agents/:name/groups/:id/members",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "DELETE",
        "/agents/:name/groups/:id/members/:who",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "POST",
        "/agents/:name/groups/:id/accept",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "POST",
        "/agents/:name/groups/:id/decline",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "POST",
        "/agents/:name/groups/:id/leave",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "POST",
        "/agents/:name/groups/:id/rekey",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "POST",
        "/agents/:name/groups/:id/messages",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "GET",
        "/agents/:name/groups/:id/messages",
        AgentMail,
        Route::Groups,
    ),
    entry("GET", "/agents/:name/topics", AgentMail, Route::Groups),
    entry(
        "PUT",
        "/agents/:name/topics/:topic",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "DELETE",
        "/agents/:name/topics/:topic",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "DELETE",
        "/agents/:name/topics/:topic/listeners/:who",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "GET",
        "/agents/:name/subscriptions",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "POST",
        "/agents/:name/subscriptions",
        AgentMail,
        Route::Groups,
    ),
    entry(
        "DELETE",
        "/agents/:name/subscriptions/:id",
        AgentMail,
        Route::Groups,
    ),
    entry("POST", "/agents/:name/broadcasts", AgentMail, Route::Groups),
    entry(
        "GET",
        "/agents/:name/broadcasts/:id",
        AgentMail,
        Route::Groups,
    ),
    entry("POST", "/agents/:name/filters", AgentMail, Route::Filters),
    entry("GET", "/agents/:name/filters", AgentMail, Route::Filters),
    entry(
        "GET",
        "/agents/:name/filters/:id",
        AgentMail,
        Route::Filters,
    ),
    entry(
        "PUT",
        "/agents/:name/filters/:id",
        AgentMail,
        Route::Filters,
    ),
    entry(
        "DELETE",
        "/agents/:name/filters/:id",
        AgentMail,
        Route::Filters,
    ),
    entry("GET", "/agents/:name/wakes", AgentMail, Route::Filters),
    entry("GET", "/reputation", Admin, Route::Reputation),
    entry("GET", "/reputation/:address", Admin, Route::Reputation),
    entry(
        "GET",
        "/agents/:name/reputation",
        AdminOrAgent,
        Route::Reputation,
    ),
    entry(
        "GET",
        "/agents/:name/reputation/:address",
        AdminOrAgent,
        Route::Reputation,
    ),
    entry(
        "GET",
        "/agents/:name/endorsements",
        AgentMail,
        Route::Endorsements,
    ),
    entry(
        "POST",
        "/agents/:name/endorsements",
        AgentMail,
        Route::Endorsements,
    ),
    entry(
        "DELETE",
        "/agents/:name/endorsements/:rkey",
        AgentMail,
        Route::Endorsements,
    ),
    entry("GET", "/agents/:name/blocks", AgentMail, Route::Blocks),
    entry("GET", "/agents/:name/blocks/:who", AgentMail, Route::Blocks),
    entry("PUT", "/agents/:name/blocks/:who", AgentMail, Route::Blocks),
    entry(
        "DELETE",
        "/agents/:name/blocks/:who",
        AgentMail,
        Route::Blocks,
    ),
    entry(
        "GET",
        "/a2a/:agent/.well-known/agent-card.json",
        Public,
        Route::A2a,
    ),
    entry("POST", "/a2a/:agent", A2aCaller, Route::A2a),
    entry("POST", "/agents/:name/a2a/keys", AgentMail, Route::Tasks),
    entry("POST", "/agents/:name/a2a/agents", AgentMail, Route::Tasks),
    entry("GET", "/agents/:name/a2a/agents", AgentMail, Route::Tasks),
    entry(
        "DELETE",
        "/agents/:name/a2a/agents/:id",
        AgentMail,
        Route::Tasks,
    ),
    entry("GET", "/agents/:name/a2a/keys", AgentMail, Route::Tasks),
    entry(
        "DELETE",
        "/agents/:name/a2a/keys/:id",
        AgentMail,
        Route::Tasks,
    ),
    entry(
        "POST",
        "/agents/:name/ticket",
        AgentMail,
        Route::AgentTicket,
    ),
    entry("GET", "/agents/:name/ws", AgentSocket, Route::AgentSocket),
    entry("POST", "/admin/federation/peers", Admin, Route::AddPeer),
    entry("GET", "/admin/federation/peers", Admin, Route::ListPeers),
    entry(
        "GET",
        "/admin/federation/peers/:did",
        Admin,
        Route::ShowPeer,
    ),
    entry(
        "POST",
        "/admin/federation/peers/:did/probe",
        Admin,
        Route::ProbePeer,
    ),
    entry(
        "DELETE",
        "/admin/federation/peers/:did/penalty",
        Admin,
        Route::PardonPeer,
    ),
    entry("GET", "/admin/federation/test", Admin, Route::TestPeer),
    entry(
        "PATCH",
        "/admin/federation/peers/:did",
        Admin,
        Route::ChangePeer,
    ),
    entry(
        "DELETE",
        "/admin/federation/peers/:did",
        Admin,
        Route::RemovePeer,
    ),
    entry(
        "POST",
        "/admin/federation/peers/:did/approve",
        Admin,
        Route::ApprovePeer,
    ),
    entry(
        "DELETE",
        "/admin/federation/peers/:did/approve",
        Admin,
        Route::DisapprovePeer,
    ),
    entry(
        "POST",
        "/admin/federation/peers/:did/preview",
        Admin,
        Route::PreviewPeer,
    ),
    entry(
        "GET",
        "/admin/federation/requests",
        Admin,
        Route::ListRequests,
    ),
    entry(
        "POST",
        "/admin/federation/requests/:did/accept",
        Admin,
        Route::AcceptRequest,
    ),
    entry(
        "POST",
        "/admin/federation/requests/:did/reject",
        Admin,
        Route::RejectRequest,
    ),
    entry("POST", "/admin/federation/bans", Admin, Route::AddBan),
    entry("GET", "/admin/federation/bans", Admin, Route::ListBans),
    entry(
        "DELETE",
        "/admin/federation/bans/:subject",
        Admin,
        Route::LiftBan,
    ),
    entry(
        "POST",
        "/admin/federation/peers/:did/unfreeze",
        Admin,
        Route::UnfreezePeer,
    ),
    entry(
        "GET",
        "/admin/federation/quarantine",
        Admin,
        Route::ListQuarantine,
    ),
    entry(
        "POST",
        "/admin/federation/quarantine/:item/release",
        Admin,
        Route::ReleaseQuarantined,
    ),
    entry(
        "POST",
        "/admin/federation/quarantine/:item/refuse",
        Admin,
        Route::RefuseQuarantined,
    ),
];
