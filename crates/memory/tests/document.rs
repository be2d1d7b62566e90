//! The example in `docs/protocol/repo.md`, made anew and read back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use data_encoding::HEXLOWER;
use entente_lexicon::{Did, RecordPath, Tid};
use entente_memory::repo::block::{MemoryBlocks, cbor_cid};
use entente_memory::repo::cbor::Writer;
use entente_memory::repo::import::{Import, Limits};
use entente_memory::repo::{Commit, Key, SignedCommit, Tree, car};
use entente_trust::crypto::secp256k1::SigningKey;

const DOCUMENT: &str = include_str!("../../../docs/protocol/repo.md");

fn note(text: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.map(2);
    writer.text("text");
    writer.text(text);
    writer.text("$type");
    writer.text("agent.memory.note");
    writer.into_bytes()
}

/// The key whose seed is 32 times 7 signs the repo of the DID whose hash is 32 times 7.
fn example() -> (SigningKey, SignedCommit, MemoryBlocks, MemoryBlocks) {
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    let mut records = MemoryBlocks::new();
    let nothing = MemoryBlocks::new();
    let mut tree = Tree::empty(&nothing);
    for (rkey, text) in [("first", "Hello"), ("second", "World")] {
        let path = RecordPath::parse(&format!("agent.memory.note/{rkey}")).unwrap();
        let value = note(text);
        let cid = cbor_cid(&value);
        tree.put(Key::from(&path), cid).unwrap();
        records.insert(cid, value);
    }
    let (data, diff) = tree.finish();
    let commit = Commit {
        did: Did::from_scid(&[7; 32]),
        rev: Tid::from_parts(1_800_000_000_000_000, 0),
        data,
    };
    (key.clone(), commit.sign(&key), diff.new, records)
}

fn quoted(text: &str) -> bool {
    let document: String = DOCUMENT.split_whitespace().collect();
    let found = document.contains(text);
    if !found {
        eprintln!("the document lacks {text}");
    }
    found
}

#[test]
fn the_document_quotes_the_example_as_it_is_made() {
    let (key, commit, nodes, records) = example();
    let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
    let public = key.verifying_key().to_multikey();
    let mut all = quoted(&public);
    all &= quoted(commit.commit.did.as_str()) & quoted(commit.commit.rev.as_str());
    all &= quoted(&commit.cid().to_string()) & quoted(&hex(&commit.encode()));
    for (cid, block) in nodes.iter().chain(&records) {
        all &= quoted(&cid.to_string()) & quoted(&hex(block));
    }
    all &= quoted(&hex(&car::header(&commit.cid())));
    assert!(all, "docs/protocol/repo.md is not what the code does");
}

#[test]
fn the_example_is_believed() {
    let (key, commit, nodes, records) = example();
    let mut archive = car::header(&commit.cid());
    car::append(&mut archive, &commit.cid(), &commit.encode());
    for (cid, block) in nodes.iter().chain(&records) {
        car::append(&mut archive, cid, block);
    }
    let mut import = Import::new(Limits {
        bytes: 10_000,
        blocks: 10,
    });
    import.feed(&archive).unwrap();
    let did = Did::from_scid(&[7; 32]);
    let read = import.finish(&did, &key.verifying_key()).unwrap();
    assert_eq!(
        (read.commit, read.nodes, read.records.len()),
        (commit, nodes, 2)
    );
}
