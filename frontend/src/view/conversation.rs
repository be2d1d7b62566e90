//! One agent's mail: what it got and what it sent, in one list.

use std::collections::BTreeMap;

use entente_lexicon::api::{Inbox, InboxMessage, MessageList, MessageStatus};
use entente_lexicon::group::GroupWord;
use entente_lexicon::{Content, ReceiptStatus, Timestamp};

/// Messages kept and shown; older ones stay in the agent's own store.
pub const MAX_SHOWN: usize = 200;
/// Messages not yet final that are asked for one by one.
const MAX_PENDING: usize = 5;

/// What this page holds of one agent's mail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// The agent's name.
    pub agent: String,
    /// Whether the first pages have come.
    pub loaded: bool,
    /// Where the inbox goes on.
    pub inbox_cursor: Option<String>,
    /// Where the list of sent messages goes on.
    pub sent_cursor: Option<String>,
    inbox: BTreeMap<String, InboxMessage>,
    sent: BTreeMap<String, MessageStatus>,
}

/// One message in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The message's id.
    pub id: String,
    /// Whether the agent sent it.
    pub outgoing: bool,
    /// The other end's address.
    pub other: String,
    /// What it says, if this page may know.
    pub text: Option<String>,
    /// When it was written.
    pub at: Timestamp,
    /// How far it came.
    pub status: ReceiptStatus,
    /// Its thread.
    pub thread: Option<String>,
}

impl Conversation {
    /// Starts with nothing known of this agent.
    #[must_use]
    pub fn of(agent: &str) -> Self {
        Self {
            agent: agent.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a page of the inbox. Returns whether another page follows at once.
    pub fn add_inbox(&mut self, page: Inbox, limit: usize) -> bool {
        let more = page.messages.len() >= limit;
        if page.cursor.is_some() {
            self.inbox_cursor = page.cursor;
        }
        for message in page.messages {
            self.inbox.insert(message.id.clone(), message);
        }
        self.trim();
        more
    }

    /// Adds a page of sent messages. Returns whether another page follows at once.
    pub fn add_sent(&mut self, page: MessageList, limit: usize) -> bool {
        let more = page.messages.len() >= limit && page.cursor.is_some();
        if page.cursor.is_some() {
            self.sent_cursor = page.cursor;
        }
        for message in page.messages {
            self.update(message);
        }
        more
    }

    /// Puts in one sent message as the network tells of it now. It never goes back a step.
    pub fn update(&mut self, mut message: MessageStatus) {
        if let Some(known) = self.sent.get(&message.id) {
            let undone = !known.status.is_open() && message.status.is_open();
            if undone || (known.status == ReceiptStatus::Read && message.status != known.status) {
                return;
            }
            message.content = message.content.or_else(|| known.content.clone());
        }
        self.sent.insert(message.id.clone(), message);
        self.trim();
    }

    /// Returns the addresses of other agents whose names the messages tell.
    pub fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        let got = self.inbox.values();
        let got = got.map(|message| (message.from.as_str(), message.peer_name.as_deref()));
        let sent = self.sent.values();
        let sent = sent.map(|message| (message.to.as_str(), message.peer_name.as_deref()));
        got.chain(sent)
            .filter_map(|(address, name)| Some((address, name?)))
    }

    /// Returns a sent message.
    #[must_use]
    pub fn sent(&self, id: &str) -> Option<&MessageStatus> {
        self.sent.get(id)
    }

    /// Returns a received message.
    #[must_use]
    pub fn received(&self, id: &str) -> Option<&InboxMessage> {
        self.inbox.get(id)
    }

    /// Notes that a received message was read.
    pub fn note_read(&mut self, id: &str, at: Timestamp) {
        if let Some(message) = self.inbox.get_mut(id) {
            message.read_at.get_or_insert(at);
        }
    }

    /// Keeps what was read here while a page of the inbox was on its way.
    pub fn keep_read(&mut self, before: &Self) {
        for (id, message) in &before.inbox {
            if let Some(at) = message.read_at {
                self.note_read(id, at);
            }
        }
    }

    /// Returns the newest sent messages whose end is not known yet.
    #[must_use]
    pub fn pending(&self) -> Vec<String> {
        self.sent
            .values()
            .rev()
            .filter(|message| message.status.is_open())
            .take(MAX_PENDING)
            .map(|message| message.id.clone())
            .collect()
    }

    /// Returns everything, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let got = self.inbox.values().map(|message| Entry {
            id: message.id.clone(),
            outgoing: false,
            other: message.from.clone(),
            text: Some(text_of(&message.content)),
            at: message.received_at,
            status: match message.read_at {
                Some(_) => ReceiptStatus::Read,
                None => ReceiptStatus::Delivered,
            },
            thread: message.thread.clone(),
        });
        let sent = self.sent.values().map(|message| Entry {
            id: message.id.clone(),
            outgoing: true,
            other: message.to.clone(),
            text: message.content.as_ref().map(text_of),
            at: message.created_at,
            status: message.status,
            thread: message.thread.clone(),
        });
        let mut all: Vec<Entry> = got.chain(sent).collect();
        all.sort_by(|a, b| (a.at, a.outgoing, &a.id).cmp(&(b.at, b.outgoing, &b.id)));
        let surplus = all.len().saturating_sub(MAX_SHOWN);
        all.split_off(surplus)
    }

    /// Ids sort by time: the first ones are the oldest.
    fn trim(&mut self) {
        while self.inbox.len() > MAX_SHOWN {
            self.inbox.pop_first();
        }
        while self.sent.len() > MAX_SHOWN {
            self.sent.pop_first();
        }
    }
}

/// Shows what a message says as text.
#[must_use]
pub fn text_of(content: &Content) -> String {
    match content {
        Content::Text { text } => text.clone(),
        Content::Json { data } => serde_json::to_string_pretty(data).unwrap_or_default(),
        Content::Ref { uri } => uri.clone(),
        Content::Share(part) => format!("Shared a record: {}", part.uri),
        Content::Record(part) => serde_json::to_string_pretty(&part.record).unwrap_or_default(),
        Content::Topic(part) => serde_json::to_string_pretty(part).unwrap_or_default(),
        Content::Cast(part) => serde_json::to_string_pretty(&part.record).unwrap_or_default(),
        Content::Group(part) => {
            if let GroupWord::Post {
                content: Some(content),
                ..
            } = &part.word
            {
                text_of(content)
            } else {
                serde_json::to_string_pretty(&part.word).unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(id: &str, at: u64) -> InboxMessage {
        InboxMessage {
            id: id.to_owned(),
            peer_name: Some("diana".to_owned()),
            from: "did:cf:2@b.example".to_owned(),
            to: "did:cf:1@a.example".to_owned(),
            thread: None,
            content: Content::Json {
                data: serde_json::json!({"n": 1}),
            },
            priority: 3,
            created_at: Timestamp(at),
            received_at: Timestamp(at),
            read_at: None,
        }
    }

    fn sent(id: &str, at: u64, status: ReceiptStatus, text: Option<&str>) -> MessageStatus {
        MessageStatus {
            id: id.to_owned(),
            direction: "out".to_owned(),
            peer_name: None,
            from: "did:cf:1@a.example".to_owned(),
            to: "did:cf:2@b.example".to_owned(),
            status,
            created_at: Timestamp(at),
            sent_at: None,
            receipts: Vec::new(),
            content: text.map(|text| Content::Text {
                text: text.to_owned(),
            }),
            thread: None,
        }
    }

    #[test]
    fn both_directions_make_one_list_by_time() {
        let mut mail = Conversation::of("alice");
        let page = Inbox {
            messages: vec![received("b", 20)],
            cursor: Some("c1".to_owned()),
        };
        assert!(!mail.add_inbox(page, 200));
        mail.update(sent("a", 10, ReceiptStatus::Accepted, Some("hi")));
        mail.update(sent("c", 30, ReceiptStatus::Refused, None));
        let entries = mail.entries();
        let ids: Vec<&str> = entries.iter().map(|e| e.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c"]);
        assert_eq!(mail.inbox_cursor.as_deref(), Some("c1"));
        assert_eq!(mail.pending(), ["a"]);
        let named: Vec<_> = mail.named().collect();
        assert_eq!(named, [("did:cf:2@b.example", "diana")]);
        assert!(entries[1].text.as_deref().unwrap().contains("\"n\": 1"));
    }

    #[test]
    fn a_late_answer_neither_undoes_a_step_nor_forgets_the_text() {
        let mut mail = Conversation::of("alice");
        mail.update(sent("a", 10, ReceiptStatus::Accepted, Some("hi")));
        mail.update(sent("a", 10, ReceiptStatus::Delivered, None));
        mail.update(sent("a", 10, ReceiptStatus::Accepted, None));
        let entry = mail.entries().pop().unwrap();
        assert_eq!(
            (entry.status, entry.text.as_deref()),
            (ReceiptStatus::Delivered, Some("hi"))
        );
        assert!(mail.pending().is_empty());
    }

    #[test]
    fn what_was_read_stays_read_at_both_ends() {
        let mut mail = Conversation::of("alice");
        mail.update(sent("a", 10, ReceiptStatus::Read, Some("hi")));
        mail.update(sent("a", 10, ReceiptStatus::Delivered, None));
        assert_eq!(mail.entries()[0].status, ReceiptStatus::Read);
        let page = || Inbox {
            messages: vec![received("b", 20)],
            cursor: None,
        };
        mail.add_inbox(page(), 200);
        assert_eq!(mail.entries()[1].status, ReceiptStatus::Delivered);
        mail.note_read("b", Timestamp(30));
        let mut next = Conversation::of("alice");
        next.add_inbox(page(), 200);
        next.keep_read(&mail);
        assert_eq!(next.entries()[0].status, ReceiptStatus::Read);
    }

    #[test]
    fn a_full_page_with_a_cursor_asks_for_the_next() {
        let mut mail = Conversation::of("alice");
        let page = MessageList {
            messages: vec![sent("a", 1, ReceiptStatus::Delivered, None)],
            cursor: Some("next".to_owned()),
        };
        assert!(mail.add_sent(page, 1));
        assert!(!mail.add_sent(
            MessageList {
                messages: vec![],
                cursor: None
            },
            1
        ));
        assert_eq!(mail.sent_cursor.as_deref(), Some("next"));
    }

    #[test]
    fn only_the_newest_are_kept() {
        let mut mail = Conversation::of("alice");
        for n in 0..300u64 {
            mail.update(sent(&format!("{n:04}"), n, ReceiptStatus::Delivered, None));
        }
        let entries = mail.entries();
        assert_eq!((entries.len(), entries[0].id.as_str()), (MAX_SHOWN, "0100"));
    }
}
