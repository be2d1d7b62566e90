//! How groups go.

use super::*;

#[test]
fn all_who_are_in_hear_everything_once_and_in_order_across_networks() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("crew-owner");
    let near = alpha.create_agent("crew-near");
    let far = beta.create_agent("crew-far");
    let other = beta.create_agent("crew-other");
    let all = [&owner, &near, &far, &other];
    let group = assemble(&owner, "crew", &all[1..]);
    for round in 0..5 {
        for agent in all {
            say(agent, &group, &format!("{round} of {}", agent.name));
        }
    }
    for agent in all {
        let last = posts(agent, &group);
        let own = last.iter().filter(|post| post["from"] == agent.address);
        for post in own {
            arrives(agent, &group, post["id"].as_str().unwrap());
        }
    }
    for listener in all {
        for author in all {
            let expected: Vec<String> = (0..5)
                .map(|round| format!("{round} of {}", author.name))
                .collect();
            assert_eq!(heard(listener, author, &group), expected);
        }
    }
    // The inbox shows it as it was said.
    let inbox = far.inbox(100);
    let said =
        |message: &&Value| message["content"]["word"]["content"]["text"] == "0 of crew-owner";
    assert_eq!(inbox.iter().filter(said).count(), 1);
    let text = serde_json::to_string(&inbox).unwrap();
    assert!(!text.contains("\"key\"") && !text.contains("\"sealed\""));

    // A name is the owner's to change; whoever leaves hears nothing more.
    let renamed = owner.client.patch(
        &group_path(&owner, &group, ""),
        &json!({ "name": "old crew" }),
    );
    assert_eq!(renamed.expect(200)["name"], "old crew");
    agrees(&other, &owner, &group);
    let _ = act(&other, &group, "leave").expect(200);
    wait_for("the owner to hear that", PATIENCE, || {
        let members = view(&owner, &group)?["members"].as_array()?.len();
        (members == 3).then_some(())
    });
    agrees(&far, &owner, &group);
    let id = say(&far, &group, "without you");
    arrives(&far, &group, &id);
    assert_eq!(heard(&other, &far, &group).len(), 5);
    assert_eq!(stands(&other, &group, "left")["members"], json!([]));
    // What was said while it was in stays, until it is forgotten.
    let path = group_path(&other, &group, "");
    assert_eq!(other.client.delete(&path).status, 204);
    other.client.get(&path).refused(404, "UNKNOWN_GROUP");

    // The owner ends it for everybody.
    let closed = owner.client.delete(&group_path(&owner, &group, ""));
    assert_eq!(closed.expect(200)["standing"], "closed");
    stands(&far, &group, "closed");
    stands(&near, &group, "closed");
}

#[test]
fn who_was_removed_hears_and_says_nothing_more_and_may_come_back() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("removing");
    let stays = beta.create_agent("staying");
    let gone = beta.create_agent("removed");
    let group = assemble(&owner, "three", &[&stays, &gone]);
    let before = say(&stays, &group, "all three");
    arrives(&stays, &group, &before);
    let epoch = view(&owner, &group).unwrap()["epoch"].as_u64().unwrap();
    let after = remove(&owner, &group, &gone);
    assert!(after["epoch"].as_u64().unwrap() > epoch);
    let path = group_path(&gone, &group, "/messages");
    stands(&gone, &group, "removed");
    let body = json!({ "content": { "kind": "text", "text": "still here" } });
    gone.client
        .post(&path, &body)
        .refused(409, "GROUP_NOT_JOINED");
    agrees(&stays, &owner, &group);
    let id = say(&stays, &group, "two of us");
    assert_eq!(
        settled(&stays, &group, &id),
        [(owner.address.clone(), "delivered".to_owned())]
    );
    assert_eq!(heard(&gone, &stays, &group), ["all three"]);

    // Invited again, it is in again, and hears what is said from then on.
    let _ = invite(&owner, &group, &gone.address).expect(200);
    stands(&gone, &group, "invited");
    let _ = act(&gone, &group, "accept").expect(200);
    stands(&gone, &group, "member");
    agrees(&gone, &owner, &group);
    let id = say(&owner, &group, "welcome back");
    arrives(&owner, &group, &id);
    assert_eq!(heard(&gone, &owner, &group), ["welcome back"]);
    assert_eq!(heard(&gone, &stays, &group), ["all three"]);
}

#[test]
fn an_invitation_waits_for_its_agent_unless_that_takes_them_at_once() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("inviting");
    let shy = beta.create_agent("shy");
    let eager = beta.create_agent("eager");
    let settings = eager.path("/groups/settings");
    let unset = eager.client.get(&settings).expect(200);
    assert_eq!(unset, json!({ "autoAccept": "nobody" }));
    let set = |what: &str| {
        let headers = [("content-type", "application/json")];
        let body = json!({ "autoAccept": what }).to_string();
        eager
            .client
            .send("PUT", &settings, &headers, body.as_bytes())
    };
    assert_eq!(set("everyone").status, 200);
    set("somebody").refused(400, "INVALID_BODY");
    let group = found(&owner, "two", &[&shy, &eager]);
    stands(&eager, &group, "member");
    stands(&shy, &group, "invited");
    agrees(&eager, &owner, &group);
    // Nothing is said to who has not joined.
    let id = say(&owner, &group, "who is in?");
    assert_eq!(
        settled(&owner, &group, &id),
        [(eager.address.clone(), "delivered".to_owned())]
    );
    assert_eq!(posts(&shy, &group).len(), 0);
    let _ = act(&shy, &group, "decline").expect(200);
    act(&shy, &group, "accept").refused(409, "GROUP_NOT_INVITED");
    wait_for("the owner to hear that", PATIENCE, || {
        let members = view(&owner, &group)?["members"].as_array()?.len();
        (members == 2).then_some(())
    });
}

#[test]
fn members_who_join_at_once_all_know_the_last_epoch() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("crowd-owner");
    let members: Vec<_> = (0..8)
        .map(|number| {
            let network = if number % 2 == 0 { beta } else { alpha };
            network.create_agent(&format!("crowd-{number}"))
        })
        .collect();
    let group = found(&owner, "crowd", &members.iter().collect::<Vec<_>>());
    for member in &members {
        stands(member, &group, "invited");
    }
    std::thread::scope(|scope| {
        for member in &members {
            let group = &group;
            scope.spawn(move || act(member, group, "accept").expect(200));
        }
    });
    wait_for("everybody to be in", PATIENCE, || {
        let seen = view(&owner, &group)?["members"].as_array()?.clone();
        let joined = seen.iter().filter(|who| who["state"] != "invited").count();
        (joined == members.len() + 1).then_some(())
    });
    for member in &members {
        agrees(member, &owner, &group);
    }
}
