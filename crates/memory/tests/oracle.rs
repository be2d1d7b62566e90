//! The reference implementation of atproto's repos reads what we write, and we read what it writes.
//!
//! `e2e/oracles/repo.mjs` runs npm's `@atproto/repo`; `cargo xtask test` installs it, as `npm ci`
//! does.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use data_encoding::HEXLOWER;
use entente_lexicon::{Did, Nsid, RecordKey, RecordPath, Tid};
use entente_memory::repo::block::{MemoryBlocks, cbor_cid};
use entente_memory::repo::cbor::Writer;
use entente_memory::repo::import::{Import, Limits, verify_proof, write_proof};
use entente_memory::repo::walk::{Item, Walk, find, path};
use entente_memory::repo::{Cid, Commit, Key, SignedCommit, Tree, car};
use entente_trust::crypto::secp256k1::SigningKey;

const SEED: [u8; 32] = [9; 32];
const COLLECTIONS: [&str; 4] = [
    "agent.memory.episode",
    "agent.memory.fact",
    "agent.memory.note",
    "agent.memory.profile",
];

fn did() -> Did {
    Did::from_scid(&[9; 32])
}

fn key() -> SigningKey {
    SigningKey::from_seed(&SEED).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs a command of the oracle in a folder of its own.
fn oracle(command: &str, folder: &Path) -> Output {
    let script = root().join("e2e/oracles/repo.mjs");
    Command::new("node")
        .arg(script)
        .arg(command)
        .arg(folder)
        .output()
        .expect("node runs the oracle; install Node 20 and run `npm ci`")
}

fn accepted(output: &Output) -> String {
    let (told, wrong) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the oracle refused: {wrong}");
    String::from_utf8_lossy(told).into_owned()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn record(collection: &str, text: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.map(2);
    writer.text("text");
    writer.text(text);
    writer.text("$type");
    writer.text(collection);
    writer.into_bytes()
}

/// A repo, and the map it has to agree with.
struct Repo {
    nodes: MemoryBlocks,
    root: Cid,
    records: BTreeMap<RecordPath, Vec<u8>>,
}

impl Repo {
    fn empty() -> Self {
        let (root, diff) = Tree::empty(&MemoryBlocks::new()).finish();
        Self {
            nodes: diff.new,
            root,
            records: BTreeMap::new(),
        }
    }

    /// Writes or removes records in one batch.
    fn apply(&mut self, writes: Vec<(RecordPath, Option<Vec<u8>>)>) {
        let mut tree = Tree::load(&self.nodes, &self.root).unwrap();
        for (path, value) in writes {
            let key = Key::from(&path);
            let (before, there) = match value {
                Some(value) => {
                    let before = tree.put(key, cbor_cid(&value)).unwrap();
                    (before, self.records.insert(path, value))
                }
                None => (tree.remove(&key).unwrap(), self.records.remove(&path)),
            };
            assert_eq!(before, there.map(|value| cbor_cid(&value)));
        }
        let (root, diff) = tree.finish();
        self.root = root;
        self.nodes.retain(|cid, _node| !diff.removed.contains(cid));
        self.nodes.extend(diff.new);
    }

    fn commit(&self) -> SignedCommit {
        let commit = Commit {
            did: did(),
            rev: Tid::from_parts(1_700_000_000_000_000, 7),
            data: self.root,
        };
        commit.sign(&key())
    }

    /// Writes the archive as it is streamed: each node before its records and what is below it.
    fn archive(&self) -> Vec<u8> {
        let commit = self.commit();
        let mut archive = car::header(&commit.cid());
        car::append(&mut archive, &commit.cid(), &commit.encode());
        let mut nodes = 0;
        for item in Walk::new(&self.nodes, &self.root) {
            match item.unwrap() {
                Item::Node(cid, bytes) => {
                    car::append(&mut archive, &cid, &bytes);
                    nodes += 1;
                }
                Item::Leaf(key, cid) => {
                    let path = RecordPath::parse(key.as_str()).unwrap();
                    car::append(&mut archive, &cid, &self.records[&path]);
                }
            }
        }
        assert_eq!(nodes, self.nodes.len(), "no node was left behind");
        archive
    }

    fn proof(&self, of: &RecordPath) -> Vec<u8> {
        let found = path(&self.nodes, &self.root, &Key::from(of)).unwrap();
        let record = self.records.get(of).map(Vec::as_slice);
        let proof = write_proof(&self.commit(), &found, record);
        let public = key().verifying_key();
        let (_, proven) = verify_proof(&proof, &did(), &public, of).unwrap();
        assert_eq!(proven.map(|proven| proven.value).as_deref(), record);
        proof
    }

    /// Writes everything that the oracle is to judge.
    fn export(&self, folder: &Path, claimed_leaves: usize) {
        fs::write(folder.join("repo.car"), self.archive()).unwrap();
        let absent = path_of(0, "never-written");
        let present = self.records.keys().step_by(self.records.len() / 12 + 1);
        let mut proofs = Vec::new();
        for (number, of) in present.chain([&absent]).enumerate() {
            fs::write(folder.join(format!("proof-{number}.car")), self.proof(of)).unwrap();
            let there = self.records.get(of).map(|record| cbor_cid(record));
            proofs.push(format!(
                r#"{{"path": "{of}", "cid": {}}}"#,
                there.map_or("null".to_owned(), |cid| format!("\"{cid}\""))
            ));
        }
        let expected = format!(
            r#"{{"did": "{}", "key": "did:key:{}", "root": "{}", "leaves": {claimed_leaves}, "proofs": [{}]}}"#,
            did(),
            key().verifying_key().to_multikey(),
            self.root,
            proofs.join(", "),
        );
        fs::write(folder.join("expected.json"), expected).unwrap();
    }
}

fn path_of(collection: usize, rkey: &str) -> RecordPath {
    let collection = Nsid::parse(COLLECTIONS[collection]).unwrap();
    RecordPath::new(collection, RecordKey::parse(rkey).unwrap())
}

/// 10,000 inserts, updates and deletes in batches of different sizes.
fn busy() -> Repo {
    let mut numbers = Numbers(4);
    let mut repo = Repo::empty();
    let mut left = 10_000;
    while left > 0 {
        let size = (1 + numbers.below(40)).min(left);
        left -= size;
        let writes = (0..size).map(|_| {
            let collection = usize::try_from(numbers.below(4)).unwrap();
            let number = numbers.below(1_500);
            let rkey = match collection {
                0 => Tid::from_parts(1_600_000_000_000_000 + number * 977, 3).to_string(),
                _ => format!("key-{number}"),
            };
            let text = format!("text {}", numbers.below(1 << 40));
            let keep = numbers.below(10) < 6;
            let value = keep.then(|| record(COLLECTIONS[collection], &text));
            (path_of(collection, &rkey), value)
        });
        let writes = writes.collect();
        repo.apply(writes);
    }
    repo
}

#[test]
fn the_reference_implementation_agrees_after_ten_thousand_changes() {
    let repo = busy();
    assert!(repo.records.len() > 2_000, "{}", repo.records.len());
    for (path, record) in &repo.records {
        let found = find(&repo.nodes, &repo.root, &Key::from(path)).unwrap();
        assert_eq!(found, Some(cbor_cid(record)));
    }
    let folder = folder("busy");
    repo.export(&folder, repo.records.len());
    let told = accepted(&oracle("verify", &folder));
    assert!(
        told.contains(&format!("{} leaves", repo.records.len())),
        "{told}"
    );
}

#[test]
fn the_reference_implementation_agrees_on_small_repos() {
    let mut repo = Repo::empty();
    for count in 0..5 {
        let folder = folder(&format!("small-{count}"));
        repo.export(&folder, count);
        accepted(&oracle("verify", &folder));
        let collection = COLLECTIONS[count % 4];
        let write = record(collection, &format!("text {count}"));
        repo.apply(vec![(
            path_of(count % 4, &format!("key-{count}")),
            Some(write),
        )]);
    }
}

/// A signature alone does not notice lost leaves; the oracle does.
#[test]
fn the_oracle_refuses_what_is_wrong() {
    let mut repo = Repo::empty();
    let writes = (0..30).map(|number| {
        let text = format!("text {number}");
        let value = record(COLLECTIONS[1], &text);
        (path_of(1, &format!("key-{number}")), Some(value))
    });
    repo.apply(writes.collect());
    let folder = folder("wrong");
    repo.export(&folder, 31);
    let refused = oracle("verify", &folder);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("leaves"));
    repo.export(&folder, 30);
    accepted(&oracle("verify", &folder));
    let mut archive = repo.archive();
    let at = archive.len() - 3;
    archive[at] ^= 1;
    fs::write(folder.join("repo.car"), archive).unwrap();
    assert!(!oracle("verify", &folder).status.success());
}

#[test]
fn an_archive_by_the_reference_implementation_is_believed() {
    let folder = folder("theirs");
    let order = format!(
        r#"{{"did": "{}", "seed": "{}", "records": 300}}"#,
        did(),
        HEXLOWER.encode(&SEED)
    );
    fs::write(folder.join("order.json"), order).unwrap();
    let told = accepted(&oracle("make", &folder));
    let mut import = Import::new(Limits {
        bytes: 1 << 24,
        blocks: 10_000,
    });
    import
        .feed(&fs::read(folder.join("repo.car")).unwrap())
        .unwrap();
    let public = key().verifying_key();
    let archive = import.finish(&did(), &public).unwrap();
    assert_eq!(archive.commit.commit.data.to_string(), told.trim());
    assert_eq!(archive.records.len(), 300);
    // Built here from the same records it is the same tree.
    let mut ours = Repo::empty();
    let writes = archive.records.into_iter();
    ours.apply(
        writes
            .map(|record| (record.path, Some(record.value)))
            .collect(),
    );
    assert_eq!(
        (ours.root, ours.nodes),
        (archive.commit.commit.data, archive.nodes)
    );
}
