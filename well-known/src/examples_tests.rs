//! The examples in `valid/` and `invalid/`: made here, compared with the files, and judged.
//!
//! `ENTENTE_WRITE_EXAMPLES=1 cargo test -p entente-well-known` writes the files anew.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use entente_lexicon::{AgentName, Did, Host, Timestamp, TrustLevel};
use entente_trust::crypto::hash::sha256;
use entente_trust::crypto::multikey::kid;
use entente_trust::crypto::secp256k1;
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::identity::{
    Birth, IdentityKeys, Log, LogError, Rotation, Subject, birth, rotate,
};
use entente_trust::proof::{self, PROOF, Signer};
use proptest::prelude::*;
use rand_core::{TryCryptoRng, TryRng};
use serde_json::{Map, Value, json};

use crate::card::{self, AgentCard, CardError, NETWORK_PROOF};
use crate::document::{self, DocumentError, Federation, NetworkDocument, Profile};
use crate::strict::StrictError;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

struct TestRng(u64, u64);

impl TryRng for TestRng {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("keys draw bytes")
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("keys draw bytes")
    }
    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        for chunk in target.chunks_mut(32) {
            self.1 += 1;
            let block = sha256(&[&self.0.to_be_bytes(), &self.1.to_be_bytes()]);
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for TestRng {}

fn host(name: &str) -> Host {
    Host::parse(name).unwrap()
}

fn network(seed: u64, name: &str) -> Birth {
    let subject = Subject::Network { host: host(name) };
    let recovery = SigningKey::from_seed(&[9; 32]).verifying_key();
    let rng = &mut TestRng(seed, 0);
    birth(rng, subject, "relay-object", NOW, Some(&recovery)).unwrap()
}

fn alpha() -> Birth {
    network(1, "alpha.example")
}

fn beta() -> Birth {
    network(2, "beta.example")
}

fn alice() -> Birth {
    let network = alpha().did;
    birth(
        &mut TestRng(3, 0),
        Subject::Agent { network },
        "agent-object",
        NOW,
        None,
    )
    .unwrap()
}

fn repo_key() -> secp256k1::VerifyingKey {
    let key = secp256k1::SigningKey::from_seed(&[5; 32]).unwrap();
    key.verifying_key()
}

fn log(birth: &Birth) -> Log {
    Log::begin(birth.entry.clone()).unwrap()
}

fn signing_text(keys: &IdentityKeys) -> String {
    keys.signing.verifying_key().to_multikey()
}

/// The identity after its first rotation.
fn rotated(birth: &Birth) -> Rotation {
    let later = Timestamp(NOW.0 + 1_000);
    let update = &birth.keys.next_update;
    rotate(&mut TestRng(50, 0), &log(birth), update, later).unwrap()
}

fn rotated_text() -> String {
    let (alpha, new) = (alpha(), rotated(&alpha()));
    let keys = new.keys.public_keys().view();
    let profile = profile("alpha.example", true);
    let retired = [signing_text(&alpha.keys)];
    NetworkDocument::build(&profile, &new.log, &keys, &retired)
        .and_then(|document| document.sign(&new.keys.signing, NOW))
        .unwrap()
        .text
}

fn rotated_card() -> AgentCard {
    let (alpha, alice) = (alpha(), alice());
    let new = rotated(&alice);
    let keys = new.keys.public_keys().view();
    let name = AgentName::parse("alice").unwrap();
    let retired = [signing_text(&alice.keys)];
    AgentCard::build_unsigned(
        &name,
        &host("alpha.example"),
        (&keys, &repo_key()),
        &retired,
        &new.log,
    )
    .and_then(|card| card.sign_agent(&new.keys.signing, NOW))
    .and_then(|card| card.countersign(&alpha.keys.signing, NOW))
    .unwrap()
}

fn profile(name: &str, secure: bool) -> Profile {
    Profile {
        host: host(name),
        name: "alpha".to_owned(),
        secure,
        federation: Federation {
            allow_inbound: true,
            allow_outbound: true,
            trust_level: TrustLevel::Allowlist,
        },
        software_version: "0.1.0".to_owned(),
    }
}

fn build(birth: &Birth, profile: &Profile) -> NetworkDocument {
    let keys = birth.keys.public_keys().view();
    NetworkDocument::build(profile, &log(birth), &keys, &[]).unwrap()
}

fn members(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap()
}

fn alpha_text() -> String {
    let alpha = alpha();
    let document = build(&alpha, &profile("alpha.example", true));
    document.sign(&alpha.keys.signing, NOW).unwrap().text
}

fn alice_card() -> AgentCard {
    let (alpha, alice) = (alpha(), alice());
    let keys = alice.keys.public_keys().view();
    let name = AgentName::parse("alice").unwrap();
    AgentCard::build_unsigned(
        &name,
        &host("alpha.example"),
        (&keys, &repo_key()),
        &[],
        &log(&alice),
    )
    .and_then(|card| card.sign_agent(&alice.keys.signing, NOW))
    .and_then(|card| card.countersign(&alpha.keys.signing, NOW))
    .unwrap()
}

fn pretty(members: &Map<String, Value>) -> String {
    serde_json::to_string_pretty(members).unwrap()
}

/// Signs anew whatever was changed: the cheat holds the key.
fn resign(members: &mut Map<String, Value>, name: &str, did: &Did, key: &SigningKey) {
    let kid = kid(&key.verifying_key().to_multikey());
    let signer = Signer {
        did,
        kid: &kid,
        key,
    };
    proof::attach(members, name, &signer, NOW).unwrap();
}

fn document_with(change: impl FnOnce(&mut Map<String, Value>)) -> String {
    let alpha = alpha();
    let mut members = members(&alpha_text());
    change(&mut members);
    resign(&mut members, PROOF, &alpha.did, &alpha.keys.signing);
    pretty(&members)
}

fn card_with(change: impl FnOnce(&mut Map<String, Value>)) -> String {
    let (alpha, alice) = (alpha(), alice());
    let mut members = members(&alice_card().to_text());
    change(&mut members);
    members.remove(NETWORK_PROOF);
    resign(&mut members, PROOF, &alice.did, &alice.keys.signing);
    resign(&mut members, NETWORK_PROOF, &alpha.did, &alpha.keys.signing);
    pretty(&members)
}

fn invalid_documents() -> Vec<(&'static str, String, DocumentError)> {
    [
        documents_with_bad_signatures(),
        documents_with_bad_text(),
        documents_of_others(),
        documents_with_bad_keys(),
    ]
    .concat()
}

fn documents_with_bad_signatures() -> Vec<(&'static str, String, DocumentError)> {
    let (alpha, beta) = (alpha(), beta());
    let signed = members(&alpha_text());
    let mut unsigned = signed.clone();
    unsigned.remove(PROOF);
    let mut tampered = signed.clone();
    tampered["federation"]["trustLevel"] = json!("open");
    let mut by_another = signed.clone();
    resign(&mut by_another, PROOF, &alpha.did, &beta.keys.signing);
    let mut forged = by_another.clone();
    forged[PROOF]["verificationMethod"] = signed[PROOF]["verificationMethod"].clone();
    vec![
        (
            "document-unsigned",
            pretty(&unsigned),
            DocumentError::Unsigned,
        ),
        (
            "document-tampered",
            pretty(&tampered),
            DocumentError::BadSignature,
        ),
        (
            "document-signed-by-another-key",
            pretty(&by_another),
            DocumentError::WrongKey,
        ),
        (
            "document-signature-forged",
            pretty(&forged),
            DocumentError::BadSignature,
        ),
    ]
}

fn documents_with_bad_text() -> Vec<(&'static str, String, DocumentError)> {
    let text = alpha_text();
    let padding = "x".repeat(64 * 1024);
    vec![
        (
            "document-over-64-kib",
            document_with(|members| {
                members.insert("padding".to_owned(), json!(padding));
            }),
            DocumentError::Text(StrictError::TooLong),
        ),
        (
            "document-duplicate-key",
            text.replacen('{', "{\n  \"did\": \"did:cf:other\",", 1),
            DocumentError::Text(StrictError::DuplicateKey("did".to_owned())),
        ),
        (
            "document-large-integer",
            text.replacen('{', "{\n  \"a\": 9007199254740993,", 1),
            DocumentError::Text(StrictError::LargeInteger),
        ),
        (
            "document-not-json",
            text[..text.len() / 2].to_owned(),
            DocumentError::Text(StrictError::NotAnObject),
        ),
        (
            "document-unknown-version",
            document_with(|members| members["version"] = json!(2)),
            DocumentError::UnknownVersion,
        ),
        (
            "document-unknown-level",
            document_with(|members| members["federation"]["trustLevel"] = json!("friendly")),
            DocumentError::Malformed,
        ),
        (
            "document-seed-field-missing",
            document_with(|members| {
                members.remove("relay");
            }),
            DocumentError::Malformed,
        ),
    ]
}

fn documents_of_others() -> Vec<(&'static str, String, DocumentError)> {
    let beta = beta();
    let of_beta = build(&beta, &profile("beta.example", true));
    let of_beta = of_beta.sign(&beta.keys.signing, NOW).unwrap().text;
    vec![
        (
            "document-of-another-host",
            of_beta,
            DocumentError::WrongHost,
        ),
        (
            "document-claims-another-host",
            document_with(|members| {
                members["hosts"] = json!(["alpha.example", "bank.example"]);
            }),
            DocumentError::WrongHost,
        ),
        (
            "document-did-not-matching-log",
            document_with(|members| members["did"] = json!(beta.did)),
            DocumentError::WrongDid,
        ),
        (
            "document-log-head-wrong",
            document_with(|members| members["log"] = json!("aaaa")),
            DocumentError::LogForked,
        ),
        (
            "document-log-entry-changed",
            document_with(|members| members["log0"]["object"] = json!("another")),
            DocumentError::Log(LogError::BadSignature),
        ),
        (
            "document-log-entry-of-another",
            document_with(|members| {
                members["log0"] = serde_json::to_value(&beta.entry).unwrap();
            }),
            DocumentError::WrongDid,
        ),
    ]
}

fn documents_with_bad_keys() -> Vec<(&'static str, String, DocumentError)> {
    let beta_keys = serde_json::to_value(beta().keys.public_keys().view()).unwrap();
    vec![
        (
            "document-key-not-in-log",
            document_with(|members| {
                members["publicKey"] = beta_keys["signing"].clone();
                members["keys"]["signing"][0]["publicKeyMultibase"] = beta_keys["signing"].clone();
            }),
            DocumentError::WrongKey,
        ),
        (
            "document-public-key-differs",
            document_with(|members| members["publicKey"] = beta_keys["signing"].clone()),
            DocumentError::WrongKey,
        ),
        (
            "document-kid-wrong",
            document_with(|members| {
                members["keys"]["hybrid"][0]["kid"] = json!("aaaaaaaaaaaaaaaa")
            }),
            DocumentError::WrongKey,
        ),
        (
            "document-relay-elsewhere",
            document_with(|members| members["relay"] = json!("wss://beta.example/relay")),
            DocumentError::WrongRelay,
        ),
        (
            "document-relay-without-tls",
            document_with(|members| members["relay"] = json!("ws://alpha.example/relay")),
            DocumentError::WrongRelay,
        ),
    ]
}

fn invalid_cards() -> Vec<(&'static str, String, CardError)> {
    [cards_with_bad_signatures(), cards_with_bad_members()].concat()
}

fn cards_with_bad_signatures() -> Vec<(&'static str, String, CardError)> {
    let (alice, beta) = (alice(), beta());
    let signed = members(&alice_card().to_text());
    let without = |member: &str| {
        let mut members = signed.clone();
        members.remove(member);
        pretty(&members)
    };
    let mut renamed = signed.clone();
    renamed["name"] = json!("bob");
    let mut bad_countersignature = signed.clone();
    bad_countersignature[NETWORK_PROOF]["created"] = json!("2020-01-01T00:00:00.000Z");
    let mut by_beta = signed.clone();
    resign(&mut by_beta, NETWORK_PROOF, &beta.did, &beta.keys.signing);
    let mut agent_signed_by_beta = signed.clone();
    resign(
        &mut agent_signed_by_beta,
        PROOF,
        &alice.did,
        &beta.keys.signing,
    );
    vec![
        ("card-unsigned", without(PROOF), CardError::Unsigned),
        (
            "card-not-countersigned",
            without(NETWORK_PROOF),
            CardError::NotCountersigned,
        ),
        ("card-renamed", pretty(&renamed), CardError::BadSignature),
        (
            "card-countersignature-changed",
            pretty(&bad_countersignature),
            CardError::BadCountersignature,
        ),
        (
            "card-countersigned-by-another-network",
            pretty(&by_beta),
            CardError::BadCountersignature,
        ),
        (
            "card-signed-by-another-key",
            pretty(&agent_signed_by_beta),
            CardError::WrongKey,
        ),
    ]
}

fn cards_with_bad_members() -> Vec<(&'static str, String, CardError)> {
    let text = pretty(&members(&alice_card().to_text()));
    let beta = beta();
    let beta_keys = serde_json::to_value(beta.keys.public_keys().view()).unwrap();
    vec![
        (
            "card-duplicate-key",
            text.replacen('{', "{\n  \"name\": \"bob\",", 1),
            CardError::Text(StrictError::DuplicateKey("name".to_owned())),
        ),
        (
            "card-did-not-matching-log",
            card_with(|members| members["did"] = json!(beta.did)),
            CardError::WrongDid,
        ),
        (
            "card-of-another-network",
            card_with(|members| members["network"] = json!(beta.did)),
            CardError::WrongNetwork,
        ),
        (
            "card-of-another-host",
            card_with(|members| members["host"] = json!("beta.example")),
            CardError::WrongHost,
        ),
        (
            "card-hybrid-key-substituted",
            card_with(|members| members["keys"]["hybrid"] = beta_keys["hybrid"].clone()),
            CardError::WrongKey,
        ),
        (
            "card-repo-key-of-another-algorithm",
            card_with(|members| members["repoKey"] = members["keys"]["signing"].clone()),
            CardError::Malformed,
        ),
        (
            "card-log-entry-changed",
            card_with(|members| members["log0"]["object"] = json!("another")),
            CardError::Log(LogError::BadSignature),
        ),
        (
            "card-name-not-a-label",
            card_with(|members| members["name"] = json!("Al Ice")),
            CardError::Malformed,
        ),
        (
            "card-unknown-version",
            card_with(|members| members["version"] = json!(2)),
            CardError::UnknownVersion,
        ),
    ]
}

fn valid_examples() -> Vec<(&'static str, String)> {
    let local = network(4, "localhost:8701");
    let local = build(&local, &profile("localhost:8701", false))
        .sign(&local.keys.signing, NOW)
        .unwrap();
    let extended = document_with(|members| {
        members.insert("laterAddition".to_owned(), json!({"signed": true}));
    });
    vec![
        ("document", alpha_text()),
        ("document-development", local.text),
        ("document-with-unknown-member", extended),
        ("document-rotated", rotated_text()),
        ("card", pretty(&members(&alice_card().to_text()))),
        ("card-rotated", pretty(&members(&rotated_card().to_text()))),
    ]
}

fn network_keys(birth: &Birth) -> BTreeMap<String, VerifyingKey> {
    let key = birth.keys.signing.verifying_key();
    BTreeMap::from([(kid(&key.to_multikey()), key)])
}

fn verify_card(text: &str) -> Result<card::VerifiedCard, CardError> {
    let alpha = alpha();
    card::verify(
        text,
        &alpha.did,
        &network_keys(&alpha),
        &host("alpha.example"),
        None,
    )
}

/// Holds the files of a folder against the texts made here, or writes them.
fn check_files(folder: &str, examples: &[(&str, String)]) {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    if std::env::var_os("ENTENTE_WRITE_EXAMPLES").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in examples {
            fs::write(folder.join(format!("{name}.json")), text).unwrap();
        }
    }
    let mut files: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut expected: Vec<String> = examples
        .iter()
        .map(|(name, _)| format!("{name}.json"))
        .collect();
    expected.sort();
    assert_eq!(files, expected);
    for (name, text) in examples {
        let file = fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        assert!(
            file == *text,
            "{name}.json is not what the code makes; see this file's head"
        );
    }
}

#[test]
fn the_valid_examples_hold() {
    let examples = valid_examples();
    check_files("valid", &examples);
    for (name, text) in examples {
        match name {
            "card" => {
                let card = verify_card(&text).unwrap();
                assert_eq!(card.did, alice().did);
                assert_eq!(card.keys, alice().keys.public_keys());
                assert_eq!(card.name.as_str(), "alice");
            }
            "card-rotated" => assert_rotated_card(&text),
            "document-rotated" => assert_rotated_document(&text),
            "document-development" => {
                let document = document::verify(&text, &host("localhost:8701"), None).unwrap();
                assert_eq!(document.relay, "ws://localhost:8701/relay");
            }
            _ => {
                let document = document::verify(&text, &host("alpha.example"), None).unwrap();
                assert_eq!(document.did, alpha().did);
                assert_eq!(document.keys, network_keys(&alpha()));
                assert_eq!(document.hash, sha256(&[text.as_bytes()]));
                assert_eq!(document.relay, "wss://alpha.example/relay");
                assert_eq!(document.trust_level, TrustLevel::Allowlist);
            }
        }
    }
}

fn assert_rotated_document(text: &str) {
    let (alpha, new, host) = (alpha(), rotated(&alpha()), host("alpha.example"));
    let document = document::verify(text, &host, Some(&new.log)).unwrap();
    assert_eq!(document.did, alpha.did);
    assert_eq!(document.public_keys, new.keys.public_keys().view());
    let [retired] = document.retired.as_slice() else {
        panic!("one key was retired")
    };
    assert_eq!(retired.key, alpha.keys.signing.verifying_key());
    assert_eq!((retired.from, retired.until), (NOW, new.log.last().time()));
    let behind = document::verify(text, &host, Some(&log(&alpha)));
    assert_eq!(behind, Err(DocumentError::LogBehind));
    assert_eq!(
        document::verify(text, &host, None),
        Err(DocumentError::LogBehind)
    );
    assert_eq!(document::claim(text).unwrap().seq, 1);
}

fn assert_rotated_card(text: &str) {
    let (alpha, alice, host) = (alpha(), alice(), host("alpha.example"));
    let new = rotated(&alice);
    let verify = |log| card::verify(text, &alpha.did, &network_keys(&alpha), &host, log);
    let card = verify(Some(&new.log)).unwrap();
    assert_eq!(
        (card.did, card.keys),
        (alice.did.clone(), new.keys.public_keys())
    );
    assert_eq!(card.retired[0].key, alice.keys.signing.verifying_key());
    assert_eq!(verify(None), Err(CardError::LogBehind));
    assert_eq!(document::claim(text).unwrap().did, alice.did);
}

#[test]
fn an_old_document_is_no_answer_once_a_newer_log_is_known() {
    let (new, host) = (rotated(&alpha()), host("alpha.example"));
    let rolled_back = document::verify(&alpha_text(), &host, Some(&new.log));
    assert_eq!(rolled_back, Err(DocumentError::LogForked));
    let alice = rotated(&alice());
    let alpha = alpha();
    let text = alice_card().to_text();
    let keys = network_keys(&alpha);
    let rolled_back = card::verify(&text, &alpha.did, &keys, &host, Some(&alice.log));
    assert_eq!(rolled_back, Err(CardError::LogForked));
}

#[test]
fn keys_that_the_log_did_not_retire_are_refused() {
    let (alpha, beta, host) = (alpha(), beta(), host("alpha.example"));
    let new = rotated(&alpha);
    let verify = |change: &dyn Fn(&mut Value)| {
        let mut members = members(&rotated_text());
        change(&mut members["keys"]["signing"]);
        resign(&mut members, PROOF, &alpha.did, &new.keys.signing);
        document::verify(&pretty(&members), &host, Some(&new.log))
    };
    assert!(verify(&|_| {}).is_ok());
    let other = signing_text(&beta.keys);
    let cheats: [&dyn Fn(&mut Value); 5] = [
        &|keys| keys[1]["publicKeyMultibase"] = json!(other),
        &|keys| keys[1]["validUntil"] = json!("2100-01-01T00:00:00.000Z"),
        &|keys| keys[1]["validFrom"] = json!("2000-01-01T00:00:00.000Z"),
        &|keys| keys[0]["validUntil"] = keys[1]["validUntil"].clone(),
        &|keys| keys.as_array_mut().unwrap().swap(0, 1),
    ];
    for (place, cheat) in cheats.iter().enumerate() {
        assert_eq!(verify(cheat), Err(DocumentError::WrongKey), "{place}");
    }
}

#[test]
fn every_invalid_example_is_refused_for_the_fault_it_is_named_for() {
    let (documents, cards) = (invalid_documents(), invalid_cards());
    let texts: Vec<(&str, String)> = documents
        .iter()
        .map(|(name, text, _)| (*name, text.clone()))
        .chain(cards.iter().map(|(name, text, _)| (*name, text.clone())))
        .collect();
    check_files("invalid", &texts);
    for (name, text, error) in documents {
        let refused = document::verify(&text, &host("alpha.example"), None);
        assert_eq!(refused, Err(error), "{name}");
    }
    for (name, text, error) in cards {
        assert_eq!(verify_card(&text), Err(error), "{name}");
    }
}

#[test]
fn the_seeds_fields_are_exactly_there() {
    let text = alpha_text();
    let document = members(&text);
    assert_eq!(document["did"], json!(alpha().did));
    assert_eq!(document["relay"], json!("wss://alpha.example/relay"));
    assert!(document["publicKey"].as_str().unwrap().starts_with("z6Mk"));
    assert_eq!(
        document["federation"],
        json!({"allowInbound": true, "allowOutbound": true, "trustLevel": "allowlist"})
    );
}

#[test]
fn a_card_is_countersigned_only_after_the_agent_signed() {
    let (alpha, alice) = (alpha(), alice());
    let keys = alice.keys.public_keys().view();
    let name = AgentName::parse("alice").unwrap();
    let build = |birth: &Birth| {
        AgentCard::build_unsigned(
            &name,
            &host("alpha.example"),
            (&keys, &repo_key()),
            &[],
            &log(birth),
        )
    };
    let refused = build(&alice).unwrap().countersign(&alpha.keys.signing, NOW);
    assert_eq!(refused, Err(CardError::Unsigned));
    assert_eq!(build(&alpha), Err(CardError::WrongNetwork));
    let signed = build(&alice)
        .unwrap()
        .sign_agent(&alice.keys.signing, NOW)
        .unwrap();
    let carried = AgentCard::parse(&signed.to_text()).unwrap();
    let card = carried.countersign(&alpha.keys.signing, NOW).unwrap();
    assert!(verify_card(&card.to_text()).is_ok());
}

#[test]
fn a_card_does_not_verify_for_another_network_or_under_other_keys() {
    let (alpha, beta) = (alpha(), beta());
    let (text, host) = (alice_card().to_text(), host("alpha.example"));
    let elsewhere = card::verify(&text, &beta.did, &network_keys(&beta), &host, None);
    assert_eq!(elsewhere, Err(CardError::WrongNetwork));
    let other_keys = card::verify(&text, &alpha.did, &network_keys(&beta), &host, None);
    assert_eq!(other_keys, Err(CardError::BadCountersignature));
    let none = card::verify(&text, &alpha.did, &BTreeMap::new(), &host, None);
    assert_eq!(none, Err(CardError::BadCountersignature));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_changed_character_is_refused_or_changes_nothing(at in 0usize..6000, to in proptest::char::range('!', '~')) {
        let (text, host) = (alpha_text(), host("alpha.example"));
        let mut changed: Vec<char> = text.chars().collect();
        let at = at % changed.len();
        changed[at] = to;
        let changed: String = changed.into_iter().collect();
        if document::verify(&changed, &host, None).is_ok() {
            prop_assert_eq!(members(&changed), members(&text));
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        prop_assert!(document::verify(&text, &host("alpha.example"), None).is_err());
        prop_assert!(verify_card(&text).is_err());
    }
}
