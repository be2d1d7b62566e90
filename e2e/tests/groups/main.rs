//! Groups: who is in hears everything once and in order, who is not hears nothing, whatever dies.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod caps;
mod killed;
mod refusals;
mod topics;
mod ways;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use entente_e2e::wait::wait_for;
use entente_e2e::{Agent, Deployment, Options, Reply};
use serde_json::{Value, json};

/// A link that failed while its peer was down dials again within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// Some of these tests kill networks, so they take turns.
fn deployment() -> (MutexGuard<'static, ()>, &'static Deployment) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| Options::default().networks(2).start());
    (turn, shared)
}

fn found(owner: &Agent, name: &str, members: &[&Agent]) -> String {
    let members: Vec<&str> = members.iter().map(|agent| agent.address.as_str()).collect();
    let body = json!({ "name": name, "members": members });
    let path = owner.path("/groups");
    // Who is invited is looked up, which takes a while where a network was killed.
    wait_for("the group to be made", PATIENCE, || {
        let reply = owner.client.post(&path, &body);
        assert!(
            reply.status == 201 || reply.status >= 502,
            "{}",
            reply.excerpt()
        );
        let id = reply.value()["id"].as_str().map(str::to_owned);
        id.filter(|_| reply.status == 201)
    })
}

fn group_path(agent: &Agent, group: &str, rest: &str) -> String {
    agent.path(&format!("/groups/{group}{rest}"))
}

fn act(agent: &Agent, group: &str, act: &str) -> Reply {
    let path = group_path(agent, group, &format!("/{act}"));
    agent.client.post(&path, &json!({}))
}

fn remove(owner: &Agent, group: &str, who: &Agent) -> Value {
    let path = group_path(owner, group, &format!("/members/{}", who.did));
    owner.client.delete(&path).expect(200)
}

fn invite(owner: &Agent, group: &str, who: &str) -> Reply {
    let path = group_path(owner, group, "/members");
    owner.client.post(&path, &json!({ "member": who }))
}

fn view(agent: &Agent, group: &str) -> Option<Value> {
    let reply = agent
        .client
        .attempt("GET", &group_path(agent, group, ""), &[], &[])
        .ok()?;
    (reply.status == 200).then(|| reply.value())
}

/// Waits until an agent stands so to a group.
fn stands(agent: &Agent, group: &str, standing: &str) -> Value {
    let what = format!("{} to be {standing}", agent.name);
    wait_for(&what, PATIENCE, || {
        view(agent, group).filter(|view| view["standing"] == standing)
    })
}

/// Waits until an agent knows the epoch of another.
fn agrees(agent: &Agent, other: &Agent, group: &str) {
    let what = format!("{} to know the epoch of {}", agent.name, other.name);
    wait_for(&what, PATIENCE, || {
        let (ours, theirs) = (view(agent, group)?, view(other, group)?);
        (ours["epoch"].is_u64() && ours["epoch"] == theirs["epoch"]).then_some(())
    });
}

/// Makes a group in which all of these are.
fn assemble(owner: &Agent, name: &str, members: &[&Agent]) -> String {
    let group = found(owner, name, members);
    for member in members {
        stands(member, &group, "invited");
        let _ = act(member, &group, "accept").expect(200);
    }
    for member in members {
        wait_for("everybody to be in", PATIENCE, || {
            let members = view(owner, &group)?["members"].as_array()?.clone();
            let is_in = |who: &Value| who["member"] == member.address && who["state"] == "member";
            members.iter().any(is_in).then_some(())
        });
    }
    members
        .iter()
        .for_each(|member| agrees(member, owner, &group));
    group
}

fn say(agent: &Agent, group: &str, text: &str) -> String {
    let body = json!({ "content": { "kind": "text", "text": text } });
    let path = group_path(agent, group, "/messages");
    let post = agent.client.post(&path, &body).expect(202);
    post["id"].as_str().unwrap().to_owned()
}

fn posts(agent: &Agent, group: &str) -> Vec<Value> {
    let path = group_path(agent, group, "/messages?limit=200");
    let list = agent.client.get(&path).expect(200);
    list["messages"].as_array().unwrap().clone()
}

/// What an agent has heard of another, in the order in which it came.
fn heard(agent: &Agent, from: &Agent, group: &str) -> Vec<String> {
    let posts = posts(agent, group).into_iter();
    posts
        .filter(|post| post["from"] == from.address)
        .map(|post| post["content"]["text"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until it is known what became of a post for everybody it was for; returns that.
fn settled(agent: &Agent, group: &str, id: &str) -> Vec<(String, String)> {
    let mut last = String::new();
    wait_for(&format!("{id} to be settled"), PATIENCE, || {
        let posts = posts(agent, group);
        let post = posts.iter().find(|post| post["id"] == id)?;
        let text = post["to"].to_string();
        if text != last {
            println!("{}: {text}", agent.name);
            last = text;
        }
        let to = post["to"].as_array()?;
        let ended = |status: &str| ["delivered", "refused", "expired"].contains(&status);
        to.iter()
            .all(|to| ended(to["status"].as_str().unwrap()))
            .then(|| {
                let line = |to: &Value| {
                    let code = to["code"].as_str().or(to["status"].as_str()).unwrap();
                    (to["member"].as_str().unwrap().to_owned(), code.to_owned())
                };
                to.iter().map(line).collect()
            })
    })
}

/// Waits until a post has come to everybody it was for.
fn arrives(agent: &Agent, group: &str, id: &str) {
    for (member, status) in settled(agent, group, id) {
        assert_eq!(status, "delivered", "{member}");
    }
}
