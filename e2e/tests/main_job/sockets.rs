//! Sockets: an agent's own.

use std::collections::BTreeSet;

use entente_e2e::Socket;
use serde_json::json;

use super::{deployment, text};

#[test]
fn a_socket_carries_many_sends_in_flight_receipts_and_arrivals() {
    const COUNT: usize = 120;
    let deployment = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let sender = alpha.create_agent("flood-sender");
    let recipient = beta.create_agent("flood-recipient");
    let bearer = |token: &str| format!("Bearer {token}");
    let url = format!("{}{}", beta.url, recipient.path("/ws"));
    let mut far =
        Socket::open(&url, &[("authorization", &bearer(&recipient.token))]).expect("an upgrade");
    let url = format!("{}{}", alpha.url, sender.path("/ws"));
    let mut near =
        Socket::open(&url, &[("authorization", &bearer(&sender.token))]).expect("an upgrade");
    for number in 0..COUNT {
        let body = text(&format!("number {number}"));
        near.send(&json!({ "type": "send", "ref": number.to_string(), "to": recipient.address, "content": body }));
    }
    let (mut ids, mut delivered) = (vec![None; COUNT], BTreeSet::new());
    while delivered.len() < COUNT {
        let notice = near.next("a notice for the sender");
        match notice["type"].as_str().unwrap() {
            "accepted" => {
                let number: usize = notice["ref"].as_str().unwrap().parse().unwrap();
                let id = notice["id"].as_str().unwrap().to_owned();
                assert!(
                    ids[number].replace(id).is_none(),
                    "accepted twice: {notice}"
                );
            }
            "receipt" => {
                if notice["status"] == "delivered" {
                    assert_eq!(notice["by"], beta.did);
                    assert!(
                        delivered.insert(notice["id"].as_str().unwrap().to_owned()),
                        "{notice}"
                    );
                }
            }
            other => panic!("unexpected {other}: {notice}"),
        }
    }
    assert_eq!(delivered, ids.into_iter().map(Option::unwrap).collect());
    for number in 0..COUNT {
        let message = far.until("a message", |notice| notice["type"] == "message");
        assert_eq!(
            message["content"],
            text(&format!("number {number}")),
            "in order"
        );
        assert_eq!(message["from"], sender.address);
    }
    assert_eq!(recipient.inbox(50).len(), COUNT);
}

#[test]
fn a_socket_says_what_is_wrong_with_a_send_and_goes_on() {
    let alpha = deployment().network("alpha");
    let sender = alpha.create_agent("socket-errors");
    let url = format!("{}{}", alpha.url, sender.path("/ws"));
    let mut socket = Socket::open(
        &url,
        &[("authorization", &format!("Bearer {}", sender.token))],
    )
    .expect("an upgrade");
    socket.send(
        &json!({ "type": "send", "ref": "a", "to": "x@network.example.com", "content": text("?") }),
    );
    let error = socket.next("an error");
    assert_eq!(
        (&error["type"], &error["ref"]),
        (&json!("error"), &json!("a"))
    );
    assert_eq!(error["error"]["code"], "NOT_PEERED");
    socket.send_text("{ no json");
    assert_eq!(socket.next("an error")["type"], "error");
    socket.send(&json!({ "type": "dance", "ref": "b" }));
    assert_eq!(socket.next("an error")["type"], "error");
    socket
        .send(&json!({ "type": "send", "ref": "c", "to": "alice", "content": text("still here") }));
    assert_eq!(
        socket.until("an answer", |notice| notice["ref"] == "c")["type"],
        "accepted"
    );
}

#[test]
fn a_ticket_opens_one_socket_once() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("ticket-holder");
    let other = alpha.create_agent("ticket-other");
    let ticket = agent
        .client
        .post(&agent.path("/ticket"), &json!({}))
        .expect(200);
    let protocol = format!("entente.ticket.{}", ticket["ticket"].as_str().unwrap());
    let open = |who: &str| {
        let url = format!("{}/agents/{who}/ws", alpha.url);
        Socket::open(&url, &[("sec-websocket-protocol", &protocol)])
    };
    assert!(
        matches!(open(&other.name), Err((401 | 403, _))),
        "another agent's ticket"
    );
    let mut socket = open(&agent.name).expect("an upgrade");
    assert_eq!(socket.protocol.as_deref(), Some(protocol.as_str()));
    socket
        .send(&json!({ "type": "send", "ref": "1", "to": "alice", "content": text("by ticket") }));
    assert_eq!(
        socket.until("an answer", |notice| notice["ref"] == "1")["type"],
        "accepted"
    );
    assert!(
        matches!(open(&agent.name), Err((401 | 403, _))),
        "a ticket used twice"
    );
}
