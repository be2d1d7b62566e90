//! What is to be done without being asked: words and posts that mail does not have yet, and what came of
//! those that it had.

use std::collections::BTreeMap;
use std::rc::Rc;

use data_encoding::BASE64_NOPAD;
use entente_groups::{After, Group, Refusal, Says, Tell, after};
use entente_lexicon::api::SendMessage;
use entente_lexicon::group::{GroupPart, GroupWord};
use entente_lexicon::{Address, Content, Did, MessageId};
use futures::future::join_all;
use wasm_bindgen_futures::spawn_local;
use worker::console_error;

use crate::agent::core::Core;
use crate::agent::groups::RETRY_MS;
use crate::agent::groups::store::{StoredSend, StoredWord};
use crate::agent::identity::Me;
use crate::agent::tasks::waits;
use crate::error::ApiError;
use crate::internal;

/// Words told in one go.
const BATCH: u32 = 200;
/// What is said in a group is worth delivering this long.
const EXPIRY_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// How a post stands that did not arrive.
const REFUSED: &str = "refused";
const EXPIRED: &str = "expired";

/// What one agent is to get, in order.
#[derive(Default)]
struct Queue {
    words: Vec<StoredWord>,
    sends: Vec<StoredSend>,
}

impl Core {
    /// Looks after groups, beside other work. Called by the alarm, and when something changed.
    pub(in crate::agent) fn tend_groups(self: &Rc<Self>) {
        self.groups.again.set(true);
        if self.groups.tending.replace(true) {
            return;
        }
        let core = Rc::clone(self);
        spawn_local(async move {
            while core.groups.again.replace(false) {
                core.groups.stirred.set(false);
                if let Err(error) = core.tend_groups_once().await {
                    console_error!("groups wait to be looked after: {error}");
                    core.wake_in(RETRY_MS);
                }
            }
            core.groups.tending.set(false);
        });
    }

    /// Takes up what an earlier life of the object left, once in each.
    pub(in crate::agent) fn wake_groups(self: &Rc<Self>) {
        if !self.groups.woken.replace(true) {
            self.tend_groups();
        }
    }

    async fn tend_groups_once(self: &Rc<Self>) -> Result<(), ApiError> {
        if !self.groups.is_used()? {
            return Ok(());
        }
        let me = self.identity()?;
        self.settle_groups(&me)?;
        let mut queues: BTreeMap<(MessageId, Did), Queue> = BTreeMap::new();
        let words = self.groups.store.untold(BATCH)?;
        let whole = u32::try_from(words.len()).is_ok_and(|count| count == BATCH);
        for word in words {
            let place = (word.group.clone(), word.to.did.clone());
            queues.entry(place).or_default().words.push(word);
        }
        for send in self.groups.store.unsent()? {
            let place = (send.group.clone(), send.to.did.clone());
            queues.entry(place).or_default().sends.push(send);
        }
        let told = queues.into_values().map(|queue| self.serve(&me, queue));
        let told: Vec<_> = join_all(told.collect::<Vec<_>>()).await;
        let mut later = false;
        for outcome in told {
            later |= outcome?;
        }
        if later {
            self.wake_in(RETRY_MS);
        } else if whole {
            self.groups.again.set(true);
        }
        Ok(())
    }

    /// Looks at what mail is done with.
    fn settle_groups(&self, me: &Me) -> Result<(), ApiError> {
        self.groups.store.transaction(|| {
            for (word, code) in self.groups.store.settle_words()? {
                self.word_lost(me, &word, &code)?;
            }
            loop {
                let settled = self.groups.store.settled()?;
                if settled.is_empty() {
                    return Ok::<_, ApiError>(());
                }
                for (send, status, code) in settled {
                    self.settle_send(me, &send, &status, code.as_deref())?;
                }
            }
        })
    }

    fn settle_send(
        &self,
        me: &Me,
        send: &StoredSend,
        status: &str,
        code: Option<&str>,
    ) -> Result<(), ApiError> {
        let store = &self.groups.store;
        match after(code, send.tries) {
            After::Arrived => store.send_done(send, "delivered", None)?,
            After::Over => {
                if code == Some("TOPIC_NOT_SUBSCRIBED") {
                    self.not_listening(me, send)?;
                }
                store.send_done(send, status, code)?;
            }
            After::Again => store.again(send, false)?,
            After::WhenNewer => store.again(send, true)?,
            After::TellAndAgain => {
                // Who is not in is not told; the post then ends where it is sent.
                let group = self.group(me, &send.group)?;
                let tell = group.and_then(|group| group.tell_epoch(&send.to.did));
                self.tell_group(&send.group, tell.as_slice(), internal::now())?;
                store.again(send, false)?;
            }
        }
        Ok(())
    }

    /// Mail could not deliver a word.
    fn word_lost(&self, me: &Me, word: &StoredWord, code: &str) -> Result<(), ApiError> {
        self.groups.store.word_done(word.n, Some(code))?;
        let Some(mut group) = self.group(me, &word.group)? else {
            return Ok(());
        };
        let tell = Tell {
            to: word.to.clone(),
            says: word.says,
        };
        let fresh = self.fresh(me);
        match group.undelivered(&tell, word.told, code, fresh) {
            Ok(tells) => self.keep_group(me, &group, &tells, internal::now()),
            // It is over by now.
            Err(_refusal) => Ok(()),
        }
    }

    /// Gives one agent what it is to get in one group: words, then posts. Returns whether something
    /// has to wait.
    async fn serve(self: &Rc<Self>, me: &Me, queue: Queue) -> Result<bool, ApiError> {
        for word in &queue.words {
            match self.tell_word(me, word).await {
                Ok(()) => {}
                Err(error) if waits(&error) => return Ok(true),
                Err(error) => self
                    .groups
                    .store
                    .transaction(|| self.word_lost(me, word, &error.code))?,
            }
        }
        for send in &queue.sends {
            match self.send_post(me, send).await {
                Ok(true) => {}
                // What waits for a later epoch holds back what is behind it.
                Ok(false) => return Ok(false),
                Err(error) if waits(&error) => return Ok(true),
                Err(error) => {
                    // A neighbour that refuses says so at once.
                    let group = self.group(me, &send.group)?;
                    let current = group.as_ref().and_then(Group::current);
                    let epoch = current.map_or(0, |current| current.roster.epoch);
                    self.groups.store.transaction(|| {
                        self.settle_send(me, &tried(send, epoch), REFUSED, Some(&error.code))
                    })?;
                    self.groups.again.set(true);
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    async fn tell_word(self: &Rc<Self>, me: &Me, word: &StoredWord) -> Result<(), ApiError> {
        let group = self.group(me, &word.group)?;
        let Some((said, epoch)) = group.and_then(|group| speech(&group, word)) else {
            return Ok(self.groups.store.word_done(word.n, None)?);
        };
        let key = format!("group/word/{}/{epoch}", word.n);
        let part = GroupPart {
            group: word.group.clone(),
            word: said,
        };
        // Before mail is given it, so that an epoch that begins meanwhile becomes a word of its own.
        self.groups.store.giving(word.n, epoch)?;
        let mail = self.mail_part(&word.to, key, part, None).await?;
        Ok(self.groups.store.told(word.n, &mail)?)
    }

    /// Hands a post to mail for one listener. Returns whether what is behind it may follow.
    async fn send_post(self: &Rc<Self>, me: &Me, send: &StoredSend) -> Result<bool, ApiError> {
        let store = &self.groups.store;
        let post = store.post(send.post)?;
        let post = post.ok_or_else(|| ApiError::internal("a post is gone"))?;
        let expires = post.at.after(EXPIRY_MS);
        if expires <= internal::now() {
            store.transaction(|| store.send_done(send, EXPIRED, Some("EXPIRED")))?;
            return Ok(true);
        }
        if let Some(via) = send.via {
            self.send_cast(me, &post, (send, via), expires).await?;
            return Ok(true);
        }
        let group = self.group(me, &send.group)?;
        let current = group
            .as_ref()
            .and_then(|group| group.epoch_for(&send.to.did));
        let Some(current) = current else {
            // Nobody who is out hears what was said while it was in.
            let code = Refusal::NotMember.code();
            store.transaction(|| store.send_done(send, REFUSED, Some(code)))?;
            return Ok(true);
        };
        let epoch = current.roster.epoch;
        if send.waits && epoch <= send.epoch {
            return Ok(false);
        }
        let sealed = self.travelling(me, &post, current)?;
        let open = store.lowest_open(&send.group, &send.to.did)?;
        let part = GroupPart {
            group: send.group.clone(),
            word: GroupWord::Post {
                epoch,
                post: post.id.clone(),
                number: send.number,
                open: open.unwrap_or(send.number),
                sealed: Some(BASE64_NOPAD.encode(&sealed)),
                content: None,
            },
        };
        let key = format!("group/post/{}/{}", send.n, send.tries);
        let mail = self.mail_part(&send.to, key, part, Some(expires)).await?;
        store.sent(send.n, &mail, epoch)?;
        Ok(true)
    }

    /// Hands a word to mail. What a life that ended just now has handed over is not handed over again.
    async fn mail_part(
        self: &Rc<Self>,
        to: &Address,
        key: String,
        part: GroupPart,
        expires_at: Option<entente_lexicon::Timestamp>,
    ) -> Result<MessageId, ApiError> {
        self.mail_once(SendMessage {
            to: to.to_string(),
            thread: None,
            priority: None,
            expires_at,
            idempotency_key: Some(key),
            content: Content::Group(part),
            asynchronous: None,
        })
        .await
    }

    /// Hands something to mail, once under its key.
    pub(super) async fn mail_once(
        self: &Rc<Self>,
        message: SendMessage,
    ) -> Result<MessageId, ApiError> {
        if let Some(key) = message.idempotency_key.as_deref()
            && let Some(earlier) = self.store.by_requests(&[key])?.remove(key)
        {
            return Ok(earlier.id);
        }
        let sent = self.send_own(message).await?;
        sent.id.parse().map_err(ApiError::internal)
    }
}

/// What is said, and the epoch that it tells; nothing if there is nothing to say any more.
fn speech(group: &Group, word: &StoredWord) -> Option<(GroupWord, u64)> {
    let said = match word.says {
        Says::Invite { n } => GroupWord::Invite {
            n,
            nonce: MessageId::from_bytes(*group.nonce()),
            name: group.name().to_owned(),
        },
        Says::Join { n } => GroupWord::Join { n },
        Says::Decline { n } => GroupWord::Decline { n },
        Says::Leave { n } => GroupWord::Leave { n },
        Says::Out { epoch, n, closed } => GroupWord::Out { epoch, n, closed },
        Says::Epoch { .. } => {
            let current = group.epoch_for(&word.to.did)?;
            let said = GroupWord::Epoch {
                roster: BASE64_NOPAD.encode(&current.signed),
                key: BASE64_NOPAD.encode(&*current.key.to_bytes()),
            };
            return Some((said, current.roster.epoch));
        }
    };
    Some((said, 0))
}

/// A post that was refused before mail had it: that counts as a try, under this epoch.
fn tried(send: &StoredSend, epoch: u64) -> StoredSend {
    StoredSend {
        tries: send.tries.saturating_add(1),
        epoch,
        to: send.to.clone(),
        group: send.group.clone(),
        ..*send
    }
}
