//! A few short runs, and planted bugs that the checkers must find.

use entente_federation_sim::{PlantedBug, Settings, run};

fn settings(seed: u64, plant: Option<PlantedBug>) -> Settings {
    Settings {
        seed,
        networks: 20,
        minutes: 1,
        liars: 10,
        plant,
    }
}

#[test]
fn a_few_seeds_hold_every_invariant_under_faults() {
    for seed in 1..=4 {
        let summary = run(settings(seed, None)).unwrap_or_else(|failure| panic!("{failure}"));
        // The run must have been worth something.
        assert!(summary.accepted > 500, "{summary:?}");
        assert!(
            summary.crashes > 20 && summary.duplicates > 0,
            "{summary:?}"
        );
        assert!(summary.lies > 20 && summary.handed_again > 0, "{summary:?}");
    }
}

#[test]
fn a_seed_repeats_event_for_event_and_another_does_not() {
    let [first, again, other] = [7, 7, 8].map(|seed| run(settings(seed, None)).unwrap());
    assert_eq!(first, again);
    assert_ne!(first.trace, other.trace);
}

#[test]
fn an_acknowledgement_that_is_not_stored_is_found() {
    for seed in 1..=3 {
        let failure = run(settings(seed, Some(PlantedBug::DropAck))).unwrap_err();
        assert_eq!(failure.invariant, "memory agrees with the store");
        let replay = format!("cargo xtask sim --seed {seed} --networks 20 --minutes 1 --liars 10");
        assert_eq!(failure.replay(), replay + " --plant drop-ack");
    }
}

#[test]
fn a_message_that_is_not_recognised_when_it_is_offered_again_is_found_and_replays() {
    for seed in 1..=3 {
        let failure = run(settings(seed, Some(PlantedBug::SkipDedup))).unwrap_err();
        // Twice, or although it was refused the first time.
        let found = ["handed on once", "one true answer per message"];
        assert!(found.contains(&failure.invariant), "{failure}");
        assert_eq!(run(failure.settings).unwrap_err(), failure);
    }
}
