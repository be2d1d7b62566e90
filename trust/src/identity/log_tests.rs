//! Logs by those who keep to the rules and by those who do not.

use std::fs;
use std::path::Path;

use entente_lexicon::{Did, Host, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::crypto::multikey::digest;
use crate::crypto::test_rng::TestRng;
use crate::jcs;

const LABEL: &[u8] = b"entente log entry\0";

/// A network's log of `1 + rotations` entries, its newest keys, every update key it spent.
struct Kept {
    log: Log,
    keys: IdentityKeys,
    recovery: RecoveryKey,
    spent: Vec<SigningKey>,
}

fn network(seed: u64, rotations: u64) -> Kept {
    let mut rng = TestRng::new(seed);
    let recovery = RecoveryKey::generate(&mut rng);
    let subject = Subject::Network {
        host: Host::parse("alpha.example").unwrap(),
    };
    let birth = birth(
        &mut rng,
        subject,
        "object-1",
        Timestamp(1_000),
        Some(&recovery.public()),
    );
    let birth = birth.unwrap();
    let mut kept = Kept {
        log: Log::begin(birth.entry).unwrap(),
        keys: birth.keys,
        recovery,
        spent: Vec::new(),
    };
    for n in 1..=rotations {
        kept.rotate(seed * 1_000 + n, Timestamp(1_000 + n));
    }
    kept
}

impl Kept {
    fn rotate(&mut self, seed: u64, now: Timestamp) {
        let update = self.keys.next_update.clone();
        let rotation = rotate(&mut TestRng::new(seed), &self.log, &update, now).unwrap();
        self.spent.push(update);
        self.log = rotation.log;
        self.keys = rotation.keys;
    }

    fn lines(&self) -> Vec<String> {
        let text = self.log.to_text().unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn pins(&self) -> Vec<Pin> {
        (1..=self.lines().len())
            .map(|length| parse(&self.lines()[..length]).unwrap().pin())
            .collect()
    }
}

fn parse(lines: &[String]) -> Result<Log, LogError> {
    Log::parse(&lines.join("\n"))
}

/// Changes an entry and signs it anew with `key`, as one who holds that key could.
fn resigned(line: &str, key: &SigningKey, change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(line).unwrap();
    value["update"] = json!(key.verifying_key().to_multikey());
    change(&mut value);
    value.as_object_mut().unwrap().remove("sig");
    let signature = key.sign(&[LABEL, &jcs::canonical(&value).unwrap()]);
    value["sig"] = json!(multibase::encode(multibase::Base::Base58Btc, signature));
    value.to_string()
}

#[test]
fn rotated_keys_are_proven_and_the_did_stays() {
    let (first, kept) = (network(1, 0), network(1, 3));
    let read = Log::parse(&kept.log.to_text().unwrap()).unwrap();
    assert_eq!(read, kept.log);
    assert_eq!(read.did(), first.log.did());
    assert_eq!(read.pin().seq, 3);
    assert!(read.keys().commit_to(&kept.keys.public_keys().view()));
    let next = kept.keys.next_update.verifying_key();
    assert!(read.last().commits_to_update(&next));
}

#[test]
fn a_longer_log_extends_every_earlier_pin_and_a_shorter_one_does_not() {
    let kept = network(1, 3);
    for pin in kept.pins() {
        assert_eq!(kept.log.extends(&pin), Ok(()));
    }
    let shorter = network(1, 2).log;
    assert_eq!(shorter.extends(&kept.log.pin()), Err(LogError::Forked));
}

#[test]
fn the_times_of_a_key_are_those_of_the_entries_that_made_and_replaced_it() {
    let (first, kept) = (network(1, 0), network(1, 1));
    let old = first.keys.signing.verifying_key().to_multikey();
    let new = kept.keys.signing.verifying_key().to_multikey();
    let span = |from, until| {
        Some(Span {
            from: Timestamp(from),
            until,
        })
    };
    assert_eq!(
        kept.log.signing_span(&old),
        span(1_000, Some(Timestamp(1_001)))
    );
    assert_eq!(kept.log.signing_span(&new), span(1_001, None));
    assert_eq!(kept.log.signing_span("z6Mkother"), None);
}

#[test]
fn a_clock_that_was_set_back_does_not_end_the_log() {
    let mut kept = network(1, 1);
    kept.rotate(9, Timestamp(5));
    assert_eq!(kept.log.last().time(), Timestamp(1_001));
}

#[test]
fn truncated_reordered_and_doubled_logs_are_refused() {
    let lines = network(1, 3).lines();
    let without = |place: usize| {
        let mut lines = lines.clone();
        lines.remove(place);
        parse(&lines)
    };
    assert_eq!(without(0), Err(LogError::UnknownVersion));
    assert_eq!(without(1), Err(LogError::WrongSeq));
    assert_eq!(without(2), Err(LogError::WrongSeq));
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    assert_eq!(parse(&swapped), Err(LogError::WrongSeq));
    let mut doubled = lines.clone();
    doubled.insert(2, lines[1].clone());
    assert_eq!(parse(&doubled), Err(LogError::WrongSeq));
    assert_eq!(Log::parse(""), Err(LogError::Malformed));
}

#[test]
fn a_fork_holds_by_itself_and_does_not_extend_the_pin() {
    // The update key of entry 1 was stolen before it was destroyed.
    let honest = network(1, 2);
    let mut thief = network(1, 0);
    thief.rotate(77, Timestamp(1_001));
    assert_eq!(thief.log.did(), honest.log.did());
    assert_eq!(thief.log.extends(&honest.log.pin()), Err(LogError::Forked));
    assert_eq!(thief.log.extends(&honest.pins()[1]), Err(LogError::Forked));
    assert_eq!(thief.log.extends(&honest.pins()[0]), Ok(()));
    // Entries of one fork do not go on the other.
    let mut joined = thief.lines();
    joined.push(honest.lines()[2].clone());
    assert_eq!(parse(&joined), Err(LogError::BrokenChain));
}

#[test]
fn a_spent_update_key_signs_nothing_more() {
    let kept = network(1, 2);
    let mut next = network(1, 3).lines();
    let line = next.pop().unwrap();
    for old in &kept.spent {
        let mut lines = kept.lines();
        lines.push(resigned(&line, old, |_| {}));
        assert_eq!(parse(&lines), Err(LogError::WrongUpdateKey));
    }
}

#[test]
fn neither_a_signing_key_nor_a_stranger_signs_an_entry() {
    let kept = network(1, 1);
    let line = network(1, 2).lines().pop().unwrap();
    let stranger = SigningKey::generate(&mut TestRng::new(5));
    for key in [&kept.keys.signing, &stranger] {
        let mut lines = kept.lines();
        lines.push(resigned(&line, key, |_| {}));
        assert_eq!(parse(&lines), Err(LogError::WrongUpdateKey));
    }
    let refused = rotate(&mut TestRng::new(1), &kept.log, &stranger, Timestamp(2_000));
    assert_eq!(refused.unwrap_err(), LogError::WrongUpdateKey);
}

#[test]
fn whoever_holds_the_update_key_still_cannot_break_the_rules() {
    let kept = network(1, 1);
    let update = &kept.keys.next_update;
    let line = network(1, 2).lines().pop().unwrap();
    let first = network(1, 0);
    let old = KeyCommitment::of(&first.keys.signing.verifying_key().to_multikey());
    let spent = digest(&kept.spent[0].verifying_key().to_multikey());
    let recovery = digest(&kept.recovery.public().to_multikey());
    let other = digest("another key");
    let refusals: Vec<(&str, Value, LogError)> = vec![
        ("seq", json!(3), LogError::WrongSeq),
        ("prev", json!(other), LogError::BrokenChain),
        (
            "time",
            json!("1970-01-01T00:00:01.000Z"),
            LogError::TimeRunsBack,
        ),
        ("host", json!("beta.example"), LogError::SubjectChanged),
        ("recovery", json!(other), LogError::WrongRecovery),
        ("next", json!(spent), LogError::UpdateKeyReused),
        ("next", json!(recovery), LogError::UpdateKeyReused),
        ("object", json!("object-2"), LogError::Malformed),
        ("v", json!(2), LogError::UnknownVersion),
        ("extra", json!(1), LogError::Malformed),
    ];
    for (member, value, error) in refusals {
        let mut lines = kept.lines();
        lines.push(resigned(&line, update, |entry| {
            entry[member] = value.clone()
        }));
        assert_eq!(parse(&lines), Err(error), "{member} {value}");
    }
    let mut lines = kept.lines();
    lines.push(resigned(&line, update, |entry| {
        entry["keys"]["signing"] = json!(old)
    }));
    assert_eq!(parse(&lines), Err(LogError::KeyReturned));
}

#[test]
fn an_agents_entry_does_not_go_on_a_networks_log() {
    let kept = network(1, 0);
    let mut rng = TestRng::new(4);
    let subject = Subject::Agent {
        network: kept.log.did().clone(),
    };
    let agent = birth(&mut rng, subject, "agent-1", Timestamp(1_000), None).unwrap();
    let log = Log::begin(agent.entry).unwrap();
    let update = &agent.keys.next_update;
    let agents = rotate(&mut rng, &log, update, Timestamp(1_001))
        .unwrap()
        .log;
    assert_ne!(agents.did(), kept.log.did());
    let mut lines = kept.lines();
    lines.extend(agents.to_text().unwrap().lines().skip(1).map(str::to_owned));
    assert_eq!(parse(&lines), Err(LogError::BrokenChain));
}

#[test]
fn the_recovery_key_goes_on_when_the_update_key_is_stolen_and_is_spent_by_it() {
    let kept = network(1, 1);
    let mut rng = TestRng::new(8);
    let new = RecoveryKey::generate(&mut rng);
    let now = Timestamp(2_000);
    let recovered = recover(&mut rng, &kept.log, kept.recovery.key(), &new.public(), now).unwrap();
    assert_eq!(recovered.log.extends(&kept.log.pin()), Ok(()));
    assert!(recovered.log.last().commits_to_recovery(&new.public()));
    // The stolen update key is void now, the used recovery key too.
    let stolen = rotate(&mut rng, &recovered.log, &kept.keys.next_update, now);
    assert_eq!(stolen.unwrap_err(), LogError::WrongUpdateKey);
    let again = recover(
        &mut rng,
        &recovered.log,
        kept.recovery.key(),
        &new.public(),
        now,
    );
    assert_eq!(again.unwrap_err(), LogError::WrongUpdateKey);
    // It must be replaced by a key that was never used.
    let same = kept.recovery.public();
    let kept_key = recover(&mut rng, &kept.log, kept.recovery.key(), &same, now);
    assert_eq!(kept_key.unwrap_err(), LogError::WrongRecovery);
    let spent = kept.spent[0].verifying_key();
    let reused = recover(&mut rng, &kept.log, kept.recovery.key(), &spent, now);
    assert_eq!(reused.unwrap_err(), LogError::UpdateKeyReused);
}

#[test]
fn a_log_is_served_in_pages_of_whole_lines() {
    let log = network(1, 5).log;
    let mut read = Log::begin(log.first().clone()).unwrap();
    let mut pages = 0;
    let text = log.to_text().unwrap();
    while read.pin() != log.pin() {
        let next = page(&text, read.pin().seq + 1, 2_500);
        read.extend(next).unwrap();
        pages += 1;
    }
    assert!((2..5).contains(&pages), "{pages}");
    assert_eq!(page(&text, 6, 2_500), "");
    assert_eq!(page(&text, u64::MAX, 2_500), "");
    assert_eq!(page(&text, 2, 1).lines().count(), 1);
}

/// The published examples. `ENTENTE_WRITE_EXAMPLES=1 cargo test -p entente-trust` writes them anew.
#[test]
fn the_example_logs_read_as_described() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/identity-log");
    let rotated = network(1, 2);
    let mut rng = TestRng::new(8);
    let new = RecoveryKey::generate(&mut rng);
    let recovered = recover(
        &mut rng,
        &rotated.log,
        rotated.recovery.key(),
        &new.public(),
        Timestamp(2_000),
    );
    let mut forked = network(1, 1);
    forked.rotate(77, Timestamp(1_002));
    let mut broken = rotated.lines();
    let line = broken.pop().unwrap();
    broken.push(resigned(&line, &rotated.spent[0], |_| {}));
    let examples = [
        ("rotated", rotated.log.to_text().unwrap(), Ok(2)),
        (
            "recovered",
            recovered.unwrap().log.to_text().unwrap(),
            Ok(3),
        ),
        ("forked", forked.log.to_text().unwrap(), Ok(2)),
        (
            "spent-update-key",
            broken.join("\n"),
            Err(LogError::WrongUpdateKey),
        ),
        (
            "truncated",
            rotated.lines()[1..].join("\n"),
            Err(LogError::UnknownVersion),
        ),
    ];
    for (name, text, outcome) in examples {
        let path = folder.join(format!("{name}.jsonl"));
        if std::env::var_os("ENTENTE_WRITE_EXAMPLES").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let file = fs::read_to_string(&path).unwrap();
        assert_eq!(file, text, "{name} is not what the code makes");
        let read = Log::parse(&file);
        assert_eq!(
            read.as_ref().map(|log| log.pin().seq).map_err(|e| *e),
            outcome,
            "{name}"
        );
        if name == "forked" {
            assert_eq!(
                read.unwrap().extends(&rotated.log.pin()),
                Err(LogError::Forked)
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_log_reads_back_and_extends_all_its_pins(seed in 1u64..1_000, rotations in 0u64..6) {
        let kept = network(seed, rotations);
        let read = Log::parse(&kept.log.to_text().unwrap()).unwrap();
        prop_assert_eq!(&read, &kept.log);
        for pin in kept.pins() {
            prop_assert_eq!(read.extends(&pin), Ok(()));
        }
    }

    #[test]
    fn a_changed_character_breaks_the_log_or_changes_nothing(at in 0usize..4_000, to in prop::char::range('!', '~')) {
        let kept = network(1, 2);
        let mut text: Vec<char> = kept.log.to_text().unwrap().chars().collect();
        let at = at % text.len();
        text[at] = to;
        let text: String = text.into_iter().collect();
        if let Ok(read) = Log::parse(&text) {
            let same: Option<&Did> = (read == kept.log).then(|| read.did());
            // An entry 0 of its own would be another network; within one DID nothing may change.
            prop_assert!(same.is_some() || read.did() != kept.log.did());
        }
    }

    #[test]
    fn no_text_panics(text in "(\\PC{0,80}\n){0,3}") {
        let _ = Log::parse(&text);
    }
}
