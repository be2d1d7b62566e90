use entente_lexicon::{Address, Host, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::crypto::sign::SigningKey;
use crate::crypto::test_rng::TestRng;

fn did(letter: char) -> Did {
    Did::from_scid(&[u8::try_from(letter).unwrap(); 32])
}

fn member(letter: char) -> Address {
    Address {
        did: did(letter),
        host: Host::parse("beta.example").unwrap(),
    }
}

fn key(seed: u64) -> GroupKey {
    GroupKey::generate(&mut TestRng::new(seed))
}

fn roster(key: &GroupKey) -> Roster {
    let group = group_id(&did('a'), &[7; 16]);
    Roster {
        group,
        owner: did('a'),
        epoch: 3,
        name: "crew".to_owned(),
        at: Timestamp(5),
        members: vec![member('a'), member('b')],
        commitment: key.commitment(&group, 3),
    }
}

#[test]
fn a_roster_reads_back_and_only_its_owners_key_made_it() {
    let (owner, other) = (
        SigningKey::from_seed(&[1; 32]),
        SigningKey::from_seed(&[2; 32]),
    );
    let roster = roster(&key(1));
    let bytes = roster.sign(&owner).unwrap();
    let read = Roster::decode(&bytes).unwrap();
    assert_eq!(read.roster, roster);
    assert_eq!(read.verify(&owner.verifying_key()), Ok(()));
    assert_eq!(
        read.verify(&other.verifying_key()),
        Err(RosterError::BadSignature)
    );
    assert_eq!(read.roster.member(&did('b')), Some(&member('b')));
    assert_eq!(read.roster.member(&did('c')), None);
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_roster_is_refused() {
    let owner = SigningKey::from_seed(&[1; 32]);
    let bytes = roster(&key(1)).sign(&owner).unwrap();
    let holds = |bytes: &[u8]| {
        let read = Roster::decode(bytes);
        read.is_ok_and(|read| read.verify(&owner.verifying_key()).is_ok())
    };
    assert!(holds(&bytes));
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!holds(&bad), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(!holds(&bytes[..length]));
    }
    assert!(!holds(&[bytes.as_slice(), &[0]].concat()));
}

#[test]
fn members_stand_in_order_once_and_with_the_owner() {
    let owner = SigningKey::from_seed(&[1; 32]);
    let good = roster(&key(1));
    let refused = |bad: Roster| assert_eq!(bad.sign(&owner), Err(RosterError::Malformed));
    for members in [
        vec![],
        vec![member('b')],
        vec![member('b'), member('a')],
        vec![member('a'), member('a')],
    ] {
        refused(Roster {
            members,
            ..good.clone()
        });
    }
    for name in [String::new(), "n".repeat(MAX_NAME + 1)] {
        refused(Roster {
            name,
            ..good.clone()
        });
    }
    refused(Roster { epoch: 0, ..good });
}

#[test]
fn a_key_fits_the_one_roster_that_commits_to_it() {
    let (mine, other) = (key(1), key(2));
    let good = roster(&mine);
    assert!(mine.fits(&good) && !other.fits(&good));
    assert!(!mine.fits(&Roster {
        epoch: 4,
        ..good.clone()
    }));
    assert!(!mine.fits(&Roster {
        group: [0; 16],
        ..good
    }));
    assert_eq!(format!("{mine:?}"), "GroupKey(…)");
}

#[test]
fn an_id_is_of_one_owner() {
    assert_ne!(group_id(&did('a'), &[0; 16]), group_id(&did('b'), &[0; 16]));
    assert_ne!(group_id(&did('a'), &[0; 16]), group_id(&did('a'), &[1; 16]));
}

#[test]
fn a_text_opens_for_its_key_epoch_place_and_author_alone() {
    let (group, id, author, other) = ([1; 16], [2; 16], did('a'), did('b'));
    let place = Place {
        group: &group,
        epoch: 3,
        id: &id,
        author: &author,
    };
    let sealed = seal_text(&key(1), &place, [9; 24], b"tide at noon").unwrap();
    assert_eq!(
        &**open_text(&key(1), &place, &sealed).unwrap(),
        b"tide at noon"
    );
    // Who was removed has the key of the epoch before.
    assert!(open_text(&key(2), &place, &sealed).is_err());
    for wrong in [
        Place {
            group: &[0; 16],
            ..place
        },
        Place { epoch: 2, ..place },
        Place {
            id: &[0; 16],
            ..place
        },
        // A member that passes these bytes off as its own.
        Place {
            author: &other,
            ..place
        },
    ] {
        assert!(open_text(&key(1), &wrong, &sealed).is_err(), "{wrong:?}");
    }
    for bit in 0..sealed.len() * 8 {
        let mut bad = sealed.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(open_text(&key(1), &place, &bad).is_err(), "bit {bit}");
    }
    let long = vec![0; MAX_TEXT + 1];
    assert_eq!(
        seal_text(&key(1), &place, [9; 24], &long),
        Err(TextError::TooLarge)
    );
}

proptest! {
    #[test]
    fn no_bytes_panic_and_none_open(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (group, id, author) = ([1; 16], [2; 16], did('a'));
        let place = Place { group: &group, epoch: 3, id: &id, author: &author };
        prop_assert!(open_text(&key(1), &place, &bytes).is_err());
        if let Ok(read) = Roster::decode(&bytes) {
            prop_assert!(read.verify(&SigningKey::from_seed(&[1; 32]).verifying_key()).is_err());
        }
    }

    #[test]
    fn every_text_up_to_the_limit_reads_back(text in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let (group, id, author) = ([1; 16], [2; 16], did('a'));
        let place = Place { group: &group, epoch: 3, id: &id, author: &author };
        let sealed = seal_text(&key(1), &place, [9; 24], &text).unwrap();
        prop_assert_eq!(&**open_text(&key(1), &place, &sealed).unwrap(), text.as_slice());
    }
}
