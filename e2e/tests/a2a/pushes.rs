//! Push notifications: sent to where the caller wants them, whatever dies in between, and nowhere
//! inside.

use entente_e2e::receiver::Answer;

use super::*;

fn said(posted: &entente_e2e::receiver::Posted) -> String {
    let event = posted.value();
    let state = event.pointer("/statusUpdate/status/state");
    let state = state.and_then(Value::as_str);
    state.unwrap_or("artifact").replace("TASK_STATE_", "")
}

#[test]
fn every_step_is_pushed_with_what_the_receiver_knows_us_by() {
    let (_turn, shared) = shared();
    let agent = callee(&shared.deployment, "pushing", "keys");
    let mut sdk = opened(&shared.deployment, &agent);
    shared.receiver.answer(Answer::Status(200));
    let mut params = at_once("m1", "push it", &json!({}));
    params["configuration"]["taskPushNotificationConfig"] = json!({ "id": "first",
        "url": shared.receiver.url("/pushing/first"), "token": "known" });
    let task = sdk.call("it", "SendMessage", &params);
    let id = &task["id"];
    let second = json!({ "taskId": id, "url": shared.receiver.url("/pushing/second"),
        "authentication": { "scheme": "Bearer", "credentials": "secret" } });
    let made = sdk.call("it", "CreateTaskPushNotificationConfig", &second);
    assert_eq!((&made["taskId"], &made["id"]), (id, id));

    respond(&agent, id, "working", None);
    let first = shared.receiver.wait_for("/pushing/first", 1);
    assert_eq!(said(&first[0]), "WORKING");
    assert_eq!(first[0].header("x-a2a-notification-token"), "known");
    assert_eq!(first[0].header("content-type"), "application/a2a+json");
    assert_eq!(first[0].value()["statusUpdate"]["taskId"], *id);
    let other = shared.receiver.wait_for("/pushing/second", 1);
    assert_eq!(other[0].header("authorization"), "Bearer secret");

    // Places are listed, shown and deleted.
    let listed = sdk.call(
        "it",
        "ListTaskPushNotificationConfigs",
        &json!({ "taskId": id }),
    );
    assert_eq!(listed["configs"].as_array().unwrap().len(), 2);
    let one = json!({ "taskId": id, "id": "first" });
    let shown = sdk.call("it", "GetTaskPushNotificationConfig", &one);
    assert_eq!(shown["token"], "known");
    let gone = json!({ "taskId": id, "id": id });
    let _ = sdk.call("it", "DeleteTaskPushNotificationConfig", &gone);
    let unknown = sdk.attempt("it", "GetTaskPushNotificationConfig", &gone);
    assert!(unknown.is_err());
    respond(&agent, id, "completed", Some("done"));
    let mut told: Vec<_> = shared
        .receiver
        .wait_for("/pushing/first", 3)
        .iter()
        .map(said)
        .collect();
    told.sort();
    assert_eq!(told, ["COMPLETED", "WORKING", "artifact"]);
    assert_eq!(shared.receiver.at("/pushing/second").len(), 1);
}

#[test]
fn a_push_outlives_the_network_and_a_receiver_that_fails() {
    let (_turn, shared) = shared();
    let agent = callee(&shared.deployment, "stubborn", "keys");
    let mut sdk = opened(&shared.deployment, &agent);
    shared.receiver.answer(Answer::Status(503));
    let mut params = at_once("m1", "whatever happens", &json!({}));
    params["configuration"]["taskPushNotificationConfig"] =
        json!({ "url": shared.receiver.url("/stubborn") });
    let task = sdk.call("it", "SendMessage", &params);
    respond(&agent, &task["id"], "completed", None);
    shared.deployment.kill9("alpha");
    shared.receiver.answer(Answer::Status(200));
    let before = shared.receiver.at("/stubborn").len();
    shared.deployment.restart("alpha");
    let told = shared.receiver.wait_for("/stubborn", before + 1);
    assert_eq!(said(told.last().unwrap()), "COMPLETED");
}

#[test]
fn nothing_is_pushed_inside_or_for_another_callers_task() {
    let (_turn, shared) = shared();
    let agent = callee(&shared.deployment, "careful", "keys");
    let mut sdk = opened(&shared.deployment, &agent);
    let url = base(&shared.deployment, &agent);
    let second = key(&agent, "second");
    sdk.open("second", &url, second["key"].as_str());
    let task = sdk.call("it", "SendMessage", &at_once("m1", "x", &json!({})));
    let id = &task["id"];
    let own = shared.deployment.network("alpha").public.url();
    for inside in [
        "http://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://metadata.internal/",
        "https://intranet/",
        "https://user:word@hooks.example/",
        "http://hooks.example/",
        own,
        "nonsense",
    ] {
        let place = json!({ "taskId": id, "url": inside });
        let refused = sdk.attempt("it", "CreateTaskPushNotificationConfig", &place);
        assert!(refused.is_err(), "{inside}");
        // And with a message: then there is no task either.
        let mut params = at_once("m2", "y", &json!({}));
        params["configuration"]["taskPushNotificationConfig"] = json!({ "url": inside });
        assert!(
            sdk.attempt("it", "SendMessage", &params).is_err(),
            "{inside}"
        );
    }
    let place = json!({ "taskId": id, "url": shared.receiver.url("/careful"),
        "token": "a\r\nx-injected: 1" });
    assert!(
        sdk.attempt("it", "CreateTaskPushNotificationConfig", &place)
            .is_err()
    );
    let tasks = agent.client.get(&agent.path("/tasks")).expect(200);
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 1);

    let place = json!({ "taskId": id, "id": "a", "url": shared.receiver.url("/careful") });
    let _ = sdk.call("it", "CreateTaskPushNotificationConfig", &place);
    let one = json!({ "taskId": id, "id": "a" });
    for (method, params) in [
        ("CreateTaskPushNotificationConfig", &place),
        ("GetTaskPushNotificationConfig", &one),
        ("ListTaskPushNotificationConfigs", &one),
        ("DeleteTaskPushNotificationConfig", &one),
    ] {
        sdk.refused("second", method, params, "TaskNotFoundError");
    }
    for n in 0..7 {
        let place = json!({ "taskId": id, "id": format!("p{n}"), "url": place["url"] });
        let _ = sdk.call("it", "CreateTaskPushNotificationConfig", &place);
    }
    let ninth = json!({ "taskId": id, "id": "ninth", "url": place["url"] });
    sdk.refused(
        "it",
        "CreateTaskPushNotificationConfig",
        &ninth,
        "UnsupportedOperationError",
    );
}
