//! The ways of mail inside a network.

use super::*;

#[test]
fn mail_goes_directly_unless_its_sender_does_not_want_to_wait() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (one, other) = (
        alpha.create_agent("way-one"),
        alpha.create_agent("way-other"),
    );
    let direct = one.send(&other.address, "directly");
    one.wait_for_status(&direct, "delivered");
    assert_eq!(steps(&one, &direct), ["accepted", "delivered"]);
    let queued = send_async(&one, &other, "by the queue");
    one.wait_for_status(&queued, "delivered");
    assert_eq!(steps(&one, &queued), ["accepted", "queued", "delivered"]);
    assert_eq!(texts(&other, 10), ["directly", "by the queue"]);
}

#[test]
fn what_follows_does_not_overtake_what_went_by_the_queue() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (one, other) = (
        alpha.create_agent("row-one"),
        alpha.create_agent("row-other"),
    );
    let mut all = Vec::new();
    let mut last = String::new();
    for number in 0..60 {
        let text = format!("{number}");
        last = if number % 3 == 0 {
            one.send(&other.address, &text)
        } else {
            send_async(&one, &other, &text)
        };
        all.push(text);
    }
    one.wait_for_status(&last, "delivered");
    assert_eq!(texts(&other, 100), all);
}

#[test]
fn mail_goes_directly_where_there_is_no_queue() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (one, other) = (
        alpha.create_agent("queueless-one"),
        alpha.create_agent("queueless-other"),
    );
    deployment.kill9("alpha");
    let without = deployment.run_misconfigured("alpha", &[("LOCAL_QUEUE", Some("none"))]);
    let sent: Vec<_> = (0..10)
        .map(|number| send_async(&one, &other, &number.to_string()))
        .collect();
    for id in &sent {
        wait_for_status(&one, id, "delivered");
    }
    let all: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(texts(&other, 100), all);
    drop(without);
    deployment.restart("alpha");
    let again = send_async(&one, &other, "by the queue");
    wait_for_status(&one, &again, "delivered");
}

#[test]
fn a_socket_may_send_without_waiting_and_the_same_key_is_the_same_message() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (one, other) = (
        alpha.create_agent("key-one"),
        alpha.create_agent("key-other"),
    );
    let body = json!({
        "to": other.address, "content": said("once"), "async": true, "idempotencyKey": "k",
    });
    let first = one.send_body(&body);
    assert_eq!(one.send_body(&body), first);
    one.wait_for_status(&first, "delivered");
    let url = format!("{}{}", alpha.url, one.path("/ws"));
    let bearer = format!("Bearer {}", one.token);
    let headers = [("authorization", bearer.as_str())];
    let mut socket = entente_e2e::Socket::open(&url, &headers).expect("an upgrade");
    let command = json!({
        "type": "send", "ref": "s", "to": other.address, "content": said("twice"), "async": true,
    });
    socket.send_text(&command.to_string());
    wait_for("the message of the socket", PATIENCE, || {
        (texts(&other, 10) == ["once", "twice"]).then_some(())
    });
}

#[test]
fn a_recipient_that_is_slow_keeps_nobody_waiting_and_gets_all_once_in_order() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (one, slow) = (
        alpha.create_agent("slow-one"),
        alpha.create_agent("slow-other"),
    );
    let before = one.send(&slow.address, "before");
    one.wait_for_status(&before, "delivered");
    drill(alpha, "deaf", &slow);
    let ids: Vec<_> = (0..5)
        .map(|n| one.send(&slow.address, &format!("{n}")))
        .collect();
    one.wait_for_status(&ids[0], "queued");
    // Others hear of nothing.
    let third = alpha.create_agent("slow-third");
    let meanwhile = one.send(&third.address, "meanwhile");
    one.wait_for_status(&meanwhile, "delivered");
    drill(alpha, "well", &slow);
    for id in &ids {
        wait_for_status(&one, id, "delivered");
    }
    assert_eq!(texts(&slow, 10), ["before", "0", "1", "2", "3", "4"]);
}
