//! From one author to one listener: in order, once, and accounted for.
//!
//! An author numbers what it says in a group to each listener by itself, from 1 on, and tells with each
//! post the lowest number that is still open. A listener takes a post if nothing before it is open and
//! has yet to come; whatever comes too early it refuses, and the author says it again.

/// How often a post is said to one listener before its author gives up.
pub const MAX_TRIES: u32 = 12;

/// How a post goes on that mail is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It arrived.
    Arrived,
    /// The listener is told the newest epoch; then the post is said again.
    TellAndAgain,
    /// It is said again once this agent knows a later epoch than it was said under.
    WhenNewer,
    /// It is said again.
    Again,
    /// It will not arrive.
    Over,
}

/// Decides how a post goes on that mail is done with after so many tries. Without a code it arrived.
#[must_use]
pub fn after(code: Option<&str>, tries: u32) -> After {
    let again = match code {
        None => return After::Arrived,
        Some("GROUP_UNKNOWN_EPOCH") => After::TellAndAgain,
        Some("GROUP_OLD_EPOCH") => After::WhenNewer,
        Some("GROUP_OUT_OF_ORDER") => After::Again,
        Some(_) => After::Over,
    };
    if tries >= MAX_TRIES {
        After::Over
    } else {
        again
    }
}

/// Whether a post may be taken now: returns the number that is expected next then.
#[must_use]
pub fn next_heard(expected: u64, number: u64, open: u64) -> Option<u64> {
    (number <= expected.max(open)).then(|| expected.max(number.saturating_add(1)))
}
