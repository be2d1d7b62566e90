use entente_lexicon::Timestamp;
use proptest::prelude::*;

use super::stream::{Decoder, Frame, MAX_FRAME, Table, Value};
use super::*;
use crate::crypto::hash::sha256;
use crate::crypto::rest::{KeyRing, MasterKey};
use crate::crypto::test_rng::TestRng;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const PLACE: Place<'static> = Place {
    network: "did:cf:network",
    subject: "agent/did:cf:alice",
    generation: 7,
};

fn ring() -> KeyRing {
    KeyRing::from(MasterKey::parse(HEX).unwrap())
}

fn sealed(place: Place<'_>, seed: u64, plain: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (ring, mut chunks) = (ring(), Vec::new());
    let mut keep = |index: u64, chunk: Vec<u8>| {
        assert_eq!(index, chunks.len() as u64);
        chunks.push(chunk);
        Ok::<_, BackupError>(())
    };
    let mut sealer = Sealer::begin(&ring, place, &mut TestRng::new(seed));
    for part in plain.chunks(70_001) {
        sealer.push(part, &mut keep).unwrap();
    }
    let manifest = sealer.finish(Timestamp(5), &mut keep).unwrap();
    (manifest, chunks)
}

fn long() -> Vec<u8> {
    (0..CHUNK_LENGTH * 2 + 10)
        .map(|n| (n % 251) as u8)
        .collect()
}

fn opened(manifest: &[u8]) -> Result<Manifest, BackupError> {
    Manifest::open(&ring(), PLACE, manifest)
}

#[test]
fn what_was_sealed_opens_chunk_by_chunk() {
    for plain in [Vec::new(), b"short".to_vec(), long()] {
        let (manifest, chunks) = sealed(PLACE, 1, &plain);
        let manifest = opened(&manifest).unwrap();
        assert_eq!(manifest.count(), chunks.len() as u64);
        assert_eq!(
            (manifest.length(), manifest.at()),
            (plain.len() as u64, Timestamp(5))
        );
        let mut all = Vec::new();
        for (index, chunk) in chunks.iter().enumerate() {
            all.extend_from_slice(&manifest.chunk(&ring(), index as u64, chunk).unwrap());
        }
        assert_eq!(all, plain);
    }
}

#[test]
fn two_snapshots_of_the_same_generation_share_no_byte_of_ciphertext() {
    let (first, second) = (sealed(PLACE, 1, &long()).1, sealed(PLACE, 2, &long()).1);
    assert_ne!(first[0][69..101], second[0][69..101]);
    assert_eq!(first[0].len(), CHUNK_LENGTH + 69 + 16);
}

#[test]
fn a_chunk_that_was_swapped_cut_or_changed_is_refused_each_by_its_name() {
    let (manifest, chunks) = sealed(PLACE, 1, &long());
    let manifest = opened(&manifest).unwrap();
    let refused = |index, chunk: &[u8]| manifest.chunk(&ring(), index, chunk).unwrap_err();
    assert_eq!(refused(0, &chunks[1]), BackupError::Misplaced);
    assert_eq!(
        refused(0, &sealed(PLACE, 2, &long()).1[0]),
        BackupError::Misplaced
    );
    assert_eq!(refused(3, &chunks[0]), BackupError::Truncated);
    assert_eq!(
        refused(2, &chunks[2][..chunks[2].len() - 1]),
        BackupError::Truncated
    );
    assert_eq!(refused(2, &[]), BackupError::Truncated);
    let mut changed = chunks[2].clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(refused(2, &changed), BackupError::Damaged);
    let extended = [&chunks[2][..], &[0]].concat();
    assert_eq!(refused(2, &extended), BackupError::Damaged);
}

#[test]
fn a_backup_of_another_network_agent_or_generation_is_refused_in_this_place() {
    let cases = [
        (
            Place {
                network: "did:cf:other",
                ..PLACE
            },
            BackupError::OtherOwner,
        ),
        (
            Place {
                subject: "agent/did:cf:bob",
                ..PLACE
            },
            BackupError::OtherOwner,
        ),
        (
            Place {
                subject: "relay",
                ..PLACE
            },
            BackupError::OtherOwner,
        ),
        (
            Place {
                generation: 6,
                ..PLACE
            },
            BackupError::OtherGeneration,
        ),
        (
            Place {
                generation: 8,
                ..PLACE
            },
            BackupError::OtherGeneration,
        ),
    ];
    let (own, _) = sealed(PLACE, 1, &long());
    let own = opened(&own).unwrap();
    for (place, error) in cases {
        let (manifest, chunks) = sealed(place, 1, &long());
        assert_eq!(opened(&manifest).unwrap_err(), error);
        assert_eq!(own.chunk(&ring(), 0, &chunks[0]).unwrap_err(), error);
    }
}

#[test]
fn a_header_that_was_rewritten_to_fit_is_noticed() {
    let (manifest, _) = sealed(
        Place {
            generation: 6,
            ..PLACE
        },
        1,
        b"x",
    );
    let mut moved = manifest;
    moved[29..37].copy_from_slice(&7u64.to_be_bytes());
    assert_eq!(opened(&moved).unwrap_err(), BackupError::Damaged);
}

#[test]
fn another_master_key_an_unknown_version_and_another_kind_are_each_told() {
    let (manifest, chunks) = sealed(PLACE, 1, b"x");
    let other = KeyRing::from(MasterKey::parse(OTHER).unwrap());
    let wrong = Manifest::open(&other, PLACE, &manifest);
    assert_eq!(wrong.unwrap_err(), BackupError::WrongKey);
    let rotated = KeyRing::new(
        MasterKey::parse(OTHER).unwrap(),
        Some(MasterKey::parse(HEX).unwrap()),
    );
    let known = Manifest::open(&rotated, PLACE, &manifest).unwrap();
    assert_eq!(**known.chunk(&rotated, 0, &chunks[0]).unwrap(), *b"x");
    let mut newer = manifest.clone();
    newer[3] = b'2';
    assert_eq!(opened(&newer).unwrap_err(), BackupError::UnknownVersion);
    assert_eq!(opened(&chunks[0]).unwrap_err(), BackupError::Malformed);
    assert_eq!(opened(b"ENB").unwrap_err(), BackupError::Malformed);
    assert_eq!(opened(&[b'x'; 200]).unwrap_err(), BackupError::Malformed);
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_manifest_is_refused() {
    let (manifest, _) = sealed(PLACE, 1, b"x");
    for bit in 0..manifest.len() * 8 {
        let mut flipped = manifest.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(opened(&flipped).is_err(), "{bit}");
    }
    for length in 0..manifest.len() {
        assert!(opened(&manifest[..length]).is_err());
    }
}

fn index() -> Index {
    Index {
        network: "did:cf:network".to_owned(),
        host: "a.example".to_owned(),
        generation: 7,
        at: Timestamp(9),
        parts: vec![Part {
            subject: "relay".to_owned(),
            object: None,
            generation: 6,
            manifest: vec![3; 32].into(),
            length: 10,
        }],
    }
}

#[test]
fn an_index_opens_as_what_it_is_and_as_nothing_else() {
    let sealed = seal_index(&ring(), &index(), &mut TestRng::new(1)).unwrap();
    assert_eq!(
        open_index(&ring(), "did:cf:network", 7, &sealed),
        Ok(index())
    );
    for (network, generation, error) in [
        ("did:cf:other", 7, BackupError::OtherOwner),
        ("did:cf:network", 8, BackupError::OtherGeneration),
    ] {
        assert_eq!(
            open_index(&ring(), network, generation, &sealed),
            Err(error)
        );
    }
    assert_eq!(opened(&sealed), Err(BackupError::Malformed));
}

/// The vector of docs/protocol/backup.md.
#[test]
fn the_vector_of_the_specification_holds() {
    let text = include_str!("../../../docs/protocol/vectors/backup.json");
    let vector: serde_json::Value = serde_json::from_str(text).unwrap();
    let field = |name: &str| vector[name].as_str().unwrap().to_owned();
    let bytes = |name: &str| {
        data_encoding::HEXLOWER
            .decode(field(name).as_bytes())
            .unwrap()
    };
    let (network, subject) = (field("network"), field("subject"));
    let place = Place {
        network: &network,
        subject: &subject,
        generation: vector["generation"].as_u64().unwrap(),
    };
    let ring = KeyRing::from(MasterKey::parse(&field("masterKey")).unwrap());
    let manifest = Manifest::open(&ring, place, &bytes("manifest")).unwrap();
    let plain = manifest.chunk(&ring, 0, &bytes("chunk")).unwrap();
    assert_eq!(*plain, bytes("plaintext"));
    let mut decoder = Decoder::default();
    decoder.push(&plain);
    let frames: Vec<_> = std::iter::from_fn(|| decoder.next_frame().unwrap()).collect();
    assert_eq!(frames, example());
    assert_eq!(sha256(&[&bytes("chunk")]).to_vec(), bytes("chunkHash"));
}

fn example() -> Vec<Frame> {
    vec![
        Frame::Table(Table {
            name: "t".to_owned(),
            columns: vec!["a".to_owned(), "b".to_owned()],
            statements: vec!["CREATE TABLE t(a, b)".to_owned()],
        }),
        Frame::Row(vec![Value::Integer(-1), Value::Text("x".to_owned())]),
        Frame::Row(vec![Value::Null, Value::Blob(vec![0, 255])]),
        Frame::Row(vec![Value::Real(0.5), Value::Null]),
        Frame::End(3),
    ]
}

fn encoded(frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    frames
        .iter()
        .for_each(|frame| frame.encode(&mut out).unwrap());
    out
}

fn decoded(bytes: &[u8], cut: usize) -> Result<Vec<Frame>, BackupError> {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for part in bytes.chunks(cut.max(1)) {
        decoder.push(part);
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
    }
    decoder.finish()?;
    Ok(frames)
}

#[test]
fn frames_are_read_however_the_stream_is_cut() {
    let bytes = encoded(&example());
    for cut in 1..=bytes.len() {
        assert_eq!(decoded(&bytes, cut).unwrap(), example());
    }
}

#[test]
fn a_stream_that_ends_early_goes_on_or_counts_wrong_is_refused() {
    let bytes = encoded(&example());
    for length in 0..bytes.len() {
        assert!(decoded(&bytes[..length], 7).is_err(), "{length}");
    }
    assert!(decoded(&[&bytes[..], &[0]].concat(), 7).is_err());
    assert!(decoded(&encoded(&[Frame::Row(vec![]), Frame::End(1)]), 9).is_err());
    let mut miscounted = example();
    miscounted.pop();
    miscounted.push(Frame::End(2));
    assert!(decoded(&encoded(&miscounted), 9).is_err());
}

#[test]
fn a_frame_too_long_is_neither_written_nor_read() {
    let mut out = vec![9];
    let long = Frame::Row(vec![Value::Blob(vec![0; MAX_FRAME])]);
    assert_eq!(long.encode(&mut out), Err(BackupError::TooLarge));
    assert_eq!(out, [9]);
    let mut decoder = Decoder::default();
    decoder.push(&u32::MAX.to_be_bytes());
    assert_eq!(decoder.next_frame(), Err(BackupError::Invalid));
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        (-1e9..1e9f64).prop_map(Value::Real),
        ".{0,20}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Blob),
    ]
}

proptest! {
    #[test]
    fn any_rows_come_back(rows in proptest::collection::vec((any_value(), any_value()), 0..20), cut in 1usize..200) {
        let mut frames = vec![example().remove(0)];
        frames.extend(rows.iter().map(|(a, b)| Frame::Row(vec![a.clone(), b.clone()])));
        frames.push(Frame::End(rows.len() as u64));
        prop_assert_eq!(decoded(&encoded(&frames), cut).unwrap(), frames);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 1usize..50) {
        let _ = decoded(&bytes, cut);
        let _ = opened(&bytes);
        let _ = open_index(&ring(), "did:cf:network", 7, &bytes);
        let (manifest, _) = sealed(PLACE, 1, b"x");
        let _ = opened(&manifest).unwrap().chunk(&ring(), 0, &bytes);
    }
}
