//! What is refused, and to whom.

use super::*;

#[test]
fn nobody_gets_at_the_filters_of_another_agent() {
    let beta = shared().deployment.network("beta");
    let (owner, thief) = (
        beta.create_agent("filter-owner"),
        beta.create_agent("filter-thief"),
    );
    let id = leave(&owner, &json!({ "kinds": ["message.*"] }));
    for path in ["/filters", "/wakes", &format!("/filters/{id}")] {
        thief
            .client
            .get(&owner.path(path))
            .refused(403, "FORBIDDEN");
        beta.public
            .get(&owner.path(path))
            .refused(401, "UNAUTHENTICATED");
        beta.admin
            .get(&owner.path(path))
            .refused(403, "ADMIN_READ_OFF");
    }
    let own = thief.path(&format!("/filters/{id}"));
    thief.client.get(&own).refused(404, "UNKNOWN_FILTER");
    thief.client.delete(&own).refused(404, "UNKNOWN_FILTER");
    // What only objects say to one another is no route.
    let answer = owner.client.post(&owner.path("/woken"), &json!({}));
    assert!([403, 404].contains(&answer.status), "{}", answer.excerpt());
}

#[test]
fn filters_that_are_none_too_many_or_too_large_are_refused_by_name() {
    let beta = shared().deployment.network("beta");
    let agent = beta.create_agent("filter-limits");
    let add = |filter: &Value| agent.client.post(&agent.path("/filters"), filter);
    add(&json!({ "kinds": ["a*"] })).refused(400, "INVALID_PATTERN");
    add(&json!({ "dids": ["a b"] })).refused(400, "INVALID_DID");
    add(&json!({ "kinds": vec!["a"; 101] })).refused(400, "FILTER_TOO_LARGE");
    let long = format!("did:cf:{}", "a".repeat(400));
    add(&json!({ "dids": vec![long; 50] })).refused(400, "FILTER_TOO_LARGE");
    add(&json!({ "topics": [] })).refused(400, "INVALID_BODY");
    for _ in 0..10 {
        let _ = add(&json!({ "kinds": ["link.none"] })).expect(201);
    }
    add(&json!({ "kinds": ["link.none"] })).refused(409, "TOO_MANY_FILTERS");
    let read = |query: &str| agent.client.get(&agent.path(&format!("/wakes{query}")));
    read("?cursor=nonsense").refused(400, "INVALID_CURSOR");
    read("?limit=0").refused(400, "INVALID_LIMIT");
    assert_eq!(read("?cursor=abc.7").expect(200)["gap"], true);
    assert_eq!(read("").expect(200)["wakes"], json!([]));
}
