//! An archive is believed or refused, in pieces as whole; what is believed is one tree.
#![no_main]

use entente_lexicon::{Did, RecordPath};
use entente_memory::repo::block::MemoryBlocks;
use entente_memory::repo::cbor::check_record;
use entente_memory::repo::import::{Import, Limits, verify_proof};
use entente_memory::repo::{Key, SignedCommit, Tree, car};
use entente_memory::sealed::{Sealed, SealedKey};
use entente_trust::crypto::secp256k1::SigningKey;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    bytes: 1 << 16,
    blocks: 256,
};

fuzz_target!(|bytes: &[u8]| {
    let key = SigningKey::from_seed(&[7; 32]).expect("a seed");
    let (did, public) = (Did::from_scid(&[7; 32]), key.verifying_key());
    let read = |size: usize| {
        let mut import = Import::new(LIMITS);
        for piece in bytes.chunks(size.max(1)) {
            import.feed(piece)?;
        }
        import.finish(&did, &public)
    };
    let whole = read(bytes.len());
    assert_eq!(read(7).is_ok(), whole.is_ok());
    if let Ok(archive) = whole {
        let nothing = MemoryBlocks::new();
        let mut tree = Tree::empty(&nothing);
        for record in &archive.records {
            tree.put(Key::from(&record.path), record.cid).expect("no lookups");
        }
        assert_eq!(tree.finish().0, archive.commit.commit.data);
    }
    let of = RecordPath::parse("agent.memory.note/first").expect("a path");
    let _ = (verify_proof(bytes, &did, &public, &of), check_record(bytes));
    if let Ok(sealed) = Sealed::decode(bytes) {
        assert_eq!(sealed.encode(), bytes);
    }
    if let Ok(key) = SealedKey::decode(bytes) {
        assert_eq!(key.encode(), bytes);
    }
    if let Ok(commit) = SignedCommit::decode(bytes) {
        assert_eq!(commit.encode(), bytes);
    }
    // With hashes that are right, so that what is behind them is reached.
    if let [size, rest @ ..] = bytes {
        let mut archive = Vec::new();
        for piece in rest.chunks(usize::from(*size).max(1)) {
            let cid = entente_memory::repo::block::cbor_cid(piece);
            if archive.is_empty() {
                archive = car::header(&cid);
            }
            car::append(&mut archive, &cid, piece);
        }
        let _ = verify_proof(&archive, &did, &public, &of);
    }
});
