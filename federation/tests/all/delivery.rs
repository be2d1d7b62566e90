//! Every message arrives once and in order, or its sender learns why not, whatever happens.

use entente_federation::{Event, Item, Limits, Misbehaved, Stream};
use entente_lexicon::api::LinkState;
use proptest::prelude::*;

use crate::pair::{ALPHA, BETA, LATENCY_MS, Pair, agent};

const HOUR_MS: u64 = 3_600_000;

#[derive(Clone, Debug)]
enum Step {
    Send(usize, usize),
    Crash(usize),
    CrashAfterChanges(usize),
    Break,
    Stall,
    Cut(bool),
    AgentGone(usize, u64),
    Run(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0usize..2;
    prop_oneof![
        6 => (node.clone(), 1usize..40).prop_map(|(node, count)| Step::Send(node, count)),
        2 => node.clone().prop_map(Step::Crash),
        3 => node.clone().prop_map(Step::CrashAfterChanges),
        2 => Just(Step::Break),
        1 => Just(Step::Stall),
        1 => any::<bool>().prop_map(Step::Cut),
        1 => (node, 0u64..3).prop_map(|(node, agent)| Step::AgentGone(node, agent)),
        8 => prop_oneof![1u64..100, 100u64..3_000, 3_000u64..50_000].prop_map(Step::Run),
    ]
}

/// `PROPTEST_CASES` asks for a longer run.
fn cases(usual: u32) -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Plays the steps, then heals everything and waits.
fn play(seed: u64, steps: Vec<Step>) {
    let mut pair = Pair::new(seed);
    if seed.is_multiple_of(2) {
        // A window so small that something is always held back.
        for node in &mut pair.nodes {
            node.config.limits.window_items = 4;
        }
    }
    let mut sent = [Vec::new(), Vec::new()];
    pair.start_both();
    for step in steps {
        match step {
            Step::Send(node, count) => {
                if pair.nodes[node].link.is_some() {
                    let crashes = pair.nodes[node].crash_after_changes;
                    sent[node].extend(pair.send(node, count));
                    assert!(!crashes || pair.nodes[node].link.is_none());
                }
            }
            Step::Crash(node) => {
                pair.crash(node);
                pair.start(node);
            }
            Step::CrashAfterChanges(node) => pair.nodes[node].crash_after_changes = true,
            Step::Break => pair.break_sockets(),
            Step::Stall => pair.stall_sockets(),
            Step::Cut(cut) => pair.cut = cut,
            Step::AgentGone(node, number) => {
                pair.nodes[node].gone.insert(agent(node, number));
            }
            Step::Run(ms) => pair.run_for(ms),
        }
        for node in [ALPHA, BETA] {
            if pair.nodes[node].link.is_none() {
                pair.start(node);
            }
        }
    }
    pair.cut = false;
    for node in [ALPHA, BETA] {
        pair.nodes[node].crash_after_changes = false;
    }
    assert!(pair.run_until(HOUR_MS, Pair::settled), "everything settles");
    pair.check(&sent);
    for node in &pair.nodes {
        node.events.iter().for_each(check_honest);
    }
    pair.run_for(10 * 60_000);
    assert!(pair.open_sockets().is_empty(), "idle links close");
    assert_eq!(
        [ALPHA, BETA].map(|node| pair.view(node).state),
        [LinkState::Idle; 2]
    );
}

/// Between two honest peers that lose nothing on disk some things never happen.
fn check_honest(event: &Event) {
    let harmless = match event {
        Event::Misbehaved { how, .. } => *how == Misbehaved::HandshakeTimeout,
        Event::RolledBack { .. } | Event::Gap { .. } | Event::StoreBroken { .. } => false,
        Event::PeerReset { .. } => false,
        Event::Up { .. } | Event::Idle | Event::Down { .. } | Event::Refused { .. } => true,
    };
    assert!(harmless, "{event:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(96)))]

    #[test]
    fn messages_arrive_once_and_in_order_through_crashes_and_cuts(
        seed: u64,
        steps in prop::collection::vec(step(), 1..40),
    ) {
        play(seed, steps);
    }
}

#[test]
fn a_thousand_messages_each_way_arrive_over_one_session() {
    let mut pair = Pair::new(1);
    pair.start_both();
    pair.run_for(1_000);
    let mut sent = [Vec::new(), Vec::new()];
    for _ in 0..10 {
        for node in [ALPHA, BETA] {
            sent[node].extend(pair.send(node, 100));
        }
        pair.run_for(5);
    }
    assert!(pair.run_until(10_000, Pair::settled));
    pair.check(&sent);
    assert_eq!(
        [0, 1].map(|n| pair.nodes[n].loads),
        [0, 0],
        "nothing was read back"
    );
    assert!(
        pair.nodes[ALPHA].store.evidence <= 30,
        "receipts are batched"
    );
}

#[test]
fn a_backlog_larger_than_the_window_drains_by_loads() {
    let mut pair = Pair::new(2);
    pair.start(ALPHA);
    let mut sent = [Vec::new(), Vec::new()];
    for _ in 0..50 {
        sent[ALPHA].extend(pair.send(ALPHA, 100));
    }
    pair.start(BETA);
    assert!(pair.run_until(120_000, Pair::settled));
    pair.check(&sent);
    assert!(pair.nodes[ALPHA].loads < 20);
}

#[test]
fn under_load_everything_ready_goes_in_one_frame() {
    let mut pair = Pair::new(3);
    pair.start_both();
    pair.run_for(1_000);
    let before = pair.nodes[ALPHA].transmits;
    pair.send(ALPHA, 400);
    assert_eq!(pair.nodes[ALPHA].transmits - before, 1);
    assert!(pair.run_until(5_000, Pair::settled));
    let acks = pair.nodes[ALPHA].store.evidence;
    assert_eq!(acks, 1, "one receipt for one completed batch");
}

#[test]
fn messages_that_follow_closely_share_acknowledgements_and_one_alone_waits_for_nothing() {
    let mut pair = Pair::new(3);
    pair.agent_ms = 0;
    pair.start_both();
    pair.run_for(1_000);
    let alone = |pair: &mut Pair| {
        pair.send(ALPHA, 1);
        pair.run_for(3 * LATENCY_MS);
        assert!(pair.settled(), "acknowledged as soon as it was there");
    };
    alone(&mut pair);
    let before = pair.nodes[ALPHA].store.evidence;
    for _ in 0..100 {
        pair.send(ALPHA, 1);
        pair.run_for(1);
    }
    assert!(pair.run_until(100, Pair::settled));
    let acks = pair.nodes[ALPHA].store.evidence - before;
    assert!((4..=7).contains(&acks), "{acks} for 100 messages in 100 ms");
    pair.run_for(1_000);
    alone(&mut pair);
}

#[test]
fn a_slow_agent_delays_the_receipts_but_nothing_is_lost() {
    let mut pair = Pair::new(4);
    pair.agent_ms = 4_000;
    pair.start_both();
    let sent = [pair.send(ALPHA, 300), pair.send(BETA, 300)];
    assert!(pair.run_until(120_000, Pair::settled));
    pair.check(&sent);
}

#[test]
fn a_refused_message_blocks_nobody_and_its_sender_learns_why() {
    let mut pair = Pair::new(5);
    pair.nodes[BETA].gone.insert(agent(BETA, 1));
    pair.start_both();
    let sent = [pair.send(ALPHA, 200), Vec::new()];
    assert!(pair.run_until(60_000, Pair::settled));
    pair.check(&sent);
    let refused = pair.nodes[ALPHA].store.outcome.values().flatten().count();
    assert!(refused > 20);
    pair.run_for(1_000);
    assert!(
        pair.nodes[BETA].store.restored.rejects.is_empty(),
        "confirmed and dropped"
    );
}

#[test]
fn rejects_survive_the_loss_of_their_acknowledgement() {
    for seed in 0..40 {
        let mut pair = Pair::new(seed);
        for node in [ALPHA, BETA] {
            pair.nodes[node].gone.insert(agent(node, 0));
            pair.nodes[node].gone.insert(agent(node, 1));
        }
        pair.start_both();
        pair.run_for(1_000);
        let sent = [pair.send(ALPHA, 150), pair.send(BETA, 150)];
        // The frames arrive, agents answer, and then the sockets die at some instant.
        pair.run_for(10 + seed);
        pair.break_sockets();
        assert!(pair.run_until(60_000, Pair::settled));
        pair.check(&sent);
    }
}

#[test]
fn a_sender_rolled_back_offers_everything_again_in_a_new_epoch() {
    let mut pair = Pair::new(6);
    pair.start_both();
    let first = pair.send(ALPHA, 5);
    pair.run_for(5_000);
    let backup = pair.nodes[ALPHA].store.clone();
    let lost = pair.send(ALPHA, 7);
    pair.run_for(5_000);
    pair.crash(ALPHA);
    pair.nodes[ALPHA].store = backup;
    pair.nodes[ALPHA].store.restored.dial_own = 0;
    pair.start(ALPHA);
    let again = pair.send(ALPHA, 3);
    assert!(pair.run_until(60_000, Pair::settled));
    assert_eq!(
        pair.nodes[ALPHA].count(|e| matches!(e, Event::RolledBack { .. })),
        1
    );
    let arrived: usize = pair.nodes[BETA].store.agents.values().map(Vec::len).sum();
    assert_eq!(arrived, first.len() + lost.len() + again.len());
}

#[test]
fn a_receiver_rolled_back_says_that_there_is_a_gap_and_goes_on() {
    let mut pair = Pair::new(7);
    pair.start_both();
    pair.send(ALPHA, 5);
    pair.run_for(5_000);
    let backup = pair.nodes[BETA].store.restored.clone();
    pair.send(ALPHA, 7);
    pair.run_for(5_000);
    pair.crash(BETA);
    pair.nodes[BETA].store.restored = backup;
    pair.start(BETA);
    pair.send(ALPHA, 3);
    assert!(pair.run_until(60_000, Pair::settled));
    let gap = Event::Gap {
        stream: Stream::Msg,
        from: 6,
        upto: 12,
    };
    assert_eq!(pair.nodes[BETA].count(|e| *e == gap), 1);
}

#[test]
fn a_wiped_peer_starts_over() {
    for wiped in [ALPHA, BETA] {
        let mut pair = Pair::new(8);
        pair.start_both();
        let mut sent = [pair.send(ALPHA, 5), pair.send(BETA, 5)];
        pair.run_for(5_000);
        pair.crash(wiped);
        pair.nodes[wiped].store.restored = entente_federation::Restored::default();
        pair.start(wiped);
        for node in [ALPHA, BETA] {
            sent[node].extend(pair.send(node, 5));
        }
        assert!(pair.run_until(60_000, Pair::settled));
        pair.check(&sent);
    }
}

#[test]
fn a_full_outbox_refuses_to_the_sender_and_takes_again_once_there_is_room() {
    let mut pair = Pair::new(9);
    let limits = Limits {
        outbox_items: 10,
        outbox_bytes: 100_000,
        ..Limits::default()
    };
    pair.nodes[ALPHA].config.limits = limits;
    pair.start(ALPHA);
    let mut sent = [pair.send(ALPHA, 15), Vec::new()];
    let codes: Vec<_> = pair.nodes[ALPHA]
        .store
        .outcome
        .values()
        .flatten()
        .cloned()
        .collect();
    assert_eq!(codes, vec![entente_federation::Code::OUTBOX_FULL; 5]);
    pair.start(BETA);
    assert!(pair.run_until(60_000, Pair::settled));
    sent[ALPHA].extend(pair.send(ALPHA, 10));
    assert!(pair.run_until(60_000, Pair::settled));
    pair.check(&sent);
}

#[test]
fn the_byte_bound_holds_across_a_restart() {
    let mut pair = Pair::new(10);
    pair.nodes[ALPHA].config.limits.outbox_bytes = 5_000;
    pair.start(ALPHA);
    pair.send(ALPHA, 30);
    let accepted = pair.nodes[ALPHA].store.outbox.len();
    assert!((8..30).contains(&accepted));
    pair.crash(ALPHA);
    pair.start(ALPHA);
    pair.send(ALPHA, 30);
    assert!(pair.nodes[ALPHA].store.outbox.len() <= accepted + 2);
}

#[test]
fn an_item_too_large_or_empty_is_refused_alone() {
    let mut pair = Pair::new(11);
    pair.start_both();
    let mut items: Vec<Item> = (0..4).map(|_| pair.message(ALPHA, 0, 0)).collect();
    items[1].bytes = vec![1; 128 * 1024 + 1].into();
    items[2].bytes = Vec::new().into();
    items[3].bytes = vec![1; 128 * 1024].into();
    let sent = [items.iter().map(|item| item.id).collect(), Vec::new()];
    pair.offer(ALPHA, items);
    assert!(pair.run_until(60_000, Pair::settled));
    pair.check(&sent);
    assert_eq!(
        pair.nodes[ALPHA].store.outcome.values().flatten().count(),
        2
    );
}

#[test]
fn large_messages_respect_the_window_in_bytes() {
    let mut pair = Pair::new(12);
    pair.start_both();
    let mut items: Vec<Item> = (0..60).map(|_| pair.message(ALPHA, 0, 0)).collect();
    for item in &mut items {
        item.bytes = vec![1; 100 * 1024].into();
    }
    let sent = [items.iter().map(|item| item.id).collect(), Vec::new()];
    pair.offer(ALPHA, items);
    assert!(pair.run_until(60_000, Pair::settled));
    pair.check(&sent);
}

#[test]
fn a_store_that_lost_a_row_is_said_out_loud() {
    let mut pair = Pair::new(13);
    pair.start(ALPHA);
    pair.send(ALPHA, 3);
    pair.nodes[ALPHA].store.outbox.remove(&1);
    pair.start(BETA);
    pair.run_for(60_000);
    assert_eq!(
        pair.nodes[ALPHA].count(|e| *e
            == Event::StoreBroken {
                stream: Stream::Msg,
                seq: 1
            }),
        1
    );
}

#[test]
fn what_was_held_ready_does_not_outlive_its_session() {
    let mut pair = Pair::new(15);
    pair.nodes[BETA].config.limits.window_items = 10;
    pair.nodes[BETA].config.allow_outbound = false;
    pair.start_both();
    pair.run_for(1_000);
    let sent = [pair.send(ALPHA, 100), Vec::new()];
    pair.run_for(15);
    pair.break_sockets();
    assert!(pair.run_until(60_000, Pair::settled));
    pair.check(&sent);
    let blamed = pair
        .nodes
        .iter()
        .map(|n| n.count(|e| matches!(e, Event::Misbehaved { .. })));
    assert_eq!(blamed.sum::<usize>(), 0);
}

#[test]
fn the_diallers_own_window_holds_once_its_status_was_heard() {
    let mut pair = Pair::new(16);
    pair.nodes[ALPHA].config.limits.window_items = 1;
    pair.nodes[BETA].config.allow_outbound = false;
    pair.start_both();
    pair.run_for(1_000);
    let before = pair.nodes[BETA].transmits;
    let sent = [Vec::new(), pair.send(BETA, 100)];
    assert_eq!(pair.nodes[BETA].transmits - before, 1);
    assert!(pair.run_until(10_000, Pair::settled));
    pair.check(&sent);
    let frames = pair.nodes[BETA].transmits - before;
    assert!(frames >= 100, "one at a time: {frames}");
    let blamed = |node: &crate::pair::Node| node.count(|e| matches!(e, Event::Misbehaved { .. }));
    assert!(pair.nodes.iter().all(|node| blamed(node) == 0));
}
