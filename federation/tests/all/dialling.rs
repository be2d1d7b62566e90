//! Who dials when, which socket stays, and what the link shows of it.

use entente_federation::{Event, Input, Misbehaved, Request, SocketId};
use entente_lexicon::api::LinkState;
use entente_lexicon::{Timestamp, TrustLevel};

use crate::pair::{ALPHA, BETA, Identity, Pair, config};

fn states(pair: &Pair) -> [LinkState; 2] {
    [ALPHA, BETA].map(|node| pair.view(node).state)
}

#[test]
fn a_fresh_link_comes_up_once_and_goes_idle() {
    let mut pair = Pair::new(1);
    pair.start_both();
    assert_eq!(states(&pair), [LinkState::Connecting; 2]);
    pair.run_for(2_000);
    assert_eq!(states(&pair), [LinkState::Up; 2]);
    for node in [ALPHA, BETA] {
        let view = pair.view(node);
        assert_eq!(view.granted, Some(TrustLevel::Open));
        assert_eq!(view.round_trip_ms, Some(20));
        assert_eq!(view.last_error, None);
    }
    pair.run_for(35_000);
    assert_eq!(states(&pair), [LinkState::Idle; 2]);
    assert!(pair.open_sockets().is_empty());
    assert_eq!(
        pair.nodes.each_ref().map(|node| node.wake),
        [None; 2],
        "an idle link sleeps"
    );
    assert_eq!(
        pair.nodes[ALPHA].count(|e| matches!(e, Event::Down { .. })),
        0
    );
}

#[test]
fn dialling_at_once_leaves_the_lower_dids_socket() {
    let mut pair = Pair::new(2);
    pair.start_both();
    pair.run_for(5_000);
    assert_eq!(pair.nodes.each_ref().map(|node| node.dials), [1, 1]);
    assert_eq!(pair.open_sockets(), [ALPHA]);
    assert_eq!(states(&pair), [LinkState::Up; 2]);
    assert_eq!(pair.view(BETA).last_error, None);
}

#[test]
fn every_order_of_two_simultaneous_dials_ends_with_one_socket() {
    for offset in 0..60 {
        for first in [ALPHA, BETA] {
            let mut pair = Pair::new(offset);
            pair.start(first);
            pair.start(1 - first);
            pair.run_for(0);
            // The second node's dial is answered a little later.
            pair.run_for(offset);
            pair.input(1 - first, Input::Probe);
            let sent = [pair.send(ALPHA, 20), pair.send(BETA, 20)];
            assert!(pair.run_until(30_000, Pair::settled));
            pair.check(&sent);
            pair.run_for(3_000);
            assert_eq!(pair.open_sockets().len(), 1);
            assert_eq!(states(&pair), [LinkState::Up; 2]);
        }
    }
}

#[test]
fn whoever_has_work_dials_at_once() {
    for node in [ALPHA, BETA] {
        let mut pair = Pair::new(3);
        pair.start_both();
        pair.run_for(60_000);
        let dials = pair.nodes[node].dials;
        pair.send(node, 1);
        assert_eq!(pair.nodes[node].dials, dials + 1);
        assert!(pair.run_until(200, Pair::settled));
        assert_eq!(pair.open_sockets(), [node]);
    }
}

#[test]
fn a_network_that_may_not_dial_waits_for_its_peer() {
    let mut pair = Pair::new(4);
    pair.nodes[BETA].config.allow_outbound = false;
    pair.start(BETA);
    let sent = [Vec::new(), pair.send(BETA, 3)];
    pair.run_for(10_000);
    assert_eq!(pair.nodes[BETA].dials, 0);
    pair.start(ALPHA);
    assert!(pair.run_until(5_000, Pair::settled));
    pair.check(&sent);
}

#[test]
fn an_unreachable_peer_is_dialled_ever_more_rarely_and_always_again() {
    let mut pair = Pair::new(5);
    pair.cut = true;
    pair.start(ALPHA);
    pair.send(ALPHA, 1);
    pair.run_for(60_000);
    let early = pair.nodes[ALPHA].dials;
    assert!((5..=30).contains(&early), "{early}");
    assert_eq!(pair.view(ALPHA).state, LinkState::Unreachable);
    assert_eq!(pair.view(ALPHA).last_error.unwrap().as_str(), "UNREACHABLE");
    for _ in 0..100 {
        pair.run_for(10_000);
        assert!(
            pair.nodes[ALPHA].wake.is_some(),
            "a non-empty outbox has a due timer"
        );
        assert!(
            pair.view(ALPHA)
                .next_retry
                .is_some_and(|at| at.since(pair.now) <= 60_000)
        );
    }
    let late = pair.nodes[ALPHA].dials - early;
    assert!((17..=90).contains(&late), "{late}");
    pair.cut = false;
    pair.start(BETA);
    assert!(
        pair.run_until(1_000, Pair::settled),
        "an accepted session is a sign of life"
    );
    assert_eq!(pair.view(ALPHA).last_error, None);
}

#[test]
fn a_silent_peer_is_noticed_and_dialled_again() {
    let mut pair = Pair::new(6);
    pair.start_both();
    pair.run_for(5_000);
    pair.stall_sockets();
    let sent = [pair.send(ALPHA, 5), Vec::new()];
    pair.run_for(19_000);
    assert!(!pair.settled());
    assert!(pair.run_until(5_000, Pair::settled));
    pair.check(&sent);
    let down = |e: &Event| matches!(e, Event::Down { code } if code.as_str() == "SILENCE");
    assert_eq!(pair.nodes[ALPHA].count(down), 1);
}

#[test]
fn a_session_that_is_quiet_but_answers_is_not_dead() {
    let mut pair = Pair::new(7);
    pair.agent_ms = 90_000;
    pair.start_both();
    let sent = [pair.send(ALPHA, 3), Vec::new()];
    assert!(pair.run_until(300_000, Pair::settled));
    pair.check(&sent);
    assert_eq!(
        pair.nodes[ALPHA].count(|e| matches!(e, Event::Up { .. })),
        1
    );
    assert_eq!(
        pair.nodes[ALPHA].count(|e| matches!(e, Event::Down { .. })),
        0
    );
}

#[test]
fn a_restarted_peer_gets_through_although_the_other_side_has_not_noticed() {
    for node in [ALPHA, BETA] {
        let mut pair = Pair::new(8);
        pair.start_both();
        pair.run_for(5_000);
        // The machine vanishes: the other side sees neither frame nor close.
        pair.stall_sockets();
        pair.crash(node);
        pair.start(node);
        let mut sent = [Vec::new(), Vec::new()];
        sent[node] = pair.send(node, 5);
        assert!(pair.run_until(40_000, Pair::settled));
        pair.check(&sent);
    }
}

#[test]
fn a_frame_on_an_unknown_socket_is_answered_by_a_close() {
    let mut pair = Pair::new(9);
    pair.start(ALPHA);
    let link = pair.nodes[ALPHA].link.as_mut().unwrap();
    let out = link.handle(
        pair.now,
        Input::Frame {
            socket: SocketId(99),
            bytes: b"x",
        },
    );
    assert_eq!(out.closes, [(SocketId(99), 4404, "SESSION_LOST")]);
}

#[test]
fn a_dial_that_the_driver_never_answers_lapses() {
    let mut pair = Pair::new(10);
    pair.start(ALPHA);
    let link = pair.nodes[ALPHA].link.as_mut().unwrap();
    let later = pair.now.after(15_000);
    let out = link.handle(later, Input::Timeout);
    assert!(
        out.events
            .iter()
            .any(|event| matches!(event, Event::Down { code } if code.as_str() == "DIAL_TIMEOUT"))
    );
    let out = link.handle(
        later,
        Input::Dialled {
            socket: SocketId(1),
        },
    );
    assert_eq!(out.closes.len(), 1, "too late");
}

#[test]
fn a_link_to_ourselves_opens_no_handshake() {
    let own = Identity::new(1);
    let config = config(&own, &own, TrustLevel::Open);
    let mut link = entente_federation::Link::new(
        config,
        own.key.clone(),
        entente_federation::Restored::default(),
        [1; 32],
    );
    let now = Timestamp(1_000_000);
    assert_eq!(link.handle(now, Input::Timeout).requests, [Request::Dial]);
    let out = link.handle(
        now,
        Input::Dialled {
            socket: SocketId(1),
        },
    );
    assert!(out.transmits.is_empty());
    assert_eq!(out.closes, [(SocketId(1), 4425, "OWN_DID")]);
}

#[test]
fn a_changed_document_is_fetched_once_and_the_handshake_goes_on() {
    for changed in [ALPHA, BETA] {
        let mut pair = Pair::new(11);
        pair.nodes[changed].identity.document = [77; 32];
        pair.nodes[changed].config.own.document_hash = [77; 32];
        pair.start(ALPHA);
        pair.nodes[BETA].config.allow_outbound = false;
        pair.start(BETA);
        pair.run_for(2_000);
        assert_eq!(states(&pair), [LinkState::Up; 2]);
    }
}

#[test]
fn a_session_ends_with_the_key_that_opened_it() {
    let mut pair = Pair::new(12);
    pair.start_both();
    pair.run_for(2_000);
    pair.nodes[BETA].identity.kid = "kid-new".into();
    pair.fetch(ALPHA);
    pair.run_for(0);
    assert_ne!(pair.view(ALPHA).state, LinkState::Up);
}

#[test]
fn at_most_two_handshakes_are_in_progress() {
    let mut pair = Pair::new(13);
    pair.nodes[ALPHA].config.allow_outbound = false;
    pair.start(ALPHA);
    let claimed = pair.nodes[BETA].identity.claimed();
    let now = pair.now;
    let link = pair.nodes[ALPHA].link.as_mut().unwrap();
    let mut closed = Vec::new();
    for number in 0..5 {
        let socket = SocketId(100 + number);
        let out = link.handle(
            now,
            Input::Accepted {
                socket,
                claimed: claimed.clone(),
            },
        );
        closed.extend(out.closes.iter().map(|(socket, code, _)| (socket.0, *code)));
    }
    assert_eq!(closed.len(), 3);
    assert!(closed.iter().all(|(_, code)| *code == 4405));
    let out = link.handle(now.after(10_000), Input::Timeout);
    let timeouts = out.events.iter().filter(|event| {
        matches!(
            event,
            Event::Misbehaved {
                how: Misbehaved::HandshakeTimeout,
                frame: 1,
                ..
            }
        )
    });
    assert_eq!(timeouts.count(), 2);
}

#[test]
fn a_session_long_silent_gives_way_to_the_other_sides_dial() {
    let mut pair = Pair::new(14);
    for node in &mut pair.nodes {
        node.config.limits.idle_ms = 600_000;
    }
    pair.nodes[BETA].config.allow_outbound = false;
    pair.start_both();
    pair.run_for(5_000);
    pair.stall_sockets();
    pair.crash(BETA);
    pair.run_for(31_000);
    assert_eq!(
        pair.view(ALPHA).state,
        LinkState::Up,
        "nothing was due, so nothing was missed"
    );
    pair.nodes[BETA].config.allow_outbound = true;
    pair.start(BETA);
    let sent = [Vec::new(), pair.send(BETA, 1)];
    assert!(pair.run_until(500, Pair::settled));
    pair.check(&sent);
}
