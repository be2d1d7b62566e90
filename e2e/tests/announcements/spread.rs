//! Where announcements go, and what everybody sees of them.

use super::*;

const NEWS: &str = "agent.public.news";
const GOSSIP: &str = "agent.public.gossip";

#[test]
fn a_peer_that_lists_collections_sees_only_those_and_a_private_one_nothing() {
    let (alpha, beta) = (deployment().network("alpha"), deployment().network("beta"));
    let agent = alpha.create_agent("town-crier");
    let list = json!({ "trustLevel": "allowlist", "allowCollections": ["agent.public.news"] });
    patch(beta, &alpha.did, &list);
    let gossip = announce(&agent, GOSSIP, "not for beta");
    let news = announce(&agent, NEWS, "for everybody");
    let seen = wait_for_announcement(beta, &news);
    assert_eq!(seen["from"], agent.address);
    assert_eq!(seen["name"], agent.name);
    assert_eq!(seen["network"], alpha.did);
    assert_eq!(seen["peer"], alpha.host);
    assert_eq!(seen["collection"], NEWS);
    assert_eq!(seen["content"], says("for everybody"));
    assert_eq!(find(beta, &gossip), None, "the gossip came before the news");
    wait_for_tally(beta, &alpha.did, "in", "COLLECTION_NOT_ALLOWED", 1);
    let own = find(alpha, &gossip).expect("alpha shows its own");
    assert_eq!(
        (&own["peer"], &own["from"]),
        (&Value::Null, &json!(agent.address))
    );

    // What alpha itself does not let out is counted there.
    patch(alpha, &beta.did, &json!({ "allowCollections": [NEWS] }));
    let _ = announce(&agent, GOSSIP, "kept at home");
    wait_for_tally(alpha, &beta.did, "out", "COLLECTION_NOT_ALLOWED", 1);
    assert_eq!(tally(beta, &alpha.did, "in", "COLLECTION_NOT_ALLOWED"), 1);

    // Nothing crosses private, either way.
    patch(alpha, &beta.did, &json!({ "trustLevel": "private" }));
    let id = announce(&agent, NEWS, "private");
    wait_for_tally(alpha, &beta.did, "out", "POLICY_PRIVATE", 1);
    let open = json!({ "trustLevel": "open", "allowCollections": null });
    patch(alpha, &beta.did, &open);
    patch(beta, &alpha.did, &open);
    let after = announce(&agent, NEWS, "open again");
    let _ = wait_for_announcement(beta, &after);
    assert_eq!(find(beta, &id), None);
}

#[test]
fn an_announcement_goes_to_peers_and_not_beyond() {
    let deployment = deployment();
    let (gamma, delta) = (deployment.network("gamma"), deployment.network("delta"));
    let agent = delta.create_agent("near-only");
    let id = announce(&agent, "agent.public.near", "hello, neighbours");
    let _ = wait_for_announcement(gamma, &id);
    let later = announce(&agent, "agent.public.near", "again");
    let _ = wait_for_announcement(gamma, &later);
    // Gamma offers beta what its own agents announce, and nothing else.
    let own = gamma.create_agent("gammas-own");
    let own = announce(&own, "agent.public.near", "from gamma");
    let beta = deployment.network("beta");
    let _ = wait_for_announcement(beta, &own);
    assert_eq!(find(beta, &id), None);
}

#[test]
fn a_direction_that_is_closed_lets_no_announcement_through() {
    let deployment = deployment();
    let (gamma, delta) = (deployment.network("gamma"), deployment.network("delta"));
    let agent = delta.create_agent("one-way");
    patch(gamma, &delta.did, &json!({ "allowInbound": false }));
    let shut = announce(&agent, "agent.public.way", "shut out");
    wait_for_tally(delta, &gamma.did, "out", "pass", 1);
    patch(delta, &gamma.did, &json!({ "allowOutbound": false }));
    let kept = announce(&agent, "agent.public.way", "kept in");
    wait_for_tally(delta, &gamma.did, "out", "OUTBOUND_CLOSED", 1);
    patch(delta, &gamma.did, &json!({ "allowOutbound": true }));
    patch(gamma, &delta.did, &json!({ "allowInbound": true }));
    let open = announce(&agent, "agent.public.way", "open");
    let _ = wait_for_announcement(gamma, &open);
    assert_eq!(find(gamma, &kept), None);
    // It was withdrawn when its way out was shut.
    assert_eq!(find(gamma, &shut), None);
}

#[test]
fn the_same_key_announces_once() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("repeats-itself");
    let body = json!({ "content": says("once"), "idempotencyKey": "one" });
    let path = agent.path("/announce");
    let first = agent.client.post(&path, &body).expect(202);
    assert_eq!(first["collection"], "agent.public.announcement");
    assert_eq!(agent.client.post(&path, &body).expect(202), first);
    let other = json!({ "content": says("twice"), "idempotencyKey": "one" });
    let reply = agent.client.post(&path, &other);
    reply.refused(409, "IDEMPOTENCY_MISMATCH");
    let mine = |one: &&Value| one["from"] == agent.address;
    assert_eq!(listed(alpha).iter().filter(mine).count(), 1);
}

#[test]
fn what_cannot_be_announced_is_refused_with_its_own_code() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("says-too-much");
    let path = agent.path("/announce");
    let refused = |body: Value, status, code| agent.client.post(&path, &body).refused(status, code);
    let long = says(&"x".repeat(9_000));
    refused(json!({ "content": long }), 413, "CONTENT_TOO_LARGE");
    let collection = json!({ "collection": "a.*", "content": says("x") });
    refused(collection, 400, "INVALID_COLLECTION");
    refused(json!({ "text": "x" }), 400, "INVALID_BODY");
    let uri = json!({ "content": { "kind": "ref", "uri": "nowhere" } });
    refused(uri, 400, "INVALID_URI");
    let part = json!({ "kind": "share", "uri": "at://x", "cid": "x", "version": 1, "dek": "x",
        "part": 0, "parts": 1 });
    refused(json!({ "content": part }), 400, "INVALID_CONTENT");
    let key = json!({ "content": says("x"), "idempotencyKey": "" });
    refused(key, 400, "INVALID_TEXT");
    let body = json!({ "content": says("x") });
    alpha
        .public
        .post(&path, &body)
        .refused(401, "UNAUTHENTICATED");
    alpha
        .admin
        .post(&path, &body)
        .refused(403, "ADMIN_READ_OFF");
    let other = alpha.create_agent("somebody-else");
    other.client.post(&path, &body).refused(403, "FORBIDDEN");
    let bad = alpha.public.get(&format!("{LIST}?cursor=x"));
    bad.refused(400, "INVALID_CURSOR");
}

#[test]
fn an_agent_announces_at_most_sixty_times_a_minute() {
    let delta = deployment().network("delta");
    let agent = delta.create_agent("never-stops");
    let body = json!({ "content": says("and another thing") });
    let replies: Vec<_> = (0..61)
        .map(|_| agent.client.post(&agent.path("/announce"), &body))
        .collect();
    assert!(replies[..60].iter().all(|reply| reply.status == 202));
    replies[60].refused(429, "RATE_LIMITED");
    // Pages go back from the newest, and end.
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = delta
            .public
            .get(&format!("{LIST}?limit=25{cursor}"))
            .expect(200);
        seen.extend(page["announcements"].as_array().unwrap().clone());
        let Some(next) = page["cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let mut ids: Vec<_> = seen.iter().map(|one| one["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert!(seen.len() >= 60 && ids.len() == seen.len());
}

#[test]
fn everybody_sees_who_announced_and_nobody_is_shown_what_on_the_firehose() {
    let (alpha, beta) = (deployment().network("alpha"), deployment().network("beta"));
    let agent = alpha.create_agent("on-stage");
    let url = |network: &Network| format!("{}/relay/firehose", network.url);
    let mut here = Socket::open(&url(alpha), &[]).expect("an observer");
    let mut there = Socket::open(&url(beta), &[]).expect("an observer");
    let id = announce(&agent, "agent.public.stage", "a body that is fetched");
    let mut raw = String::new();
    for (viewer, kind) in [
        (&mut here, "announcement.made"),
        (&mut there, "announcement.received"),
    ] {
        let seen = viewer.until(kind, |frame| {
            raw.push_str(&frame.to_string());
            frame["event"]["message"] == id.as_str()
        });
        assert_eq!(seen["event"]["kind"], kind);
        assert_eq!(seen["event"]["from"], agent.address);
        assert_eq!(seen["event"]["label"], "agent.public.stage");
    }
    assert!(!raw.contains("a body that is fetched"));
}

#[test]
fn a_preview_counts_what_was_announced_lately() {
    let deployment = deployment();
    let (beta, gamma) = (deployment.network("beta"), deployment.network("gamma"));
    let agent = beta.create_agent("previewed");
    let news = announce(&agent, "agent.public.previewed", "one");
    let _ = wait_for_announcement(gamma, &news);
    let path = |did: &str| format!("{PEERS}/{did}/preview");
    let change = json!({ "trustLevel": "allowlist", "allowCollections": ["agent.other.*"] });
    for (network, peer, direction) in [(beta, gamma, "out"), (gamma, beta, "in")] {
        let preview = network.admin.post(&path(&peer.did), &change).expect(200);
        let group = &preview["announcements"];
        let stops = group["stops"].as_u64().unwrap();
        assert!(stops >= 1 && group["passAfter"] == 0, "{group}");
        let example = json!({
            "direction": direction, "theirs": "agent.public.previewed",
            "before": "pass", "after": "COLLECTION_NOT_ALLOWED",
        });
        let examples = group["examples"].as_array().unwrap();
        assert!(examples.contains(&example), "{group}");
    }
}
