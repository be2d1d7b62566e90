//! A member's side: joining, leaving, and whose words count.

use entente_lexicon::Did;
use entente_trust::group::{GroupKey, Roster};

use crate::group::{Current, Group, Standing};
use crate::owner::Fresh;
use crate::refusal::Refusal;
use crate::word::{Says, Tell};

impl Group {
    /// Takes the invitation.
    ///
    /// # Errors
    /// [`Refusal::NotInvited`].
    pub fn accept(&mut self) -> Result<Tell, Refusal> {
        self.answer(Standing::Joining, |n| Says::Join { n })
    }

    /// Turns the invitation down.
    ///
    /// # Errors
    /// [`Refusal::NotInvited`].
    pub fn decline(&mut self) -> Result<Tell, Refusal> {
        self.answer(Standing::Declined, |n| Says::Decline { n })
    }

    fn answer(&mut self, standing: Standing, says: fn(u32) -> Says) -> Result<Tell, Refusal> {
        if self.standing != Standing::Invited {
            return Err(Refusal::NotInvited);
        }
        self.standing = standing;
        Ok(Tell {
            to: self.owner.clone(),
            says: says(self.invitation),
        })
    }

    /// Leaves; the key is destroyed.
    ///
    /// # Errors
    /// [`Refusal::OwnerStays`], [`Refusal::NotJoined`].
    pub fn leave(&mut self) -> Result<Tell, Refusal> {
        if self.is_owner() {
            return Err(Refusal::OwnerStays);
        }
        if !matches!(self.standing, Standing::Member | Standing::Joining) {
            return Err(Refusal::NotJoined);
        }
        self.end(Standing::Left);
        let n = self.invitation;
        Ok(Tell {
            to: self.owner.clone(),
            says: Says::Leave { n },
        })
    }

    /// The owner invites this agent, again perhaps. Returns whether that is anything new.
    ///
    /// # Errors
    /// [`Refusal::NotOwner`].
    pub fn hear_invite(&mut self, from: &Did, n: u32, name: String) -> Result<bool, Refusal> {
        if *from != self.owner.did || self.is_owner() {
            return Err(Refusal::NotOwner);
        }
        if n <= self.invitation || self.standing == Standing::Closed {
            return Ok(false);
        }
        self.invitation = n;
        // The owner invites nobody who is in: this one is out, and has not heard of it yet.
        self.end(Standing::Invited);
        if (1..=entente_trust::group::MAX_NAME).contains(&name.len()) {
            self.name = name;
        }
        Ok(true)
    }

    /// Somebody tells this agent an epoch: the owner, or another who is in. The caller has verified the
    /// owner's signature. Returns whether it is news.
    ///
    /// # Errors
    /// [`Refusal::Forged`] if it is not this group's, or the key not the roster's; [`Refusal::NotMember`] if
    /// whoever tells it, or this agent, is not in it; [`Refusal::NotJoined`] if this agent has not said
    /// that it joins.
    pub fn hear_epoch(
        &mut self,
        from: &Did,
        (roster, signed): (Roster, Vec<u8>),
        key: GroupKey,
    ) -> Result<bool, Refusal> {
        let is_ours = roster.group == self.id && roster.owner == self.owner.did;
        if !is_ours || !key.fits(&roster) {
            return Err(Refusal::Forged);
        }
        if roster.member(from).is_none() || roster.member(&self.me.did).is_none() {
            return Err(Refusal::NotMember);
        }
        if !matches!(self.standing, Standing::Member | Standing::Joining) {
            return Err(Refusal::NotJoined);
        }
        if roster.epoch <= self.seen {
            return Ok(false);
        }
        self.seen = roster.epoch;
        self.standing = Standing::Member;
        self.name.clone_from(&roster.name);
        if self.is_owner() {
            // It was put back to what it was before, and hears of its own later acts.
            let members = roster.members.iter();
            self.since = members.map(|member| (member.did.clone(), (0, 0))).collect();
            self.invited.retain(|did, _| roster.member(did).is_none());
        }
        self.current = Some(Current {
            roster,
            signed,
            key,
        });
        Ok(true)
    }

    /// The owner says that this agent is out. Returns whether that is news.
    ///
    /// # Errors
    /// [`Refusal::NotOwner`].
    pub fn hear_out(
        &mut self,
        from: &Did,
        epoch: u64,
        n: u32,
        closed: bool,
    ) -> Result<bool, Refusal> {
        if *from != self.owner.did || self.is_owner() {
            return Err(Refusal::NotOwner);
        }
        let holds = match self.standing {
            Standing::Invited | Standing::Joining => n >= self.invitation,
            Standing::Member => epoch > self.seen,
            Standing::Left | Standing::Removed | Standing::Declined => closed,
            Standing::Closed => false,
        };
        if !holds {
            return Ok(false);
        }
        self.seen = self.seen.max(epoch);
        self.end(if closed {
            Standing::Closed
        } else {
            Standing::Removed
        });
        Ok(true)
    }

    /// Mail could not deliver what was told, of which a part was this epoch, and says why. Returns what is
    /// told now.
    ///
    /// # Errors
    /// As [`Group::hear_leave`].
    pub fn undelivered(
        &mut self,
        tell: &Tell,
        told: u64,
        code: &str,
        fresh: Fresh<'_>,
    ) -> Result<Vec<Tell>, Refusal> {
        let again = matches!(code, "EXPIRED" | "UNCONFIRMED");
        match tell.says {
            // Who was invited and cannot be reached is invited again by the owner, if at all.
            Says::Invite { .. } => Ok(Vec::new()),
            Says::Epoch { .. } if self.epoch_for(&tell.to.did).is_none() => Ok(Vec::new()),
            Says::Join { n } if !again => {
                if self.standing == Standing::Joining && n == self.invitation {
                    self.end(Standing::Removed);
                }
                Ok(Vec::new())
            }
            // It left, and that is yet to be heard.
            Says::Epoch { .. } if code == Refusal::NotJoined.code() && self.is_owner() => {
                self.gone(&tell.to.did, |(since, _)| told >= since, fresh)
            }
            Says::Join { .. }
            | Says::Decline { .. }
            | Says::Leave { .. }
            | Says::Epoch { .. }
            | Says::Out { .. } => Ok(again.then(|| tell.clone()).into_iter().collect()),
        }
    }

    /// Somebody says something under an epoch's key. Returns the key.
    ///
    /// # Errors
    /// [`Refusal::NotJoined`] if this agent is not in; [`Refusal::UnknownEpoch`] if it has to be told
    /// that epoch first; [`Refusal::OldEpoch`] if the speaker, who is in, has to be told this agent's;
    /// [`Refusal::NotMember`] if the speaker is not in.
    pub fn hear_post(&self, from: &Did, epoch: u64) -> Result<&GroupKey, Refusal> {
        match (self.standing, &self.current) {
            (Standing::Joining, _) => Err(Refusal::UnknownEpoch),
            (Standing::Member, Some(current)) => {
                if epoch > current.roster.epoch {
                    Err(Refusal::UnknownEpoch)
                } else if current.roster.member(from).is_none() {
                    Err(Refusal::NotMember)
                } else if epoch < current.roster.epoch {
                    Err(Refusal::OldEpoch)
                } else {
                    Ok(&current.key)
                }
            }
            (
                Standing::Member
                | Standing::Invited
                | Standing::Left
                | Standing::Removed
                | Standing::Declined
                | Standing::Closed,
                _,
            ) => Err(Refusal::NotJoined),
        }
    }
}
