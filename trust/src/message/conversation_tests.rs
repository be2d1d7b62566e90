use std::collections::{BTreeMap, BTreeSet};

use entente_lexicon::{Content, Did, Timestamp};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::envelope::{COMMITMENT_LENGTH, NONCE_LENGTH, OPENING_LENGTH, write_prefix};
use super::ratchet::Chain;
use super::{opening, sealed, *};
use crate::crypto::kem::KemSecret;
use crate::crypto::sign::{SigningKey, VerifyingKey};
use crate::crypto::test_rng::TestRng;

pub(super) const NOW: Timestamp = Timestamp(1_800_000_000_000);
const HOUR_MS: u64 = 60 * 60 * 1000;

pub(super) struct Party {
    pub(super) did: Did,
    pub(super) signing: SigningKey,
    pub(super) verifying: VerifyingKey,
    pub(super) secret: KemSecret,
    pub(super) prekey: Prekey,
    pub(super) published: SignedPrekey,
}

pub(super) fn party(name: u8) -> Party {
    let mut rng = TestRng::new(u64::from(name));
    let did = Did::from_scid(&[name; 32]);
    let signing = SigningKey::generate(&mut rng);
    let verifying = signing.verifying_key();
    let secret = KemSecret::generate(&mut rng);
    let until = NOW.after(MAX_PREKEY_LIFE_MS);
    let published = SignedPrekey::sign(&did, &secret.public(), NOW, until, &signing).unwrap();
    Party {
        prekey: published.verify(&did, &verifying, NOW).unwrap(),
        did,
        signing,
        verifying,
        secret,
        published,
    }
}

pub(super) fn network() -> Did {
    Did::from_scid(&[100; 32])
}

pub(super) fn header(from: &Party, to: &Party, number: u8) -> Header {
    Header {
        id: [number; 16],
        from: from.did.clone(),
        to: to.did.clone(),
        network: network(),
        index: u64::from(number),
        expires: Some(NOW.after(HOUR_MS)),
    }
}

pub(super) fn body(text: &str) -> Body {
    Body {
        content: Content::Text {
            text: text.to_owned(),
        },
        thread: Some("t1".to_owned()),
        priority: 3,
        created_at: NOW,
    }
}

pub(super) fn epoch(from: &Party, to: &Party, seed: u64) -> Sending {
    let mut rng = TestRng::new(seed);
    Sending::open(&from.did, &from.signing, &to.prekey, NOW, &mut rng).unwrap()
}

fn seal(sending: &mut Sending, from: &Party, to: &Party, number: u8) -> Vec<u8> {
    let text = body(&format!("message {number}"));
    let mut rng = TestRng::new(1000 + u64::from(number));
    sending
        .seal(&header(from, to, number), &text, &mut rng)
        .unwrap()
}

/// A recipient as an agent is one: epochs by sender and id, secrets by kid.
struct Recipient<'a> {
    me: &'a Party,
    epochs: BTreeMap<(Did, EpochId), Receiving>,
}

impl<'a> Recipient<'a> {
    fn new(me: &'a Party) -> Self {
        Self {
            me,
            epochs: BTreeMap::new(),
        }
    }

    fn open(&mut self, from: &Party, bytes: &[u8]) -> Result<Body, OpenError> {
        let expected = Expected {
            from: &from.did,
            to: &self.me.did,
            network: &network(),
        };
        let envelope = Envelope::parse(bytes)?;
        let place = (from.did.clone(), envelope.epoch);
        if let Some(known) = self.epochs.get_mut(&place) {
            return known.open(&envelope, &expected);
        }
        let opening = envelope.opening.ok_or(OpenError::UnknownEpoch)?;
        if opening.kid != self.me.prekey.kid {
            return Err(OpenError::UnknownKey);
        }
        let (epoch, body) =
            Receiving::accept(&envelope, &self.me.secret, &from.verifying, &expected)?;
        self.epochs.insert(place, epoch);
        Ok(body)
    }
}

#[test]
fn a_conversation_opens_for_its_recipient_and_gets_smaller_once_acknowledged() {
    let (alice, diana) = (party(1), party(2));
    let mut sending = epoch(&alice, &diana, 7);
    let mut recipient = Recipient::new(&diana);
    let first = seal(&mut sending, &alice, &diana, 1);
    assert_eq!(recipient.open(&alice, &first), Ok(body("message 1")));
    let second = seal(&mut sending, &alice, &diana, 2);
    assert_eq!(recipient.open(&alice, &second), Ok(body("message 2")));
    assert!(sending.is_opening());
    sending.acknowledged();
    let third = seal(&mut sending, &alice, &diana, 3);
    assert_eq!(third.len() + OPENING_LENGTH, second.len());
    assert_eq!(recipient.open(&alice, &third), Ok(body("message 3")));
    assert_eq!(Header::peek(&third), Ok(header(&alice, &diana, 3)));
    assert_eq!(recipient.epochs.len(), 1);
}

#[test]
fn a_key_opens_one_message_once() {
    let (alice, diana) = (party(1), party(2));
    let mut sending = epoch(&alice, &diana, 7);
    let mut recipient = Recipient::new(&diana);
    let first = seal(&mut sending, &alice, &diana, 1);
    assert!(recipient.open(&alice, &first).is_ok());
    assert_eq!(recipient.open(&alice, &first), Err(OpenError::UnknownEpoch));
}

#[test]
fn an_epoch_seals_a_thousand_messages_for_a_day_and_no_more() {
    let (alice, diana) = (party(1), party(2));
    let mut sending = epoch(&alice, &diana, 7);
    let mut recipient = Recipient::new(&diana);
    assert!(sending.is_usable(NOW.after(EPOCH_LIFE_MS - 1)));
    assert!(!sending.is_usable(NOW.after(EPOCH_LIFE_MS)));
    let first = seal(&mut sending, &alice, &diana, 1);
    for _ in 1..MAX_EPOCH_MESSAGES - 1 {
        seal(&mut sending, &alice, &diana, 1);
    }
    let last = seal(&mut sending, &alice, &diana, 2);
    assert!(!sending.is_usable(NOW));
    let more = sending.seal(&header(&alice, &diana, 3), &body("x"), &mut TestRng::new(1));
    assert_eq!(more, Err(SealError::Epoch));
    // The longest jump there is: 999 keys are stepped over and kept.
    assert_eq!(recipient.open(&alice, &last), Ok(body("message 2")));
    let kept = recipient.epochs.values().next().unwrap();
    assert_eq!(kept.skipped(), usize::from(MAX_EPOCH_MESSAGES) - 1);
    assert!(!kept.is_spent());
    assert_eq!(recipient.open(&alice, &first), Ok(body("message 1")));
}

#[test]
fn an_epoch_ends_with_the_prekey_it_was_opened_to() {
    let (alice, mut diana) = (party(1), party(2));
    diana.prekey.not_after = NOW.after(HOUR_MS);
    let sending = epoch(&alice, &diana, 7);
    assert!(sending.is_usable(NOW.after(HOUR_MS - 1)));
    assert!(!sending.is_usable(NOW.after(HOUR_MS)));
}

#[test]
fn a_jump_of_a_thousand_is_no_envelope() {
    let (alice, diana) = (party(1), party(2));
    let mut bytes = seal(&mut epoch(&alice, &diana, 7), &alice, &diana, 1);
    let index = 3 + usize::from(u16::from_be_bytes([bytes[1], bytes[2]])) + 16;
    bytes[index..index + 2].copy_from_slice(&MAX_EPOCH_MESSAGES.to_be_bytes());
    assert_eq!(
        Recipient::new(&diana).open(&alice, &bytes),
        Err(OpenError::Malformed)
    );
}

#[test]
fn the_text_is_not_in_the_envelope_and_near_lengths_look_alike() {
    let (alice, diana) = (party(1), party(2));
    let secret = "the plaintext nobody on the way may read";
    let mut sending = epoch(&alice, &diana, 7);
    let mut sealed = |text: &str| {
        let header = header(&alice, &diana, 1);
        sending
            .seal(&header, &body(text), &mut TestRng::new(9))
            .unwrap()
    };
    let bytes = sealed(secret);
    let shows = |window| secret.as_bytes().starts_with(window);
    assert!(!bytes.windows(12).any(shows));
    assert_eq!(bytes.len(), sealed(&format!("{secret}!!")).len());
}

/// Both kinds: the one that opens an epoch, and a later one. In the first every byte of the
/// opening counts too.
#[test]
fn every_flipped_bit_is_refused_and_moves_nothing() {
    let (alice, diana) = (party(1), party(2));
    let mut sending = epoch(&alice, &diana, 7);
    let first = seal(&mut sending, &alice, &diana, 1);
    sending.acknowledged();
    let later = seal(&mut sending, &alice, &diana, 2);
    let mut recipient = Recipient::new(&diana);
    for (at, step) in (0..first.len()).zip((0..8).cycle()) {
        let mut flipped = first.clone();
        flipped[at] ^= 1 << step;
        assert!(recipient.open(&alice, &flipped).is_err(), "byte {at}");
        assert!(recipient.epochs.is_empty(), "byte {at} stored an epoch");
    }
    recipient.open(&alice, &first).unwrap();
    let before = recipient.epochs.clone();
    for bit in 0..later.len() * 8 {
        let mut flipped = later.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(recipient.open(&alice, &flipped).is_err(), "bit {bit}");
    }
    assert!(recipient.epochs == before);
    assert_eq!(recipient.open(&alice, &later), Ok(body("message 2")));
}

/// A repeated opening is not read again, but it is bound all the same.
#[test]
fn a_changed_opening_in_a_known_epoch_is_refused() {
    let (alice, diana) = (party(1), party(2));
    let mut sending = epoch(&alice, &diana, 7);
    let mut recipient = Recipient::new(&diana);
    let first = seal(&mut sending, &alice, &diana, 1);
    recipient.open(&alice, &first).unwrap();
    let second = seal(&mut sending, &alice, &diana, 2);
    let start = 3 + usize::from(u16::from_be_bytes([second[1], second[2]])) + 19;
    for at in [start + 16, start + 600, start + OPENING_LENGTH - 1] {
        let mut changed = second.clone();
        changed[at] ^= 1;
        assert_eq!(
            recipient.open(&alice, &changed),
            Err(OpenError::Undecryptable)
        );
    }
    assert!(recipient.open(&alice, &second).is_ok());
}

#[test]
fn every_cut_and_every_addition_is_refused() {
    let (alice, diana) = (party(1), party(2));
    let bytes = seal(&mut epoch(&alice, &diana, 7), &alice, &diana, 1);
    let mut recipient = Recipient::new(&diana);
    for length in 0..bytes.len() {
        assert!(
            recipient.open(&alice, &bytes[..length]).is_err(),
            "{length}"
        );
    }
    for extra in [1, 16, 64, 128] {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + extra, 0);
        assert!(recipient.open(&alice, &longer).is_err(), "{extra}");
    }
}

#[test]
fn another_suite_is_named_and_refused() {
    let (alice, diana) = (party(1), party(2));
    let mut bytes = seal(&mut epoch(&alice, &diana, 7), &alice, &diana, 1);
    bytes[0] = 1;
    let refused = Recipient::new(&diana).open(&alice, &bytes);
    assert_eq!(refused, Err(OpenError::UnknownSuite(1)));
    assert_eq!(Header::peek(&bytes), Ok(header(&alice, &diana, 1)));
    assert_eq!(Header::peek(&[]), Err(OpenError::Malformed));
}

#[test]
fn each_wrong_name_in_the_header_has_its_own_refusal() {
    let (alice, diana, eve) = (party(1), party(2), party(3));
    let bytes = seal(&mut epoch(&alice, &diana, 7), &alice, &diana, 1);
    let envelope = Envelope::parse(&bytes).unwrap();
    let (ours, other) = (network(), Did::from_scid(&[101; 32]));
    let open = |from, to, network| {
        let expected = Expected { from, to, network };
        Receiving::accept(&envelope, &diana.secret, &alice.verifying, &expected).err()
    };
    assert_eq!(open(&alice.did, &diana.did, &ours), None);
    let wrong = open(&eve.did, &diana.did, &ours);
    assert_eq!(wrong, Some(OpenError::WrongSender));
    let wrong = open(&alice.did, &eve.did, &ours);
    assert_eq!(wrong, Some(OpenError::WrongRecipient));
    let wrong = open(&alice.did, &diana.did, &other);
    assert_eq!(wrong, Some(OpenError::WrongNetwork));
}

#[test]
fn an_epoch_opened_to_a_key_that_is_gone_must_be_opened_anew() {
    let (alice, mut diana) = (party(1), party(2));
    let bytes = seal(&mut epoch(&alice, &diana, 7), &alice, &diana, 1);
    diana.prekey.kid = party(3).prekey.kid;
    let refused = Recipient::new(&diana).open(&alice, &bytes).unwrap_err();
    assert_eq!(refused, OpenError::UnknownKey);
    assert!(asks_to_reseal(refused.code()));
    assert!(asks_to_reseal(OpenError::UnknownEpoch.code()));
    assert!(!asks_to_reseal(OpenError::Undecryptable.code()));
}

#[test]
fn a_prekey_of_another_agent_does_not_open_the_epoch() {
    let (alice, diana, eve) = (party(1), party(2), party(3));
    let bytes = seal(&mut epoch(&alice, &diana, 7), &alice, &diana, 1);
    let expected = Expected {
        from: &alice.did,
        to: &diana.did,
        network: &network(),
    };
    let envelope = Envelope::parse(&bytes).unwrap();
    let refused = Receiving::accept(&envelope, &eve.secret, &alice.verifying, &expected);
    assert_eq!(refused.err(), Some(OpenError::Undecryptable));
}

#[test]
fn an_epoch_that_somebody_else_signed_is_refused() {
    let (alice, diana, eve) = (party(1), party(2), party(3));
    let mut rng = TestRng::new(5);
    // Eve claims to be Alice, all else being right.
    let mut forged = Sending::open(&alice.did, &eve.signing, &diana.prekey, NOW, &mut rng).unwrap();
    let bytes = seal(&mut forged, &alice, &diana, 1);
    let mut recipient = Recipient::new(&diana);
    assert_eq!(recipient.open(&alice, &bytes), Err(OpenError::BadSignature));
    assert!(recipient.epochs.is_empty());
}

/// Eve, who was written to by Alice and knows the chain, shows Diana Alice's opening.
#[test]
fn a_conversation_forwarded_to_somebody_else_is_refused() {
    let (alice, diana, eve) = (party(1), party(2), party(3));
    let to_eve = seal(&mut epoch(&alice, &eve, 7), &alice, &eve, 1);
    let stolen = Envelope::parse(&to_eve).unwrap();
    let start = stolen.prefix.len() - OPENING_LENGTH;
    let header = header(&alice, &diana, 1);
    let opening = &stolen.prefix[start..];
    let prefix = write_prefix(&header, &stolen.epoch, 0, Some(opening)).unwrap();
    let key = Zeroizing::new([1; 32]);
    let text = sealed::encode(&body("to you")).unwrap();
    let forged = sealed::seal(prefix, &key, &[0; NONCE_LENGTH], &text).unwrap();
    let mut recipient = Recipient::new(&diana);
    assert_eq!(recipient.open(&alice, &forged), Err(OpenError::UnknownKey));
    // Nor if Diana had the same prekey: HPKE's info names her.
    let expected = Expected {
        from: &alice.did,
        to: &diana.did,
        network: &network(),
    };
    let envelope = Envelope::parse(&forged).unwrap();
    let refused = Receiving::accept(&envelope, &eve.secret, &alice.verifying, &expected);
    assert_eq!(refused.err(), Some(OpenError::Undecryptable));
}

/// Eve passes Alice's sealed message on as her own; then she opens an epoch with Alice's id.
#[test]
fn a_conversation_under_another_name_is_refused() {
    let (alice, diana, eve) = (party(1), party(2), party(3));
    let mut sending = epoch(&alice, &diana, 7);
    let bytes = seal(&mut sending, &alice, &diana, 1);
    let mut recipient = Recipient::new(&diana);
    recipient.open(&alice, &bytes).unwrap();
    let taken = Envelope::parse(&bytes).unwrap();
    let opening = &taken.prefix[taken.prefix.len() - OPENING_LENGTH..];
    let hers = header(&eve, &diana, 1);
    let prefix = write_prefix(&hers, &taken.epoch, 0, Some(opening)).unwrap();
    let forged = [&prefix[..], &bytes[taken.prefix.len()..]].concat();
    assert_eq!(recipient.open(&eve, &forged), Err(OpenError::Undecryptable));
    // An epoch is known by its sender and its id: hers does not disturb his.
    let (opening, mut chain) = opening::make(
        &eve.did,
        &taken.epoch,
        &diana.prekey,
        &eve.signing,
        &mut TestRng::new(8),
    )
    .unwrap();
    let prefix = write_prefix(&hers, &taken.epoch, 0, Some(&opening)).unwrap();
    let text = sealed::encode(&body("mine")).unwrap();
    let key = chain.step().unwrap();
    let reused = sealed::seal(prefix, &key, &[0; NONCE_LENGTH], &text).unwrap();
    assert_eq!(recipient.open(&eve, &reused), Ok(body("mine")));
    let second = seal(&mut sending, &alice, &diana, 2);
    assert_eq!(recipient.open(&alice, &second), Ok(body("message 2")));
}

#[test]
fn a_message_of_one_conversation_does_not_open_in_another() {
    let (alice, diana) = (party(1), party(2));
    let (mut one, mut other) = (epoch(&alice, &diana, 7), epoch(&alice, &diana, 8));
    let mut recipient = Recipient::new(&diana);
    recipient
        .open(&alice, &seal(&mut one, &alice, &diana, 1))
        .unwrap();
    recipient
        .open(&alice, &seal(&mut other, &alice, &diana, 2))
        .unwrap();
    let bytes = seal(&mut one, &alice, &diana, 3);
    let at = 3 + usize::from(u16::from_be_bytes([bytes[1], bytes[2]]));
    let mut moved = bytes.clone();
    moved[at..at + 16].copy_from_slice(&other.id());
    assert_eq!(
        recipient.open(&alice, &moved),
        Err(OpenError::Undecryptable)
    );
    let mut unknown = bytes.clone();
    unknown[at] ^= 1;
    let refused = recipient.open(&alice, &unknown);
    assert!(refused.is_err());
    assert!(recipient.open(&alice, &bytes).is_ok());
}

/// An old epoch that was forgotten, played again after its prekey was destroyed.
#[test]
fn an_old_epoch_played_again_finds_no_key() {
    let (alice, mut diana) = (party(1), party(2));
    let mut sending = epoch(&alice, &diana, 7);
    let first = seal(&mut sending, &alice, &diana, 1);
    sending.acknowledged();
    let later = seal(&mut sending, &alice, &diana, 2);
    diana.prekey.kid = party(3).prekey.kid;
    let mut recipient = Recipient::new(&diana);
    assert_eq!(recipient.open(&alice, &first), Err(OpenError::UnknownKey));
    assert_eq!(recipient.open(&alice, &later), Err(OpenError::UnknownEpoch));
}

#[test]
fn a_commitment_to_another_key_is_refused_before_anything_is_decrypted() {
    let (alice, diana) = (party(1), party(2));
    let mut sending = epoch(&alice, &diana, 7);
    let mut recipient = Recipient::new(&diana);
    let one = seal(&mut sending, &alice, &diana, 1);
    let other = seal(&mut sending, &alice, &diana, 2);
    let at = Envelope::parse(&one).unwrap().prefix.len() + NONCE_LENGTH;
    let mut mixed = one.clone();
    mixed[at..at + COMMITMENT_LENGTH].copy_from_slice(&other[at..at + COMMITMENT_LENGTH]);
    assert_eq!(
        recipient.open(&alice, &mixed),
        Err(OpenError::Undecryptable)
    );
    assert!(recipient.open(&alice, &one).is_ok());
}

#[test]
fn a_body_that_is_none_and_padding_that_is_not_the_one_are_refused() {
    let key = Zeroizing::new([5; 32]);
    let (alice, diana) = (party(1), party(2));
    let prefix = || write_prefix(&header(&alice, &diana, 1), &[1; 16], 0, None).unwrap();
    let open = |bytes: &[u8]| sealed::open(&Envelope::parse(bytes).unwrap(), &key);
    let garbage = sealed::seal(prefix(), &key, &[0; NONCE_LENGTH], b"\xa1\x61x\x01").unwrap();
    assert_eq!(open(&garbage), Err(OpenError::BadBody));
    let text = sealed::encode(&body("hello")).unwrap();
    let good = sealed::seal(prefix(), &key, &[0; NONCE_LENGTH], &text).unwrap();
    assert_eq!(open(&good), Ok(body("hello")));
    let short = sealed::encode(&body("")).unwrap();
    for broken in [
        // A length that is larger than what follows, and one that leaves body in the padding.
        [&[0xff; 4][..], &short].concat(),
        [&short[..], &text].concat(),
    ] {
        let bytes = sealed::seal(prefix(), &key, &[0; NONCE_LENGTH], &broken).unwrap();
        assert!(open(&bytes).is_err());
    }
}

#[test]
fn an_epoch_seals_only_its_own_conversation_and_nothing_out_of_range() {
    let (alice, diana, eve) = (party(1), party(2), party(3));
    let mut sending = epoch(&alice, &diana, 7);
    let mut rng = TestRng::new(9);
    for wrong in [header(&alice, &eve, 1), header(&eve, &diana, 1)] {
        let refused = sending.seal(&wrong, &body("x"), &mut rng);
        assert_eq!(refused, Err(SealError::Epoch));
    }
    let right = header(&alice, &diana, 1);
    let bad = Body {
        priority: 9,
        ..body("x")
    };
    assert_eq!(sending.seal(&right, &bad, &mut rng), Err(SealError::Field));
    let overhead = body("").encode().unwrap().len() + 2; // a long text has a longer length
    let largest = body(&"x".repeat(MAX_BODY_LENGTH - overhead));
    let larger = body(&"x".repeat(MAX_BODY_LENGTH - overhead + 1));
    let refused = sending.seal(&right, &larger, &mut rng);
    assert_eq!(refused, Err(SealError::TooLarge));
    // No key was spent on any of them.
    let bytes = sending.seal(&right, &largest, &mut rng).unwrap();
    assert_eq!(Envelope::parse(&bytes).unwrap().index, 0);
    assert_eq!(Recipient::new(&diana).open(&alice, &bytes), Ok(largest));
}

#[test]
fn a_stored_epoch_reads_back_and_nothing_else_does() {
    let (alice, diana) = (party(1), party(2));
    let mut sending = epoch(&alice, &diana, 7);
    let mut recipient = Recipient::new(&diana);
    let sealed: Vec<_> = (0..6)
        .map(|n| seal(&mut sending, &alice, &diana, n))
        .collect();
    for number in [3, 1, 5] {
        recipient.open(&alice, &sealed[number]).unwrap();
    }
    let kept = recipient.epochs.values().next().unwrap().clone();
    let bytes = kept.to_bytes();
    assert!(Receiving::from_bytes(&bytes) == Some(kept));
    for length in 0..bytes.len() {
        let read = Receiving::from_bytes(&bytes[..length]);
        assert!(read.is_none() || (length - 35) % 34 == 0, "{length}");
    }
    let mut later = bytes.to_vec();
    later[0] = 2;
    assert!(Receiving::from_bytes(&later).is_none());
}

/// What an agent's storage holds at any moment, put back: every epoch it goes on with is new, so
/// no two ciphertexts are under one key. There is no way to write a test that goes on with an old
/// one, because `Sending` has no stored form.
#[test]
fn a_sender_restored_from_any_snapshot_never_uses_a_key_twice() {
    let (alice, diana) = (party(1), party(2));
    let (mut seen, mut nonces) = (BTreeSet::new(), BTreeSet::new());
    let mut rng = TestRng::new(77);
    let mut recipient = Recipient::new(&diana);
    for life in 0..20_u8 {
        // The same instant, the same prekey, the same numbering: what a snapshot brings back.
        let mut sending =
            Sending::open(&alice.did, &alice.signing, &diana.prekey, NOW, &mut rng).unwrap();
        for number in 0..life {
            let text = body(&format!("{life} {number}"));
            let bytes = sending
                .seal(&header(&alice, &diana, number), &text, &mut rng)
                .unwrap();
            let envelope = Envelope::parse(&bytes).unwrap();
            assert!(seen.insert((envelope.epoch, envelope.index)));
            assert!(nonces.insert(*envelope.nonce));
            assert_eq!(recipient.open(&alice, &bytes), Ok(text));
        }
    }
}

/// A recipient whose storage was put back steps over what it had opened since; one that lost the
/// epoch says so.
#[test]
fn a_recipient_restored_from_a_snapshot_goes_on_or_asks_for_a_new_epoch() {
    let (alice, diana) = (party(1), party(2));
    let mut sending = epoch(&alice, &diana, 7);
    let mut recipient = Recipient::new(&diana);
    recipient
        .open(&alice, &seal(&mut sending, &alice, &diana, 1))
        .unwrap();
    sending.acknowledged();
    let snapshot = recipient.epochs.clone();
    for number in 2..6 {
        recipient
            .open(&alice, &seal(&mut sending, &alice, &diana, number))
            .unwrap();
    }
    recipient.epochs = snapshot;
    let bytes = seal(&mut sending, &alice, &diana, 6);
    assert_eq!(recipient.open(&alice, &bytes), Ok(body("message 6")));
    recipient.epochs.clear();
    let bytes = seal(&mut sending, &alice, &diana, 7);
    assert_eq!(recipient.open(&alice, &bytes), Err(OpenError::UnknownEpoch));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_sealed_opens_the_same(text in ".{0,400}", index: u64, seed: u64, priority in 1u8..=5) {
        let (alice, diana) = (party(1), party(2));
        let header = Header { index, expires: None, ..header(&alice, &diana, 1) };
        let body = Body { priority, ..body(&text) };
        let bytes = epoch(&alice, &diana, seed).seal(&header, &body, &mut TestRng::new(seed)).unwrap();
        prop_assert_eq!(Recipient::new(&diana).open(&alice, &bytes), Ok(body));
    }

    /// Messages are lost, doubled and overtaken at will, and the sender hears of deliveries at
    /// any time; each that arrives opens exactly once, or its epoch is not known.
    #[test]
    fn any_loss_order_and_doubling_opens_each_at_most_once(
        order in proptest::collection::vec((0usize..40, any::<bool>()), 1..120),
        acknowledge_at in 1usize..40,
        store_often: bool,
    ) {
        let (alice, diana) = (party(1), party(2));
        let mut sending = epoch(&alice, &diana, 7);
        let mut recipient = Recipient::new(&diana);
        let mut sealed: Vec<Vec<u8>> = Vec::new();
        let mut opened = BTreeSet::new();
        let mut known = false;
        for number in 0..40_u8 {
            if usize::from(number) == acknowledge_at {
                // An acknowledgement means that something was delivered before.
                recipient.open(&alice, &sealed[0]).unwrap();
                opened.insert(0);
                known = true;
                sending.acknowledged();
            }
            sealed.push(seal(&mut sending, &alice, &diana, number));
        }
        for (place, lost) in order {
            if lost {
                continue;
            }
            if store_often {
                for epoch in recipient.epochs.values_mut() {
                    *epoch = Receiving::from_bytes(&epoch.to_bytes()).unwrap();
                }
            }
            let outcome = recipient.open(&alice, &sealed[place]);
            if opened.insert(place) {
                prop_assert!(known || place < acknowledge_at);
                prop_assert_eq!(outcome, Ok(body(&format!("message {place}"))));
                known = true;
            } else {
                prop_assert_eq!(outcome, Err(OpenError::UnknownEpoch));
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), good_suite: bool) {
        let mut bytes = bytes;
        if let Some(suite) = bytes.first_mut().filter(|_| good_suite) {
            *suite = SUITE;
        }
        prop_assert!(Envelope::parse(&bytes).is_err());
        let _ = Receiving::from_bytes(&bytes);
    }
}

/// A chain that begins anywhere, for the vectors.
pub(super) fn chain_of(
    secret: &KemSecret,
    envelope: &Envelope<'_>,
    from: &Party,
    to: &Party,
) -> Chain {
    let offered = envelope.opening.unwrap();
    let parties = opening::Parties {
        from: &from.did,
        to: &to.did,
        kid: offered.kid,
        epoch: &envelope.epoch,
    };
    opening::accept(&offered, &parties, secret, &from.verifying).unwrap()
}
