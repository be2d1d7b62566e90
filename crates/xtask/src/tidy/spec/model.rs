//! The handshake's ProVerif model: its labels and fields are those of the code, and what
//! handshake.md says of its queries is about queries that exist.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Files;
use super::frames::{self, BODIES, LABELLED, OPENING};
use super::markdown::{self, quoted};
use super::source;

const MODEL: &str = "docs/protocol/handshake.pv";
const RESULTS: &str = "docs/protocol/handshake.md";

pub(super) fn check(files: &Files) -> Result<Vec<String>> {
    let model = files.text(MODEL)?;
    let mut coded = BTreeSet::new();
    for name in LABELLED {
        coded.extend(frames::labels_of(&source::parse(name, files.text(name)?)?));
    }
    let mut faults = labels(model, &coded);
    faults.extend(fields(model, files.text(OPENING)?)?);
    faults.extend(queries(model, files.text(RESULTS)?));
    Ok(faults)
}

fn labels(model: &str, coded: &BTreeSet<String>) -> Vec<String> {
    let marked = model.lines().filter(|line| line.contains("(* label \""));
    let told = frames::quoted_labels(&marked.collect::<Vec<_>>().join("\n"));
    let missing = coded.difference(&told).map(|label| {
        format!("{MODEL} has no constant marked `(* label \"{label}\" *)`: model what federation/src/handshake does with it")
    });
    let gone = told.difference(coded).map(|label| {
        format!("{MODEL} marks \"{label}\", which federation/src/handshake does not use")
    });
    missing.chain(gone).collect()
}

fn fields(model: &str, code: &str) -> Result<Vec<String>> {
    let file = source::parse(OPENING, code)?;
    let mut faults = Vec::new();
    for (name, structure) in BODIES.into_iter().chain([("from", "Party")]) {
        let start = format!("fields {name}: ");
        let line = model
            .lines()
            .find_map(|line| line.trim().strip_prefix(&start));
        let told: Vec<_> = line.unwrap_or_default().split_whitespace().collect();
        let coded = frames::fields(&file, structure);
        if told != coded {
            faults.push(format!(
                "{MODEL} models {name} with the fields {told:?}, `{structure}` in {OPENING} has {coded:?}: decide what the new one means for the proof, run ProVerif, and record it in {RESULTS}"
            ));
        }
    }
    Ok(faults)
}

/// Every query is in the table of results, and every name in a table is a query.
fn queries(model: &str, results: &str) -> Vec<String> {
    let asked: BTreeSet<_> = model
        .lines()
        .filter_map(|line| line.strip_prefix("(* query ")?.strip_suffix(" *)"))
        .collect();
    let mut told = BTreeSet::new();
    let mut faults = Vec::new();
    for table in markdown::tables(results) {
        for row in &table.rows {
            let shown = table.cell(row, "query").into_iter().flat_map(quoted);
            told.extend(shown.map(str::to_owned));
            let fails = table.cell(row, "then fails").into_iter().flat_map(quoted);
            let unknown = fails.filter(|name| !asked.contains(name));
            faults.extend(
                unknown.map(|name| format!("{RESULTS} names `{name}`, no query of {MODEL}")),
            );
        }
    }
    for query in &asked {
        if !told.contains(*query) {
            faults.push(format!(
                "{RESULTS} has no result of the query `{query}` of {MODEL}"
            ));
        }
    }
    let gone = told.iter().filter(|name| !asked.contains(name.as_str()));
    faults.extend(gone.map(|name| format!("{RESULTS} lists `{name}`, no query of {MODEL}")));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL_TEXT: &str = "(*\n   fields HELLO: t to\n   fields HELLO_ACK: t ct\n   fields AUTH: t\n   fields READY: t\n   fields from: did\n   *)\n\
        const A: bitstring. (* label \"entente/1 a\" *)\n(* query a1 *)\nquery x.\n(* query b1 *)\nquery y.\n";
    const RESULTS_TEXT: &str = "| query | says |\n|---|---|\n| `a1`, `b1` | all |\n\n| without | then fails |\n|---|---|\n| labels | `a1` |\n";
    const STRUCTS: &str = "struct Party { did: Did }\nstruct Hello { t: u8, to: Did }\nstruct HelloAck { t: u8, ct: C }\nstruct Auth { t: u8 }\nstruct Ready { t: u8 }\n";

    #[test]
    fn a_model_in_step_passes() {
        let coded = BTreeSet::from(["entente/1 a".to_owned()]);
        assert_eq!(labels(MODEL_TEXT, &coded), Vec::<String>::new());
        assert_eq!(fields(MODEL_TEXT, STRUCTS).unwrap(), Vec::<String>::new());
        assert_eq!(queries(MODEL_TEXT, RESULTS_TEXT), Vec::<String>::new());
    }

    #[test]
    fn a_label_a_field_or_a_query_that_only_one_of_both_has_is_found() {
        let coded = BTreeSet::from(["entente/1 b".to_owned()]);
        assert_eq!(labels(MODEL_TEXT, &coded).len(), 2);
        let code = STRUCTS.replace("ct: C", "ct: C, more: M");
        assert_eq!(fields(MODEL_TEXT, &code).unwrap().len(), 1);
        let code = STRUCTS.replace("did: Did", "id: Did");
        assert_eq!(fields(MODEL_TEXT, &code).unwrap().len(), 1);
        let results = RESULTS_TEXT.replace("`a1`, `b1`", "`a1`, `c1`");
        assert_eq!(queries(MODEL_TEXT, &results).len(), 2);
        let results = RESULTS_TEXT.replace("| labels | `a1` |", "| labels | `a9` |");
        assert_eq!(queries(MODEL_TEXT, &results).len(), 1);
    }
}
