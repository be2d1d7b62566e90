//! The life of the firehose socket, without the socket.

use entente_lexicon::api::FirehoseCommand;

const BASE_DELAY_MS: u64 = 500;
const MAX_DELAY_MS: u64 = 20_000;
/// After this many failures in a row the page says that it is offline; it goes on trying.
const OFFLINE_AFTER: u32 = 5;
/// A connection that lasted this long ends a row of failures.
pub const STABLE_AFTER_MS: u64 = 10_000;

/// The network is told what was read after so many frames.
const ACK_FRAMES: u32 = 200;
/// Or so many bytes.
const ACK_BYTES: usize = 256 * 1024;

/// What was read since the network was last told.
#[derive(Debug, Default)]
pub struct Unread {
    frames: u32,
    bytes: usize,
}

impl Unread {
    /// Notes a frame. Returns whether it is time to tell; then it counts anew.
    pub fn is_due(&mut self, bytes: usize) -> bool {
        self.frames = self.frames.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        let due = self.frames >= ACK_FRAMES || self.bytes >= ACK_BYTES;
        if due {
            *self = Self::default();
        }
        due
    }
}

/// Writes that everything up to a cursor was read.
#[must_use]
pub fn ack(cursor: &str) -> Option<String> {
    let ack = FirehoseCommand::Ack {
        cursor: cursor.to_owned(),
    };
    serde_json::to_string(&ack).ok()
}

/// What the connection indicator shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first connection is being made.
    Connecting,
    /// Frames are coming in.
    Connected,
    /// The connection was lost and is being made again.
    Reconnecting {
        /// Failures in a row.
        attempt: u32,
    },
    /// The browser has no network, or many attempts failed.
    Offline,
}

impl Phase {
    /// Returns what to show after `failures` in a row.
    #[must_use]
    pub fn after(failures: u32, browser_online: bool) -> Self {
        match failures {
            _ if !browser_online => Self::Offline,
            0 => Self::Connecting,
            1..OFFLINE_AFTER => Self::Reconnecting { attempt: failures },
            OFFLINE_AFTER.. => Self::Offline,
        }
    }

    /// Returns the word shown.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Connecting => "Connecting",
            Self::Connected => "Connected",
            Self::Reconnecting { .. } => "Reconnecting",
            Self::Offline => "Offline",
        }
    }

    /// Returns a stable name for tests and styles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting { .. } => "reconnecting",
            Self::Offline => "offline",
        }
    }
}

/// Returns how long to wait after `failures` in a row: it doubles up to 20 s, of which `chance`
/// (0 to 1) takes off up to a half so that viewers do not return all at once.
#[must_use]
pub fn delay_ms(failures: u32, chance: f64) -> u64 {
    let doublings = failures.saturating_sub(1).min(10);
    let full = (BASE_DELAY_MS << doublings).min(MAX_DELAY_MS);
    let percent = (chance.clamp(0.0, 1.0) * 50.0) as u64;
    full - full * percent / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_told_now_and_then_what_was_read() {
        let mut unread = Unread::default();
        let due = (0..1_000).filter(|_| unread.is_due(100)).count();
        assert_eq!(due, 5);
        assert!(!unread.is_due(ACK_BYTES - 1) && unread.is_due(1));
        assert_eq!(ack("e.7").unwrap(), r#"{"type":"ack","cursor":"e.7"}"#);
    }

    #[test]
    fn the_delay_doubles_to_a_ceiling_and_is_spread() {
        assert_eq!(delay_ms(1, 0.0), 500);
        assert_eq!(delay_ms(1, 1.0), 250);
        assert_eq!(delay_ms(3, 0.0), 2_000);
        assert_eq!(delay_ms(30, 0.0), 20_000);
        assert_eq!(delay_ms(u32::MAX, 1.0), 10_000);
    }

    #[test]
    fn many_failures_or_no_network_mean_offline() {
        assert_eq!(Phase::after(0, true), Phase::Connecting);
        assert_eq!(Phase::after(1, true), Phase::Reconnecting { attempt: 1 });
        assert_eq!(Phase::after(5, true), Phase::Offline);
        assert_eq!(Phase::after(1, false).name(), "offline");
    }
}
