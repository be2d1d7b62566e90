//! Keys that rotate, and keys that change unproven.

use entente_federation::{CloseCode, Event, Input};
use entente_lexicon::api::LinkState;

use crate::pair::{ALPHA, BETA, Pair};

/// A node has new keys: its document changes, and its own link is told.
fn rotate(pair: &mut Pair, node: usize, number: u8) {
    let did = pair.nodes[node].identity.did.clone();
    let mut new = crate::pair::Identity::new(number);
    new.did = did;
    new.host = pair.nodes[node].identity.host.clone();
    let own = new.own();
    pair.nodes[node].config.own = own.clone();
    let key = new.key.clone();
    pair.nodes[node].identity = new;
    pair.input(
        node,
        Input::OwnDocument {
            hash: own.document_hash,
            kid: own.kid,
            key,
        },
    );
}

#[test]
fn both_sides_rotate_while_messages_flow_and_nothing_is_lost() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        pair.start_both();
        pair.run_for(500);
        let mut sent = [Vec::new(), Vec::new()];
        for number in 0..4 {
            sent[ALPHA].extend(pair.send(ALPHA, 15));
            sent[BETA].extend(pair.send(BETA, 15));
            pair.run_for(seed);
            rotate(&mut pair, usize::from(number % 2), 10 + number);
            pair.run_for(40 * seed);
        }
        assert!(pair.run_until(120_000, Pair::settled), "seed {seed}");
        pair.check(&sent);
        for node in [ALPHA, BETA] {
            let frozen = pair.view(node).state == LinkState::Frozen;
            assert!(!frozen, "seed {seed}");
        }
    }
}

#[test]
fn a_frozen_link_keeps_what_waits_and_goes_on_when_it_thaws() {
    let mut pair = Pair::new(1);
    pair.start_both();
    pair.run_for(2_000);
    pair.input(ALPHA, Input::Freeze);
    pair.nodes[ALPHA].config.frozen = true;
    let sent = [pair.send(ALPHA, 5), pair.send(BETA, 5)];
    pair.run_for(600_000);
    assert!(pair.open_sockets().is_empty());
    let view = pair.view(ALPHA);
    assert_eq!((view.state, view.queued), (LinkState::Frozen, 5));
    assert_eq!(view.last_error, Some(CloseCode::KeyChanged.code()));
    assert_eq!(
        pair.view(BETA).last_error,
        Some(CloseCode::KeyChanged.code())
    );
    assert!(
        pair.nodes[ALPHA].store.agents.is_empty(),
        "nothing is delivered"
    );
    // It stays so over a restart.
    pair.crash(ALPHA);
    pair.start(ALPHA);
    pair.run_for(600_000);
    assert_eq!(pair.view(ALPHA).state, LinkState::Frozen);
    let document = pair.nodes[BETA].identity.as_document();
    pair.nodes[ALPHA].config.frozen = false;
    pair.input(ALPHA, Input::Thaw(document));
    assert!(pair.run_until(10_000, Pair::settled));
    pair.check(&sent);
}

#[test]
fn a_handshake_that_waits_for_the_peers_document_ends_with_the_freeze() {
    let mut pair = Pair::new(2);
    pair.start(ALPHA);
    pair.start(BETA);
    pair.run_for(12);
    pair.input(ALPHA, Input::Freeze);
    pair.run_for(60_000);
    assert!(pair.open_sockets().is_empty());
    let ups = pair.nodes[ALPHA].count(|event| matches!(event, Event::Up { .. }));
    assert_eq!(ups, 0);
}
