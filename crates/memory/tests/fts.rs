//! The search as it ships, in the FTS5 that SQLite has.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;

use entente_memory::search::{Index, words};
use entente_trust::memory::blind::{BlindRoot, Space};
use proptest::prelude::*;
use rand_core::{TryCryptoRng, TryRng};
use rusqlite::Connection;

struct Counter(u8);

impl TryRng for Counter {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from(self.0))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.0))
    }
    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        for byte in target {
            self.0 = self.0.wrapping_mul(5).wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}

const RECORDS: [&str; 6] = [
    "Caroline moved the meeting to Thursday",
    "Melanie paints horses; her painting of the lake sold",
    "The deploy of example.com failed: user_name was NULL",
    "Meetings, meetings and more meetings about the lake",
    "Das Treffen in Köln wurde auf Donnerstag verschoben",
    "NEAR the lake there is a house AND a boat OR two",
];

fn index(space: Space) -> Index {
    Index::new(BlindRoot::generate(&mut Counter(1)).space(space))
}

fn table(rows: impl Iterator<Item = String>) -> Connection {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch("CREATE VIRTUAL TABLE t USING fts5(tokens, tokenize = 'ascii')")
        .unwrap();
    for (id, tokens) in (1_i64..).zip(rows) {
        db.execute(
            "INSERT INTO t (rowid, tokens) VALUES (?1, ?2)",
            (id, tokens),
        )
        .unwrap();
    }
    db
}

fn search(db: &Connection, expression: &str) -> Vec<i64> {
    let sql = "SELECT rowid FROM t WHERE t MATCH ?1 ORDER BY bm25(t), rowid";
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([expression], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn shipped(space: Space) -> (Index, Connection) {
    let index = index(space);
    let db = table(RECORDS.iter().map(|text| index.tokens(text)));
    (index, db)
}

fn find(text: &str) -> Vec<i64> {
    let (index, db) = shipped(Space::Private);
    index
        .query(text)
        .map_or_else(Vec::new, |query| search(&db, query.as_str()))
}

#[test]
fn records_are_found_by_any_form_of_their_words() {
    assert_eq!(find("When does Caroline meet?"), [1, 4]);
    assert_eq!(find("PAINTED"), [2]);
    assert_eq!(find("köln"), [5]);
    assert_eq!(find("username name"), [3]);
    assert_eq!(find("the of and"), Vec::<i64>::new());
    assert_eq!(find("elephant"), Vec::<i64>::new());
}

/// Operators, quotes, columns and comments are words like any others, or nothing.
#[test]
fn no_query_reaches_the_language_of_the_engine() {
    assert_eq!(find("NEAR"), [6]);
    assert_eq!(find("boat NOT lake"), [6, 2, 4]);
    for hostile in [
        "\"",
        "\" OR \"",
        "tokens:lake",
        "* ",
        "^lake",
        "lake*",
        "{tokens}: lake",
        "-lake",
        "lake) OR (1",
        "lake\0",
        "'; DROP TABLE t; --",
        "NEAR(lake boat, 1)",
        "lake AND",
    ] {
        let found = find(hostile);
        assert!(found.iter().all(|id| (1..=6).contains(id)), "{hostile}");
    }
    assert!(find("lake*").contains(&2) && !find("la*").contains(&2));
}

#[test]
fn blinded_words_rank_as_the_words_themselves_do() {
    let plain = table(RECORDS.iter().map(|text| words::terms(text).join(" ")));
    for query in [
        "meeting lake",
        "painting of a boat",
        "Caroline Thursday lake",
    ] {
        let quoted: Vec<_> = words::terms(query)
            .iter()
            .map(|term| format!("\"{term}\""))
            .collect();
        assert_eq!(search(&plain, &quoted.join(" OR ")), find(query), "{query}");
    }
}

#[test]
fn the_order_of_words_is_not_stored() {
    let index = index(Space::Private);
    assert_eq!(
        index.tokens("Bob owes Alice money"),
        index.tokens("Alice owes Bob money")
    );
    assert_ne!(index.tokens("lake lake"), index.tokens("lake"));
}

#[test]
fn what_is_stored_names_no_word_and_another_key_finds_nothing() {
    let (_, db) = shipped(Space::Private);
    let stored: String = db
        .query_row("SELECT group_concat(tokens, ' ') FROM t", [], |row| {
            row.get(0)
        })
        .unwrap();
    for term in RECORDS.iter().flat_map(|text| words::terms(text)) {
        assert!(!stored.split(' ').any(|token| token == term), "{term}");
    }
    let public = index(Space::Public).query("lake").unwrap();
    assert!(search(&db, public.as_str()).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_is_a_query_that_runs(text in "\\PC{0,60}") {
        let _ = find(&text);
    }
}
