//! Migrations: numbered once, and their tables named in docs/ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::Files;
use super::markdown::quoted;

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";
const FOLDER: &str = "migrations/";

pub(super) fn check(files: &Files) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut numbers = BTreeMap::new();
    let mut tables = BTreeSet::new();
    for (path, text) in files.below(FOLDER, ".sql") {
        let name = path.trim_start_matches(FOLDER);
        match name.split_once('_') {
            Some((number, _))
                if number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit()) =>
            {
                if let Some(other) = numbers.insert(number, name) {
                    faults.push(format!("{FOLDER}{other} and {name} have the same number"));
                }
            }
            Some(_) | None => faults.push(format!("{path}: migrations are named 0001_what.sql")),
        }
        if !text.starts_with("-- ") {
            faults.push(format!(
                "{path} must begin with a comment that says what it is for"
            ));
        }
        for line in text.lines() {
            tables.extend(after(line, "CREATE TABLE ").into_iter().map(str::to_owned));
            if let Some(gone) = after(line, "DROP TABLE ") {
                tables.remove(gone);
            }
            if let Some((old, new)) = renamed(line) {
                tables.remove(old);
                tables.insert(new.to_owned());
            }
        }
    }
    faults.extend(compare(files.text(ARCHITECTURE)?, &tables));
    Ok(faults)
}

fn after<'a>(line: &'a str, words: &str) -> Option<&'a str> {
    let rest = line.trim().strip_prefix(words)?;
    let rest = rest
        .trim_start_matches("IF NOT EXISTS ")
        .trim_start_matches("IF EXISTS ");
    rest.split([' ', '(', ';']).next()
}

fn renamed(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim().strip_prefix("ALTER TABLE ")?;
    let (old, new) = rest.split_once(" RENAME TO ")?;
    Some((old, new.trim_end_matches(';')))
}

/// The line that begins with `D1` and the words in backticks after it.
fn compare(document: &str, tables: &BTreeSet<String>) -> Vec<String> {
    let Some((_, list)) = document.split_once("without\nwaking an object: ") else {
        return vec![format!(
            "{ARCHITECTURE} must list D1's tables after \"without waking an object:\""
        )];
    };
    let list = list.split_once(". ").map_or(list, |(list, _)| list);
    let told: BTreeSet<_> = quoted(list).map(str::to_owned).collect();
    let missing = tables
        .difference(&told)
        .map(|table| format!("{ARCHITECTURE} does not list the table `{table}` of {FOLDER}"));
    let gone = told
        .difference(tables)
        .map(|table| format!("{ARCHITECTURE} lists the table `{table}`, which no migration makes"));
    missing.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str =
        "D1 is what can be read without\nwaking an object: `agents`, `peers`. Every `x`.\n";

    fn faults(migrations: &[(&str, &str)]) -> Vec<String> {
        let mut files = vec![(ARCHITECTURE, DOCUMENT)];
        files.extend(migrations);
        check(&Files::made(&files)).unwrap()
    }

    #[test]
    fn migrations_that_are_in_order_pass() {
        let found = faults(&[
            ("migrations/0001_a.sql", "-- A.\nCREATE TABLE agents (\n"),
            (
                "migrations/0002_b.sql",
                "-- B.\nCREATE TABLE peers_new (\nALTER TABLE peers_new RENAME TO peers;\n",
            ),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn doubled_numbers_and_tables_nobody_describes_are_found() {
        let found = faults(&[
            ("migrations/0001_a.sql", "-- A.\nCREATE TABLE agents (\n"),
            ("migrations/0001_b.sql", "-- B.\nCREATE TABLE peers (\n"),
            ("migrations/3_c.sql", "CREATE TABLE other (\n"),
        ]);
        assert_eq!(found.len(), 4);
        assert_eq!(faults(&[]).len(), 2);
    }
}
