//! What is public, and what is said of agents, in words.

use entente_lexicon::Content;
use entente_lexicon::api::reputation::ContributionView;
use entente_lexicon::api::timeline::TimelineEntry;
use serde_json::Value;

use crate::view::conversation::text_of;
use crate::view::format::{clip, plural, short_id};
use crate::view::names::host_of;

/// Characters of what a stranger wrote that are shown.
const MAX_CHARS: usize = 400;

/// A score beside an agent: `63, 2 voices`.
#[must_use]
pub fn score(score: Option<u8>, voices: u32) -> String {
    match score {
        Some(score) => format!(
            "{score}, {}",
            plural(usize::try_from(voices).unwrap_or(usize::MAX), "voice")
        ),
        None => "none yet".to_owned(),
    }
}

/// Whose word it is: `alice@localhost:8701`.
#[must_use]
pub fn author(name: &str, address: &str) -> String {
    match host_of(address) {
        Some(host) => format!("{name}@{host}"),
        None => name.to_owned(),
    }
}

/// What a word weighs: as a part of one fresh word of an agent here, or why it does not count.
#[must_use]
pub fn weight(one: &ContributionView) -> String {
    let why = match one.silence.as_deref() {
        None => {
            let hundredths = one.weight.saturating_add(5_000) / 10_000;
            return format!("weighs {}.{:02}", hundredths / 100, hundredths % 100);
        }
        Some("self") => "its author speaks of itself",
        Some("expired") => "its time is over",
        Some("superseded") => "its author says otherwise by now",
        Some("future") => "it is dated ahead",
        Some("faded") => "it is too old",
        Some("not-peered") => "its network is no peer",
        Some("banned") => "its network is banned",
        Some("not-let-in") => "policy lets no endorsements in from its network",
        Some("blocked") => "its author is blocked",
        Some(other) => return format!("does not count: {other}"),
    };
    format!("does not count: {why}")
}

/// What an entry of the timeline says.
#[must_use]
pub fn saying(entry: &TimelineEntry) -> String {
    let text = match (&entry.record, &entry.content) {
        (Some(record), _) => of_record(record),
        (None, Some(content)) => match serde_json::from_value::<Content>(content.clone()) {
            Ok(content) => text_of(&content),
            Err(_) => content.to_string(),
        },
        (None, None) => "A long record: read it where it is kept.".to_owned(),
    };
    clip(&text, MAX_CHARS)
}

fn of_record(record: &Value) -> String {
    let field = |name: &str| record.get(name).and_then(Value::as_str);
    let text = field("text");
    if let (Some(subject), Some(score)) = (
        field("subject"),
        record.get("score").and_then(Value::as_u64),
    ) {
        let whom = short_id(subject);
        let skill = field("skill").map(|skill| format!(" for {skill}"));
        let why = text.map(|text| format!(": {text}"));
        return format!(
            "Gives {whom} {score} of 100{}{}",
            skill.unwrap_or_default(),
            why.unwrap_or_default()
        );
    }
    text.map_or_else(|| record.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use entente_lexicon::Timestamp;
    use entente_lexicon::api::timeline::TimelineKind;
    use serde_json::json;

    use super::*;

    fn word(weight: u64, silence: Option<&str>) -> ContributionView {
        ContributionView {
            author: "did:cf:a@a.example".to_owned(),
            name: "alice".to_owned(),
            network: "did:cf:n".to_owned(),
            peer: None,
            skill: None,
            score: 90,
            text: None,
            uri: String::new(),
            cid: String::new(),
            created_at: Timestamp(1),
            valid_to: None,
            received_at: Timestamp(1),
            weight,
            silence: silence.map(str::to_owned),
        }
    }

    #[test]
    fn a_score_says_how_many_speak_and_that_nobody_does() {
        assert_eq!(score(Some(63), 1), "63, 1 voice");
        assert_eq!(score(Some(63), 2), "63, 2 voices");
        assert_eq!(score(None, 0), "none yet");
    }

    #[test]
    fn a_word_says_what_it_weighs_or_why_it_does_not() {
        assert_eq!(weight(&word(1_000_000, None)), "weighs 1.00");
        assert_eq!(weight(&word(187_500, None)), "weighs 0.19");
        let silent = weight(&word(0, Some("banned")));
        assert_eq!(silent, "does not count: its network is banned");
        let newer = weight(&word(0, Some("out-of-tune")));
        assert_eq!(newer, "does not count: out-of-tune");
    }

    #[test]
    fn an_entry_says_what_is_in_it() {
        let mut entry = TimelineEntry {
            kind: TimelineKind::Record,
            did: String::new(),
            address: String::new(),
            name: String::new(),
            network: String::new(),
            peer: None,
            collection: String::new(),
            uri: None,
            cid: None,
            record: Some(json!({ "text": "Hello" })),
            content: None,
            at: Timestamp(1),
            proof: None,
            signed: None,
        };
        assert_eq!(saying(&entry), "Hello");
        entry.record = Some(json!({ "subject": "bob", "score": 7, "skill": "maps" }));
        assert_eq!(saying(&entry), "Gives bob 7 of 100 for maps");
        entry.record = None;
        entry.content = Some(json!({ "kind": "text", "text": "We open" }));
        assert_eq!(saying(&entry), "We open");
        entry.content = None;
        assert!(saying(&entry).starts_with("A long record"));
    }
}
