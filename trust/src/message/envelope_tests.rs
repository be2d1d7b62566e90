use entente_lexicon::{Content, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::crypto::multikey::kid;
use crate::crypto::test_rng::TestRng;

struct Party {
    did: Did,
    signing: SigningKey,
    verifying: VerifyingKey,
    secret: KemSecret,
    public: KemPublic,
    kid: String,
}

fn party(name: u8) -> Party {
    let mut rng = TestRng::new(u64::from(name));
    let signing = SigningKey::generate(&mut rng);
    let secret = KemSecret::generate(&mut rng);
    let public = secret.public();
    Party {
        did: Did::from_scid(&[name; 32]),
        verifying: signing.verifying_key(),
        kid: kid(&public.to_multikey()),
        signing,
        secret,
        public,
    }
}

fn network() -> Did {
    Did::from_scid(&[100; 32])
}

fn header(from: &Party, to: &Party) -> Header {
    Header {
        id: [7; 16],
        from: from.did.clone(),
        to: to.did.clone(),
        network: network(),
        index: 1,
        expires: Some(Timestamp(1_000_000)),
    }
}

fn body(text: &str) -> Body {
    Body {
        content: Content::Text {
            text: text.to_owned(),
        },
        thread: Some("t1".to_owned()),
        priority: 3,
        created_at: Timestamp(1_000),
    }
}

fn seal_from(from: &Party, to: &Party, body: &Body) -> Vec<u8> {
    let mut rng = TestRng::new(9);
    seal(
        &header(from, to),
        body,
        &from.signing,
        &to.public,
        &to.kid,
        &mut rng,
    )
    .unwrap()
}

fn open_as(to: &Party, from: &Party, bytes: &[u8]) -> Result<(Header, Body), OpenError> {
    let expected = Expected {
        from: &from.did,
        to: &to.did,
        network: &network(),
        kid: &to.kid,
    };
    open(bytes, &to.secret, &from.verifying, &expected)
}

#[test]
fn a_message_opens_for_its_recipient() {
    let (alice, diana) = (party(1), party(2));
    let bytes = seal_from(&alice, &diana, &body("hello"));
    let opened = open_as(&diana, &alice, &bytes).unwrap();
    assert_eq!(opened, (header(&alice, &diana), body("hello")));
    assert_eq!(Header::peek(&bytes), Ok(header(&alice, &diana)));
    assert_eq!(Envelope::parse(&bytes).unwrap().kid, diana.kid);
}

/// The wire form of suite 1, pinned: a change here is a new suite number.
#[test]
fn the_wire_form_of_suite_1_does_not_change() {
    let (alice, diana) = (party(1), party(2));
    let bytes = seal_from(&alice, &diana, &body("hello"));
    let hash = data_encoding::HEXLOWER.encode(&sha256(&[&bytes]));
    assert_eq!(bytes.len(), 1 + 2 + 207 + 16 + 1120 + 64 + 128 + 16);
    assert_eq!(
        hash,
        "202201805e682df8b3fb27f0fafa85f08b017a8f22c40fb66e1089c3d7a81de7"
    );
}

#[test]
fn the_text_is_not_in_the_envelope_and_near_lengths_look_alike() {
    let (alice, diana) = (party(1), party(2));
    let secret = "the plaintext nobody on the way may read";
    let bytes = seal_from(&alice, &diana, &body(secret));
    assert!(
        !bytes
            .windows(12)
            .any(|window| secret.as_bytes().starts_with(window))
    );
    let longer = seal_from(&alice, &diana, &body(&format!("{secret}!!")));
    assert_eq!(bytes.len(), longer.len());
}

#[test]
fn every_flipped_bit_of_the_clear_part_and_every_flipped_byte_is_refused() {
    let (alice, diana) = (party(1), party(2));
    let bytes = seal_from(&alice, &diana, &body("hello"));
    let clear = bytes.len() - 64 - 128 - TAG_LENGTH - CIPHERTEXT_LENGTH;
    for bit in 0..clear * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(open_as(&diana, &alice, &flipped).is_err(), "bit {bit}");
    }
    for (at, step) in (clear..bytes.len()).zip((0..8).cycle()) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << step;
        assert_eq!(
            open_as(&diana, &alice, &flipped),
            Err(OpenError::Undecryptable),
            "byte {at}"
        );
    }
}

#[test]
fn every_cut_and_every_addition_is_refused() {
    let (alice, diana) = (party(1), party(2));
    let bytes = seal_from(&alice, &diana, &body("hello"));
    for length in 0..bytes.len() {
        assert!(
            open_as(&diana, &alice, &bytes[..length]).is_err(),
            "{length}"
        );
    }
    for extra in [1, 16, 64, 128] {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + extra, 0);
        assert!(open_as(&diana, &alice, &longer).is_err(), "{extra}");
    }
}

#[test]
fn another_suite_is_named_and_refused() {
    let (alice, diana) = (party(1), party(2));
    let mut bytes = seal_from(&alice, &diana, &body("hello"));
    bytes[0] = 2;
    assert_eq!(
        open_as(&diana, &alice, &bytes),
        Err(OpenError::UnknownSuite(2))
    );
    assert_eq!(Header::peek(&bytes), Ok(header(&alice, &diana)));
    assert_eq!(Header::peek(&[]), Err(OpenError::Malformed));
}

#[test]
fn a_swapped_header_is_refused() {
    let (alice, diana) = (party(1), party(2));
    let bytes = seal_from(&alice, &diana, &body("hello"));
    let mut changed = header(&alice, &diana);
    changed.index = 2;
    let mut forged = vec![SUITE];
    let header_bytes = changed.encode().unwrap();
    forged.extend_from_slice(&u16::try_from(header_bytes.len()).unwrap().to_be_bytes());
    forged.extend_from_slice(&header_bytes);
    let original = header(&alice, &diana).encode().unwrap();
    forged.extend_from_slice(&bytes[3 + original.len()..]);
    assert_eq!(Header::peek(&forged), Ok(changed));
    assert_eq!(
        open_as(&diana, &alice, &forged),
        Err(OpenError::Undecryptable)
    );
}

#[test]
fn each_wrong_name_in_the_header_has_its_own_refusal() {
    let (alice, diana, eve) = (party(1), party(2), party(3));
    let bytes = seal_from(&alice, &diana, &body("hello"));
    let other = Did::from_scid(&[101; 32]);
    let expected = Expected {
        from: &alice.did,
        to: &diana.did,
        network: &network(),
        kid: &diana.kid,
    };
    for (changed, error) in [
        (
            Expected {
                from: &eve.did,
                ..expected
            },
            OpenError::WrongSender,
        ),
        (
            Expected {
                to: &eve.did,
                ..expected
            },
            OpenError::WrongRecipient,
        ),
        (
            Expected {
                network: &other,
                ..expected
            },
            OpenError::WrongNetwork,
        ),
        (
            Expected {
                kid: &eve.kid,
                ..expected
            },
            OpenError::UnknownKey,
        ),
    ] {
        let result = open(&bytes, &diana.secret, &alice.verifying, &changed);
        assert_eq!(result, Err(error));
    }
}

#[test]
fn another_recipients_key_does_not_decrypt() {
    let (alice, diana, eve) = (party(1), party(2), party(3));
    let bytes = seal_from(&alice, &diana, &body("hello"));
    let expected = Expected {
        from: &alice.did,
        to: &diana.did,
        network: &network(),
        kid: &diana.kid,
    };
    let result = open(&bytes, &eve.secret, &alice.verifying, &expected);
    assert_eq!(result, Err(OpenError::Undecryptable));
}

#[test]
fn a_message_signed_by_somebody_else_is_refused() {
    let (alice, diana, eve) = (party(1), party(2), party(3));
    let mut rng = TestRng::new(9);
    let claimed = header(&alice, &diana);
    let forged = seal(
        &claimed,
        &body("hi"),
        &eve.signing,
        &diana.public,
        &diana.kid,
        &mut rng,
    );
    let result = open_as(&diana, &alice, &forged.unwrap());
    assert_eq!(result, Err(OpenError::BadSignature));
}

/// Eve, who may open what Alice sent her, seals Alice's signed plaintext for Diana.
#[test]
fn a_message_forwarded_under_its_senders_name_is_refused() {
    let (alice, diana, eve) = (party(1), party(2), party(3));
    let bytes = seal_from(&alice, &eve, &body("hello"));
    let plaintext = decrypt(&Envelope::parse(&bytes).unwrap(), &eve.secret).unwrap();
    let forwarded = reseal(&header(&alice, &diana), &plaintext, &diana);
    assert_eq!(
        open_as(&diana, &alice, &forwarded),
        Err(OpenError::BadSignature)
    );
    // Nor does sealing it again under the very same header help: the encapsulation is signed.
    let replayed = reseal(&header(&alice, &eve), &plaintext, &eve);
    assert_eq!(
        open_as(&eve, &alice, &replayed),
        Err(OpenError::BadSignature)
    );
}

/// Eve passes on, as her own, what Alice signed.
#[test]
fn a_message_forwarded_under_another_name_is_refused() {
    let (alice, diana, eve) = (party(1), party(2), party(3));
    let bytes = seal_from(&alice, &eve, &body("hello"));
    let plaintext = decrypt(&Envelope::parse(&bytes).unwrap(), &eve.secret).unwrap();
    let stolen = reseal(&header(&eve, &diana), &plaintext, &diana);
    assert_eq!(open_as(&diana, &eve, &stolen), Err(OpenError::BadSignature));
    let hers = open(
        &stolen,
        &diana.secret,
        &alice.verifying,
        &Expected {
            from: &eve.did,
            to: &diana.did,
            network: &network(),
            kid: &diana.kid,
        },
    );
    assert_eq!(hers, Err(OpenError::BadSignature));
}

#[test]
fn padding_that_is_not_the_one_is_refused() {
    let (alice, diana) = (party(1), party(2));
    let header = header(&alice, &diana);
    let bytes = seal_from(&alice, &diana, &body("hello"));
    let plaintext = decrypt(&Envelope::parse(&bytes).unwrap(), &diana.secret).unwrap();
    let mut dirty = plaintext.to_vec();
    *dirty.last_mut().unwrap() = 1;
    let mut roomy = plaintext.to_vec();
    roomy.resize(roomy.len() + 64, 0);
    let mut long = plaintext.to_vec();
    long[SIGNATURE_LENGTH] = 0xff;
    for changed in [dirty, roomy, long] {
        let forged = reseal(&header, &changed, &diana);
        assert_eq!(
            open_as(&diana, &alice, &forged),
            Err(OpenError::Undecryptable)
        );
    }
}

#[test]
fn a_signed_body_that_is_none_is_refused() {
    let (alice, diana) = (party(1), party(2));
    let header = header(&alice, &diana);
    let garbage = b"\xa1\x61x\x01";
    let forged = reseal_signed(&header, &alice, garbage, &diana);
    assert_eq!(open_as(&diana, &alice, &forged), Err(OpenError::BadBody));
}

#[test]
fn the_largest_body_passes_and_one_byte_more_does_not() {
    let (alice, diana) = (party(1), party(2));
    let overhead = body("").encode().unwrap().len() + 2; // a long text has a longer length
    let largest = body(&"x".repeat(MAX_BODY_LENGTH - overhead));
    assert_eq!(largest.encode().unwrap().len(), MAX_BODY_LENGTH);
    let bytes = seal_from(&alice, &diana, &largest);
    assert_eq!(open_as(&diana, &alice, &bytes).unwrap().1, largest);
    let larger = body(&"x".repeat(MAX_BODY_LENGTH - overhead + 1));
    let refused = seal(
        &header(&alice, &diana),
        &larger,
        &alice.signing,
        &diana.public,
        &diana.kid,
        &mut TestRng::new(9),
    );
    assert_eq!(refused, Err(SealError::TooLarge));
}

#[test]
fn fields_out_of_range_are_not_sealed() {
    let (alice, diana) = (party(1), party(2));
    let bad = Body {
        priority: 9,
        ..body("x")
    };
    let mut rng = TestRng::new(9);
    let header = header(&alice, &diana);
    let refused = seal(
        &header,
        &bad,
        &alice.signing,
        &diana.public,
        &diana.kid,
        &mut rng,
    );
    assert_eq!(refused, Err(SealError::Field));
    let refused = seal(
        &header,
        &body("x"),
        &alice.signing,
        &diana.public,
        "kid",
        &mut rng,
    );
    assert_eq!(refused, Err(SealError::Field));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_is_sealed_opens_the_same(text in ".{0,400}", index: u64, seed: u64, priority in 1u8..=5) {
        let (alice, diana) = (party(1), party(2));
        let header = Header { index, expires: None, ..header(&alice, &diana) };
        let body = Body { priority, ..body(&text) };
        let mut rng = TestRng::new(seed);
        let bytes = seal(&header, &body, &alice.signing, &diana.public, &diana.kid, &mut rng).unwrap();
        prop_assert_eq!(open_as(&diana, &alice, &bytes), Ok((header, body)));
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
    }
}

/// Seals a chosen plaintext under a chosen header, as a cheat would.
fn reseal(header: &Header, plaintext: &[u8], to: &Party) -> Vec<u8> {
    reseal_with(header, to, |_enc, _header| plaintext.to_vec())
}

/// Seals a chosen body under a right signature.
fn reseal_signed(header: &Header, from: &Party, body: &[u8], to: &Party) -> Vec<u8> {
    reseal_with(header, to, |enc, header_bytes| {
        let input = signed(header, &to.kid, enc, header_bytes, body);
        let mut plaintext = from.signing.sign(&input.parts()).to_vec();
        plaintext.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
        plaintext.extend_from_slice(body);
        plaintext.resize(SIGNATURE_LENGTH + bucket(LENGTH_LENGTH + body.len()), 0);
        plaintext
    })
}

fn reseal_with(
    header: &Header,
    to: &Party,
    plaintext: impl FnOnce(&[u8], &[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let (enc, mut context) = hpke::setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeS::Base,
        to.public.hpke(),
        INFO,
        &mut TestRng::new(10),
    )
    .unwrap();
    let enc = enc.to_bytes();
    let header_bytes = header.encode().unwrap();
    let mut bytes = vec![SUITE];
    bytes.extend_from_slice(&u16::try_from(header_bytes.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&header_bytes);
    bytes.extend_from_slice(to.kid.as_bytes());
    let plaintext = plaintext(&enc, &header_bytes);
    let sealed = context.seal(&plaintext, &bytes).unwrap();
    bytes.extend_from_slice(&enc);
    bytes.extend_from_slice(&sealed);
    bytes
}
