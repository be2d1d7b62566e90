//! What a link remembers of itself for people: how its state changed, and the last messages.
//!
//! Both are bounded and kept in slots that are written over, so that neither grows nor is swept.

use entente_lexicon::MessageId;
use entente_lexicon::api::LinkState;
use entente_lexicon::link_view::{LinkMessage, Transition};

use crate::error::ApiError;
use crate::internal::now;
use crate::link::driver::Driver;
use crate::link::store::LinkStore;
use crate::params;
use crate::store::sqlite::{Row, StoreError};

/// Changes of state that are kept.
const MAX_TRANSITIONS: u64 = 50;
/// Messages shown at most, of those that wait and of those that ended.
const MAX_SHOWN: u32 = 20;

/// The tables, and the trigger that keeps the last 256 messages when their senders were told.
pub(super) const SCHEMA: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS transitions(
        slot INTEGER PRIMARY KEY, n INTEGER NOT NULL, at INTEGER NOT NULL, state TEXT NOT NULL,
        code TEXT)",
    "CREATE TABLE IF NOT EXISTS ended(
        slot INTEGER PRIMARY KEY, seq INTEGER NOT NULL, id BLOB NOT NULL, sender TEXT NOT NULL,
        recipient TEXT NOT NULL, queued_at INTEGER NOT NULL, ended_at INTEGER, code TEXT)",
    "CREATE TRIGGER IF NOT EXISTS keep_ended AFTER DELETE ON outbox BEGIN
        INSERT OR REPLACE INTO ended(slot, seq, id, sender, recipient, queued_at, ended_at, code)
        SELECT old.seq % 256, old.seq, old.id, old.sender, old.recipient, old.queued_at,
            COALESCE((SELECT at FROM refusals WHERE seq = old.seq),
                (SELECT at FROM acks WHERE upto >= old.seq ORDER BY upto LIMIT 1)),
            (SELECT code FROM refusals WHERE seq = old.seq);
     END",
];

impl LinkStore {
    fn add_transition(&self, transition: &Transition) -> Result<(), StoreError> {
        let last = self.row("SELECT COALESCE(MAX(n), 0) FROM transitions", params![])?;
        let n = last.map_or(Ok(0), |row| row.integer(0))?.saturating_add(1);
        self.exec(
            "INSERT OR REPLACE INTO transitions(slot, n, at, state, code) VALUES(?, ?, ?, ?, ?)",
            params![
                n % MAX_TRANSITIONS,
                n,
                transition.at,
                state_text(transition.state),
                transition.code.clone()
            ],
        )
    }

    fn transitions(&self) -> Result<Vec<Transition>, StoreError> {
        let rows = self.rows(
            "SELECT at, state, code FROM transitions ORDER BY n",
            params![],
        )?;
        rows.iter()
            .map(|row| {
                Ok(Transition {
                    at: row.timestamp(0)?,
                    state: state_of(&row.text(1)?),
                    code: row.optional(2, Row::text)?,
                })
            })
            .collect()
    }

    fn last_messages(&self) -> Result<Vec<LinkMessage>, StoreError> {
        let columns = "seq, id, sender, recipient, queued_at";
        let waiting = format!(
            "SELECT {columns}, (SELECT at FROM refusals WHERE seq = outbox.seq),
                (SELECT code FROM refusals WHERE seq = outbox.seq), 1
             FROM outbox ORDER BY seq LIMIT ?"
        );
        let ended = format!(
            "SELECT {columns}, ended_at, code, 0 FROM ended ORDER BY ended_at DESC, seq DESC LIMIT ?"
        );
        let mut rows = self.rows(&waiting, params![MAX_SHOWN])?;
        rows.extend(self.rows(&ended, params![MAX_SHOWN])?);
        rows.iter().map(message).collect()
    }
}

impl Driver {
    /// Writes down that the link's state changed, if it did.
    pub(super) fn note_state(&self) {
        let view = self
            .machine
            .borrow()
            .as_ref()
            .map(|machine| machine.view(now()));
        let Some(view) = view else { return };
        let code = view.last_error.as_ref().map(ToString::to_string);
        let found = (view.state, code.clone());
        if self.noted.borrow().as_ref() == Some(&found) {
            return;
        }
        self.noted.replace(Some(found));
        let transition = Transition {
            at: now(),
            state: view.state,
            code,
        };
        if let Err(error) = self.store.add_transition(&transition) {
            worker::console_warn!("a change of the link's state was not kept: {error}");
        }
    }

    pub(super) fn history(&self) -> Result<Vec<Transition>, ApiError> {
        Ok(self.store.transitions()?)
    }

    pub(super) fn messages(&self) -> Result<Vec<LinkMessage>, ApiError> {
        Ok(self.store.last_messages()?)
    }
}

fn message(row: &Row) -> Result<LinkMessage, StoreError> {
    let code = row.optional(6, Row::text)?;
    let ended_at = row.optional(5, Row::timestamp)?;
    let waits = row.flag(7)?;
    let status = match (&code, waits) {
        (Some(code), _) if code == "QUARANTINED" => "quarantined",
        (Some(_), _) => "refused",
        (None, true) => "waiting",
        (None, false) => "delivered",
    };
    let id: Vec<u8> = row.blob(1)?;
    let id = id.try_into().map_err(|_error| StoreError::Column(1))?;
    Ok(LinkMessage {
        seq: row.integer(0)?,
        id: MessageId::from_bytes(id).to_string(),
        from: row.text(2)?,
        to: row.text(3)?,
        stored_at: row.timestamp(4)?,
        ended_at,
        status: status.to_owned(),
        code,
    })
}

const STATES: [(LinkState, &str); 7] = [
    (LinkState::Connecting, "connecting"),
    (LinkState::Up, "up"),
    (LinkState::Idle, "idle"),
    (LinkState::Unreachable, "unreachable"),
    (LinkState::Waiting, "waiting"),
    (LinkState::Refused, "refused"),
    (LinkState::Frozen, "frozen"),
];

fn state_text(state: LinkState) -> &'static str {
    let found = STATES.iter().find(|(known, _)| *known == state);
    found.map_or("connecting", |(_, text)| text)
}

fn state_of(text: &str) -> LinkState {
    let found = STATES.iter().find(|(_, known)| *known == text);
    found.map_or(LinkState::Connecting, |(state, _)| *state)
}
