//! What an observer may see of an event: its kind, its time, and ids that mean nothing. Pure.
//!
//! An id is stable within a UTC day and cannot be linked across days: it is an HMAC of the DID
//! under a key that is derived for that day from a secret that never leaves the relay.

use entente_lexicon::api::Event;
use entente_lexicon::id::BASE32;
use entente_lexicon::{Address, Timestamp};
use entente_trust::crypto::kdf::Prk;
use entente_trust::crypto::mac::hmac_sha256;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// 80 bits: enough that two of a network's agents never share one.
const ID_BYTES: usize = 10;

/// Turns names into ids that mean nothing.
#[derive(Debug)]
pub struct Anonymiser {
    secret: Prk,
}

impl Anonymiser {
    /// Makes an anonymiser from the relay's secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self {
            secret: Prk::extract(b"entente observers", secret),
        }
    }

    /// Returns the id of a DID, or of an address by its DID, on the UTC day of `at`.
    #[must_use]
    pub fn id(&self, name: &str, at: Timestamp) -> String {
        let day = at.0 / DAY_MS;
        let key = self.secret.expand(&[b"day", &day.to_be_bytes()]);
        let address = name.parse::<Address>();
        let did = address
            .as_ref()
            .map_or(name, |address| address.did.as_str());
        let tag = hmac_sha256(&*key, &[did.as_bytes()]);
        let short = tag.get(..ID_BYTES).unwrap_or_default();
        format!("anon-{}", BASE32.encode(short))
    }

    /// Returns what an observer sees of an event: no names, ids, labels or addresses; the peer and
    /// the reason only where the event is about a link, which is public anyway. An announcement is
    /// for everybody, as its agent signed it, and is shown whole.
    #[must_use]
    pub fn event(&self, event: &Event) -> Event {
        if event.kind.starts_with("announcement.") {
            return event.clone();
        }
        // Who reads when is told to the writer alone, and how a task goes to its two agents.
        let is_theirs = event.kind == "message.read" || event.kind.starts_with("task.");
        let hide = |name: &Option<String>| {
            let name = name.as_ref().filter(|_| !is_theirs);
            name.map(|name| self.id(name, event.at))
        };
        let about_link = event.kind.starts_with("link.") || event.kind.starts_with("peer.");
        let public = |text: &Option<String>| text.clone().filter(|_| about_link);
        Event {
            seq: event.seq,
            kind: event.kind.clone(),
            at: event.at,
            from: hide(&event.from),
            to: hide(&event.to),
            message: None,
            peer: public(&event.peer),
            code: public(&event.code),
            label: None,
            latency_ms: None,
            more: event.more,
        }
    }
}

#[cfg(test)]
mod tests {
    use entente_lexicon::Did;

    use super::*;

    const NOON: Timestamp = Timestamp(1_769_860_800_000);

    fn did(byte: u8) -> String {
        Did::from_scid(&[byte; 32]).to_string()
    }

    fn message() -> Event {
        Event {
            seq: 7,
            kind: "message.refused".to_owned(),
            at: NOON,
            from: Some(format!("{}@localhost:8701", did(1))),
            to: Some(format!("{}@secret.example", did(2))),
            message: Some("m".repeat(26)),
            peer: Some("secret.example".to_owned()),
            code: Some("NOT_ALLOWED".to_owned()),
            label: Some("demo script".to_owned()),
            latency_ms: Some(987_654),
            more: None,
        }
    }

    #[test]
    fn an_id_is_stable_within_a_day_and_changes_with_the_next() {
        let anonymiser = Anonymiser::new(b"secret");
        let id = anonymiser.id(&did(1), NOON);
        assert_eq!(id, anonymiser.id(&did(1), NOON.after(3_600_000)));
        assert_ne!(id, anonymiser.id(&did(1), NOON.after(DAY_MS)));
        assert_ne!(id, anonymiser.id(&did(2), NOON));
        assert_ne!(id, Anonymiser::new(b"other").id(&did(1), NOON));
    }

    #[test]
    fn an_address_has_the_id_of_its_did() {
        let anonymiser = Anonymiser::new(b"secret");
        let address = format!("{}@localhost:8701", did(1));
        assert_eq!(anonymiser.id(&address, NOON), anonymiser.id(&did(1), NOON));
    }

    #[test]
    fn nothing_that_names_anyone_is_left_of_a_message() {
        let seen = Anonymiser::new(b"secret").event(&message());
        let text = serde_json::to_string(&seen).unwrap();
        for secret in [
            "did:cf",
            "@",
            "localhost",
            "secret",
            "mmm",
            "demo",
            "NOT_",
            "987654",
        ] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert_eq!(
            (seen.seq, seen.kind.as_str(), seen.at),
            (7, "message.refused", NOON)
        );
        assert!(seen.from.is_some() && seen.to.is_some() && seen.from != seen.to);
    }

    #[test]
    fn who_reads_when_is_told_to_no_observer() {
        let read = Event {
            kind: "message.read".to_owned(),
            ..message()
        };
        let seen = Anonymiser::new(b"secret").event(&read);
        assert_eq!((seen.from, seen.to, seen.message), (None, None, None));
    }

    #[test]
    fn an_announcement_is_for_everybody() {
        let announced = Event {
            kind: "announcement.made".to_owned(),
            to: None,
            code: None,
            latency_ms: None,
            label: Some("agent.public.announcement".to_owned()),
            ..message()
        };
        assert_eq!(Anonymiser::new(b"secret").event(&announced), announced);
    }

    #[test]
    fn an_event_of_a_link_names_the_peer() {
        let link = Event {
            kind: "link.down".to_owned(),
            from: None,
            to: None,
            ..message()
        };
        let seen = Anonymiser::new(b"secret").event(&link);
        assert_eq!(seen.peer.as_deref(), Some("secret.example"));
        assert_eq!(seen.code.as_deref(), Some("NOT_ALLOWED"));
        assert_eq!((seen.message, seen.label), (None, None));
    }
}
