//! What agents say is found nowhere but in their inboxes: not in any file a network keeps, not on
//! the wire between networks, not on the firehose, not in a log.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::path::Path;
use std::time::Duration;

use data_encoding::HEXLOWER;
use entente_e2e::fake_peer::{FakePeer, Identity, Item, Kind, OnDial, Receipt, Responder};
use entente_e2e::scan::{Hit, Marker, scan_folder};
use entente_e2e::socket::Heard;
use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Agent, Deployment, Network, Options, Socket};
use entente_lexicon::Did;
use entente_trust::crypto::sign::VerifyingKey;
use entente_trust::message::{Envelope, Expected, Receiving};
use serde_json::{Value, json};

fn marker(what: &str) -> Marker {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("entropy");
    Marker::new(&format!("leak-{what}-{}", HEXLOWER.encode(&bytes)))
}

fn firehose(network: &Network, as_admin: bool) -> Socket {
    let url = format!("{}/relay/firehose", network.url);
    let bearer = format!("Bearer {}", network.admin_key);
    let headers = [("authorization", bearer.as_str())];
    Socket::open(&url, if as_admin { &headers } else { &[] }).expect("an upgrade")
}

fn frame(wire: &mut Socket) -> Vec<u8> {
    match wire.hear(PATIENCE) {
        Heard::Bytes(bytes) => bytes,
        other @ (Heard::Text(_) | Heard::Closed(..) | Heard::Silence) => panic!("heard {other:?}"),
    }
}

/// Everything that came over a socket until it was quiet for a moment.
fn drain(mut socket: Socket) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match socket.hear(Duration::from_millis(1500)) {
            Heard::Text(text) => all.extend(text.into_bytes()),
            Heard::Bytes(bytes) => all.extend(bytes),
            Heard::Closed(..) | Heard::Silence => return all,
        }
    }
}

fn deliver(from: &Agent, to: &Agent, body: Value) {
    let mut body = body;
    body["to"] = json!(to.address);
    let id = from.send_body(&body);
    from.wait_for_status(&id, "delivered");
    let message = to.wait_for_message(&id);
    assert_eq!(
        message["content"], body["content"],
        "the recipient reads it"
    );
}

/// Sends the markers every way there is, several times: SQLite may split a text across two pages.
fn exchange(deployment: &Deployment, text: &Marker, data: &Marker, thread: &Marker, uri: &Marker) {
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let one = alpha.create_agent("leak-one");
    let neighbour = alpha.create_agent("leak-neighbour");
    // What a webhook is to tell in the clear waits here: its host does not exist.
    let hook = json!({ "url": "https://leak.example/in", "include": "content" });
    let made = neighbour.client.post(&neighbour.path("/webhooks"), &hook);
    let _ = made.expect(201);
    let other = beta.create_agent_with("leak-other", json!({ "adminRead": true }));
    let thread = thread.text();
    let text = json!({ "kind": "text", "text": text.text() });
    let data = json!({ "kind": "json", "data": { "secret": [data.text()] } });
    let uri = json!({ "kind": "ref", "uri": format!("https://example.com/{}", uri.text()) });
    for content in [&text, &data, &uri].into_iter().cycle().take(9) {
        let body = json!({ "content": content, "thread": thread });
        deliver(&one, &other, body.clone());
        deliver(&other, &one, body.clone());
        deliver(&one, &neighbour, body.clone());
        let mut queued = body;
        queued["async"] = json!(true);
        deliver(&one, &neighbour, queued);
    }
    // The admin reads an inbox, and a refused message is kept by its sender.
    let read = beta.admin.get(&other.path("/inbox")).expect(200);
    assert_eq!(read["messages"][0]["content"], text);
    let doomed = beta.create_agent("leak-doomed");
    deliver(&one, &doomed, json!({ "content": text }));
    assert!((200..300).contains(&beta.admin.delete(&doomed.path("")).status));
    let id = one.send_body(&json!({ "to": doomed.address, "content": text }));
    one.wait_for_status(&id, "refused");
}

/// A message to the fake peer, which records every byte of the link and then opens it as the
/// recipient would. Returns what the link carried.
fn to_the_fake_peer(deployment: &Deployment, text: &Marker) -> Vec<u8> {
    let alpha = deployment.network("alpha");
    let sender = alpha.create_agent("leak-abroad");
    let peer = FakePeer::start(deployment.take_peer_port());
    let agent = peer.add_agent("listener");
    peer.on_dial(OnDial::Accept);
    peer.join(alpha, "open");
    let mut wire = peer.accepted().socket;
    let mut recorded = Vec::new();
    let hello = frame(&mut wire);
    let known = peer.know(alpha);
    let mut responder = Responder::new(&peer.identity, known.clone(), &hello);
    recorded.extend_from_slice(&hello);
    let ack = responder.hello_ack();
    wire.send_bytes(ack);
    let auth = frame(&mut wire);
    recorded.extend_from_slice(&auth);
    responder.read_auth(&auth);
    let (ready, mut session) = responder.ready();
    wire.send_bytes(ready);
    let content = json!({ "kind": "text", "text": text.text() });
    let id = sender.send_body(&json!({ "to": agent.address, "content": content }));
    let message = wait_for("the message on the wire", PATIENCE, || {
        let bytes = frame(&mut wire);
        recorded.extend_from_slice(&bytes);
        let frame = session.read(&bytes);
        (frame.kind == Kind::Msg).then_some(frame)
    });
    let items = message.items();
    assert_eq!(items.len(), 1);
    reads_as(
        &items[0],
        alpha,
        &sender,
        &agent.identity,
        &peer.identity,
        text,
    );
    let receipt = Receipt {
        from: message.seq,
        at: 1_800_000_000_000,
        rejects: Vec::new(),
    };
    let (own, theirs) = (peer.identity.did.as_str(), alpha.did.as_str());
    let body = receipt.body(
        &peer.identity.signing,
        own,
        theirs,
        message.epoch,
        message.seq,
        &[items[0].id],
    );
    wire.send_bytes(session.write(Kind::Ack, message.epoch, message.seq, &body));
    let status = sender.wait_for_status(&id, "delivered");
    assert_eq!(status["receipts"][1]["by"], peer.identity.did.as_str());
    recorded
}

/// The recipient, and it alone, can open the message, and it is signed by its sender.
fn reads_as(
    item: &Item,
    alpha: &Network,
    sender: &Agent,
    agent: &Identity,
    network: &Identity,
    text: &Marker,
) {
    let card = alpha
        .public
        .get(&format!("/relay/agents/{}", sender.did))
        .expect(200);
    let key = VerifyingKey::from_multikey(card["keys"]["signing"].as_str().unwrap()).unwrap();
    let from = Did::parse(&sender.did).unwrap();
    assert_eq!((&item.from, &item.to), (&from, &agent.did));
    let expected = Expected {
        from: &from,
        to: &agent.did,
        network: &network.did,
    };
    let envelope = Envelope::parse(&item.envelope).expect("an envelope");
    assert_eq!(envelope.header.id, item.id);
    let open = |identity: &Identity| {
        Receiving::accept(&envelope, &identity.hybrid, &key, &expected).map(|(_, body)| body)
    };
    let body = open(agent).expect("it opens");
    let content = serde_json::to_value(&body.content).unwrap();
    assert_eq!(content, json!({ "kind": "text", "text": text.text() }));
    let stranger = Identity::network("localhost:1");
    assert!(open(&stranger).is_err());
}

/// A message that waits in the outbox of a peer that never answers.
fn to_nobody(deployment: &Deployment, text: &Marker) {
    let alpha = deployment.network("alpha");
    let sender = alpha.create_agent("leak-waiting");
    let peer = FakePeer::start(deployment.take_peer_port());
    let agent = peer.add_agent("deaf");
    peer.join(alpha, "open");
    let _ = sender.send(&agent.address, text.text());
    assert_eq!(alpha.peer(peer.identity.did.as_str())["queued"], 1);
}

/// Records with the markers: stored, found, changed, shared across networks, taken back, deleted. And
/// one that its owner publishes.
fn remember(deployment: &Deployment, secret: &Marker, shown: &Marker) -> Agent {
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("leak-owner");
    let reader = beta.create_agent("leak-reader");
    let record = |text: &str| {
        let tags = [text, "harbour"];
        json!({ "record": { "$type": "agent.memory.note", "text": text, "tags": tags } })
    };
    let store = |text: &str| {
        owner
            .client
            .post(&owner.path("/memory"), &record(text))
            .expect(201)
    };
    let path = |stored: &Value, rest: &str| {
        owner.path(&format!("/memory/{}{rest}", stored["id"].as_str().unwrap()))
    };
    for _ in 0..6 {
        let stored = store(secret.text());
        let with = json!({ "with": reader.address });
        let _ = owner
            .client
            .post(&path(&stored, "/share"), &with)
            .expect(200);
        let headers = [("content-type", "application/json")];
        let body = record(secret.text()).to_string();
        let put = owner
            .client
            .send("PUT", &path(&stored, ""), &headers, body.as_bytes());
        let _ = put.expect(200);
        let unshare = path(&stored, &format!("/share/{}", reader.did));
        let _ = owner.client.delete(&unshare).expect(200);
    }
    let gone = store(secret.text());
    assert_eq!(owner.client.delete(&path(&gone, "")).status, 204);
    let query = owner.path(&format!("/memory/search?q={}", secret.text()));
    let found = owner.client.get(&query).expect(200);
    assert_eq!(found["hits"].as_array().unwrap().len(), 6);
    let shared = reader.path("/memory/shared");
    wait_for("what was shared", PATIENCE, || {
        let list = reader.client.get(&shared).expect(200);
        (list["records"].as_array()?.len() == 6).then_some(())
    });
    let _ = owner
        .client
        .post(&owner.path("/memory/rotate"), &json!({}))
        .expect(200);
    for _ in 0..8 {
        let stored = store(shown.text());
        let _ = owner
            .client
            .post(&path(&stored, "/public"), &json!({}))
            .expect(200);
    }
    owner
}

/// The replica in D1 has all of an agent's memory, and the queue that feeds it carried hints alone:
/// the log shows all that was sent to it.
fn is_replicated(deployment: &Deployment, owner: &Agent, shown: &Marker) {
    wait_for("the replica to be done", PATIENCE, || {
        let view = owner.client.get(&owner.path("/memory/replica")).expect(200);
        (view["pending"] == 0).then_some(())
    });
    let statement = format!(
        "SELECT json_group_array(json_array(public, hex(ciphertext))) FROM records WHERE did = '{}'",
        owner.did
    );
    let rows: Value = serde_json::from_str(&deployment.sql("alpha", &statement)).unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 14, "{rows:?}");
    let readable = rows.iter().filter(|row| row[0] == 1);
    let hits = readable.filter(|row| {
        let bytes = row[1].as_str().unwrap().as_bytes();
        !shown.find("D1", bytes).is_empty()
    });
    assert_eq!(hits.count(), 8, "what is public is in the clear");
    let log = deployment.log("alpha");
    let queued = log.lines().filter_map(|line| line.split_once("queued: "));
    let queued: Vec<Value> = queued
        .map(|(_, body)| serde_json::from_str(body).unwrap())
        .collect();
    assert!(queued.iter().any(|hint| hint["did"] == owner.did));
    let is_mail = |hint: &Value| hint["from"].is_string();
    assert!(queued.iter().any(is_mail), "mail went by the queue");
    for hint in queued {
        let names: Vec<_> = hint.as_object().unwrap().keys().collect();
        if is_mail(&hint) {
            assert_eq!(names, ["from", "to"], "{hint}");
            let object = hint["from"].as_str().unwrap();
            assert!(object.bytes().all(|b| b.is_ascii_hexdigit()), "{hint}");
            assert!(Did::parse(hint["to"].as_str().unwrap()).is_ok(), "{hint}");
        } else {
            assert_eq!(names, ["did", "revision"], "{hint}");
            assert!(hint["revision"].is_u64(), "{hint}");
        }
    }
}

/// A group across networks whose name and messages are a marker, and broadcasts of it:
/// in the group, and to an agent that is named. Returns the marker.
fn to_many(deployment: &Deployment) -> Marker {
    let secret = &marker("many");
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("leak-crier");
    let member = beta.create_agent("leak-crew");
    let post = |agent: &Agent, path: &str, body: &Value| agent.client.post(&agent.path(path), body);
    let body = json!({ "name": secret.text(), "members": [member.address] });
    let group = post(&owner, "/groups", &body).expect(201);
    let path = format!("/groups/{}", group["id"].as_str().unwrap());
    let is_in = |agent: &Agent, standing: &str| {
        wait_for("the group to come", PATIENCE, || {
            let reply = agent.client.get(&agent.path(&path));
            (reply.status == 200 && reply.value()["standing"] == standing).then_some(())
        });
    };
    is_in(&member, "invited");
    let _ = post(&member, &format!("{path}/accept"), &json!({})).expect(200);
    is_in(&member, "member");
    let content = json!({ "kind": "text", "text": secret.text() });
    let body = json!({ "content": content, "thread": secret.text() });
    let arrives = |agent: &Agent, from: &Agent, wanted: usize| {
        wait_for("it to arrive", PATIENCE, || {
            let inbox = agent.inbox(50).into_iter();
            let of = inbox.filter(|message| message["from"] == from.address);
            let said = of.filter(|message| message["content"].to_string().contains(secret.text()));
            (said.count() >= wanted).then_some(())
        });
    };
    for _ in 0..4 {
        let _ = post(&owner, &format!("{path}/messages"), &body).expect(202);
        let _ = post(&member, &format!("{path}/messages"), &body).expect(202);
    }
    arrives(&owner, &member, 4);
    let words = json!({ "$type": "agent.comms.defs#text", "text": secret.text() });
    let audience = [
        member.address.clone(),
        format!("group:{}", group["id"].as_str().unwrap()),
    ];
    let record =
        json!({ "$type": "agent.comms.broadcast", "content": words, "audience": audience });
    for _ in 0..3 {
        let _ = post(&owner, "/broadcasts", &json!({ "record": record })).expect(202);
    }
    // The invitation, four messages, and each broadcast twice.
    arrives(&member, &owner, 11);
    Marker::new(secret.text())
}

/// Blobs with the marker as their bytes and in their type: kept, referred to, deleted, given up half
/// way. Returns the CID of one that is kept, which nothing but its owner is told.
fn keep_blobs(deployment: &Deployment, owner: &Agent, secret: &Marker) -> Marker {
    const PART: usize = 8 * 1024 * 1024;
    let blobs = |rest: &str| owner.path(&format!("/blobs{rest}"));
    let begin = |size: usize| {
        let body = json!({ "size": size, "mimeType": format!("x/{}", secret.text()) });
        let begun = owner.client.post(&blobs(""), &body).expect(201);
        begun["upload"].as_str().unwrap().to_owned()
    };
    let put = |upload: &str, part: usize, bytes: &[u8]| {
        let path = blobs(&format!("/{upload}/{part}"));
        let _ = owner.client.send("PUT", &path, &[], bytes).expect(200);
    };
    let text = |salt: usize, size: usize| {
        let line = format!("{salt} {} ", secret.text());
        let bytes: Vec<u8> = line.bytes().cycle().take(size).collect();
        bytes
    };
    let upload = |bytes: &[u8]| {
        let upload = begin(bytes.len());
        for (part, bytes) in bytes.chunks(PART).enumerate() {
            put(&upload, part, bytes);
        }
        let path = blobs(&format!("/{upload}/complete"));
        owner.client.post(&path, &json!({})).expect(200)
    };
    let bytes = text(0, PART + 70_000);
    let kept = upload(&bytes);
    let record = json!({ "$type": "agent.memory.note", "text": "attached", "file": kept["blob"] });
    let record = json!({ "record": record });
    let _ = owner
        .client
        .post(&owner.path("/memory"), &record)
        .expect(201);
    let cid = kept["cid"].as_str().unwrap();
    assert!(owner.client.get(&blobs(&format!("/{cid}"))).body == bytes);
    let gone = upload(&text(1, 100_000));
    let gone = blobs(&format!("/{}", gone["cid"].as_str().unwrap()));
    assert_eq!(owner.client.delete(&gone).status, 204);
    let given_up = begin(PART + 1);
    put(&given_up, 0, &text(2, PART));
    assert_eq!(
        owner.client.delete(&blobs(&format!("/{given_up}"))).status,
        204
    );
    let half = begin(PART + 1);
    put(&half, 0, &text(3, PART));
    let bucket = deployment.persist("alpha").join("r2/blobs/blobs");
    let files = std::fs::read_dir(bucket).expect("the bucket").count();
    assert!(files >= 3, "the bucket has {files} files");
    Marker::new(cid)
}

/// Everything that was said is in the backups too, sealed: even what is public.
fn backed_up_and_sealed(deployment: &Deployment, public: &Marker) {
    for name in ["alpha", "beta"] {
        let admin = &deployment.network(name).admin;
        let made = admin.post("/admin/backups", &json!({})).expect(201);
        assert_eq!(made["state"], "whole");
        let bucket = deployment.persist(name).join("r2");
        let (hits, files) = scan_folder(&bucket, std::slice::from_ref(public));
        let parts = made["parts"].as_u64().unwrap();
        assert!(files.len() as u64 > parts, "{} files", files.len());
        no_hits(&hits);
    }
}

fn no_hits(hits: &[Hit]) {
    assert!(hits.is_empty(), "found what must not be there: {hits:#?}");
}

fn is_object(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains("/do/") && text.contains(".sqlite")
}

/// The scanner finds what is in D1 and in the objects of a network.
fn finds_the_planted(folder: &Path, planted: &Marker) {
    let (found, files) = scan_folder(folder, std::slice::from_ref(planted));
    let objects = files.iter().filter(|path| is_object(path)).count();
    assert!(objects >= 5, "{objects} objects among {files:#?}");
    assert!(
        found.iter().any(|hit| hit.place.contains("/d1/")),
        "the planted name is in D1: {found:#?}"
    );
    assert!(
        found.iter().any(|hit| is_object(Path::new(&hit.place))),
        "and in an object: {found:#?}"
    );
}

#[test]
fn what_agents_say_is_stored_and_carried_nowhere_in_the_clear() {
    let options = Options::default().networks(2).fake_peers(2);
    let deployment = options.var("LOCAL_QUEUE", "tapped").start();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let (text, data, thread, uri) = (
        marker("text"),
        marker("data"),
        marker("thread"),
        marker("uri"),
    );
    let watchers: Vec<_> = [alpha, beta]
        .into_iter()
        .flat_map(|network| [(network, true), (network, false)])
        .map(|(network, admin)| {
            (
                format!("{}'s firehose, admin {admin}", network.name),
                firehose(network, admin),
            )
        })
        .collect();
    exchange(&deployment, &text, &data, &thread, &uri);
    let link = to_the_fake_peer(&deployment, &text);
    to_nobody(&deployment, &text);
    let (memory, public) = (marker("memory"), marker("public"));
    let owner = remember(&deployment, &memory, &public);
    is_replicated(&deployment, &owner, &public);
    let (blob, many) = (marker("blob"), to_many(&deployment));
    let cid = keep_blobs(&deployment, &owner, &blob);
    backed_up_and_sealed(&deployment, &public);
    // A name is no secret: it proves that the scanner reads the right files, written through. There
    // are several, since SQLite may split one across two pages.
    let planted = marker("planted");
    for network in [alpha, beta] {
        for number in 0..8 {
            let _ = network.create_agent(&format!("{}-{number}", planted.text()));
        }
    }

    let markers = [text, data, thread, uri, memory, blob, cid, many];
    for (place, socket) in watchers {
        let seen = drain(socket);
        assert!(seen.len() > 500, "{place} showed next to nothing");
        no_hits(
            &markers
                .iter()
                .flat_map(|marker| marker.find(&place, &seen))
                .collect::<Vec<_>>(),
        );
    }
    assert!(link.len() > 2500, "the link carried {} bytes", link.len());
    no_hits(
        &markers
            .iter()
            .flat_map(|marker| marker.find("the link", &link))
            .collect::<Vec<_>>(),
    );

    for network in [alpha, beta] {
        finds_the_planted(&deployment.persist(&network.name), &planted);
    }
    let (shown, _) = scan_folder(&deployment.persist("alpha"), &[public]);
    assert!(!shown.is_empty(), "what is public is in the clear");
    // Persisted state, logs, the tables for scripts: everything there is.
    let (hits, files) = scan_folder(deployment.state(), &markers);
    assert!(
        files.iter().any(|path| path.ends_with("alpha/log")),
        "{files:#?}"
    );
    no_hits(&hits);
}
