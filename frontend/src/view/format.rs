//! Instants, durations and identifiers as people read them.

use entente_lexicon::Timestamp;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Identifiers longer than this are shortened in the middle.
const MAX_ID_CHARS: usize = 18;
const DID_PREFIX: &str = "did:cf:";
const ANONYMOUS_PREFIX: &str = "anon-";
const ANONYMOUS_CHARS: usize = 11;

/// Shows the local wall clock as `14:03:09`; `offset_min` is what local time is ahead of UTC.
#[must_use]
pub fn clock(at: Timestamp, offset_min: i32) -> String {
    let ms = local_ms(at, offset_min) % DAY_MS;
    format!(
        "{:02}:{:02}:{:02}",
        ms / HOUR_MS,
        ms % HOUR_MS / MINUTE_MS,
        ms % MINUTE_MS / SECOND_MS
    )
}

/// As [`clock`], with milliseconds: `14:03:09.120`.
#[must_use]
pub fn clock_ms(at: Timestamp, offset_min: i32) -> String {
    format!("{}.{:03}", clock(at, offset_min), at.0 % SECOND_MS)
}

fn local_ms(at: Timestamp, offset_min: i32) -> u64 {
    let offset = u64::from(offset_min.unsigned_abs()).saturating_mul(MINUTE_MS);
    if offset_min < 0 {
        at.0.saturating_sub(offset)
    } else {
        at.0.saturating_add(offset)
    }
}

/// Shows how long ago something was: `now`, `12s ago`, `3m ago`, `2h ago`, `4d ago`.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    match now.since(at) {
        ms if ms < 5 * SECOND_MS => "now".to_owned(),
        ms if ms < MINUTE_MS => format!("{}s ago", ms / SECOND_MS),
        ms if ms < HOUR_MS => format!("{}m ago", ms / MINUTE_MS),
        ms if ms < DAY_MS => format!("{}h ago", ms / HOUR_MS),
        ms => format!("{}d ago", ms / DAY_MS),
    }
}

/// Shows a duration: `23 ms`, `1.2 s`, `3 min`, `2 h`, `4 d`.
#[must_use]
pub fn duration(ms: u64) -> String {
    match ms {
        0..SECOND_MS => format!("{ms} ms"),
        SECOND_MS..MINUTE_MS => format!("{}.{} s", ms / SECOND_MS, ms % SECOND_MS / 100),
        MINUTE_MS..HOUR_MS => format!("{} min", ms / MINUTE_MS),
        HOUR_MS..DAY_MS => format!("{} h", ms / HOUR_MS),
        DAY_MS.. => format!("{} d", ms / DAY_MS),
    }
}

/// Shows a size: `12 B`, `3 KiB`, `4 MiB`.
#[must_use]
pub fn bytes(number: u64) -> String {
    match number {
        0..1_024 => format!("{number} B"),
        1_024..1_048_576 => format!("{} KiB", number / 1_024),
        1_048_576.. => format!("{} MiB", number / 1_048_576),
    }
}

/// Shows a number in groups of three: `12 345`, with narrow no-break spaces.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Shortens a DID or another long identifier in its middle: `k3f9ab…wxyz`. Of an anonymous id,
/// which only need differ from others on the page, the beginning is enough: `anon-k3f9ab`.
#[must_use]
pub fn short_id(id: &str) -> String {
    let text = id.strip_prefix(DID_PREFIX).unwrap_or(id);
    if text.starts_with(ANONYMOUS_PREFIX) {
        return text.chars().take(ANONYMOUS_CHARS).collect();
    }
    if text.chars().count() <= MAX_ID_CHARS {
        return text.to_owned();
    }
    let head: String = text.chars().take(6).collect();
    let tail: String = text.chars().skip(text.chars().count() - 4).collect();
    format!("{head}…{tail}")
}

/// Shortens a text to `max` characters with an ellipsis at its end.
#[must_use]
pub fn clip(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let head: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{head}…")
}

/// Writes a number with the noun it counts: `1 agent`, `2 agents`.
#[must_use]
pub fn plural(number: usize, noun: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_local() {
        let at = Timestamp(1_769_860_800_123);
        assert_eq!(clock(at, 0), "12:00:00");
        assert_eq!(clock(at, 330), "17:30:00");
        assert_eq!(clock(at, -780), "23:00:00");
        assert_eq!(clock_ms(at, 60), "13:00:00.123");
    }

    #[test]
    fn ages_and_durations_use_one_unit() {
        let now = Timestamp(10 * DAY_MS);
        for (back, text) in [
            (0, "now"),
            (4_999, "now"),
            (59_000, "59s ago"),
            (60_000, "1m ago"),
            (2 * HOUR_MS, "2h ago"),
            (3 * DAY_MS, "3d ago"),
        ] {
            assert_eq!(ago(Timestamp(now.0 - back), now), text);
        }
        assert_eq!(ago(Timestamp(now.0 + 1), now), "now");
        for (ms, text) in [
            (23, "23 ms"),
            (1_250, "1.2 s"),
            (61_000, "1 min"),
            (HOUR_MS, "1 h"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }

    #[test]
    fn numbers_and_ids_are_shortened_for_reading() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(short_id("alice"), "alice");
        let did = format!("did:cf:abcdef{}wxyz", "m".repeat(42));
        assert_eq!(short_id(&did), "abcdef…wxyz");
        assert_eq!(short_id("anon-k3f9abcdefghijkl"), "anon-k3f9ab");
        assert_eq!(clip("hello", 5), "hello");
        assert_eq!(clip("hello", 4), "hel…");
        assert_eq!(plural(1, "agent"), "1 agent");
        assert_eq!(plural(0, "agent"), "0 agents");
    }
}
