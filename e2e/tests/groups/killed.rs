//! Networks that die during a re-key and during a fan-out: each member has each message once, or its
//! author was told that it has not.

use std::io::Write;
use std::net::TcpStream;

use entente_e2e::Network;

use super::*;

/// Every post of `authors` came once and in order to everybody for whom it says `delivered`, and to nobody
/// else; whom it was refused is counted.
fn adds_up(authors: &[&Agent], listeners: &[&Agent], group: &str) -> usize {
    let mut refused = 0;
    for author in authors {
        let own = posts(author, group).into_iter();
        let own: Vec<Value> = own.filter(|post| post["to"].is_array()).collect();
        for post in &own {
            let _ = settled(author, group, post["id"].as_str().unwrap());
        }
        let own = posts(author, group).into_iter();
        let own: Vec<Value> = own.filter(|post| post["to"].is_array()).collect();
        for listener in listeners.iter().filter(|other| other.did != author.did) {
            let mut expected = Vec::new();
            for post in &own {
                let to = post["to"].as_array().unwrap();
                let Some(entry) = to.iter().find(|to| to["member"] == listener.address) else {
                    continue;
                };
                if entry["status"] == "delivered" {
                    expected.push(post["content"]["text"].as_str().unwrap().to_owned());
                } else {
                    refused += 1;
                }
            }
            assert_eq!(
                heard(listener, author, group),
                expected,
                "{}",
                listener.name
            );
        }
    }
    refused
}

#[test]
fn the_ledger_adds_up_whoever_dies_during_a_rekey_and_a_fan_out() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("ledger-owner");
    let near = alpha.create_agent("ledger-near");
    let far = beta.create_agent("ledger-far");
    let other = beta.create_agent("ledger-other");
    let doomed = beta.create_agent("ledger-doomed");
    let all = [&owner, &near, &far, &other, &doomed];
    let group = assemble(&owner, "ledger", &all[1..]);
    for agent in all {
        say(agent, &group, &format!("before, {}", agent.name));
    }
    // The owner's network dies as soon as it has answered the removal: the new key is on its way to
    // some, or to nobody yet.
    let _ = remove(&owner, &group, &doomed);
    deployment.kill9("alpha");
    for agent in [&far, &other, &doomed] {
        let body =
            json!({ "content": { "kind": "text", "text": format!("meanwhile, {}", agent.name) } });
        let path = group_path(agent, &group, "/messages");
        let reply = agent.client.post(&path, &body);
        assert!([202, 409].contains(&reply.status), "{}", reply.excerpt());
    }
    deployment.restart("alpha");
    // The members' network dies while the owner and its neighbour fan out, and again while it comes
    // to itself.
    for number in 0..5 {
        say(&owner, &group, &format!("{number} into the dark"));
        if number == 1 {
            deployment.kill9("beta");
        }
        say(&near, &group, &format!("{number} likewise"));
    }
    let _ = act(&owner, &group, "rekey").expect(200);
    deployment.restart("beta");
    deployment.kill9("beta");
    deployment.restart("beta");
    stands(&doomed, &group, "removed");
    for agent in [&near, &far, &other] {
        agrees(agent, &owner, &group);
        let id = say(agent, &group, &format!("after, {}", agent.name));
        arrives(agent, &group, &id);
    }
    let refused = adds_up(&all, &all, &group);
    println!("{refused} were refused, and their authors know");
    // Among those who stayed nothing was refused, and who was removed heard nothing of what was said after.
    let stayed = [&owner, &near, &far, &other];
    assert_eq!(adds_up_among(&stayed, &group), 0);
    for author in [&owner, &near] {
        let late = heard(&doomed, author, &group);
        assert!(
            late.iter().all(|text| text.starts_with("before")),
            "{late:?}"
        );
    }
}

/// How many posts of these did not come to one of these.
fn adds_up_among(agents: &[&Agent], group: &str) -> usize {
    let lost = |author: &&Agent| {
        let posts = posts(author, group).into_iter();
        let to = posts.flat_map(|post| post["to"].as_array().cloned().unwrap_or_default());
        let among = |to: &Value| agents.iter().any(|agent| to["member"] == agent.address);
        to.filter(|to| among(to) && to["status"] != "delivered")
            .count()
    };
    agents.iter().map(lost).sum()
}

/// Asks for something and does not wait for the answer: it is as if it had been lost.
fn ask_and_forget(network: &Network, agent: &Agent, method: &str, path: &str) {
    let mut stream = TcpStream::connect(network.host.replace("localhost", "127.0.0.1")).unwrap();
    let (host, token) = (&network.host, &agent.token);
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
}

#[test]
fn a_removal_that_was_never_answered_is_repeated_and_makes_one_new_epoch() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("unanswered-owner");
    let near = alpha.create_agent("unanswered-near");
    let far = beta.create_agent("unanswered-far");
    let doomed: Vec<_> = (0..3)
        .map(|number| beta.create_agent(&format!("unanswered-{number}")))
        .collect();
    let mut members = vec![&near, &far];
    members.extend(&doomed);
    let group = assemble(&owner, "unanswered", &members);
    let id = say(&owner, &group, "before");
    arrives(&owner, &group, &id);
    let epoch = |agent: &Agent| view(agent, &group).unwrap()["epoch"].as_u64().unwrap();
    for (round, out) in doomed.iter().enumerate() {
        let before = epoch(&owner);
        let path = group_path(&owner, &group, &format!("/members/{}", out.did));
        // It dies before, during or after the removal: who asked cannot tell.
        ask_and_forget(alpha, &owner, "DELETE", &path);
        deployment.kill9("alpha");
        deployment.restart("alpha");
        let after = epoch(&owner);
        let repeated = owner.client.delete(&path);
        if after == before {
            let _ = repeated.expect(200);
            assert!(epoch(&owner) > before, "round {round}: it had not begun");
        } else {
            repeated.refused(404, "GROUP_NOT_MEMBER");
            assert_eq!(epoch(&owner), after, "round {round}: once is enough");
        }
        println!("round {round}: removed before it died: {}", after != before);
        stands(out, &group, "removed");
        let last = epoch(&owner);
        for agent in [&near, &far] {
            agrees(agent, &owner, &group);
            assert_eq!(epoch(agent), last, "round {round}: {}", agent.name);
        }
        for agent in [&owner, &near, &far] {
            let _ = say(agent, &group, &format!("after {round}, {}", agent.name));
        }
    }
    let stayed = [&owner, &near, &far];
    for agent in stayed {
        for post in posts(agent, &group) {
            if post["to"].is_array() {
                let _ = settled(agent, &group, post["id"].as_str().unwrap());
            }
        }
    }
    assert_eq!(adds_up_among(&stayed, &group), 0);
    let _ = adds_up(&stayed, &stayed, &group);
    for (round, out) in doomed.iter().enumerate() {
        for author in stayed {
            for text in heard(out, author, &group) {
                let said = text.split([',', ' ']).nth(1);
                let earlier = said.is_none_or(|said| said.parse::<usize>().unwrap() < round);
                assert!(earlier, "{} heard {text:?}", out.name);
            }
        }
    }
}
