//! Every stable code against docs/protocol/errors.md.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use syn::visit::{self, Visit};
use syn::{Expr, File, Pat};

use super::markdown::{self, is_code, quoted};
use super::source::{self, Texts};
use super::{ERRORS, Files};

/// The crates whose codes reach a client.
const FOLDERS: [&str; 11] = [
    "crates/firehose/src/",
    "crates/groups/src/",
    "crates/lexicon/src/schema/",
    "crates/memory/src/",
    "crates/delivery/src/",
    "crates/reputation/src/",
    "crates/tasks/src/",
    "federation/src/",
    "node/src/",
    "trust/src/",
    "well-known/src/",
];
/// Close codes have a table of their own; what is asked of the environment is no code.
const SKIPPED: [&str; 7] = [
    "close_codes",
    "concat",
    "variable",
    "Variable",
    "var",
    "secret",
    "env",
];
/// What code-shaped texts stand for when they are none.
const NO_CODES: [&str; 1] = ["UNKNOWN"];

/// Code → the files that name it.
type Codes = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check(files: &Files) -> Result<Vec<String>> {
    let mut coded = Codes::new();
    let mut answered = Vec::new();
    for folder in FOLDERS {
        for (name, text) in files.below(folder, ".rs") {
            if name.ends_with("_tests.rs") || name.ends_with("/test_rng.rs") {
                continue;
            }
            let file = source::parse(name, text)?;
            let codes = Texts::of(&file, &SKIPPED);
            for code in codes.into_iter().filter(|text| is_code(text)) {
                coded.entry(code).or_default().insert(name.to_owned());
            }
            answered.extend(Answers::of(&file, name));
        }
    }
    coded.retain(|code, _| !NO_CODES.contains(&code.as_str()));
    Ok(compare(files.text(ERRORS)?, &coded, &answered))
}

fn compare(document: &str, coded: &Codes, answered: &[Answer]) -> Vec<String> {
    let mut told: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    let tables = markdown::tables(document);
    for table in &tables {
        for row in &table.rows {
            let statuses = table.cell(row, "status").unwrap_or_default();
            let statuses = statuses
                .split([',', ' '])
                .filter_map(|word| word.parse().ok());
            let statuses: BTreeSet<u64> = statuses.collect();
            for code in table.cell(row, "code").into_iter().flat_map(quoted) {
                told.entry(code).or_default().extend(&statuses);
            }
        }
    }
    let mut faults = Vec::new();
    for (code, places) in coded {
        if !told.contains_key(code.as_str()) {
            let place = places.first().map_or("", String::as_str);
            faults.push(format!("{ERRORS} has no row for `{code}` ({place})"));
        }
    }
    let gone = told.keys().filter(|code| !coded.contains_key(**code));
    faults.extend(gone.map(|code| format!("{ERRORS} lists `{code}`, which no code answers")));
    let mut seen = BTreeSet::new();
    for answer in answered {
        let listed = told.get(answer.code.as_str());
        if listed.is_some_and(|statuses| !statuses.contains(&answer.status))
            && seen.insert((&answer.code, answer.status))
        {
            faults.push(format!(
                "{ERRORS} does not give `{}` the status {} ({})",
                answer.code, answer.status, answer.place
            ));
        }
    }
    faults
}

/// A code with the HTTP status it is answered with.
struct Answer {
    code: String,
    status: u64,
    place: String,
}

/// Finds `ApiError::new(404, "CODE", …)` and its kin, and match arms `"CODE" => (404, …)`.
struct Answers<'a> {
    place: &'a str,
    found: Vec<Answer>,
}

impl<'a> Answers<'a> {
    fn of(file: &File, place: &'a str) -> Vec<Answer> {
        let mut answers = Self {
            place,
            found: Vec::new(),
        };
        answers.visit_file(file);
        answers.found
    }

    fn push(&mut self, code: Option<String>, status: Option<u64>) {
        if let (Some(code), Some(status)) = (code.filter(|code| is_code(code)), status) {
            self.found.push(Answer {
                code,
                status,
                place: self.place.to_owned(),
            });
        }
    }
}

impl<'ast> Visit<'ast> for Answers<'_> {
    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        let mut arguments = call.args.iter();
        let fixed = match source::last_segment(&call.func).as_deref() {
            Some("bad_request") => Some(400),
            Some("not_found") => Some(404),
            Some("new") => arguments.next().and_then(source::literal_number),
            Some(_) | None => None,
        };
        let code = arguments.next().and_then(source::literal_text);
        self.push(code, fixed);
        visit::visit_expr_call(self, call);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if let (Pat::Lit(code), Expr::Tuple(answer)) = (&arm.pat, &*arm.body) {
            let status = answer.elems.first().and_then(source::literal_number);
            let code = source::literal_text(&Expr::Lit(code.clone()));
            self.push(code, status);
        }
        visit::visit_arm(self, arm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# E\n\n| code | status | again? |\n|---|---|---|\n\
        | `NOT_PEERED` | 403, 422 | no |\n| `UNKNOWN_AGENT`, `INVALID_BODY` | 404, 400 | no |\n";
    const CODE: &str = "fn f() { ApiError::new(422, \"NOT_PEERED\", x); ApiError::bad_request(\"INVALID_BODY\", y); variable(env, \"NETWORK_HOST\");\n\
        match code { \"UNKNOWN_AGENT\" => (404, \"gone\"), _ => (500, \"\") } }\n";

    fn faults(document: &str, code: &str) -> Vec<String> {
        check(&Files::made(&[(ERRORS, document), ("node/src/a.rs", code)])).unwrap()
    }

    #[test]
    fn codes_that_are_listed_with_their_status_pass() {
        assert_eq!(faults(DOCUMENT, CODE), Vec::<String>::new());
    }

    #[test]
    fn a_code_that_is_new_gone_or_of_another_status_is_found() {
        for (old, new, count) in [
            ("NOT_PEERED", "NEVER_HEARD", 2),
            ("422", "409", 1),
            ("(404", "(410", 1),
            ("bad_request", "not_found", 0),
            ("ApiError::bad_request(\"INVALID_BODY\", y);", "", 1),
        ] {
            let code = CODE.replace(old, new);
            assert_eq!(faults(DOCUMENT, &code).len(), count, "{new}");
        }
        let document = DOCUMENT.replace(", `INVALID_BODY`", "");
        assert_eq!(faults(&document, CODE).len(), 1);
    }
}
