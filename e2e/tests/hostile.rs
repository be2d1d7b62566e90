//! With one peer that never acknowledges, one that floods and one that sends a byte a second, a
//! healthy peer's queue stays as it was, and memory and outboxes stay within their bounds.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use entente_e2e::fake_peer::{FakePeer, Initiator, Kind, OnDial, SignedUpgrade, dial_with};
use entente_e2e::socket::Heard;
use entente_e2e::wait::{PATIENCE, wait_until};
use entente_e2e::{Deployment, Network, Options, Socket};
use serde_json::json;

/// Messages of a round, and rounds.
const BATCH: usize = 20;
const ROUNDS: usize = 5;
/// What waits for the peer that never acknowledges: far more than a window.
const UNWANTED: usize = 120;
const UNWANTED_BYTES: usize = 40_000;
/// A window and the frame that fills it.
const WINDOW: u64 = (1024 + 256) * 1024;
/// By how much the Worker's process may grow meanwhile.
const GROWTH_KIB: u64 = 128 * 1024;

fn deployment() -> &'static Deployment {
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    SHARED.get_or_init(|| Options::default().networks(2).fake_peers(4).start())
}

fn alpha() -> &'static Network {
    deployment().network("alpha")
}

fn new_peer() -> FakePeer {
    FakePeer::start(deployment().take_peer_port())
}

/// Sends rounds of messages to the healthy peer, each until it is delivered; returns the deepest
/// queue that was seen.
fn rounds() -> u64 {
    let (alice, diana) = (deployment().agent("alice"), deployment().agent("diana"));
    let beta = deployment().network("beta").did.as_str();
    let depth = || alpha().peer(beta)["queued"].as_u64().unwrap();
    let mut deepest = 0;
    for round in 0..ROUNDS {
        let mut sent = Vec::with_capacity(BATCH);
        for number in 0..BATCH {
            sent.push(alice.send(&diana.address, &format!("{round}/{number}")));
            deepest = deepest.max(depth());
        }
        for id in sent {
            alice.wait_for_status(&id, "delivered");
        }
        wait_until("the healthy queue to be empty", PATIENCE, || depth() == 0);
    }
    deepest
}

/// Resident memory of the network's workerd in KiB.
fn resident_kib(name: &str) -> u64 {
    let mut family = vec![deployment().pid(name)];
    let mut total = 0;
    while let Some(pid) = family.pop() {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            line.map(|line| line[name.len()..].trim().to_owned())
        };
        if field("Name:").is_some_and(|name| name.starts_with("workerd")) {
            let resident = field("VmRSS:").unwrap_or_default();
            total += resident.trim_end_matches(" kB").parse().unwrap_or(0);
        }
        let tasks = fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten();
        for task in tasks.flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            family.extend(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    total
}

fn frame(wire: &mut Socket) -> Option<Vec<u8>> {
    match wire.hear(PATIENCE) {
        Heard::Bytes(bytes) => Some(bytes),
        Heard::Text(_) | Heard::Closed(..) | Heard::Silence => None,
    }
}

/// Runs an attacker until the test is over.
fn attack(over: &Arc<AtomicBool>, mut once: impl FnMut() + Send + 'static) -> JoinHandle<()> {
    let over = Arc::clone(over);
    thread::spawn(move || {
        while !over.load(Ordering::SeqCst) {
            once();
        }
    })
}

/// Takes every message, answers every PING and acknowledges nothing; notes the most it was sent in
/// one session.
fn never_acknowledges(
    peer: Arc<FakePeer>,
    over: &Arc<AtomicBool>,
) -> (Arc<AtomicU64>, JoinHandle<()>) {
    let most = Arc::new(AtomicU64::new(0));
    let noted = Arc::clone(&most);
    let ends = Arc::clone(over);
    let (mut wire, mut session) = peer.answer(alpha(), &peer.identity);
    let mut bytes = 0;
    let mut open = true;
    let thread = attack(over, move || {
        if !open {
            return thread::yield_now();
        }
        match wire.hear(Duration::from_millis(200)) {
            Heard::Bytes(frame) => {
                let heard = session.read(&frame);
                if heard.kind == Kind::Msg {
                    bytes += frame.len() as u64;
                    noted.fetch_max(bytes, Ordering::SeqCst);
                }
                if heard.kind == Kind::Ping {
                    wire.send_bytes(session.write(Kind::Pong, 0, 0, &heard.body));
                }
            }
            Heard::Closed(..) => open = ends.load(Ordering::SeqCst),
            Heard::Text(_) | Heard::Silence => {}
        }
    });
    (most, thread)
}

type Codes = Arc<Mutex<BTreeMap<String, u64>>>;

/// Dials, shakes hands and sends PINGs as fast as it can, again and again; counts what it is told.
fn floods(peer: Arc<FakePeer>, over: &Arc<AtomicBool>) -> (Codes, JoinHandle<()>) {
    let codes = Codes::default();
    let told = Arc::clone(&codes);
    let note = move |code: String| *told.lock().unwrap().entry(code).or_default() += 1;
    let mut dial = 1_u64 << 46;
    let known = peer.know(alpha());
    let thread = attack(over, move || {
        let upgrade = SignedUpgrade::new(&peer.identity, alpha());
        let mut wire = match dial_with(alpha(), &upgrade.headers()) {
            Ok(wire) => wire,
            Err((status, _)) => return note(status.to_string()),
        };
        dial += 1;
        let mut initiator = Initiator::new(&peer.identity, known.clone(), dial, "open");
        wire.send_bytes(initiator.hello());
        let Some(ack) = frame(&mut wire) else { return };
        initiator.read_hello_ack(&ack);
        wire.send_bytes(initiator.auth());
        let Some(ready) = frame(&mut wire) else {
            return;
        };
        let (_, mut session) = initiator.read_ready(&ready);
        for _ in 0..20_000 {
            wire.send_bytes(session.write(Kind::Ping, 0, 0, b"flooding"));
        }
        let (code, reason) = wire.closed(PATIENCE);
        note(if reason.is_empty() {
            code.to_string()
        } else {
            reason
        });
    });
    (codes, thread)
}

/// Begins a frame and goes on with one byte a second, again and again.
fn trickles(peer: Arc<FakePeer>, over: &Arc<AtomicBool>) -> JoinHandle<()> {
    const PACE: Duration = Duration::from_secs(1);
    let mut wire: Option<(Socket, Instant)> = None;
    attack(over, move || {
        let Some((socket, next)) = &mut wire else {
            let upgrade = SignedUpgrade::new(&peer.identity, alpha());
            // Put aside, it dials once a second, as somebody who never learns.
            let Ok(mut socket) = dial_with(alpha(), &upgrade.headers()) else {
                return thread::park_timeout(PACE);
            };
            // FIN and binary, masked, 8,000 bytes to come.
            socket.send_raw(&[0x82, 0xfe, 0x1f, 0x40, 0, 0, 0, 0]);
            wire = Some((socket, Instant::now()));
            return;
        };
        let ended = matches!(socket.hear(Duration::from_millis(200)), Heard::Closed(..));
        if Instant::now() >= *next {
            socket.send_raw(&[7]);
            *next += PACE;
        }
        if ended {
            wire = None;
        }
    })
}

#[test]
fn a_healthy_peer_does_not_notice_hostile_ones() {
    let calm = rounds();
    let before = resident_kib("alpha");
    let [mute, flooder, slow] = [(); 3].map(|()| Arc::new(new_peer()));
    let recipient = mute.add_agent("mute");
    mute.on_dial(OnDial::Accept);
    mute.join(alpha(), "open");
    flooder.join(alpha(), "open");
    slow.join(alpha(), "open");

    let over = Arc::new(AtomicBool::new(false));
    let (most, silent) = never_acknowledges(Arc::clone(&mute), &over);
    let (codes, flood) = floods(Arc::clone(&flooder), &over);
    let trickle = trickles(Arc::clone(&slow), &over);
    let sender = alpha().create_agent("unheard");
    let content = json!({ "kind": "text", "text": "x".repeat(UNWANTED_BYTES) });
    for _ in 0..UNWANTED {
        let _ = sender.send_body(&json!({ "to": recipient.address, "content": content }));
    }
    let disturbed = rounds();
    let told = |code: &str| codes.lock().unwrap().get(code).copied().unwrap_or_default();
    wait_until("the flood to be stopped and put aside", PATIENCE, || {
        told("FLOOD") > 0 && told("429") > 0
    });
    let after = resident_kib("alpha");
    let waiting = alpha().peer(mute.identity.did.as_str());
    let aside = alpha().peer(flooder.identity.did.as_str());
    over.store(true, Ordering::SeqCst);
    for thread in [silent, flood, trickle] {
        thread.join().expect("an attacker ends");
    }

    let sent = most.load(Ordering::SeqCst);
    println!("healthy queue at its deepest: {calm} undisturbed, {disturbed} beside hostile peers");
    println!("memory of workerd: {before} KiB before, {after} KiB after");
    println!(
        "to the peer that never acknowledges: {} waiting, {sent} bytes sent",
        waiting["queued"]
    );
    println!("the flooder was told: {:?}", codes.lock().unwrap());
    println!("{}", waiting["detail"]["why"]);
    assert!(
        disturbed <= calm.max(BATCH as u64),
        "{disturbed} against {calm}"
    );
    assert!(
        after <= before + GROWTH_KIB,
        "{before} KiB grew to {after} KiB"
    );
    assert_eq!(waiting["queued"], UNWANTED);
    assert!((1..=WINDOW).contains(&sent), "{sent} bytes in flight");
    assert_eq!(aside["detail"]["penalty"]["reason"], "FLOOD");
}

#[test]
fn a_peer_that_dials_in_a_loop_is_put_aside_until_it_is_pardoned() {
    let peer = new_peer();
    peer.join(alpha(), "open");
    let path = format!("/admin/federation/peers/{}", peer.identity.did);
    let dial = || {
        let upgrade = SignedUpgrade::new(&peer.identity, alpha()).headers();
        dial_with(alpha(), &upgrade)
            .map(drop)
            .map_err(|(status, _)| status)
    };
    let taken = (0..20).take_while(|_| dial().is_ok()).count();
    assert!(taken <= 6, "{taken} sockets in a row");
    assert_eq!(dial(), Err(429));
    let detail = alpha().admin.get(&path).expect(200)["detail"].clone();
    assert_eq!(detail["penalty"]["reason"], "RECONNECT_LOOP");
    assert_eq!(detail["penalty"]["strikes"], 1);
    let row = deployment().sql("alpha", "SELECT reason FROM penalties");
    assert!(row.contains("RECONNECT_LOOP"), "{row}");
    // It is one network that is put aside, and its admin sees the healthy ones as before.
    assert!(rounds() <= BATCH as u64);
    assert_eq!(alpha().admin.delete(&format!("{path}/penalty")).status, 204);
    wait_until("the pardon to be felt", PATIENCE, || dial().is_ok());
    let detail = alpha().admin.get(&path).expect(200)["detail"].clone();
    assert!(detail["penalty"].is_null(), "{detail}");
}
