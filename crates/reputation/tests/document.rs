//! The example of docs/protocol/reputation.md is what this crate computes.
#![expect(clippy::indexing_slicing, reason = "tests")]

use entente_lexicon::{Did, Timestamp};
use entente_reputation::{Endorsement, Speaker, Subject, weigh};
use entente_trust::policy::Voice;

const DOCUMENT: &str = include_str!("../../../docs/protocol/reputation.md");
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn named(name: &str) -> Did {
    let mut scid = [0; 32];
    scid[..name.len()].copy_from_slice(name.as_bytes());
    Did::from_scid(&scid)
}

#[test]
fn the_example_is_what_is_computed() {
    let (_, example) = DOCUMENT.split_once("## 5. Example").unwrap();
    let rows: Vec<Vec<&str>> = example
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 8);
    let number = |text: &str| text.replace(',', "").parse::<u64>().unwrap();
    let said: Vec<_> = rows
        .iter()
        .map(|row| {
            let at = Timestamp(NOW.0 - number(row[4]) * DAY_MS);
            Endorsement {
                author: named(row[0]),
                network: named(row[1]),
                speaker: Ok(match row[2] {
                    "own" => Speaker::Own,
                    "verified" => Speaker::Peer(Voice::Verified),
                    "allowlist" => Speaker::Peer(Voice::Allowlist),
                    _ => Speaker::Peer(Voice::Open),
                }),
                skill: None,
                score: u8::try_from(number(row[3])).unwrap(),
                created_at: at,
                valid_to: None,
                received_at: at,
                order: (at, [0; 16]),
                mutual: false,
            }
        })
        .collect();
    let subject = Subject {
        did: named("subject"),
        network: Some(named("epsilon")),
    };
    let found = weigh(&subject, &said, NOW);
    for (row, one) in rows.iter().zip(&found.contributions) {
        assert_eq!(number(row[5]), one.weight, "{row:?}");
    }
    let score = example.split("**").nth(1).unwrap();
    assert_eq!(found.score, score.parse().ok());
    assert_eq!(found.weight, 3_062_500);
}
