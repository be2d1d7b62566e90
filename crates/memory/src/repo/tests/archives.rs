//! Archives and proofs: what is written reads back, and every way of bending one is refused.

use entente_lexicon::RecordPath;
use proptest::prelude::*;

use super::block::raw_cid;
use super::car::{CarError, CarReader};
use super::commit::CommitError;
use super::import::{Import, ImportError, Limits, verify_proof, write_proof};
use super::node::{EntryData, NodeData, NodeFault};
use super::walk::path;
use super::*;

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    blocks: 1_000,
};

fn record(number: u16) -> Vec<u8> {
    let mut writer = cbor::Writer::default();
    writer.map(2);
    writer.text("n");
    writer.unsigned(number.into());
    writer.text("$type");
    writer.text("agent.memory.note");
    writer.into_bytes()
}

fn name(number: u16) -> String {
    format!("agent.memory.note/{number:03}")
}

/// A tree of this many records, and the records by CID.
fn repo(count: u16) -> (Stored, MemoryBlocks) {
    let mut stored = Stored::empty();
    let records: MemoryBlocks = (0..count)
        .map(|number| (cbor_cid(&record(number)), record(number)))
        .collect();
    let named: Vec<_> = (0..count)
        .map(|number| (name(number), cbor_cid(&record(number))))
        .collect();
    stored.change(named.iter().map(|(key, cid)| (key.as_str(), Some(*cid))));
    (stored, records)
}

fn archive_of(commit: &SignedCommit, parts: [&MemoryBlocks; 2]) -> Vec<u8> {
    let mut archive = car::header(&commit.cid());
    car::append(&mut archive, &commit.cid(), &commit.encode());
    for (cid, block) in parts.into_iter().flatten() {
        car::append(&mut archive, cid, block);
    }
    archive
}

fn archive(count: u16) -> Vec<u8> {
    let (stored, records) = repo(count);
    archive_of(&signed(stored.root), [&stored.blocks, &records])
}

fn import(bytes: &[u8]) -> Result<import::Archive, ImportError> {
    let mut import = Import::new(LIMITS);
    import.feed(bytes)?;
    import.finish(&did(), &key().verifying_key())
}

/// Imports a tree of hand-made nodes, the first of them the root, all keys leading to one record.
fn import_nodes(nodes: &[NodeData]) -> Result<import::Archive, ImportError> {
    let blocks: MemoryBlocks = nodes
        .iter()
        .map(|node| (cbor_cid(&node.encode()), node.encode()))
        .collect();
    let records = MemoryBlocks::from([(cbor_cid(&record(0)), record(0))]);
    let root = cbor_cid(&nodes[0].encode());
    import(&archive_of(&signed(root), [&blocks, &records]))
}

fn entry(key: &str, right: Option<&NodeData>) -> EntryData {
    EntryData {
        key: Key::parse(key.as_bytes()).unwrap(),
        value: cbor_cid(&record(0)),
        right: right.map(|node| cbor_cid(&node.encode())),
    }
}

fn node(left: Option<&NodeData>, entries: Vec<EntryData>) -> NodeData {
    NodeData {
        left: left.map(|node| cbor_cid(&node.encode())),
        entries,
    }
}

/// A key of exactly this layer that sorts behind `front`.
fn key_at(layer: u32, front: &str) -> String {
    (0..)
        .map(|number: u32| format!("agent.memory.note/{front}{number}"))
        .find(|key| Key::parse(key.as_bytes()).unwrap().layer() == layer)
        .unwrap()
}

#[test]
fn an_archive_reads_back_whole_in_pieces_of_any_size() {
    for count in [0, 1, 100] {
        let (stored, records) = repo(count);
        let bytes = archive(count);
        for size in [1, 7, 4096, bytes.len()] {
            let mut import = Import::new(LIMITS);
            for piece in bytes.chunks(size) {
                import.feed(piece).unwrap();
            }
            let read = import.finish(&did(), &key().verifying_key()).unwrap();
            assert_eq!(read.commit, signed(stored.root));
            assert_eq!(read.nodes, stored.blocks);
            assert_eq!(read.records.len(), usize::from(count));
            for (number, read) in (0..).zip(&read.records) {
                assert_eq!(read.path.to_string(), name(number));
                assert_eq!(
                    (&read.value, read.cid),
                    (&record(number), cbor_cid(&read.value))
                );
            }
        }
        assert_eq!(records.len(), usize::from(count));
    }
}

#[test]
fn a_cut_archive_is_refused_at_every_length() {
    let bytes = archive(5);
    for length in 0..bytes.len() {
        let error = import(&bytes[..length]).unwrap_err();
        let cut = matches!(
            error,
            ImportError::Car(CarError::Truncated) | ImportError::Missing(_)
        );
        assert!(cut, "{length}: {error}");
    }
}

#[test]
fn a_changed_byte_is_refused_wherever_it_is() {
    let bytes = archive(3);
    let whole = import(&bytes).unwrap();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            assert_ne!(import(&changed).ok().as_ref(), Some(&whole), "{at}");
            assert!(import(&changed).is_err(), "{at}");
        }
    }
}

#[test]
fn each_missing_block_is_named() {
    let (stored, records) = repo(40);
    let commit = signed(stored.root);
    for cid in stored.blocks.keys().chain(records.keys()) {
        let (mut nodes, mut leaves) = (stored.blocks.clone(), records.clone());
        nodes.remove(cid);
        leaves.remove(cid);
        let error = import(&archive_of(&commit, [&nodes, &leaves])).unwrap_err();
        assert_eq!(error, ImportError::Missing(*cid));
        assert_eq!(error.code(), "REPO_BLOCK_MISSING");
    }
}

#[test]
fn another_owner_another_key_and_another_form_of_commit_are_refused() {
    let (stored, records) = repo(1);
    let stranger = SigningKey::from_seed(&[8; 32]).unwrap();
    let honest = signed(stored.root);
    let by_stranger = honest.commit.clone().sign(&stranger);
    let parts = [&stored.blocks, &records];
    let error = import(&archive_of(&by_stranger, parts)).unwrap_err();
    assert_eq!(error, ImportError::Commit(CommitError::Signature));
    let of_another = Commit {
        did: Did::from_scid(&[8; 32]),
        ..honest.commit.clone()
    };
    let error = import(&archive_of(&of_another.sign(&key()), parts)).unwrap_err();
    assert_eq!(error, ImportError::Commit(CommitError::Owner));
    // A signature is over every member.
    let mut later = honest.clone();
    later.commit.rev = Tid::after(Some(&honest.commit.rev), 0, 0);
    let error = import(&archive_of(&later, parts)).unwrap_err();
    assert_eq!(error, ImportError::Commit(CommitError::Signature));
    // Version 2, and a root that is no commit at all.
    let mut block = honest.encode();
    *block.last_mut().unwrap() = 2;
    let mut archive = car::header(&cbor_cid(&block));
    car::append(&mut archive, &cbor_cid(&block), &block);
    let error = import(&archive).unwrap_err();
    assert_eq!(error, ImportError::Commit(CommitError::Encoding));
    let mut archive = car::header(&stored.root);
    for (cid, block) in &stored.blocks {
        car::append(&mut archive, cid, block);
    }
    let error = import(&archive).unwrap_err();
    assert_eq!(error, ImportError::Commit(CommitError::Encoding));
}

#[test]
fn a_tree_that_its_keys_do_not_make_is_refused() {
    let [zero, later, one] = [key_at(0, "a"), key_at(0, "b"), key_at(1, "b")];
    let fault = |nodes: &[NodeData]| {
        let refused = import_nodes(nodes);
        let Err(ImportError::Tree(_, fault)) = refused else {
            panic!("{refused:?}");
        };
        fault
    };
    // The honest forms of the same.
    let leaf = node(None, vec![entry(&zero, None)]);
    let root = node(Some(&leaf), vec![entry(&one, None)]);
    assert!(import_nodes(std::slice::from_ref(&leaf)).is_ok());
    assert!(import_nodes(&[root, leaf.clone()]).is_ok());
    // Keys of two layers in one node.
    assert_eq!(
        fault(&[node(None, vec![entry(&zero, None), entry(&one, None)])]),
        NodeFault::Layer
    );
    // A root without keys; a node without anything; a subtree below the lowest layer.
    assert_eq!(
        fault(&[node(Some(&leaf), vec![]), leaf.clone()]),
        NodeFault::Superfluous
    );
    let hollow = node(None, vec![]);
    let above = node(Some(&hollow), vec![entry(&one, None)]);
    assert_eq!(fault(&[above, hollow]), NodeFault::Superfluous);
    let below = node(Some(&leaf), vec![entry(&later, None)]);
    assert_eq!(fault(&[below, leaf.clone()]), NodeFault::Layer);
    // A subtree on the wrong side of its key, and one that is there twice.
    let behind = node(None, vec![entry(&key_at(0, "c"), None)]);
    let swapped = node(Some(&behind), vec![entry(&one, None)]);
    assert_eq!(fault(&[swapped, behind]), NodeFault::Order);
    let twice = node(Some(&leaf), vec![entry(&one, Some(&leaf))]);
    assert_eq!(fault(&[twice, leaf.clone()]), NodeFault::Order);
    // A layer left out.
    let two = key_at(2, "b");
    let skipping = node(Some(&leaf), vec![entry(&two, None)]);
    assert_eq!(fault(&[skipping, leaf]), NodeFault::Layer);
}

#[test]
fn a_node_that_is_not_written_as_it_must_be_is_refused() {
    let front = "agent.memory.note/";
    let good = node(
        None,
        vec![
            entry(&format!("{front}a1"), None),
            entry(&format!("{front}a2"), None),
        ],
    );
    let bytes = good.encode();
    assert_eq!(NodeData::decode(&bytes).as_ref(), Ok(&good));
    // "p" one too small, with the byte it leaves out put into "k".
    let shorter = |bytes: &[u8]| {
        let at = bytes
            .windows(4)
            .position(|four| four == b"\x61k\x412")
            .unwrap();
        let mut bent = bytes.to_vec();
        bent.splice(at + 2..at + 4, *b"\x42a2");
        let p = bent
            .windows(3)
            .rposition(|three| three == b"\x61p\x13")
            .unwrap();
        bent[p + 2] = 0x12;
        bent
    };
    assert_eq!(NodeData::decode(&shorter(&bytes)), Err(NodeFault::Encoding));
    let backwards = NodeData {
        left: None,
        entries: good.entries.iter().rev().cloned().collect(),
    };
    assert_eq!(NodeData::decode(&backwards.encode()), Err(NodeFault::Order));
    let twice = NodeData {
        left: None,
        entries: vec![good.entries[0].clone(), good.entries[0].clone()],
    };
    assert_eq!(NodeData::decode(&twice.encode()), Err(NodeFault::Order));
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(NodeData::decode(&longer), Err(NodeFault::Encoding));
    let slash = bytes.iter().position(|byte| *byte == b'/').unwrap();
    let mut no_key = bytes;
    no_key[slash] = b'+';
    assert_eq!(NodeData::decode(&no_key), Err(NodeFault::Key));
}

#[test]
fn records_that_are_none_and_paths_that_are_none_are_refused() {
    for (path, value, expected) in [
        (
            "agent.memory.note/a",
            b"\x81\x00".to_vec(),
            ImportError::Record,
        ),
        (
            "agent.memory.note/a",
            b"\xa1\x61a\xf9\x00\x00".to_vec(),
            ImportError::Record,
        ),
        ("note/a", record(1), ImportError::Path),
        ("agent.memory.note/..", record(1), ImportError::Path),
    ] {
        let records = MemoryBlocks::from([(cbor_cid(&value), value.clone())]);
        let stored = Stored::of([path], cbor_cid(&value));
        let archive = archive_of(&signed(stored.root), [&stored.blocks, &records]);
        assert_eq!(import(&archive), Err(expected), "{path}");
    }
    let records = MemoryBlocks::from([(raw_cid(b"raw"), b"raw".to_vec())]);
    let stored = Stored::of(["agent.memory.note/a"], raw_cid(b"raw"));
    let archive = archive_of(&signed(stored.root), [&stored.blocks, &records]);
    assert_eq!(import(&archive), Err(ImportError::Record));
}

#[test]
fn blocks_that_nothing_leads_to_are_dropped() {
    let (stored, mut records) = repo(2);
    records.insert(raw_cid(b"smuggled"), b"smuggled".to_vec());
    let read = import(&archive_of(
        &signed(stored.root),
        [&stored.blocks, &records],
    ))
    .unwrap();
    assert_eq!((read.nodes, read.records.len()), (stored.blocks, 2));
}

#[test]
fn archives_beyond_the_limits_are_refused_before_they_are_whole() {
    let bytes = archive(100);
    for limits in [
        Limits {
            blocks: 50,
            ..LIMITS
        },
        Limits {
            bytes: 500,
            ..LIMITS
        },
    ] {
        let mut import = Import::new(limits);
        assert_eq!(import.feed(&bytes), Err(ImportError::TooMuch));
    }
}

#[test]
fn headers_lengths_and_codecs_of_other_kinds_are_refused() {
    let read = |bytes: &[u8]| {
        let mut reader = CarReader::default();
        reader.feed(bytes);
        reader.block()
    };
    let cid = cbor_cid(b"\xa0");
    let good = car::header(&cid);
    assert_eq!(read(&good), Ok(None));
    let bent = |from: &[u8], to: &[u8]| {
        let at = good
            .windows(from.len())
            .position(|part| part == from)
            .unwrap();
        let mut bent = good.clone();
        bent.splice(at..at + from.len(), to.iter().copied());
        bent[0] = u8::try_from(bent.len() - 1).unwrap();
        bent
    };
    // Version 2, no root, two roots, a member too many.
    let tail = [b"\x81\xd8\x2a\x58\x25\x00", &cid.to_bytes()[..]].concat();
    let twice = [b"\x82", &tail[1..], &tail[1..]].concat();
    for bad in [
        bent(b"version\x01", b"version\x02"),
        bent(&tail, b"\x80"),
        bent(&tail, &twice),
        bent(b"\xa2", b"\xa3"),
        vec![0],
        vec![0x7f; 200],
    ] {
        assert!(
            matches!(read(&bad), Err(CarError::Header) | Ok(None)),
            "{bad:02x?}"
        );
    }
    assert_eq!(
        read(&bent(b"version\x01", b"version\x02")),
        Err(CarError::Header)
    );
    // Sections: too long, a length in too many bytes, no room for a CID, another codec.
    let with = |section: &[u8]| read(&[&good, section].concat());
    assert_eq!(with(&[0xff, 0xff, 0xff, 0x7f]), Err(CarError::TooLarge));
    assert_eq!(
        with(&[0xff, 0xff, 0xff, 0xff, 0x01]),
        Err(CarError::TooLarge)
    );
    assert_eq!(with(&[0x80, 0x00]), Err(CarError::Length));
    assert_eq!(with(&[0x03, 1, 0x71, 0x12]), Err(CarError::Length));
    let mut git = cid.to_bytes();
    git[1] = 0x78;
    assert_eq!(with(&[&[36], &git[..]].concat()), Err(CarError::Codec));
    assert_eq!(
        with(&[&[37], &cid.to_bytes()[..], &[0xa1]].concat()),
        Err(CarError::Hash)
    );
    assert_eq!(with(&[&[36], &[0; 36][..]].concat()), Err(CarError::Cid));
}

#[test]
fn a_proof_shows_one_record_or_that_there_is_none() {
    let (stored, records) = repo(300);
    let commit = signed(stored.root);
    let public = key().verifying_key();
    for (wanted, there) in [("150", true), ("0", false), ("150x", false), ("999", false)] {
        let of = RecordPath::parse(&format!("agent.memory.note/{wanted}")).unwrap();
        let found = path(&stored.blocks, &stored.root, &Key::from(&of)).unwrap();
        let value = found.value.and_then(|cid| records.get(&cid)).cloned();
        assert_eq!(value.is_some(), there, "{wanted}");
        let proof = write_proof(&commit, &found, value.as_deref());
        assert!(proof.len() < 4_000, "a proof is one path, not the tree");
        let (read, proven) = verify_proof(&proof, &did(), &public, &of).unwrap();
        assert_eq!(
            (read, proven.map(|record| record.value)),
            (commit.clone(), value)
        );
        // It proves nothing about a path elsewhere in the tree, and nothing without one of its blocks.
        let other = RecordPath::parse("agent.memory.note/020").unwrap();
        if found.nodes.len() > 3 {
            let elsewhere = verify_proof(&proof, &did(), &public, &other);
            assert!(matches!(elsewhere, Err(ImportError::Missing(_))));
        }
        for left_out in 0..found.nodes.len() {
            let mut holed = found.clone();
            holed.nodes.remove(left_out);
            let proof = write_proof(
                &commit,
                &holed,
                records.get(&cbor_cid(&record(150))).map(Vec::as_slice),
            );
            assert!(verify_proof(&proof, &did(), &public, &of).is_err());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (import(&bytes), SignedCommit::decode(&bytes));
        if let Ok(node) = NodeData::decode(&bytes) {
            prop_assert_eq!(node.encode(), bytes);
        }
    }

    #[test]
    fn changed_archives_are_read_as_before_or_refused(
        at: prop::sample::Index,
        with: u8,
        cut: prop::sample::Index,
        splice: prop::sample::Index,
    ) {
        let bytes = archive(8);
        let mut changed = bytes.clone();
        let at = at.index(changed.len());
        changed[at] = with;
        prop_assert_eq!(import(&changed).is_ok(), changed == bytes);
        let (a, b) = (cut.index(bytes.len()), splice.index(bytes.len()));
        let _ = import(&[&bytes[..a], &bytes[b..]].concat());
    }

    #[test]
    fn nodes_read_back_and_changed_ones_never_panic(
        keys in prop::collection::btree_set("[a-c]{1,3}/[a-c]{1,3}", 0..8),
        at: prop::sample::Index,
        with: u8,
    ) {
        let entries = keys.iter().map(|key| entry(key, None)).collect();
        let node = node(None, entries);
        let bytes = node.encode();
        prop_assert_eq!(NodeData::decode(&bytes), Ok(node));
        let mut changed = bytes;
        let at = at.index(changed.len());
        changed[at] = with;
        if let Ok(node) = NodeData::decode(&changed) {
            prop_assert_eq!(node.encode(), changed);
        }
    }
}
