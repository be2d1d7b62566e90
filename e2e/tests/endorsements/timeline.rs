//! The public timeline of a network and of its agents.

use std::collections::BTreeSet;
use std::fs;

use data_encoding::{BASE32_NOPAD, BASE64};
use entente_e2e::deployment::copy_folder;
use entente_trust::announcement::Announcement;
use entente_trust::crypto::hash::sha256;
use entente_trust::crypto::sign::VerifyingKey;

use super::*;

#[test]
fn what_is_made_public_is_shown_newest_first_and_nothing_else_ever_is() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("shown");
    let ids = ["one", "two", "three"].map(|text| note(&agent, text));
    let _secret = note(&agent, "secret");
    assert_eq!(texts(alpha, &agent), [""; 0]);
    // In the order of publishing, not of writing.
    for id in [&ids[2], &ids[0]] {
        let _ = publish(&agent, id);
    }
    wait_for_texts(alpha, &agent, &["one", "three"]);
    let entry = page(&alpha.public, &agent.path("/timeline"))[0].clone();
    assert_eq!(entry["kind"], "record");
    assert_eq!(entry["did"], agent.did.as_str());
    assert_eq!(entry["address"], agent.address.as_str());
    assert_eq!(entry["network"], alpha.did.as_str());
    assert_eq!(entry["collection"], "agent.memory.note");
    // Its reader verifies it: the proof has the block that the CID names.
    let proof = alpha.public.get(entry["proof"].as_str().unwrap());
    assert_eq!(proof.status, 200);
    let cid = entry["cid"].as_str().unwrap();
    let digest = BASE32_NOPAD
        .decode(cid[1..].to_uppercase().as_bytes())
        .unwrap()[4..]
        .to_vec();
    let blocks = (0..proof.body.len())
        .flat_map(|from| (from + 1..=(from + 300).min(proof.body.len())).map(move |to| (from, to)));
    assert!(
        blocks
            .into_iter()
            .any(|(from, to)| sha256(&[&proof.body[from..to]]) == digest[..]),
        "the record is in the proof"
    );
    // The same in the network's, for whoever asks: nobody sees more than anybody.
    let all = format!("/timeline?author={}", agent.did);
    let public = page(&alpha.public, &all);
    assert_eq!(public.len(), 2);
    assert_eq!(page(&alpha.admin, &all), public);
    assert_eq!(page(&agent.client, &all), public);
    let by_name = page(&alpha.public, "/timeline?author=shown");
    assert_eq!(by_name, public);
}

#[test]
fn what_is_taken_back_or_deleted_is_gone_when_that_is_answered() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("fickle");
    let ids = ["kept", "withdrawn", "deleted", "forgotten"].map(|text| note(&agent, text));
    for id in &ids {
        let _ = publish(&agent, id);
    }
    wait_for_texts(
        alpha,
        &agent,
        &["forgotten", "deleted", "withdrawn", "kept"],
    );
    let path = |id: &str, rest: &str| agent.path(&format!("/memory/{id}{rest}"));
    // No waiting: what was answered holds.
    let _ = agent.client.delete(&path(&ids[1], "/public")).expect(200);
    assert_eq!(texts(alpha, &agent), ["forgotten", "deleted", "kept"]);
    assert_eq!(agent.client.delete(&path(&ids[2], "")).status, 204);
    assert_eq!(texts(alpha, &agent), ["forgotten", "kept"]);
    let _ = agent
        .client
        .post(&path(&ids[3], "/forget"), &json!({}))
        .expect(200);
    assert_eq!(texts(alpha, &agent), ["kept"]);
    // Taken back before it was ever shown: what is on its way stays hidden too.
    for round in 0..5 {
        let id = note(&agent, &format!("never shown {round}"));
        let _ = publish(&agent, &id);
        let _ = agent.client.delete(&path(&id, "/public")).expect(200);
        assert_eq!(texts(alpha, &agent), ["kept"]);
    }
    let after = note(&agent, "after");
    let _ = publish(&agent, &after);
    wait_for("the newest alone to join", PATIENCE, || {
        let now = texts(alpha, &agent);
        assert!(now == ["kept"] || now == ["after", "kept"], "{now:?}");
        (now.len() == 2).then_some(())
    });
    // And what was hidden can be shown again.
    let _ = publish(&agent, &ids[1]);
    wait_for_texts(alpha, &agent, &["withdrawn", "after", "kept"]);
    // Everything goes with its agent.
    assert_eq!(alpha.admin.delete("/agents/fickle").status, 204);
    let gone = page(&alpha.public, &format!("/timeline?author={}", agent.did));
    assert_eq!(gone, [Value::Null; 0]);
}

#[test]
fn pages_stay_right_while_entries_come_and_go() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("paged");
    let ids: Vec<_> = (0..12).map(|n| note(&agent, &format!("n{n}"))).collect();
    for id in &ids {
        let _ = publish(&agent, id);
    }
    wait_for("all to be shown", PATIENCE, || {
        (texts(alpha, &agent).len() == 12).then_some(())
    });
    let first = alpha
        .public
        .get(&agent.path("/timeline?limit=5"))
        .expect(200);
    let mut seen: Vec<_> = first["entries"].as_array().unwrap().clone();
    let cursor = first["cursor"].as_str().unwrap();
    // The cursor's own record goes, one of the next page too, and new ones come.
    let path = |n: usize| agent.path(&format!("/memory/{}/public", ids[n]));
    let _ = agent.client.delete(&path(7)).expect(200);
    let _ = agent.client.delete(&path(5)).expect(200);
    for n in 0..3 {
        let late = note(&agent, &format!("late{n}"));
        let _ = publish(&agent, &late);
    }
    wait_for("the late ones to be shown", PATIENCE, || {
        texts(alpha, &agent)
            .contains(&"late2".to_owned())
            .then_some(())
    });
    let mut cursor = Some(cursor.to_owned());
    while let Some(at) = cursor {
        let page = alpha
            .public
            .get(&agent.path(&format!("/timeline?limit=5&cursor={at}")))
            .expect(200);
        seen.extend(page["entries"].as_array().unwrap().clone());
        cursor = page["cursor"].as_str().map(str::to_owned);
    }
    let seen: Vec<_> = seen
        .iter()
        .map(|entry| entry["record"]["text"].as_str().unwrap())
        .collect();
    let expected = [
        "n11", "n10", "n9", "n8", "n7", "n6", "n4", "n3", "n2", "n1", "n0",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn filters_are_those_of_the_firehose_and_of_time() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("filtered");
    let fact = json!({ "record": { "$type": "agent.memory.fact", "text": "a fact" } });
    let fact = agent.client.post(&agent.path("/memory"), &fact).expect(201);
    let _ = publish(&agent, &note(&agent, "a note"));
    let _ = publish(&agent, fact["id"].as_str().unwrap());
    let says = json!({ "collection": "agent.public.filtered", "content": { "kind": "text", "text": "hear" } });
    let _ = agent
        .client
        .post(&agent.path("/announce"), &says)
        .expect(202);
    let shown = |query: &str| -> Vec<String> {
        let entries = page(&alpha.public, &agent.path(&format!("/timeline?{query}")));
        let names = entries.iter().map(|entry| entry["collection"].as_str());
        names.map(|name| name.unwrap().to_owned()).collect()
    };
    wait_for("all three", PATIENCE, || {
        (shown("").len() == 3).then_some(())
    });
    assert_eq!(
        shown("collections=agent.memory.note"),
        ["agent.memory.note"]
    );
    let mut memory = shown("collections=agent.memory.*");
    memory.sort();
    assert_eq!(memory, ["agent.memory.fact", "agent.memory.note"]);
    assert_eq!(shown("collections=agent.memory"), [""; 0]);
    assert_eq!(
        shown("collections=agent.public.*,agent.memory.fact").len(),
        2
    );
    let all = page(&alpha.public, &agent.path("/timeline"));
    let at = all[1]["at"].as_str().unwrap();
    assert!(!shown(&format!("until={at}")).contains(&shown("")[1]));
    assert!(shown(&format!("since={at}")).len() >= 2);
    for (query, code) in [
        ("limit=0", "INVALID_LIMIT"),
        ("cursor=nonsense", "INVALID_CURSOR"),
        ("collections=a*", "INVALID_COLLECTION"),
        ("since=yesterday", "INVALID_INSTANT"),
    ] {
        let reply = alpha.public.get(&format!("/timeline?{query}"));
        reply.refused(400, code);
    }
    let author = alpha.public.get("/timeline?author=NOBODY!");
    author.refused(400, "INVALID_AUTHOR");
    let nobody = alpha.public.get("/agents/nobody-here/timeline");
    nobody.refused(404, "UNKNOWN_AGENT");
}

#[test]
fn a_peers_announcements_are_shown_as_such_with_what_their_author_signed() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let agent = beta.create_agent("from-afar");
    let says = json!({ "collection": "agent.public.afar", "content": { "kind": "text", "text": "hello" } });
    let _ = agent
        .client
        .post(&agent.path("/announce"), &says)
        .expect(202);
    let path = format!("/timeline?author={}", agent.address);
    let entry = wait_for("the announcement", PATIENCE, || {
        page(&alpha.public, &path).first().cloned()
    });
    assert_eq!(entry["kind"], "announcement");
    assert_eq!(entry["peer"], beta.host.as_str());
    assert_eq!(entry["network"], beta.did.as_str());
    assert_eq!(entry["content"]["text"], "hello");
    let signed = BASE64
        .decode(entry["signed"].as_str().unwrap().as_bytes())
        .unwrap();
    let card = beta.public.get(&format!("/relay/agents/{}", agent.did));
    let key = card.expect(200)["keys"]["signing"]
        .as_str()
        .unwrap()
        .to_owned();
    let key = VerifyingKey::from_multikey(&key).unwrap();
    let found = Announcement::decode(&signed).unwrap();
    found.verify(&key).unwrap();
    // At home it is nobody's but its own.
    let home = page(&beta.public, &path);
    assert!(home[0].get("peer").is_none(), "{home:?}");
}

#[test]
fn the_index_is_put_together_again_when_it_was_lost_or_its_network_was_killed() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("survivor");
    let (d1, copy) = (
        deployment.persist("alpha").join("d1"),
        deployment.state().join("d1-of-survivor"),
    );
    deployment.kill9("alpha");
    copy_folder(&d1, &copy);
    deployment.restart("alpha");
    let ids: Vec<_> = (0..4).map(|n| note(&agent, &format!("s{n}"))).collect();
    for id in &ids[..3] {
        let _ = publish(&agent, id);
    }
    // It dies as soon as it has answered.
    deployment.kill9("alpha");
    deployment.restart("alpha");
    wait_for_texts(alpha, &agent, &["s2", "s1", "s0"]);
    let id = &ids[1];
    let _ = agent
        .client
        .delete(&agent.path(&format!("/memory/{id}/public")))
        .expect(200);
    deployment.kill9("alpha");
    deployment.restart("alpha");
    assert_eq!(texts(alpha, &agent), ["s2", "s0"]);
    // The database is put back to before anything of this.
    deployment.kill9("alpha");
    fs::remove_dir_all(&d1).unwrap();
    copy_folder(&copy, &d1);
    deployment.restart("alpha");
    assert_eq!(texts(alpha, &agent), [""; 0]);
    let _ = publish(&agent, &ids[3]);
    wait_for_texts(alpha, &agent, &["s3", "s2", "s0"]);
    let seen: BTreeSet<_> = page(&alpha.public, "/timeline?limit=100")
        .iter()
        .map(|entry| format!("{} {}", entry["uri"], entry["signed"]))
        .collect();
    assert_eq!(seen.len(), page(&alpha.public, "/timeline?limit=100").len());
}
