//! What an export holds comes back: once, whole, and nothing else changes.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;

use entente_e2e::Network;
use entente_e2e::wait::{PATIENCE, wait_for};

use super::*;

pub(super) const CAR: [(&str, &str); 1] = [("content-type", "application/vnd.ipld.car")];

pub(super) fn export(agent: &Agent) -> Vec<u8> {
    let reply = agent.client.get(&agent.path("/export"));
    assert_eq!(reply.status, 200, "{}", reply.excerpt());
    reply.body
}

pub(super) fn import(agent: &Agent, archive: &[u8]) -> Reply {
    let path = agent.path("/memory/import");
    agent.client.send("POST", &path, &CAR, archive)
}

pub(super) fn delete(agent: &Agent, record: &Value) {
    assert_eq!(agent.client.delete(&path(agent, record, "")).status, 204);
}

/// Begins an import whose body of `announced` bytes breaks off after these, and keeps its socket open.
pub(super) fn begin(network: &Network, agent: &Agent, announced: usize, sent: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(network.url.trim_start_matches("http://")).unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        agent.path("/memory/import"),
        network.host,
        agent.token,
        announced
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(sent).unwrap();
    socket.flush().unwrap();
    socket
}

#[test]
fn an_export_brings_back_what_is_missing_and_changes_nothing_else() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("importer");
    let records: Vec<_> = (0..30)
        .map(|number| store(&agent, &note(&format!("harbour number {number}"))))
        .collect();
    let archive = export(&agent);
    for record in &records[..10] {
        delete(&agent, record);
    }
    let put = note("changed since").to_string();
    let headers = [("content-type", "application/json")];
    let changed = path(&agent, &records[20], "");
    let changed = agent
        .client
        .send("PUT", &changed, &headers, put.as_bytes())
        .expect(200);
    let done = import(&agent, &archive).expect(200);
    assert_eq!(
        (&done["imported"], &done["kept"]),
        (&json!(10), &json!(20)),
        "{done}"
    );
    for (number, record) in records.iter().enumerate() {
        let now = get(&agent, record).expect(200);
        let expected = if number == 20 { &changed } else { record };
        for field in ["id", "cid", "version", "level", "record"] {
            assert_eq!(now[field], expected[field], "{number}: {field}");
        }
    }
    // Findable again, in the signed tree again, deletable again; and once more changes nothing.
    let query = agent.path("/memory/search?q=harbour&limit=100");
    let hits = agent.client.get(&query).expect(200);
    assert_eq!(hits["hits"].as_array().unwrap().len(), 29);
    let again = import(&agent, &archive).expect(200);
    assert_eq!(
        (&again["imported"], &again["kept"]),
        (&json!(0), &json!(30))
    );
    let second = export(&agent);
    assert_eq!(import(&agent, &second).expect(200)["kept"], 30);
    delete(&agent, &records[0]);
    assert_eq!(import(&agent, &second).expect(200)["imported"], 1);
    assert_eq!(list(&agent, "", 100).len(), 30);
}

#[test]
fn a_public_archive_brings_back_what_was_public() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("public-importer");
    let records: Vec<_> = (0..4)
        .map(|number| store(&agent, &note(&format!("open {number}"))))
        .collect();
    for record in &records {
        let public = path(&agent, record, "/public");
        let _ = agent.client.post(&public, &json!({})).expect(200);
    }
    let url = format!("/xrpc/com.atproto.sync.getRepo?did={}", agent.did);
    let archive = alpha.public.get(&url).body;
    delete(&agent, &records[0]);
    let withdrawn = path(&agent, &records[1], "/public");
    let _ = agent.client.delete(&withdrawn).expect(200);
    let done = import(&agent, &archive).expect(200);
    assert_eq!((&done["imported"], &done["kept"]), (&json!(1), &json!(3)));
    assert_eq!(get(&agent, &records[0]).expect(200)["level"], "public");
    assert_eq!(
        get(&agent, &records[1]).expect(200)["level"],
        "private",
        "what was taken back stays so"
    );
    let listed = format!(
        "/xrpc/com.atproto.repo.listRecords?repo={}&collection=agent.memory.note",
        agent.did
    );
    let listed = alpha.public.get(&listed).expect(200);
    assert_eq!(listed["records"].as_array().unwrap().len(), 3);
}

#[test]
fn an_import_that_is_killed_leaves_everything_or_nothing_and_can_be_repeated() {
    const RECORDS: usize = 150;
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("killed-importer");
    let records: Vec<_> = (0..RECORDS)
        .map(|number| store(&agent, &note(&format!("to come back {number}"))))
        .collect();
    let archive = export(&agent);
    for record in &records {
        delete(&agent, record);
    }
    // In the middle of the upload: another one is told to wait, which shows that this one is in.
    let open = begin(alpha, &agent, archive.len(), &archive[..archive.len() / 2]);
    wait_for("the import to be under way", PATIENCE, || {
        let reply = import(&agent, &[]);
        (reply.status == 409).then(|| reply.refused(409, "IMPORT_RUNNING"))
    });
    assert_eq!(list(&agent, "", 100).len(), 0);
    deployment.kill9("alpha");
    drop(open);
    deployment.restart("alpha");
    assert_eq!(list(&agent, "", 100).len(), 0, "nothing half imported");
    // And somewhere after its end.
    for _ in 0..3 {
        thread::scope(|scope| {
            let importing = scope.spawn(|| {
                let path = agent.path("/memory/import");
                agent.client.attempt("POST", &path, &CAR, &archive).is_ok()
            });
            let whole = begin(alpha, &agent, archive.len(), &archive);
            deployment.kill9("alpha");
            drop(whole);
            importing.join().unwrap();
        });
        deployment.restart("alpha");
        let there = list(&agent, "", 100).len();
        assert!([0, RECORDS].contains(&there), "{there} of {RECORDS}");
    }
    let done = import(&agent, &archive).expect(200);
    let [imported, kept] = [&done["imported"], &done["kept"]].map(|n| n.as_u64().unwrap());
    assert_eq!(imported + kept, RECORDS as u64);
    for record in records.iter().step_by(10) {
        assert_eq!(get(&agent, record).expect(200)["cid"], record["cid"]);
    }
}
