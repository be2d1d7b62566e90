//! Reputation: what the endorsements that were verified here say of an agent, weighed here.
//!
//! A score is for people and for agents that ask. It opens no door: `entente_trust::policy`, which
//! decides what crosses, is below this crate and cannot see it. All arithmetic is in integers, so every
//! network that holds the same endorsements at the same instant comes to the same score. No I/O, no
//! clock, no entropy. Start reading at [`weigh`]; `docs/protocol/reputation.md` is the specification.

mod mass;
mod statement;
mod weigh;

pub use statement::{
    COLLECTION, Given, MAX_AHEAD_MS, MAX_TRAVEL_MS, Said, Statement, StatementError,
};
pub use weigh::{
    Contribution, Endorsement, HALF_LIFE_MS, MATES_CAP, MAX_HEARD, NETWORK_CAP, PRIOR_SCORE,
    PRIOR_WEIGHT, Reputation, STRANGERS_CAP, Silence, SkillScore, Speaker, Subject, VOICE, decayed,
    weigh,
};
