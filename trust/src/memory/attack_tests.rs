//! Whoever holds the storage, the wire or another's row, against records, rows and shares.

use entente_lexicon::Did;

use super::*;
use crate::crypto::dh::DhSecret;
use crate::crypto::kem::KemSecret;
use crate::crypto::multikey::kid;
use crate::crypto::rest::{KeyRing, MasterKey, RestError};
use crate::crypto::sign::SigningKey;
use crate::crypto::test_rng::TestRng;
use crate::memory::share::{RecipientKey, RecipientSecret, Share};

const FACT: &str = "agent.memory.fact";
const TEXT: &[u8] = b"the meeting is on Thursday";

fn did(name: u8) -> Did {
    Did::from_scid(&[name; 32])
}

fn at<'a>(owner: &'a Did, rkey: &'a str) -> Place<'a> {
    Place {
        owner,
        collection: FACT,
        rkey,
    }
}

fn code<T>(outcome: Result<T, MemoryError>) -> &'static str {
    outcome.err().map_or("opened", MemoryError::code)
}

struct Stored {
    dek: Dek,
    envelope: Vec<u8>,
}

fn stored(owner: &Did, rkey: &str, seed: u64) -> Stored {
    let mut rng = TestRng::new(seed);
    let dek = Dek::generate(&mut rng);
    let envelope = record::seal(&dek, &at(owner, rkey), 3, TEXT, &mut rng).unwrap();
    Stored { dek, envelope }
}

#[test]
fn a_record_opens_under_its_key_place_and_version_only() {
    let (owner, other) = (did(1), did(2));
    let Stored { dek, envelope } = stored(&owner, "a", 1);
    let place = at(&owner, "a");
    assert_eq!(**record::open(&dek, &place, 3, &envelope).unwrap(), *TEXT);
    assert_eq!(envelope.len(), TEXT.len() + record::OVERHEAD);
    let elsewhere = Place {
        collection: "agent.memory.note",
        ..place
    };
    for wrong in [at(&other, "a"), at(&owner, "b"), elsewhere] {
        let moved = record::open(&dek, &wrong, 3, &envelope);
        assert_eq!(code(moved), "RECORD_MISMATCH");
    }
    let foreign = Dek::generate(&mut TestRng::new(9));
    let renamed = Dek::from_parts(foreign.id(), zeroize::Zeroizing::new(*dek.key()));
    for wrong in [foreign, renamed] {
        assert_eq!(
            code(record::open(&wrong, &place, 3, &envelope)),
            "RECORD_MISMATCH"
        );
    }
}

#[test]
fn swapped_ciphertexts_are_refused_on_both_sides() {
    let owner = did(1);
    let (a, b) = (stored(&owner, "a", 1), stored(&owner, "b", 2));
    let swapped = record::open(&a.dek, &at(&owner, "a"), 3, &b.envelope);
    assert_eq!(code(swapped), "RECORD_MISMATCH");
    let swapped = record::open(&b.dek, &at(&owner, "b"), 3, &a.envelope);
    assert_eq!(code(swapped), "RECORD_MISMATCH");
    // Also when only what follows the headers was swapped.
    let mut grafted = a.envelope.clone();
    grafted.truncate(62);
    grafted.extend_from_slice(&b.envelope[62..]);
    assert_eq!(
        code(record::open(&a.dek, &at(&owner, "a"), 3, &grafted)),
        "RECORD_DAMAGED"
    );
}

#[test]
fn an_older_version_put_back_is_named_as_such() {
    let owner = did(1);
    let Stored { dek, envelope } = stored(&owner, "a", 1);
    for now in [4, 5, 67] {
        let replayed = record::open(&dek, &at(&owner, "a"), now, &envelope);
        assert_eq!(code(replayed), "RECORD_OLD_VERSION", "{now}");
    }
    // Further back it is not looked for, and refused all the same.
    for now in [0, 2, 68, u64::MAX] {
        let replayed = record::open(&dek, &at(&owner, "a"), now, &envelope);
        assert_eq!(code(replayed), "RECORD_MISMATCH", "{now}");
    }
}

#[test]
fn truncated_extended_and_unknown_envelopes_are_refused() {
    let owner = did(1);
    let Stored { dek, envelope } = stored(&owner, "a", 1);
    let open = |bytes: &[u8]| code(record::open(&dek, &at(&owner, "a"), 3, bytes));
    for length in 0..envelope.len() {
        let expected = if length < record::OVERHEAD {
            "RECORD_LENGTH"
        } else {
            "RECORD_DAMAGED"
        };
        assert_eq!(open(&envelope[..length]), expected, "{length}");
    }
    let mut extended = envelope.clone();
    extended.push(0);
    assert_eq!(open(&extended), "RECORD_DAMAGED");
    extended.resize(record::OVERHEAD + record::MAX_RECORD_LENGTH + 1, 0);
    assert_eq!(open(&extended), "RECORD_LENGTH");
    for (byte, value, expected) in [
        (0, b'B', "RECORD_MALFORMED"),
        (3, b'2', "RECORD_MALFORMED"),
        (4, 2, "RECORD_UNKNOWN_SUITE"),
        (5, 1, "RECORD_MALFORMED"),
        (6, envelope[6] ^ 1, "RECORD_MISMATCH"),
        (30, envelope[30] ^ 1, "RECORD_MISMATCH"),
        (62, envelope[62] ^ 1, "RECORD_DAMAGED"),
    ] {
        let mut changed = envelope.clone();
        changed[byte] = value;
        assert_eq!(open(&changed), expected, "{byte}");
        let stays = matches!(expected, "RECORD_MISMATCH" | "RECORD_DAMAGED");
        assert_eq!(record::check_form(&changed).is_ok(), stays, "{byte}");
    }
}

#[test]
fn every_flipped_bit_of_an_envelope_is_refused() {
    let owner = did(1);
    let Stored { dek, envelope } = stored(&owner, "a", 1);
    for bit in 0..envelope.len() * 8 {
        let mut flipped = envelope.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(record::open(&dek, &at(&owner, "a"), 3, &flipped).is_err());
    }
}

#[test]
fn a_record_that_is_too_large_is_not_sealed() {
    let owner = did(1);
    let mut rng = TestRng::new(1);
    let dek = Dek::generate(&mut rng);
    let place = at(&owner, "a");
    let most = vec![7; record::MAX_RECORD_LENGTH];
    let envelope = record::seal(&dek, &place, 1, &most, &mut rng).unwrap();
    assert_eq!(**record::open(&dek, &place, 1, &envelope).unwrap(), *most);
    let over = record::seal(&dek, &place, 1, &[7; 128 * 1024 + 1], &mut rng);
    assert_eq!(code(over), "RECORD_TOO_LARGE");
}

/// The parts are written with their lengths: what moves from one to the next is seen.
#[test]
fn places_that_read_alike_when_joined_are_different_places() {
    let owner = did(1);
    let Stored { dek, envelope } = stored(&owner, "abc", 1);
    let shifted = Place {
        owner: &owner,
        collection: "agent.memory.facta",
        rkey: "bc",
    };
    assert_eq!(
        code(record::open(&dek, &shifted, 3, &envelope)),
        "RECORD_MISMATCH"
    );
}

#[test]
fn a_row_moved_to_another_record_owner_or_key_does_not_open() {
    let (owner, other) = (did(1), did(2));
    let mut rng = TestRng::new(1);
    let keks = KekRing::new(Kek::generate(7, &mut rng), []);
    let (dek, second) = (Dek::generate(&mut rng), Dek::generate(&mut rng));
    let place = at(&owner, "a");
    let row = wrap::wrap(keks.current(), &place, &dek, &mut rng);
    assert_eq!(row.len(), 77);
    assert_eq!(wrap::epoch(&row), Ok(7));
    let opened = wrap::unwrap(&keks, &place, dek.id(), &row).unwrap();
    assert_eq!(opened.key(), dek.key());
    for (wrong, id) in [
        (at(&owner, "b"), dek.id()),
        (at(&other, "a"), dek.id()),
        (place, second.id()),
    ] {
        assert_eq!(code(wrap::unwrap(&keks, &wrong, id, &row)), "WRAP_MISMATCH");
    }
    let strangers = KekRing::new(Kek::generate(7, &mut rng), []);
    let unwrapped = wrap::unwrap(&strangers, &place, dek.id(), &row);
    assert_eq!(code(unwrapped), "WRAP_MISMATCH");
}

#[test]
fn rows_of_another_length_version_or_epoch_are_refused() {
    let owner = did(1);
    let mut rng = TestRng::new(1);
    let keks = KekRing::new(Kek::generate(7, &mut rng), []);
    let dek = Dek::generate(&mut rng);
    let row = wrap::wrap(keks.current(), &at(&owner, "a"), &dek, &mut rng);
    let open = |row: &[u8]| code(wrap::unwrap(&keks, &at(&owner, "a"), dek.id(), row));
    for length in 0..row.len() {
        assert_eq!(open(&row[..length]), "WRAP_LENGTH");
    }
    assert_eq!(open(&[&row[..], &[0]].concat()), "WRAP_LENGTH");
    for bit in 0..row.len() * 8 {
        let mut flipped = row;
        flipped[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0 => "WRAP_UNKNOWN_VERSION",
            1..5 => "WRAP_OTHER_EPOCH",
            _ => "WRAP_MISMATCH",
        };
        assert_eq!(open(&flipped), expected, "{bit}");
    }
    // A row cannot be made to look like one of another epoch whose key is at hand.
    let next = keks.rotated(&mut rng).unwrap();
    let mut moved = row;
    moved[1..5].copy_from_slice(&8_u32.to_be_bytes());
    let opened = wrap::unwrap(&next, &at(&owner, "a"), dek.id(), &moved);
    assert_eq!(code(opened), "WRAP_MISMATCH");
}

#[test]
fn rotation_rewraps_rows_touches_no_envelope_and_can_stop_anywhere() {
    let owner = did(1);
    let mut rng = TestRng::new(1);
    let before = KekRing::new(Kek::generate(1, &mut rng), []);
    let names = ["a", "b", "c", "d"];
    let records = names.map(|rkey| stored(&owner, rkey, u64::from(rkey.as_bytes()[0])));
    let mut rows: Vec<_> = names
        .iter()
        .zip(&records)
        .map(|(rkey, one)| wrap::wrap(before.current(), &at(&owner, rkey), &one.dek, &mut rng))
        .collect();
    let keks = before.rotated(&mut rng).unwrap();
    let (old, new) = (before.current(), keks.current());
    let readable = |keks: &KekRing, rows: &[wrap::Row]| {
        let each = names.iter().zip(&records).zip(rows);
        each.map(|((rkey, one), row)| {
            let place = at(&owner, rkey);
            let dek = wrap::unwrap(keks, &place, one.dek.id(), row)?;
            record::open(&dek, &place, 3, &one.envelope)
        })
        .filter(Result::is_ok)
        .count()
    };
    for done in 0..names.len() {
        assert_eq!(readable(&keks, &rows), 4);
        let (place, id) = (at(&owner, names[done]), records[done].dek.id());
        let fresh = wrap::rewrap(old, new, &place, id, &rows[done], &mut rng).unwrap();
        rows[done] = fresh.unwrap();
        // Begun again, it does nothing twice.
        let again = wrap::rewrap(old, new, &place, id, &rows[done], &mut rng);
        assert_eq!(again, Ok(None));
    }
    let alone = KekRing::new(new.clone(), []);
    assert_eq!(readable(&alone, &rows), 4);
    assert_eq!(readable(&before, &rows), 0);
    let (place, id) = (at(&owner, "a"), records[0].dek.id());
    let third = keks.rotated(&mut rng).unwrap();
    let skipped = wrap::rewrap(old, third.current(), &place, id, &rows[0], &mut rng);
    assert_eq!(code(skipped), "WRAP_OTHER_EPOCH");
    let moved = wrap::rewrap(
        new,
        third.current(),
        &at(&owner, "b"),
        id,
        &rows[0],
        &mut rng,
    );
    assert_eq!(code(moved), "WRAP_MISMATCH");
}

#[test]
fn a_kek_rests_sealed_for_its_owner_and_epoch_and_never_shows_itself() {
    let (owner, other) = (did(1), did(2));
    let mut rng = TestRng::new(1);
    let master = |byte: &str| MasterKey::parse(&byte.repeat(16)).unwrap();
    let ring = KeyRing::from(master("0001"));
    let kek = Kek::generate(5, &mut rng);
    assert_eq!(format!("{kek:?}"), "Kek(epoch 5, …)");
    let sealed = kek.seal(&ring, &owner, &mut rng);
    assert_eq!(sealed.open(&ring, &owner).unwrap().key(), kek.key());
    let moved = sealed.open(&ring, &other);
    assert_eq!(moved.unwrap_err(), RestError::Corrupt);
    let renumbered = SealedKek {
        epoch: 6,
        ..sealed.clone()
    };
    assert_eq!(
        renumbered.open(&ring, &owner).unwrap_err(),
        RestError::Corrupt
    );
    let rotated = KeyRing::new(master("0002"), Some(master("0001")));
    let resealed = sealed.reseal(&rotated, &owner, &mut rng).unwrap().unwrap();
    let alone = KeyRing::from(master("0002"));
    assert_eq!(resealed.open(&alone, &owner).unwrap().key(), kek.key());
    assert_eq!(resealed.reseal(&alone, &owner, &mut rng), Ok(None));
    let last = KekRing::new(Kek::generate(u32::MAX, &mut rng), []);
    assert!(last.rotated(&mut rng).is_none());
}

struct Friend {
    did: Did,
    hybrid: KemSecret,
    classical: DhSecret,
}

impl Friend {
    fn new(name: u8) -> Self {
        let mut rng = TestRng::new(u64::from(name));
        Self {
            did: did(name),
            hybrid: KemSecret::generate(&mut rng),
            classical: DhSecret::generate(&mut rng),
        }
    }

    fn open(
        &self,
        hybrid: bool,
        share: &Share<'_>,
        row: &[u8],
        owner: &SigningKey,
    ) -> &'static str {
        let owner = owner.verifying_key();
        code(if hybrid {
            let kid = kid(&self.hybrid.public().to_multikey());
            share.open(row, &owner, &kid, RecipientSecret::Hybrid(&self.hybrid))
        } else {
            let kid = kid(&self.classical.public().to_multikey());
            let secret = RecipientSecret::Classical(&self.classical);
            share.open(row, &owner, &kid, secret)
        })
    }

    fn row(&self, hybrid: bool, place: &Place<'_>, dek: &Dek, owner: &SigningKey) -> Vec<u8> {
        let mut rng = TestRng::new(50);
        let (strong, weak) = (self.hybrid.public(), self.classical.public());
        let key = if hybrid {
            RecipientKey::Hybrid(&strong)
        } else {
            RecipientKey::Classical(&weak)
        };
        share::make(place, dek, owner, &self.did, key, &mut rng).unwrap()
    }
}

#[test]
fn a_share_opens_for_its_recipient_record_and_key_only() {
    let (owner, bob, carol) = (did(1), Friend::new(2), Friend::new(3));
    let mut rng = TestRng::new(1);
    let signing = SigningKey::generate(&mut rng);
    let (dek, second) = (Dek::generate(&mut rng), Dek::generate(&mut rng));
    let place = at(&owner, "a");
    let right = Share {
        place,
        recipient: &bob.did,
        dek: dek.id(),
    };
    for (hybrid, length) in [(true, share::X_WING_LENGTH), (false, share::X25519_LENGTH)] {
        let row = bob.row(hybrid, &place, &dek, &signing);
        assert_eq!(row.len(), length);
        assert_eq!(bob.open(hybrid, &right, &row, &signing), "opened");
        // The other key pair of the same recipient is another recipient.
        assert_eq!(
            bob.open(!hybrid, &right, &row, &signing),
            "SHARE_WRONG_RECIPIENT"
        );
        assert_eq!(
            carol.open(hybrid, &right, &row, &signing),
            "SHARE_WRONG_RECIPIENT"
        );
        for wrong in [
            Share {
                place: at(&owner, "b"),
                ..right
            },
            Share {
                place: at(&carol.did, "a"),
                ..right
            },
            Share {
                recipient: &carol.did,
                ..right
            },
            Share {
                dek: second.id(),
                ..right
            },
        ] {
            assert_eq!(
                bob.open(hybrid, &wrong, &row, &signing),
                "SHARE_BAD_SIGNATURE"
            );
        }
        let forger = SigningKey::generate(&mut rng);
        assert_eq!(
            bob.open(hybrid, &right, &row, &forger),
            "SHARE_BAD_SIGNATURE"
        );
        let named = share::peek(&row).unwrap();
        assert_eq!(
            named.signer_kid,
            kid(&signing.verifying_key().to_multikey())
        );
    }
}

/// Bob was given a DEK and passes it on as if the owner had shared it with Carol, or as his own.
#[test]
fn a_share_cannot_be_passed_on_in_the_owners_name() {
    let (owner, bob, carol) = (did(1), Friend::new(2), Friend::new(3));
    let mut rng = TestRng::new(1);
    let (signing, bobs) = (
        SigningKey::generate(&mut rng),
        SigningKey::generate(&mut rng),
    );
    let dek = Dek::generate(&mut rng);
    let place = at(&owner, "a");
    let forged = carol.row(true, &place, &dek, &bobs);
    let share = Share {
        place,
        recipient: &carol.did,
        dek: dek.id(),
    };
    assert_eq!(
        carol.open(true, &share, &forged, &signing),
        "SHARE_BAD_SIGNATURE"
    );
    // With the owner's signature of the row that Bob was given.
    let given = bob.row(true, &place, &dek, &signing);
    let mut grafted = forged;
    let from = grafted.len() - 64;
    grafted[from..].copy_from_slice(&given[given.len() - 64..]);
    assert_eq!(
        carol.open(true, &share, &grafted, &signing),
        "SHARE_BAD_SIGNATURE"
    );
}

#[test]
fn shared_rows_of_another_form_are_refused_and_every_bit_counts() {
    let (owner, bob) = (did(1), Friend::new(2));
    let mut rng = TestRng::new(1);
    let signing = SigningKey::generate(&mut rng);
    let dek = Dek::generate(&mut rng);
    let place = at(&owner, "a");
    let share = Share {
        place,
        recipient: &bob.did,
        dek: dek.id(),
    };
    for hybrid in [true, false] {
        let row = bob.row(hybrid, &place, &dek, &signing);
        let open = |row: &[u8]| bob.open(hybrid, &share, row, &signing);
        for length in 0..row.len() {
            assert_eq!(open(&row[..length]), "SHARE_LENGTH");
        }
        assert_eq!(open(&[&row[..], &[0]].concat()), "SHARE_LENGTH");
        let step = if hybrid { 37 } else { 1 };
        for bit in (0..row.len() * 8).step_by(step) {
            let mut flipped = row.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let refused = open(&flipped);
            let expected: &[&str] = match bit / 8 {
                0 => &["SHARE_UNKNOWN_VERSION"],
                1 => &["SHARE_UNKNOWN_KEM", "SHARE_LENGTH"],
                2..18 => &["SHARE_BAD_SIGNATURE"],
                18..34 => &["SHARE_WRONG_RECIPIENT"],
                _ => &["SHARE_BAD_SIGNATURE"],
            };
            assert!(expected.contains(&refused), "{bit}: {refused}");
        }
    }
}

#[test]
fn a_recipients_key_of_small_order_is_refused() {
    let owner = did(1);
    let mut rng = TestRng::new(1);
    let signing = SigningKey::generate(&mut rng);
    let dek = Dek::generate(&mut rng);
    let weak = crate::crypto::dh::DhPublic::from_bytes(&[0; 32]).unwrap();
    let key = RecipientKey::Classical(&weak);
    let made = share::make(&at(&owner, "a"), &dek, &signing, &did(2), key, &mut rng);
    assert_eq!(code(made), "SHARE_BAD_KEY");
}

/// The owner itself signs a row that was not sealed for this share.
#[test]
fn a_row_that_is_signed_and_does_not_open_is_named_as_such() {
    let (owner, bob) = (did(1), Friend::new(2));
    let mut rng = TestRng::new(1);
    let signing = SigningKey::generate(&mut rng);
    let dek = Dek::generate(&mut rng);
    let place = at(&owner, "a");
    let share = Share {
        place,
        recipient: &bob.did,
        dek: dek.id(),
    };
    let mut row = bob.row(false, &place, &dek, &signing);
    let end = row.len() - 64;
    row[end - 1] ^= 1;
    let signer = kid(&signing.verifying_key().to_multikey());
    let recipient = kid(&bob.classical.public().to_multikey());
    let bound = share.bound(2, &signer, &recipient);
    let signature = signing.sign(&[b"entente share\0", &bound, &row[..end]]);
    row[end..].copy_from_slice(&signature);
    assert_eq!(bob.open(false, &share, &row, &signing), "SHARE_UNOPENABLE");
}
