//! Finds what the access table says of a request. Pure.

use super::percent::decode;
use super::table::{Entry, TABLE};

/// What the table says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A route, with what stood in place of its `:x`, decoded, in order.
    Route(Entry, Vec<String>),
    /// The path exists, but not with this method; these it has.
    OtherMethods(Vec<&'static str>),
    /// There is no such path.
    Nothing,
}

/// Looks a request up. `HEAD` is answered as `GET`; the first line that fits wins.
#[must_use]
pub fn look_up(method: &str, path: &str) -> Found {
    let method = if method == "HEAD" { "GET" } else { method };
    let mut others = Vec::new();
    for entry in TABLE {
        let Some(parameters) = fit(entry, path) else {
            continue;
        };
        if entry.method == method {
            return Found::Route(*entry, parameters);
        }
        others.push(entry.method);
    }
    if others.is_empty() {
        Found::Nothing
    } else {
        others.dedup();
        Found::OtherMethods(others)
    }
}

/// Returns what stands in place of the pattern's `:x`, decoded; nothing if the path is another one.
fn fit(entry: &Entry, path: &str) -> Option<Vec<String>> {
    let pattern = entry.path;
    // Most lines are told from the path by what they begin with.
    if !path.starts_with(pattern.get(..entry.literal)?) || !is_of_form(pattern, path) {
        return None;
    }
    let segments = pattern.split('/').zip(path.split('/'));
    let named = segments.filter(|(expected, _segment)| expected.starts_with(':'));
    named
        .map(|(_name, segment)| decode(segment).filter(|text| !text.is_empty()))
        .collect()
}

/// Compares segment by segment; whatever stands in place of a `:x` will do.
fn is_of_form(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        if expected == "*" {
            return true;
        }
        match segments.next() {
            Some(segment) if expected.starts_with(':') || expected == segment => {}
            Some(_) | None => return false,
        }
    }
    segments.next().is_none()
}
