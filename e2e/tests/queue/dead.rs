//! Dead letters: seen, offered again, thrown away.

use super::*;

fn listed(client: &entente_e2e::Client, path: &str, agent: &Agent) -> Vec<Value> {
    let list = client.get(path).expect(200);
    let all = list["deadLetters"].as_array().unwrap().iter();
    let ours = all.filter(|dead| dead["agent"].is_null() || dead["agent"] == agent.name);
    ours.cloned().collect()
}

fn admin_list(alpha: &Network, agent: &Agent) -> Vec<Value> {
    listed(&alpha.admin, "/admin/dead-letters?limit=100", agent)
}

fn wait_for_dead(alpha: &Network, agent: &Agent, count: usize) -> Vec<Value> {
    wait_for(&format!("{count} dead letters"), LONG, || {
        let dead = admin_list(alpha, agent);
        (dead.len() == count).then_some(dead)
    })
}

fn act(alpha: &Network, id: &str, deed: &str) -> Reply {
    let path = format!("/admin/dead-letters/{id}/{deed}");
    alpha.admin.post(&path, &json!({}))
}

/// Nor do foreign and malformed ones.
fn forged_ids_lead_nowhere(alpha: &Network, one: &Agent, ill: &Agent, first: &str) {
    for id in [
        "nonsense",
        "dead-one.nonsense",
        "dead-one.",
        "Ä.x",
        "nobody.aaaa",
    ] {
        let path = format!("/admin/dead-letters/{}/redrive", id.replace('Ä', "%C3%84"));
        assert_eq!(alpha.admin.post(&path, &json!({})).status, 404, "{id}");
    }
    act(alpha, &format!("{}.{first}", ill.name), "discard").refused(404, "UNKNOWN_DEAD_LETTER");
    let forged = ill.path(&format!("/dead-letters/{first}/discard"));
    ill.client
        .post(&forged, &json!({}))
        .refused(404, "UNKNOWN_DEAD_LETTER");
    one.client
        .get("/admin/dead-letters")
        .refused(403, "FORBIDDEN");
}

#[test]
fn what_cannot_be_delivered_is_a_dead_letter_until_it_is_redriven_or_thrown_away() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (one, ill) = (
        alpha.create_agent("dead-one"),
        alpha.create_agent("dead-other"),
    );
    let before = one.send(&ill.address, "before");
    one.wait_for_status(&before, "delivered");
    drill(alpha, "failing", &ill);
    let first = send_async(&one, &ill, "a secret that nobody lists");
    let second = send_async(&one, &ill, "another");
    for id in [&first, &second] {
        wait_for_status(&one, id, "dead");
        assert_eq!(steps(&one, id), ["accepted", "queued", "dead"]);
    }
    let status = one.status(&first);
    let last = status["receipts"].as_array().unwrap().last().unwrap();
    assert_eq!(last["code"], "RECIPIENT_FAILS", "{status}");

    let dead = wait_for_dead(alpha, &one, 2);
    assert!(!json!(dead).to_string().contains("secret"));
    assert_eq!(dead[0]["id"], format!("{}.{first}", one.name));
    assert_eq!(
        (&dead[0]["kind"], &dead[0]["to"]),
        (&json!("message"), &json!(ill.did))
    );
    assert_eq!(dead[0]["attempts"], ATTEMPTS);
    let own = listed(&one.client, &one.path("/dead-letters"), &one);
    assert_eq!(own.len(), 2);
    assert_eq!(own[0]["id"], first);
    let all = alpha.admin.get("/admin/dead-letters").expect(200);
    assert!(all["total"].as_u64().unwrap() >= 2);

    forged_ids_lead_nowhere(alpha, &one, &ill, &first);

    // One bounces, the other is delivered, and what is neither is not there any more.
    assert_eq!(
        act(alpha, dead[1]["id"].as_str().unwrap(), "discard").expect(200)["changed"],
        1
    );
    let bounced = one.wait_for_status(&second, "refused");
    let last = bounced["receipts"].as_array().unwrap().last().unwrap();
    assert_eq!(last["code"], "DISCARDED");
    drill(alpha, "well", &ill);
    assert_eq!(
        act(alpha, dead[0]["id"].as_str().unwrap(), "redrive").expect(200)["changed"],
        1
    );
    wait_for_status(&one, &first, "delivered");
    act(alpha, dead[0]["id"].as_str().unwrap(), "redrive").refused(404, "UNKNOWN_DEAD_LETTER");
    assert_eq!(texts(&ill, 10), ["before", "a secret that nobody lists"]);
    wait_for_dead(alpha, &one, 0);
}

#[test]
fn all_dead_letters_are_redriven_at_once_and_what_expires_is_one_no_more() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (one, ill) = (
        alpha.create_agent("all-one"),
        alpha.create_agent("all-other"),
    );
    let before = one.send(&ill.address, "before");
    one.wait_for_status(&before, "delivered");
    drill(alpha, "failing", &ill);
    let ids: Vec<_> = (0..4)
        .map(|n| send_async(&one, &ill, &format!("{n}")))
        .collect();
    for id in &ids {
        wait_for_status(&one, id, "dead");
    }
    wait_for_dead(alpha, &one, 4);
    drill(alpha, "well", &ill);
    let path = "/admin/dead-letters/redrive";
    let changed = alpha.admin.post(path, &json!({})).expect(200)["changed"].clone();
    assert!(changed.as_u64().unwrap() >= 4, "{changed}");
    for id in &ids {
        wait_for_status(&one, id, "delivered");
    }
    assert_eq!(texts(&ill, 10), ["before", "0", "1", "2", "3"]);

    drill(alpha, "failing", &ill);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let at = entente_lexicon::Timestamp(u64::try_from(now.unwrap().as_millis()).unwrap());
    let brief = one.send_body(&json!({
        "to": ill.address, "content": said("brief"), "async": true,
        "expiresAt": at.after(20_000).to_string(),
    }));
    wait_for_status(&one, &brief, "dead");
    wait_for_status(&one, &brief, "expired");
    wait_for_dead(alpha, &one, 0);
    drill(alpha, "well", &ill);
}

#[test]
fn a_message_that_its_recipient_cannot_bear_steps_aside_and_what_follows_arrives() {
    // With the attempts that a deployment has unless told: an hour of them.
    let options = Options::default().networks(1).bare();
    let deployment = options.var("PANIC_ROUTE", "1").start();
    let alpha = deployment.network("alpha");
    let (one, ill) = (
        alpha.create_agent("aside-one"),
        alpha.create_agent("aside-other"),
    );
    drill(alpha, "failing", &ill);
    let first = send_async(&one, &ill, "cannot be borne");
    wait_for_status(&one, &first, "dead");
    let dead = wait_for_dead(alpha, &one, 1);
    assert_eq!(dead[0]["attempts"], 5, "{dead:?}");
    drill(alpha, "well", &ill);
    let second = send_async(&one, &ill, "goes on");
    wait_for_status(&one, &second, "delivered");
    assert_eq!(ill.inbox(10).len(), 1);
}
