//! What nobody can do to a score, and what everybody can rely on.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use entente_lexicon::{Did, Timestamp, TrustLevel};
use entente_reputation::{
    Endorsement, HALF_LIFE_MS, MAX_AHEAD_MS, NETWORK_CAP, PRIOR_SCORE, PRIOR_WEIGHT, Reputation,
    STRANGERS_CAP, Silence, Speaker, Subject, VOICE, decayed, weigh,
};
use entente_trust::policy::{
    Direction, Item, ItemKind, Policy, Proof, Reason, Verdict, Voice, decide, voice,
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn did(kind: u8, number: u32) -> Did {
    let mut scid = [kind; 32];
    scid[..4].copy_from_slice(&number.to_be_bytes());
    Did::from_scid(&scid)
}

fn subject() -> Subject {
    Subject {
        did: did(1, 0),
        network: Some(did(2, 0)),
    }
}

/// A fresh word of an agent of network `network`; 1 is the one that asks.
fn word(author: u32, network: u32, score: u8) -> Endorsement {
    let speaker = match network {
        1 => Speaker::Own,
        2 => Speaker::Peer(Voice::Verified),
        3 => Speaker::Peer(Voice::Allowlist),
        _ => Speaker::Peer(Voice::Open),
    };
    Endorsement {
        author: did(3, author),
        network: did(2, network),
        speaker: Ok(speaker),
        skill: None,
        score,
        created_at: NOW,
        valid_to: None,
        received_at: NOW,
        order: (NOW, [0; 16]),
        mutual: false,
    }
}

fn of(said: &[Endorsement]) -> Reputation {
    weigh(&subject(), said, NOW)
}

#[test]
fn nobody_who_speaks_is_no_score_and_one_voice_is_not_all() {
    assert_eq!(of(&[]).score, None);
    let one = of(&[word(1, 1, 100)]);
    assert_eq!((one.score, one.voices, one.weight), (Some(67), 1, VOICE));
    assert_eq!(of(&[word(1, 1, 0)]).score, Some(33));
    assert_eq!(of(&[word(1, 4, 100)]).score, Some(56));
}

#[test]
fn who_is_nearer_is_heard_more() {
    let scores = [1, 2, 3, 4].map(|network| of(&[word(1, network, 100)]).score.unwrap());
    assert_eq!(scores, [67, 64, 60, 56]);
}

#[test]
fn a_word_halves_with_each_half_life_and_is_gone_in_the_end() {
    assert_eq!(decayed(VOICE, 0), VOICE);
    assert_eq!(decayed(VOICE, HALF_LIFE_MS), VOICE / 2);
    assert_eq!(decayed(VOICE, HALF_LIFE_MS / 2), VOICE / 4 * 3);
    assert_eq!(decayed(VOICE, 2 * HALF_LIFE_MS), VOICE / 4);
    assert_eq!(decayed(VOICE, u64::MAX), 0);
    let mut old = word(1, 1, 100);
    old.created_at = Timestamp(NOW.0 - 30 * HALF_LIFE_MS);
    assert_eq!(of(&[old]).contributions[0].silence, Some(Silence::Faded));
}

#[test]
fn what_must_not_count_does_not_and_says_why() {
    let silent = |change: fn(&mut Endorsement)| {
        let mut one = word(1, 1, 100);
        change(&mut one);
        let told = of(&[one]);
        assert_eq!((told.score, told.voices), (None, 0));
        told.contributions[0].silence.unwrap()
    };
    assert_eq!(silent(|one| one.author = subject().did), Silence::Self_);
    assert_eq!(silent(|one| one.valid_to = Some(NOW)), Silence::Expired);
    assert_eq!(
        silent(|one| one.created_at = NOW.after(MAX_AHEAD_MS + 1)),
        Silence::Future
    );
    for why in [
        Silence::Banned,
        Silence::Blocked,
        Silence::NotPeered,
        Silence::NotLetIn,
    ] {
        let mut one = word(1, 1, 100);
        one.speaker = Err(why);
        assert_eq!(of(&[one]).contributions[0].silence, Some(why));
    }
    // A later word of the same author about the same takes the place of the one before.
    let mut later = word(1, 1, 0);
    later.order.0 = NOW.after(1);
    let told = of(&[word(1, 1, 100), later]);
    assert_eq!((told.score, told.voices), (Some(33), 1));
    assert_eq!(told.contributions[0].silence, Some(Silence::Superseded));
}

#[test]
fn who_claims_to_have_spoken_later_than_it_came_gains_nothing() {
    let mut early = word(1, 1, 100);
    early.created_at = NOW.after(MAX_AHEAD_MS);
    early.received_at = Timestamp(NOW.0 - HALF_LIFE_MS);
    assert_eq!(of(&[early]).weight, VOICE / 2);
}

#[test]
fn praise_that_is_returned_weighs_half_and_blame_that_is_answered_with_praise_does_not() {
    let mut praise = word(1, 1, 100);
    praise.mutual = true;
    assert_eq!(of(&[praise]).weight, VOICE / 2);
    let mut blame = word(1, 1, 0);
    blame.mutual = true;
    assert_eq!(of(&[blame]).weight, VOICE);
}

#[test]
fn a_flood_of_one_networks_agents_weighs_as_three_and_of_the_subjects_own_as_one() {
    let flood = |network: u32| -> Vec<_> { (0..1_000).map(|n| word(n, network, 100)).collect() };
    assert_eq!(of(&flood(1)).weight, 3 * VOICE);
    assert_eq!(of(&flood(2)).weight, VOICE / 4 * 9);
    let mates = Subject {
        network: Some(did(2, 1)),
        ..subject()
    };
    assert_eq!(weigh(&mates, &flood(1), NOW).weight, VOICE);
    // An agent that is heard of by skill speaks once all the same.
    let many: Vec<_> = (0..100)
        .map(|n| Endorsement {
            skill: Some(format!("skill {n}")),
            ..word(1, 1, 100)
        })
        .collect();
    let told = of(&many);
    assert_eq!(
        (told.weight, told.voices, told.skills.len()),
        (VOICE, 1, 100)
    );
    assert_eq!(told.skills[0].score, 67);
}

#[test]
fn a_flood_of_networks_that_anybody_can_open_weighs_as_one_voice() {
    let flood: Vec<_> = (0..5_000).map(|n| word(n, 4 + n % 500, 100)).collect();
    let told = of(&flood);
    assert_eq!((told.weight, told.score), (STRANGERS_CAP, Some(67)));
    let shown: u64 = told.contributions.iter().map(|one| one.weight).sum();
    assert!(shown <= STRANGERS_CAP && shown > STRANGERS_CAP - 5_000);
}

#[test]
fn the_best_reputation_there_is_opens_no_door() {
    let praise: Vec<_> = (0..1_000).map(|n| word(n, 1 + n % 3, 100)).collect();
    assert!(of(&praise).score > Some(85));
    let stranger = subject().did;
    let item = Item {
        kind: ItemKind::Message {
            peer_agent: &stranger,
        },
        proof: Proof::Sound,
    };
    let policy = Policy::new(TrustLevel::Allowlist, BTreeSet::new());
    let verdict = decide(&policy, Direction::Inbound, &item);
    assert_eq!(verdict, Verdict::Refuse(Reason::NotAllowed));
}

#[test]
fn a_peer_is_heard_as_policy_lets_its_events_in() {
    let name = "agent.trust.endorsement";
    let at = |level| Policy::new(level, BTreeSet::new());
    assert_eq!(voice(&at(TrustLevel::Open), name), Some(Voice::Open));
    for level in [
        TrustLevel::Allowlist,
        TrustLevel::Verified,
        TrustLevel::Private,
    ] {
        assert_eq!(voice(&at(level), name), None, "{level:?}");
    }
    let mut listed = at(TrustLevel::Allowlist);
    listed.allow_collections = Some(vec!["agent.trust.*".parse().unwrap()]);
    assert_eq!(voice(&listed, name), Some(Voice::Allowlist));
    listed.allow_inbound = false;
    assert_eq!(voice(&listed, name), None);
    let mut narrow = at(TrustLevel::Open);
    narrow.allow_collections = Some(vec!["agent.public.*".parse().unwrap()]);
    assert_eq!(voice(&narrow, name), None);
}

fn endorsement() -> impl Strategy<Value = Endorsement> {
    let skill = prop::option::of(prop::sample::select(vec!["a", "b"]));
    (
        (0_u32..12, 1_u32..7, 0_u8..=100, skill),
        (0_u64..4 * HALF_LIFE_MS, any::<bool>(), 0_u64..1_000),
    )
        .prop_map(|((author, network, score, skill), (age, mutual, order))| {
            Endorsement {
                // An agent is of one network.
                author: did(3, author * 10 + network),
                skill: skill.map(str::to_owned),
                created_at: Timestamp(NOW.0 - age),
                order: (Timestamp(order), [0; 16]),
                mutual,
                ..word(0, network, score)
            }
        })
}

fn many() -> impl Strategy<Value = Vec<Endorsement>> {
    prop::collection::vec(endorsement(), 0..40).prop_map(|mut said| {
        // Every word is told from every other: one author never says two things at one instant.
        for (place, one) in said.iter_mut().enumerate() {
            one.order.1[0] = u8::try_from(place).unwrap();
        }
        said
    })
}

fn millis(score: Option<u8>) -> i64 {
    i64::from(score.unwrap_or(PRIOR_SCORE))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn order_does_not_matter(said in many(), seed in any::<u64>()) {
        let before = of(&said);
        let mut places: Vec<usize> = (0..said.len()).collect();
        places.sort_by_key(|place| (*place as u64).wrapping_mul(seed | 1).rotate_left(17));
        let mixed: Vec<_> = places.iter().map(|place| said[*place].clone()).collect();
        let after = of(&mixed);
        prop_assert_eq!(&before.score, &after.score);
        prop_assert_eq!(&before.skills, &after.skills);
        for (there, here) in places.iter().enumerate() {
            prop_assert_eq!(before.contributions[*here].weight, after.contributions[there].weight);
            prop_assert_eq!(before.contributions[*here].silence, after.contributions[there].silence);
        }
    }

    #[test]
    fn age_never_adds_weight(weight in 0..=VOICE, age in 0..30 * HALF_LIFE_MS, more in 0..HALF_LIFE_MS) {
        prop_assert!(decayed(weight, age + more) <= decayed(weight, age));
        prop_assert!(decayed(weight, age) <= weight);
    }

    #[test]
    fn who_grows_older_alone_weighs_no_more(said in many(), which in any::<prop::sample::Index>(), more in 0..HALF_LIFE_MS) {
        prop_assume!(!said.is_empty());
        let which = which.index(said.len());
        let before = of(&said);
        let mut older = said;
        older[which].created_at.0 -= more;
        let after = of(&older);
        prop_assert!(after.contributions[which].weight <= before.contributions[which].weight);
    }

    #[test]
    fn a_new_voice_that_blames_never_raises_the_score(said in many(), network in 1_u32..7, age in 0..2 * HALF_LIFE_MS) {
        let before = of(&said);
        let mut blame = word(9_999, network, 0);
        blame.created_at.0 -= age;
        let mut more = said;
        more.push(blame);
        prop_assert!(millis(of(&more).score) <= millis(before.score));
    }

    #[test]
    fn a_new_voice_that_praises_never_lowers_it(said in many(), network in 1_u32..7, age in 0..2 * HALF_LIFE_MS) {
        let before = of(&said);
        let mut praise = word(9_999, network, 100);
        praise.created_at.0 -= age;
        let mut more = said;
        more.push(praise);
        prop_assert!(millis(of(&more).score) >= millis(before.score));
    }

    #[test]
    fn any_number_of_agents_of_one_network_moves_it_by_what_its_cap_allows(
        said in many(), network in 10_u32..20, scores in prop::collection::vec(0_u8..=100, 0..60),
    ) {
        let before = millis(of(&said).score);
        let mut more = said;
        more.extend(scores.iter().enumerate().map(|(n, score)| word(50_000 + n as u32, network, *score)));
        let after = millis(of(&more).score);
        // A network at level open: its words weigh a quarter.
        let cap = i64::try_from(VOICE / 4 * NETWORK_CAP).unwrap();
        let most = 100 * cap / (cap + i64::try_from(PRIOR_WEIGHT).unwrap()) + 1;
        prop_assert!((after - before).abs() <= most, "{before} {after}");
    }

    #[test]
    fn the_weights_shown_are_the_weight_there_is(said in many()) {
        let told = of(&said);
        let shown: u64 = told.contributions.iter().map(|one| one.weight).sum();
        prop_assert!(shown <= told.weight && told.weight - shown <= 3 * said.len() as u64);
        prop_assert!(told.contributions.iter().all(|one| one.silence.is_none() || one.weight == 0));
        prop_assert_eq!(told.score.is_some(), told.voices > 0);
    }
}
