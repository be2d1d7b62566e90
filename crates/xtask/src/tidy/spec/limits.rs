//! The numbers of the protocol, in docs/protocol/limits.md, against the constants.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::markdown::{self, quoted};
use super::source;
use super::{Files, LIMITS};

/// Where a first part of a path such as `federation::link::dial::LATER_MS` leads.
const CRATES: [(&str, &str); 13] = [
    ("federation", "federation/src"),
    ("a2a", "crates/a2a/src"),
    ("firehose", "crates/firehose/src"),
    ("groups", "crates/groups/src"),
    ("lexicon", "crates/lexicon/src"),
    ("memory", "crates/memory/src"),
    ("node", "node/src"),
    ("delivery", "crates/delivery/src"),
    ("reputation", "crates/reputation/src"),
    ("tasks", "crates/tasks/src"),
    ("trust", "trust/src"),
    ("well_known", "well-known/src"),
    ("sim", "federation/sim/src"),
];

pub(super) fn check(files: &Files) -> Result<Vec<String>> {
    let tables = markdown::tables(files.text(LIMITS)?);
    let mut faults = Vec::new();
    let mut named = BTreeSet::new();
    for table in &tables {
        for row in &table.rows {
            let (Some(value), Some(place)) =
                (table.cell(row, "value"), table.cell(row, "constant"))
            else {
                bail!("{LIMITS}: every table has the columns `value` and `constant`");
            };
            for path in quoted(place) {
                faults.extend(compare(files, path, value)?);
                named.insert(path.to_owned());
            }
        }
    }
    faults.extend(missing(files, &named)?);
    Ok(faults)
}

fn compare(files: &Files, path: &str, value: &str) -> Result<Option<String>> {
    let Some((name, constant)) = locate(files, path) else {
        return Ok(Some(format!(
            "{LIMITS} names `{path}`, and there is no such file: write crate::module::CONSTANT"
        )));
    };
    let file = source::parse(name, files.text(name)?)?;
    let Some(coded) = source::value(&file, constant) else {
        return Ok(Some(format!(
            "{LIMITS} names `{path}`: {name} has no constant, or `Default` with a field, `{constant}`"
        )));
    };
    Ok((number(value) != Some(coded))
        .then(|| format!("{LIMITS} says that `{path}` is {value}; in {name} it is {coded}")))
}

/// The file that a path leads to, and what is named there.
fn locate<'a>(files: &'a Files, path: &'a str) -> Option<(&'a str, &'a str)> {
    let (module, constant) = path.rsplit_once("::")?;
    let (package, rest) = module.split_once("::")?;
    let (_, folder) = CRATES.iter().find(|(name, _)| *name == package)?;
    let stem = format!("{folder}/{}", rest.replace("::", "/"));
    let choices = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
    let mut found = files.below(folder, ".rs").map(|(name, _)| name);
    let name = found.find(|name| choices.iter().any(|choice| choice == name))?;
    Some((name, constant))
}

/// What bounds the core and is in no table.
fn missing(files: &Files, named: &BTreeSet<String>) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for (name, text) in files.below("federation/src/", ".rs") {
        let file = source::parse(name, text)?;
        let constants = source::constants(&file).map(|constant| constant.ident.to_string());
        let bounds = constants.filter(|name| name.starts_with("MAX_") || name.ends_with("_MS"));
        let fields = name.ends_with("/link/config.rs");
        let defaults = source::defaults(&file).map(|(field, _)| field);
        let module = name
            .trim_start_matches("federation/src/")
            .trim_end_matches(".rs");
        let module = module.trim_end_matches("/mod").replace('/', "::");
        for constant in bounds.chain(defaults.filter(|_| fields)) {
            let path = format!("federation::{module}::{constant}");
            if !named.contains(&path) {
                let value =
                    source::value(&file, &constant).map_or_else(String::new, |v| v.to_string());
                faults.push(format!("{LIMITS} lacks `{path}` ({value})"));
            }
        }
    }
    Ok(faults)
}

/// A number with its unit: bytes, or milliseconds, or plain.
fn number(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let digits = words.next()?.replace(',', "");
    let factor = match words.next() {
        None | Some("bytes" | "ms" | "characters") => 1,
        Some("KiB") => 1 << 10,
        Some("MiB") => 1 << 20,
        Some("s") => 1_000,
        Some("min") => 60_000,
        Some("h") => 3_600_000,
        Some("days") => 86_400_000,
        Some(_) => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# L\n\n| limit | value | constant |\n|---|---|---|\n\
        | a frame | 256 KiB | `federation::frame::session::MAX_FRAME` |\n\
        | a window | 1,024 | `federation::link::config::window` |\n\
        | waiting | 10 s | `federation::link::WAIT_MS` |\n";
    const SESSION: &str = "pub const MAX_FRAME: usize = 256 * 1024;\n#[cfg(test)]\nmod tests { const MAX_X: u8 = 1; }";
    const CONFIG: &str =
        "impl Default for Limits { fn default() -> Self { Self { window: 1024 } } }";

    fn faults(document: &str, session: &str, link: &str) -> Vec<String> {
        check(&Files::made(&[
            (LIMITS, document),
            ("federation/src/frame/session.rs", session),
            ("federation/src/link/config.rs", CONFIG),
            ("federation/src/link/mod.rs", link),
        ]))
        .unwrap()
    }

    #[test]
    fn limits_that_agree_pass() {
        let link = "const WAIT_MS: u64 = 10_000;";
        assert_eq!(faults(DOCUMENT, SESSION, link), Vec::<String>::new());
    }

    #[test]
    fn a_limit_that_changed_or_is_new_or_gone_is_found() {
        let link = "const WAIT_MS: u64 = 9_000;";
        assert_eq!(faults(DOCUMENT, SESSION, link).len(), 1);
        let link = "const WAIT_MS: u64 = 10_000;\nconst MAX_NEW: u64 = 1;";
        assert_eq!(faults(DOCUMENT, SESSION, link).len(), 1);
        assert_eq!(faults(DOCUMENT, SESSION, "").len(), 1);
        let document = DOCUMENT.replace("link::WAIT", "nowhere::WAIT");
        let link = "const WAIT_MS: u64 = 10_000;";
        assert_eq!(faults(&document, SESSION, link).len(), 2);
        let document = DOCUMENT.replace("1,024", "many");
        assert_eq!(faults(&document, SESSION, link).len(), 1);
    }
}
