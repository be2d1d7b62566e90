//! A whole identity log: entries that each follow the one before.
//!
//! A [`Log`] exists only verified. Its text is one entry in canonical JSON a line; it is served in
//! pages, each a run of whole lines.

use std::collections::BTreeSet;

use entente_lexicon::id::BASE32;
use entente_lexicon::{Did, Timestamp};
use serde::{Deserialize, Serialize};

use super::entry::{KeyCommitments, LogEntry, LogError, MAX_ENTRIES, Subject};
use crate::jcs;

/// A log of which everything was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    did: Did,
    first: LogEntry,
    rest: Vec<LogEntry>,
    heads: Vec<[u8; 32]>,
    /// Digests of every update and recovery key that was named.
    spent: BTreeSet<String>,
}

/// What is remembered of a log at first use: any later one must have this entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The number of the last entry known.
    pub seq: u64,
    /// Its hash in base32.
    pub head: String,
}

/// How long a key was current, by the log's own times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Since the entry that made it current.
    pub from: Timestamp,
    /// Until the entry that replaced it.
    pub until: Option<Timestamp>,
}

impl Log {
    /// Begins with entry 0.
    ///
    /// # Errors
    /// [`LogError`] if it does not hold.
    pub fn begin(first: LogEntry) -> Result<Self, LogError> {
        let did = first.verify()?;
        let heads = vec![first.head()?];
        let spent: Vec<String> = first.single_use(None);
        let named = spent.len();
        let spent: BTreeSet<String> = spent.into_iter().collect();
        if spent.len() != named {
            return Err(LogError::UpdateKeyReused);
        }
        Ok(Self {
            did,
            first,
            rest: Vec::new(),
            heads,
            spent,
        })
    }

    /// Takes the next entry, if it is the one that may follow.
    ///
    /// # Errors
    /// [`LogError`], the first check that fails; then the log is as before.
    pub fn append(&mut self, entry: LogEntry) -> Result<(), LogError> {
        if self.heads.len() >= MAX_ENTRIES {
            return Err(LogError::TooLong);
        }
        let before = self.last();
        entry.verify_after(before, &self.head_bytes())?;
        let (new, old) = (&entry.keys().signing, &before.keys().signing);
        let returned = || self.entries().any(|known| known.keys().signing == *new);
        if new != old && returned() {
            return Err(LogError::KeyReturned);
        }
        let named = entry.single_use(Some(before));
        let twice = matches!(named.as_slice(), [a, b] if a == b);
        if twice || named.iter().any(|digest| self.spent.contains(digest)) {
            return Err(LogError::UpdateKeyReused);
        }
        self.heads.push(entry.head()?);
        self.spent.extend(named);
        self.rest.push(entry);
        Ok(())
    }

    /// Reads a whole log from its text.
    ///
    /// # Errors
    /// [`LogError`], the first check that fails.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let mut log = Self::begin(entry(first)?)?;
        log.extend(rest)?;
        Ok(log)
    }

    /// Takes a page of entries that follow.
    ///
    /// # Errors
    /// [`LogError`]; the entries before the wrong one were taken.
    pub fn extend(&mut self, page: &str) -> Result<(), LogError> {
        page.lines().try_for_each(|line| self.append(entry(line)?))
    }

    /// Writes the log: one entry a line.
    ///
    /// # Errors
    /// [`LogError::Malformed`] if an entry has no canonical form.
    pub fn to_text(&self) -> Result<String, LogError> {
        let mut text = String::new();
        for entry in self.entries() {
            let line = jcs::canonical(entry).map_err(|_error| LogError::Malformed)?;
            text.push_str(std::str::from_utf8(&line).map_err(|_error| LogError::Malformed)?);
            text.push('\n');
        }
        Ok(text)
    }

    /// Checks that this log is the one that was pinned, or continues it.
    ///
    /// # Errors
    /// [`LogError::Forked`].
    pub fn extends(&self, pin: &Pin) -> Result<(), LogError> {
        let place = usize::try_from(pin.seq).map_err(|_error| LogError::Forked)?;
        let known = self.heads.get(place).map(|head| BASE32.encode(head));
        if known.as_ref() == Some(&pin.head) {
            Ok(())
        } else {
            Err(LogError::Forked)
        }
    }

    /// Returns what to pin.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin {
            seq: self.last().seq(),
            head: BASE32.encode(&self.head_bytes()),
        }
    }

    /// Returns the DID that entry 0 makes.
    #[must_use]
    pub const fn did(&self) -> &Did {
        &self.did
    }

    /// Returns entry 0.
    #[must_use]
    pub const fn first(&self) -> &LogEntry {
        &self.first
    }

    /// Returns the head.
    #[must_use]
    pub fn last(&self) -> &LogEntry {
        self.rest.last().unwrap_or(&self.first)
    }

    /// Returns the keys that are current.
    #[must_use]
    pub fn keys(&self) -> &KeyCommitments {
        self.last().keys()
    }

    /// Returns whose log it is.
    ///
    /// # Errors
    /// Never, once verified.
    pub fn subject(&self) -> Result<Subject, LogError> {
        self.first.subject()
    }

    /// Returns all entries in order.
    pub fn entries(&self) -> impl Iterator<Item = &LogEntry> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// Tells when the signing key with this Multikey text was current, if it ever was.
    #[must_use]
    pub fn signing_span(&self, multikey: &str) -> Option<Span> {
        let current = |entry: &&LogEntry| entry.keys().signing.commits_to(multikey);
        let from = self.entries().find(current)?.time();
        let mut after = self
            .entries()
            .skip_while(|entry| !current(entry))
            .skip_while(current);
        let until = after.next().map(LogEntry::time);
        Some(Span { from, until })
    }

    fn head_bytes(&self) -> [u8; 32] {
        self.heads.last().copied().unwrap_or_default()
    }
}

/// Cuts a page out of a log's text: whole entries from number `from` on, as many as fit into
/// `max_bytes`, at least one if there is one.
#[must_use]
pub fn page(log: &str, from: u64, max_bytes: usize) -> &str {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let skipped: usize = log.split_inclusive('\n').take(from).map(str::len).sum();
    let rest = log.get(skipped..).unwrap_or_default();
    let mut length = 0_usize;
    for line in rest.split_inclusive('\n') {
        if length > 0 && length.saturating_add(line.len()) > max_bytes {
            break;
        }
        length = length.saturating_add(line.len());
    }
    rest.get(..length).unwrap_or_default()
}

fn entry(line: &str) -> Result<LogEntry, LogError> {
    serde_json::from_str(line).map_err(|_error| LogError::Malformed)
}
