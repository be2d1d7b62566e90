//! The format of LoCoMo (Maharana et al. 2024): long conversations, and questions with the turns that
//! answer them.

use std::collections::{BTreeMap, BTreeSet};

use entente_lexicon::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::search::rank::Importance;

/// Questions whose answer is not in the conversation.
const ADVERSARIAL: u64 = 5;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The file is not of the format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a file of LoCoMo's format: {0}")]
pub struct BadFile(String);

/// A conversation and its questions.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// Its turns, in order.
    pub turns: Vec<Turn>,
    /// Questions that its turns answer.
    pub questions: Vec<Question>,
    /// A day after its last turn: when the questions are asked.
    pub asked: Timestamp,
}

/// One thing that somebody said.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Who said it, and what, with the caption of a picture that was shown.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// How much it matters; a member of our own, `importance`.
    pub importance: Importance,
}

/// A question, and which turns hold the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its text.
    pub text: String,
    /// Indices of turns.
    pub evidence: BTreeSet<usize>,
}

#[derive(Deserialize)]
struct Sample {
    conversation: BTreeMap<String, Value>,
    qa: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    question: String,
    #[serde(default)]
    evidence: Vec<String>,
    #[serde(default)]
    category: u64,
}

#[derive(Deserialize)]
struct Said {
    speaker: String,
    dia_id: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    blip_caption: Option<String>,
    #[serde(default)]
    importance: Option<f64>,
}

/// Reads a file: an array of samples.
///
/// Adversarial questions, and those whose evidence names no turn, are left out.
///
/// # Errors
/// [`BadFile`].
pub fn read(text: &str) -> Result<Vec<Conversation>, BadFile> {
    let bad = |error: serde_json::Error| BadFile(error.to_string());
    let samples: Vec<Sample> = serde_json::from_str(text).map_err(bad)?;
    samples.into_iter().map(conversation).collect()
}

fn conversation(sample: Sample) -> Result<Conversation, BadFile> {
    let mut sessions: Vec<(u32, Vec<Said>)> = Vec::new();
    for (name, value) in &sample.conversation {
        let number = name
            .strip_prefix("session_")
            .and_then(|rest| rest.parse().ok());
        if let (Some(number), true) = (number, value.is_array()) {
            let said = Vec::<Said>::deserialize(value);
            let said = said.map_err(|error| BadFile(format!("{name}: {error}")))?;
            sessions.push((number, said));
        }
    }
    sessions.sort_by_key(|(number, _)| *number);
    let mut turns = Vec::new();
    let mut places = BTreeMap::new();
    let mut last = Timestamp(0);
    for (number, said) in sessions {
        let written = sample
            .conversation
            .get(&format!("session_{number}_date_time"));
        let at = written
            .and_then(Value::as_str)
            .and_then(instant)
            .unwrap_or(last);
        last = last.max(at);
        for said in said {
            places.insert(said.dia_id.clone(), turns.len());
            turns.push(turn(said, at));
        }
    }
    let questions = sample
        .qa
        .into_iter()
        .filter(|asked| asked.category != ADVERSARIAL);
    let questions = questions.map(|asked| Question {
        evidence: evidence(&asked.evidence, &places),
        text: asked.question,
    });
    Ok(Conversation {
        questions: questions.filter(|one| !one.evidence.is_empty()).collect(),
        turns,
        asked: last.after(DAY_MS.unsigned_abs()),
    })
}

fn turn(said: Said, at: Timestamp) -> Turn {
    let mut text = format!("{}: {}", said.speaker, said.text);
    if let Some(caption) = said.blip_caption {
        text = format!("{text} [{caption}]");
    }
    Turn {
        text,
        at,
        importance: said
            .importance
            .map_or_else(Importance::default, Importance::new),
    }
}

/// Evidence names turns such as `D1:3`, now and then several in one string.
fn evidence(named: &[String], places: &BTreeMap<String, usize>) -> BTreeSet<usize> {
    let names = named.iter().flat_map(|text| text.split([';', ',', ' ']));
    names
        .filter_map(|name| places.get(name.trim()).copied())
        .collect()
}

/// Reads an instant such as `1:56 pm on 8 May, 2023`.
fn instant(text: &str) -> Option<Timestamp> {
    let (clock, date) = text.split_once(" on ")?;
    let (clock, half) = clock.trim().split_once(' ')?;
    let (hour, minute) = clock.split_once(':')?;
    let small = |text: &str| text.trim().parse::<u16>().ok().map(i64::from);
    let (hour, minute) = (small(hour)?, small(minute)?);
    let noon = if half.eq_ignore_ascii_case("pm") {
        12
    } else {
        0
    };
    let (date, year) = date.split_once(',')?;
    let (day, month) = date.trim().split_once(' ')?;
    let month = MONTHS
        .iter()
        .position(|name| name.eq_ignore_ascii_case(month))?;
    let month = i64::try_from(month).ok()? + 1;
    let days = days(small(year)?, month, small(day)?);
    let minutes = (hour % 12 + noon) * 60 + minute;
    u64::try_from(days * DAY_MS + minutes * 60_000)
        .ok()
        .map(Timestamp)
}

/// Days since 1970 (Hinnant's days_from_civil).
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_conversation_is_read_with_its_times_and_evidence() {
        let file = json!([{
            "sample_id": "conv-1",
            "conversation": {
                "speaker_a": "Ann", "speaker_b": "Bob",
                "session_10_date_time": "12:05 am on 1 March, 2024",
                "session_10": [{ "speaker": "Bob", "dia_id": "D10:1", "text": "Later", "importance": 0.9 }],
                "session_2_date_time": "1:56 pm on 8 May, 2023",
                "session_2": [
                    { "speaker": "Ann", "dia_id": "D2:1", "text": "Hello" },
                    { "speaker": "Bob", "dia_id": "D2:2", "text": "Look", "blip_caption": "a dog" },
                ],
            },
            "qa": [
                { "question": "who?", "answer": "Ann", "evidence": ["D2:1; D10:1"], "category": 1 },
                { "question": "none?", "evidence": ["D9:9"], "category": 2 },
                { "question": "adversarial?", "evidence": ["D2:1"], "category": 5 },
            ],
        }]);
        let read = read(&file.to_string()).unwrap().remove(0);
        let texts: Vec<_> = read.turns.iter().map(|turn| turn.text.as_str()).collect();
        assert_eq!(texts, ["Ann: Hello", "Bob: Look [a dog]", "Bob: Later"]);
        assert_eq!(read.turns[0].at, Timestamp(1_683_554_160_000));
        assert_eq!(read.turns[2].at, Timestamp(1_709_251_500_000));
        assert_eq!(read.asked, Timestamp(1_709_251_500_000 + 86_400_000));
        assert!((read.turns[2].importance.get() - 0.9).abs() < 1e-9);
        assert_eq!(
            read.questions,
            [Question {
                text: "who?".to_owned(),
                evidence: BTreeSet::from([0, 2]),
            }]
        );
    }

    #[test]
    fn another_format_is_refused() {
        for bad in [
            "",
            "{}",
            "[{}]",
            r#"[{"conversation":{"session_1":[{}]},"qa":[]}]"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_date_panics(text in ".{0,40}", day: u32, year: u32) {
            let _ = instant(&text);
            let _ = instant(&format!("1:2 pm on {day} May, {year}"));
        }
    }
}
