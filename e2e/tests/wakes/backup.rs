//! Filters go with the agent, and come back with it.

use std::fs;

use entente_e2e::wait::wait_until;

use super::*;

#[test]
fn a_deleted_agent_is_woken_by_nothing_and_one_that_is_put_back_is_again() {
    let deployment = Options::default().networks(1).bare().start();
    let alpha = deployment.network("alpha");
    let (speaker, sleeper) = (
        alpha.create_agent("back-speaker"),
        alpha.create_agent("back-sleeper"),
    );
    let id = leave(&sleeper, &json!({ "collections": ["agent.public.back"] }));
    let first = announce(&speaker, "agent.public.back");
    let _ = woken_by(&sleeper, &first);
    let made = alpha.admin.post("/admin/backups", &json!({})).expect(201);
    assert_eq!(made["state"], "whole", "{made}");
    assert_eq!(alpha.admin.delete(&sleeper.path("")).status, 204);
    let _ = announce(&speaker, "agent.public.back");
    let back = format!("/admin/agents/{}/restore", sleeper.name);
    let _ = alpha.admin.post(&back, &json!({})).expect(200);
    wait_for("the filter to be in force again", PATIENCE, || {
        let path = sleeper.path(&format!("/filters/{id}"));
        let view = sleeper.client.get(&path).expect(200);
        (view["state"] == "active").then_some(())
    });
    let last = announce(&speaker, "agent.public.back");
    assert_eq!(subjects(&woken_by(&sleeper, &last)), [first, last]);
}

#[test]
fn after_a_restore_of_the_network_agents_are_told_of_the_gap_and_woken_on() {
    let deployment = Options::default().networks(1).bare().start();
    let alpha = deployment.network("alpha");
    let (speaker, sleeper) = (
        alpha.create_agent("gap-speaker"),
        alpha.create_agent("gap-sleeper"),
    );
    let _ = leave(&sleeper, &json!({ "collections": ["agent.public.gap"] }));
    let first = announce(&speaker, "agent.public.gap");
    let _ = woken_by(&sleeper, &first);
    let made = alpha.admin.post("/admin/backups", &json!({})).expect(201);
    assert_eq!(made["state"], "whole", "{made}");
    let lost = announce(&speaker, "agent.public.gap");
    let cursor = woken_by(&sleeper, &lost).last().unwrap()["cursor"].clone();
    deployment.kill9("alpha");
    for part in ["do", "d1"] {
        fs::remove_dir_all(deployment.persist("alpha").join(part)).expect("its state was there");
    }
    let _running = deployment.run_misconfigured("alpha", &[]);
    let log = deployment.state().join("alpha").join("misconfigured.log");
    wait_until("the migrations", PATIENCE, || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("ready:"))
    });
    let _ = alpha
        .admin
        .post("/admin/backups/restore", &json!({}))
        .expect(200);
    wait_for("the filter to be in force again", PATIENCE, || {
        let list = sleeper.client.get(&sleeper.path("/filters")).expect(200);
        (list["filters"][0]["state"] == "active").then_some(())
    });
    let next = announce(&speaker, "agent.public.gap");
    let after = woken_by(&sleeper, &next);
    assert_eq!(subjects(&after), [first, "-".to_owned(), next.clone()]);
    assert_eq!(after[1]["gap"], true);
    // Who had read on before hears that it cannot go on from there.
    let page = page(&sleeper, cursor.as_str().unwrap(), 50);
    let found = subjects(page["wakes"].as_array().unwrap());
    assert_eq!(found, ["-".to_owned(), next]);
}
