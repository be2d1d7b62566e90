//! Only what is wanted comes, and what is wanted can change.

use super::*;

#[test]
fn only_what_fits_every_list_comes() {
    let alpha = alpha();
    let (one, two) = (
        alpha.create_agent("filter-one"),
        alpha.create_agent("filter-two"),
    );
    let mut by_collection = watch(alpha, "?collections=fits.news,fits.weather.*");
    let mut by_did = watch(alpha, &format!("?dids={}", two.did));
    let mut by_both = watch(alpha, &format!("?dids={}&collections=fits.news", two.did));
    let mut by_kind = watch_as_admin(alpha, "?kinds=agent.*");
    for (agent, collection) in [
        (&one, "fits.news"),
        (&one, "fits.other"),
        (&two, "fits.weather.rain"),
        (&two, "fits.news"),
        (&one, "fits.weather"),
    ] {
        let _ = announce(agent, collection);
    }
    let last = announce(&two, "fits.news");
    let about = |labels: Vec<Value>| {
        labels
            .into_iter()
            .map(|label| label.as_str().unwrap().to_owned())
    };
    let seen: Vec<String> = about(labels_until(&mut by_collection, &last)).collect();
    assert_eq!(
        seen,
        ["fits.news", "fits.weather.rain", "fits.news", "fits.news"]
    );
    let seen: Vec<String> = about(labels_until(&mut by_did, &last)).collect();
    assert_eq!(seen, ["fits.weather.rain", "fits.news", "fits.news"]);
    let seen: Vec<String> = about(labels_until(&mut by_both, &last)).collect();
    assert_eq!(seen, ["fits.news", "fits.news"]);

    let created = alpha.create_agent("filter-three");
    // Agents that other tests make are seen too.
    let _ = by_kind.until("the new agent", |frame| {
        if frame["type"] != "event" {
            return false;
        }
        let event = &frame["event"];
        assert!(event["kind"].as_str().unwrap().starts_with("agent."));
        event["kind"] == "agent.created"
            && event["from"].as_str().unwrap().starts_with(&created.did)
    });
}

#[test]
fn an_observer_cannot_find_out_by_a_filter_who_is_who() {
    let alpha = alpha();
    let (from, to) = (
        alpha.create_agent("hidden-from"),
        alpha.create_agent("hidden-to"),
    );
    let mut prying = watch(alpha, &format!("?dids={},{}", from.did, from.address));
    let mut admin = watch_as_admin(alpha, &format!("?dids={}", from.did));
    let id = from.send(&to.address, "quiet");
    let _ = admin.until("the admin's event", |frame| {
        frame["event"]["message"] == id.as_str()
    });
    // The first thing that an observer who asks for this agent sees is what it says to everybody.
    let last = announce(&from, "hidden.public");
    assert_eq!(labels_until(&mut prying, &last), ["hidden.public"]);
}

#[test]
fn a_filter_changes_in_the_stream() {
    let alpha = alpha();
    let agent = alpha.create_agent("changing");
    let mut viewer = watch(alpha, "?collections=changing.a");
    let first = announce(&agent, "changing.a");
    assert_eq!(labels_until(&mut viewer, &first), ["changing.a"]);
    viewer.send(&json!({ "type": "filter", "collections": ["changing.b"] }));
    let answer = viewer.until("the answer", |frame| frame["type"] == "filtered");
    assert_eq!(answer["filter"], json!({ "collections": ["changing.b"] }));
    let _ = announce(&agent, "changing.a");
    let last = announce(&agent, "changing.b");
    assert_eq!(labels_until(&mut viewer, &last), ["changing.b"]);
}

#[test]
fn what_is_no_filter_is_refused_and_changes_nothing() {
    let alpha = alpha();
    for query in [
        "?collections=a*",
        "?kinds=a..b",
        "?dids=a%20b",
        &format!("?collections={}", "a,".repeat(101)),
    ] {
        let url = format!("{}/relay/firehose{query}", alpha.url);
        let refused = Socket::open(&url, &[]);
        assert!(matches!(refused, Err((400, _))), "{query}");
    }
    let agent = alpha.create_agent("nonsense");
    let mut viewer = watch(alpha, "?collections=nonsense.*");
    for (said, code) in [
        ("{", "INVALID_COMMAND"),
        (r#"{"type":"filter","colour":"red"}"#, "INVALID_COMMAND"),
        (
            r#"{"type":"filter","collections":["*.a"]}"#,
            "INVALID_PATTERN",
        ),
        (r#"{"type":"filter","dids":[""]}"#, "INVALID_DID"),
        (r#"{"type":"ack","cursor":"yesterday"}"#, "INVALID_CURSOR"),
    ] {
        viewer.send_text(said);
        let answer = viewer.until("an answer", |frame| frame["type"] == "error");
        assert_eq!(answer["code"], code, "{said}");
    }
    let last = announce(&agent, "nonsense.still");
    assert_eq!(labels_until(&mut viewer, &last), ["nonsense.still"]);
    for _ in 0..16 {
        viewer.send_bytes(vec![0; 8]);
    }
    let (code, _) = viewer.closed(entente_e2e::wait::PATIENCE);
    assert_eq!(code, 4400);
}
