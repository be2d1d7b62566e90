//! Strangers who dial, bans, and directions that are closed.

use entente_e2e::wait::wait_until;
use entente_lexicon::Timestamp;

use super::*;

#[test]
fn a_stranger_waits_for_the_admin_and_is_accepted_by_its_fingerprint() {
    let (alpha, peer) = (alpha(), new_peer());
    assert_eq!(
        turned_away(&peer, alpha),
        (403, "PEERING_QUEUED".to_owned())
    );
    let asked = peer.asked().len();
    assert_eq!(
        turned_away(&peer, alpha),
        (403, "PEERING_QUEUED".to_owned())
    );
    assert_eq!(peer.asked().len(), asked, "its document is fetched once");

    let request = waiting(alpha, &peer).expect("the admin sees it");
    assert_eq!(request["host"], peer.identity.host.as_str());
    let path = format!("{REQUESTS}/{}", peer.identity.did);
    let wrong = json!({ "trustLevel": "open", "fingerprint": "abcd-efgh" });
    alpha
        .admin
        .post(&format!("{path}/accept"), &wrong)
        .refused(409, "FINGERPRINT_MISMATCH");
    assert!(waiting(alpha, &peer).is_some(), "it still waits");

    peer.on_dial(OnDial::Accept);
    let right = json!({
        "trustLevel": "allowlist", "allowAgents": [], "fingerprint": request["fingerprint"],
    });
    let view = alpha
        .admin
        .post(&format!("{path}/accept"), &right)
        .expect(201);
    assert_eq!(
        (&view["trustLevel"], &view["fingerprint"]),
        (&json!("allowlist"), &request["fingerprint"])
    );
    assert!(waiting(alpha, &peer).is_none());
    let _ = peer.accepted();
    let _ = peer.dial(alpha);
    alpha
        .admin
        .post(&format!("{path}/accept"), &right)
        .refused(404, "UNKNOWN_REQUEST");
}

#[test]
fn a_stranger_whom_the_admin_rejects_is_turned_away_and_asked_nothing() {
    let (alpha, peer) = (alpha(), new_peer());
    let _ = turned_away(&peer, alpha);
    let path = format!("{REQUESTS}/{}/reject", peer.identity.did);
    assert_eq!(alpha.admin.post(&path, &json!({})).status, 204);
    assert!(waiting(alpha, &peer).is_none());
    let asked = peer.asked().len();
    let told = turned_away(&peer, alpha);
    assert_eq!(told, (403, "PEERING_REQUIRED".to_owned()));
    assert_eq!(peer.asked().len(), asked);
    alpha
        .admin
        .post(&path, &json!({}))
        .refused(404, "UNKNOWN_REQUEST");
    // The admin may still add it by hand.
    peer.join(alpha, "open");
    let _ = peer.dial(alpha);
}

#[test]
fn a_stranger_in_anothers_name_gets_no_place_in_the_queue() {
    let (alpha, liar, other) = (alpha(), new_peer(), new_peer());
    let mut upgrade = SignedUpgrade::new(&other.identity, alpha);
    upgrade.key = liar.identity.signing.clone();
    let forged = turned_away_as(&upgrade, alpha);
    assert_eq!(forged, (401, "SIGNATURE_INVALID".to_owned()));
    let kid = format!("\"{}#{}\"", other.identity.did, other.identity.kid);
    let upgrade = SignedUpgrade::new(&liar.identity, alpha).with("keyid", &kid);
    let misplaced = turned_away_as(&upgrade, alpha);
    assert_eq!(misplaced, (403, "PEER_DID_MISMATCH".to_owned()));
    assert!(waiting(alpha, &other).is_none() && waiting(alpha, &liar).is_none());
}

#[test]
fn only_the_admin_sees_who_asks_and_who_is_banned() {
    let public = &alpha().public;
    public.get(REQUESTS).refused(401, "UNAUTHENTICATED");
    public.get(BANS).refused(401, "UNAUTHENTICATED");
    let agent = alpha().create_agent("curious");
    agent.client.get(BANS).refused(403, "FORBIDDEN");
    let preview = format!("{PEERS}/{}/preview", deployment().network("beta").did);
    public
        .post(&preview, &json!({}))
        .refused(401, "UNAUTHENTICATED");
}

#[test]
fn a_banned_peer_is_refused_at_the_edge_and_its_link_closes() {
    let (alpha, peer) = (alpha(), new_peer());
    let sender = alpha.create_agent("ban-sender");
    let agent = peer.add_agent("banned-agent");
    peer.join(alpha, "open");
    let waits = sender.send(&agent.address, "waits");
    let did = peer.identity.did.as_str();
    let ban = json!({ "did": did, "reason": "they sent a secret word" });
    let view = alpha.admin.post(BANS, &ban).expect(201);
    assert_eq!(view["subject"], did);

    assert_eq!(turned_away(&peer, alpha), (403, "BANNED".to_owned()));
    let ended = sender.wait_for_status(&waits, "refused");
    assert_eq!(ended["receipts"][1]["code"], "BANNED");
    refused(&sender, &agent.address, 403, "BANNED");
    let shown = alpha.peer(did);
    assert_eq!(shown["ban"]["reason"], "they sent a secret word");
    assert_eq!(shown["lastError"], "BANNED");
    peer.ask_to_peer(alpha, "open").refused(409, "BANNED");
    let public = alpha.public.get("/relay/peers").text();
    assert!(!public.contains("secret word") && !public.contains("ban"));

    assert_eq!(alpha.admin.delete(&format!("{BANS}/{did}")).status, 204);
    assert_eq!(alpha.peer(did).get("ban"), None);
    let _ = peer.dial(alpha);
    let again = sender.send(&agent.address, "again");
    assert_eq!(sender.status(&again)["status"], "accepted");
    alpha
        .admin
        .delete(&format!("{BANS}/{did}"))
        .refused(404, "UNKNOWN_BAN");
}

#[test]
fn a_ban_by_host_ends_by_itself() {
    let (alpha, peer) = (alpha(), new_peer());
    peer.join(alpha, "open");
    let soon = entente_e2e::fake_peer::now().after(4_000);
    let ban = json!({ "host": peer.identity.host, "reason": "for a while", "expiresAt": soon });
    let _ = alpha.admin.post(BANS, &ban).expect(201);
    assert_eq!(turned_away(&peer, alpha), (403, "BANNED".to_owned()));
    let did = peer.identity.did.as_str();
    wait_until("the ban to be over", PATIENCE, || {
        let upgrade = SignedUpgrade::new(&peer.identity, alpha);
        dial_with(alpha, &upgrade.headers()).is_ok()
    });
    let sender = alpha.create_agent("patient");
    let agent = peer.add_agent("forgiven");
    let id = sender.send(&agent.address, "welcome back");
    assert_eq!(sender.status(&id)["status"], "accepted");
    assert_eq!(alpha.peer(did).get("ban"), None);
}

#[test]
fn a_ban_is_checked_before_it_is_kept() {
    let alpha = alpha();
    let add = |ban: Value| -> Reply { alpha.admin.post(BANS, &ban) };
    let did = &deployment().network("gamma").did;
    add(json!({ "reason": "nobody" })).refused(400, "INVALID_BODY");
    add(json!({ "did": did, "host": "a.example", "reason": "x" })).refused(400, "INVALID_BODY");
    add(json!({ "did": did, "reason": " " })).refused(400, "INVALID_BODY");
    add(json!({ "did": "x", "reason": "x" })).refused(400, "MALFORMED_ADDRESS");
    add(json!({ "did": alpha.did, "reason": "x" })).refused(422, "PEER_IS_SELF");
    let past = Timestamp(1_000);
    add(json!({ "did": did, "reason": "x", "expiresAt": past })).refused(400, "INVALID_EXPIRY");
}

#[test]
fn a_link_that_may_not_send_or_receive_does_not() {
    let (alpha, peer) = (alpha(), new_peer());
    let sender = alpha.create_agent("gated");
    let agent = peer.add_agent("beyond-the-gate");
    peer.join(alpha, "open");
    let did = peer.identity.did.as_str();
    let view = patch(
        alpha,
        did,
        &json!({ "allowOutbound": false, "allowInbound": false }),
    );
    assert_eq!(
        (&view["allowOutbound"], &view["allowInbound"]),
        (&json!(false), &json!(false))
    );
    refused(&sender, &agent.address, 403, "OUTBOUND_CLOSED");
    assert_eq!(
        turned_away(&peer, alpha),
        (403, "INBOUND_CLOSED".to_owned())
    );
    let _ = patch(alpha, did, &json!({ "allowInbound": true }));
    let _ = peer.dial(alpha);
}

#[test]
fn a_deployment_that_sends_nothing_says_so_in_its_document() {
    let deployment = Options::default().networks(1).bare().start();
    let alpha = deployment.network("alpha");
    let federation = |network: &Network| {
        let document = network.public.get("/.well-known/agent-network.json");
        document.expect(200)["federation"].clone()
    };
    assert_eq!(federation(alpha)["allowOutbound"], true);
    deployment.kill9("alpha");
    let closed = [
        ("ALLOW_OUTBOUND", Some("false")),
        ("ALLOW_INBOUND", Some("false")),
    ];
    let _running = deployment.run_misconfigured("alpha", &closed);
    let found = wait_for("the document to tell the truth", PATIENCE, || {
        let found = federation(alpha);
        (found["allowOutbound"] == false).then_some(found)
    });
    assert_eq!(found["allowInbound"], false);
    let stranger = new_peer();
    assert_eq!(
        turned_away(&stranger, alpha),
        (403, "INBOUND_CLOSED".to_owned())
    );
}
