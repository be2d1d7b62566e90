//! For any content, in any pieces, and for any bytes at all.

use entente_lexicon::Did;
use proptest::prelude::*;

use super::blob::*;
use super::*;
use crate::crypto::test_rng::TestRng;

fn owner() -> Did {
    Did::from_scid(&[1; 32])
}

fn place(owner: &Did) -> Place<'_> {
    Place {
        owner,
        collection: "agent.memory.blob",
        rkey: "a",
    }
}

fn dek() -> Dek {
    Dek::generate(&mut TestRng::new(1))
}

fn content(length: usize) -> Vec<u8> {
    let byte = |at: usize| u8::try_from(at.wrapping_mul(31) / 7 % 251).unwrap();
    (0..length).map(byte).collect()
}

struct Sealed {
    header: BlobHeader,
    body: Vec<u8>,
    size: u64,
}

fn sealed(plaintext: &[u8], piece: usize) -> Sealed {
    let owner = owner();
    let mut encoder = BlobEncoder::begin(&dek(), &place(&owner), &mut TestRng::new(2));
    let header = *encoder.header();
    let mut body = Vec::new();
    for piece in plaintext.chunks(piece) {
        encoder.push(piece, &mut body).unwrap();
    }
    let size = encoder.finish(&mut body).unwrap();
    Sealed { header, body, size }
}

fn reader(blob: &Sealed) -> BlobReader {
    BlobReader::open(&dek(), &place(&owner()), &blob.header, blob.size).unwrap()
}

fn decoded(blob: &Sealed, body: &[u8], piece: usize) -> Result<Vec<u8>, MemoryError> {
    let mut decoder = reader(blob).decoder(u64::try_from(body.len()).unwrap());
    let mut out = Vec::new();
    for piece in body.chunks(piece) {
        decoder.push(piece, &mut out)?;
    }
    decoder.finish(&mut out)?;
    Ok(out)
}

fn refused(blob: &Sealed, body: &[u8]) -> &'static str {
    let outcome = decoded(blob, body, 100_000);
    assert_eq!(decoded(blob, body, 1_000), outcome);
    outcome.map_or_else(MemoryError::code, |_opened| "opened")
}

/// Lengths around every edge there is.
const LENGTHS: [usize; 9] = [
    0,
    1,
    CHUNK_LENGTH - 1,
    CHUNK_LENGTH,
    CHUNK_LENGTH + 1,
    2 * CHUNK_LENGTH,
    3 * CHUNK_LENGTH - 5,
    4 * CHUNK_LENGTH,
    4 * CHUNK_LENGTH + 100,
];

#[test]
fn blobs_of_every_length_open_in_any_pieces_and_chunk_by_chunk() {
    for length in LENGTHS {
        let plaintext = content(length);
        let blob = sealed(&plaintext, 10_000);
        assert_eq!(blob.size, length as u64);
        assert_eq!(blob.body.len() as u64, sealed_length(blob.size));
        // The pieces it came in leave no trace.
        assert_eq!(sealed(&plaintext, 200_000).body, blob.body);
        for piece in [777, SEALED_CHUNK_LENGTH, 1_000_000] {
            assert_eq!(decoded(&blob, &blob.body, piece).as_ref(), Ok(&plaintext));
        }
        let reader = reader(&blob);
        let mut joined = Vec::new();
        for index in 0..reader.count() {
            let range = reader.range(index);
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            joined.extend_from_slice(&reader.chunk(index, &blob.body[range]).unwrap());
        }
        assert_eq!(joined, plaintext);
        assert!(reader.range(reader.count()).is_empty());
        let beyond = reader.chunk(reader.count(), &[]).unwrap_err();
        assert_eq!(beyond.code(), "BLOB_TOO_LARGE");
    }
}

fn chunks(body: &[u8]) -> Vec<Vec<u8>> {
    body.chunks(SEALED_CHUNK_LENGTH)
        .map(<[u8]>::to_vec)
        .collect()
}

#[test]
fn chunks_dropped_doubled_or_reordered_are_named_wherever_they_stand() {
    // The last chunk is full, almost full, and short.
    for tail in [CHUNK_LENGTH, CHUNK_LENGTH - 1, 9] {
        let blob = sealed(&content(4 * CHUNK_LENGTH + tail), 100_000);
        let all = chunks(&blob.body);
        assert_eq!(all.len(), 5);
        for at in 0..5 {
            let mut dropped = all.clone();
            dropped.remove(at);
            let expected = if at == 4 {
                "BLOB_TRUNCATED"
            } else {
                "BLOB_CHUNK_MISSING"
            };
            assert_eq!(refused(&blob, &dropped.concat()), expected, "{at} {tail}");
            let mut doubled = all.clone();
            doubled.insert(at, all[at].clone());
            let expected = if at == 4 {
                "BLOB_EXTENDED"
            } else {
                "BLOB_CHUNK_REPEATED"
            };
            assert_eq!(refused(&blob, &doubled.concat()), expected, "{at} {tail}");
        }
        for (one, other) in [(0, 1), (0, 3), (1, 2), (3, 4), (0, 4)] {
            let mut swapped = all.clone();
            swapped.swap(one, other);
            let swapped = swapped.concat();
            assert_eq!(
                refused(&blob, &swapped),
                "BLOB_CHUNK_MISPLACED",
                "{one} {other}"
            );
        }
    }
}

#[test]
fn a_blob_cut_or_extended_anywhere_is_refused() {
    for length in [0, 9, CHUNK_LENGTH, 2 * CHUNK_LENGTH + 9] {
        let blob = sealed(&content(length), 100_000);
        let end = blob.body.len();
        let around = [SEALED_CHUNK_LENGTH, 2 * SEALED_CHUNK_LENGTH];
        let cuts = around.into_iter().chain([0, 1, 15, 16, end - 1]);
        for cut in cuts.filter(|cut| *cut < end) {
            assert_eq!(
                refused(&blob, &blob.body[..cut]),
                "BLOB_TRUNCATED",
                "{length} {cut}"
            );
        }
        for more in [1, 16, SEALED_CHUNK_LENGTH, 2 * SEALED_CHUNK_LENGTH] {
            let extended = [&blob.body[..], &vec![7; more]].concat();
            assert_eq!(
                refused(&blob, &extended),
                "BLOB_EXTENDED",
                "{length} {more}"
            );
        }
    }
}

#[test]
fn a_blob_changed_anywhere_gives_nothing_of_the_changed_chunk() {
    let plaintext = content(3 * CHUNK_LENGTH);
    let blob = sealed(&plaintext, 100_000);
    let mut body = blob.body.clone();
    body[SEALED_CHUNK_LENGTH + 5] ^= 1;
    let mut decoder = reader(&blob).decoder(body.len() as u64);
    let mut out = Vec::new();
    let failed = decoder.push(&body, &mut out).unwrap_err();
    assert_eq!(failed.code(), "BLOB_CHUNK_DAMAGED");
    assert_eq!(out, plaintext[..CHUNK_LENGTH]);
    // After an error nothing more comes.
    assert_eq!(decoder.push(&blob.body, &mut out), Err(failed));
    assert_eq!(decoder.finish(&mut out), Err(failed));
    assert_eq!(out.len(), CHUNK_LENGTH);
}

#[test]
fn the_header_of_another_blob_owner_or_key_is_refused() {
    let blob = sealed(b"x", 1);
    let (ours, other) = (owner(), Did::from_scid(&[2; 32]));
    let open = |dek: &Dek, place: &Place<'_>, header: &[u8]| {
        BlobReader::open(dek, place, header, 1).map_or_else(MemoryError::code, |_| "opened")
    };
    let right = place(&ours);
    assert_eq!(open(&dek(), &right, &blob.header), "opened");
    let elsewhere = Place { rkey: "b", ..right };
    assert_eq!(open(&dek(), &place(&other), &blob.header), "BLOB_MISMATCH");
    assert_eq!(open(&dek(), &elsewhere, &blob.header), "BLOB_MISMATCH");
    let foreign = Dek::generate(&mut TestRng::new(9));
    assert_eq!(open(&foreign, &right, &blob.header), "BLOB_MISMATCH");
    for (byte, value, expected) in [
        (0, b'X', "BLOB_MALFORMED"),
        (4, 1, "BLOB_UNKNOWN_SUITE"),
        (5, 1, "BLOB_MALFORMED"),
        (6, blob.header[6] ^ 1, "BLOB_MISMATCH"),
        (30, blob.header[30] ^ 1, "BLOB_MISMATCH"),
    ] {
        let mut header = blob.header;
        header[byte] = value;
        assert_eq!(open(&dek(), &right, &header), expected, "{byte}");
    }
    assert_eq!(open(&dek(), &right, &blob.header[..61]), "BLOB_MALFORMED");
    let longer = [&blob.header[..], &[0]].concat();
    assert_eq!(open(&dek(), &right, &longer), "BLOB_MALFORMED");
    let huge = BlobReader::open(&dek(), &right, &blob.header, MAX_BLOB_LENGTH + 1);
    assert_eq!(huge.unwrap_err().code(), "BLOB_TOO_LARGE");
}

/// A record that gives a wrong length (its writer's fault) does not make a cut look whole.
#[test]
fn another_length_than_the_blobs_own_does_not_open() {
    let blob = sealed(&content(2 * CHUNK_LENGTH), 100_000);
    let short = Sealed {
        size: CHUNK_LENGTH as u64,
        ..blob
    };
    let outcome = decoded(&short, &short.body[..SEALED_CHUNK_LENGTH], 100_000);
    assert_eq!(outcome.unwrap_err().code(), "BLOB_CHUNK_DAMAGED");
}

#[test]
fn an_upload_in_parts_goes_on_at_any_part_and_makes_the_same_blob() {
    let owner = owner();
    let plaintext = content(PART_LENGTH + 70_000);
    let parts: Vec<_> = plaintext.chunks(PART_LENGTH).collect();
    let first = BlobSealer::begin(&dek(), &place(&owner), &mut TestRng::new(2));
    let header = *first.header();
    let mut body = Vec::new();
    for (index, part) in (0_u64..).zip(&parts) {
        // Every part by a process that knows the header only.
        let sealer = BlobSealer::resume(&dek(), &place(&owner), &header).unwrap();
        let last = index == 1;
        let digest = sealer.begin_part(index, last, part);
        let sealed = sealer.seal_part(index, last, part, &digest).unwrap();
        // Tried again, it is the same.
        assert_eq!(
            sealer.seal_part(index, last, part, &digest).as_ref(),
            Ok(&sealed)
        );
        assert_eq!(sealed.len() == SEALED_PART_LENGTH, !last);
        body.extend_from_slice(&sealed);
    }
    let blob = sealed(&plaintext, 1_000_000);
    assert_eq!((blob.header, &blob.body), (header, &body));
    assert_eq!(decoded(&blob, &body, 1_000_000), Ok(plaintext));
}

/// Two contents under one nonce would give both away.
#[test]
fn a_part_is_never_sealed_with_two_contents() {
    let owner = owner();
    let sealer = BlobSealer::begin(&dek(), &place(&owner), &mut TestRng::new(2));
    let code = |outcome: Result<Vec<u8>, MemoryError>| {
        outcome.map_or_else(MemoryError::code, |_| "sealed")
    };
    let begun = sealer.begin_part(0, true, b"one");
    assert_eq!(code(sealer.seal_part(0, true, b"one", &begun)), "sealed");
    assert_eq!(
        code(sealer.seal_part(0, true, b"two", &begun)),
        "BLOB_PART_CHANGED"
    );
    assert_eq!(
        code(sealer.seal_part(1, true, b"one", &begun)),
        "BLOB_PART_CHANGED"
    );
    assert_eq!(
        code(sealer.seal_part(0, false, b"one", &begun)),
        "BLOB_PART_LENGTH"
    );
    assert_eq!(
        code(sealer.seal_part(1, true, b"", &begun)),
        "BLOB_PART_LENGTH"
    );
    let long = vec![0; PART_LENGTH + 1];
    assert_eq!(
        code(sealer.seal_part(0, true, &long, &begun)),
        "BLOB_PART_LENGTH"
    );
    assert_eq!(
        code(sealer.seal_part(MAX_PARTS, true, b"x", &begun)),
        "BLOB_TOO_LARGE"
    );
    let other = BlobSealer::begin(&dek(), &place(&owner), &mut TestRng::new(3));
    assert_ne!(other.begin_part(0, true, b"one"), begun);
}

proptest! {
    #[test]
    fn records_open_as_they_were_sealed(
        plaintext in proptest::collection::vec(any::<u8>(), 0..2_000),
        collection in ".{0,60}", rkey in ".{0,60}", version: u64, seed: u64,
    ) {
        let owner = owner();
        let place = Place { owner: &owner, collection: &collection, rkey: &rkey };
        let mut rng = TestRng::new(seed);
        let dek = Dek::generate(&mut rng);
        let envelope = record::seal(&dek, &place, version, &plaintext, &mut rng).unwrap();
        prop_assert_eq!(&**record::open(&dek, &place, version, &envelope).unwrap(), &plaintext);
        let keks = KekRing::new(Kek::generate(1, &mut rng), []);
        let row = wrap::wrap(keks.current(), &place, &dek, &mut rng);
        let unwrapped = wrap::unwrap(&keks, &place, dek.id(), &row).unwrap();
        prop_assert_eq!(unwrapped.key(), dek.key());
    }

    #[test]
    fn no_bytes_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..1_400),
        magic in proptest::sample::select(vec![&b"ANE1\x01\x00"[..], b"ANB1\x02\x00", b"\x01\x01", b"\x01\x02", b""]),
    ) {
        let owner = owner();
        let bytes = [magic, &bytes].concat();
        let _ = record::open(&dek(), &place(&owner), 1, &bytes);
        let _ = record::check_form(&bytes);
        let _ = share::peek(&bytes);
        let _ = wrap::epoch(&bytes);
        let _ = blob::check_form(&bytes);
        let _ = BlobReader::open(&dek(), &place(&owner), &bytes, 5);
    }

    #[test]
    fn a_body_of_any_bytes_in_any_pieces_does_not_panic(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        size in 0_u64..200_000, stored: u64, piece in 1_usize..100,
    ) {
        let owner = owner();
        let header = *BlobEncoder::begin(&dek(), &place(&owner), &mut TestRng::new(2)).header();
        let reader = BlobReader::open(&dek(), &place(&owner), &header, size).unwrap();
        let mut decoder = reader.decoder(stored);
        let mut out = Vec::new();
        let mut outcome = Ok(());
        for piece in body.chunks(piece) {
            outcome = outcome.and(decoder.push(piece, &mut out));
        }
        prop_assert!(outcome.and(decoder.finish(&mut out)).is_err());
        prop_assert!(out.is_empty());
    }
}
