//! The threat table: every test it names exists.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use syn::visit::{self, Visit};

use super::markdown::{self, quoted};
use super::{Files, THREATS};

pub(super) fn check(files: &Files) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut numbers = BTreeSet::new();
    for table in markdown::tables(files.text(THREATS)?) {
        if table.head != ["no.", "attack", "defence", "test"] {
            bail!("{THREATS}: every table has the head `| no. | attack | defence | test |`");
        }
        for row in &table.rows {
            let number = table.cell(row, "no.").unwrap_or_default();
            if !numbers.insert(number.to_owned()) {
                faults.push(format!("{THREATS} has two threats numbered {number}"));
            }
            if !table
                .section
                .starts_with(number.split('.').next().unwrap_or_default())
            {
                faults.push(format!(
                    "{THREATS}: {number} does not belong to the section \"{}\"",
                    table.section
                ));
            }
            faults.extend(tests(
                files,
                number,
                table.cell(row, "test").unwrap_or_default(),
            )?);
        }
    }
    Ok(faults)
}

/// A cell is a list of `path::name`; `…::name` is in the file named before it.
fn tests(files: &Files, number: &str, cell: &str) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut path = "";
    let mut any = false;
    for test in quoted(cell) {
        any = true;
        let Some((file, name)) = test.rsplit_once("::") else {
            faults.push(format!("{THREATS} {number}: `{test}` is not path::test"));
            continue;
        };
        if file != "…" {
            path = file;
        }
        match files.find(path) {
            None => faults.push(format!("{THREATS} {number}: there is no file {path}")),
            Some(text) if !has_test(path, text, name)? => {
                faults.push(format!("{THREATS} {number}: {path} has no test `{name}`"));
            }
            Some(_) => {}
        }
    }
    if !any {
        faults.push(format!(
            "{THREATS} {number} names no test: write one, or say in docs/SECURITY.md that this is not protected"
        ));
    }
    Ok(faults)
}

/// Whether a file has a function of that name that runs as a test.
fn has_test(path: &str, text: &str, name: &str) -> Result<bool> {
    // Tests may stand in the modules that `parse` forgets, or in `proptest!`.
    let file = syn::parse_file(text)?;
    let mut tests = Tests::default();
    tests.visit_file(&file);
    let fuzz = path.contains("/fuzz_targets/") && name == "fuzz_target";
    Ok(tests.0.contains(name) || fuzz || in_proptest(text, name))
}

#[derive(Default)]
struct Tests(BTreeSet<String>);

impl<'ast> Visit<'ast> for Tests {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        let is_test = |attribute: &syn::Attribute| {
            let path = attribute.path().segments.last();
            path.is_some_and(|name| name.ident == "test")
        };
        if function.attrs.iter().any(is_test) {
            self.0.insert(function.sig.ident.to_string());
        }
        visit::visit_item_fn(self, function);
    }
}

fn in_proptest(text: &str, name: &str) -> bool {
    let body = text.split_once("proptest! {").map_or("", |(_, body)| body);
    let mut lines = body.lines().map(str::trim);
    let head = format!("fn {name}(");
    let mut attributed = false;
    lines.any(|line| {
        let found = attributed && line.starts_with(&head);
        attributed = line == "#[test]" || attributed && line.starts_with("//");
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# T\n\n## 1. Handshake\n\n| no. | attack | defence | test |\n|---|---|---|---|\n\
        | 1.1 | a | b | `a/b.rs::one_is_refused`, `…::two_is_refused` |\n";
    const CODE: &str = "#[test]\nfn one_is_refused() {}\nfn helper() {}\nproptest! {\n    #[test]\n    fn two_is_refused(a in b) {}\n}\n";

    fn faults(document: &str) -> Vec<String> {
        check(&Files::made(&[(THREATS, document), ("a/b.rs", CODE)])).unwrap()
    }

    #[test]
    fn threats_whose_tests_exist_pass() {
        assert_eq!(faults(DOCUMENT), Vec::<String>::new());
    }

    #[test]
    fn a_test_that_is_invented_or_none_is_found() {
        for (old, new) in [
            ("one_is", "three_is"),
            ("one_is_refused", "helper"),
            ("a/b.rs::", "a/c.rs::"),
            ("`a/b.rs::one_is_refused`, `…::two_is_refused`", "none"),
            ("one_is_refused", "one_is_refused`, `strange"),
            ("| 1.1 |", "| 2.1 |"),
        ] {
            assert!(!faults(&DOCUMENT.replace(old, new)).is_empty(), "{new}");
        }
        let twice = format!("{DOCUMENT}| 1.1 | a | b | `a/b.rs::one_is_refused` |\n");
        assert_eq!(faults(&twice).len(), 1);
    }
}
