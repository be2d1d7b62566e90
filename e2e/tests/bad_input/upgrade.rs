//! How an upgrade can be forged. What the peer's own key did not sign for this host, this minute and
//! this once does not get as far as its link.

use std::fs;

use data_encoding::BASE64;
use entente_e2e::fake_peer::{
    DOCUMENT_PATH, FEDERATION_PATH, FakePeer, Identity, Initiator, OnDial, SignedUpgrade,
    check_upgrade, dial_with,
};
use entente_e2e::{Client, Network, Options};

use super::{alpha, closes, deployment, frame, goes_on, meet, new_peer};

type Headers = Vec<(&'static str, String)>;

fn known_peer() -> FakePeer {
    let peer = new_peer();
    meet(&peer, "open", OnDial::Hold);
    peer
}

fn refused_by(network: &Network, headers: &Headers) -> (u16, String) {
    let mut all = vec![
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
    let reply = network.public.send("GET", FEDERATION_PATH, &all, &[]);
    let code = reply.value()["error"]["code"].clone();
    let code = code.as_str().expect("an error that names its code");
    reply.refused(reply.status, code);
    (reply.status, code.to_owned())
}

fn refused(headers: &Headers, code: &str) {
    assert_eq!(refused_by(alpha(), headers), (401, code.to_owned()));
}

/// How many links have ever been woken at a network: each has a file of its own.
fn links(network: &Network) -> usize {
    let objects = deployment().persist(&network.name).join("do");
    let folders = fs::read_dir(objects)
        .expect("the objects' storage")
        .flatten();
    let of_links = folders.filter(|entry| entry.file_name().to_string_lossy().ends_with("Link"));
    let files = of_links.flat_map(|folder| fs::read_dir(folder.path()).expect("a folder"));
    files
        .flatten()
        .filter(|file| file.path().extension().is_some_and(|kind| kind == "sqlite"))
        .count()
}

/// Every way to get it wrong, with the code that says which.
fn forgeries(peer: &FakePeer) -> Vec<(Headers, &'static str)> {
    let good = || SignedUpgrade::new(&peer.identity, alpha());
    let stranger = Identity::network(&peer.identity.host);
    let mut all = Vec::new();
    let mut cheat = |upgrade: SignedUpgrade, code| all.push((upgrade.headers(), code));
    cheat(good().moved(-200), "CLOCK_SKEW");
    cheat(good().moved(100), "CLOCK_SKEW");
    let endless = good();
    let year = (endless.parameters[0].1.parse::<u64>().unwrap() + 31_536_000).to_string();
    cheat(endless.with("expires", &year), "SIGNATURE_LIFETIME");
    for part in ["@method", "@authority", "@path", "x-entente-host"] {
        cheat(good().without(part), "SIGNATURE_INCOMPLETE");
    }
    for part in ["created", "expires", "nonce", "keyid", "alg", "tag"] {
        cheat(good().without(part), "SIGNATURE_INCOMPLETE");
    }
    cheat(good().with("tag", "\"login\""), "SIGNATURE_PURPOSE");
    cheat(good().with("alg", "\"hmac-sha256\""), "SIGNATURE_PURPOSE");
    cheat(good().with("keyid", "\"nobody\""), "SIGNATURE_MALFORMED");
    let other_kid = format!("\"{}#{}\"", peer.identity.did, "a".repeat(16));
    cheat(good().with("keyid", &other_kid), "UNKNOWN_KEY");
    let mut wrong_key = good();
    wrong_key.key = stranger.signing;
    cheat(wrong_key, "SIGNATURE_INVALID");
    let mut elsewhere = good();
    elsewhere
        .authority
        .clone_from(&deployment().network("beta").host);
    cheat(elsewhere, "SIGNATURE_INVALID");
    let mut other_path = good();
    other_path.path = "/relay/agents".to_owned();
    cheat(other_path, "SIGNATURE_INVALID");
    let mut other_method = good();
    other_method.method = "POST".to_owned();
    cheat(other_method, "SIGNATURE_INVALID");
    all
}

#[test]
fn only_what_the_peers_own_key_signed_for_us_and_now_is_let_in() {
    let peer = known_peer();
    // An honest handshake waits while the forgeries come: it keeps its place.
    let mut initiator = Initiator::new(&peer.identity, peer.know(alpha()), 1 << 46, "open");
    let mut honest = peer.dial(alpha());
    honest.send_bytes(initiator.hello());
    initiator.read_hello_ack(&frame(&mut honest));
    for (headers, code) in forgeries(&peer) {
        refused(&headers, code);
    }
    honest.send_bytes(initiator.auth());
    let (ready, _) = initiator.read_ready(&frame(&mut honest));
    assert_eq!(ready.at("granted").str(), "open");
    honest.close(1000);
    goes_on();
}

#[test]
fn headers_that_are_no_signature_are_refused() {
    let peer = known_peer();
    let good = SignedUpgrade::new(&peer.identity, alpha()).headers();
    let with = |input: &str, signature: &str| -> Headers {
        vec![
            ("signature-input", input.to_owned()),
            ("signature", signature.to_owned()),
            ("x-entente-host", peer.identity.host.clone()),
        ]
    };
    let (input, signature) = (good[0].1.as_str(), good[1].1.as_str());
    refused(&Vec::new(), "SIGNATURE_MISSING");
    refused(&good[..1].to_vec(), "SIGNATURE_MISSING");
    let two = format!("{input}, {}", input.replacen("sig1", "sig2", 1));
    refused(&with(&two, signature), "SIGNATURE_AMBIGUOUS");
    for bad in [
        "garbage;;;",
        "sig1=(",
        "sig1=:AA==:",
        "sig2=();tag=\"entente-link\"",
    ] {
        refused(&with(bad, signature), "SIGNATURE_MALFORMED");
        refused(&with(input, bad), "SIGNATURE_MALFORMED");
    }
    let long = format!("sig1=(\"{}\")", "a".repeat(5_000));
    refused(&with(&long, signature), "SIGNATURE_MALFORMED");
    let forged = format!("sig1=:{}:", BASE64.encode(&[1; 64]));
    refused(&with(input, &forged), "SIGNATURE_INVALID");
    // What was refused has not used up the nonce.
    drop(dial_with(alpha(), &good).expect("the honest one"));
    goes_on();
}

#[test]
fn an_upgrade_is_taken_once() {
    let peer = known_peer();
    let headers = SignedUpgrade::new(&peer.identity, alpha()).headers();
    drop(dial_with(alpha(), &headers).expect("an upgrade"));
    for _ in 0..3 {
        refused(&headers, "SIGNATURE_REPLAYED");
    }
    let elsewhere = refused_by(deployment().network("beta"), &headers);
    assert_eq!(elsewhere, (401, "SIGNATURE_INVALID".to_owned()));
    goes_on();
}

#[test]
fn a_handshake_belongs_to_the_key_that_signed_its_upgrade() {
    let peer = known_peer();
    let mut initiator = Initiator::new(&peer.identity, peer.know(alpha()), 1 << 46, "open");
    let mut party = entente_e2e::fake_peer::Party::of(&peer.identity);
    party.kid = "b".repeat(16);
    initiator.hello.set("from", party.value());
    let mut wire = peer.dial(alpha());
    wire.send_bytes(initiator.hello());
    closes(&mut wire, 4426, "UPGRADE_MISMATCH");
}

#[test]
fn a_stranger_wakes_no_link() {
    let alpha = alpha();
    let stranger = new_peer();
    let before = links(alpha);
    assert!(before > 0, "alpha has a link to beta");
    for (headers, code) in forgeries(&stranger) {
        // A stranger's key is not known: what only the key tells is asked of its document.
        assert_eq!(refused_by(alpha, &headers), (401, code.to_owned()));
    }
    let mut own = SignedUpgrade::new(&stranger.identity, alpha);
    own = own.with("keyid", &format!("\"{}#kid\"", alpha.did));
    let itself = refused_by(alpha, &own.headers());
    assert_eq!(itself, (403, "PEER_IS_SELF".to_owned()));
    assert_eq!(links(alpha), before);
    let asked = stranger.asked();
    assert!(
        asked.len() <= 6 && asked.iter().all(|path| path == DOCUMENT_PATH),
        "a stranger's host is asked for its document only, within limits: {asked:?}"
    );
    Client::new(&alpha.url)
        .get(FEDERATION_PATH)
        .refused(426, "UPGRADE_REQUIRED");
    goes_on();
}

#[test]
fn our_own_upgrades_are_signed_by_the_book() {
    let peer = new_peer();
    meet(&peer, "open", OnDial::Accept);
    let known = peer.know(alpha());
    let first = peer.accepted();
    let nonce = check_upgrade(&first.headers, &known, &peer.identity.host);
    drop(first);
    let again = peer.accepted();
    let other = check_upgrade(&again.headers, &known, &peer.identity.host);
    assert_ne!(nonce, other, "each upgrade has a nonce of its own");
    peer.on_dial(OnDial::Hold);
}

#[test]
fn an_open_network_admits_a_stranger_whose_own_host_vouches_for_the_key() {
    let open = Options::default()
        .networks(1)
        .fake_peers(2)
        .var("TRUST_LEVEL", "open")
        .bare()
        .start();
    let network = &open.networks()[0];
    let listed = || network.admin.get("/admin/federation/peers").expect(200)["peers"].clone();
    let stranger = FakePeer::start(open.take_peer_port());
    let mut forged = SignedUpgrade::new(&stranger.identity, network);
    forged.key = Identity::network(&stranger.identity.host).signing;
    let expected = (401, "SIGNATURE_INVALID".to_owned());
    assert_eq!(refused_by(network, &forged.headers()), expected);
    let mut nowhere = SignedUpgrade::new(&stranger.identity, network);
    nowhere.host = None;
    nowhere = nowhere.without("x-entente-host");
    let expected = (400, "INVALID_PEER_HEADERS".to_owned());
    assert_eq!(refused_by(network, &nowhere.headers()), expected);
    assert_eq!(listed(), serde_json::json!([]));
    // One place is taken by the forgery: whoever claims a key spends what that key may ask for.
    for _ in 0..5 {
        let _ = refused_by(network, &forged.headers());
    }
    let limited = refused_by(network, &forged.headers());
    assert_eq!(limited, (429, "RATE_LIMITED".to_owned()));
    assert_eq!(stranger.asked().len(), 6, "the host was asked six times");
    let other = FakePeer::start(open.take_peer_port());
    drop(other.dial(network));
    assert_eq!(listed()[0]["did"], other.identity.did.as_str());
}
