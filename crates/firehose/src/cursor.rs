//! Where a subscriber is in the sequence of events.

use std::fmt;
use std::str::FromStr;

/// The longest cursor, in bytes.
const MAX_CURSOR: usize = 64;

/// The place after an event. Its text is `<epoch>.<seq>`; clients pass it back as they got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which sequence: a relay that lost its storage begins another.
    pub epoch: String,
    /// The number of the last event before it; the first event has 1.
    pub seq: u64,
}

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is what an earlier frame said")]
pub struct BadCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (epoch, seq) = text.split_once('.').ok_or(BadCursor)?;
        let sound = text.len() <= MAX_CURSOR
            && !epoch.is_empty()
            && epoch.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && seq.bytes().all(|byte| byte.is_ascii_digit());
        let seq = seq.parse().ok().filter(|_| sound).ok_or(BadCursor)?;
        Ok(Self {
            epoch: epoch.to_owned(),
            seq,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        let cursor = Cursor {
            epoch: "0a1b2c".to_owned(),
            seq: 17,
        };
        assert_eq!(cursor.to_string(), "0a1b2c.17");
        assert_eq!("0a1b2c.17".parse(), Ok(cursor));
        for bad in [
            "", ".", "a.", ".1", "a.b", "a.+1", "a.-1", "a.1.2", "ä.1", "a 1",
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
        assert!(format!("a.{}", "1".repeat(70)).parse::<Cursor>().is_err());
    }
}
