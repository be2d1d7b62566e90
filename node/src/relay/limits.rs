//! How often strangers may make us fetch their documents. Pure; forgotten when the object sleeps,
//! which no stranger can bring about while it keeps asking.

use std::collections::BTreeMap;

use entente_lexicon::{Host, Timestamp};

use crate::shapes::FirstContact;

const WINDOW_MS: u64 = 60_000;
/// Per host that would be asked, and per key claimed, in a minute.
pub const EACH: u32 = 6;
/// For all hosts together and minute.
pub const TOTAL: u32 = 60;

/// Counts first contacts in windows of a minute.
#[derive(Debug, Default)]
pub struct ContactLimits {
    window: u64,
    total: u32,
    hosts: BTreeMap<Host, u32>,
    keys: BTreeMap<String, u32>,
}

impl ContactLimits {
    /// Takes a place for the host and the key of a contact, or says that there is none in this
    /// minute.
    pub fn admit(&mut self, contact: &FirstContact, now: Timestamp) -> bool {
        let window = now.0 / WINDOW_MS;
        if window != self.window {
            *self = Self {
                window,
                ..Self::default()
            };
        }
        // Full before the maps are touched, so that they hold at most as many as are admitted.
        if self.total >= TOTAL {
            return false;
        }
        let host = self.hosts.get(&contact.host).copied().unwrap_or_default();
        let key = self.keys.get(&contact.key).copied().unwrap_or_default();
        if host >= EACH || key >= EACH {
            return false;
        }
        self.hosts
            .insert(contact.host.clone(), host.saturating_add(1));
        self.keys.insert(contact.key.clone(), key.saturating_add(1));
        self.total = self.total.saturating_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(host: u32, key: u32) -> FirstContact {
        FirstContact {
            host: Host::parse(&format!("h{host}.example")).unwrap(),
            key: format!("key {key}"),
        }
    }

    #[test]
    fn a_host_has_six_a_minute_and_then_six_more() {
        let mut limits = ContactLimits::default();
        let admitted = (0..20)
            .filter(|n| limits.admit(&contact(1, *n), Timestamp(0)))
            .count();
        assert_eq!(admitted, 6);
        assert!(limits.admit(&contact(2, 1), Timestamp(0)));
        assert!(limits.admit(&contact(1, 1), Timestamp(WINDOW_MS)));
    }

    #[test]
    fn a_key_has_six_a_minute_at_however_many_hosts() {
        let mut limits = ContactLimits::default();
        let admitted = (0..20)
            .filter(|n| limits.admit(&contact(*n, 1), Timestamp(0)))
            .count();
        assert_eq!(admitted, 6);
    }

    #[test]
    fn all_hosts_together_have_sixty_a_minute_and_memory_stays_bounded() {
        let mut limits = ContactLimits::default();
        let admitted = (0..1000)
            .filter(|n| limits.admit(&contact(*n, *n), Timestamp(5)))
            .count();
        assert_eq!(admitted, 60);
        assert!(limits.hosts.len() <= 60 && limits.keys.len() <= 60);
    }
}
