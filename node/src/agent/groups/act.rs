//! What an agent's program does about groups.

use std::rc::Rc;

use entente_groups::{Fresh, Group, Refusal, Standing, Tell};
use entente_lexicon::api::groups::{GroupSettings, GroupView, NewGroup};
use entente_lexicon::{Address, MessageId, Recipient};

use crate::agent::core::Core;
use crate::agent::groups::refused;
use crate::agent::identity::Me;
use crate::error::ApiError;
use crate::internal;

/// Groups of one agent, those that are over and not forgotten among them.
pub(super) const MAX_GROUPS: u64 = 1_000;
const SETTINGS: &str = "group-settings";

impl Core {
    /// Makes a group, and invites those who are named.
    pub(super) async fn new_group(self: &Rc<Self>, new: NewGroup) -> Result<GroupView, ApiError> {
        let me = self.identity()?;
        let mut invited = Vec::with_capacity(new.members.len());
        for member in &new.members {
            invited.push(self.group_address(member).await?);
        }
        if self.groups.store.count(None)? >= MAX_GROUPS {
            return Err(ApiError::new(
                409,
                "TOO_MANY_GROUPS",
                "This agent has 1,000 groups: forget some that are over with DELETE …/groups/:id.",
            ));
        }
        let us = own_address(&me);
        let group = Group::found(us, internal::random(), new.name, self.fresh(&me));
        let mut group = group.map_err(refused)?;
        let tells = invited.into_iter().map(|who| group.invite(who));
        let tells: Vec<Tell> = tells.collect::<Result<_, _>>().map_err(refused)?;
        self.groups
            .store
            .transaction(|| self.keep_group(&me, &group, &tells, internal::now()))?;
        self.tend_groups();
        self.group_view(&me, &MessageId::from_bytes(*group.id()))
    }

    /// Invites an agent.
    pub(super) async fn invite(
        self: &Rc<Self>,
        id: &str,
        member: &str,
    ) -> Result<GroupView, ApiError> {
        // A member that cannot be found is no reason to look anybody up for a group that is not ours.
        self.known_group(id)?;
        let who = self.group_address(member).await?;
        self.change_group(id, |group, _| Ok(vec![group.invite(who)?]))
    }

    /// Takes a member out, or its invitation back.
    pub(super) async fn expel(
        self: &Rc<Self>,
        id: &str,
        member: &str,
    ) -> Result<GroupView, ApiError> {
        self.known_group(id)?;
        let recipient = recipient(member)?;
        let did = match &recipient.agent {
            entente_lexicon::address::AgentRef::Did(did) => did.clone(),
            entente_lexicon::address::AgentRef::Name(_) => {
                self.contact_of(&recipient).await?.did.clone()
            }
        };
        self.change_group(id, |group, fresh| group.remove(&did, fresh))
    }

    /// Ends a group of this agent's, leaves another's, turns an invitation down; forgets what is over.
    pub(super) fn drop_group(self: &Rc<Self>, id: &str) -> Result<Option<GroupView>, ApiError> {
        let id_read = self.known_group(id)?;
        let me = self.identity()?;
        let group = self.group(&me, &id_read)?.ok_or_else(unknown)?;
        if group.standing().is_over() {
            self.groups
                .store
                .transaction(|| self.groups.store.forget(&id_read))?;
            return Ok(None);
        }
        let view = self.change_group(id, |group, _| {
            if group.is_owner() {
                return group.close();
            }
            let tell = match group.standing() {
                Standing::Invited => group.decline(),
                Standing::Joining
                | Standing::Member
                | Standing::Left
                | Standing::Removed
                | Standing::Declined
                | Standing::Closed => group.leave(),
            };
            Ok(vec![tell?])
        });
        view.map(Some)
    }

    /// Does something about a group, and has it told.
    pub(super) fn change_group(
        self: &Rc<Self>,
        id: &str,
        act: impl FnOnce(&mut Group, Fresh<'_>) -> Result<Vec<Tell>, Refusal>,
    ) -> Result<GroupView, ApiError> {
        let id = self.known_group(id)?;
        let me = self.identity()?;
        self.groups.store.transaction(|| {
            let mut group = self.group(&me, &id)?.ok_or_else(unknown)?;
            let tells = act(&mut group, self.fresh(&me)).map_err(refused)?;
            self.keep_group(&me, &group, &tells, internal::now())
        })?;
        self.tend_groups();
        self.group_view(&me, &id)
    }

    pub(in crate::agent) fn known_group(&self, id: &str) -> Result<MessageId, ApiError> {
        let id = MessageId::parse(id).map_err(|_error| unknown())?;
        match self.groups.store.group(&id)? {
            Some(_) => Ok(id),
            None => Err(unknown()),
        }
    }

    async fn group_address(self: &Rc<Self>, member: &str) -> Result<Address, ApiError> {
        let contact = self.contact_of(&recipient(member)?).await?;
        Ok(Address {
            did: contact.did.clone(),
            host: contact.host.clone(),
        })
    }

    /// Returns whose invitations are taken at once.
    pub(super) fn group_settings(&self) -> Result<GroupSettings, ApiError> {
        let stored = self.store.meta(SETTINGS)?;
        stored.map_or_else(
            || Ok(GroupSettings::default()),
            |stored| serde_json::from_slice(&stored).map_err(ApiError::internal),
        )
    }

    pub(super) fn set_group_settings(
        &self,
        settings: GroupSettings,
    ) -> Result<GroupSettings, ApiError> {
        let text = serde_json::to_vec(&settings)?;
        self.store.set_meta(SETTINGS, &text)?;
        Ok(settings)
    }
}

pub(super) fn own_address(me: &Me) -> Address {
    Address {
        did: me.did.clone(),
        host: me.host.clone(),
    }
}

fn recipient(text: &str) -> Result<Recipient, ApiError> {
    text.parse().map_err(|error: entente_lexicon::IdError| {
        ApiError::bad_request("MALFORMED_ADDRESS", format!("`member`: {error}."))
    })
}

pub(super) fn unknown() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_GROUP",
        "This agent has no group of that id: GET /agents/:name/groups lists them.",
    )
}
