//! Forgetting takes everything along that was made of a record, and says what it cannot reach.

use entente_e2e::wait::{PATIENCE, wait_for};

use super::sharing::{has, share};
use super::*;

fn forget(agent: &Agent, record: &Value) -> Reply {
    agent
        .client
        .post(&path(agent, record, "/forget"), &json!({}))
}

fn from(records: &[&Value]) -> Value {
    let one = |record: &&Value| json!({ "cid": record["cid"] });
    json!({ "derivedFrom": records.iter().map(one).collect::<Vec<_>>() })
}

fn steps<'a>(report: &'a Value, list: &str, step: &str) -> Vec<&'a Value> {
    let all = report[list].as_array().unwrap().iter();
    all.filter(|one| one["step"] == step).collect()
}

/// A secret, who was given it, and what was made of it.
struct Affair {
    owner: Agent,
    readers: [Agent; 2],
    secret: Value,
    alone: Value,
    both: Value,
}

/// Shares a secret with an agent elsewhere, and with one here that loses its share again; derives one
/// record from it alone, which is published, and one from another record, too.
fn affair(deployment: &Deployment, name: &str) -> Affair {
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent(name);
    let reader = beta.create_agent(&format!("{name}-reader"));
    let former = alpha.create_agent(&format!("{name}-former"));
    let text = "the vault opens with heliotrope";
    let secret = remember(&owner, "note", text, json!({}));
    for agent in [&reader, &former] {
        let _ = share(&owner, &secret, &agent.address).expect(200);
        has(agent, &secret, 1);
    }
    let unshare = path(&owner, &secret, &format!("/share/{}", former.did));
    let _ = owner.client.delete(&unshare).expect(200);
    has(&reader, &secret, 2);
    let other = remember(&owner, "note", "the vault is in the cellar", json!({}));
    // Made of an older version of it: that counts as well.
    let alone = remember(&owner, "fact", "heliotrope opens it", from(&[&secret]));
    let sources = from(&[&secret, &other]);
    let both = remember(&owner, "fact", "cellar, heliotrope", sources);
    let published = path(&owner, &alone, "/public");
    let _ = owner.client.post(&published, &json!({})).expect(200);
    Affair {
        owner,
        readers: [reader, former],
        secret,
        alone,
        both,
    }
}

#[test]
fn what_was_made_of_a_record_goes_with_it_and_the_report_says_who_may_still_have_it() {
    let (_turn, deployment) = deployment();
    let affair = affair(deployment, "forgetter");
    let (owner, secret, alone) = (&affair.owner, &affair.secret, &affair.alone);
    let report = forget(owner, secret).expect(200);
    deployment.kill9("alpha");
    deployment.restart("alpha");
    let mut forgotten = report["forgotten"].as_array().unwrap().clone();
    forgotten.sort_by_key(ToString::to_string);
    let mut expected = [secret["id"].clone(), alone["id"].clone()];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(forgotten, expected);
    assert_eq!(report["stale"], json!([affair.both["id"]]));
    let unreached = report["unreached"].as_array().unwrap();
    let is = |kind: &str, key: &str, value: &str| {
        let is = |one: &&Value| one["kind"] == kind && one[key] == value;
        assert!(unreached.iter().any(|one| is(&one)), "{kind} in {report}");
    };
    for reader in &affair.readers {
        is("recipient", "who", &reader.address);
    }
    is("public", "of", alone["id"].as_str().unwrap());
    let platform = |one: &Value| one["kind"] == "platform" && one["until"].is_string();
    assert!(unreached.iter().any(platform), "{report}");
    assert!(
        unreached.iter().any(|one| one["kind"] == "backups"),
        "{report}"
    );
    assert_eq!(steps(&report, "done", "keys").len(), 2);
    assert_eq!(steps(&report, "open", "notify").len(), 2, "asked by mail");
    assert_eq!(steps(&report, "open", "replica").len(), 2, "told by a hint");
    // It is gone from everything of the owner's, though it was killed right after.
    for gone in [secret, alone] {
        get(owner, gone).refused(404, "UNKNOWN_RECORD");
        let history = path(owner, gone, "/history");
        owner.client.get(&history).refused(404, "UNKNOWN_RECORD");
    }
    assert_eq!(find(owner, "q=heliotrope&state=all"), Vec::<String>::new());
    let again = wait_for("the report to be complete", PATIENCE, || {
        let report = forget(owner, secret).expect(200);
        (report["open"] == json!([])).then_some(report)
    });
    assert_eq!(steps(&again, "done", "notify").len(), 2);
    assert_eq!(
        again["unreached"], report["unreached"],
        "having asked proves nothing"
    );
}

#[test]
fn readers_heed_it_and_what_became_stale_is_written_anew() {
    let (_turn, deployment) = deployment();
    let affair = affair(deployment, "regretter");
    let (owner, both) = (&affair.owner, &affair.both);
    let _ = forget(owner, &affair.secret).expect(200);
    for reader in &affair.readers {
        let uri = affair.secret["uri"].as_str().unwrap();
        let path = reader.path(&format!("/memory/shared?uri={uri}"));
        wait_for("the share to be withdrawn", PATIENCE, || {
            (reader.client.get(&path).status == 404).then_some(())
        });
    }
    let stale = get(owner, both).expect(200);
    assert!(stale["staleSince"].is_string(), "{stale}");
    let listed = list(owner, "&state=stale", 5);
    assert_eq!(texts(&listed), ["cellar, heliotrope"]);
    // Published or not, it is not found before it is written anew; then what it said is destroyed.
    let public = path(owner, both, "/public");
    let _ = owner.client.post(&public, &json!({})).expect(200);
    let _ = owner.client.delete(&public).expect(200);
    assert_eq!(find(owner, "q=heliotrope&state=all"), Vec::<String>::new());
    let body = json!({ "record": { "$type": "agent.memory.fact", "text": "the cellar" } });
    let anew = put(owner, &path(owner, both, ""), &body).expect(200);
    assert_eq!(anew["staleSince"], Value::Null);
    assert_eq!(find(owner, "q=cellar").len(), 2);
    let history = owner.client.get(&path(owner, both, "/history")).expect(200);
    assert_eq!(
        texts(history["versions"].as_array().unwrap()),
        ["the cellar"]
    );
}

#[test]
fn an_extracted_summary_is_made_anew_of_what_is_left() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("extractor");
    let whale = remember(&agent, "episode", "A whale was seen.", json!({}));
    let gull = remember(&agent, "episode", "A gull was fed.", json!({}));
    let eager = json!({ "compaction": { "minAgeDays": 0, "maxStrength": 100, "minEpisodes": 2 } });
    let _ = put(&agent, &agent.path("/memory/settings"), &eager).expect(200);
    let compaction = agent.path("/memory/compaction");
    let made = agent.client.post(&compaction, &json!({})).expect(200);
    let summary = made["summaries"][0].clone();
    assert_eq!(
        summary["record"]["text"],
        "A whale was seen.\nA gull was fed."
    );
    let report = forget(&agent, &whale).expect(200);
    assert_eq!(report["rebuilt"], json!([summary["id"]]));
    assert_eq!(report["stale"], json!([]));
    let anew = get(&agent, &summary).expect(200);
    assert_eq!(anew["record"]["text"], "A gull was fed.");
    assert_eq!(anew["record"]["covers"], json!([{ "$link": gull["cid"] }]));
    let history = agent
        .client
        .get(&path(&agent, &summary, "/history"))
        .expect(200);
    assert_eq!(history["versions"].as_array().unwrap().len(), 1);
    assert_eq!(find(&agent, "q=whale&state=all"), Vec::<String>::new());
    let report = forget(&agent, &gull).expect(200);
    assert_eq!(report["forgotten"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(list(&agent, "&state=all", 50).len(), 0);
}

#[test]
fn only_the_owner_forgets_and_only_what_there_is() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("keeper");
    let other = alpha.create_agent("meddler");
    let record = store(&agent, &note("mine"));
    let path = path(&agent, &record, "/forget");
    other
        .client
        .post(&path, &json!({}))
        .refused(403, "FORBIDDEN");
    let nothing = agent.path("/memory/agent.memory.note:3jzfcijpj2z2a/forget");
    agent
        .client
        .post(&nothing, &json!({}))
        .refused(404, "UNKNOWN_RECORD");
    let changed =
        format!("{path}?swapRecord=bafyreib7ytgp45cyodrmbwm7ohzq74dfnsg63va4yhl5hu3wwdn6nbpc6m");
    agent
        .client
        .post(&changed, &json!({}))
        .refused(409, "RECORD_CHANGED");
    assert_eq!(get(&agent, &record).expect(200), record);
}
