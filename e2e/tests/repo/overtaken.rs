//! An archive is what the tree was when it was asked for, whatever is written while it goes out.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{deployment, judged, repo_key};

/// Enough that most of it is still to be sent once its beginning has been read.
const RECORDS: usize = 500;
const TEXT_BYTES: usize = 49_000;

/// Joins the chunks that a body came in.
fn whole(mut body: &[u8]) -> Vec<u8> {
    let mut joined = Vec::new();
    loop {
        let end = body
            .windows(2)
            .position(|window| window == b"\r\n")
            .unwrap();
        let length = std::str::from_utf8(&body[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return joined;
        }
        joined.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 4 + length..];
    }
}

#[test]
fn an_export_that_writes_overtake_is_still_what_the_repo_was() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("overtaken");
    let key = repo_key(&alpha.public, &agent);
    let note = |text: &str| json!({ "record": { "$type": "agent.memory.note", "text": text } });
    let text = |number: usize| format!("{number:05} ").repeat(TEXT_BYTES / 6);
    let records: Vec<Value> = (0..RECORDS)
        .map(|number| {
            let body = note(&text(number));
            agent.client.post(&agent.path("/memory"), &body).expect(201)
        })
        .collect();
    let mut stream = TcpStream::connect(alpha.url.trim_start_matches("http://")).unwrap();
    let head = format!(
        "GET {} HTTP/1.1\r\nconnection: close\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n",
        agent.path("/export"),
        alpha.host,
        agent.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut came = vec![0];
    stream.read_exact(&mut came).unwrap();
    for (number, record) in records.iter().enumerate().skip(RECORDS / 2) {
        let path = agent.path(&format!("/memory/{}", record["id"].as_str().unwrap()));
        if number % 2 == 0 {
            assert_eq!(agent.client.delete(&path).status, 204);
        } else {
            let body = note("changed").to_string();
            let json = [("content-type", "application/json")];
            let _ = agent
                .client
                .send("PUT", &path, &json, body.as_bytes())
                .expect(200);
        }
    }
    let _ = stream.read_to_end(&mut came).unwrap();
    let end = came
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let archive = whole(&came.split_off(end + 4));
    let read = judged(&archive, &agent.did, &key, "overtaken").expect("whole and sound");
    let found: Vec<_> = read["records"].as_array().unwrap().iter().collect();
    assert_eq!(found.len(), RECORDS);
    for (record, found) in records.iter().zip(found) {
        assert_eq!(record["cid"], found["cid"], "as it was");
    }
    // What was put aside is gone with the archive, and the next one is of what there is now.
    let after = agent.client.get(&agent.path("/export"));
    let read = judged(&after.body, &agent.did, &key, "after-overtaken").expect("whole and sound");
    assert_eq!(read["records"].as_array().unwrap().len(), RECORDS * 3 / 4);
}
