//! What the relay brings: taken once, kept, told to programs and webhooks; and read again from a place on.

use std::rc::Rc;

use entente_firehose::Cursor;
use entente_lexicon::api::AgentNotice;
use entente_lexicon::api::wakes::{Wake, WakeList};
use entente_lexicon::api::webhooks::HookEvent;

use crate::agent::core::Core;
use crate::agent::read::Page;
use crate::agent::socket::push;
use crate::agent::webhooks::Happened;
use crate::agent::wire::Woken;
use crate::error::ApiError;
use crate::internal;

impl Core {
    /// Takes what filters let through. What was taken before is not taken again.
    pub(super) fn take_woken(self: &Rc<Self>, woken: Woken) -> Result<(), ApiError> {
        self.wakes.store.create()?;
        let Woken {
            epoch,
            gap,
            after,
            upto,
            version,
            events,
        } = woken;
        let state = self.wakes.store.state()?;
        let known = state.at.as_ref().filter(|at| at.epoch == epoch);
        if known.is_some_and(|at| upto <= at.seq) {
            return Ok(());
        }
        let place = |seq| Cursor {
            epoch: epoch.clone(),
            seq,
        };
        let is_other = state.at.is_some() && known.is_none();
        let seen = known.map_or(0, |at| at.seq);
        let filters = self.wakes.store.filters()?;
        let mut wakes = Vec::new();
        if (gap || is_other) && !filters.is_empty() {
            let wake = Wake {
                cursor: place(after).to_string(),
                event: None,
                filters: Vec::new(),
                gap: true,
            };
            wakes.push((place(after), wake));
        }
        for (event, mut named) in events {
            // A filter that was removed while this was on its way lets nothing through any more.
            named.retain(|id| filters.iter().any(|filter| filter.id == *id));
            if event.seq > seen && !named.is_empty() {
                let at = place(event.seq);
                let wake = Wake {
                    cursor: at.to_string(),
                    event: Some(event),
                    filters: named,
                    gap: false,
                };
                wakes.push((at, wake));
            }
        }
        self.store.transaction(|| {
            self.wakes.store.set_at(&place(upto))?;
            for (at, wake) in &wakes {
                self.wakes.store.add(at, wake)?;
                self.push_wake(wake)?;
            }
            Ok::<_, ApiError>(self.wakes.store.prune()?)
        })?;
        let sockets = self.sockets();
        for (_, wake) in wakes {
            push(&sockets, &AgentNotice::Wake { wake });
        }
        self.start_courier();
        if version != state.version {
            self.tell_filters_soon();
        }
        Ok(())
    }

    fn push_wake(&self, wake: &Wake) -> Result<(), ApiError> {
        let happened = Happened {
            event: HookEvent::Woken,
            subject: &wake.cursor,
            at: wake
                .event
                .as_ref()
                .map_or_else(internal::now, |event| event.at),
        };
        self.push_event(&happened, |_include| Ok(serde_json::to_value(wake)?))
    }

    /// Lists what woke the agent after a place.
    pub(super) fn list_wakes(&self, page: &Page) -> Result<WakeList, ApiError> {
        let state = self.wakes.store.state()?;
        let cursor = page.cursor().map(str::parse::<Cursor>).transpose();
        let cursor = cursor.map_err(|error| {
            ApiError::bad_request("INVALID_CURSOR", format!("`cursor`: {error}."))
        })?;
        let row = cursor.as_ref().map(|place| self.wakes.store.row_at(place));
        let row = row.transpose()?.flatten();
        let gap = match (&cursor, row) {
            (None, _) | (_, Some(_)) => false,
            (Some(place), None) => match &state.dropped {
                Some(dropped) => place.epoch != dropped.epoch || place.seq < dropped.seq,
                None => {
                    let is_ours = state.at.as_ref().is_some_and(|at| at.epoch == place.epoch);
                    !is_ours && !self.wakes.store.knows_epoch(&place.epoch)?
                }
            },
        };
        let limit = page.limit()?;
        let wakes = self.wakes.store.after(row.unwrap_or(0), limit)?;
        let is_full = wakes.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let last = wakes.last().map(|wake| wake.cursor.clone());
        let end = state.at.as_ref().map(Cursor::to_string);
        Ok(WakeList {
            wakes,
            cursor: if is_full { last } else { end },
            gap,
        })
    }
}
