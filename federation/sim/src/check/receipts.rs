//! Every accepted message ends with one answer to its sender: delivered, and then the agent holds
//! it, or refused.
//!
//! "Refused" may be untrue in one way that no protocol avoids: the agent has committed, the
//! answer is lost with a machine, and before the message is offered again one side's policy
//! changes. Such messages are counted, not objected to. What a link must never do is hand a message
//! on after it stored its refusal.

use std::collections::BTreeMap;

use super::Check;
use crate::fact::{Fact, number};

#[derive(Clone, Copy, Debug, Default)]
struct Course {
    accepted: bool,
    committed: bool,
    rejected: bool,
    told: Option<Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Delivered,
    Refused,
    Withdrawn,
    Expired,
    Unknown,
}

#[derive(Debug, Default)]
pub(crate) struct Receipts {
    courses: BTreeMap<u64, Course>,
}

impl Receipts {
    /// How many agents hold of what was withdrawn, and of what was refused by the peer.
    pub(crate) fn refused_but_held(&self) -> (u64, u64) {
        let held = |told| {
            let untrue = |c: &&Course| c.committed && c.told == Some(told);
            self.courses.values().filter(untrue).count() as u64
        };
        (held(Told::Withdrawn), held(Told::Refused))
    }

    fn tell(&mut self, message: u64, told: Told) -> Result<(), String> {
        let course = self.courses.entry(message).or_default();
        if let Some(before) = course.told.replace(told) {
            return Err(format!("message {message} was {before:?}, then {told:?}"));
        }
        if told == Told::Delivered && !course.committed {
            return Err(format!(
                "message {message} was acknowledged, but no agent holds it"
            ));
        }
        if told == Told::Expired && course.committed {
            return Err(format!(
                "message {message} expired before it was sent, but an agent holds it"
            ));
        }
        Ok(())
    }
}

impl Check for Receipts {
    fn name(&self) -> &'static str {
        "one true answer per message"
    }

    fn see(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Accepted { item, .. } => {
                self.courses.entry(number(&item.id)).or_default().accepted = true;
            }
            Fact::Committed { message, .. } => {
                let course = self.courses.entry(*message).or_default();
                course.committed = true;
                if course.told == Some(Told::Expired) {
                    return Err(format!(
                        "an agent holds message {message}, which expired before it was sent"
                    ));
                }
            }
            Fact::Rejected { message } => {
                self.courses.entry(*message).or_default().rejected = true;
            }
            Fact::Handed { item, end, .. } => {
                let message = number(&item.id);
                if self.courses.get(&message).is_some_and(|c| c.rejected) {
                    return Err(format!(
                        "end {end} handed on message {message} after it stored its refusal"
                    ));
                }
            }
            Fact::Refused { message } => return self.tell(*message, Told::Refused),
            Fact::Withdrawn { message } => return self.tell(*message, Told::Withdrawn),
            Fact::Expired { message } => return self.tell(*message, Told::Expired),
            Fact::Unconfirmed {
                message,
                is_final: true,
            } => return self.tell(*message, Told::Unknown),
            Fact::Settled { message, refused } => {
                let told = if *refused {
                    Told::Refused
                } else {
                    Told::Delivered
                };
                return self.tell(*message, told);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        let open = |(_, c): &(&u64, &Course)| c.accepted && c.told.is_none();
        match self.courses.iter().find(open) {
            Some((message, _)) => Err(format!("nobody told what became of message {message}")),
            None => Ok(()),
        }
    }
}
