//! Endorsing, here and across the mesh, and what becomes of it.

use super::*;

#[test]
fn a_word_is_private_until_its_author_says_otherwise_and_one_for_each_subject_and_skill() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (author, subject) = (
        alpha.create_agent("discreet"),
        alpha.create_agent("praised"),
    );
    let body = json!({ "subject": "praised", "skill": "maps", "score": 70, "text": "well drawn" });
    let first = endorse(&author, &body).expect(201);
    assert_eq!(first["level"], "private");
    assert_eq!(first["record"]["subject"], subject.did.as_str());
    assert_eq!(first["record"]["host"], alpha.host.as_str());
    assert_eq!(reputation(alpha, &subject.address)["total"], 0);
    // The same subject and skill: another version of the same record.
    let body = json!({ "subject": subject.address, "skill": "maps", "score": 90, "public": true });
    let second = endorse(&author, &body).expect(200);
    assert_eq!(
        (&second["id"], &second["level"]),
        (&first["id"], &json!("public"))
    );
    let told = wait_for_voices(alpha, &subject.address, 1);
    assert_eq!((&told["score"], &told["total"]), (&json!(63), &json!(1)));
    assert_eq!(told["skills"][0]["skill"], "maps");
    let word = &told["contributions"][0];
    assert_eq!(word["author"], author.address.as_str());
    assert_eq!(
        (&word["weight"], &word["score"]),
        (&json!(1_000_000), &json!(90))
    );
    assert_eq!(word["cid"], second["cid"]);
    // Saying it again without `public` takes it back, at once.
    let body = json!({ "subject": "praised", "skill": "maps", "score": 91 });
    assert_eq!(endorse(&author, &body).expect(200)["level"], "private");
    assert_eq!(reputation(alpha, &subject.address)["voices"], 0);
    let listed = author.client.get(&author.path("/endorsements")).expect(200);
    assert_eq!(listed["records"].as_array().unwrap().len(), 1);
    // What anybody asks of what is public, they get: the agent of itself, and of others, too.
    let _ = praise(&author, "praised", 80);
    let _ = wait_for_voices(alpha, &subject.address, 1);
    let own = subject.client.get(&subject.path("/reputation")).expect(200);
    assert_eq!(own["voices"], 1);
    let list = alpha.admin.get("/reputation").expect(200);
    let heads = list["reputations"].as_array().unwrap();
    let head = heads.iter().find(|one| one["name"] == "praised").unwrap();
    assert_eq!(
        (&head["score"], &head["voices"]),
        (&own["score"], &json!(1))
    );
    let silent = heads.iter().find(|one| one["name"] == "discreet").unwrap();
    assert!(silent.get("score").is_none(), "{silent}");
    alpha
        .public
        .get("/reputation")
        .refused(401, "UNAUTHENTICATED");
    let other = author.client.get(&subject.path("/reputation"));
    other.refused(403, "FORBIDDEN");
}

#[test]
fn what_is_no_endorsement_is_refused_with_its_own_code() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let author = alpha.create_agent("careless");
    let subject = alpha.create_agent("mistaken");
    let refused = |body: Value, status, code| endorse(&author, &body).refused(status, code);
    let whom = subject.did.as_str();
    refused(
        json!({ "subject": author.did, "score": 100 }),
        400,
        "ENDORSEMENT_SELF",
    );
    refused(
        json!({ "subject": "careless", "score": 100 }),
        400,
        "ENDORSEMENT_SELF",
    );
    refused(
        json!({ "subject": "!", "score": 1 }),
        400,
        "MALFORMED_ADDRESS",
    );
    refused(json!({ "subject": whom }), 400, "INVALID_BODY");
    refused(
        json!({ "subject": whom, "score": 5, "createdAt": "2999-01-01T00:00:00Z" }),
        400,
        "ENDORSEMENT_UNTIMELY",
    );
    for score in [json!(101), json!(-1), json!("high"), json!(0.5)] {
        let reply = endorse(&author, &json!({ "subject": whom, "score": score }));
        assert_eq!(reply.status, 400, "{}", reply.excerpt());
    }
    let text = "x".repeat(4_000);
    let evidence: Vec<_> = (0..64)
        .map(|_| {
            json!({ "uri": format!("at://{whom}/agent.memory.note/{}", "y".repeat(60)),
            "cid": "bafyreihputwxomwbzctmwsxk5mv7o2gytldtbrisodjnzbbos2jgypso5e" })
        })
        .collect();
    let big = |public: bool| json!({ "subject": whom, "score": 50, "text": text, "evidence": evidence, "public": public });
    // Nothing of it is kept public that cannot be told.
    refused(big(true), 413, "ENDORSEMENT_TOO_LARGE");
    let kept = author.client.get(&author.path("/endorsements")).expect(200);
    assert_eq!(kept["records"][0]["level"], "private");
    let _ = endorse(&author, &big(false)).expect(200);
    let says = json!({ "collection": "agent.trust.endorsement",
        "content": { "kind": "json", "data": {} } });
    author
        .client
        .post(&author.path("/announce"), &says)
        .refused(400, "INVALID_COLLECTION");
    let gone = author.client.delete(&author.path("/endorsements/nothing"));
    gone.refused(404, "UNKNOWN_RECORD");
    assert_eq!(reputation(alpha, &subject.address)["total"], 0);
}

#[test]
fn a_word_crosses_the_mesh_counts_by_how_its_network_stands_and_is_withdrawn_everywhere() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let author = alpha.create_agent("far-author");
    let subject = beta.create_agent("far-subject");
    let word = praise(&author, &subject.address, 100);
    let there = wait_for_voices(beta, &subject.address, 1);
    assert_eq!(there["contributions"][0]["peer"], alpha.host.as_str());
    assert_eq!(
        (&there["weight"], &there["score"]),
        (&json!(250_000), &json!(56))
    );
    let here = reputation(alpha, &subject.address);
    assert_eq!(
        (&here["weight"], &here["score"]),
        (&json!(1_000_000), &json!(67))
    );
    // In both timelines: a record where it is, an announcement where it came to.
    let path = format!("/timeline?author={}&collections=agent.trust.*", author.did);
    let shown = page(&beta.public, &path);
    assert_eq!(
        (&shown[0]["kind"], &shown[0]["cid"]),
        (&json!("announcement"), &word["cid"])
    );
    wait_for("the record in its own timeline", PATIENCE, || {
        let shown = page(&alpha.public, &path);
        (shown.len() == 1 && shown[0]["kind"] == "record" && shown[0]["cid"] == word["cid"])
            .then_some(())
    });
    heard_as_policy_says(beta, alpha, &subject);
    // An agent that blocks its author does not hear it; the admin does.
    let asks = beta.create_agent("asks");
    let own = |agent: &Agent| {
        let path = agent.path(&format!("/reputation/{}", subject.address));
        agent.client.get(&path).expect(200)
    };
    assert_eq!(own(&asks)["voices"], 1);
    let headers = [("content-type", "application/json")];
    let block = asks.path(&format!("/blocks/{}", author.address));
    let _ = asks.client.send("PUT", &block, &headers, b"{}").expect(200);
    assert_eq!(silences(&own(&asks)), ["blocked"]);
    assert_eq!(reputation(beta, &subject.address)["voices"], 1);
    // Another word takes its place; deleting it ends it there too.
    let again = praise(&author, &subject.address, 0);
    wait_for("the later word", RECOVERY, || {
        let told = reputation(beta, &subject.address);
        (told["contributions"][0]["cid"] == again["cid"]).then_some(())
    });
    let told = reputation(beta, &subject.address);
    assert_eq!((&told["total"], &told["score"]), (&json!(1), &json!(44)));
    let rkey = again["id"].as_str().unwrap().split(':').nth(1).unwrap();
    let path_of = author.path(&format!("/endorsements/{rkey}"));
    assert_eq!(author.client.delete(&path_of).status, 204);
    assert_eq!(reputation(alpha, &subject.address)["total"], 0);
    let _ = wait_for_voices(beta, &subject.address, 0);
    assert_eq!(page(&beta.public, &path), [Value::Null; 0]);
    assert_eq!(page(&alpha.public, &path), [Value::Null; 0]);
}

/// The level is looked at whenever it is asked: stricter lists are heard more, closed ones not at all.
fn heard_as_policy_says(beta: &Network, alpha: &Network, subject: &Agent) {
    let listed = json!({ "trustLevel": "allowlist", "allowCollections": ["agent.trust.*"] });
    patch_peer(beta, &alpha.did, &listed);
    assert_eq!(reputation(beta, &subject.address)["weight"], 500_000);
    patch_peer(
        beta,
        &alpha.did,
        &json!({ "allowCollections": ["agent.public.*"] }),
    );
    assert_eq!(
        silences(&reputation(beta, &subject.address)),
        ["not-let-in"]
    );
    let back = json!({ "trustLevel": "open", "allowCollections": null });
    patch_peer(beta, &alpha.did, &back);
    patch_peer(beta, &alpha.did, &json!({ "allowInbound": false }));
    assert_eq!(
        silences(&reputation(beta, &subject.address)),
        ["not-let-in"]
    );
    patch_peer(beta, &alpha.did, &json!({ "allowInbound": true }));
}

#[test]
fn words_weigh_less_as_they_age_and_nothing_once_their_time_is_over() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let subject = beta.create_agent("aging");
    let said = |name: &str, at: &str, until: Option<&str>| {
        let author = alpha.create_agent(name);
        let body = json!({ "subject": subject.address, "score": 100, "public": true,
            "createdAt": at, "validTo": until });
        endorse(&author, &body).expect(201)
    };
    let days_ago = |days: u64| {
        let now = entente_e2e::fake_peer::now();
        entente_lexicon::Timestamp(now.0 - days * 86_400_000).to_string()
    };
    let _ = said("long-ago", &days_ago(90), None);
    let _ = said("over", &days_ago(1), Some(&days_ago(0)));
    let _ = said("faded", &days_ago(8_000), None);
    let told = wait_for("all to arrive", RECOVERY, || {
        let told = reputation(beta, &subject.address);
        (told["total"] == 3).then_some(told)
    });
    assert_eq!(told["voices"], 1);
    let weight = told["weight"].as_u64().unwrap();
    // Half of a quarter, less what passed since: ninety days take half of it.
    assert!((124_000..=125_000).contains(&weight), "{weight}");
    let mut why = silences(&told);
    why.sort_by_key(Value::to_string);
    assert_eq!(why, [json!("expired"), json!("faded"), Value::Null]);
}

#[test]
fn whoever_is_praised_by_everybody_is_still_not_let_in() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let star = alpha.create_agent("star");
    let reader = beta.create_agent("choosy");
    for n in 0..4 {
        let fan = beta.create_agent(&format!("fan-{n}"));
        let _ = praise(&fan, &star.address, 100);
    }
    let told = wait_for_voices(beta, &star.address, 4);
    assert!(told["score"].as_u64().unwrap() >= 80, "{told}");
    // All agents of one network are heard as three.
    assert_eq!(told["weight"], 3_000_000);
    let strict = json!({ "trustLevel": "allowlist", "allowAgents": [],
        "allowCollections": ["agent.trust.*"] });
    patch_peer(beta, &alpha.did, &strict);
    let id = star.send(&reader.address, "let me in, I am famous");
    let status = star.wait_for_status(&id, "refused");
    let receipts = status["receipts"].as_array().unwrap();
    assert_eq!(receipts.last().unwrap()["code"], "NOT_ALLOWED", "{status}");
    assert!(reputation(beta, &star.address)["score"].as_u64().unwrap() >= 80);
    let open = json!({ "trustLevel": "open", "allowCollections": null });
    patch_peer(beta, &alpha.did, &open);
}

#[test]
fn the_words_of_a_banned_network_and_of_a_deleted_agent_do_not_count() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let subject = beta.create_agent("judged");
    let near = beta.create_agent("short-lived");
    let far = alpha.create_agent("outcast");
    let _ = praise(&near, "judged", 100);
    let _ = praise(&far, &subject.address, 100);
    let _ = wait_for_voices(beta, &subject.address, 2);
    let ban = json!({ "did": alpha.did, "reason": "a test" });
    let _ = beta.admin.post("/admin/federation/bans", &ban).expect(201);
    let told = reputation(beta, &subject.address);
    assert_eq!(told["voices"], 1);
    assert!(silences(&told).contains(&json!("banned")), "{told}");
    assert_eq!(beta.admin.delete("/agents/short-lived").status, 204);
    let _ = wait_for_voices(beta, &subject.address, 0);
    let lift = format!("/admin/federation/bans/{}", alpha.did);
    assert_eq!(beta.admin.delete(&lift).status, 204);
    assert_eq!(reputation(beta, &subject.address)["voices"], 1);
    let _ = beta.wait_for_peer(&alpha.did, "up");
}
