//! The firehose: the same events for the admin and for observers, told differently.

use entente_e2e::{Agent, Network, Socket};
use serde_json::{Value, json};

use super::deployment;

/// Opens alpha's firehose for an observer, or for the admin by a ticket.
fn open(network: &Network, query: &str, as_admin: bool) -> Socket {
    let url = format!("{}/relay/firehose{query}", network.url);
    if !as_admin {
        return Socket::open(&url, &[]).expect("an upgrade");
    }
    let ticket = network.admin.post("/admin/ticket", &json!({})).expect(200);
    let protocol = format!("entente.ticket.{}", ticket["ticket"].as_str().unwrap());
    let headers = [("sec-websocket-protocol", protocol.as_str())];
    let socket = Socket::open(&url, &headers).expect("an upgrade");
    assert_eq!(socket.protocol.as_deref(), Some(protocol.as_str()));
    assert!(Socket::open(&url, &headers).is_err(), "a ticket used twice");
    socket
}

fn begins_with_the_status(socket: &mut Socket, viewer: &str) {
    let first = socket.next("the status");
    assert_eq!(first["type"], "status");
    assert_eq!(first["viewer"], viewer);
    assert_eq!(first["network"]["did"], deployment().network("alpha").did);
}

/// Hears frames until the delivery of the message `id`; returns all of them.
fn up_to_delivery(admin: &mut Socket, id: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    let _ = admin.until("the delivery", |frame| {
        seen.push(frame.clone());
        frame["event"]["kind"] == "message.delivered" && frame["event"]["message"] == id
    });
    seen
}

fn pair(name: &str) -> (Agent, Agent) {
    let (alpha, beta) = (deployment().network("alpha"), deployment().network("beta"));
    let sender = alpha.create_agent(&format!("{name}-sender"));
    (sender, beta.create_agent(&format!("{name}-recipient")))
}

#[test]
fn the_admin_sees_names_and_an_observer_none() {
    let alpha = deployment().network("alpha");
    let (sender, recipient) = pair("watched");
    let (mut admin, mut observer) = (open(alpha, "", true), open(alpha, "", false));
    begins_with_the_status(&mut admin, "admin");
    begins_with_the_status(&mut observer, "observer");
    let id = sender.send(&recipient.address, "watch this body");
    let seen = up_to_delivery(&mut admin, &id);
    let delivered = &seen[seen.len() - 1]["event"];
    assert_eq!(delivered["from"], sender.address);
    assert_eq!(delivered["to"], recipient.address);
    assert_eq!(delivered["peer"], deployment().network("beta").host);
    assert!(delivered["latencyMs"].is_u64());
    assert!(
        !seen
            .iter()
            .any(|frame| frame.to_string().contains("watch this body"))
    );

    let mut raw = String::new();
    let same = observer.until("the same event", |frame| {
        raw.push_str(&frame.to_string());
        frame["event"]["seq"] == delivered["seq"]
    });
    assert_eq!(same["event"]["kind"], "message.delivered");
    assert_ne!(same["event"]["from"], same["event"]["to"]);
    let (name, other) = (sender.name.as_str(), recipient.name.as_str());
    for secret in [
        name,
        other,
        &sender.did,
        &recipient.did,
        &id,
        "watch this body",
        "alice",
    ] {
        assert!(!raw.contains(secret), "an observer saw {secret}");
    }
}

#[test]
fn a_cursor_goes_on_where_a_viewer_left() {
    let alpha = deployment().network("alpha");
    let (sender, recipient) = pair("cursor");
    let mut admin = open(alpha, "", true);
    let first = sender.send(&recipient.address, "before the cursor");
    let seen = up_to_delivery(&mut admin, &first);
    let cursor = seen[seen.len() - 1]["cursor"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    drop(admin);
    let second = sender.send(&recipient.address, "after the cursor");
    sender.wait_for_status(&second, "delivered");
    let mut later = open(alpha, &format!("?cursor={cursor}"), true);
    let missed = up_to_delivery(&mut later, &second);
    assert!(
        missed
            .iter()
            .any(|frame| frame["event"]["message"] == second.as_str())
    );
    assert!(
        !missed
            .iter()
            .any(|frame| frame["event"]["message"] == first.as_str()),
        "told twice"
    );
}
