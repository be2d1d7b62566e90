//! The firehose as programs use it: filters, several fan-out objects, subscribers that are too slow,
//! networks that die.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests report by panicking"
)]

mod filters;
mod slow;

use std::sync::OnceLock;

use entente_e2e::{Agent, Deployment, Network, Options, Socket};
use serde_json::{Value, json};

fn deployment() -> &'static Deployment {
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    SHARED.get_or_init(|| Options::default().networks(1).bare().start())
}

fn alpha() -> &'static Network {
    deployment().network("alpha")
}

/// Opens a network's firehose for an observer; the stream is there when this returns.
fn watch(network: &Network, query: &str) -> Socket {
    let url = format!("{}/relay/firehose{query}", network.url);
    let mut socket = Socket::open(&url, &[]).expect("an upgrade");
    let first = socket.next("the status");
    assert_eq!(first["type"], "status");
    socket
}

/// As [`watch`], as the admin.
fn watch_as_admin(network: &Network, query: &str) -> Socket {
    let url = format!("{}/relay/firehose{query}", network.url);
    let ticket = network.admin.post("/admin/ticket", &json!({})).expect(200);
    let protocol = format!("entente.ticket.{}", ticket["ticket"].as_str().unwrap());
    let headers = [("sec-websocket-protocol", protocol.as_str())];
    Socket::open(&url, &headers).expect("an upgrade")
}

fn announce(agent: &Agent, collection: &str) -> String {
    let content = json!({ "kind": "text", "text": collection });
    let body = json!({ "collection": collection, "content": content });
    let answer = agent.client.post(&agent.path("/announce"), &body);
    answer.expect(202)["id"].as_str().unwrap().to_owned()
}

/// Hears events until that of one announcement; returns what each was about.
fn labels_until(socket: &mut Socket, id: &str) -> Vec<Value> {
    let mut labels = Vec::new();
    let _ = socket.until("the last announcement", |frame| {
        if frame["type"] == "event" {
            labels.push(frame["event"]["label"].clone());
        }
        frame["event"]["message"] == id
    });
    labels
}

#[test]
fn viewers_of_several_objects_see_the_same_and_the_last_is_turned_away() {
    let deployment = Options::default()
        .networks(1)
        .bare()
        .var("FIREHOSE_SEATS", "2")
        .start();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("busy");
    let mut viewers: Vec<Socket> = (0..28)
        .map(|_| watch(alpha, "?kinds=announcement.*"))
        .collect();
    let url = format!("{}/relay/firehose", alpha.url);
    let refused = Socket::open(&url, &[]);
    assert!(matches!(refused, Err((503, _))), "no place is left");
    // Admins have places of their own.
    let _admin = watch_as_admin(alpha, "");

    let ids: Vec<String> = (0..20)
        .map(|n| announce(&agent, &format!("many.n{n}")))
        .collect();
    let all: Vec<Value> = (0..20).map(|n| json!(format!("many.n{n}"))).collect();
    for viewer in &mut viewers {
        assert_eq!(labels_until(viewer, &ids[19]), all);
    }
    // Who leaves makes room.
    for viewer in &mut viewers[..2] {
        viewer.close(1000);
    }
    entente_e2e::wait::wait_until("a place to be free", entente_e2e::wait::PATIENCE, || {
        Socket::open(&url, &[]).is_ok()
    });
}

#[test]
fn a_cursor_misses_nothing_whoever_dies() {
    let deployment = Options::default().networks(1).bare().start();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("steady");
    let mut viewer = watch(alpha, "?collections=steady.*");
    let first = announce(&agent, "steady.first");
    let seen = viewer.until("the first", |frame| {
        frame["event"]["message"] == first.as_str()
    });
    let cursor = seen["cursor"].as_str().unwrap();
    let unseen = announce(&agent, "steady.unseen");
    // It is shown once the relay has committed it.
    let _ = viewer.until("the second", |frame| {
        frame["event"]["message"] == unseen.as_str()
    });
    deployment.kill9("alpha");
    deployment.restart("alpha");
    let mut back = watch(alpha, &format!("?collections=steady.*&cursor={cursor}"));
    let last = announce(&agent, "steady.last");
    assert_eq!(
        labels_until(&mut back, &last),
        ["steady.unseen", "steady.last"]
    );
}

#[test]
fn fan_out_objects_that_lost_their_memory_go_on() {
    let deployment = Options::default()
        .networks(1)
        .bare()
        .var("PANIC_ROUTE", "1")
        .start();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("survivor");
    let mut viewer = watch(alpha, "?collections=survivor.*");
    let first = announce(&agent, "survivor.first");
    assert_eq!(labels_until(&mut viewer, &first), ["survivor.first"]);
    // The panic kills the instance that all objects share; sockets outlive it.
    let headers = [("x-entente-panic", "worker")];
    let reply = alpha.admin.send("GET", "/agents", &headers, b"");
    reply.refused(500, "PANIC");
    let last = announce(&agent, "survivor.last");
    assert_eq!(labels_until(&mut viewer, &last), ["survivor.last"]);
}
