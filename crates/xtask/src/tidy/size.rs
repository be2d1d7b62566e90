//! Files and functions that are too long to read.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::paths::Repo;
use crate::process;

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
const SOURCES: [&str; 5] = ["*.rs", "*.mjs", "*.js", "*.css", "*.sql"];

/// Checks every source file that git knows or would add.
pub(super) fn check(repo: &Repo) -> Result<Vec<String>> {
    let mut git = process::program(
        "git",
        [
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
        ],
        repo.root(),
    );
    git.args(SOURCES);
    let mut faults = Vec::new();
    for name in process::output(&mut git)?.lines() {
        // A file that was deleted but not committed yet is still listed.
        let Ok(text) = fs::read_to_string(repo.join(name)) else {
            continue;
        };
        faults.extend(file(name, &text));
    }
    Ok(faults)
}

fn file(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        faults.push(format!(
            "{name} has {lines} lines; at most {FILE_LINES_MAX}"
        ));
    }
    if Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "rs")
    {
        faults.extend(functions(text).into_iter().filter(|(_, _, length)| *length > FUNCTION_LINES_MAX).map(
            |(line, function, length)| {
                format!("{name}:{line}: fn {function} has {length} lines; at most {FUNCTION_LINES_MAX}")
            },
        ));
    }
    faults
}

/// Line, name and length of every function. Relies on rustfmt: a function ends where a closing brace
/// has the indentation of its first line.
fn functions(text: &str) -> Vec<(usize, &str, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let after = lines.get(index..).unwrap_or_default();
        let length = after.iter().position(|line| {
            *line == end
                || (line.ends_with(';') || line.ends_with('}'))
                    && line.len() - line.trim_start().len() == indent
        });
        found.push((
            index + 1,
            name,
            length.map_or(after.len(), |length| length + 1),
        ));
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.trim_start().split_once("fn ")?;
    let qualifiers = before.split_whitespace().all(|word| {
        matches!(
            word,
            "pub" | "async" | "const" | "unsafe" | "extern" | "\"C\""
        ) || word.starts_with("pub(")
            || word.ends_with(')')
    });
    let name = after.split(['(', '<']).next()?;
    (qualifiers && !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_with_their_length() {
        let text = "pub(crate) async fn one(\n    a: u8,\n) -> u8 {\n    a\n}\n\nimpl X {\n    fn two() {}\n    fn three() {\n        // fn four(\n    }\n}\ntrait T {\n    fn five();\n}\n";
        assert_eq!(
            functions(text),
            [
                (1, "one", 5),
                (8, "two", 1),
                (9, "three", 3),
                (14, "five", 1)
            ]
        );
    }

    #[test]
    fn a_long_function_and_a_long_file_are_named() {
        let body = "    x();\n".repeat(69);
        let long = format!("fn long() {{\n{body}}}\n");
        assert_eq!(
            file("a.rs", &long),
            ["a.rs:1: fn long has 71 lines; at most 70"]
        );
        assert_eq!(file("a.css", &"\n".repeat(801)).len(), 1);
    }
}
