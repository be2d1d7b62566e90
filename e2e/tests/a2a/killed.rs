//! Nothing that was answered is lost when the network dies.

use super::*;

#[test]
fn tasks_outlive_the_network_and_a_message_that_is_sent_again_is_the_same() {
    let (_turn, deployment) = deployment();
    let agent = callee(deployment, "survivor", "keys");
    let mut sdk = opened(deployment, &agent);
    let params = at_once("m1", "whatever happens", &json!({ "contextId": "c" }));
    let task = sdk.call("it", "SendMessage", &params);
    let stream = sdk.stream("it", "SubscribeToTask", &json!({ "id": task["id"] }));
    sdk.told(&stream, "the task", |told| !told["events"][0].is_null());
    deployment.kill9("alpha");
    let cut = sdk.told(&stream, "the break", |told| told["ended"] == true);
    assert_eq!(cut["events"].as_array().unwrap().len(), 1);
    deployment.restart("alpha");
    let again = sdk.call("it", "SendMessage", &params);
    assert_eq!(again["id"], task["id"]);

    respond(&agent, &task["id"], "input-required", Some("how?"));
    deployment.kill9("alpha");
    deployment.restart("alpha");
    let answer = at_once("m2", "so", &json!({ "taskId": task["id"] }));
    let going = sdk.call("it", "SendMessage", &answer);
    assert_eq!(going["status"]["state"], "TASK_STATE_WORKING");
    deployment.kill9("alpha");
    deployment.restart("alpha");
    let going = sdk.call("it", "SendMessage", &answer);
    assert_eq!(going["history"].as_array().unwrap().len(), 3);
    let canceled = sdk.call("it", "CancelTask", &json!({ "id": task["id"] }));
    assert_eq!(canceled["status"]["state"], "TASK_STATE_CANCELED");
    deployment.kill9("alpha");
    deployment.restart("alpha");
    assert_eq!(show(&agent, &task["id"])["status"]["state"], "canceled");
    let all = sdk.call("it", "ListTasks", &json!({ "contextId": "c" }));
    assert_eq!(all["totalSize"], 1);
}
