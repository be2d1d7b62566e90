//! Everything sealed from fixed keys, byte for byte, as `docs/protocol/envelope.md` describes it
//! and `e2e/oracles/envelope.test.mjs` reads it. `UPDATE_GOLDEN=1` writes it anew: then it is
//! another format.

use data_encoding::HEXLOWER;
use entente_lexicon::Did;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::blob::{BlobEncoder, BlobReader, SEALED_CHUNK_LENGTH};
use super::share::{RecipientKey, RecipientSecret, Share};
use super::*;
use crate::crypto::dh::DhSecret;
use crate::crypto::hash::sha256;
use crate::crypto::kem::KemSecret;
use crate::crypto::multikey::kid;
use crate::crypto::sign::{SigningKey, VerifyingKey};
use crate::crypto::test_rng::TestRng;

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/protocol/vectors/envelope.json"
);
const FACT: &str = "agent.memory.fact";

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(text(value).as_bytes()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn owner() -> Did {
    Did::from_scid(&[1; 32])
}

fn at<'a>(owner: &'a Did, collection: &'a str, rkey: &'a str) -> Place<'a> {
    Place {
        owner,
        collection,
        rkey,
    }
}

/// The plaintext that is given by its length only: byte i is ⌊31·i / 7⌋ mod 251.
fn counted(size: u64) -> Vec<u8> {
    let byte = |at: u64| u8::try_from(at * 31 / 7 % 251).unwrap();
    (0..size).map(byte).collect()
}

fn common(dek: &Dek, place: &Place<'_>) -> Value {
    json!({
        "owner": place.owner,
        "collection": place.collection,
        "rkey": place.rkey,
        "dekId": hex(dek.id().as_bytes()),
        "dek": hex(dek.key()),
    })
}

fn with(mut value: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    value.as_object_mut().unwrap().extend(more);
    value
}

fn records() -> Vec<Value> {
    let owner = owner();
    let made = [
        ("empty", FACT, "a", 1, ""),
        (
            "short",
            FACT,
            "3l2c5jz2h2s2k",
            3,
            "the meeting is on Thursday",
        ),
        ("unicode", "agent.memory.note", "über", u64::MAX, "Grüße 👋"),
    ];
    (1..)
        .zip(made)
        .map(|(seed, (name, collection, rkey, version, text))| {
            let mut rng = TestRng::new(seed);
            let dek = Dek::generate(&mut rng);
            let place = at(&owner, collection, rkey);
            let envelope = record::seal(&dek, &place, version, text.as_bytes(), &mut rng);
            let more = json!({
                "name": name,
                // As text: JavaScript's numbers do not hold 64 bits.
                "version": version.to_string(),
                "plaintext": hex(text.as_bytes()),
                "envelope": hex(&envelope.unwrap()),
            });
            with(common(&dek, &place), more)
        })
        .collect()
}

fn wraps() -> Vec<Value> {
    let owner = owner();
    let mut rng = TestRng::new(20);
    let kek = Kek::generate(7, &mut rng);
    ["a", "b"]
        .map(|rkey| {
            let dek = Dek::generate(&mut rng);
            let place = at(&owner, FACT, rkey);
            let row = wrap::wrap(&kek, &place, &dek, &mut rng);
            let more = json!({ "epoch": 7, "kek": hex(kek.key()), "row": hex(&row) });
            with(common(&dek, &place), more)
        })
        .to_vec()
}

fn shares() -> Vec<Value> {
    let owner = owner();
    let recipient = Did::from_scid(&[2; 32]);
    let mut rng = TestRng::new(30);
    let signing = SigningKey::generate(&mut rng);
    let hybrid = KemSecret::generate(&mut rng);
    let classical = DhSecret::generate(&mut rng);
    let (strong, weak) = (hybrid.public(), classical.public());
    let keys = [
        (
            "X-Wing",
            RecipientKey::Hybrid(&strong),
            hybrid.seed(),
            strong.to_multikey(),
        ),
        (
            "X25519",
            RecipientKey::Classical(&weak),
            classical.seed(),
            weak.to_multikey(),
        ),
    ];
    keys.map(|(kem, key, seed, multikey)| {
        let dek = Dek::generate(&mut rng);
        let place = at(&owner, FACT, "a");
        let row = share::make(&place, &dek, &signing, &recipient, key, &mut rng).unwrap();
        let more = json!({
            "kem": kem,
            "ownerKey": hex(&signing.verifying_key().to_bytes()),
            "ownerKid": kid(&signing.verifying_key().to_multikey()),
            "recipient": recipient,
            "recipientKid": kid(&multikey),
            "recipientSeed": hex(&*seed),
            "row": hex(&row),
        });
        with(common(&dek, &place), more)
    })
    .to_vec()
}

fn blobs() -> Vec<Value> {
    let owner = owner();
    [
        ("empty", 0),
        ("short", 20),
        ("one full chunk", 65_536),
        ("chunks", 4 * 65_536 + 9),
    ]
    .map(|(name, size)| {
        let mut rng = TestRng::new(40 + size);
        let dek = Dek::generate(&mut rng);
        let place = at(&owner, "agent.memory.blob", "a");
        let mut encoder = BlobEncoder::begin(&dek, &place, &mut rng);
        let header = hex(encoder.header());
        let mut body = Vec::new();
        encoder.push(&counted(size), &mut body).unwrap();
        assert_eq!(encoder.finish(&mut body), Ok(size));
        let more = json!({
            "name": name,
            "size": size,
            "header": header,
            "bodyLength": body.len(),
            "bodySha256": hex(&sha256(&[&body])),
            "body": if body.len() < 100 { json!(hex(&body)) } else { Value::Null },
        });
        with(common(&dek, &place), more)
    })
    .to_vec()
}

fn edited(hexed: &Value, edit: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut changed = bytes(hexed);
    edit(&mut changed);
    json!(hex(&changed))
}

fn bad_records(records: &[Value]) -> Vec<Value> {
    let good = &records[1];
    let sealed = &good["envelope"];
    let cases = [
        (
            "swapped ciphertexts",
            json!({ "envelope": records[2]["envelope"] }),
        ),
        ("moved to another key", json!({ "rkey": "b" })),
        (
            "moved to another collection",
            json!({ "collection": "agent.memory.note" }),
        ),
        (
            "of another owner",
            json!({ "owner": Did::from_scid(&[3; 32]) }),
        ),
        (
            "under another DEK id",
            json!({ "dekId": records[0]["dekId"] }),
        ),
        ("older version", json!({ "version": "4" })),
        (
            "truncated",
            json!({ "envelope": edited(sealed, |e| e.truncate(e.len() - 1)) }),
        ),
        (
            "cut to a header",
            json!({ "envelope": edited(sealed, |e| e.truncate(77)) }),
        ),
        (
            "extended",
            json!({ "envelope": edited(sealed, |e| e.push(0)) }),
        ),
        (
            "unknown suite",
            json!({ "envelope": edited(sealed, |e| e[4] = 2) }),
        ),
        ("flags", json!({ "envelope": edited(sealed, |e| e[5] = 1) })),
        (
            "another magic",
            json!({ "envelope": edited(sealed, |e| e[3] = b'2') }),
        ),
        (
            "commitment changed",
            json!({ "envelope": edited(sealed, |e| e[30] ^= 1) }),
        ),
        (
            "ciphertext changed",
            json!({ "envelope": edited(sealed, |e| e[62] ^= 1) }),
        ),
    ];
    invalid(good, cases, |case| opens_record(case).map(|_plaintext| ()))
}

fn bad_wraps(wraps: &[Value]) -> Vec<Value> {
    let good = &wraps[0];
    let row = &good["row"];
    let cases = [
        (
            "moved from another record",
            json!({ "row": wraps[1]["row"] }),
        ),
        (
            "moved with its DEK id",
            json!({ "row": wraps[1]["row"], "dekId": wraps[1]["dekId"] }),
        ),
        ("another DEK id", json!({ "dekId": wraps[1]["dekId"] })),
        (
            "truncated",
            json!({ "row": edited(row, |r| r.truncate(76)) }),
        ),
        ("extended", json!({ "row": edited(row, |r| r.push(0)) })),
        (
            "unknown version",
            json!({ "row": edited(row, |r| r[0] = 2) }),
        ),
        ("another epoch", json!({ "row": edited(row, |r| r[4] = 8) })),
        ("changed", json!({ "row": edited(row, |r| r[76] ^= 1) })),
    ];
    invalid(good, cases, |case| opens_wrap(case).map(|_dek| ()))
}

fn bad_shares(shares: &[Value]) -> Vec<Value> {
    let mut found = Vec::new();
    for good in shares {
        let row = &good["row"];
        let cases = [
            (
                "wrong recipient key",
                json!({ "recipientKid": good["ownerKid"] }),
            ),
            (
                "wrong recipient",
                json!({ "recipient": Did::from_scid(&[3; 32]) }),
            ),
            ("moved to another record", json!({ "rkey": "b" })),
            (
                "of another owner",
                json!({ "owner": Did::from_scid(&[3; 32]) }),
            ),
            (
                "truncated",
                json!({ "row": edited(row, |r| r.truncate(r.len() - 1)) }),
            ),
            ("extended", json!({ "row": edited(row, |r| r.push(0)) })),
            (
                "unknown version",
                json!({ "row": edited(row, |r| r[0] = 2) }),
            ),
            ("unknown KEM", json!({ "row": edited(row, |r| r[1] = 3) })),
            (
                "encapsulation changed",
                json!({ "row": edited(row, |r| r[40] ^= 1) }),
            ),
            (
                "signature changed",
                json!({ "row": edited(row, |r| *r.last_mut().unwrap() ^= 1) }),
            ),
        ];
        found.extend(invalid(good, cases, |case| {
            opens_share(case).map(|_dek| ())
        }));
    }
    found
}

/// Bodies are given as the order of the chunks of the last blob, how many bytes are cut off its
/// end, and what is put there.
fn bad_blobs(blobs: &[Value]) -> Vec<Value> {
    let good = &blobs[3];
    let cases = [
        ("chunk dropped", json!({ "chunks": [0, 2, 3, 4] })),
        ("chunk doubled", json!({ "chunks": [0, 1, 1, 2, 3, 4] })),
        ("chunks reordered", json!({ "chunks": [0, 2, 1, 3, 4] })),
        ("last chunk dropped", json!({ "chunks": [0, 1, 2, 3] })),
        ("truncated", json!({ "chunks": [0, 1, 2, 3, 4], "cut": 1 })),
        (
            "extended",
            json!({ "chunks": [0, 1, 2, 3, 4], "append": "00" }),
        ),
        (
            "header of another blob",
            json!({ "chunks": [0, 1, 2, 3, 4], "header": blobs[1]["header"] }),
        ),
        (
            "moved to another record",
            json!({ "chunks": [0, 1, 2, 3, 4], "rkey": "b" }),
        ),
        (
            "unknown suite",
            json!({ "chunks": [0, 1, 2, 3, 4], "header": edited(&good["header"], |h| h[4] = 1) }),
        ),
        (
            "header truncated",
            json!({ "chunks": [0, 1, 2, 3, 4], "header": edited(&good["header"], |h| h.truncate(61)) }),
        ),
    ];
    let body = body(good);
    invalid(good, cases, |case| opens_edited_blob(case, &body))
}

fn invalid<const N: usize>(
    good: &Value,
    cases: [(&str, Value); N],
    open: impl Fn(&Value) -> Result<(), MemoryError>,
) -> Vec<Value> {
    cases
        .map(|(name, changes)| {
            let case = with(with(good.clone(), changes), json!({ "name": name }));
            let code = open(&case).expect_err(name).code();
            with(case, json!({ "code": code }))
        })
        .to_vec()
}

fn dek_of(case: &Value) -> Dek {
    let id = DekId::from_bytes(bytes(&case["dekId"]).try_into().unwrap());
    Dek::from_parts(id, Zeroizing::new(bytes(&case["dek"]).try_into().unwrap()))
}

fn placed<T>(case: &Value, work: impl FnOnce(&Place<'_>) -> T) -> T {
    let owner = Did::parse(text(&case["owner"])).unwrap();
    work(&at(&owner, text(&case["collection"]), text(&case["rkey"])))
}

fn opens_record(case: &Value) -> Result<Zeroizing<Vec<u8>>, MemoryError> {
    let version = text(&case["version"]).parse().unwrap();
    placed(case, |place| {
        record::open(&dek_of(case), place, version, &bytes(&case["envelope"]))
    })
}

fn opens_wrap(case: &Value) -> Result<Dek, MemoryError> {
    // The vectors' KEK is the only thing drawn from this generator before the rows.
    let kek = Kek::generate(7, &mut TestRng::new(20));
    assert_eq!(hex(kek.key()), text(&case["kek"]));
    let keks = KekRing::new(kek, []);
    placed(case, |place| {
        wrap::unwrap(&keks, place, dek_of(case).id(), &bytes(&case["row"]))
    })
}

fn opens_share(case: &Value) -> Result<Dek, MemoryError> {
    let seed: [u8; 32] = bytes(&case["recipientSeed"]).try_into().unwrap();
    let owner = VerifyingKey::from_bytes(&bytes(&case["ownerKey"])).unwrap();
    let recipient = Did::parse(text(&case["recipient"])).unwrap();
    let (hybrid, classical) = (KemSecret::from_seed(&seed), DhSecret::from_seed(&seed));
    let secret = match text(&case["kem"]) {
        "X-Wing" => RecipientSecret::Hybrid(&hybrid),
        _ => RecipientSecret::Classical(&classical),
    };
    placed(case, |place| {
        let share = Share {
            place: *place,
            recipient: &recipient,
            dek: dek_of(case).id(),
        };
        share.open(
            &bytes(&case["row"]),
            &owner,
            text(&case["recipientKid"]),
            secret,
        )
    })
}

fn body(blob: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    let size = blob["size"].as_u64().unwrap();
    placed(blob, |place| {
        let mut rng = TestRng::new(40 + size);
        let dek = Dek::generate(&mut rng);
        let mut encoder = BlobEncoder::begin(&dek, place, &mut rng);
        encoder.push(&counted(size), &mut body).unwrap();
        encoder.finish(&mut body).unwrap();
    });
    body
}

fn opens_blob(case: &Value, body: &[u8]) -> Result<Vec<u8>, MemoryError> {
    let size = case["size"].as_u64().unwrap();
    let reader = placed(case, |place| {
        BlobReader::open(&dek_of(case), place, &bytes(&case["header"]), size)
    })?;
    let mut decoder = reader.decoder(body.len() as u64);
    let mut out = Vec::new();
    decoder.push(body, &mut out)?;
    decoder.finish(&mut out)?;
    Ok(out)
}

fn opens_edited_blob(case: &Value, body: &[u8]) -> Result<(), MemoryError> {
    let all: Vec<_> = body.chunks(SEALED_CHUNK_LENGTH).collect();
    let order = case["chunks"].as_array().unwrap().iter();
    let order = order.map(|at| all[usize::try_from(at.as_u64().unwrap()).unwrap()]);
    let mut edited = order.collect::<Vec<_>>().concat();
    let cut = usize::try_from(case["cut"].as_u64().unwrap_or(0)).unwrap();
    edited.truncate(edited.len() - cut);
    if case["append"].is_string() {
        edited.extend_from_slice(&bytes(&case["append"]));
    }
    opens_blob(case, &edited).map(|_plaintext| ())
}

fn made() -> Value {
    let (records, wraps, shares, blobs) = (records(), wraps(), shares(), blobs());
    json!({
        "invalid": {
            "records": bad_records(&records),
            "wraps": bad_wraps(&wraps),
            "shares": bad_shares(&shares),
            "blobs": bad_blobs(&blobs),
        },
        "records": records,
        "wraps": wraps,
        "shares": shares,
        "blobs": blobs,
    })
}

#[test]
fn the_stored_form_of_memory_does_not_change() {
    let text = serde_json::to_string_pretty(&made()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    let stored = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        stored == text,
        "the format changed: old memory could not be read"
    );
}

#[test]
fn everything_stored_opens_and_nothing_invalid_does() {
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    let each = |value: &Value| value.as_array().unwrap().clone();
    for case in each(&stored["records"]) {
        assert_eq!(**opens_record(&case).unwrap(), bytes(&case["plaintext"]));
    }
    for case in each(&stored["wraps"]) {
        assert_eq!(opens_wrap(&case).unwrap().key()[..], bytes(&case["dek"]));
    }
    for case in each(&stored["shares"]) {
        assert_eq!(opens_share(&case).unwrap().key()[..], bytes(&case["dek"]));
    }
    for case in each(&stored["blobs"]) {
        let opened = opens_blob(&case, &body(&case)).unwrap();
        assert_eq!(opened, counted(case["size"].as_u64().unwrap()));
    }
    let mut codes = std::collections::BTreeSet::new();
    let mut refuse = |case: &Value, outcome: Result<(), MemoryError>| {
        let code = outcome.expect_err(text(&case["name"])).code();
        assert_eq!(code, text(&case["code"]));
        codes.insert(code);
    };
    for case in each(&stored["invalid"]["records"]) {
        refuse(&case, opens_record(&case).map(|_| ()));
    }
    for case in each(&stored["invalid"]["wraps"]) {
        refuse(&case, opens_wrap(&case).map(|_| ()));
    }
    for case in each(&stored["invalid"]["shares"]) {
        refuse(&case, opens_share(&case).map(|_| ()));
    }
    let whole = body(&stored["blobs"][3]);
    for case in each(&stored["invalid"]["blobs"]) {
        refuse(&case, opens_edited_blob(&case, &whole));
    }
    assert!(codes.len() >= 20, "{codes:?}");
}
