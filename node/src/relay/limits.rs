//! How often strangers may make us fetch their documents. Pure; forgotten when the object sleeps,
//! which no stranger can bring about while it keeps asking.

use std::collections::BTreeMap;

use entente_lexicon::{Host, Timestamp};

const WINDOW_MS: u64 = 60_000;
/// Per claimed host and minute.
pub const PER_HOST: u32 = 6;
/// For all hosts together and minute.
pub const TOTAL: u32 = 60;

/// Counts first contacts in windows of a minute.
#[derive(Debug, Default)]
pub struct ContactLimits {
    window: u64,
    total: u32,
    hosts: BTreeMap<Host, u32>,
}

impl ContactLimits {
    /// Takes a place for `host`, or says that there is none in this minute.
    pub fn admit(&mut self, host: &Host, now: Timestamp) -> bool {
        let window = now.0 / WINDOW_MS;
        if window != self.window {
            *self = Self {
                window,
                ..Self::default()
            };
        }
        // Full before the map is touched, so that it holds at most as many hosts as are admitted.
        if self.total >= TOTAL {
            return false;
        }
        let count = self.hosts.entry(host.clone()).or_default();
        if *count >= PER_HOST {
            return false;
        }
        *count = count.saturating_add(1);
        self.total = self.total.saturating_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: u32) -> Host {
        Host::parse(&format!("h{n}.example")).unwrap()
    }

    #[test]
    fn a_host_has_six_a_minute_and_then_six_more() {
        let mut limits = ContactLimits::default();
        let admitted = (0..20)
            .filter(|_| limits.admit(&host(1), Timestamp(0)))
            .count();
        assert_eq!(admitted, 6);
        assert!(limits.admit(&host(2), Timestamp(0)));
        assert!(limits.admit(&host(1), Timestamp(WINDOW_MS)));
    }

    #[test]
    fn all_hosts_together_have_sixty_a_minute_and_memory_stays_bounded() {
        let mut limits = ContactLimits::default();
        let admitted = (0..1000)
            .filter(|n| limits.admit(&host(*n), Timestamp(5)))
            .count();
        assert_eq!(admitted, 60);
        assert!(limits.hosts.len() <= 60);
    }
}
