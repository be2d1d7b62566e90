//! One agent's conversation as the admin follows it, and the message being written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use entente_lexicon::api::{Event, MessageStatus, ReceiptView, SendMessage};
use entente_lexicon::{Content, ReceiptStatus};
use leptos::html::Textarea;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, http};
use crate::browser::{self, set_changed};
use crate::store::Store;
use crate::view::conversation::Conversation;
use crate::view::kind::Kind;
use crate::view::names::id_of;

const TICK: Duration = Duration::from_millis(700);
/// Without news a conversation is read anew this seldom, in ticks.
const QUIET_TICKS: u32 = 4;
/// A message on its way longer than this is not asked for every tick any more.
const EAGER_MS: u64 = 60_000;
/// Pages read in one go; a longer history continues with the next tick.
const MAX_PAGES: usize = 25;

/// The signals of the compose panel and of the conversation below it.
#[derive(Clone, Copy)]
pub(crate) struct Mail {
    /// The sending agent's name.
    pub(crate) from: RwSignal<String>,
    /// The recipient as typed.
    pub(crate) to: RwSignal<String>,
    /// What to say.
    pub(crate) text: RwSignal<String>,
    /// The thread of the message that is answered.
    pub(crate) thread: RwSignal<Option<String>>,
    /// Whether a send is in flight.
    pub(crate) sending: RwSignal<bool>,
    /// Why the last send failed.
    pub(crate) error: RwSignal<Option<Failure>>,
    /// The agent's mail.
    pub(crate) conversation: RwSignal<Conversation>,
    /// Why the mail cannot be read.
    pub(crate) trouble: RwSignal<Option<Failure>>,
    /// The message whose journey is shown.
    pub(crate) journey: RwSignal<Option<String>>,
    /// The field for the text, to focus it.
    pub(crate) field: NodeRef<Textarea>,
    store: Store,
    busy: StoredValue<bool>,
    again: StoredValue<bool>,
    ticks: StoredValue<u32>,
    /// Sent messages that came further after their end.
    late: StoredValue<BTreeSet<String>>,
    /// What was typed as the recipient of each message sent here.
    typed: StoredValue<BTreeMap<String, String>>,
    /// The message last tried and its idempotency key, so that trying again sends nothing twice.
    attempt: StoredValue<Option<(SendMessage, String)>>,
}

impl Mail {
    /// Makes the signals and begins to follow the chosen agent.
    pub(crate) fn start(store: Store) -> Self {
        let mail = Self {
            from: RwSignal::new(String::new()),
            to: RwSignal::new(String::new()),
            text: RwSignal::new(String::new()),
            thread: RwSignal::new(None),
            sending: RwSignal::new(false),
            error: RwSignal::new(None),
            conversation: RwSignal::new(Conversation::default()),
            trouble: RwSignal::new(None),
            journey: RwSignal::new(None),
            field: NodeRef::new(),
            store,
            busy: StoredValue::new(false),
            again: StoredValue::new(false),
            ticks: StoredValue::new(0),
            late: StoredValue::new(BTreeSet::new()),
            typed: StoredValue::new(BTreeMap::new()),
            attempt: StoredValue::new(None),
        };
        Effect::new(move |_| mail.choose_first());
        Effect::new(move |_| {
            store.frame.track();
            if mail.concerned() {
                mail.refresh();
            }
        });
        let ticking = set_interval_with_handle(move || mail.tick(), TICK);
        on_cleanup(move || {
            if let Ok(ticking) = ticking {
                ticking.clear();
            }
        });
        mail
    }

    /// Agents the admin may write as, by name.
    pub(crate) fn senders(self) -> Vec<String> {
        self.store.writable_agents()
    }

    fn choose_first(self) {
        let senders = self.senders();
        let chosen = self.from.get_untracked();
        if !senders.contains(&chosen)
            && let Some(first) = senders.first()
        {
            self.choose(first);
        }
    }

    /// Turns to another agent's mail.
    pub(crate) fn choose(self, agent: &str) {
        self.from.set(agent.to_owned());
        self.conversation.set(Conversation::of(agent));
        self.journey.set(None);
        self.thread.set(None);
        self.trouble.set(None);
        self.error.set(None);
        self.refresh();
    }

    /// Prepares an answer to a message of the shown conversation.
    pub(crate) fn reply(self, to: String, thread: Option<String>) {
        self.to.set(to);
        self.thread.set(thread);
        self.error.set(None);
        if let Some(field) = self.field.get_untracked() {
            let _ = field.focus();
        }
    }

    /// Whether an event since the last frame moved a message of the chosen agent.
    fn concerned(self) -> bool {
        let agent = self.from.get_untracked();
        let id = self.store.agents.with_untracked(|agents| {
            let own = agents
                .iter()
                .find(|known| known.name.as_deref() == Some(agent.as_str()));
            own.map(|known| known.id.clone())
        });
        let Some(id) = id else { return false };
        self.store.with_fresh(|events| {
            let party = |party: &Option<String>| party.as_deref().map(id_of) == Some(&id);
            let own = |event: &&Event| party(&event.from) || party(&event.to);
            let mut concerned = false;
            for event in events.iter().filter(own) {
                let kind = Kind::parse(&event.kind);
                if kind == Kind::Read {
                    let known = event.message.clone();
                    self.late.update_value(|late| late.extend(known));
                }
                concerned |= matches!(
                    kind,
                    Kind::Delivered
                        | Kind::Read
                        | Kind::Received
                        | Kind::Quarantined
                        | Kind::Refused
                        | Kind::Expired
                        | Kind::Unconfirmed
                );
            }
            concerned
        })
    }

    /// Marks a message as read; whether its writer is told is the agent's setting.
    pub(crate) fn mark_read(self, id: String) {
        let Some(key) = self.store.key() else { return };
        let agent = self.from.get_untracked();
        spawn_local(async move {
            match http::mark_read(&key, &agent, &id).await {
                Ok(marked) => {
                    if self.from.try_get_untracked().as_deref() == Some(agent.as_str()) {
                        self.conversation.update(|mail| {
                            for message in marked.messages {
                                mail.note_read(&message.id, message.read_at);
                            }
                        });
                    }
                }
                Err(failure) if failure.status == 401 => self.store.leave_admin(Some(failure)),
                Err(failure) => set_changed(self.trouble, Some(failure)),
            }
        });
    }

    fn tick(self) {
        let ticks = self.ticks.get_value().wrapping_add(1);
        self.ticks.set_value(ticks);
        if browser::is_hidden() || self.from.with_untracked(String::is_empty) {
            return;
        }
        if ticks.is_multiple_of(QUIET_TICKS) || self.is_eager() {
            self.refresh();
        }
    }

    fn is_eager(self) -> bool {
        let now = browser::now();
        self.journey.with_untracked(|journey| {
            let Some(id) = journey else { return false };
            self.conversation.with_untracked(|mail| {
                mail.sent(id).is_some_and(|message| {
                    message.status.is_open() && now.since(message.created_at) < EAGER_MS
                })
            })
        })
    }

    /// Reads what is new, unless that is being done; then it is done once more afterwards.
    fn refresh(self) {
        if self.busy.get_value() {
            self.again.set_value(true);
            return;
        }
        self.busy.set_value(true);
        spawn_local(async move {
            loop {
                self.again.try_set_value(false);
                let outcome = self.read().await;
                // The panel may be gone by now.
                if self.busy.try_get_value().is_none() {
                    return;
                }
                match outcome {
                    Ok(()) => set_changed(self.trouble, None),
                    Err(failure) if failure.status == 401 => {
                        self.store.leave_admin(Some(failure));
                        return;
                    }
                    Err(failure) => set_changed(self.trouble, Some(failure)),
                }
                if self.again.try_get_value() != Some(true) {
                    break;
                }
            }
            self.busy.try_set_value(false);
        });
    }

    async fn read(self) -> Result<(), Failure> {
        let (Some(key), Some(agent)) = (self.store.key(), self.from.try_get_untracked()) else {
            return Ok(());
        };
        let mut mail = self.conversation.try_get_untracked().unwrap_or_default();
        for _ in 0..MAX_PAGES {
            let page = http::inbox(&key, &agent, mail.inbox_cursor.as_deref()).await?;
            if !mail.add_inbox(page, http::PAGE) {
                break;
            }
        }
        for _ in 0..MAX_PAGES {
            let page = http::sent(&key, &agent, mail.sent_cursor.as_deref()).await?;
            if !mail.add_sent(page, http::PAGE) {
                break;
            }
        }
        let mut late = BTreeSet::new();
        self.late
            .try_update_value(|known| late = std::mem::take(known));
        late.retain(|id| mail.sent(id).is_some());
        late.extend(mail.pending());
        for id in late {
            mail.update(http::message(&key, &agent, &id).await?);
        }
        mail.loaded = true;
        self.show(&agent, mail);
        Ok(())
    }

    /// Puts in what was read, beside what was sent meanwhile.
    fn show(self, agent: &str, mut mail: Conversation) {
        if self.from.try_get_untracked().as_deref() != Some(agent) {
            return;
        }
        if let Some(id) = self.journey.get_untracked()
            && mail.sent(&id).is_none()
        {
            let sent = self
                .conversation
                .with_untracked(|known| known.sent(&id).cloned());
            if let Some(sent) = sent {
                mail.update(sent);
            }
        }
        self.conversation
            .with_untracked(|known| mail.keep_read(known));
        self.learn(&mail);
        self.announce(&mail);
        set_changed(self.conversation, mail);
    }

    /// Agents elsewhere are known by the names their cards say; a name typed here and the DID it
    /// resolved to belong together.
    fn learn(self, mail: &Conversation) {
        let mut names = self.store.names.get_untracked();
        for (address, name) in mail.named() {
            names.learn(address, name);
        }
        self.typed.with_value(|typed| {
            for (id, typed) in typed {
                if let Some(message) = mail.sent(id) {
                    names.learn(&message.to, typed);
                }
            }
        });
        set_changed(self.store.names, names);
    }

    fn announce(self, next: &Conversation) {
        let Some(id) = self.journey.get_untracked() else {
            return;
        };
        let status = |mail: &Conversation| mail.sent(&id).map(|message| message.status);
        let before = self.conversation.with_untracked(status);
        let after = status(next);
        if before != after
            && let Some(after) = after
        {
            self.store
                .announcement
                .set(format!("Your message was {}.", after.as_str()));
        }
    }

    /// Sends what is written.
    pub(crate) async fn send(self) {
        let Some(key) = self.store.key() else { return };
        let agent = self.from.get_untracked();
        let to = self.to.with_untracked(|to| to.trim().to_owned());
        let body = SendMessage {
            to: to.clone(),
            content: Content::Text {
                text: self.text.get_untracked(),
            },
            thread: self.thread.get_untracked(),
            priority: None,
            expires_at: None,
            idempotency_key: None,
            asynchronous: None,
        };
        let idempotency = self.idempotency(&body);
        self.sending.set(true);
        self.error.set(None);
        let request = SendMessage {
            idempotency_key: Some(idempotency),
            ..body
        };
        let answer = http::send(&key, &agent, &request).await;
        self.sending.try_set(false);
        match answer {
            Ok(accepted) => {
                self.attempt.try_set_value(None);
                self.typed
                    .try_update_value(|typed| typed.insert(accepted.id.clone(), to));
                self.accepted(&agent, accepted.id, request);
            }
            Err(failure) if failure.status == 401 => self.store.leave_admin(Some(failure)),
            Err(failure) => {
                self.error.try_set(Some(failure));
            }
        }
    }

    /// The same message tried again keeps its key.
    fn idempotency(self, body: &SendMessage) -> String {
        let known = self.attempt.with_value(|attempt| {
            attempt
                .as_ref()
                .filter(|(tried, _)| tried == body)
                .map(|(_, key)| key.clone())
        });
        let key = known.unwrap_or_else(browser::random_id);
        self.attempt.set_value(Some((body.clone(), key.clone())));
        key
    }

    fn accepted(self, agent: &str, id: String, request: SendMessage) {
        if self.from.try_get_untracked().as_deref() != Some(agent) {
            return;
        }
        let at = browser::now();
        let by = self.store.network.with_untracked(|network| {
            network
                .as_ref()
                .map_or_else(String::new, |network| network.did.clone())
        });
        let receipt = ReceiptView {
            status: ReceiptStatus::Accepted,
            at,
            by,
            code: None,
            proof: None,
        };
        let message = MessageStatus {
            id: id.clone(),
            direction: "out".to_owned(),
            from: agent.to_owned(),
            to: request.to,
            status: ReceiptStatus::Accepted,
            created_at: at,
            sent_at: None,
            receipts: vec![receipt],
            peer_name: None,
            content: Some(request.content),
            thread: request.thread,
        };
        self.conversation.update(|mail| mail.update(message));
        self.journey.set(Some(id));
        self.text.set(String::new());
        self.store
            .announcement
            .set("Your message was accepted.".to_owned());
        self.refresh();
    }
}
