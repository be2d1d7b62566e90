//! Blobs of shared records: those whom the record is shared with read them, on this network and on
//! another one, and nobody else does.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use entente_e2e::Network;
use entente_e2e::fake_peer::{FakePeer, SignedUpgrade};
use entente_e2e::wait::{PATIENCE, wait_for};

use super::large::peak;
use super::*;

/// Two networks that are peers; of these tests too some kill them.
fn two() -> (MutexGuard<'static, ()>, &'static Deployment) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| Options::default().networks(2).fake_peers(1).start());
    (turn, shared)
}

fn lent_path(reader: &Agent, record: &Value, blob: &Value) -> String {
    let (cid, uri) = (
        blob["cid"].as_str().unwrap(),
        record["uri"].as_str().unwrap(),
    );
    reader.path(&format!("/blobs/{cid}?uri={uri}"))
}

fn borrow(reader: &Agent, record: &Value, blob: &Value) -> Reply {
    reader.client.get(&lent_path(reader, record, blob))
}

fn borrow_range(reader: &Agent, record: &Value, blob: &Value, range: &str) -> Reply {
    let path = lent_path(reader, record, blob);
    reader.client.send("GET", &path, &[("range", range)], &[])
}

/// Shares a record and waits until its reader has it at this version.
fn share(owner: &Agent, record: &Value, reader: &Agent) {
    let path = format!("{}/share", record_path(owner, record));
    let body = json!({ "with": reader.address });
    let shared = owner.client.post(&path, &body).expect(200);
    has(reader, record, shared["version"].as_u64().unwrap());
}

fn has(reader: &Agent, record: &Value, version: u64) {
    let uri = record["uri"].as_str().unwrap();
    let path = reader.path(&format!("/memory/shared?uri={uri}"));
    wait_for("the shared record", PATIENCE, || {
        let reply = reader.client.get(&path);
        (reply.status == 200 && reply.value()["records"][0]["version"] == version).then_some(())
    });
}

fn unshare(owner: &Agent, record: &Value, reader: &Agent) -> Value {
    let path = format!("{}/share/{}", record_path(owner, record), reader.did);
    owner.client.delete(&path).expect(200)
}

#[test]
fn who_is_given_a_record_reads_its_blob_and_whom_it_is_taken_from_no_more() {
    let (_turn, deployment) = two();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("lender");
    let (near, far) = (alpha.create_agent("near"), beta.create_agent("far"));
    let bytes = noise(90, 5 * CHUNK + 321);
    let (blob, other) = (upload(&owner, &bytes), upload(&owner, &noise(91, 500)));
    let record = attach(&owner, &blob);
    for reader in [&near, &far] {
        borrow(reader, &record, &blob).refused(404, "UNKNOWN_RECORD");
        share(&owner, &record, reader);
        let read = borrow(reader, &record, &blob);
        assert!(
            read.status == 200 && read.body == bytes,
            "{}",
            read.excerpt()
        );
        assert_eq!(
            read.header("content-type"),
            Some("application/octet-stream")
        );
        for (range, expected) in [
            ("bytes=0-9", &bytes[..10]),
            ("bytes=65535-65536", &bytes[CHUNK - 1..=CHUNK]),
            ("bytes=-400", &bytes[bytes.len() - 400..]),
        ] {
            let part = borrow_range(reader, &record, &blob, range);
            assert!(part.status == 206 && part.body == expected, "{range}");
        }
        borrow_range(reader, &record, &blob, "bytes=9999999-").refused(416, "BLOB_RANGE");
        let path = lent_path(reader, &record, &blob);
        let head = reader.client.send("HEAD", &path, &[], &[]);
        assert_eq!(
            head.header("content-length"),
            Some(&*bytes.len().to_string())
        );
        // Only what the record refers to, and not by itself.
        borrow(reader, &record, &other).refused(404, "UNKNOWN_BLOB");
        read_path(reader, &blob).refused(404, "UNKNOWN_BLOB");
    }
    let stranger = beta.create_agent("not-given");
    borrow(&stranger, &record, &blob).refused(404, "UNKNOWN_RECORD");
    let changed = unshare(&owner, &record, &far);
    borrow(&far, &record, &blob).refused(404, "UNKNOWN_BLOB");
    has(&near, &record, changed["version"].as_u64().unwrap());
    assert!(
        borrow(&near, &record, &blob).body == bytes,
        "under the new key"
    );
    let forget = format!("{}/forget", record_path(&owner, &record));
    let _ = owner.client.post(&forget, &json!({})).expect(200);
    let gone = borrow(&near, &record, &blob);
    assert_eq!(gone.status, 404, "{}", gone.excerpt());
}

fn read_path(reader: &Agent, blob: &Value) -> Reply {
    read(reader, blob)
}

#[test]
fn a_link_that_lets_nothing_pass_lets_no_blob_pass_either() {
    let (_turn, deployment) = two();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let (owner, far) = (
        alpha.create_agent("shut-lender"),
        beta.create_agent("shut-reader"),
    );
    let bytes = noise(92, 2_000);
    let blob = upload(&owner, &bytes);
    let record = attach(&owner, &blob);
    share(&owner, &record, &far);
    assert!(borrow(&far, &record, &blob).body == bytes);
    for (ours, theirs, way) in [
        (alpha, beta, "allowOutbound"),
        (beta, alpha, "allowInbound"),
    ] {
        let path = format!("/admin/federation/peers/{}", theirs.did);
        let _ = ours.admin.patch(&path, &json!({ way: false })).expect(200);
        let refused = wait_for("the policy to hold", PATIENCE, || {
            let reply = borrow(&far, &record, &blob);
            (reply.status != 200).then_some(reply)
        });
        assert_eq!(refused.status, 403, "{way}: {}", refused.excerpt());
        let _ = ours.admin.patch(&path, &json!({ way: true })).expect(200);
        wait_for("the policy to let go", PATIENCE, || {
            (borrow(&far, &record, &blob).status == 200).then_some(())
        });
    }
}

/// Asks for an answer, reads at least so much of its body, and then calls `then` before the rest.
/// Returns all that came of the body.
fn read_slowly(
    network: &Network,
    reader: &Agent,
    path: &str,
    most: usize,
    then: impl FnOnce(),
) -> Vec<u8> {
    let address = network.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        reader.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut came = Vec::new();
    let mut buffer = vec![0; CHUNK];
    while came.len() < most {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&came));
        came.extend_from_slice(&buffer[..read]);
    }
    then();
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        came.extend_from_slice(&buffer[..read]);
    }
    let end = came
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&came[..end]).to_lowercase();
    assert!(
        head.contains(" 200 ") && head.contains("content-length"),
        "{head}"
    );
    came.split_off(end + 4)
}

#[test]
fn many_megabytes_are_lent_in_bounded_memory_and_gone_on_with_after_a_kill() {
    const LENGTH: usize = 48 * 1024 * 1024;
    // Two programs hold what is on its way, and neither a whole blob and its copy.
    const MOST_KIB: u64 = 96 * 1024;
    let (_turn, deployment) = two();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let (owner, far) = (
        alpha.create_agent("heavy-lender"),
        beta.create_agent("heavy-reader"),
    );
    let bytes = noise(93, LENGTH);
    let blob = upload(&owner, &bytes);
    let record = attach(&owner, &blob);
    share(&owner, &record, &far);
    deployment.kill9("beta");
    deployment.restart("beta");
    let first = borrow_range(&far, &record, &blob, "bytes=0-99");
    assert!(first.status == 206 && first.body == bytes[..100]);
    let workerd = || {
        let all = peak(deployment.pid("beta"));
        let workerd = all.iter().filter(|(name, _)| name.starts_with("workerd"));
        workerd.map(|(_, kib)| *kib).max().unwrap()
    };
    let before = workerd();
    let path = lent_path(&far, &record, &blob);
    let kill = || deployment.kill9("alpha");
    let came = read_slowly(beta, &far, &path, 4 * 1024 * 1024, kill);
    assert!(came.len() < LENGTH, "it was broken off");
    assert!(
        came == bytes[..came.len()],
        "what came is the blob's beginning"
    );
    deployment.restart("alpha");
    let range = format!("bytes={}-", came.len());
    let rest = borrow_range(&far, &record, &blob, &range);
    assert!(rest.status == 206 && rest.body == bytes[came.len()..]);
    let grown = workerd() - before;
    println!(
        "{} of {LENGTH} bytes before the kill; {grown} KiB more at the peak",
        came.len()
    );
    assert!(grown < MOST_KIB, "{grown} KiB more");
}

#[test]
fn a_request_for_chunks_is_judged_by_who_signed_it() {
    let (_turn, deployment) = two();
    let alpha = deployment.network("alpha");
    let peer = FakePeer::start(deployment.take_peer_port());
    let _ = peer.join(alpha, "open");
    let (reader, stranger) = (peer.add_agent("reader"), peer.add_agent("stranger"));
    let owner = alpha.create_agent("asked-lender");
    let blob = upload(&owner, &noise(94, 3_000));
    let record = attach(&owner, &blob);
    let share = format!("{}/share", record_path(&owner, &record));
    let body = json!({ "with": reader.address });
    // Whether its mail arrives does not matter here.
    let _ = owner.client.post(&share, &body).expect(200);
    let (cid, id) = (
        blob["cid"].as_str().unwrap(),
        record["id"].as_str().unwrap(),
    );
    let place = id.replacen(':', "%2F", 1);
    let path = |who: &entente_e2e::fake_peer::FakeAgent, to: u64| {
        let did = &who.identity.did;
        format!(
            "/relay/agents/{}/blobs/{cid}?reader={did}&record={place}&cid={cid}&dek={}&from=0&to={to}",
            owner.did,
            "a".repeat(26)
        )
    };
    let ask = |path: &str, signed: &SignedUpgrade| {
        let headers = signed.headers();
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        alpha.public.send("GET", path, &headers, &[])
    };
    let signed = |who: &entente_e2e::fake_peer::FakeAgent, path: &str| {
        let mut signed = SignedUpgrade::new(&who.identity, alpha);
        signed.path = path.to_owned();
        signed.covered.push("@query".to_owned());
        signed
    };
    let good = path(&reader, 1);
    // It is the reader's; the key of the record it should know by now is another one.
    ask(&good, &signed(&reader, &good)).refused(409, "SHARE_OUTDATED");
    alpha.public.get(&good).refused(401, "SIGNATURE_MISSING");
    let theirs = path(&stranger, 1);
    ask(&theirs, &signed(&stranger, &theirs)).refused(404, "UNKNOWN_BLOB");
    // Another's name, another's key, another's request, another's time.
    ask(&good, &signed(&stranger, &good)).refused(400, "INVALID_QUERY");
    let mut forged = signed(&reader, &good);
    forged.key = stranger.identity.signing.clone();
    ask(&good, &forged).refused(404, "UNKNOWN_BLOB");
    let more = path(&reader, 9);
    ask(&more, &signed(&reader, &good)).refused(404, "UNKNOWN_BLOB");
    let bare = signed(&reader, &good).without("@query");
    ask(&good, &bare).refused(401, "SIGNATURE_INCOMPLETE");
    let old = signed(&reader, &good).moved(-600);
    ask(&good, &old).refused(401, "CLOCK_SKEW");
    let elsewhere = good.replace(cid, &crate::cid(b"never uploaded"));
    ask(&elsewhere, &signed(&reader, &elsewhere)).refused(404, "UNKNOWN_BLOB");
}
