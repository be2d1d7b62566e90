//! The state diagrams: a link's states are those it shows, and the codes on arrows are close codes.

use std::collections::BTreeSet;

use anyhow::Result;

use super::closes;
use super::markdown::{self, is_code};
use super::source;
use super::{Files, STATES};

const VIEWS: &str = "crates/lexicon/src/api.rs";
/// Words on arrows that look like codes and are frames.
const FRAMES: [&str; 3] = ["HELLO_ACK", "CONFIRM", "STATUS"];

pub(super) fn check(files: &Files) -> Result<Vec<String>> {
    let document = files.text(STATES)?;
    let file = source::parse(VIEWS, files.text(VIEWS)?)?;
    let variants = &source::find_enum(&file, "LinkState")?.variants;
    let shown = variants
        .iter()
        .map(|variant| variant.ident.to_string().to_lowercase());
    let mut faults = compare_states(document, &shown.collect());
    let codes = closes::names(files)?;
    for word in codes_of(document) {
        if !codes.contains(&word) && !FRAMES.contains(&word.as_str()) {
            faults.push(format!(
                "{STATES} has `{word}` on an arrow, which is no close code"
            ));
        }
    }
    Ok(faults)
}

fn compare_states(document: &str, shown: &BTreeSet<String>) -> Vec<String> {
    let lines = markdown::section(document, "## A link");
    let arrows = lines.iter().filter_map(|line| line.split_once(" --> "));
    let ends = arrows.flat_map(|(from, to)| [from, to.split(':').next().unwrap_or_default()]);
    let drawn: BTreeSet<_> = ends
        .map(|end| end.trim().to_owned())
        .filter(|end| end != "[*]")
        .collect();
    let missing = shown.difference(&drawn).map(|state| {
        format!("{STATES}: the diagram of a link lacks the state `{state}` of {VIEWS}")
    });
    let gone = drawn.difference(shown).map(|state| {
        format!(
            "{STATES}: the diagram of a link has `{state}`, which `LinkState` in {VIEWS} has not"
        )
    });
    missing.chain(gone).collect()
}

/// The codes in labels of arrows.
fn codes_of(document: &str) -> BTreeSet<String> {
    let labels = document
        .lines()
        .filter(|line| line.contains(" --> "))
        .filter_map(|line| line.split_once(": "));
    let words = labels.flat_map(|(_, label)| label.split([' ', ',']));
    words
        .filter(|word| is_code(word))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str =
        "# S\n\n## A link\n\n```mermaid\n  [*] --> up: added\n  up --> idle: BYE, IDLE_NOW\n```\n";

    #[test]
    fn states_and_codes_that_are_drawn_wrong_are_found() {
        let states = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            compare_states(DOCUMENT, &states(&["idle", "up"])),
            Vec::<String>::new()
        );
        assert_eq!(
            compare_states(DOCUMENT, &states(&["frozen", "up"])).len(),
            2
        );
        assert_eq!(codes_of(DOCUMENT), states(&["IDLE_NOW"]));
    }
}
