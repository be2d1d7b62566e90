//! What is refused, and that nothing changes by it.

use super::*;

#[test]
fn members_strangers_and_programs_do_only_what_is_theirs() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("strict");
    let member = beta.create_agent("member-only");
    let stranger = beta.create_agent("stranger");
    let group = assemble(&owner, "strict", &[&member]);
    let before = view(&owner, &group).unwrap();

    invite(&member, &group, &stranger.address).refused(403, "GROUP_NOT_OWNER");
    act(&member, &group, "rekey").refused(403, "GROUP_NOT_OWNER");
    let path = group_path(&member, &group, &format!("/members/{}", owner.did));
    member.client.delete(&path).refused(403, "GROUP_NOT_OWNER");
    let renamed = member
        .client
        .patch(&group_path(&member, &group, ""), &json!({ "name": "mine" }));
    renamed.refused(403, "GROUP_NOT_OWNER");

    for rest in ["", "/messages"] {
        let reply = stranger.client.get(&group_path(&stranger, &group, rest));
        reply.refused(404, "UNKNOWN_GROUP");
    }
    let body = json!({ "content": { "kind": "text", "text": "hello" } });
    let path = group_path(&stranger, &group, "/messages");
    stranger
        .client
        .post(&path, &body)
        .refused(404, "UNKNOWN_GROUP");
    act(&stranger, &group, "accept").refused(404, "UNKNOWN_GROUP");
    let theirs = stranger.client.get(&group_path(&member, &group, ""));
    theirs.refused(403, "FORBIDDEN");

    // No program writes what agents say to one another about groups.
    let word = json!({ "kind": "group", "group": group, "word": { "says": "join", "n": 1 } });
    let mail = json!({ "to": owner.address, "content": word });
    let sent = stranger.client.post(&stranger.path("/messages"), &mail);
    sent.refused(400, "INVALID_CONTENT");
    let path = group_path(&member, &group, "/messages");
    let post = json!({ "content": word });
    member
        .client
        .post(&path, &post)
        .refused(400, "INVALID_CONTENT");

    act(&owner, &group, "leave").refused(400, "GROUP_OWNER_STAYS");
    invite(&owner, &group, &member.address).refused(409, "GROUP_ALREADY_MEMBER");
    invite(&owner, &group, "nobody").refused(404, "UNKNOWN_AGENT");
    invite(&owner, &group, "no body").refused(400, "MALFORMED_ADDRESS");
    let path = group_path(&owner, &group, &format!("/members/{}", stranger.did));
    owner.client.delete(&path).refused(404, "GROUP_NOT_MEMBER");
    for name in [String::new(), "n".repeat(201)] {
        let reply = owner
            .client
            .post(&owner.path("/groups"), &json!({ "name": name }));
        reply.refused(400, "GROUP_UNFIT");
    }
    let long = json!({ "content": { "kind": "text", "text": "x".repeat(33 * 1024) } });
    let path = group_path(&owner, &group, "/messages");
    owner
        .client
        .post(&path, &long)
        .refused(413, "CONTENT_TOO_LARGE");
    let odd = json!({ "content": { "kind": "text", "text": "x" }, "priority": 6 });
    owner
        .client
        .post(&path, &odd)
        .refused(400, "INVALID_PRIORITY");
    assert_eq!(view(&owner, &group).unwrap(), before);
    assert_eq!(posts(&owner, &group), Vec::<Value>::new());
}

#[test]
fn who_blocks_a_member_does_not_hear_it_and_is_not_invited_by_it() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("unloved");
    let member = beta.create_agent("loved");
    let blocks = beta.create_agent("choosy");
    let group = assemble(&owner, "uneasy", &[&member, &blocks]);
    let path = blocks.path(&format!("/blocks/{}", owner.did));
    let headers = [("content-type", "application/json")];
    let _ = blocks
        .client
        .send("PUT", &path, &headers, b"{}")
        .expect(200);
    let id = say(&owner, &group, "can you hear me?");
    let mut expected = vec![
        (member.address.clone(), "delivered".to_owned()),
        (blocks.address.clone(), "SENDER_BLOCKED".to_owned()),
    ];
    let mut found = settled(&owner, &group, &id);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    // The others go on with it.
    let id = say(&member, &group, "I can");
    arrives(&member, &group, &id);
    let other = found_another(&owner, &blocks);
    wait_for("the owner to hear that it is blocked", PATIENCE, || {
        let members = view(&owner, &other)?["members"].as_array()?.clone();
        let told = members.iter().find(|who| who["member"] == blocks.address)?;
        (told["undelivered"] == "SENDER_BLOCKED").then_some(())
    });
    let listed = blocks.client.get(&blocks.path("/groups")).expect(200);
    assert_eq!(listed["groups"].as_array().unwrap().len(), 1);
}

fn found_another(owner: &Agent, who: &Agent) -> String {
    found(owner, "another", &[who])
}
