//! `com.atproto.sync.subscribeRepos`, followed by atproto's own client, which believes nothing that the
//! repo's key does not prove.

use std::process::{Child, Command, Stdio};

use entente_e2e::deployment::root;
use entente_e2e::{Agent, Network, Options};
use serde_json::{Value, json};

/// The client, following a network.
struct Reader(Child);

impl Reader {
    /// Begins behind `cursor`, or with what is yet to come; ends with a record key or a kind of event.
    fn begin(network: &Network, cursor: Option<u64>, until: &str) -> Self {
        let cursor = cursor.map_or_else(|| "-".to_owned(), |cursor| cursor.to_string());
        let child = Command::new("node")
            .arg(root().join("e2e/oracles/stream.mjs"))
            .args([&network.url, &cursor, until])
            .stdout(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Returns what it was told of one agent; all there was if no agent is named.
    fn told(self, of: Option<&Agent>) -> Vec<Value> {
        let output = self.0.wait_with_output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{lines}");
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let told: Vec<Value> = lines.skip(1).collect();
        let Some(agent) = of else { return told };
        assert!(told.iter().all(|one| one["event"] != "error"), "{told:?}");
        let about = |one: &Value| one["did"] == agent.did.as_str();
        told.into_iter().filter(about).collect()
    }
}

fn read(network: &Network, cursor: u64, until: &str, of: &Agent) -> Vec<Value> {
    Reader::begin(network, Some(cursor), until).told(Some(of))
}

fn events(told: &[Value]) -> Vec<&str> {
    told.iter()
        .map(|one| one["event"].as_str().unwrap())
        .collect()
}

fn seq(told: &Value) -> u64 {
    told["seq"].as_u64().unwrap()
}

/// Stores a record for everybody; returns its key.
fn publish(agent: &Agent, text: &str) -> String {
    let key = store(agent, text);
    let path = agent.path(&format!("/memory/agent.memory.note:{key}/public"));
    let _ = agent.client.post(&path, &json!({})).expect(200);
    key
}

fn store(agent: &Agent, text: &str) -> String {
    let body = json!({ "record": { "$type": "agent.memory.note", "text": text } });
    let stored = agent.client.post(&agent.path("/memory"), &body).expect(201);
    let (_, key) = stored["id"].as_str().unwrap().split_once(':').unwrap();
    key.to_owned()
}

fn rewrite(agent: &Agent, key: &str, text: &str) {
    let body = json!({ "record": { "$type": "agent.memory.note", "text": text } });
    let path = agent.path(&format!("/memory/agent.memory.note:{key}"));
    let headers = [("content-type", "application/json")];
    let body = body.to_string();
    let _ = agent
        .client
        .send("PUT", &path, &headers, body.as_bytes())
        .expect(200);
}

fn withdraw(agent: &Agent, key: &str) {
    let path = agent.path(&format!("/memory/agent.memory.note:{key}/public"));
    assert_eq!(agent.client.delete(&path).status, 200);
}

#[test]
fn the_reference_client_follows_what_is_public_over_a_kill() {
    let deployment = Options::default().networks(1).bare().start();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("author");
    let hidden = store(&agent, "nobody's business");
    let first = publish(&agent, "one");
    let live = read(alpha, 0, &first, &agent);
    assert_eq!(events(&live), ["create"]);
    assert_eq!(live[0]["text"], "one");
    rewrite(&agent, &hidden, "still nobody's");
    rewrite(&agent, &first, "one, again");
    let second = publish(&agent, "two");
    deployment.kill9("alpha");
    deployment.restart("alpha");
    withdraw(&agent, &first);
    let third = publish(&agent, "three");
    let rest = read(alpha, seq(&live[0]), &third, &agent);
    assert_eq!(events(&rest), ["update", "create", "delete", "create"]);
    let keys: Vec<_> = rest.iter().map(|one| one["rkey"].clone()).collect();
    assert_eq!(
        keys,
        [json!(first), json!(second), json!(first), json!(third)]
    );
    assert!(rest.windows(2).all(|two| seq(&two[0]) < seq(&two[1])));
    let again = read(alpha, 0, &third, &agent);
    assert_eq!(again[0], live[0], "what was told stays as it was told");
    assert_eq!(again[1..], rest);
    let record = format!(
        "/xrpc/com.atproto.repo.getRecord?repo={}&collection=agent.memory.note&rkey={third}",
        agent.did
    );
    assert_eq!(alpha.public.get(&record).expect(200)["cid"], rest[3]["cid"]);
}

#[test]
fn every_removal_is_proved_to_the_reference_client() {
    let alpha = super::deployment().network("alpha");
    let agent = alpha.create_agent("removing-author");
    let keys: Vec<_> = (0..32)
        .map(|number| publish(&agent, &format!("to go: {number}")))
        .collect();
    for key in keys.iter().skip(1) {
        withdraw(&agent, key);
    }
    let last = publish(&agent, "to stay");
    let told = read(alpha, 0, &last, &agent);
    let deleted = |one: &&Value| one["event"] == "delete";
    assert_eq!(told.iter().filter(deleted).count(), keys.len() - 1);
    assert_eq!(told.len(), 2 * keys.len());
}

#[test]
fn new_keys_what_is_too_long_for_a_frame_and_an_end_are_told() {
    let deployment = Options::default().networks(1).bare().start();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("changing-author");
    let first = publish(&agent, "under the first key");
    let before = read(alpha, 0, &first, &agent);
    let reply = agent.client.post(&agent.path("/keys/rotate"), &json!({}));
    assert!((200..300).contains(&reply.status), "{}", reply.text());
    let second = publish(&agent, "under the second key");
    let turned = read(alpha, seq(before.last().unwrap()), &second, &agent);
    assert_eq!(events(&turned), ["identity", "sync", "create"]);
    let long = publish(&agent, &"long ".repeat(9_900));
    let last = publish(&agent, "short");
    let told = read(alpha, seq(turned.last().unwrap()), &last, &agent);
    assert_eq!(events(&told), ["sync", "create"], "{long}");
    assert_eq!(alpha.admin.delete(&agent.path("")).status, 204);
    let end = read(alpha, seq(told.last().unwrap()), "account", &agent);
    assert_eq!(events(&end), ["account"]);
    assert_eq!(end[0]["status"], "deleted");
}

#[test]
fn a_cursor_from_nowhere_and_a_plain_request_are_refused() {
    let alpha = super::deployment().network("alpha");
    let later = Reader::begin(alpha, Some(9_000_000_000_000), "account").told(None);
    assert_eq!(events(&later), ["error"]);
    assert!(
        later[0]["message"]
            .as_str()
            .unwrap()
            .contains("later than all there is"),
        "{later:?}"
    );
    let method = "/xrpc/com.atproto.sync.subscribeRepos";
    assert_eq!(alpha.public.get(method).status, 426);
    let closed = Options::default()
        .networks(1)
        .bare()
        .var("TRUST_LEVEL", "private")
        .start();
    let reply = closed.network("alpha").public.get(method);
    assert_eq!(reply.status, 403, "{}", reply.text());
}
