//! Small files that remember from what something was made, so that it is not made twice.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};

/// Gathers everything an output depends on into one number (64-bit FNV-1a; not for security).
#[derive(Clone, Copy)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// Starts empty.
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds bytes.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // Lengths keep ("a", "bc") apart from ("ab", "c").
        self.0 = (self.0 ^ bytes.len() as u64).wrapping_mul(0x0100_0000_01b3);
        self
    }

    /// Adds a file's content.
    pub(crate) fn content(self, path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(self.bytes(&bytes))
    }

    /// Adds a large file by its length and time of change.
    pub(crate) fn metadata(self, path: &Path) -> Result<Self> {
        let metadata =
            fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        let changed = metadata
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(self
            .bytes(path.to_string_lossy().as_bytes())
            .bytes(&metadata.len().to_le_bytes())
            .bytes(&changed.as_nanos().to_le_bytes()))
    }

    /// Adds all files below a folder, in order of their names.
    pub(crate) fn folder(mut self, folder: &Path) -> Result<Self> {
        let mut entries: Vec<_> = fs::read_dir(folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .collect::<Result<_, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            self = self.bytes(entry.file_name().to_string_lossy().as_bytes());
            self = if path.is_dir() {
                self.folder(&path)?
            } else {
                self.content(&path)?
            };
        }
        Ok(self)
    }

    /// Whether the stamp at `path` says the same.
    pub(crate) fn matches(self, path: &Path) -> bool {
        fs::read_to_string(path).is_ok_and(|text| text == self.text())
    }

    /// Writes the stamp.
    pub(crate) fn write(self, path: &Path) -> Result<()> {
        fs::write(path, self.text()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn text(self) -> String {
        format!("{:016x}\n", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_between_parts_count() {
        let one = Fingerprint::new().bytes(b"a").bytes(b"bc");
        let two = Fingerprint::new().bytes(b"ab").bytes(b"c");
        assert_ne!(one.text(), two.text());
    }
}
