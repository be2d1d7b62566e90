//! The owner's side: who is in.

use std::collections::BTreeMap;

use entente_lexicon::{Address, Did, Timestamp};
use entente_trust::crypto::sign::SigningKey;
use entente_trust::group::{GroupKey, MAX_MEMBERS, Roster, group_id};

use crate::group::{Current, Group, Standing};
use crate::refusal::Refusal;
use crate::word::{Says, Tell};

/// Agents that are invited to a group and have not answered; they count as its members do.
pub const MAX_INVITED: usize = MAX_MEMBERS;

/// What a new epoch is made with.
#[derive(Clone, Debug)]
pub struct Fresh<'a> {
    /// The time now.
    pub at: Timestamp,
    /// A key that was never used.
    pub key: GroupKey,
    /// The owner's signing key.
    pub signer: &'a SigningKey,
}

impl Group {
    /// A new group of this agent's, which is alone in it.
    ///
    /// # Errors
    /// [`Refusal::Unfit`] if the name is none.
    pub fn found(
        me: Address,
        nonce: [u8; 16],
        name: String,
        fresh: Fresh<'_>,
    ) -> Result<Self, Refusal> {
        let mut group = Self {
            id: group_id(&me.did, &nonce),
            nonce,
            owner: me.clone(),
            me: me.clone(),
            name: name.clone(),
            standing: Standing::Member,
            current: None,
            seen: 0,
            invitation: 0,
            invited: BTreeMap::new(),
            since: BTreeMap::new(),
        };
        group.turn(vec![me], name, fresh)?;
        Ok(group)
    }

    /// Invites an agent, again if it was before.
    ///
    /// # Errors
    /// [`Refusal::NotOwner`], [`Refusal::AlreadyMember`], [`Refusal::Full`], or that the group is over.
    pub fn invite(&mut self, who: Address) -> Result<Tell, Refusal> {
        let current = self.own()?;
        if current.roster.member(&who.did).is_some() {
            return Err(Refusal::AlreadyMember);
        }
        let others = self.invited.keys().filter(|did| **did != who.did).count();
        if current.roster.members.len().saturating_add(others) >= MAX_MEMBERS {
            return Err(Refusal::Full);
        }
        self.invitation = self.invitation.saturating_add(1);
        let n = self.invitation;
        self.invited.insert(who.did.clone(), (who.clone(), n));
        Ok(Tell {
            to: who,
            says: Says::Invite { n },
        })
    }

    /// Takes an agent out, or takes its invitation back. Whoever stays has a new key.
    ///
    /// # Errors
    /// [`Refusal::NotOwner`], [`Refusal::OwnerStays`], [`Refusal::NotMember`], or that the group is over.
    pub fn remove(&mut self, who: &Did, fresh: Fresh<'_>) -> Result<Vec<Tell>, Refusal> {
        let current = self.own()?;
        if *who == self.me.did {
            return Err(Refusal::OwnerStays);
        }
        let member = current.roster.member(who).cloned();
        let out = match member {
            None => {
                let (invited, _) = self.invited.remove(who).ok_or(Refusal::NotMember)?;
                return Ok(vec![self.out(invited, false)]);
            }
            Some(member) => member,
        };
        self.without(who, fresh)?;
        let mut tells = self.tell_others();
        tells.push(self.out(out, false));
        Ok(tells)
    }

    /// Calls it something else.
    ///
    /// # Errors
    /// [`Refusal::NotOwner`], [`Refusal::Unfit`], or that the group is over.
    pub fn rename(&mut self, name: String, fresh: Fresh<'_>) -> Result<Vec<Tell>, Refusal> {
        let members = self.own()?.roster.members.clone();
        self.turn(members, name, fresh)?;
        Ok(self.tell_others())
    }

    /// Makes a new key for the same members, as when one of them may have lost his.
    ///
    /// # Errors
    /// [`Refusal::NotOwner`], or that the group is over.
    pub fn rekey(&mut self, fresh: Fresh<'_>) -> Result<Vec<Tell>, Refusal> {
        let name = self.name.clone();
        self.rename(name, fresh)
    }

    /// Ends it for everybody.
    ///
    /// # Errors
    /// [`Refusal::NotOwner`], or that it is over.
    pub fn close(&mut self) -> Result<Vec<Tell>, Refusal> {
        let current = self.own()?;
        let members: Vec<Address> = self.others(current).into_iter().cloned().collect();
        self.seen = self.seen.saturating_add(1);
        let invited = std::mem::take(&mut self.invited).into_values();
        let everybody = members.into_iter().chain(invited.map(|(who, _)| who));
        let tells = everybody.map(|who| self.out(who, true)).collect();
        self.end(Standing::Closed);
        Ok(tells)
    }

    /// Somebody who was invited joins. Told again, it is answered again.
    ///
    /// # Errors
    /// [`Refusal::NotOwner`], [`Refusal::NotInvited`], or that the group is over.
    pub fn hear_join(
        &mut self,
        from: &Did,
        n: u32,
        fresh: Fresh<'_>,
    ) -> Result<Vec<Tell>, Refusal> {
        let current = self.own()?;
        if let Some(tell) = self.tell_epoch(from) {
            return Ok(vec![tell]);
        }
        let invited = self.invited.get(from).filter(|(_, newest)| *newest == n);
        let (address, _) = invited.cloned().ok_or(Refusal::NotInvited)?;
        let mut members = current.roster.members.clone();
        members.push(address);
        members.sort_by(|one, other| one.did.cmp(&other.did));
        let name = self.name.clone();
        self.turn(members, name, fresh)?;
        self.invited.remove(from);
        self.since.insert(from.clone(), (self.seen, n));
        Ok(self.tell_others())
    }

    /// Somebody who was invited does not want to.
    ///
    /// # Errors
    /// [`Refusal::NotOwner`], or that the group is over.
    pub fn hear_decline(&mut self, from: &Did, n: u32) -> Result<(), Refusal> {
        self.own()?;
        if self
            .invited
            .get(from)
            .is_some_and(|(_, newest)| *newest == n)
        {
            self.invited.remove(from);
        }
        Ok(())
    }

    /// A member that was in by this invitation leaves: one that came back by a later one stays.
    ///
    /// # Errors
    /// [`Refusal::NotOwner`], or that the group is over.
    pub fn hear_leave(
        &mut self,
        from: &Did,
        n: u32,
        fresh: Fresh<'_>,
    ) -> Result<Vec<Tell>, Refusal> {
        self.gone(from, |(_, joined)| n >= joined, fresh)
    }

    /// A member is gone, unless it came back since.
    pub(crate) fn gone(
        &mut self,
        who: &Did,
        still: impl Fn((u64, u32)) -> bool,
        fresh: Fresh<'_>,
    ) -> Result<Vec<Tell>, Refusal> {
        let current = self.own()?;
        let since = self.since.get(who).copied().unwrap_or((0, 0));
        if current.roster.member(who).is_none() || !still(since) || *who == self.me.did {
            return Ok(Vec::new());
        }
        self.without(who, fresh)?;
        Ok(self.tell_others())
    }

    fn own(&self) -> Result<&Current, Refusal> {
        if !self.is_owner() {
            return Err(Refusal::NotOwner);
        }
        self.current.as_ref().ok_or(Refusal::NotJoined)
    }

    fn without(&mut self, who: &Did, fresh: Fresh<'_>) -> Result<(), Refusal> {
        let mut members = self.own()?.roster.members.clone();
        members.retain(|member| member.did != *who);
        let name = self.name.clone();
        self.turn(members, name, fresh)?;
        self.since.remove(who);
        Ok(())
    }

    /// Begins a new epoch. Its number is the time, if that is more than one further: so an owner that
    /// was put back to what it was before goes on beyond the epochs that it has forgotten.
    fn turn(
        &mut self,
        members: Vec<Address>,
        name: String,
        fresh: Fresh<'_>,
    ) -> Result<(), Refusal> {
        let epoch = self.seen.saturating_add(1).max(fresh.at.0);
        let roster = Roster {
            group: self.id,
            owner: self.me.did.clone(),
            epoch,
            name,
            at: fresh.at,
            members,
            commitment: fresh.key.commitment(&self.id, epoch),
        };
        let signed = roster.sign(fresh.signer).map_err(|_error| Refusal::Unfit)?;
        self.name.clone_from(&roster.name);
        self.seen = epoch;
        self.current = Some(Current {
            roster,
            signed,
            key: fresh.key,
        });
        Ok(())
    }

    fn out(&self, to: Address, closed: bool) -> Tell {
        Tell {
            to,
            says: Says::Out {
                epoch: self.seen,
                n: self.invitation,
                closed,
            },
        }
    }
}
