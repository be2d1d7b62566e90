//! Looks for a marker in files, however it may have been written down.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use memchr::memmem;

/// A marker that must not be found, in every form that a careless program might store it.
#[derive(Clone, Debug)]
pub struct Marker {
    text: String,
    forms: Vec<(&'static str, Vec<u8>)>,
}

/// Where a marker was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The marker.
    pub marker: String,
    /// How it was written.
    pub form: &'static str,
    /// In which file or stream.
    pub place: String,
    /// At which byte.
    pub at: usize,
}

impl Marker {
    /// Prepares a marker of at least 12 characters.
    ///
    /// # Panics
    /// If it is shorter: what is left of its base64 forms would say too little.
    #[must_use]
    pub fn new(text: &str) -> Self {
        assert!(text.len() >= 12, "the marker {text:?} is too short");
        let bytes = text.as_bytes();
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut forms = vec![
            ("as it is", bytes.to_vec()),
            ("as UTF-16", wide),
            ("in hexadecimal", HEXLOWER.encode(bytes).into_bytes()),
            ("in HEXADECIMAL", HEXUPPER.encode(bytes).into_bytes()),
            ("reversed", bytes.iter().rev().copied().collect()),
        ];
        // A base64 text shows the marker in one of three ways, by where in a group of three bytes it
        // begins. Groups that also hold a neighbour's byte are left off.
        for skip in 0..3 {
            let whole = bytes.get(skip..).unwrap_or_default();
            let whole = &whole[..whole.len() / 3 * 3];
            let standard = BASE64.encode(whole);
            let url = standard.replace('+', "-").replace('/', "_");
            forms.push(("in base64url", url.into_bytes()));
            forms.push(("in base64", standard.into_bytes()));
        }
        Self {
            text: text.to_owned(),
            forms,
        }
    }

    /// Returns the marker.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Looks for the marker in `bytes`.
    #[must_use]
    pub fn find(&self, place: &str, bytes: &[u8]) -> Vec<Hit> {
        let hit = |(form, pattern): &(&'static str, Vec<u8>)| {
            let at = memmem::find(bytes, pattern)?;
            Some(Hit {
                marker: self.text.clone(),
                form,
                place: place.to_owned(),
                at,
            })
        };
        self.forms.iter().filter_map(hit).collect()
    }
}

/// Looks for markers in every file below `folder`, byte for byte. Returns the hits and the names
/// of all files read.
///
/// # Panics
/// If a file cannot be read.
#[must_use]
pub fn scan_folder(folder: &Path, markers: &[Marker]) -> (Vec<Hit>, Vec<PathBuf>) {
    let (mut hits, mut files) = (Vec::new(), Vec::new());
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("the folder can be read") {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("its type");
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                // SQLite removes its journals whenever it likes.
                let Ok(bytes) = fs::read(entry.path()) else {
                    continue;
                };
                let place = entry.path().display().to_string();
                hits.extend(
                    markers
                        .iter()
                        .flat_map(|marker| marker.find(&place, &bytes)),
                );
                files.push(entry.path());
            }
        }
    }
    (hits, files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_marker_is_found_in_every_form() {
        let marker = Marker::new("the-secret-marker-4711");
        assert!(
            marker
                .find("here", b"nothing to see, the-secret-marker-471")
                .is_empty()
        );
        for before in ["", "x", "xy", "xyz"] {
            let plain = format!("{before}the-secret-marker-4711 and more");
            let hex = HEXLOWER.encode(plain.as_bytes());
            let wide: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
            for bytes in [
                plain.clone().into_bytes(),
                hex.into_bytes(),
                wide,
                BASE64.encode(plain.as_bytes()).into_bytes(),
            ] {
                assert!(
                    !marker.find("here", &bytes).is_empty(),
                    "{before:?} {bytes:?}"
                );
            }
        }
    }
}
