//! The filters themselves: made, shown, replaced, and told to the relay.

use std::rc::Rc;

use entente_firehose::Filter;
use entente_lexicon::MessageId;
use entente_lexicon::api::wakes::{SetWakeFilter, WakeFilterList, WakeFilterView};
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use crate::agent::core::Core;
use crate::agent::wakes::store::{Kept, State};
use crate::agent::wire::{self, LeftFilter, LeftFilters};
use crate::error::ApiError;
use crate::internal;

/// Filters of one agent.
const MAX_FILTERS: usize = 10;
/// All of them together, as JSON.
const MAX_FILTER_BYTES: usize = 16 * 1024;
/// The relay is told again after this, if a call failed.
const RETRY_MS: u64 = 2_000;

impl Core {
    pub(super) fn list_filters(&self) -> Result<WakeFilterList, ApiError> {
        let (filters, state) = (self.wakes.store.filters()?, self.wakes.store.state()?);
        let filters = filters.into_iter().map(|kept| view(kept, &state));
        Ok(WakeFilterList {
            filters: filters.collect(),
        })
    }

    pub(super) fn show_filter(&self, id: &str) -> Result<WakeFilterView, ApiError> {
        let state = self.wakes.store.state()?;
        let found = self.wakes.store.filters()?;
        let found = found.into_iter().find(|kept| kept.id == id);
        found
            .map(|kept| view(kept, &state))
            .ok_or_else(unknown_filter)
    }

    /// Leaves another filter.
    pub(super) async fn add_filter(
        self: &Rc<Self>,
        filter: SetWakeFilter,
    ) -> Result<WakeFilterView, ApiError> {
        if self.wakes.store.filters()?.len() >= MAX_FILTERS {
            return Err(ApiError::new(
                409,
                "TOO_MANY_FILTERS",
                "An agent has at most 10 filters: remove one, or name more in one of them.",
            ));
        }
        let id = MessageId::from_parts(internal::now().0, internal::random()).to_string();
        self.keep_filter(id, filter).await
    }

    /// Puts a filter in the place of one that is there.
    pub(super) async fn set_filter(
        self: &Rc<Self>,
        id: &str,
        filter: SetWakeFilter,
    ) -> Result<WakeFilterView, ApiError> {
        let known = self.show_filter(id)?.id;
        self.keep_filter(known, filter).await
    }

    async fn keep_filter(
        self: &Rc<Self>,
        id: String,
        filter: SetWakeFilter,
    ) -> Result<WakeFilterView, ApiError> {
        let read = Filter::try_from(&filter.wish());
        read.map_err(|error| ApiError::bad_request(error.code(), format!("{error}.")))?;
        let mut bytes = serde_json::to_vec(&filter)?.len();
        for other in self.wakes.store.filters()? {
            if other.id != id {
                bytes = bytes.saturating_add(serde_json::to_vec(&other.filter)?.len());
            }
        }
        if bytes > MAX_FILTER_BYTES {
            return Err(ApiError::bad_request(
                "FILTER_TOO_LARGE",
                "An agent's filters are at most 16 KiB together, as JSON: name fewer, or use patterns.",
            ));
        }
        let version = self.next_version()?;
        self.store.transaction(|| {
            self.wakes.store.set_version(version)?;
            self.wakes.store.put_filter(&Kept {
                id: id.clone(),
                filter,
                set_at: internal::now(),
                version,
            })
        })?;
        self.tell_filters().await;
        self.show_filter(&id)
    }

    pub(super) async fn remove_filter(self: &Rc<Self>, id: &str) -> Result<(), ApiError> {
        let version = self.next_version()?;
        self.store.transaction(|| {
            if !self.wakes.store.remove_filter(id)? {
                return Err(unknown_filter());
            }
            Ok(self.wakes.store.set_version(version)?)
        })?;
        self.tell_filters().await;
        Ok(())
    }

    /// Later than any before, even if this agent is put back from a backup.
    fn next_version(&self) -> Result<u64, ApiError> {
        let version = self.wakes.store.state()?.version;
        Ok(version.saturating_add(1).max(internal::now().0))
    }

    /// Looks, once in each life of the object, whether the relay knows the filters.
    pub(in crate::agent) fn wake_filters(self: &Rc<Self>) {
        if !self.wakes.woken.replace(true) {
            self.tell_filters_soon();
        }
    }

    /// Tells the relay of the filters if it does not know them. Returns at once.
    pub(in crate::agent) fn tell_filters_soon(self: &Rc<Self>) {
        let state = self.wakes.store.exists().and_then(|exists| {
            if exists {
                self.wakes.store.state()
            } else {
                Ok(State::default())
            }
        });
        if state.is_ok_and(|state| state.told < state.version) {
            let core = Rc::clone(self);
            spawn_local(async move { core.tell_filters().await });
        }
    }

    /// Tells the relay of the filters until it knows them as they are, or fails; then the alarm does.
    pub(super) async fn tell_filters(self: &Rc<Self>) {
        // In the turn that commits them: whatever ends here, the alarm goes on.
        self.wake_in(RETRY_MS);
        if self.wakes.telling.replace(true) {
            return;
        }
        if let Err(error) = self.tell_relay().await {
            console_warn!("the relay does not know the filters yet, trying again: {error}");
            self.wake_in(RETRY_MS);
        }
        self.wakes.telling.set(false);
    }

    async fn tell_relay(&self) -> Result<(), ApiError> {
        loop {
            let state = self.wakes.store.state()?;
            if state.told >= state.version {
                return Ok(());
            }
            let filters = self.wakes.store.filters()?.into_iter();
            let left = LeftFilters {
                did: self.identity()?.did.to_string(),
                object: self.state.id().to_string(),
                version: state.version,
                filters: filters
                    .map(|kept| LeftFilter {
                        id: kept.id,
                        wish: kept.filter.wish(),
                        own: kept.filter.own,
                    })
                    .collect(),
            };
            let relay = internal::relay(&self.env)?;
            let () = wire::call(&relay, "/wakes/filters", &left).await?;
            self.wakes.store.set_told(state.version)?;
        }
    }
}

fn view(kept: Kept, state: &State) -> WakeFilterView {
    let is_told = kept.version <= state.told;
    WakeFilterView {
        id: kept.id,
        filter: kept.filter,
        set_at: kept.set_at,
        state: if is_told { "active" } else { "pending" }.to_owned(),
    }
}

fn unknown_filter() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_FILTER",
        "This agent has no such filter: GET /agents/:name/filters lists them.",
    )
}
