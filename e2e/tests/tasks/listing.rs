//! Lists of tasks: an agent's own, and the admin's of all.

use super::*;

fn ids(page: &Value) -> Vec<String> {
    let tasks = page["tasks"].as_array().unwrap().iter();
    tasks
        .map(|task| task["id"].as_str().unwrap().to_owned())
        .collect()
}

fn list(agent: &Agent, query: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = agent.path(&format!("/tasks?limit=2{query}{cursor}"));
        let page = agent.client.get(&path).expect(200);
        all.extend(ids(&page));
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[test]
fn tasks_are_listed_newest_first_filtered_and_in_pages() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (requester, worker) = (alpha.create_agent("lister"), alpha.create_agent("listed"));
    let mut made = Vec::new();
    for number in 0..5 {
        let thread = json!({ "thread": format!("thread {}", number % 2) });
        let task = ask(
            &requester,
            &request(&worker.name, &format!("task {number}"), thread),
        );
        stands(&worker, &task, "submitted");
        made.push(task["id"].as_str().unwrap().to_owned());
    }
    made.reverse();
    assert_eq!(list(&requester, ""), made);
    assert_eq!(list(&worker, "&role=worker"), made);
    assert!(list(&worker, "&role=requester").is_empty());
    let of_thread = list(&requester, "&contextId=thread%201");
    assert_eq!(of_thread, [made[1].clone(), made[3].clone()]);
    let first = json!({ "id": made[0] });
    let _ = respond(&worker, &first, "working");
    assert_eq!(list(&worker, "&state=working,completed"), [made[0].clone()]);
    assert_eq!(list(&worker, &format!("&peer={}", requester.address)), made);
    for (query, code) in [
        ("state=done", "INVALID_STATE"),
        ("role=boss", "INVALID_ROLE"),
        ("limit=0", "INVALID_LIMIT"),
        ("limit=101", "INVALID_LIMIT"),
        ("cursor=x", "INVALID_CURSOR"),
        ("bodies=maybe", "INVALID_FLAG"),
    ] {
        let path = requester.path(&format!("/tasks?{query}"));
        requester.client.get(&path).refused(400, code);
    }
}

#[test]
fn the_admin_sees_all_tasks_and_what_was_said_only_where_it_may_read() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let closed = alpha.create_agent("closed-tasks");
    let open = alpha.create_agent_with("open-tasks", json!({ "adminRead": true }));
    let task = ask(&closed, &request(&open.name, "a secret errand", json!({})));
    stands(&open, &task, "submitted");
    let mut seen: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/admin/tasks?limit=3{cursor}");
        let page = alpha.admin.get(&path).expect(200);
        seen.extend(page["tasks"].as_array().unwrap().iter().cloned());
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let of = |name: &str| {
        let found = seen
            .iter()
            .find(|view| view["agent"] == name && view["id"] == task["id"]);
        found.unwrap_or_else(|| panic!("no task of {name}")).clone()
    };
    assert_eq!(
        of("open-tasks")["request"]["content"]["text"],
        "a secret errand"
    );
    assert_eq!(of("closed-tasks")["request"], Value::Null);
    assert!(!of("closed-tasks").to_string().contains("errand"));
    closed.client.get("/admin/tasks").refused(403, "FORBIDDEN");
    let path = closed.path("/tasks");
    alpha.admin.get(&path).refused(403, "ADMIN_READ_OFF");
    alpha
        .admin
        .get("/admin/tasks?cursor=x")
        .refused(400, "INVALID_CURSOR");
}
