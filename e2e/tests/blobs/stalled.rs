//! Bodies that stall in the middle: they give their place back, and nothing of them is kept.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use entente_e2e::Network;
use entente_e2e::wait::{PATIENCE, wait_for};

use super::*;

/// Sends the head of a request, and `bytes` of the `length` that it announces.
fn half(network: &Network, agent: &Agent, to: &str, (bytes, length): (&[u8], usize)) -> TcpStream {
    let mut stream = TcpStream::connect(network.host.replace("localhost", "127.0.0.1")).unwrap();
    let head = format!(
        "{to} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: {length}\r\n\r\n",
        network.host, agent.token,
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// Reads the answer, up to its code.
fn answer(stream: &mut TcpStream, code: &str) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut text, mut some) = (String::new(), [0; 1_024]);
    while !text.contains(code) {
        let read = stream.read(&mut some).unwrap();
        assert!(read > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&some[..read]));
    }
    text
}

#[test]
fn a_part_that_stalls_gives_its_place_back_and_leaves_nothing() {
    let deployment = Options::default().networks(1).bare();
    let deployment = deployment.var("BODY_SILENCE_MS", "2000").start();
    let alpha = deployment.network("alpha");
    let (slow, other) = (alpha.create_agent("stalling"), alpha.create_agent("lively"));
    let part = noise(21, PART);
    let begun = begin(&slow, PART);
    let to = format!("PUT {}", upload_path(&slow, &begun, "/0"));
    let mut stalled = half(alpha, &slow, &to, (&part[..PART / 2], PART));
    wait_for("the part to be in the way", PATIENCE, || {
        let reply = put_part(&slow, &begun, 0, b"of another length");
        (reply.status == 503).then(|| reply.refused(503, "BLOB_BUSY"))
    });
    let _ = upload(&other, &noise(22, 1_000));
    let told = answer(&mut stalled, "BODY_STALLED");
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    // Nothing of it was kept, and its place is free.
    assert_eq!(state(&slow, &begun)["received"], 0);
    wait_for("the place to be free", PATIENCE, || {
        (put_part(&slow, &begun, 0, &part).status == 200).then_some(())
    });
    assert_eq!(complete(&slow, &begun).expect(200)["cid"], cid(&part));
    // Nor does an archive that stalls keep others out.
    let to = format!("POST {}", slow.path("/memory/import"));
    let archive = slow.client.get(&slow.path("/export")).body;
    let mut stalled = half(
        alpha,
        &slow,
        &to,
        (&archive[..archive.len() / 2], archive.len()),
    );
    let told = answer(&mut stalled, "BODY_STALLED");
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    wait_for("the archive to be taken", PATIENCE, || {
        let reply = slow
            .client
            .send("POST", &slow.path("/memory/import"), &[], &archive);
        (reply.status == 200).then_some(())
    });
}
