//! How a link's state changed, as a bar of time.

use entente_lexicon::Timestamp;
use entente_lexicon::link_view::{LinkMessage, Transition};

use crate::view::format::duration;
use crate::view::peer::state_name;

/// A stretch of time in one state.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// The state's name.
    pub state: &'static str,
    /// Its part of the whole, in per cent.
    pub part: f64,
    /// For how long, and why: `up for 3 min`, `unreachable for 12 s, PEER_UNREACHABLE`.
    pub said: String,
}

/// Turns changes of state, oldest first, into stretches that fill the time until now.
#[must_use]
pub fn stretches(history: &[Transition], now: Timestamp) -> Vec<Stretch> {
    let Some(first) = history.first() else {
        return Vec::new();
    };
    let whole = now.since(first.at).max(1);
    let ends = history
        .iter()
        .skip(1)
        .map(|next| next.at)
        .chain(std::iter::once(now));
    history
        .iter()
        .zip(ends)
        .map(|(change, end)| {
            let ms = end.since(change.at);
            let state = state_name(change.state);
            let why = change
                .code
                .as_ref()
                .map_or_else(String::new, |code| format!(", {code}"));
            Stretch {
                state,
                part: ms as f64 * 100.0 / whole as f64,
                said: format!("{state} for {}{why}", duration(ms)),
            }
        })
        .collect()
}

/// Says how far a message came and how long that took.
#[must_use]
pub fn journey(message: &LinkMessage, now: Timestamp) -> String {
    let took = |until: Timestamp| duration(until.since(message.stored_at));
    match (message.status.as_str(), message.ended_at) {
        ("waiting", _) => format!("waiting for {}", took(now)),
        (status, Some(at)) => format!("{status} after {}", took(at)),
        (status, None) => status.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use entente_lexicon::api::LinkState;

    use super::*;

    fn change(at: u64, state: LinkState, code: Option<&str>) -> Transition {
        Transition {
            at: Timestamp(at),
            state,
            code: code.map(str::to_owned),
        }
    }

    #[test]
    fn stretches_fill_the_time_from_the_first_change_until_now() {
        let history = [
            change(1_000, LinkState::Up, None),
            change(4_000, LinkState::Unreachable, Some("SILENCE")),
        ];
        let found = stretches(&history, Timestamp(5_000));
        let parts: Vec<_> = found.iter().map(|s| (s.state, s.part)).collect();
        assert_eq!(parts, [("up", 75.0), ("unreachable", 25.0)]);
        assert_eq!(found[1].said, "unreachable for 1.0 s, SILENCE");
        assert_eq!(stretches(&[], Timestamp(5)), []);
    }

    #[test]
    fn a_message_says_how_far_it_came() {
        let message = |status: &str, ended: Option<u64>| LinkMessage {
            id: String::new(),
            from: String::new(),
            to: String::new(),
            seq: 1,
            stored_at: Timestamp(1_000),
            ended_at: ended.map(Timestamp),
            status: status.to_owned(),
            code: None,
        };
        let now = Timestamp(3_000);
        assert_eq!(journey(&message("waiting", None), now), "waiting for 2.0 s");
        let delivered = journey(&message("delivered", Some(1_040)), now);
        assert_eq!(delivered, "delivered after 40 ms");
    }
}
