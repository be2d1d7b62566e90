//! Instants as the drivers tell them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since the Unix epoch, as told by the driver.
///
/// JSON shows it as an RFC 3339 string in UTC with millisecond precision
/// (`2026-11-22T10:00:00.000Z`); binary formats carry the integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// The latest instant RFC 3339 can name: the last millisecond of the year 9999.
const MAX_MS: u64 = 253_402_300_799_999;

impl Timestamp {
    /// Returns the instant `millis` later, saturating at the end of time.
    #[must_use]
    pub const fn after(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Returns how many milliseconds have passed since `earlier`, or 0 if it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Parses an RFC 3339 instant at or after the Unix epoch; sub-millisecond digits are dropped.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let millis = instant.unix_timestamp_nanos() / 1_000_000;
        u64::try_from(millis).ok().map(Self)
    }

    /// Parses an RFC 3339 instant; one before the Unix epoch is taken for the epoch.
    #[must_use]
    pub fn parse_or_epoch(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| is_rfc3339(text).then_some(Self(0)))
    }
}

/// Tells whether `text` names an instant in RFC 3339 that UTC can name so too, before 1970 as well.
pub(crate) fn is_rfc3339(text: &str) -> bool {
    OffsetDateTime::parse(text, &Rfc3339)
        .is_ok_and(|instant| instant.unix_timestamp_nanos() / 1_000_000 <= i128::from(MAX_MS))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clamped = self.0.min(MAX_MS);
        let nanos = i128::from(clamped) * 1_000_000;
        let instant =
            OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = instant.to_calendar_date();
        let (hour, minute, second, milli) = instant.to_hms_milli();
        write!(
            f,
            "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z",
            u8::from(month)
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Self::parse(&text).ok_or_else(|| {
                serde::de::Error::custom("not an RFC 3339 instant such as 2026-01-31T12:00:00.000Z")
            })
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shows_milliseconds_in_utc() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            Timestamp(1_769_860_800_123).to_string(),
            "2026-01-31T12:00:00.123Z"
        );
    }

    #[test]
    fn refuses_what_is_not_an_instant() {
        for bad in [
            "",
            "now",
            "2026-01-31",
            "2026-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_reads_back(millis in 0..=MAX_MS) {
            let instant = Timestamp(millis);
            prop_assert_eq!(Timestamp::parse(&instant.to_string()), Some(instant));
        }
    }
}
