//! One group as one agent knows it.

use std::collections::BTreeMap;

use entente_lexicon::{Address, Did};
use entente_trust::group::{GroupKey, Roster, group_id};

use crate::refusal::Refusal;
use crate::word::{Says, Tell};

/// How an agent stands to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It was invited, and has not said anything.
    Invited,
    /// It said that it joins, and waits for the key.
    Joining,
    /// It is in.
    Member,
    /// It left.
    Left,
    /// The owner took it out, or took the invitation back.
    Removed,
    /// It turned the invitation down.
    Declined,
    /// The owner ended the group.
    Closed,
}

impl Standing {
    /// Every one, in the order of a membership's life.
    pub const ALL: [Self; 7] = [
        Self::Invited,
        Self::Joining,
        Self::Member,
        Self::Left,
        Self::Removed,
        Self::Declined,
        Self::Closed,
    ];

    /// Returns the name used in JSON and in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Joining => "joining",
            Self::Member => "member",
            Self::Left => "left",
            Self::Removed => "removed",
            Self::Declined => "declined",
            Self::Closed => "closed",
        }
    }

    /// Whether the agent has nothing more to do with the group unless it is invited anew.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(
            self,
            Self::Left | Self::Removed | Self::Declined | Self::Closed
        )
    }
}

/// The newest epoch that an agent knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Who is in.
    pub roster: Roster,
    /// The same as its owner signed it.
    pub signed: Vec<u8>,
    /// What is said in it is sealed under this.
    pub key: GroupKey,
}

/// One group as one agent knows it. Only the newest key is kept: what was said before is kept opened,
/// under the agent's own key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub(crate) id: [u8; 16],
    pub(crate) nonce: [u8; 16],
    pub(crate) me: Address,
    pub(crate) owner: Address,
    pub(crate) name: String,
    pub(crate) standing: Standing,
    pub(crate) current: Option<Current>,
    /// The newest epoch ever known, also when there is no key any more.
    pub(crate) seen: u64,
    /// The newest invitation: to this agent, or of any agent by this one.
    pub(crate) invitation: u32,
    /// Owner: who was invited and has not answered, by which invitation.
    pub(crate) invited: BTreeMap<Did, (Address, u32)>,
    /// Owner: the epoch from which on each member is in without a break, and by which invitation.
    pub(crate) since: BTreeMap<Did, (u64, u32)>,
}

impl Group {
    /// A group that this agent is invited to by its owner.
    ///
    /// # Errors
    /// [`Refusal::Forged`] if the id is not one of this owner's, [`Refusal::Unfit`] if the name is
    /// none.
    pub fn invited(
        (id, nonce): ([u8; 16], [u8; 16]),
        me: Address,
        owner: Address,
        n: u32,
        name: String,
    ) -> Result<Self, Refusal> {
        if group_id(&owner.did, &nonce) != id || owner.did == me.did {
            return Err(Refusal::Forged);
        }
        if !(1..=entente_trust::group::MAX_NAME).contains(&name.len()) {
            return Err(Refusal::Unfit);
        }
        Ok(Self {
            id,
            nonce,
            me,
            owner,
            name,
            standing: Standing::Invited,
            current: None,
            seen: 0,
            invitation: n,
            invited: BTreeMap::new(),
            since: BTreeMap::new(),
        })
    }

    /// Returns its id.
    #[must_use]
    pub const fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// Returns what its owner made the id with.
    #[must_use]
    pub const fn nonce(&self) -> &[u8; 16] {
        &self.nonce
    }

    /// Returns its owner.
    #[must_use]
    pub const fn owner(&self) -> &Address {
        &self.owner
    }

    /// Returns what it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how this agent stands to it.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether it is this agent's own.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.owner.did == self.me.did
    }

    /// Returns the newest epoch, where this agent is in.
    #[must_use]
    pub const fn current(&self) -> Option<&Current> {
        self.current.as_ref()
    }

    /// Returns who was invited by this agent and has not answered.
    pub fn outstanding(&self) -> impl Iterator<Item = &Address> {
        self.invited.values().map(|(address, _)| address)
    }

    /// Returns what an agent is told where it is to be told the newest epoch: nothing if it is not
    /// in.
    #[must_use]
    pub fn epoch_for(&self, to: &Did) -> Option<&Current> {
        let current = self.current.as_ref()?;
        current.roster.member(to).map(|_member| current)
    }

    /// Has an agent told the newest epoch: nothing if it is not in.
    #[must_use]
    pub fn tell_epoch(&self, to: &Did) -> Option<Tell> {
        let roster = &self.epoch_for(to)?.roster;
        Some(Tell {
            to: roster.member(to)?.clone(),
            says: Says::Epoch {
                epoch: roster.epoch,
            },
        })
    }

    /// Returns under what this agent speaks, and to whom.
    ///
    /// # Errors
    /// [`Refusal::NotJoined`].
    pub fn speak(&self) -> Result<(&Current, Vec<&Address>), Refusal> {
        let current = self.current.as_ref().ok_or(Refusal::NotJoined)?;
        Ok((current, self.others(current)))
    }

    pub(crate) fn others<'a>(&self, current: &'a Current) -> Vec<&'a Address> {
        let members = current.roster.members.iter();
        members.filter(|member| member.did != self.me.did).collect()
    }

    pub(crate) fn tell_others(&self) -> Vec<Tell> {
        let tell = |current| {
            let others = self.others(current).into_iter();
            others.filter_map(|to| self.tell_epoch(&to.did)).collect()
        };
        self.current.as_ref().map_or_else(Vec::new, tell)
    }

    /// Ends it for this agent; the key is destroyed.
    pub(crate) fn end(&mut self, standing: Standing) {
        self.standing = standing;
        self.current = None;
    }
}
