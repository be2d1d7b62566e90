//! Queues and windows stay within their bounds.

use entente_federation::{Amount, Limits, Stream};

use super::Check;
use crate::fact::Fact;

/// Refusals not confirmed that a link keeps: 2,048 and what one window adds.
const MOST_REJECTS: usize = 2_048 + 1_024;
/// Frames under way on one socket: a window, its framing, and the small change beside it.
const MOST_UNDER_WAY: usize = 2 * 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Bounds;

impl Check for Bounds {
    fn name(&self) -> &'static str {
        "bounded queues and window"
    }

    fn see(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Rested(rest) | Fact::Left(rest) => {
                let limits = rest.limits;
                let within = |rows, bytes, most: Amount| rows <= most.items && bytes <= most.bytes;
                let fits = rest.rows.msg <= limits.outbox_items
                    && rest.bytes.msg <= limits.outbox_bytes
                    && within(rest.rows.evt, rest.bytes.evt, limits.outbox(Stream::Evt))
                    && within(rest.rows.ctl, rest.bytes.ctl, limits.outbox(Stream::Ctl))
                    && rest.rejects <= MOST_REJECTS;
                complain(fits, || format!("{rest:?}"))
            }
            // Where we dialled, the protocol's own limits hold, whatever ours are.
            Fact::Handed { end, waiting, .. } => {
                let most = Limits::default().window_items as usize;
                complain(*waiting <= most, || {
                    format!("{waiting} messages wait for the agents of end {end}")
                })
            }
            Fact::Transmitted { end, under_way, .. } => {
                complain(*under_way <= MOST_UNDER_WAY, || {
                    format!("{under_way} bytes are under way from end {end}")
                })
            }
            _ => Ok(()),
        }
    }
}

fn complain(fits: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if fits { Ok(()) } else { Err(what()) }
}
