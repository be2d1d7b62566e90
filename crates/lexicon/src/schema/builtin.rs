//! The documents of this network: `crates/lexicon/lexicons`.

use std::sync::LazyLock;

use serde_json::Value;

use super::{Fault, Lexicons, RecordType};

/// A type that some call by another name, and the name that records have.
const ALIASES: [(&str, &str); 1] = [("agent.comms.task", "agent.comms.request")];

macro_rules! documents {
    ($($path:literal),* $(,)?) => {
        [$(include_str!(concat!("../../lexicons/", $path, ".json"))),*]
    };
}

const DOCUMENTS: [&str; 16] = documents![
    "agent/comms/broadcast",
    "agent/comms/defs",
    "agent/comms/handoff",
    "agent/comms/message",
    "agent/comms/request",
    "agent/comms/response",
    "agent/memory/decision",
    "agent/memory/defs",
    "agent/memory/episode",
    "agent/memory/fact",
    "agent/memory/learning",
    "agent/memory/note",
    "agent/memory/profile",
    "agent/memory/summary",
    "agent/observability/event",
    "agent/trust/endorsement",
];

/// Parsed once. A test reads them all; if one could not be read here, no type would be known.
static LEXICONS: LazyLock<Lexicons> =
    LazyLock::new(|| Lexicons::parse(DOCUMENTS).unwrap_or_default());

/// Returns the documents of this network.
#[must_use]
pub fn lexicons() -> &'static Lexicons {
    &LEXICONS
}

/// Checks a record by the network's own schemas; of a certain type, if one is named. Every record that
/// comes in, whichever way, comes through here: what `docs/protocol/lexicons.md` lists, and tools.
///
/// # Errors
/// As [`Lexicons::validate`], whatever type is expected; then [`super::Code::NotOneOf`] for another type.
pub fn check(kind: Option<&str>, record: &Value) -> Result<RecordType<'static>, Fault> {
    match kind {
        None => lexicons().validate(record),
        Some(kind) => lexicons().validate_in(kind, record),
    }
}

/// Returns the name that records of a type have, for what a client calls it: `agent.comms.task` is
/// `agent.comms.request`. To be asked where a record comes in, before it is checked.
#[must_use]
pub fn canonical(nsid: &str) -> &str {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == nsid);
    alias.map_or(nsid, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn count(folder: &Path) -> usize {
        let entries = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .map(|path| if path.is_dir() { count(&path) } else { 1 })
            .sum()
    }

    #[test]
    fn every_document_in_the_folder_is_read_and_served() {
        let parsed = Lexicons::parse(DOCUMENTS).unwrap();
        assert_eq!(parsed.ids().count(), DOCUMENTS.len());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("lexicons");
        assert_eq!(count(&folder), DOCUMENTS.len());
        for id in lexicons().ids() {
            let path = folder.join(format!("{}.json", id.replace('.', "/")));
            assert_eq!(
                fs::read_to_string(path).unwrap(),
                lexicons().document(id).unwrap()
            );
        }
    }

    #[test]
    fn a_task_is_a_request() {
        assert_eq!(canonical("agent.comms.task"), "agent.comms.request");
        assert_eq!(canonical("agent.comms.message"), "agent.comms.message");
        for (alias, name) in ALIASES {
            assert!(lexicons().record_type(alias).is_none());
            assert!(lexicons().record_type(name).is_some());
        }
    }
}
