//! What the documents say against what the code does: a fault names the file to change.

mod closes;
mod codes;
mod directory;
mod frames;
mod lexicons;
mod limits;
mod markdown;
mod model;
mod routes;
mod source;
mod states;
mod threats;

use std::fs;

use anyhow::{Context as _, Result};

use crate::paths::Repo;
use crate::process;

pub(super) const FEDERATION: &str = "docs/protocol/federation.md";
pub(super) const ERRORS: &str = "docs/protocol/errors.md";
pub(super) const API: &str = "docs/protocol/api.md";
pub(super) const LIMITS: &str = "docs/protocol/limits.md";
pub(super) const STATES: &str = "docs/protocol/states.md";
pub(super) const THREATS: &str = "docs/protocol/threats.md";

/// Runs every comparison.
pub(super) fn check(repo: &Repo) -> Result<Vec<String>> {
    let files = Files::of(repo)?;
    let mut faults = frames::check(&files)?;
    faults.extend(closes::check(&files)?);
    faults.extend(limits::check(&files)?);
    faults.extend(codes::check(&files)?);
    faults.extend(routes::check(&files)?);
    faults.extend(directory::check(&files)?);
    faults.extend(threats::check(&files)?);
    faults.extend(model::check(&files)?);
    faults.extend(states::check(&files)?);
    faults.extend(lexicons::check(&files)?);
    Ok(faults)
}

/// The files that git knows or would add, with their text.
pub(super) struct Files(Vec<(String, String)>);

impl Files {
    fn of(repo: &Repo) -> Result<Self> {
        let mut git = process::program(
            "git",
            [
                "ls-files",
                "--cached",
                "--others",
                "--exclude-standard",
                "--",
                "*.rs",
                "*.md",
                "*.sql",
                "*.pv",
                "*.toml",
                "crates/lexicon/lexicons/*.json",
            ],
            repo.root(),
        );
        let mut files = Vec::new();
        for name in process::output(&mut git)?.lines() {
            // A file that was deleted but not committed yet is still listed.
            if let Ok(text) = fs::read_to_string(repo.join(name)) {
                files.push((name.to_owned(), text));
            }
        }
        files.sort();
        files.dedup();
        Ok(Self(files))
    }

    /// The text of one file.
    fn text(&self, name: &str) -> Result<&str> {
        self.find(name)
            .with_context(|| format!("{name} is missing: tidy compares it with the code"))
    }

    fn find(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, text)| text.as_str())
    }

    /// Names and texts of the files below a folder that end so.
    fn below<'a>(
        &'a self,
        folder: &'a str,
        ending: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let files = self.0.iter().map(|(name, text)| (&**name, &**text));
        files.filter(move |(name, _)| name.starts_with(folder) && name.ends_with(ending))
    }

    #[cfg(test)]
    fn made(files: &[(&str, &str)]) -> Self {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Self(files.iter().map(own).collect())
    }
}
