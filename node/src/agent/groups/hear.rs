//! What other agents say about groups and in them: checked and committed with their mail.

use std::rc::Rc;

use data_encoding::BASE64_NOPAD;
use entente_groups::{Group, Refusal, Says, Tell, next_heard};
use entente_lexicon::api::groups::AutoAccept;
use entente_lexicon::group::{GroupPart, GroupWord};
use entente_lexicon::{Address, Content, MessageId, Timestamp, schema};
use entente_trust::group::{GroupKey, Place, Roster, Unverified, group_id, open_text};
use entente_trust::message::Body;

use crate::agent::contacts::{Contact, Route};
use crate::agent::core::Core;
use crate::agent::deliver::signer_at;
use crate::agent::groups::act::{MAX_GROUPS, own_address};
use crate::agent::groups::store::NewPost;
use crate::agent::identity::Me;
use crate::error::ApiError;
use crate::store::sqlite::StoreError;

/// Groups of one other owner that an agent may be invited to.
const MAX_OF_OWNER: u64 = 100;

/// Why a word is not taken.
pub(in crate::agent) enum GroupFault {
    /// The sender's: the message is refused with this code.
    Refused(&'static str),
    /// No key that we know of this agent signed it.
    Unverified(Rc<Contact>),
    /// Ours.
    Ours(ApiError),
}

impl From<ApiError> for GroupFault {
    fn from(error: ApiError) -> Self {
        Self::Ours(error)
    }
}

impl From<StoreError> for GroupFault {
    fn from(error: StoreError) -> Self {
        Self::Ours(error.into())
    }
}

impl From<Refusal> for GroupFault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.code())
    }
}

const MALFORMED: GroupFault = GroupFault::Refused("GROUP_MALFORMED");
const UNDECRYPTABLE: GroupFault = GroupFault::Refused("GROUP_UNDECRYPTABLE");

/// A post as it came.
struct Said<'a> {
    epoch: u64,
    post: &'a MessageId,
    number: u64,
    open: u64,
    sealed: &'a str,
}

impl Core {
    /// Takes a word about a group. Part of the delivery's transaction. Returns whether the agent's
    /// program is shown it: not what it has been shown before, nor keys.
    pub(in crate::agent) fn take_group(
        &self,
        me: &Me,
        sender: &Rc<Contact>,
        body: &mut Body,
        now: Timestamp,
    ) -> Result<bool, GroupFault> {
        let Content::Group(part) = &mut body.content else {
            return Err(MALFORMED);
        };
        self.groups.prepare()?;
        let id = part.group.clone();
        match &part.word {
            GroupWord::Invite { n, nonce, name } => {
                let nonce = nonce.to_bytes();
                self.take_invite(me, sender, (&id, nonce, *n, name), now)
            }
            GroupWord::Epoch { roster, key } => {
                self.take_epoch(me, sender, &id, (roster, key), now)?;
                // Keys are for the object alone.
                Ok(false)
            }
            GroupWord::Post {
                epoch,
                post,
                number,
                open,
                sealed,
                content: None,
            } => {
                let said = Said {
                    epoch: *epoch,
                    post,
                    number: *number,
                    open: *open,
                    sealed: sealed.as_deref().ok_or(MALFORMED)?,
                };
                let Some(opened) = self.take_post(me, sender, &id, &said, now)? else {
                    return Ok(false);
                };
                show(body, opened);
                Ok(true)
            }
            GroupWord::Post { .. } => Err(MALFORMED),
            GroupWord::Join { n } => self.take_says(me, sender, &id, Says::Join { n: *n }, now),
            GroupWord::Decline { n } => {
                self.take_says(me, sender, &id, Says::Decline { n: *n }, now)
            }
            GroupWord::Leave { n } => self.take_says(me, sender, &id, Says::Leave { n: *n }, now),
            GroupWord::Out { epoch, n, closed } => {
                let says = Says::Out {
                    epoch: *epoch,
                    n: *n,
                    closed: *closed,
                };
                self.take_says(me, sender, &id, says, now)
            }
        }
    }

    /// A delivery was committed: what it brought up is told.
    pub(in crate::agent) fn groups_came(self: &Rc<Self>) {
        if self.groups.stirred.get() {
            self.tend_groups();
        }
    }

    fn joined(&self, me: &Me, id: &MessageId) -> Result<Group, GroupFault> {
        let group = self.group(me, id)?;
        group.ok_or(GroupFault::Refused(Refusal::NotJoined.code()))
    }

    fn take_invite(
        &self,
        me: &Me,
        sender: &Contact,
        (id, nonce, n, name): (&MessageId, [u8; 16], u32, &str),
        now: Timestamp,
    ) -> Result<bool, GroupFault> {
        if group_id(&sender.did, &nonce) != id.to_bytes() {
            return Err(Refusal::Forged.into());
        }
        let mut group = match self.group(me, id)? {
            Some(mut group) => {
                if !group.hear_invite(&sender.did, n, name.to_owned())? {
                    return Ok(false);
                }
                group
            }
            None => {
                let store = &self.groups.store;
                if store.count(None)? >= MAX_GROUPS
                    || store.count(Some(&sender.did))? >= MAX_OF_OWNER
                {
                    return Err(GroupFault::Refused("TOO_MANY_GROUPS"));
                }
                let owner = Address {
                    did: sender.did.clone(),
                    host: sender.host.clone(),
                };
                let place = (id.to_bytes(), nonce);
                Group::invited(place, own_address(me), owner, n, name.to_owned())?
            }
        };
        let at_once = match self.group_settings()?.auto_accept {
            AutoAccept::Nobody => false,
            AutoAccept::Network => sender.network == me.network,
            AutoAccept::Everyone => true,
        };
        let tells: Vec<Tell> = if at_once {
            vec![group.accept()?]
        } else {
            Vec::new()
        };
        self.keep_group(me, &group, &tells, now)?;
        Ok(true)
    }

    fn take_says(
        &self,
        me: &Me,
        sender: &Contact,
        id: &MessageId,
        says: Says,
        now: Timestamp,
    ) -> Result<bool, GroupFault> {
        let mut group = self.joined(me, id)?;
        let (from, fresh) = (&sender.did, self.fresh(me));
        let before = group.clone();
        let tells = match says {
            Says::Join { n } => group.hear_join(from, n, fresh)?,
            Says::Decline { n } => group.hear_decline(from, n).map(|()| Vec::new())?,
            Says::Leave { n } => group.hear_leave(from, n, fresh)?,
            Says::Out { epoch, n, closed } => {
                group.hear_out(from, epoch, n, closed)?;
                Vec::new()
            }
            Says::Invite { .. } | Says::Epoch { .. } => return Err(MALFORMED),
        };
        let news = group != before;
        self.keep_group(me, &group, &tells, now)?;
        Ok(news)
    }

    fn take_epoch(
        &self,
        me: &Me,
        sender: &Rc<Contact>,
        id: &MessageId,
        (roster, key): (&str, &str),
        now: Timestamp,
    ) -> Result<(), GroupFault> {
        let mut group = self.joined(me, id)?;
        let decode = |text: &str| {
            BASE64_NOPAD
                .decode(text.as_bytes())
                .map_err(|_error| MALFORMED)
        };
        let signed = decode(roster)?;
        let read = Roster::decode(&signed).map_err(|_error| MALFORMED)?;
        let key = GroupKey::from_bytes(&decode(key)?).ok_or(MALFORMED)?;
        self.verify_roster(me, sender, &group, &read)?;
        if group.hear_epoch(&sender.did, (read.roster, signed), key)? {
            self.keep_group(me, &group, &[], now)?;
            // What waited for this epoch is said now.
            self.groups.stirred.set(true);
        }
        Ok(())
    }

    fn verify_roster(
        &self,
        me: &Me,
        sender: &Rc<Contact>,
        group: &Group,
        read: &Unverified,
    ) -> Result<(), GroupFault> {
        if read.roster.owner != group.owner().did {
            return Err(Refusal::Forged.into());
        }
        let is_by = |key: &entente_trust::crypto::sign::VerifyingKey| read.verify(key).is_ok();
        if group.is_owner() {
            // Our own act, which a backup has made us forget.
            let own = is_by(&me.signing.verifying_key());
            return own.then_some(()).ok_or(Refusal::Forged.into());
        }
        let owner = if sender.did == group.owner().did {
            Rc::clone(sender)
        } else {
            let known = self.known_contact(&group.owner().did)?;
            known.ok_or(GroupFault::Refused(Refusal::Forged.code()))?
        };
        match signer_at(&owner, read.roster.at, is_by) {
            Some(_) => Ok(()),
            // A neighbour that was not looked up lately cannot be asked from here: it will say so itself.
            None if owner.network == me.network && owner.route == Route::Link => {
                Err(Refusal::Forged.into())
            }
            None => Err(GroupFault::Unverified(owner)),
        }
    }

    /// Takes what somebody said to all; nothing if it came before.
    fn take_post(
        &self,
        me: &Me,
        sender: &Contact,
        id: &MessageId,
        said: &Said<'_>,
        now: Timestamp,
    ) -> Result<Option<Body>, GroupFault> {
        let from = &sender.did;
        let store = &self.groups.store;
        if store.has_post(id, from, said.post)? {
            return Ok(None);
        }
        let group = self.joined(me, id)?;
        let key = match group.hear_post(from, said.epoch) {
            Ok(key) => key,
            Err(refusal) => {
                if refusal == Refusal::OldEpoch {
                    self.tell_group(id, group.tell_epoch(from).as_slice(), now)?;
                }
                return Err(refusal.into());
            }
        };
        let sealed = BASE64_NOPAD.decode(said.sealed.as_bytes());
        let sealed = sealed.map_err(|_error| MALFORMED)?;
        let (group_bytes, post_bytes) = (id.to_bytes(), said.post.to_bytes());
        let place = Place {
            group: &group_bytes,
            epoch: said.epoch,
            id: &post_bytes,
            author: from,
        };
        let text = open_text(key, &place, &sealed).map_err(|_error| UNDECRYPTABLE)?;
        let body: Body = serde_json::from_slice(&text).map_err(|_error| MALFORMED)?;
        if !is_plain(&body) {
            return Err(MALFORMED);
        }
        let expected = store.expected(id, from)?;
        let next = next_heard(expected, said.number, said.open);
        store.expect(id, from, next.ok_or(Refusal::OutOfOrder)?)?;
        store.insert_post(&NewPost {
            group: id,
            id: said.post,
            sender: from,
            host: &sender.host,
            outgoing: false,
            at: now,
            body: self.seal_post(me, id, from, said.post, &body)?,
            request: None,
        })?;
        Ok(Some(body))
    }
}

/// Whether this is something that a program may say to all.
fn is_plain(body: &Body) -> bool {
    let plain = match &body.content {
        Content::Text { .. } | Content::Json { .. } | Content::Ref { .. } => true,
        // A broadcast to the group.
        Content::Record(part) => {
            let checked = schema::check(Some("agent.comms.broadcast"), &part.record);
            part.task.is_none() && checked.is_ok()
        }
        Content::Share(_) | Content::Group(_) | Content::Topic(_) | Content::Cast(_) => false,
    };
    let fits = |thread: &String| (1..=256).contains(&thread.len());
    plain && (1..=5).contains(&body.priority) && body.thread.as_ref().is_none_or(fits)
}

/// Puts what was said into the message that brought it, as the agent's program reads it.
fn show(body: &mut Body, opened: Body) {
    if let Content::Group(GroupPart {
        word: GroupWord::Post {
            sealed, content, ..
        },
        ..
    }) = &mut body.content
    {
        *sealed = None;
        *content = Some(Box::new(opened.content));
    }
    body.thread = opened.thread;
    body.priority = opened.priority;
}
