//! The body of a STATUS frame: what holds now at its sender.
//!
//! It is a DAG-CBOR map `{limits, usage, view}`. `limits` are how much may be in flight towards its
//! sender in each stream and how much its outbox towards the receiver holds at most; `usage` is how
//! much of each is taken; `view` is how its sender sees the link. Limits take effect when the frame
//! is read: whoever reads smaller ones sends nothing until what is in flight fits them.

use entente_lexicon::TrustLevel;
use serde::{Deserialize, Serialize};

use super::stream::{Stream, Streams};
use super::{MAX_NUMBER, opening};
use crate::code::Code;
use crate::handshake::fault::Misbehaved;

/// The longest body.
pub const MAX_STATUS: usize = 1024;

/// Items and bytes: a bound on both, or how much of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// Bytes; in a window their weight, see `items::weight`.
    pub bytes: u64,
    /// How many.
    pub items: u64,
}

/// An amount for each stream and one for the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amounts {
    /// Of stream ctl, in flight towards the sender of the frame.
    pub ctl: Amount,
    /// Of stream evt.
    pub evt: Amount,
    /// Of stream msg.
    pub msg: Amount,
    /// Messages in the outbox of the sender of the frame.
    pub outbox: Amount,
}

/// How the sender of the frame sees the link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outlook {
    /// What went wrong last before this session.
    pub error: Option<String>,
    /// Events it holds for the receiver.
    pub events: u64,
    /// The level it holds the receiver at.
    pub level: TrustLevel,
    /// The age of the oldest message it holds for the receiver, in milliseconds.
    pub oldest: Option<u64>,
    /// Messages it holds for the receiver.
    pub queued: u64,
    /// The last round trip it measured, in milliseconds.
    pub rtt: Option<u64>,
}

/// A STATUS body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Bounds.
    pub limits: Amounts,
    /// How much of them is taken.
    pub usage: Amounts,
    /// How its sender sees the link.
    pub view: Outlook,
}

impl Amounts {
    /// Returns what belongs to the streams.
    #[must_use]
    pub const fn streams(&self) -> Streams<Amount> {
        Streams {
            msg: self.msg,
            evt: self.evt,
            ctl: self.ctl,
        }
    }

    /// Puts the streams' amounts and the outbox's together.
    #[must_use]
    pub const fn new(streams: Streams<Amount>, outbox: Amount) -> Self {
        Self {
            ctl: streams.ctl,
            evt: streams.evt,
            msg: streams.msg,
            outbox,
        }
    }

    fn numbers(&self) -> [u64; 8] {
        let [ctl, evt, msg, outbox] =
            [self.ctl, self.evt, self.msg, self.outbox].map(|amount| (amount.bytes, amount.items));
        [ctl.0, ctl.1, evt.0, evt.1, msg.0, msg.1, outbox.0, outbox.1]
    }
}

impl Status {
    /// Writes a body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        opening::encode(self)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`Misbehaved::MalformedFrame`].
    pub fn decode(body: &[u8]) -> Result<Self, Misbehaved> {
        if body.len() > MAX_STATUS {
            return Err(Misbehaved::MalformedFrame);
        }
        let status: Self =
            serde_ipld_dagcbor::from_slice(body).map_err(|_error| Misbehaved::MalformedFrame)?;
        let windows = status.limits.streams();
        let open = |stream| {
            let window = windows.of(stream);
            window.items > 0 && window.bytes > 0
        };
        let code = |text: &String| Code::parse(text).is_some();
        let view = &status.view;
        let numbers = [
            view.queued,
            view.events,
            view.oldest.unwrap_or(0),
            view.rtt.unwrap_or(0),
        ];
        let small = |number: &u64| *number <= MAX_NUMBER;
        let right = Stream::ALL.into_iter().all(open)
            && view.error.as_ref().is_none_or(code)
            && numbers.iter().all(small)
            && status.limits.numbers().iter().all(small)
            && status.usage.numbers().iter().all(small);
        if right {
            Ok(status)
        } else {
            Err(Misbehaved::MalformedFrame)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status() -> Status {
        let amount = |n| Amount { bytes: n, items: n };
        let streams = Streams {
            msg: amount(3),
            evt: amount(2),
            ctl: amount(1),
        };
        Status {
            limits: Amounts::new(streams, amount(4)),
            usage: Amounts::default(),
            view: Outlook {
                error: Some("PEER_UNREACHABLE".into()),
                events: 0,
                level: TrustLevel::Open,
                oldest: Some(7),
                queued: 1,
                rtt: None,
            },
        }
    }

    #[test]
    fn a_status_reads_back_and_fits_its_bound_at_its_largest() {
        assert_eq!(Status::decode(&status().encode()), Ok(status()));
        let most = Amount {
            bytes: MAX_NUMBER,
            items: MAX_NUMBER,
        };
        let mut largest = status();
        largest.limits = Amounts::new(Streams::each(|_| most), most);
        largest.usage = largest.limits;
        largest.view = Outlook {
            error: Some("X".repeat(32)),
            events: MAX_NUMBER,
            level: TrustLevel::Allowlist,
            oldest: Some(MAX_NUMBER),
            queued: MAX_NUMBER,
            rtt: Some(MAX_NUMBER),
        };
        let bytes = largest.encode();
        assert!(bytes.len() <= MAX_STATUS, "{}", bytes.len());
        assert_eq!(Status::decode(&bytes), Ok(largest));
    }

    #[test]
    fn closed_windows_huge_numbers_and_texts_that_are_no_codes_are_malformed() {
        let refused = |change: fn(&mut Status)| {
            let mut bad = status();
            change(&mut bad);
            assert_eq!(
                Status::decode(&bad.encode()),
                Err(Misbehaved::MalformedFrame)
            );
        };
        refused(|status| status.limits.msg.items = 0);
        refused(|status| status.limits.ctl.bytes = 0);
        refused(|status| status.usage.outbox.bytes = MAX_NUMBER + 1);
        refused(|status| status.view.queued = MAX_NUMBER + 1);
        refused(|status| status.view.error = Some("<b>".into()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            at: prop::sample::Index,
            with: u8,
        ) {
            let _ = Status::decode(&bytes);
            let mut body = status().encode();
            let at = at.index(body.len());
            body[at] = with;
            if let Ok(read) = Status::decode(&body) {
                prop_assert_eq!(read.encode(), body, "only canonical bodies are read");
            }
        }
    }
}
