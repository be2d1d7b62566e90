//! Shards against a relay whose every event is known.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests report by panicking"
)]

mod support;

use entente_firehose::shard::{NONSENSE_CLOSE, SLOW_CLOSE};
use entente_firehose::{Input, Limits, Output, Start};
use entente_lexicon::Timestamp;
use entente_lexicon::api::{FilterWish, Viewer};
use proptest::prelude::*;
use serde_json::json;
use support::World;

fn few(frames: usize) -> Limits {
    Limits {
        frames,
        ..Limits::default()
    }
}

fn collections(names: &[&str]) -> FilterWish {
    FilterWish {
        collections: names.iter().map(|name| (*name).to_owned()).collect(),
        ..FilterWish::default()
    }
}

#[test]
fn a_subscriber_gets_what_its_filter_lets_through_and_nothing_else() {
    let mut world = World::new(Limits::default());
    let a = world.join(Viewer::Observer, &collections(&["c.0"]), Start::Recent(0));
    let all = world.join(Viewer::Admin, &FilterWish::default(), Start::Recent(0));
    world.happen(20);
    world.settle();
    assert_eq!(world.seqs(a), [10, 20]);
    assert_eq!(world.seqs(all), (1..=20).collect::<Vec<_>>());
}

#[test]
fn observers_see_the_other_face() {
    let mut world = World::new(Limits::default());
    let admin = world.join(Viewer::Admin, &FilterWish::default(), Start::Recent(0));
    let observer = world.join(Viewer::Observer, &FilterWish::default(), Start::Recent(0));
    world.happen(1);
    world.settle();
    assert_eq!(world.frames(admin)[0]["face"], "admin");
    assert_eq!(world.frames(observer)[0]["face"], "observer");
}

#[test]
fn a_cursor_that_the_relay_no_longer_has_is_a_gap() {
    let mut world = World::new(Limits::default());
    world.keep = 10;
    world.happen(50);
    let start = Start::After(world.cursor(5));
    let one = world.join(Viewer::Admin, &FilterWish::default(), start);
    assert_eq!(
        world.frames(one)[0],
        json!({"type": "gap", "cursor": "e.50"})
    );
    world.happen(2);
    world.settle();
    assert_eq!(world.seqs(one), [51, 52]);
}

#[test]
fn a_relay_that_begins_another_sequence_leaves_a_gap_for_all() {
    let mut world = World::new(Limits::default());
    let one = world.join(Viewer::Admin, &FilterWish::default(), Start::Recent(0));
    world.happen(3);
    world.settle();
    world.relay_loses_all("f");
    world.happen(2);
    world.settle();
    let frames = world.frames(one);
    assert_eq!(frames[3]["type"], "gap");
    assert!(frames[3]["cursor"].as_str().unwrap().starts_with("f."));
}

#[test]
fn a_filter_changed_in_the_stream_holds_from_the_cursor_it_is_answered_with() {
    let mut world = World::new(Limits::default());
    let one = world.join(Viewer::Admin, &collections(&["c.1"]), Start::Recent(0));
    world.happen(10);
    world.settle();
    world.say(one, &json!({"type": "filter", "collections": ["c.2"]}));
    let answer = world.frames(one).last().unwrap().clone();
    assert_eq!(
        (&answer["type"], &answer["cursor"]),
        (&json!("filtered"), &json!("e.10"))
    );
    assert_eq!(answer["filter"], json!({"collections": ["c.2"]}));
    world.happen(10);
    world.settle();
    assert_eq!(world.seqs(one), [1, 12]);
}

#[test]
fn a_filter_that_is_none_is_refused_and_the_old_one_stays() {
    let mut world = World::new(Limits::default());
    let one = world.join(Viewer::Admin, &collections(&["c.1"]), Start::Recent(0));
    for (said, code) in [
        (
            json!({"type": "filter", "collections": ["a*"]}),
            "INVALID_PATTERN",
        ),
        (json!({"type": "filter", "dids": [" "]}), "INVALID_DID"),
        (
            json!({"type": "filter", "dids": vec!["x"; 1_001]}),
            "FILTER_TOO_LARGE",
        ),
        (json!({"type": "filter", "color": "red"}), "INVALID_COMMAND"),
        (json!({"type": "ack", "cursor": "soon"}), "INVALID_CURSOR"),
        (json!({"type": "send"}), "INVALID_COMMAND"),
    ] {
        world.say(one, &said);
        assert_eq!(world.frames(one).last().unwrap()["code"], code, "{said}");
    }
    world.happen(10);
    world.settle();
    assert_eq!(world.seqs(one), [1]);
}

#[test]
fn who_talks_nonsense_is_shown_the_door() {
    let mut world = World::new(Limits::default());
    let one = world.join(Viewer::Observer, &FilterWish::default(), Start::Recent(0));
    for _ in 0..16 {
        world.say(one, &json!("hello"));
    }
    assert_eq!(world.closed(one), Some(NONSENSE_CLOSE));
}

#[test]
fn who_reads_nothing_is_told_and_dropped_and_comes_back_without_a_gap() {
    // The cursor that begins the stream is one more.
    let mut world = World::new(few(9));
    let quick = world.join(Viewer::Admin, &FilterWish::default(), Start::Recent(0));
    let slow = world.join(Viewer::Admin, &FilterWish::default(), Start::Recent(0));
    for _ in 0..20 {
        world.happen(1);
        world.settle();
        world.ack(quick);
    }
    assert_eq!(
        (world.closed(quick), world.closed(slow)),
        (None, Some(SLOW_CLOSE))
    );
    assert_eq!(world.seqs(quick), (1..=20).collect::<Vec<_>>());
    let notice = world.frames(slow).last().unwrap().clone();
    assert_eq!(notice, json!({"type": "slow", "cursor": "e.8"}));
    let start = Start::After(notice["cursor"].as_str().unwrap().parse().unwrap());
    let back = world.join(Viewer::Admin, &FilterWish::default(), start);
    for _ in 0..5 {
        world.settle();
        world.ack(back);
    }
    let mut all = world.seqs(slow);
    all.extend(world.seqs(back));
    assert_eq!(all, (1..=20).collect::<Vec<_>>());
}

#[test]
fn who_is_brought_up_and_reads_nothing_waits_and_is_then_dropped() {
    // The cursor that begins the stream is one more.
    let mut world = World::new(few(9));
    world.happen(100);
    let one = world.join(Viewer::Admin, &FilterWish::default(), Start::Recent(100));
    world.settle();
    assert_eq!((world.seqs(one).len(), world.closed(one)), (8, None));
    world.timeout(9_999);
    assert_eq!(world.closed(one), None);
    world.timeout(1);
    assert_eq!(world.closed(one), Some(SLOW_CLOSE));
    assert_eq!(world.frames(one).last().unwrap()["cursor"], "e.8");
}

#[test]
fn all_together_leave_no_more_unread_than_the_object_can_hold() {
    let limits = Limits {
        all_bytes: 4_000,
        ..Limits::default()
    };
    let mut world = World::new(limits);
    let members: Vec<u64> = (0..10)
        .map(|_| world.join(Viewer::Admin, &FilterWish::default(), Start::Recent(0)))
        .collect();
    for _ in 0..20 {
        world.happen(1);
        world.settle();
        world.ack(members[0]);
    }
    assert_eq!(world.closed(members[0]), None);
    assert!(
        members
            .iter()
            .filter(|id| world.closed(**id).is_some())
            .count()
            > 0
    );
}

#[test]
fn who_wants_nothing_of_what_happens_hears_how_far_the_stream_is() {
    let mut world = World::new(Limits::default());
    let one = world.join(Viewer::Admin, &collections(&["other"]), Start::Recent(0));
    for _ in 0..30 {
        world.happen(100);
        world.settle();
        world.ack(one);
    }
    let told: Vec<_> = world
        .frames(one)
        .iter()
        .map(|frame| frame["cursor"].clone())
        .collect();
    assert_eq!(told, ["e.1000", "e.2000", "e.3000"]);
}

#[test]
fn a_shard_that_slept_goes_on_where_it_had_seen() {
    let mut world = World::new(Limits::default());
    let one = world.join(Viewer::Admin, &FilterWish::default(), Start::Recent(0));
    world.happen(3);
    world.settle();
    world.sleep();
    world.happen(3);
    world.settle();
    assert_eq!(world.seqs(one), (1..=6).collect::<Vec<_>>());
}

#[test]
fn an_answer_for_who_is_gone_does_nothing() {
    let mut world = World::new(Limits::default());
    world.happen(10);
    let one = world.join(Viewer::Admin, &FilterWish::default(), Start::Recent(10));
    assert!(
        world
            .shard
            .handle(Timestamp(0), Input::Left(one))
            .is_empty()
    );
    world.settle();
    assert_eq!(world.seqs(one), Vec::<u64>::new());
    let said = world.shard.handle(
        Timestamp(0),
        Input::Heard {
            id: one,
            text: "{}",
        },
    );
    assert_eq!(said, Vec::<Output>::new());
}

#[derive(Clone, Debug)]
enum Step {
    Happen(u64),
    LosePush,
    LosePull,
    Settle(usize),
    Join(Viewer, Vec<u8>, u64),
    Back(u8),
    Leave(u8),
    Ack(u8),
    Sleep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let viewer = prop::sample::select(vec![Viewer::Admin, Viewer::Observer]);
    let wanted = prop::collection::vec(0u8..10, 0..4);
    let step = prop_oneof![
        6 => (1u64..30).prop_map(Step::Happen),
        2 => Just(Step::LosePush),
        1 => Just(Step::LosePull),
        6 => (1usize..6).prop_map(Step::Settle),
        3 => (viewer, wanted, 0u64..60).prop_map(|(v, w, n)| Step::Join(v, w, n)),
        2 => any::<u8>().prop_map(Step::Back),
        1 => any::<u8>().prop_map(Step::Leave),
        4 => any::<u8>().prop_map(Step::Ack),
        1 => Just(Step::Sleep),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Pushes and answers are lost, shards sleep, subscribers come, go, read and do not: each gets
    /// all that its filter lets through from where it began to where it was let go, once, in order.
    #[test]
    fn nobody_misses_anything_unsaid(steps in steps()) {
        let mut world = World::new(few(24));
        for step in steps {
            world.run(step);
        }
        world.settle();
        for _ in 0..40 {
            world.ack_all();
            world.settle();
        }
        world.check();
    }
}

impl World {
    fn run(&mut self, step: Step) {
        let pick = |ids: &[u64], n: u8| ids.get(usize::from(n) % ids.len().max(1)).copied();
        match step {
            Step::Happen(count) => self.happen(count),
            Step::LosePush => self.lose_push(),
            Step::LosePull => self.lose_pull(),
            Step::Settle(count) => self.do_some(count),
            Step::Join(viewer, wanted, back) => {
                let names: Vec<String> = wanted.iter().map(|n| format!("c.{n}")).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let _ = self.join(viewer, &collections(&names), Start::Recent(back));
            }
            Step::Back(n) => {
                if let Some(id) = pick(&self.dropped(), n) {
                    self.come_back(id);
                }
            }
            Step::Leave(n) => {
                if let Some(id) = pick(&self.here(), n) {
                    self.leave(id);
                }
            }
            Step::Ack(n) => {
                if let Some(id) = pick(&self.here(), n) {
                    self.ack(id);
                }
            }
            Step::Sleep => self.sleep(),
        }
    }
}
