//! The records of `valid/` and `invalid/`, and the documents they are of.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use entente_lexicon::schema::{Lexicons, lexicons};
use serde_json::{Value, json};

/// A record to be refused.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) code: String,
    pub(crate) pointer: String,
    /// Why the reference implementation does not refuse it, if it does not.
    pub(crate) stricter: Option<String>,
    pub(crate) record: Value,
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The network's documents and one with everything that Lexicon has.
pub(crate) fn documents() -> Vec<String> {
    let everything = fs::read_to_string(folder().join("tests/everything.json")).unwrap();
    let ours = lexicons().ids().filter_map(|id| lexicons().document(id));
    ours.map(str::to_owned).chain([everything]).collect()
}

pub(crate) fn catalogue() -> &'static Lexicons {
    static CATALOGUE: LazyLock<Lexicons> = LazyLock::new(|| {
        let documents = documents();
        Lexicons::parse(documents.iter().map(String::as_str)).unwrap()
    });
    &CATALOGUE
}

/// Names and contents of the JSON files of a folder, in order.
fn files(name: &str) -> Vec<(String, Value)> {
    let entries = fs::read_dir(folder().join(name)).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

pub(crate) fn valid() -> &'static [(String, Value)] {
    static VALID: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| files("valid"));
    &VALID
}

pub(crate) fn invalid() -> Vec<Sample> {
    let sample = |(name, mut file): (String, Value)| {
        let text = |field: &str| file[field].as_str().map(str::to_owned);
        let (code, pointer, stricter) = (text("code"), text("pointer"), text("stricter"));
        Sample {
            name,
            code: code.unwrap(),
            pointer: pointer.unwrap(),
            stricter,
            record: file["record"].take(),
        }
    };
    files("invalid").into_iter().map(sample).collect()
}

/// Numbers that look random and are the same in every run (SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    /// Changes one value somewhere in a record: edits it, replaces it, or takes it away.
    pub(crate) fn change(&mut self, record: &mut Value) {
        let mut places = Vec::new();
        pointers(record, "", &mut places);
        if places.is_empty() {
            return;
        }
        let place = places[self.below(places.len())].clone();
        if self.below(6) == 0 {
            remove(record, &place);
            return;
        }
        let value = record.pointer_mut(&place).unwrap();
        match value {
            Value::String(text) if self.below(3) > 0 => self.edit(text),
            Value::Number(number) if self.below(2) == 0 => {
                let old = number.as_i64().unwrap_or(0);
                *value = json!(old.saturating_add(self.below(7) as i64 - 3));
            }
            Value::Array(items) if !items.is_empty() && self.below(2) == 0 => {
                let item = items[0].clone();
                items.resize(items.len() + self.below(40), item);
            }
            _ => *value = self.any(),
        }
    }

    fn edit(&mut self, text: &mut String) {
        let mut letters: Vec<char> = text.chars().collect();
        let at = self.below(letters.len() + 1);
        let symbols: Vec<char> = "aZ09.-_~:/#%?=+$ é👍é\u{301}\u{0}".chars().collect();
        let symbol = symbols[self.below(symbols.len())];
        match self.below(4) {
            0 => letters.insert(at, symbol),
            1 if at < letters.len() => letters[at] = symbol,
            2 if at < letters.len() => drop(letters.remove(at)),
            3 if at < letters.len() => letters.truncate(at),
            _ => letters.extend(letters.clone()),
        }
        *text = letters.into_iter().collect();
    }

    fn any(&mut self) -> Value {
        let cid = "bafyreidjnql4o7dkdtf2ahkakcszwwiwdogmmu4x67d4yiyit6wc43g6dm";
        let choices = [
            json!(null),
            json!(true),
            json!(0),
            json!(-1),
            json!(2.5),
            json!(i64::MAX),
            json!(""),
            json!("self"),
            json!(cid),
            json!("did:web:example.com"),
            json!([]),
            json!(["a"]),
            json!({}),
            json!({"$link": cid}),
            json!({"$link": cid, "x": 1}),
            json!({"$bytes": "aGVs"}),
            json!({"$type": "agent.memory.defs#source", "kind": "tool"}),
            json!({"$type": "agent.comms.defs#text", "text": "x"}),
            json!({"$type": "com.example.everything#tree"}),
            json!({"$type": "blob"}),
        ];
        choices[self.below(choices.len())].clone()
    }
}

/// Every place in a record but the record itself and its `$type`.
pub(crate) fn pointers(value: &Value, place: &str, found: &mut Vec<String>) {
    let mut below = |step: &str, inner: &Value| {
        let place = format!("{place}/{}", step.replace('~', "~0").replace('/', "~1"));
        if place != "/$type" {
            found.push(place.clone());
        }
        pointers(inner, &place, found);
    };
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                below(&index.to_string(), item);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                below(name, field);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Takes the value at a place away.
pub(crate) fn remove(record: &mut Value, place: &str) {
    let (parent, step) = place.rsplit_once('/').unwrap();
    match record.pointer_mut(parent).unwrap() {
        Value::Array(items) => drop(items.remove(step.parse().unwrap())),
        Value::Object(fields) => {
            drop(fields.remove(&step.replace("~1", "/").replace("~0", "~")));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => unreachable!(),
    }
}
