use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const DIRECTIONS: [Direction; 2] = [Direction::Inbound, Direction::Outbound];

fn did(seed: u8) -> Did {
    Did::from_scid(&[seed; 32])
}

fn message(agent: &Did) -> Item<'_> {
    Item {
        kind: ItemKind::Message { peer_agent: agent },
        proof: Proof::Sound,
    }
}

fn event<'a>(collection: &'a str, origin: Origin<'a>) -> Item<'a> {
    Item {
        kind: ItemKind::Event { collection, origin },
        proof: Proof::Sound,
    }
}

fn verified(agent: &Did) -> Policy {
    Policy {
        standing: Standing::WHOLE,
        ..Policy::new(TrustLevel::Verified, [agent.clone()].into())
    }
}

#[test]
fn the_whole_table_of_messages() {
    let (listed, other) = (did(1), did(2));
    for direction in DIRECTIONS {
        for (level, standing, for_listed, for_other) in [
            (
                TrustLevel::Open,
                Standing::NONE,
                Verdict::Pass,
                Verdict::Pass,
            ),
            (
                TrustLevel::Allowlist,
                Standing::NONE,
                Verdict::Pass,
                Verdict::Refuse(Reason::NotAllowed),
            ),
            (
                TrustLevel::Verified,
                Standing::NONE,
                Verdict::Hold(Reason::ApprovalNeeded),
                Verdict::Refuse(Reason::NotAllowed),
            ),
            (
                TrustLevel::Verified,
                Standing::WHOLE,
                Verdict::Pass,
                Verdict::Refuse(Reason::NotAllowed),
            ),
            (
                TrustLevel::Private,
                Standing::WHOLE,
                Verdict::Refuse(Reason::Private),
                Verdict::Refuse(Reason::Private),
            ),
        ] {
            let policy = Policy {
                standing,
                ..Policy::new(level, [listed.clone()].into())
            };
            assert_eq!(
                decide(&policy, direction, &message(&listed)),
                for_listed,
                "{level}"
            );
            assert_eq!(
                decide(&policy, direction, &message(&other)),
                for_other,
                "{level}"
            );
        }
    }
}

#[test]
fn an_empty_list_lets_nobody_pass() {
    let policy = Policy::new(TrustLevel::Allowlist, BTreeSet::new());
    let refused = Verdict::Refuse(Reason::NotAllowed);
    assert_eq!(
        decide(&policy, Direction::Inbound, &message(&did(1))),
        refused
    );
}

#[test]
fn each_thing_that_verified_lacks_holds_what_would_pass() {
    let agent = did(1);
    for (standing, reason) in [
        (
            Standing {
                approved: false,
                ..Standing::WHOLE
            },
            Reason::ApprovalNeeded,
        ),
        (
            Standing {
                attested: false,
                ..Standing::WHOLE
            },
            Reason::ApprovalAwaited,
        ),
        (
            Standing {
                fresh: false,
                ..Standing::WHOLE
            },
            Reason::DocumentsStale,
        ),
    ] {
        let policy = Policy {
            standing,
            ..verified(&agent)
        };
        for direction in DIRECTIONS {
            assert_eq!(
                decide(&policy, direction, &message(&agent)),
                Verdict::Hold(reason)
            );
        }
    }
}

#[test]
fn what_comes_in_at_verified_needs_its_origins_signature() {
    let agent = did(1);
    let policy = verified(&agent);
    for (proof, expected) in [
        (Proof::Pending, Verdict::Pass),
        (Proof::Sound, Verdict::Pass),
        (Proof::Missing, Verdict::Hold(Reason::OriginMissing)),
        (Proof::Unverified, Verdict::Hold(Reason::OriginUnverified)),
        (Proof::Wrong, Verdict::Refuse(Reason::OriginWrong)),
    ] {
        let item = Item {
            proof,
            ..message(&agent)
        };
        assert_eq!(decide(&policy, Direction::Inbound, &item), expected);
        assert_eq!(decide(&policy, Direction::Outbound, &item), Verdict::Pass);
    }
}

#[test]
fn events_pass_by_collection_and_origin() {
    let (own, other) = (did(1), did(2));
    let all = Policy::new(TrustLevel::Open, BTreeSet::new());
    let none = Policy::new(TrustLevel::Allowlist, BTreeSet::new());
    let some = Policy {
        allow_collections: Some(vec!["agent.public.*".parse().unwrap()]),
        allow_networks: [other.clone()].into(),
        ..none.clone()
    };
    let (news, secret) = ("agent.public.news", "agent.other.news");
    let unlisted = Verdict::Refuse(Reason::CollectionNotAllowed);
    let foreign = Verdict::Refuse(Reason::NetworkNotAllowed);
    for direction in DIRECTIONS {
        let says = |policy, item: &Item<'_>| decide(policy, direction, item);
        assert_eq!(says(&all, &event(secret, Origin::Speaker)), Verdict::Pass);
        assert_eq!(says(&all, &event(news, Origin::Other(&other))), foreign);
        assert_eq!(says(&none, &event(news, Origin::Speaker)), unlisted);
        assert_eq!(says(&some, &event(news, Origin::Speaker)), Verdict::Pass);
        assert_eq!(
            says(&some, &event(news, Origin::Other(&other))),
            Verdict::Pass
        );
        assert_eq!(says(&some, &event(news, Origin::Other(&own))), foreign);
        assert_eq!(says(&some, &event(secret, Origin::Speaker)), unlisted);
    }
}

#[test]
fn a_closed_direction_and_a_ban_win_over_every_list() {
    let agent = did(1);
    let open = Policy::new(TrustLevel::Open, BTreeSet::new());
    let refused = |policy: &Policy, direction| decide(policy, direction, &message(&agent));
    let no_in = Policy {
        allow_inbound: false,
        ..open.clone()
    };
    let no_out = Policy {
        allow_outbound: false,
        ..open.clone()
    };
    assert_eq!(
        refused(&no_in, Direction::Inbound),
        Verdict::Refuse(Reason::Inbound)
    );
    assert_eq!(refused(&no_in, Direction::Outbound), Verdict::Pass);
    assert_eq!(
        refused(&no_out, Direction::Outbound),
        Verdict::Refuse(Reason::Outbound)
    );
    assert_eq!(refused(&no_out, Direction::Inbound), Verdict::Pass);
    let until = |until| Ban { until };
    let banned = Policy {
        ban: Some(until(None)),
        ..open
    };
    for direction in DIRECTIONS {
        assert_eq!(refused(&banned, direction), Verdict::Refuse(Reason::Banned));
    }
    let ten = until(Some(Timestamp(10)));
    assert!(!ten.is_over(Timestamp(9)) && ten.is_over(Timestamp(10)));
    assert!(!until(None).is_over(Timestamp(u64::MAX)));
}

#[test]
fn the_stricter_level_wins_whatever_the_order() {
    for (i, a) in TrustLevel::ALL.into_iter().enumerate() {
        for (j, b) in TrustLevel::ALL.into_iter().enumerate() {
            assert_eq!(stricter(a, b), TrustLevel::ALL[i.max(j)]);
            assert_eq!(is_laxer(a, b), i < j);
        }
    }
}

#[test]
fn strangers_are_welcome_at_open_only() {
    assert_eq!(
        TrustLevel::ALL.map(first_contact),
        [
            FirstContact::Accept(TrustLevel::Open),
            FirstContact::Queue,
            FirstContact::Queue,
            FirstContact::Refuse
        ]
    );
    assert_eq!(TrustLevel::ALL.map(allows_link), [true, true, true, false]);
}

#[test]
fn every_reason_has_a_code_of_its_own() {
    let codes: BTreeSet<_> = Reason::ALL.map(Reason::code).into();
    assert_eq!(codes.len(), Reason::ALL.len());
    assert!(codes.iter().all(|code| code.len() <= 32));
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let globs = prop::sample::select(vec!["*", "a.*", "a.b", "c"]);
    let globs = prop::option::of(prop::collection::vec(globs, 0..3));
    let lists = (
        prop::collection::btree_set(0u8..4, 0..4),
        prop::collection::btree_set(0u8..4, 0..4),
        globs,
    );
    (lists, any::<[bool; 6]>()).prop_map(|((agents, networks, globs), flags)| {
        let [inbound, outbound, banned, approved, attested, fresh] = flags;
        Policy {
            allow_collections: globs
                .map(|globs| globs.iter().map(|glob| glob.parse().unwrap()).collect()),
            allow_networks: networks.into_iter().map(did).collect(),
            allow_inbound: inbound,
            allow_outbound: outbound,
            ban: banned.then_some(Ban { until: None }),
            standing: Standing {
                approved,
                attested,
                fresh,
            },
            ..Policy::new(TrustLevel::Open, agents.into_iter().map(did).collect())
        }
    })
}

/// Every item worth telling apart, each in both directions.
fn passes(policy: &Policy) -> Vec<bool> {
    let mut found = Vec::new();
    for direction in DIRECTIONS {
        for proof in [
            Proof::Pending,
            Proof::Sound,
            Proof::Missing,
            Proof::Unverified,
            Proof::Wrong,
        ] {
            for seed in 0..4 {
                let one = did(seed);
                let mut items = vec![message(&one)];
                for collection in ["a.b", "a.c", "c", "d", "not a name"] {
                    items.push(event(collection, Origin::Speaker));
                    items.push(event(collection, Origin::Other(&one)));
                }
                for item in items {
                    let item = Item { proof, ..item };
                    found.push(decide(policy, direction, &item) == Verdict::Pass);
                }
            }
        }
    }
    found
}

/// Whether everything that passes under `strict` passes under `lax` too.
fn within(strict: &Policy, lax: &Policy) -> bool {
    let pairs = passes(strict).into_iter().zip(passes(lax));
    pairs.into_iter().all(|(strict, lax)| lax || !strict)
}

proptest! {
    #[test]
    fn a_stricter_level_never_passes_more(policy in any_policy()) {
        let at = |level| Policy { level, ..policy.clone() };
        for pair in TrustLevel::ALL.windows(2) {
            prop_assert!(within(&at(pair[1]), &at(pair[0])), "{} {}", pair[1], pair[0]);
        }
        prop_assert!(!passes(&at(TrustLevel::Private)).contains(&true));
    }

    #[test]
    fn closing_a_direction_banning_or_shortening_a_list_never_passes_more(
        policy in any_policy(),
        level in prop::sample::select(TrustLevel::ALL.to_vec()),
    ) {
        let policy = Policy { level, ..policy };
        let shorter = |set: &BTreeSet<Did>| set.iter().skip(1).cloned().collect();
        for less in [
            Policy { allow_inbound: false, ..policy.clone() },
            Policy { allow_outbound: false, ..policy.clone() },
            Policy { ban: Some(Ban { until: None }), ..policy.clone() },
            Policy { allow_agents: shorter(&policy.allow_agents), ..policy.clone() },
            Policy { allow_networks: shorter(&policy.allow_networks), ..policy.clone() },
            Policy { allow_collections: Some(Vec::new()), ..policy.clone() },
            Policy { standing: Standing::NONE, ..policy.clone() },
        ] {
            prop_assert!(within(&less, &policy), "{less:?}");
        }
        let banned = Policy { ban: Some(Ban { until: None }), ..policy };
        prop_assert!(!passes(&banned).contains(&true));
    }
}
