//! What may pass a link: the one place that compares trust levels.
//!
//! Each side of a link asks [`decide`] about its own policy, the sender before an item leaves and
//! the receiver before it is believed; an item passes iff both say so.

use std::collections::BTreeSet;

use entente_lexicon::{Did, TrustLevel};

/// Which way an item goes, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer to us.
    Inbound,
    /// From us to the peer.
    Outbound,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A sealed message between an agent of ours and one of the peer's.
    Message,
}

/// An item that wants to pass.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// What it is.
    pub kind: ItemKind,
    /// The peer's agent concerned: the sender of what comes in, the recipient of what goes out.
    pub peer_agent: &'a Did,
}

/// What we hold about one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The level.
    pub level: TrustLevel,
    /// The *peer's* agents that may talk, both ways. Empty under allowlist and verified: nobody.
    pub allow_agents: BTreeSet<Did>,
}

/// Whether an item passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Pass,
    /// It does not, and its sender is told why.
    Refuse(Reason),
}

/// Why an item does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The level is private.
    #[error("the trust level between these networks is private: nothing passes")]
    Private,
    /// The peer's agent is not on the list.
    #[error("the agent is not on the list of those that may talk; an admin can add it")]
    NotAllowed,
    /// The level is verified, which asks for attestations that this release does not make.
    #[error("the trust level is verified, which this release cannot satisfy yet")]
    VerifiedUnavailable,
}

impl Reason {
    /// Returns the stable code told to the sender.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Private => "POLICY_PRIVATE",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::VerifiedUnavailable => "VERIFIED_UNAVAILABLE",
        }
    }
}

/// What becomes of a network that nobody here has decided about yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstContact {
    /// It becomes a peer at this level.
    Accept(TrustLevel),
    /// It waits for an admin.
    Queue,
    /// It is turned away.
    Refuse,
}

/// Decides whether `item` may pass in `direction` under `policy`.
#[must_use]
pub fn decide(policy: &Policy, direction: Direction, item: &Item<'_>) -> Verdict {
    // Lists name the peer's agents in both directions, and so far there is one kind of item.
    let (Direction::Inbound | Direction::Outbound, ItemKind::Message) = (direction, item.kind);
    match policy.level {
        TrustLevel::Open => Verdict::Pass,
        TrustLevel::Allowlist if policy.allow_agents.contains(item.peer_agent) => Verdict::Pass,
        TrustLevel::Allowlist => Verdict::Refuse(Reason::NotAllowed),
        TrustLevel::Verified => Verdict::Refuse(Reason::VerifiedUnavailable),
        TrustLevel::Private => Verdict::Refuse(Reason::Private),
    }
}

/// Returns the stricter of two levels: what a link is granted when its sides differ.
#[must_use]
pub const fn stricter(a: TrustLevel, b: TrustLevel) -> TrustLevel {
    if strictness(a) >= strictness(b) { a } else { b }
}

/// Tells whether `level` lets more pass than `than` does.
#[must_use]
pub const fn is_laxer(level: TrustLevel, than: TrustLevel) -> bool {
    strictness(level) < strictness(than)
}

/// Tells whether a link may exist at this level at all.
#[must_use]
pub const fn allows_link(level: TrustLevel) -> bool {
    !matches!(level, TrustLevel::Private)
}

/// Decides about an unknown network by our network's own level.
#[must_use]
pub const fn first_contact(own: TrustLevel) -> FirstContact {
    match own {
        TrustLevel::Open => FirstContact::Accept(TrustLevel::Open),
        TrustLevel::Allowlist | TrustLevel::Verified => FirstContact::Queue,
        TrustLevel::Private => FirstContact::Refuse,
    }
}

const fn strictness(level: TrustLevel) -> u8 {
    match level {
        TrustLevel::Open => 0,
        TrustLevel::Allowlist => 1,
        TrustLevel::Verified => 2,
        TrustLevel::Private => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(level: TrustLevel, listed: bool, direction: Direction) -> Verdict {
        let agent = Did::from_scid(&[1; 32]);
        let other = Did::from_scid(&[2; 32]);
        let allow_agents = BTreeSet::from([if listed { agent.clone() } else { other }]);
        let policy = Policy {
            level,
            allow_agents,
        };
        let item = Item {
            kind: ItemKind::Message,
            peer_agent: &agent,
        };
        decide(&policy, direction, &item)
    }

    #[test]
    fn the_whole_table() {
        for direction in [Direction::Inbound, Direction::Outbound] {
            for (level, unlisted, listed) in [
                (TrustLevel::Open, Verdict::Pass, Verdict::Pass),
                (
                    TrustLevel::Allowlist,
                    Verdict::Refuse(Reason::NotAllowed),
                    Verdict::Pass,
                ),
                (
                    TrustLevel::Verified,
                    Verdict::Refuse(Reason::VerifiedUnavailable),
                    Verdict::Refuse(Reason::VerifiedUnavailable),
                ),
                (
                    TrustLevel::Private,
                    Verdict::Refuse(Reason::Private),
                    Verdict::Refuse(Reason::Private),
                ),
            ] {
                assert_eq!(verdict(level, false, direction), unlisted, "{level}");
                assert_eq!(verdict(level, true, direction), listed, "{level}");
            }
        }
    }

    #[test]
    fn an_empty_list_lets_nobody_pass() {
        let agent = Did::from_scid(&[1; 32]);
        let policy = Policy {
            level: TrustLevel::Allowlist,
            allow_agents: BTreeSet::new(),
        };
        let item = Item {
            kind: ItemKind::Message,
            peer_agent: &agent,
        };
        let refused = Verdict::Refuse(Reason::NotAllowed);
        assert_eq!(decide(&policy, Direction::Inbound, &item), refused);
    }

    #[test]
    fn the_stricter_level_wins_whatever_the_order() {
        for (i, a) in TrustLevel::ALL.into_iter().enumerate() {
            for (j, b) in TrustLevel::ALL.into_iter().enumerate() {
                assert_eq!(stricter(a, b), TrustLevel::ALL[i.max(j)]);
                assert_eq!(is_laxer(a, b), i < j);
            }
        }
    }

    #[test]
    fn strangers_are_welcome_at_open_only() {
        assert_eq!(
            TrustLevel::ALL.map(first_contact),
            [
                FirstContact::Accept(TrustLevel::Open),
                FirstContact::Queue,
                FirstContact::Queue,
                FirstContact::Refuse
            ]
        );
        assert_eq!(TrustLevel::ALL.map(allows_link), [true, true, true, false]);
    }
}
