//! What may pass a link: the one place that compares trust levels.
//!
//! Each side of a link asks [`decide`] about its own policy, the sender before an item leaves and
//! the receiver before it is believed; an item passes iff both say so. Whatever refuses wins over
//! whatever would let pass, and what is not named is not allowed.

mod reason;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use entente_lexicon::{CollectionGlob, Did, Timestamp, TrustLevel};

pub use reason::Reason;
pub use standing::{Approval, DOCUMENT_LIFE_MS, Standing};

/// Which way an item goes, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer to us.
    Inbound,
    /// From us to the peer.
    Outbound,
}

/// The network an event was made in, seen from the one that speaks on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The speaker's own: the peer inbound, we ourselves outbound.
    Speaker,
    /// Another one, whose event the speaker passes on.
    Other(&'a Did),
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind<'a> {
    /// A sealed message between an agent of ours and one of the peer's.
    Message {
        /// The peer's: the sender of what comes in, the recipient of what goes out.
        peer_agent: &'a Did,
    },
    /// A public event.
    Event {
        /// What it is about, such as `agent.public.announcement`.
        collection: &'a str,
        /// Where it was made.
        origin: Origin<'a>,
    },
}

/// What is known of the origin agent's own signature on an item that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nobody has looked: the item may be taken only to be looked at, and is decided about again.
    Pending,
    /// It verifies against the signed directory of the agent's network.
    Sound,
    /// There is none.
    Missing,
    /// There is one, and its agent's card cannot be had to check it.
    Unverified,
    /// There is one, and it does not verify.
    Wrong,
}

/// An item that wants to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// What it is.
    pub kind: ItemKind<'a>,
    /// What is known of its origin; asked about inbound items only.
    pub proof: Proof,
}

/// A peer that is not to be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Until when; `None` is until an admin lifts it.
    pub until: Option<Timestamp>,
}

impl Ban {
    /// Tells whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// What we hold about one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The level.
    pub level: TrustLevel,
    /// The *peer's* agents that may talk, both ways. Empty under allowlist and verified: nobody.
    pub allow_agents: BTreeSet<Did>,
    /// The collections of public events that pass, both ways. `None` means all under open and none
    /// under allowlist and verified.
    pub allow_collections: Option<Vec<CollectionGlob>>,
    /// Networks other than the speaker whose events may pass through the link.
    pub allow_networks: BTreeSet<Did>,
    /// Whether anything may come in.
    pub allow_inbound: bool,
    /// Whether anything may go out.
    pub allow_outbound: bool,
    /// Whether the peer is banned. Whoever holds the policy lifts a ban that [`Ban::is_over`].
    pub ban: Option<Ban>,
    /// Our admin's approval of the peer, which verified asks for.
    pub approval: Option<Approval>,
    /// How far both networks satisfy verified now.
    pub standing: Standing,
}

/// Whether an item passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Pass,
    /// Not now, though it may once the reason is gone: what goes out waits, what came in is put in
    /// quarantine.
    Hold(Reason),
    /// It does not, and its sender is told why.
    Refuse(Reason),
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

impl Policy {
    /// Makes the policy of a level with these agents listed, and nothing else restricted.
    #[must_use]
    pub const fn new(level: TrustLevel, allow_agents: BTreeSet<Did>) -> Self {
        Self {
            level,
            allow_agents,
            allow_collections: None,
            allow_networks: BTreeSet::new(),
            allow_inbound: true,
            allow_outbound: true,
            ban: None,
            approval: None,
            standing: Standing::NONE,
        }
    }

    /// Says why no link may exist under this policy, whatever would cross it.
    #[must_use]
    pub const fn link_refusal(&self) -> Option<Reason> {
        if self.ban.is_some() {
            Some(Reason::Banned)
        } else if allows_link(self.level) {
            None
        } else {
            Some(Reason::Private)
        }
    }
}

/// Decides whether `item` may pass in `direction` under `policy`.
#[must_use]
pub fn decide(policy: &Policy, direction: Direction, item: &Item<'_>) -> Verdict {
    if let Some(reason) = policy.link_refusal() {
        return Verdict::Refuse(reason);
    }
    match direction {
        Direction::Inbound if !policy.allow_inbound => return Verdict::Refuse(Reason::Inbound),
        Direction::Outbound if !policy.allow_outbound => return Verdict::Refuse(Reason::Outbound),
        Direction::Inbound | Direction::Outbound => {}
    }
    let listed = match item.kind {
        ItemKind::Message { peer_agent } => admits_agent(policy, peer_agent),
        ItemKind::Event { collection, origin } => admits_event(policy, collection, origin),
    };
    if let Err(reason) = listed {
        return Verdict::Refuse(reason);
    }
    match policy.level {
        TrustLevel::Open | TrustLevel::Allowlist => Verdict::Pass,
        TrustLevel::Verified => verified(policy.standing, direction, item.proof),
        TrustLevel::Private => Verdict::Refuse(Reason::Private),
    }
}

fn admits_agent(policy: &Policy, agent: &Did) -> Result<(), Reason> {
    match policy.level {
        TrustLevel::Open => Ok(()),
        TrustLevel::Allowlist | TrustLevel::Verified | TrustLevel::Private => policy
            .allow_agents
            .contains(agent)
            .then_some(())
            .ok_or(Reason::NotAllowed),
    }
}

fn admits_event(policy: &Policy, collection: &str, origin: Origin<'_>) -> Result<(), Reason> {
    if let Origin::Other(network) = origin
        && !policy.allow_networks.contains(network)
    {
        return Err(Reason::NetworkNotAllowed);
    }
    let listed = match (&policy.allow_collections, policy.level) {
        (Some(globs), _) => globs.iter().any(|glob| glob.matches(collection)),
        (None, TrustLevel::Open) => true,
        (None, TrustLevel::Allowlist | TrustLevel::Verified | TrustLevel::Private) => false,
    };
    listed.then_some(()).ok_or(Reason::CollectionNotAllowed)
}

/// What verified asks beyond the lists.
fn verified(standing: Standing, direction: Direction, proof: Proof) -> Verdict {
    if direction == Direction::Inbound && proof == Proof::Wrong {
        // That is no lack but a lie: there is nothing to decide.
        return Verdict::Refuse(Reason::OriginWrong);
    }
    if let Some(reason) = standing.lacks() {
        return Verdict::Hold(reason);
    }
    match (direction, proof) {
        // Our own agents' items are checked by the peer.
        (Direction::Outbound, _) | (Direction::Inbound, Proof::Pending | Proof::Sound) => {
            Verdict::Pass
        }
        (Direction::Inbound, Proof::Missing) => Verdict::Hold(Reason::OriginMissing),
        (Direction::Inbound, Proof::Unverified) => Verdict::Hold(Reason::OriginUnverified),
        (Direction::Inbound, Proof::Wrong) => Verdict::Refuse(Reason::OriginWrong),
    }
}

/// How a peer's word is heard where words are weighed. It follows from policy and says nothing to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Voice {
    /// The peer is at level open: anybody may be.
    Open,
    /// At level allowlist.
    Allowlist,
    /// At level verified, and all that this asks for holds.
    Verified,
}

/// Says how a peer's agents are heard in public events of a collection; nothing where policy lets no such
/// event in.
#[must_use]
pub fn voice(policy: &Policy, collection: &str) -> Option<Voice> {
    let item = Item {
        kind: ItemKind::Event {
            collection,
            origin: Origin::Speaker,
        },
        proof: Proof::Sound,
    };
    match decide(policy, Direction::Inbound, &item) {
        Verdict::Hold(_) | Verdict::Refuse(_) => None,
        Verdict::Pass => match policy.level {
            TrustLevel::Open => Some(Voice::Open),
            TrustLevel::Allowlist => Some(Voice::Allowlist),
            TrustLevel::Verified => Some(Voice::Verified),
            TrustLevel::Private => None,
        },
    }
}

/// Tells whether a level asks for the origin agent's signature on every item.
#[must_use]
pub const fn needs_origin(level: TrustLevel) -> bool {
    matches!(level, TrustLevel::Verified)
}

/// Tells whether a level asks for attestations in both directions.
#[must_use]
pub const fn needs_attestations(level: TrustLevel) -> bool {
    matches!(level, TrustLevel::Verified)
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
