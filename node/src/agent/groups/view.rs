//! Showing groups, and what was said in them.

use entente_groups::Group;
use entente_lexicon::api::groups::{
    GroupList, GroupView, ListenerView, MemberView, PostList, PostView,
};
use entente_lexicon::{Address, MessageId};

use crate::agent::core::Core;
use crate::agent::groups::act::unknown;
use crate::agent::groups::store::{StoredGroup, StoredPost};
use crate::agent::identity::Me;
use crate::agent::read::{Page, cursor};
use crate::error::ApiError;

impl Core {
    pub(super) fn list_groups(&self) -> Result<GroupList, ApiError> {
        let me = self.identity()?;
        let stored = self.groups.store.groups()?;
        let views = stored.iter().map(|stored| self.shown_group(&me, stored));
        Ok(GroupList {
            groups: views.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn group_view(&self, me: &Me, id: &MessageId) -> Result<GroupView, ApiError> {
        let stored = self.groups.store.group(id)?.ok_or_else(unknown)?;
        self.shown_group(me, &stored)
    }

    fn shown_group(&self, me: &Me, stored: &StoredGroup) -> Result<GroupView, ApiError> {
        let group = self.open_group(me, stored)?;
        Ok(GroupView {
            id: stored.id.to_string(),
            name: group.name().to_owned(),
            owner: group.owner().to_string(),
            standing: group.standing().as_str().to_owned(),
            epoch: group.current().map(|current| current.roster.epoch),
            members: self.members(&group, &stored.id)?,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        })
    }

    fn members(&self, group: &Group, id: &MessageId) -> Result<Vec<MemberView>, ApiError> {
        let current = group.current().map(|current| &current.roster.members);
        let members = current.into_iter().flatten().map(|member| {
            let is_owner = member.did == group.owner().did;
            (member, if is_owner { "owner" } else { "member" })
        });
        let invited = group.outstanding().map(|who| (who, "invited"));
        let shown = members
            .chain(invited)
            .map(|(who, state): (&Address, &str)| {
                Ok(MemberView {
                    member: who.to_string(),
                    state: state.to_owned(),
                    undelivered: self.groups.store.undelivered(id, &who.did)?,
                })
            });
        shown.collect()
    }

    pub(super) fn list_posts(&self, id: &str, page: &Page) -> Result<PostList, ApiError> {
        let me = self.identity()?;
        let id = self.known_group(id)?;
        let limit = page.limit()?;
        let posts = self.groups.store.posts(&id, page.after()?, limit)?;
        let full = u32::try_from(posts.len()).is_ok_and(|count| count == limit);
        let next = posts.last().filter(|_| full).map(|post| cursor(post.n));
        let views = posts.iter().map(|post| self.post_view(&me, post));
        Ok(PostList {
            messages: views.collect::<Result<_, _>>()?,
            cursor: next,
        })
    }

    pub(super) fn post_view(&self, me: &Me, stored: &StoredPost) -> Result<PostView, ApiError> {
        let body = self.open_post(me, stored)?;
        let to = if stored.outgoing {
            let states = self.groups.store.states(stored.n)?.into_iter();
            let listener = states.map(|state| ListenerView {
                member: state.to.to_string(),
                status: state.status,
                code: state.code,
            });
            Some(listener.collect())
        } else {
            None
        };
        Ok(PostView {
            id: stored.id.to_string(),
            group: stored.group.to_string(),
            from: format!("{}@{}", stored.sender, stored.host),
            content: body.content,
            thread: body.thread,
            priority: body.priority,
            created_at: body.created_at,
            at: stored.at,
            to,
        })
    }
}
