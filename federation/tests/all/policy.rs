//! What may cross: levels, lists, and their change while messages wait.

use std::collections::BTreeSet;

use entente_federation::{Code, Event, Input};
use entente_lexicon::TrustLevel;
use entente_lexicon::api::LinkState;
use entente_trust::policy::{Ban, Policy};

use crate::pair::{ALPHA, BETA, Pair, agent, policy};

fn listed(agents: &[(usize, u64)]) -> Policy {
    let allow_agents: BTreeSet<_> = agents.iter().map(|(node, n)| agent(*node, *n)).collect();
    Policy::new(TrustLevel::Allowlist, allow_agents)
}

fn codes(pair: &Pair, node: usize) -> BTreeSet<String> {
    let outcome = pair.nodes[node].store.outcome.values();
    outcome
        .flatten()
        .map(|code| code.as_str().to_owned())
        .collect()
}

#[test]
fn the_stricter_level_is_granted() {
    let mut pair = Pair::with(1, TrustLevel::Open, TrustLevel::Allowlist);
    pair.start_both();
    pair.run_for(2_000);
    for node in [ALPHA, BETA] {
        assert_eq!(pair.view(node).granted, Some(TrustLevel::Allowlist));
    }
}

#[test]
fn the_sender_is_refused_at_once_and_the_receiver_refuses_what_still_comes() {
    let mut pair = Pair::with(2, TrustLevel::Open, TrustLevel::Open);
    pair.nodes[BETA].config.policy = listed(&[(ALPHA, 0)]);
    pair.start_both();
    let sent = [pair.send(ALPHA, 100), pair.send(BETA, 100)];
    assert!(pair.run_until(30_000, Pair::settled));
    pair.check(&sent);
    for node in [ALPHA, BETA] {
        assert_eq!(
            codes(&pair, node),
            BTreeSet::from(["NOT_ALLOWED".to_owned()])
        );
        let delivered = pair.nodes[node]
            .store
            .outcome
            .values()
            .filter(|o| o.is_none())
            .count();
        assert!((10..70).contains(&delivered));
    }
}

#[test]
fn no_link_exists_at_private() {
    for strict in [ALPHA, BETA] {
        let mut pair = Pair::new(3);
        pair.nodes[strict].config.policy = policy(TrustLevel::Private);
        pair.start_both();
        let sent = pair.send(strict, 1);
        pair.run_for(100_000);
        assert_eq!(pair.view(strict).state, LinkState::Refused);
        assert_eq!(pair.nodes[strict].dials, 0);
        assert_eq!(pair.view(1 - strict).state, LinkState::Refused);
        assert_eq!(
            pair.view(1 - strict).last_error,
            Some(Code::from_static("POLICY_PRIVATE"))
        );
        assert_eq!(
            pair.nodes[strict].store.outcome.get(&sent[0]),
            Some(&Some(Code::from_static("POLICY_PRIVATE")))
        );
        assert_eq!(
            pair.nodes[ALPHA].count(|e| matches!(e, Event::Up { .. })),
            0
        );
    }
}

#[test]
fn a_level_set_to_private_ends_the_session_and_refuses_what_waits() {
    let mut pair = Pair::new(4);
    pair.start_both();
    pair.run_for(2_000);
    pair.stall_sockets();
    let sent = [pair.send(ALPHA, 1500), Vec::new()];
    pair.nodes[ALPHA].config.policy = policy(TrustLevel::Private);
    pair.input(ALPHA, Input::Policy(policy(TrustLevel::Private)));
    let outcome = &pair.nodes[ALPHA].store.outcome;
    assert!(
        sent[ALPHA]
            .iter()
            .all(|id| outcome[id].as_ref().unwrap().as_str() == "POLICY_PRIVATE")
    );
    assert_eq!(pair.view(ALPHA).state, LinkState::Refused);
    // Set back, the numbers of the withdrawn messages are skipped and the stream goes on.
    pair.nodes[ALPHA].config.policy = policy(TrustLevel::Open);
    pair.input(ALPHA, Input::Policy(policy(TrustLevel::Open)));
    let later = pair.send(ALPHA, 5);
    assert!(pair.run_until(60_000, Pair::settled));
    let arrived: Vec<_> = pair.nodes[BETA]
        .store
        .agents
        .values()
        .flatten()
        .copied()
        .collect();
    assert_eq!(arrived.len(), 5);
    assert!(later.iter().all(|id| arrived.contains(id)));
}

#[test]
fn an_agent_taken_off_the_list_gets_nothing_that_was_still_queued() {
    let mut pair = Pair::new(5);
    let before = listed(&[(BETA, 0), (BETA, 1), (BETA, 2)]);
    pair.nodes[ALPHA].config.policy = before;
    pair.start(ALPHA);
    let sent = [pair.send(ALPHA, 90), Vec::new()];
    let after = listed(&[(BETA, 0)]);
    pair.nodes[ALPHA].config.policy = after.clone();
    pair.input(ALPHA, Input::Policy(after));
    pair.nodes[BETA].config.policy = policy(TrustLevel::Open);
    pair.start(BETA);
    assert!(pair.run_until(60_000, Pair::settled));
    pair.check(&sent);
    let agents: Vec<_> = pair.nodes[BETA].store.agents.keys().cloned().collect();
    assert_eq!(agents, [agent(BETA, 0)]);
    assert_eq!(
        codes(&pair, ALPHA),
        BTreeSet::from(["NOT_ALLOWED".to_owned()])
    );
}

#[test]
fn a_changed_level_is_agreed_on_again() {
    let mut pair = Pair::new(6);
    pair.start_both();
    pair.run_for(2_000);
    pair.nodes[BETA].config.policy = listed(&[]);
    pair.input(BETA, Input::Policy(listed(&[])));
    pair.run_for(3_000);
    for node in [ALPHA, BETA] {
        assert_eq!(pair.view(node).state, LinkState::Up);
        assert_eq!(pair.view(node).granted, Some(TrustLevel::Allowlist));
        assert_eq!(pair.view(node).last_error, None);
    }
}

#[test]
fn a_removed_peer_is_told_and_the_link_stays_silent() {
    let mut pair = Pair::new(7);
    pair.start_both();
    pair.run_for(2_000);
    pair.input(
        ALPHA,
        Input::Shutdown {
            code: Code::from_static("PEER_DELETED"),
        },
    );
    let refused = pair.send(ALPHA, 2);
    assert_eq!(
        pair.nodes[ALPHA].store.outcome.get(&refused[0]),
        Some(&Some(Code::LINK_CLOSED))
    );
    pair.run_for(1_000);
    assert_eq!(pair.view(BETA).state, LinkState::Refused);
    assert_eq!(
        pair.view(BETA).last_error,
        Some(Code::from_static("REMOVED"))
    );
    let dials = pair.nodes[ALPHA].dials;
    pair.run_for(600_000);
    assert_eq!(pair.nodes[ALPHA].dials, dials);
    assert_eq!(pair.nodes[ALPHA].wake, None);
}

#[test]
fn a_node_that_died_while_withdrawing_goes_on_when_it_starts() {
    let mut pair = Pair::new(8);
    pair.start(ALPHA);
    let sent = pair.send(ALPHA, 100);
    pair.crash(ALPHA);
    pair.nodes[ALPHA].config.policy = policy(TrustLevel::Private);
    pair.start(ALPHA);
    let outcome = &pair.nodes[ALPHA].store.outcome;
    assert!(
        sent.iter()
            .all(|id| outcome.get(id).is_some_and(Option::is_some))
    );
    assert_eq!(pair.view(ALPHA).state, LinkState::Refused);
    assert_eq!(
        pair.view(ALPHA).last_error,
        Some(Code::from_static("POLICY_PRIVATE"))
    );
}

#[test]
fn why_a_document_could_not_be_had_is_shown() {
    let mut pair = Pair::new(9);
    pair.start(ALPHA);
    let failure = Code::from_static("KEY_CHANGED");
    pair.input(ALPHA, Input::Document(Err(failure.clone())));
    assert_eq!(pair.view(ALPHA).last_error, Some(failure));
}

#[test]
fn a_refusal_survives_a_restart_under_a_policy_that_would_let_it_pass() {
    let mut pair = Pair::new(9);
    pair.nodes[BETA].config.policy = listed(&[(ALPHA, 1)]);
    pair.start_both();
    pair.run_for(2_000);
    // The first is refused, the second waits for its agent: no acknowledgement is due yet.
    let items = vec![pair.message(ALPHA, 0, 0), pair.message(ALPHA, 1, 0)];
    let sent = [items.iter().map(|item| item.id).collect(), Vec::new()];
    pair.nodes[BETA].crash_after_changes = true;
    pair.offer(ALPHA, items);
    pair.run_for(15);
    assert!(pair.nodes[BETA].link.is_none(), "died with the refusal");
    pair.nodes[BETA].config.policy = policy(TrustLevel::Open);
    pair.start(BETA);
    assert!(pair.run_until(60_000, Pair::settled));
    pair.check(&sent);
    assert_eq!(
        codes(&pair, ALPHA),
        BTreeSet::from(["NOT_ALLOWED".to_owned()])
    );
}

#[test]
fn what_the_peer_refused_may_be_withdrawn_before_its_sender_hears_of_it() {
    let mut pair = Pair::new(10);
    // Beta dials, and what it dials with repeats no refusals.
    pair.nodes[ALPHA].config.allow_outbound = false;
    pair.nodes[BETA].config.policy = listed(&[(ALPHA, 1)]);
    pair.start_both();
    pair.run_for(2_000);
    let items = vec![pair.message(ALPHA, 0, 0)];
    pair.offer(ALPHA, items);
    pair.run_for(15);
    pair.break_sockets();
    assert_eq!(pair.nodes[BETA].store.restored.rejects.len(), 1);
    for level in [TrustLevel::Private, TrustLevel::Open] {
        pair.nodes[ALPHA].config.policy = policy(level);
        pair.input(ALPHA, Input::Policy(policy(level)));
    }
    assert_eq!(codes(&pair, ALPHA).len(), 1);
    let items = vec![pair.message(BETA, 0, 1)];
    pair.offer(BETA, items);
    assert!(pair.run_until(60_000, Pair::settled));
    let accused = |event: &Event| matches!(event, Event::Misbehaved { .. });
    assert_eq!(pair.nodes[ALPHA].count(accused), 0);
    pair.run_for(1_000);
    assert!(pair.nodes[BETA].store.restored.rejects.is_empty());
}

#[test]
fn a_link_that_may_send_nothing_neither_dials_nor_sends_and_still_receives() {
    let mut pair = Pair::new(11);
    let mut closed = policy(TrustLevel::Open);
    closed.allow_outbound = false;
    pair.nodes[ALPHA].config.policy = closed;
    pair.start(ALPHA);
    let refused = pair.send(ALPHA, 1);
    let closed = Some(Code::from_static("OUTBOUND_CLOSED"));
    assert_eq!(
        pair.nodes[ALPHA].store.outcome.get(&refused[0]),
        Some(&closed)
    );
    pair.run_for(100_000);
    assert_eq!(pair.nodes[ALPHA].dials, 0);
    pair.start(BETA);
    let sent = [refused, pair.send(BETA, 5)];
    assert!(pair.run_until(60_000, Pair::settled));
    pair.check(&sent);
}

#[test]
fn what_waits_is_refused_when_a_link_may_send_nothing_any_more() {
    let mut pair = Pair::new(12);
    pair.start(ALPHA);
    let sent = pair.send(ALPHA, 100);
    let mut closed = policy(TrustLevel::Open);
    closed.allow_outbound = false;
    pair.nodes[ALPHA].config.policy = closed.clone();
    pair.input(ALPHA, Input::Policy(closed));
    let outcome = &pair.nodes[ALPHA].store.outcome;
    assert!(
        sent.iter()
            .all(|id| outcome.get(id).is_some_and(Option::is_some))
    );
    assert_eq!(
        codes(&pair, ALPHA),
        BTreeSet::from(["OUTBOUND_CLOSED".to_owned()])
    );
}

#[test]
fn a_banned_peers_link_closes_and_comes_back_when_the_ban_is_over() {
    let mut pair = Pair::new(13);
    pair.start_both();
    pair.run_for(2_000);
    let mut banned = policy(TrustLevel::Open);
    banned.ban = Some(Ban {
        until: Some(pair.now.after(120_000)),
    });
    pair.nodes[ALPHA].config.policy = banned.clone();
    pair.input(ALPHA, Input::Policy(banned));
    pair.run_for(1_000);
    for node in [ALPHA, BETA] {
        assert_eq!(pair.view(node).state, LinkState::Refused);
        assert_eq!(
            pair.view(node).last_error,
            Some(Code::from_static("BANNED"))
        );
    }
    let refused = pair.send(ALPHA, 1);
    let outcome = pair.nodes[ALPHA].store.outcome.get(&refused[0]);
    assert_eq!(outcome, Some(&Some(Code::from_static("BANNED"))));
    pair.nodes[ALPHA].config.policy = policy(TrustLevel::Open);
    pair.run_for(125_000);
    let later = pair.send(ALPHA, 1);
    assert!(pair.run_until(60_000, Pair::settled));
    assert_eq!(pair.nodes[ALPHA].store.outcome.get(&later[0]), Some(&None));
    assert_eq!(pair.view(ALPHA).last_error, None);
}
