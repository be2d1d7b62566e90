//! Whatever answers come, in whatever order: nothing ends twice, nothing is given up early, nothing is
//! tried for ever.

use entente_delivery::{
    Delivery, Disabled, Endpoint, Fault, HEAD_ATTEMPTS, HEAD_WAIT_MS, Lane, MAX_WAIT_MS, Policy,
    State, Verdict, WINDOW,
};
use entente_lexicon::Timestamp;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn verdicts() -> impl Strategy<Value = Vec<Verdict>> {
    let one = prop_oneof![
        5 => Just(Verdict::Failed),
        1 => Just(Verdict::Taken),
        1 => Just(Verdict::Gone),
    ];
    prop::collection::vec(one, 0..60)
}

#[test]
fn an_answer_is_judged_by_its_status_alone() {
    for status in [200, 202, 204, 299] {
        assert_eq!(Verdict::of(Some(status)), Verdict::Taken);
    }
    for status in [0, 100, 301, 302, 307, 400, 401, 404, 429, 500, 503] {
        assert_eq!(Verdict::of(Some(status)), Verdict::Failed);
    }
    assert_eq!(Verdict::of(Some(410)), Verdict::Gone);
    assert_eq!(Verdict::of(None), Verdict::Failed);
}

#[test]
fn what_was_ended_is_not_changed_by_a_second_answer() {
    let policy = Policy::of(1);
    let delivered = Delivery::new(NOW).tried(Verdict::Taken, &policy, NOW, 0);
    for verdict in [Verdict::Taken, Verdict::Failed, Verdict::Gone] {
        assert_eq!(delivered.tried(verdict, &policy, NOW, 7), delivered);
    }
    assert_eq!(delivered.given_up(), delivered);
    assert!(delivered.redriven(NOW).is_err() && delivered.discarded().is_err());
}

#[test]
fn a_dead_letter_is_tried_again_with_all_its_attempts_or_thrown_away() {
    let policy = Policy::of(2);
    let fail = |delivery: Delivery| delivery.tried(Verdict::Failed, &policy, NOW, 3);
    let dead = fail(fail(Delivery::new(NOW)));
    assert_eq!(dead.state, State::Dead);
    let again = dead.redriven(NOW).unwrap();
    assert_eq!(again, Delivery::new(NOW));
    assert_eq!(fail(again).state, State::Waiting);
    let discarded = dead.discarded().unwrap();
    assert!(discarded.redriven(NOW).is_err(), "it is gone for good");
}

#[test]
fn a_receiver_that_fails_is_asked_for_one_thing_at_a_time_and_not_before_its_time() {
    let policy = Policy::of(15);
    let well = Endpoint::new(NOW);
    assert_eq!(well.window(NOW), WINDOW);
    let ill = well.heard(Verdict::Failed, &policy, NOW, 0);
    assert_eq!(ill.window(NOW), 0);
    assert_eq!(ill.window(ill.resume), 1);
    let again = ill.heard(Verdict::Taken, &policy, ill.resume, 0);
    assert_eq!(again.window(ill.resume), WINDOW);
    let gone = well.heard(Verdict::Gone, &policy, NOW, 0);
    assert_eq!((gone.disabled, gone.window(NOW)), (Some(Disabled::Gone), 0));
}

#[test]
fn names_read_back() {
    for state in [
        State::Waiting,
        State::Delivered,
        State::Dead,
        State::Discarded,
    ] {
        assert_eq!(State::parse(state.as_str()), Some(state));
    }
    for why in [Disabled::Gone, Disabled::Failing, Disabled::Backlog] {
        assert_eq!(Disabled::parse(why.as_str()), Some(why));
    }
}

proptest! {
    #[test]
    fn waits_double_stay_within_bounds_and_leave_half_to_chance(failures in 1u32..200, random: u64) {
        let policy = Policy::default();
        let wait = policy.wait(failures, random);
        let longest = 1_000_u64.saturating_mul(1 << failures.saturating_sub(1).min(40)).min(MAX_WAIT_MS);
        prop_assert!(wait >= longest / 2 && wait <= longest, "{wait} of {longest}");
    }

    #[test]
    fn a_delivery_ends_once_and_after_no_more_attempts_than_it_has(
        verdicts in verdicts(), attempts in 1u32..20, random: u64,
    ) {
        let policy = Policy::of(attempts);
        let mut delivery = Delivery::new(NOW);
        let (mut now, mut failed) = (NOW, 0);
        for verdict in verdicts {
            let before = delivery;
            delivery = delivery.tried(verdict, &policy, now, random);
            if before.state != State::Waiting {
                prop_assert_eq!(delivery, before);
                continue;
            }
            failed += u32::from(verdict == Verdict::Failed);
            let expected = match verdict {
                Verdict::Taken => State::Delivered,
                Verdict::Gone => State::Dead,
                Verdict::Failed if failed == attempts => State::Dead,
                Verdict::Failed => State::Waiting,
            };
            prop_assert_eq!(delivery.state, expected);
            if delivery.state == State::Waiting {
                prop_assert!(delivery.due > now, "never at once");
                now = delivery.due;
            }
        }
        prop_assert!(failed <= attempts);
    }

    #[test]
    fn a_receiver_is_given_up_only_after_failing_twice_as_often_as_one_delivery_may(
        verdicts in verdicts(), attempts in 1u32..20, random: u64,
    ) {
        let policy = Policy::of(attempts);
        let mut endpoint = Endpoint::new(NOW);
        let mut row = 0;
        for verdict in verdicts {
            if endpoint.disabled.is_some() {
                break;
            }
            endpoint = endpoint.heard(verdict, &policy, NOW, random);
            match verdict {
                Verdict::Failed => row += 1,
                Verdict::Taken => row = 0,
                Verdict::Gone => {}
            }
            let expected = match verdict {
                Verdict::Gone => Some(Disabled::Gone),
                Verdict::Failed if row >= attempts * 2 => Some(Disabled::Failing),
                Verdict::Failed | Verdict::Taken => None,
            };
            prop_assert_eq!(endpoint.disabled, expected);
        }
    }

    /// Whatever the deployment's patience, what a living recipient cannot bear holds nobody up for long.
    #[test]
    fn a_message_that_its_recipient_cannot_bear_steps_aside_within_a_minute(
        attempts in 1u32..=100,
        down in 0u32..20,
        random: u64,
    ) {
        let policy = Policy::of(attempts);
        let mut lane = Lane::default();
        for _ in 0..down {
            lane = lane.failed((Fault::Down, false), &policy, lane.due, random);
        }
        let (from, mut tries) = (lane.due, 1);
        while !lane.gives_way(Fault::Head) {
            lane = lane.failed((Fault::Head, false), &policy, lane.due, random);
            tries += 1;
        }
        prop_assert_eq!(tries, HEAD_ATTEMPTS);
        prop_assert!(lane.due.since(from) <= u64::from(HEAD_ATTEMPTS) * HEAD_WAIT_MS);
        prop_assert!(!lane.failed((Fault::Down, false), &policy, lane.due, random).gives_way(Fault::Head));
    }

    /// Many messages, a recipient that is down now and then, and some that it cannot bear: those die
    /// alone, all others arrive in their order, and the ledger adds up.
    #[test]
    fn a_lane_keeps_order_and_loses_nothing(
        poisoned in prop::collection::vec(any::<bool>(), 1..30),
        down in prop::collection::vec(any::<bool>(), 0..12),
        attempts in 13u32..16,
        random: u64,
    ) {
        let policy = Policy::of(attempts);
        let mut waiting: Vec<(usize, u32)> = (0..poisoned.len()).map(|n| (n, 0)).collect();
        let (mut taken, mut dead) = (Vec::new(), Vec::new());
        let (mut lane, mut now, mut round) = (Lane::default(), NOW, 0);
        while let Some((head, _)) = waiting.first().copied() {
            prop_assert!(lane.is_due(now));
            let is_down = down.get(round).copied().unwrap_or(false);
            round += 1;
            if !is_down && !poisoned[head] {
                taken.push(head);
                waiting.remove(0);
                lane = Lane::moved(now);
                continue;
            }
            let fault = if is_down { Fault::Down } else { Fault::Head };
            let failures: Vec<u32> = waiting.iter().map(|(_, failures)| *failures).collect();
            for (row, failures) in waiting.iter_mut().zip(Lane::counted(&failures, fault)) {
                row.1 = failures;
            }
            let aside = lane.gives_way(fault).then_some(head);
            waiting.retain(|(n, failures)| {
                let spent = policy.is_spent(*failures) || aside == Some(*n);
                if spent {
                    dead.push(*n);
                }
                !spent
            });
            let gave_up = waiting.len() < failures.len();
            lane = lane.failed((fault, gave_up), &policy, now, random);
            prop_assert_eq!(lane.is_due(now), gave_up, "never at once");
            now = lane.due;
        }
        prop_assert!(taken.is_sorted());
        prop_assert!(dead.iter().all(|n| poisoned[*n]), "only what cannot be borne dies");
        prop_assert_eq!(taken.len() + dead.len(), poisoned.len());
    }
}
