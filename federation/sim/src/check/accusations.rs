//! Honest peers are not accused.
//!
//! Two faults are found with honest peers too, and only while things break:
//! `HANDSHAKE_TIMEOUT`, when a stall, a partition or a death falls into a handshake; and
//! `STALE_DIAL`, when a stall holds an AUTH back until its dialler has given up and dialled anew.
//! Nobody rolls a store back here, so its three events are faults of the core as well.

use entente_federation::{Event, Misbehaved, Stream};

use super::Check;
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct Accusations;

impl Check for Accusations {
    fn name(&self) -> &'static str {
        "no honest accusation"
    }

    fn see(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Told { end, event, calm } = fact else {
            return Ok(());
        };
        let fair = match event {
            Event::Misbehaved { how, .. } => {
                !calm && matches!(how, Misbehaved::HandshakeTimeout | Misbehaved::StaleDial)
            }
            // Events make room for newer ones; `gaps` looks at those.
            Event::Gap { stream, .. } => *stream == Stream::Evt,
            Event::RolledBack { .. } | Event::PeerReset { .. } | Event::StoreBroken { .. } => false,
            // Policies differ; what is no event is nobody's in an honest world.
            Event::Refused { code, .. } => !code.as_str().starts_with("EVENT_"),
            Event::Up { .. } | Event::Idle | Event::Down { .. } => true,
        };
        if fair {
            Ok(())
        } else {
            Err(format!("end {end} says {event:?}"))
        }
    }
}
