//! The signals of the page, and what feeds them.
//!
//! Frames go into a plain [`Model`]; signals are set once an animation frame at most.

use std::time::Duration;

use entente_lexicon::Timestamp;
use entente_lexicon::api::{AgentPresence, Event, FirehoseFrame, NetworkView, PublicPeer, Viewer};
use futures::channel::oneshot;
use futures::future::AbortHandle;
use leptos::prelude::*;

use crate::api::{Failure, http, socket};
use crate::browser::{self, set_changed};
use crate::view::connection::Phase;
use crate::view::feed::Filter;
use crate::view::health::Summary;
use crate::view::kind::Kind;
use crate::view::model::{Applied, Model};
use crate::view::names::Names;

const TICK: Duration = Duration::from_secs(1);
/// Events kept for the graph between two animation frames; more would not be seen.
const MAX_FRESH: usize = 64;

/// Everything the components share. It is a bundle of handles and can be copied.
#[derive(Clone, Copy)]
pub(crate) struct Store {
    /// How the socket stands.
    pub(crate) phase: RwSignal<Phase>,
    /// For whom the stream is made.
    pub(crate) viewer: RwSignal<Option<Viewer>>,
    /// This network.
    pub(crate) network: RwSignal<Option<NetworkView>>,
    /// Its agents.
    pub(crate) agents: RwSignal<Vec<AgentPresence>>,
    /// Its peers, as everybody sees them.
    pub(crate) peers: RwSignal<Vec<PublicPeer>>,
    /// Who is who.
    pub(crate) names: RwSignal<Names>,
    /// The last minutes in numbers.
    pub(crate) summary: RwSignal<Summary>,
    /// The time, once a second.
    pub(crate) now: RwSignal<Timestamp>,
    /// What the feed is narrowed to.
    pub(crate) filter: RwSignal<Filter>,
    /// Rises whenever events came since the last animation frame.
    pub(crate) frame: RwSignal<u64>,
    /// Rises when a link or a peer changed.
    pub(crate) peers_changed: RwSignal<u64>,
    /// How often events were missed.
    pub(crate) gaps: RwSignal<u32>,
    /// What the network says is wrong with it, by code.
    pub(crate) problems: RwSignal<Vec<String>>,
    /// Whether the admin's key was taken.
    pub(crate) admin: RwSignal<bool>,
    /// Why the admin's view ended or was not given.
    pub(crate) gate_error: RwSignal<Option<Failure>>,
    /// What screen readers are told.
    pub(crate) announcement: RwSignal<String>,
    model: StoredValue<Model, LocalStorage>,
    fresh: StoredValue<Vec<Event>, LocalStorage>,
    shown: StoredValue<Vec<Event>, LocalStorage>,
    flushing: StoredValue<bool, LocalStorage>,
    status_came: StoredValue<bool, LocalStorage>,
    key: StoredValue<Option<String>, LocalStorage>,
    socket: StoredValue<Option<AbortHandle>, LocalStorage>,
    wake: StoredValue<Option<oneshot::Sender<()>>, LocalStorage>,
}

impl Store {
    /// Makes the store and starts its clock. The socket is started by [`socket::follow`].
    pub(crate) fn start() -> Self {
        let store = Self {
            phase: RwSignal::new(Phase::Connecting),
            viewer: RwSignal::new(None),
            network: RwSignal::new(None),
            agents: RwSignal::new(Vec::new()),
            peers: RwSignal::new(Vec::new()),
            names: RwSignal::new(Names::default()),
            summary: RwSignal::new(Summary::default()),
            now: RwSignal::new(browser::now()),
            filter: RwSignal::new(Filter::default()),
            frame: RwSignal::new(0),
            peers_changed: RwSignal::new(0),
            gaps: RwSignal::new(0),
            problems: RwSignal::new(Vec::new()),
            admin: RwSignal::new(false),
            gate_error: RwSignal::new(None),
            announcement: RwSignal::new(String::new()),
            model: StoredValue::new_local(Model::default()),
            fresh: StoredValue::new_local(Vec::new()),
            shown: StoredValue::new_local(Vec::new()),
            flushing: StoredValue::new_local(false),
            status_came: StoredValue::new_local(false),
            key: StoredValue::new_local(None),
            socket: StoredValue::new_local(None),
            wake: StoredValue::new_local(None),
        };
        set_interval(move || store.tick(), TICK);
        let _ = window_event_listener(leptos::ev::online, move |_| store.wake_now());
        let _ = window_event_listener(leptos::ev::offline, move |_| {
            if store.phase.get_untracked() != Phase::Connected {
                store.set_phase(Phase::Offline);
            }
        });
        store
    }

    /// Takes in a frame; what it changes is shown with the next animation frame.
    pub(crate) fn apply(self, frame: FirehoseFrame) {
        let applied = self.model.try_update_value(|model| model.apply(frame));
        match applied {
            Some(Applied::Event(event)) => self.fresh.update_value(|fresh| {
                if fresh.len() < MAX_FRESH || Kind::parse(&event.kind).concerns_peers() {
                    fresh.push(*event);
                }
            }),
            Some(Applied::Status) => self.status_came.set_value(true),
            Some(Applied::Gap) => self.gaps.update(|gaps| *gaps = gaps.saturating_add(1)),
            Some(Applied::Known) | None => return,
        }
        if !self.flushing.get_value() {
            self.flushing.set_value(true);
            request_animation_frame(move || self.flush());
        }
    }

    fn flush(self) {
        self.flushing.set_value(false);
        if self.status_came.get_value() {
            self.status_came.set_value(false);
            self.show_status();
        }
        let moved = self.fresh.with_value(|fresh| {
            fresh
                .iter()
                .any(|event| Kind::parse(&event.kind).concerns_peers())
        });
        self.shown.set_value(
            self.fresh
                .try_update_value(std::mem::take)
                .unwrap_or_default(),
        );
        self.frame.update(|frame| *frame += 1);
        if moved {
            self.peers_changed.update(|count| *count += 1);
        }
    }

    fn show_status(self) {
        let first = self.network.with_untracked(Option::is_none);
        self.model.with_value(|model| {
            let host = model
                .network
                .as_ref()
                .map_or("", |network| network.host.as_str());
            let mut names = self.names.get_untracked();
            names.set_local(host, &model.agents);
            set_changed(self.names, names);
            set_changed(self.viewer, model.viewer);
            set_changed(self.network, model.network.clone());
            set_changed(self.agents, model.agents.clone());
            set_changed(self.peers, model.peers.clone());
        });
        if first {
            self.tick();
        }
    }

    fn tick(self) {
        let now = browser::now();
        self.now.set(now);
        let summary = self.model.with_value(|model| model.summary(now));
        set_changed(self.summary, summary);
    }

    /// Reads the model without being told of later changes.
    pub(crate) fn with_model<T>(self, read: impl FnOnce(&Model) -> T) -> T {
        self.model.with_value(read)
    }

    /// Reads the events that came since the last animation frame. Use it in an effect on `frame`.
    pub(crate) fn with_fresh<T>(self, read: impl FnOnce(&[Event]) -> T) -> T {
        self.shown.with_value(|fresh| read(fresh))
    }

    /// Shows what is wrong with the network.
    pub(crate) fn set_problems(self, problems: Vec<String>) {
        set_changed(self.problems, problems);
    }

    /// Shows how the socket stands.
    pub(crate) fn set_phase(self, phase: Phase) {
        if self.phase.get_untracked() != phase {
            self.phase.set(phase);
            if phase == Phase::Connected {
                self.set_problems(Vec::new());
            }
            self.announcement.set(format!("{}.", phase.label()));
        }
    }

    /// Returns the agents that the admin may write and announce as, by name.
    pub(crate) fn writable_agents(self) -> Vec<String> {
        self.agents.with(|agents| {
            let readable = agents.iter().filter(|agent| agent.admin_read == Some(true));
            let mut names: Vec<String> = readable.filter_map(|agent| agent.name.clone()).collect();
            names.sort();
            names
        })
    }

    /// Returns where the stream goes on.
    pub(crate) fn cursor(self) -> Option<String> {
        self.model.with_value(|model| model.cursor.clone())
    }

    /// Returns the admin's key while it is held.
    pub(crate) fn key(self) -> Option<String> {
        self.key.get_value()
    }

    /// Remembers the socket's task and ends the one before.
    pub(crate) fn replace_socket(self, next: AbortHandle) {
        let before = self
            .socket
            .try_update_value(|socket| socket.replace(next))
            .flatten();
        if let Some(before) = before {
            before.abort();
        }
    }

    /// Waits before the next attempt, or until [`Store::wake_now`].
    pub(crate) async fn pause_or_wake(self, millis: u64) {
        let (wake, woken) = oneshot::channel();
        self.wake.set_value(Some(wake));
        let _ = browser::within(millis, woken).await;
        self.wake.set_value(None);
    }

    /// Tries to connect at once.
    pub(crate) fn wake_now(self) {
        let wake = self.wake.try_update_value(Option::take).flatten();
        if let Some(wake) = wake {
            let _ = wake.send(());
        }
    }

    /// Tries a key; if it is taken, everything is seen anew with the admin's eyes.
    pub(crate) async fn enter_admin(self, key: String) {
        match http::ticket(&key).await {
            Ok(ticket) => {
                self.key.set_value(Some(key));
                self.gate_error.set(None);
                self.forget();
                self.admin.set(true);
                self.announcement.set("You are the admin now.".to_owned());
                socket::follow(self, Some(ticket.ticket));
            }
            Err(failure) => self.gate_error.set(Some(failure)),
        }
    }

    /// Forgets the key and goes on as an observer.
    pub(crate) fn leave_admin(self, reason: Option<Failure>) {
        self.key.set_value(None);
        self.gate_error.set(reason);
        self.admin.set(false);
        self.forget();
        self.announcement.set("You are an observer now.".to_owned());
        socket::follow(self, None);
    }

    /// Ids differ between viewers: nothing seen as one is kept for the other.
    fn forget(self) {
        self.model.set_value(Model::default());
        self.fresh.update_value(Vec::clear);
        self.filter.set(Filter::default());
        self.names.set(Names::default());
        self.viewer.set(None);
        self.agents.set(Vec::new());
        self.gaps.set(0);
        self.frame.update(|frame| *frame += 1);
    }
}

/// Returns the store of this page.
pub(crate) fn use_store() -> Store {
    expect_context::<Store>()
}
