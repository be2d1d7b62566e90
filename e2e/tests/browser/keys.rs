//! Keys on the screen: a link that is frozen and why, and the network's own rotation.

use std::sync::OnceLock;

use entente_e2e::fake_peer::{FakePeer, Identity, OnDial, Responder};
use entente_e2e::wait::PATIENCE;
use entente_e2e::{Deployment, Network, Options};
use serde_json::Value;

use crate::admin;
use crate::screen::Screen;
use crate::trust::{aside, gone, look, press, row_of, text_of};

/// A network of its own, and a peer for it.
fn one_with_a_peer() -> &'static (Deployment, FakePeer) {
    static SHARED: OnceLock<(Deployment, FakePeer)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let deployment = Options::default().networks(1).fake_peers(1).start();
        let peer = FakePeer::start(deployment.take_peer_port());
        (deployment, peer)
    })
}

/// A peer that alpha has met comes back under a key that nothing proves.
fn come_back_forged(alpha: &Network, peer: &FakePeer) -> Value {
    let did = peer.identity.did.as_str();
    peer.on_dial(OnDial::Accept);
    peer.join(alpha, "open");
    let (wire, _session) = peer.answer(alpha, &peer.identity);
    alpha.wait_for_peer(did, "up");
    let agent = peer.add_agent("frida");
    let _ = alpha.create_agent("sender").send(&agent.address, "kept");
    let mut forged: Identity = peer.identity.clone();
    forged.forge();
    peer.publish(&forged);
    drop(wire);
    let mut wire = peer.accepted().socket;
    let mut responder = Responder::new(&forged, peer.know(alpha), &wire.frame());
    wire.send_bytes(responder.hello_ack());
    assert_eq!(wire.closed(PATIENCE), (4410, "KEY_CHANGED".to_owned()));
    alpha.wait_for_peer(did, "frozen")
}

async fn unfreeze(screen: &Screen, fingerprint: &str) {
    let field = screen.id("unfreeze-fingerprint");
    field.fill(fingerprint, None).await.unwrap();
    press(screen, "[data-testid=unfreeze]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_link_says_why_and_goes_on_with_the_key_that_the_admin_confirms() {
    let (deployment, peer) = aside(one_with_a_peer).await;
    let alpha = deployment.network("alpha");
    let view = aside(move || come_back_forged(alpha, peer)).await;
    let shown = |name: &str| view["frozen"][name].as_str().unwrap().to_owned();

    let screen = admin(alpha).await;
    let row = row_of(&peer.identity.host);
    screen.sees(&format!("{row}[data-state=frozen]")).await;
    let card = "[data-testid=peer-frozen][data-reason=DOCUMENT_WRONG_KEY]";
    screen.sees(card).await;
    let known = text_of(&screen, "[data-testid=frozen-known]").await;
    let served = text_of(&screen, "[data-testid=frozen-served]").await;
    assert_eq!(
        (known, served),
        (shown("knownFingerprint"), shown("servedFingerprint"))
    );
    look(&screen, "frozen").await;

    // What the admin confirms is not what is served, and then not what is known.
    unfreeze(&screen, "aaaa bbbb cccc dddd eeee ffff gggg hhhh").await;
    screen.sees("[data-testid=unfreeze-error]").await;
    screen.photograph("frozen-mismatch").await;
    aside(move || {
        peer.publish(&peer.identity);
        peer.forget_sockets();
    })
    .await;
    unfreeze(&screen, &shown("knownFingerprint")).await;
    gone(&screen, card).await;
    aside(move || {
        let (_wire, _session) = peer.answer(alpha, &peer.identity);
        alpha.wait_for_peer(peer.identity.did.as_str(), "up")
    })
    .await;
    screen.close().await;

    rotates(alpha).await;
}

/// The network's keys turn by a press, after a question.
async fn rotates(alpha: &Network) {
    let screen = admin(alpha).await;
    screen
        .sees("[data-testid=identity-seq]:has-text(\"0\")")
        .await;
    let before = text_of(&screen, "[data-testid=identity-fingerprint]").await;
    press(&screen, "[data-testid=keys-rotate]").await;
    screen.sees("[data-testid=keys-rotate-confirm]").await;
    look(&screen, "rotate").await;
    press(&screen, "[data-testid=keys-rotate-confirm]").await;
    screen
        .sees("[data-testid=identity-seq]:has-text(\"1\")")
        .await;
    let after = text_of(&screen, "[data-testid=identity-fingerprint]").await;
    assert_ne!(before, after);
    screen.photograph("rotated").await;
    assert_eq!(screen.errors(), Vec::<String>::new());
    screen.close().await;
}
