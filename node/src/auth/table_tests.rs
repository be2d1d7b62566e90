//! Who may call what.

use super::find::{Found, look_up};
use super::route::Route;
use super::table::Access::{A2aCaller, Admin, AgentMail, AgentSocket, Public};
use super::table::{Access, TABLE};

fn route(method: &str, path: &str) -> Option<(Route, Access, Vec<String>)> {
    match look_up(method, path) {
        Found::Route(entry, parameters) => Some((entry.route, entry.access, parameters)),
        Found::OtherMethods(_) | Found::Nothing => None,
    }
}

#[test]
fn only_the_routes_named_public_are_public() {
    let public: Vec<&str> = TABLE
        .iter()
        .filter(|entry| entry.access == Public)
        .map(|entry| entry.path)
        .collect();
    assert_eq!(
        public,
        [
            "/",
            "/health",
            "/dashboard",
            "/dashboard/*",
            "/.well-known/agent-network.json",
            "/.well-known/agent-network-log.jsonl",
            "/.well-known/did.json",
            "/relay/agents/:agent",
            "/relay/agents/:agent/log",
            "/relay/agents/:agent/prekey",
            "/relay/agents/:agent/blobs/:cid",
            "/lexicons",
            "/lexicons/:nsid",
            "/relay/peers",
            "/relay/firehose",
            "/relay/announcements",
            "/timeline",
            "/agents/:name/timeline",
            "/relay/federation",
            "/agents/:name/did.json",
            "/xrpc/com.atproto.sync.getRepo",
            "/xrpc/com.atproto.sync.getBlob",
            "/xrpc/com.atproto.sync.getBlocks",
            "/xrpc/com.atproto.sync.getRepoStatus",
            "/xrpc/com.atproto.sync.listRepos",
            "/xrpc/com.atproto.sync.subscribeRepos",
            "/xrpc/com.atproto.sync.getLatestCommit",
            "/xrpc/com.atproto.sync.getRecord",
            "/xrpc/com.atproto.repo.getRecord",
            "/xrpc/com.atproto.repo.listRecords",
            "/a2a/:agent/.well-known/agent-card.json",
        ]
    );
    assert!(
        TABLE
            .iter()
            .filter(|entry| entry.access == Public)
            .all(|entry| entry.method == "GET")
    );
}

#[test]
fn calls_by_a2a_alone_are_judged_by_the_agent_that_is_called() {
    for entry in TABLE {
        let is_call = entry.path == "/a2a/:agent";
        assert_eq!(entry.access == A2aCaller, is_call, "{}", entry.path);
    }
}

#[test]
fn everything_under_admin_needs_the_admin() {
    for entry in TABLE.iter().filter(|e| e.path.starts_with("/admin")) {
        assert_eq!(entry.access, Admin, "{}", entry.path);
    }
}

#[test]
fn every_route_that_shows_mail_is_an_agents_own() {
    for path in [
        "/messages",
        "/messages/x",
        "/inbox",
        "/inbox/read",
        "/inbox/x/read",
        "/ticket",
    ] {
        for method in ["GET", "POST"] {
            if let Some((_, access, _)) = route(method, &format!("/agents/alice{path}")) {
                assert_eq!(access, AgentMail, "{method} {path}");
            }
        }
    }
    assert_eq!(route("GET", "/agents/a/ws").unwrap().1, AgentSocket);
}

#[test]
fn parameters_are_decoded_and_never_empty() {
    let did = "/admin/federation/peers/did%3acf%3Aabc";
    assert_eq!(route("GET", did).unwrap().2, ["did:cf:abc"]);
    assert_eq!(route("GET", "/agents/"), None);
    assert_eq!(route("GET", "/agents/%zz"), None);
    assert_eq!(route("GET", "/agents/%ff"), None);
    assert_eq!(route("GET", "/agents/%f"), None);
}

#[test]
fn creating_is_no_name_of_an_agent() {
    assert_eq!(
        route("POST", "/agents/create").unwrap().0,
        Route::CreateAgent
    );
    assert_eq!(route("POST", "/agents").unwrap().0, Route::CreateAgent);
    assert_eq!(
        look_up("PUT", "/agents/create"),
        Found::OtherMethods(vec!["POST", "GET", "PATCH", "DELETE"])
    );
}

#[test]
fn what_is_not_listed_is_not_there() {
    for path in [
        "/admin",
        "/agents/a/b",
        "/relay",
        "//",
        "/health/",
        "/x",
        "",
    ] {
        assert_eq!(look_up("GET", path), Found::Nothing, "{path}");
    }
    assert_eq!(look_up("POST", "/health"), Found::OtherMethods(vec!["GET"]));
    assert_eq!(route("HEAD", "/health").unwrap().0, Route::Health);
    assert!(route("GET", "/dashboard/pkg/app.wasm").is_some());
}
