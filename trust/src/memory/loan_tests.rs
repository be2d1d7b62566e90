//! Blobs that are read by those whom a record is shared with, and by those who try.

use entente_lexicon::Did;
use proptest::prelude::*;

use super::blob::*;
use super::*;
use crate::crypto::test_rng::TestRng;

const SIZE: usize = 5 * CHUNK_LENGTH + 77;
const CID: &[u8] = b"the cid of the blob";

fn content() -> Vec<u8> {
    (0..SIZE)
        .map(|at| u8::try_from(at * 7 % 251).unwrap())
        .collect()
}

fn owner() -> Did {
    Did::from_scid(&[1; 32])
}

fn place<'a>(owner: &'a Did, rkey: &'a str) -> Place<'a> {
    Place {
        owner,
        collection: "agent.memory.note",
        rkey,
    }
}

fn dek(seed: u64) -> Dek {
    Dek::generate(&mut TestRng::new(seed))
}

fn loan() -> BlobLoan {
    BlobLoan::new(&dek(1), &place(&owner(), "a"), CID, SIZE as u64).unwrap()
}

fn sealed() -> Vec<Vec<u8>> {
    let (loan, content) = (loan(), content());
    let chunks = content.chunks(CHUNK_LENGTH).enumerate();
    chunks
        .map(|(index, chunk)| loan.seal(index as u64, chunk).unwrap())
        .collect()
}

#[test]
fn who_has_the_records_key_opens_any_chunk_and_both_sides_need_nothing_else() {
    let reader = loan().reader();
    for (index, chunk) in sealed().iter().enumerate() {
        let start = index * CHUNK_LENGTH;
        let end = (start + CHUNK_LENGTH).min(SIZE);
        let opened = reader.chunk(index as u64, chunk).unwrap();
        assert!(*opened == content()[start..end], "{index}");
    }
    assert_eq!(sealed(), sealed(), "so it can be gone on with anywhere");
}

#[test]
fn chunks_that_a_lender_drops_doubles_swaps_or_takes_from_elsewhere_do_not_open() {
    let (reader, honest) = (loan().reader(), sealed());
    for (index, other) in (0..honest.len()).flat_map(|i| (0..honest.len()).map(move |j| (i, j))) {
        let outcome = reader.chunk(index as u64, &honest[other]);
        assert_eq!(outcome.is_ok(), index == other, "{other} for {index}");
    }
    let first = &content()[..CHUNK_LENGTH];
    let (owner, stranger) = (owner(), Did::from_scid(&[2; 32]));
    let size = SIZE as u64;
    for (what, loan) in [
        (
            "a key that the record had before",
            BlobLoan::new(&dek(2), &place(&owner, "a"), CID, size),
        ),
        (
            "another record",
            BlobLoan::new(&dek(1), &place(&owner, "b"), CID, size),
        ),
        (
            "another owner",
            BlobLoan::new(&dek(1), &place(&stranger, "a"), CID, size),
        ),
        (
            "another blob",
            BlobLoan::new(&dek(1), &place(&owner, "a"), b"another", size),
        ),
        (
            "another length",
            BlobLoan::new(&dek(1), &place(&owner, "a"), CID, size + 1),
        ),
    ] {
        let foreign = loan.unwrap().seal(0, first).unwrap();
        let refused = reader.chunk(0, &foreign).unwrap_err().code();
        assert_eq!(refused, "BLOB_CHUNK_DAMAGED", "{what}");
    }
}

#[test]
fn what_is_no_whole_chunk_of_the_blob_is_not_sealed() {
    let (loan, content) = (loan(), content());
    let whole = &content[..CHUNK_LENGTH];
    let codes = [
        loan.seal(0, &whole[1..]),
        loan.seal(0, &content[..=CHUNK_LENGTH]),
        loan.seal(5, whole),
        loan.seal(6, &[]),
    ]
    .map(|outcome| outcome.unwrap_err().code());
    assert_eq!(
        codes,
        [
            "BLOB_TRUNCATED",
            "BLOB_EXTENDED",
            "BLOB_EXTENDED",
            "BLOB_TOO_LARGE"
        ]
    );
    let huge = BlobLoan::new(&dek(1), &place(&owner(), "a"), CID, MAX_BLOB_LENGTH + 1);
    assert_eq!(huge.unwrap_err().code(), "BLOB_TOO_LARGE");
}

proptest! {
    #[test]
    fn a_chunk_changed_anywhere_is_refused(at in 0..CHUNK_LENGTH + 16, flip in 1..=255_u8) {
        let mut chunk = loan().seal(0, &content()[..CHUNK_LENGTH]).unwrap();
        chunk[at] ^= flip;
        prop_assert!(loan().reader().chunk(0, &chunk).is_err());
    }
}
