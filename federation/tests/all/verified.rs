//! The level verified: attestations in both directions, while they hold, and young documents.

use entente_federation::{Code, Event, Input};
use entente_lexicon::api::LinkState;
use entente_lexicon::{Timestamp, TrustLevel};
use entente_trust::policy::{Approval, Policy};

use crate::pair::{ALPHA, BEGINNING, BETA, Pair, agent, policy};

const HOUR_MS: u64 = 60 * 60 * 1000;

/// Holds a peer at verified with its agents listed, approved until then or not at all.
fn verified(peer: usize, expires: Option<Timestamp>) -> Policy {
    let approval = expires.map(|expires| Approval {
        not_before: BEGINNING,
        expires,
        nonce: [7; 16],
    });
    Policy {
        approval,
        allow_agents: (0..3).map(|n| agent(peer, n)).collect(),
        ..policy(TrustLevel::Verified)
    }
}

fn far() -> Option<Timestamp> {
    Some(BEGINNING.after(90 * 24 * HOUR_MS))
}

fn pair(seed: u64, of_alpha: Option<Timestamp>, of_beta: Option<Timestamp>) -> Pair {
    let mut pair = Pair::new(seed);
    pair.nodes[ALPHA].config.policy = verified(BETA, of_alpha);
    pair.nodes[BETA].config.policy = verified(ALPHA, of_beta);
    pair
}

fn set(pair: &mut Pair, node: usize, policy: Policy) {
    pair.nodes[node].config.policy = policy.clone();
    pair.input(node, Input::Policy(policy));
}

fn error(pair: &Pair, node: usize) -> String {
    let error = pair.view(node).last_error;
    error.map_or_else(String::new, |code| code.as_str().to_owned())
}

#[test]
fn two_networks_that_approved_each_other_talk() {
    let mut pair = pair(1, far(), far());
    pair.start_both();
    let sent = [pair.send(ALPHA, 20), pair.send(BETA, 20)];
    assert!(pair.run_until(30_000, Pair::settled));
    pair.check(&sent);
    for node in [ALPHA, BETA] {
        assert_eq!(pair.view(node).granted, Some(TrustLevel::Verified));
        assert!(pair.nodes[node].store.outcome.values().all(Option::is_none));
    }
}

#[test]
fn mail_waits_until_the_side_that_lacks_approves() {
    for lacking in [ALPHA, BETA] {
        let mut approvals = [far(), far()];
        approvals[lacking] = None;
        let mut pair = pair(2, approvals[ALPHA], approvals[BETA]);
        pair.start_both();
        let sent = [pair.send(ALPHA, 5), pair.send(BETA, 5)];
        pair.run_for(600_000);
        assert_eq!(pair.view(lacking).state, LinkState::Waiting);
        assert_eq!(pair.view(1 - lacking).state, LinkState::Waiting);
        assert_eq!(error(&pair, lacking), "APPROVAL_NEEDED");
        assert_eq!(error(&pair, 1 - lacking), "APPROVAL_AWAITED");
        assert!(pair.nodes.iter().all(|node| node.store.outcome.is_empty()));
        let policy = verified(1 - lacking, far());
        set(&mut pair, lacking, policy);
        assert!(
            pair.run_until(10_000, Pair::settled),
            "at once, not at the next retry"
        );
        pair.check(&sent);
    }
}

#[test]
fn a_peer_whose_other_side_asks_for_verified_is_told_to_approve() {
    let mut pair = pair(3, far(), None);
    pair.nodes[BETA].config.policy = policy(TrustLevel::Open);
    pair.start_both();
    pair.run_for(5_000);
    assert_eq!(error(&pair, ALPHA), "APPROVAL_AWAITED");
    assert_eq!(error(&pair, BETA), "APPROVAL_NEEDED");
    assert_eq!(pair.view(BETA).state, LinkState::Waiting);
    let mut approved = policy(TrustLevel::Open);
    approved.approval = verified(ALPHA, far()).approval;
    set(&mut pair, BETA, approved);
    let sent = [pair.send(ALPHA, 5), pair.send(BETA, 5)];
    assert!(pair.run_until(10_000, Pair::settled));
    pair.check(&sent);
}

#[test]
fn a_session_ends_when_an_approval_runs_out_and_nothing_falls_back_to_open() {
    for expiring in [ALPHA, BETA] {
        let soon = Some(BEGINNING.after(20_000));
        let mut approvals = [far(), far()];
        approvals[expiring] = soon;
        let mut pair = pair(4, approvals[ALPHA], approvals[BETA]);
        pair.start_both();
        pair.run_for(2_000);
        assert_eq!(pair.view(ALPHA).state, LinkState::Up);
        pair.run_for(70_000);
        for node in [ALPHA, BETA] {
            assert_eq!(
                pair.view(node).state,
                LinkState::Waiting,
                "{}",
                error(&pair, node)
            );
        }
        let held = pair.send(1 - expiring, 3);
        pair.run_for(600_000);
        let outcome = &pair.nodes[1 - expiring].store.outcome;
        assert!(held.iter().all(|id| !outcome.contains_key(id)), "it waits");
        let renewed = verified(1 - expiring, far());
        set(&mut pair, expiring, renewed);
        assert!(pair.run_until(10_000, Pair::settled));
    }
}

#[test]
fn an_approval_that_is_taken_back_ends_the_session() {
    let mut pair = pair(5, far(), far());
    pair.start_both();
    pair.run_for(2_000);
    set(&mut pair, ALPHA, verified(BETA, None));
    pair.run_for(2_000);
    assert_eq!(pair.view(ALPHA).state, LinkState::Waiting);
    assert_eq!(error(&pair, ALPHA), "APPROVAL_NEEDED");
    assert_eq!(error(&pair, BETA), "APPROVAL_AWAITED");
}

#[test]
fn documents_are_fetched_again_before_they_grow_old() {
    let mut pair = pair(6, far(), far());
    pair.start_both();
    pair.run_for(30 * HOUR_MS);
    let sent = [pair.send(ALPHA, 3), pair.send(BETA, 3)];
    assert!(
        pair.run_until(30_000, Pair::settled),
        "{}",
        error(&pair, ALPHA)
    );
    pair.check(&sent);
    let fetched = |node: usize| pair.nodes[node].fetches;
    assert!((2..=6).contains(&fetched(ALPHA)), "{}", fetched(ALPHA));
}

#[test]
fn without_young_documents_nothing_passes() {
    let mut pair = pair(7, far(), far());
    pair.nodes[ALPHA].documents_fail = true;
    pair.start_both();
    pair.run_for(26 * HOUR_MS);
    pair.run_for(60_000);
    pair.send(BETA, 1);
    pair.run_for(60_000);
    assert_ne!(pair.view(ALPHA).state, LinkState::Up);
    assert!(pair.nodes[BETA].store.outcome.is_empty(), "it waits");
    let up = |event: &Event| matches!(event, Event::Up { .. });
    let before = pair.nodes[ALPHA].count(up);
    pair.nodes[ALPHA].documents_fail = false;
    assert!(pair.run_until(2 * HOUR_MS, Pair::settled));
    assert!(pair.nodes[ALPHA].count(up) > before);
    assert_ne!(
        pair.view(ALPHA).last_error,
        Some(Code::from_static("DOCUMENTS_STALE"))
    );
}
