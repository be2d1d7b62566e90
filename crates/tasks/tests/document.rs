//! The tables of `docs/protocol/tasks.md` against the state machine.

use entente_lexicon::records::comms::TaskState;
use entente_tasks::{DEFAULT_DEADLINE_MS, GRACE_MS, MAX_CHILDREN, MAX_DEPTH, may_follow};

const DOCUMENT: &str = include_str!("../../../docs/protocol/tasks.md");

#[test]
fn the_table_of_states_is_that_of_the_code() {
    let section = DOCUMENT.split("\n## States\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let names: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(names, TaskState::ALL.map(TaskState::as_str));
    for row in rows {
        let from = TaskState::parse(row[0].trim_matches('`')).unwrap();
        let told: Vec<&str> = row[2].split('`').skip(1).step_by(2).collect();
        let may: Vec<&str> = TaskState::ALL
            .into_iter()
            .filter(|to| may_follow(from, *to))
            .map(TaskState::as_str)
            .collect();
        assert_eq!(told, may, "after {from:?}");
    }
}

#[test]
fn the_numbers_in_the_document_are_those_of_the_code() {
    for text in [
        format!("at most {MAX_CHILDREN} sub-tasks"),
        format!("at most {MAX_DEPTH} deep"),
        format!("{} s after the deadline", GRACE_MS / 1_000),
        format!("one {} days later", DEFAULT_DEADLINE_MS / 86_400_000),
    ] {
        assert!(DOCUMENT.contains(&text), "the document lacks: {text}");
    }
}
