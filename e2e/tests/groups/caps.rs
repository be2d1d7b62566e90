//! What is too much is refused by code, and what was there before stays as it was.

use super::*;

/// Makes that many agents, several at a time.
fn crowd(network: &entente_e2e::Network, name: &str, count: usize) -> Vec<Agent> {
    let numbers: Vec<usize> = (0..count).collect();
    std::thread::scope(|scope| {
        let parts: Vec<_> = numbers
            .chunks(count.div_ceil(6))
            .map(|part| {
                scope.spawn(move || {
                    let make = |number| network.create_agent(&format!("{name}-{number}"));
                    part.iter().map(make).collect::<Vec<_>>()
                })
            })
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap())
            .collect()
    })
}

#[test]
fn the_hundred_and_first_of_a_group_is_refused_until_somebody_makes_room() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let owner = alpha.create_agent("full-owner");
    let others = crowd(alpha, "full", 100);
    let addresses: Vec<&str> = others.iter().map(|agent| agent.address.as_str()).collect();
    let all = json!({ "name": "full", "members": addresses });
    let path = owner.path("/groups");
    owner.client.post(&path, &all).refused(409, "GROUP_FULL");
    let listed = owner.client.get(&path).expect(200);
    assert_eq!(listed["groups"], json!([]), "nothing is made by halves");

    let (last, rest) = others.split_last().unwrap();
    let group = found(&owner, "full", &rest.iter().collect::<Vec<_>>());
    let before = view(&owner, &group).unwrap();
    assert_eq!(before["members"].as_array().unwrap().len(), 100);
    invite(&owner, &group, &last.address).refused(409, "GROUP_FULL");
    assert_eq!(view(&owner, &group).unwrap()["epoch"], before["epoch"]);
    // Who is invited anew takes no more room than before; an invitation that is taken back makes some.
    let _ = invite(&owner, &group, &rest[0].address).expect(200);
    let _ = remove(&owner, &group, &rest[0]);
    let _ = invite(&owner, &group, &last.address).expect(200);
    stands(last, &group, "invited");
    stands(&rest[0], &group, "removed");
}

#[test]
fn nobody_is_flooded_with_the_groups_of_one_owner() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("flooding");
    let victim = beta.create_agent("flooded");
    let known = |agent: &Agent| {
        let list = agent.client.get(&agent.path("/groups")).expect(200);
        list["groups"].as_array().unwrap().len()
    };
    for number in 0..100 {
        let _ = found(&owner, &format!("flood {number}"), &[&victim]);
    }
    wait_for("a hundred invitations", PATIENCE, || {
        (known(&victim) == 100).then_some(())
    });
    let more = found(&owner, "one too many", &[&victim]);
    wait_for("the last one to be refused", PATIENCE, || {
        let members = view(&owner, &more)?["members"].as_array()?.clone();
        let told = members.iter().find(|who| who["member"] == victim.address)?;
        (told["undelivered"] == "TOO_MANY_GROUPS").then_some(())
    });
    assert_eq!(known(&victim), 100);
    // Others invite it as before.
    let other = alpha.create_agent("flooding-not");
    let group = found(&other, "not one of them", &[&victim]);
    stands(&victim, &group, "invited");
}

#[test]
fn an_agent_has_a_thousand_groups_and_one_more_when_it_forgets_one() {
    let (_turn, deployment) = deployment();
    let owner = deployment.network("alpha").create_agent("busy-owner");
    let path = owner.path("/groups");
    let make = |number: usize| {
        let body = json!({ "name": format!("group {number}") });
        owner.client.post(&path, &body)
    };
    std::thread::scope(|scope| {
        for part in 0..4 {
            let make = &make;
            scope.spawn(move || {
                for number in 0..250 {
                    let _ = make(part * 250 + number).expect(201);
                }
            });
        }
    });
    make(1_000).refused(409, "TOO_MANY_GROUPS");
    let listed = owner.client.get(&path).expect(200);
    let groups = listed["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1_000);
    let one = group_path(&owner, groups[0]["id"].as_str().unwrap(), "");
    let _ = owner.client.delete(&one).expect(200);
    // One that is over counts until it is forgotten.
    make(1_000).refused(409, "TOO_MANY_GROUPS");
    assert_eq!(owner.client.delete(&one).status, 204);
    let _ = make(1_000).expect(201);
    make(1_001).refused(409, "TOO_MANY_GROUPS");
}
