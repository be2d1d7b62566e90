//! Where webhooks do not go, and who does not get at them.

use super::*;

#[test]
fn urls_that_lead_inside_are_refused_by_name() {
    let (_turn, shared) = shared();
    let agent = shared.agent("inside");
    let alpha = shared.deployment.network("alpha");
    for url in [
        "http://127.0.0.1:80/in".to_owned(),
        "https://127.0.0.1/in".to_owned(),
        "https://2130706433/in".to_owned(),
        "https://[::1]/in".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://metadata.internal/in".to_owned(),
        "https://intranet/in".to_owned(),
        "http://hooks.example/in".to_owned(),
        "https://hooks.example:8443/in".to_owned(),
        "https://user:word@hooks.example/in".to_owned(),
        "https://hooks.example/in#part".to_owned(),
        "file:///etc/passwd".to_owned(),
        format!("{}/agents/create", alpha.url),
        format!("https://{}/admin/keys", alpha.host),
        "http://localhost:1/in".to_owned(),
        "not a URL".to_owned(),
    ] {
        let body = json!({ "url": url });
        let reply = agent.client.post(&agent.path("/webhooks"), &body);
        reply.refused(422, "WEBHOOK_URL");
    }
    for events in [json!([]), json!(["webhook.test"])] {
        let body = json!({ "url": "https://hooks.example/in", "events": events });
        let reply = agent.client.post(&agent.path("/webhooks"), &body);
        reply.refused(400, "INVALID_EVENTS");
    }
    let body = json!({ "url": "https://hooks.example/in", "events": ["everything"] });
    let reply = agent.client.post(&agent.path("/webhooks"), &body);
    reply.refused(400, "INVALID_BODY");
}

#[test]
fn a_redirect_is_not_followed() {
    let (_turn, shared) = shared();
    let (writer, reader) = (shared.agent("led-writer"), shared.agent("led-reader"));
    let hook = shared.hook(&reader, "/led", json!({}));
    let elsewhere = shared.receiver.url("/elsewhere");
    shared.receiver.answer(Answer::Redirect(elsewhere));
    let _ = writer.send(&reader.address, "led away");
    let view = wait_for_hook(&reader, &hook, "a dead letter", |view| view["dead"] == 1);
    assert_ne!(view["deliveries"][0]["status"], 200);
    assert_eq!(shared.receiver.at("/led").len(), ATTEMPTS);
    assert!(shared.receiver.at("/elsewhere").is_empty());
}

#[test]
fn nobody_gets_at_the_webhooks_of_another_agent() {
    let (_turn, shared) = shared();
    let (one, other) = (shared.agent("own-one"), shared.agent("own-other"));
    let hook = shared.hook(&one, "/own", json!({}));
    let of_one = one.path("/webhooks");
    other.client.get(&of_one).refused(403, "FORBIDDEN");
    let forged = other.path(&format!("/webhooks/{hook}"));
    other.client.get(&forged).refused(404, "UNKNOWN_WEBHOOK");
    other.client.delete(&forged).refused(404, "UNKNOWN_WEBHOOK");
    act(&other, &hook, "test", &json!({})).refused(404, "UNKNOWN_WEBHOOK");
    let alpha = shared.deployment.network("alpha");
    alpha.admin.get(&of_one).refused(403, "ADMIN_READ_OFF");
    alpha.public.get(&of_one).refused(401, "UNAUTHENTICATED");
    for number in 1..10 {
        shared.hook(&one, &format!("/own-{number}"), json!({}));
    }
    let body = json!({ "url": shared.receiver.url("/one-too-many") });
    let reply = one.client.post(&of_one, &body);
    reply.refused(409, "TOO_MANY_WEBHOOKS");
}
