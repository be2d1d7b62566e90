//! Blobs of public records: anyone reads them, and nobody once the record is public no more.

use super::*;

fn get_blob(client: &entente_e2e::Client, agent: &Agent, blob: &Value) -> Reply {
    let (did, cid) = (&agent.did, blob["cid"].as_str().unwrap());
    client.get(&format!(
        "/xrpc/com.atproto.sync.getBlob?did={did}&cid={cid}"
    ))
}

fn not_found(reply: &Reply) {
    assert_eq!(reply.expect(400)["error"], "BlobNotFound");
}

#[test]
fn anyone_reads_a_blob_of_a_public_record_and_nobody_that_of_another() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("publisher");
    let bytes = noise(80, 3 * CHUNK + 9);
    let blob = upload(&agent, &bytes);
    let record = attach(&agent, &blob);
    not_found(&get_blob(&alpha.public, &agent, &blob));
    let public = format!("{}/public", record_path(&agent, &record));
    let _ = agent.client.post(&public, &json!({})).expect(200);
    let read = get_blob(&alpha.public, &agent, &blob);
    assert!(read.status == 200 && read.body == bytes, "{}", read.status);
    assert_eq!(
        read.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(
        read.header("content-security-policy"),
        Some("default-src 'none'; sandbox")
    );
    let cid = blob["cid"].as_str().unwrap();
    let path = format!("/xrpc/com.atproto.sync.getBlob?did={}&cid={cid}", agent.did);
    let range = [("range", "bytes=70000-70009")];
    let part = alpha.public.send("GET", &path, &range, &[]);
    assert!(part.status == 206 && part.body == bytes[70_000..70_010]);
    // What an earlier version of a public record referred to is not public.
    let plain = json!({ "record": { "$type": "agent.memory.note", "text": "gone" } });
    let path = record_path(&agent, &record);
    let body = plain.to_string();
    let json = [("content-type", "application/json")];
    let _ = agent
        .client
        .send("PUT", &path, &json, body.as_bytes())
        .expect(200);
    not_found(&get_blob(&alpha.public, &agent, &blob));
    assert!(read_own(&agent, &blob) == bytes, "its owner still has it");
}

fn read_own(agent: &Agent, blob: &Value) -> Vec<u8> {
    read(agent, blob).body
}

#[test]
fn a_blob_whose_record_is_made_private_is_public_no_more() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("withdrawer");
    let blob = upload(&agent, &noise(81, 1_000));
    let record = attach(&agent, &blob);
    let public = format!("{}/public", record_path(&agent, &record));
    let _ = agent.client.post(&public, &json!({})).expect(200);
    assert_eq!(get_blob(&alpha.public, &agent, &blob).status, 200);
    let _ = agent.client.delete(&public).expect(200);
    not_found(&get_blob(&alpha.public, &agent, &blob));
    let missing = json!({ "cid": cid(b"never uploaded") });
    not_found(&get_blob(&alpha.public, &agent, &missing));
    not_found(&get_blob(&alpha.public, &agent, &json!({ "cid": "x" })));
}
