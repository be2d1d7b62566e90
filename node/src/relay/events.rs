//! The sequence of events: numbered, stored, then shown.

use std::rc::Rc;

use entente_lexicon::api::{Event, NewEvent};

use crate::error::ApiError;
use crate::relay::core::Core;
use crate::shapes::RecentMessages;

/// Events that are searched for messages to or from one peer, and messages found at most.
const LOOKED_AT: u64 = 2_000;
const MAX_RECENT: usize = 200;
/// Events of one call; the callers batch by fewer.
const MAX_BATCH: usize = 1_000;

impl Core {
    /// Numbers, stores and shows a batch of events.
    pub(super) fn take_events(self: &Rc<Self>, news: Vec<NewEvent>) -> Result<(), ApiError> {
        if news.len() > MAX_BATCH {
            return Err(ApiError::internal("too many events at once"));
        }
        if news.is_empty() {
            return Ok(());
        }
        let directory_changed = self.with_live(|live| {
            let events = number(live.newest, news);
            let host = live.stored.host.clone();
            let changes: Vec<_> = events
                .iter()
                .map(|event| live.presence.note(event, &host))
                .collect();
            let woken = live.wake(&events);
            if let Err(error) = self.store.append(&events, &changes, &woken) {
                // Memory ran ahead of what is stored: read it again next time.
                live.presence = self.store.presence()?;
                live.wakes = self.restore_wakes()?;
                return Err(error);
            }
            live.newest = events.last().map_or(live.newest, |event| event.seq);
            live.show(&events)?;
            Ok(changes.iter().any(|changed| changed.directory))
        })?;
        if directory_changed {
            self.listed.replace(None);
        }
        self.schedule_status();
        self.push_soon();
        self.wake_soon();
        Ok(())
    }

    /// Finds the messages that crossed to or from a peer among the last events.
    pub(super) fn recent(&self, host: &str) -> Result<RecentMessages, ApiError> {
        let after = self.store.newest()?.saturating_sub(LOOKED_AT);
        let mut events = self.store.after(after, LOOKED_AT)?;
        events.reverse();
        let crossed = events
            .into_iter()
            .filter(|event| event.peer.as_deref() == Some(host));
        let messages = crossed.filter_map(|event| {
            let came_in = match event.kind.as_str() {
                "message.received" => true,
                "message.accepted" => false,
                _ => return None,
            };
            Some((came_in, event.from?, event.to?))
        });
        Ok(RecentMessages {
            messages: messages.take(MAX_RECENT).collect(),
            announcements: self.recent_announcements(host)?,
        })
    }
}

fn number(newest: u64, news: Vec<NewEvent>) -> Vec<Event> {
    news.into_iter()
        .zip(newest.saturating_add(1)..)
        .map(|(new, seq)| Event {
            seq,
            kind: new.kind,
            at: new.at,
            from: new.from,
            to: new.to,
            message: new.message,
            peer: new.peer,
            code: new.code,
            label: new.label,
            latency_ms: new.latency_ms,
            more: new.more,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_where_they_stopped() {
        let events = number(7, vec![NewEvent::default(), NewEvent::default()]);
        let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, [8, 9]);
    }
}
