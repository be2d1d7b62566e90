//! Links and levels in words and shapes.

use entente_lexicon::TrustLevel;
use entente_lexicon::api::LinkState;

/// Returns the name of a state, for styles and screen readers.
#[must_use]
pub fn state_name(state: LinkState) -> &'static str {
    match state {
        LinkState::Connecting => "connecting",
        LinkState::Up => "up",
        LinkState::Idle => "idle",
        LinkState::Unreachable => "unreachable",
        LinkState::Waiting => "waiting for approval",
        LinkState::Refused => "refused",
        LinkState::Frozen => "frozen",
    }
}

/// Says in a clause what a state means.
#[must_use]
pub fn state_sentence(state: LinkState) -> &'static str {
    match state {
        LinkState::Connecting => "the link is being made",
        LinkState::Up => "the link is up",
        LinkState::Idle => "the link is idle and opens with the next message",
        LinkState::Unreachable => "it does not answer, and we keep dialling",
        LinkState::Waiting => "an admin has to approve first",
        LinkState::Refused => "the link is refused",
        LinkState::Frozen => "its keys changed unproven, and the link waits for an admin",
    }
}

/// Draws a state inside a circle of radius 5 around the origin.
#[must_use]
pub fn state_icon(state: LinkState) -> &'static str {
    match state {
        LinkState::Connecting => "M-3.5 0h.01M0 0h.01M3.5 0h.01",
        LinkState::Up => "M-3.2 .2-1 2.5 3.4-2.4",
        LinkState::Idle => "M-1.8-2.8v5.6M1.8-2.8v5.6",
        LinkState::Unreachable => "M0-3.4V.6M0 3.2h.01",
        LinkState::Waiting => "M0-2.8V0L2 1.4",
        LinkState::Refused => "M-2.6-2.6 2.6 2.6M2.6-2.6-2.6 2.6",
        LinkState::Frozen => "M0-3.6v7.2M-3.1-1.8 3.1 1.8M3.1-1.8-3.1 1.8",
    }
}

/// Says in a sentence what a level lets through.
#[must_use]
pub fn level_sentence(level: TrustLevel) -> &'static str {
    match level {
        TrustLevel::Open => "Every agent may write to every agent, both ways.",
        TrustLevel::Allowlist => "Only the peer's agents you list may write and be written to.",
        TrustLevel::Verified => {
            "As listed, once both admins have approved each other by fingerprint."
        }
        TrustLevel::Private => "No link and no messages, in either direction.",
    }
}
