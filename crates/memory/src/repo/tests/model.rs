//! The tree against a map, and against itself.

use entente_lexicon::{Nsid, RecordPath};
use proptest::prelude::*;

use super::walk::Range;
use super::*;

/// Keys of several layers, close enough together that nodes split and merge often.
fn name(number: u16) -> String {
    format!("agent.memory.note/{number:03}")
}

fn value(number: u8) -> Cid {
    cbor_cid(&[number])
}

/// Keys whose layer is at least this, by trying.
fn high(layer: u32, count: usize) -> Vec<String> {
    (0..)
        .map(|number: u32| format!("agent.memory.note/h{number}"))
        .filter(|key| Key::parse(key.as_bytes()).unwrap().layer() >= layer)
        .take(count)
        .collect()
}

fn writes() -> impl Strategy<Value = Vec<(u16, Option<u8>)>> {
    prop::collection::vec(
        (0u16..120, prop::option::weighted(0.6, any::<u8>())),
        0..120,
    )
}

proptest! {
    #[test]
    fn a_tree_holds_what_a_map_holds(batches in prop::collection::vec(writes(), 1..6)) {
        let mut stored = Stored::empty();
        let mut model = BTreeMap::new();
        for batch in batches {
            let named: Vec<_> = batch.iter().map(|(key, set)| (name(*key), set.map(value))).collect();
            stored.change(named.iter().map(|(key, set)| (key.as_str(), *set)));
            for (key, set) in named {
                match set {
                    Some(value) => model.insert(key, value),
                    None => model.remove(&key),
                };
            }
            prop_assert_eq!(&stored.leaves(), &model);
            // Built anew from its keys it is the same.
            let mut fresh = Stored::empty();
            fresh.change(model.iter().map(|(key, value)| (key.as_str(), Some(*value))));
            prop_assert_eq!(fresh.root, stored.root);
            prop_assert_eq!(&fresh.blocks, &stored.blocks);
        }
        for number in 0..120 {
            let key = Key::parse(name(number).as_bytes()).unwrap();
            let found = walk::find(&stored.blocks, &stored.root, &key).unwrap();
            prop_assert_eq!(found, model.get(key.as_str()).copied());
        }
    }

    #[test]
    fn every_order_of_inserts_has_the_same_root(
        keys in Just((0..60u16).collect::<Vec<_>>()).prop_shuffle(),
        batch in 1usize..60,
    ) {
        let expected: Vec<String> = (0..60).map(name).collect();
        let expected = Stored::of(expected.iter().map(String::as_str), leaf());
        let keys: Vec<String> = keys.into_iter().map(name).collect();
        let mut stored = Stored::empty();
        for batch in keys.chunks(batch) {
            stored.change(batch.iter().map(|key| (key.as_str(), Some(leaf()))));
        }
        prop_assert_eq!(stored.root, expected.root);
        prop_assert_eq!(stored.blocks, expected.blocks);
    }

    #[test]
    fn inserting_and_removing_leaves_no_trace(
        kept in prop::collection::btree_set(0u16..200, 0..60),
        gone in prop::collection::btree_set(200u16..400, 1..20),
        at_once: bool,
    ) {
        let (kept, gone): (Vec<_>, Vec<_>) =
            (kept.into_iter().map(name).collect(), gone.into_iter().map(name).collect());
        let before = Stored::of(kept.iter().map(String::as_str), leaf());
        let mut stored = before.clone();
        let put = gone.iter().map(|key| (key.as_str(), Some(leaf())));
        let take = gone.iter().rev().map(|key| (key.as_str(), None));
        if at_once {
            let diff = stored.change(put.chain(take));
            prop_assert_eq!(diff, Diff::default());
        } else {
            stored.change(put);
            stored.change(take);
        }
        prop_assert_eq!((stored.root, stored.blocks), (before.root, before.blocks));
    }
}

proptest! {
    #[test]
    fn a_range_is_what_a_map_has_there(
        keys in prop::collection::btree_set(0u16..300, 0..120),
        cursor in prop::option::of(0u16..300),
        ascending: bool,
        limit in 0usize..40,
    ) {
        let collections = ["agent.memory.no", "agent.memory.note", "agent.memory.note.x", "agent.memory.note-x.y"];
        let all: Vec<String> = collections.iter()
            .flat_map(|collection| keys.iter().map(move |key| format!("{collection}/{key:03}")))
            .collect();
        let stored = Stored::of(all.iter().map(String::as_str), leaf());
        let collection = Nsid::parse("agent.memory.note").unwrap();
        let mut range = Range::of(&collection, ascending);
        if let Some(cursor) = cursor {
            range.go_on_after(&RecordPath::parse(&name(cursor)).unwrap());
        }
        let read = range.read(&stored.blocks, &stored.root, limit).unwrap();
        let read: Vec<String> = read.into_iter().map(|(key, _)| key.to_string()).collect();
        let wanted = |key: &&u16| cursor.is_none_or(|cursor| if ascending { **key > cursor } else { **key < cursor });
        let mut expected: Vec<String> = keys.iter().filter(wanted).map(|key| name(*key)).collect();
        if !ascending {
            expected.reverse();
        }
        expected.truncate(limit);
        prop_assert_eq!(read, expected);
    }
}

/// A key some layers above all others raises the root by several layers of nodes without keys, and
/// its removal takes them away again.
#[test]
fn roots_rise_and_fall_over_empty_layers() {
    let low = ["a.b.c/374913", "agent.memory.note/zzz"];
    for (layer, count) in [(3, 3), (5, 2), (6, 1)] {
        for high in high(layer, count) {
            let before = Stored::of(low, leaf());
            let mut stored = before.clone();
            stored.change([(high.as_str(), Some(leaf()))]);
            assert!(stored.blocks.len() > usize::try_from(layer).unwrap());
            assert_eq!(stored.leaves().len(), 3);
            stored.change([(high.as_str(), None)]);
            assert_eq!(
                (&stored.root, &stored.blocks),
                (&before.root, &before.blocks)
            );
        }
    }
}

#[test]
fn what_is_not_there_cannot_be_removed_and_changes_nothing() {
    let mut stored = Stored::of(["a.b.c/1", "a.b.c/2"], leaf());
    let before = stored.clone();
    for key in ["a.b.c/0", "a.b.c/3", &high(4, 1)[0]] {
        assert_eq!(stored.change([(key, None)]), Diff::default());
    }
    assert_eq!(stored.root, before.root);
    assert_eq!(Stored::empty().change([("a.b.c/0", None)]), Diff::default());
}

/// A change encodes the nodes it passes through, and no others.
#[test]
fn one_write_touches_one_path() {
    let keys: Vec<String> = (0..5_000).map(name).collect();
    let mut stored = Stored::of(keys.iter().map(String::as_str), leaf());
    let diff = stored.change([("agent.memory.note/2500x", Some(leaf()))]);
    assert!(diff.new.len() <= 12 && diff.removed.len() <= 12, "{diff:?}");
}

#[test]
fn a_missing_or_foreign_block_is_told() {
    let keys: Vec<String> = (0..200).map(name).collect();
    let stored = Stored::of(keys.iter().map(String::as_str), leaf());
    for cid in stored.blocks.keys() {
        let mut holed = stored.blocks.clone();
        holed.remove(cid);
        let walked: Result<Vec<_>, _> = Walk::new(&holed, &stored.root).collect();
        assert_eq!(walked, Err(TreeError::Missing(*cid)));
        let mut damaged = stored.blocks.clone();
        damaged.insert(*cid, b"\xa0".to_vec());
        let walked: Result<Vec<_>, _> = Walk::new(&damaged, &stored.root).collect();
        assert!(matches!(walked, Err(TreeError::Node(at, _)) if at == *cid));
        let changed = Tree::load(&damaged, &stored.root).and_then(|mut tree| {
            keys.iter().try_for_each(|key| {
                let key = Key::parse(key.as_bytes()).unwrap();
                tree.remove(&key).map(|_value| ())
            })
        });
        assert!(matches!(changed, Err(TreeError::Node(at, _)) if at == *cid));
    }
}
