//! How often callers may call an agent: each has a pace of its own, so that one who calls without end is
//! told to wait and the others are not.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use entente_lexicon::Timestamp;
use entente_lexicon::pace::{Pace, Rate};

/// Calls of one caller at once after a rest.
const BURST: u32 = 300;
/// After a burst, one call in so many milliseconds.
const SPACING_MS: u64 = 200;
/// Callers that are told apart; what exceeds them shares one pace.
const MAX_CALLERS: usize = 1_024;
/// The pace of those who are not told apart.
const OTHERS: &str = "";

const RATE: Rate = Rate {
    burst: BURST,
    spacing_ms: SPACING_MS,
};

/// The callers that called lately.
#[derive(Debug, Default)]
pub struct Paces(BTreeMap<String, Pace>);

impl Paces {
    /// Counts a call.
    ///
    /// # Errors
    /// The seconds after which the caller may call again, if it has called too often.
    pub fn admit(&mut self, caller: &str, now: Timestamp) -> Result<(), u64> {
        if self.0.len() >= MAX_CALLERS && !self.0.contains_key(caller) {
            self.0
                .retain(|_, pace| RATE.by_now(*pace, now).room < BURST);
        }
        let is_known = self.0.contains_key(caller) || self.0.len() < MAX_CALLERS;
        let name = if is_known { caller } else { OTHERS };
        let known = self.0.get(name).copied();
        let mut pace = RATE.by_now(known.unwrap_or(RATE.rested(now)), now);
        let admitted = pace.room.checked_sub(1);
        pace.room = admitted.unwrap_or(0);
        self.0.insert(name.to_owned(), pace);
        match admitted {
            Some(_) => Ok(()),
            None => Err(SPACING_MS.div_ceil(1_000)),
        }
    }
}

/// Returns by what a caller without a key is known: its address, of IPv6 the network that it may choose
/// its address in.
#[must_use]
pub fn of_address(address: Option<&str>) -> String {
    match address.map(str::parse::<IpAddr>) {
        Some(Ok(IpAddr::V4(address))) => address.to_string(),
        Some(Ok(IpAddr::V6(address))) => {
            let network = address.to_bits() >> 64 << 64;
            format!("{}/64", Ipv6Addr::from_bits(network))
        }
        Some(Err(_)) | None => OTHERS.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[test]
    fn who_calls_without_end_waits_and_others_do_not() {
        let mut paces = Paces::default();
        for _ in 0..BURST {
            assert_eq!(paces.admit("a", NOW), Ok(()));
        }
        assert_eq!(paces.admit("a", NOW), Err(1));
        assert_eq!(paces.admit("b", NOW), Ok(()));
        let later = NOW.after(SPACING_MS);
        assert_eq!(paces.admit("a", later), Ok(()));
        assert_eq!(paces.admit("a", later), Err(1));
        let rested = NOW.after(SPACING_MS * u64::from(BURST) * 2);
        let admitted = (0..BURST * 2).filter(|_| paces.admit("a", rested).is_ok());
        assert_eq!(admitted.count(), BURST as usize);
    }

    #[test]
    fn however_many_call_what_is_remembered_is_bounded_and_they_share_a_pace() {
        let mut paces = Paces::default();
        let admitted = (0..10_000).filter(|n| paces.admit(&n.to_string(), NOW).is_ok());
        assert_eq!(admitted.count(), MAX_CALLERS + BURST as usize);
        assert!(paces.0.len() <= MAX_CALLERS + 1);
        // Whoever rested makes room.
        let rested = NOW.after(SPACING_MS * u64::from(BURST));
        assert_eq!(paces.admit("new", rested), Ok(()));
        assert!(paces.0.len() < 10);
    }

    #[test]
    fn of_an_ipv6_address_its_network_counts() {
        assert_eq!(of_address(Some("192.0.2.7")), "192.0.2.7");
        assert_eq!(
            of_address(Some("2001:db8:1:2:3:4:5:6")),
            "2001:db8:1:2::/64"
        );
        assert_eq!(of_address(Some("2001:db8:1:2::9")), "2001:db8:1:2::/64");
        assert_eq!(of_address(Some("nonsense")), of_address(None));
    }
}
