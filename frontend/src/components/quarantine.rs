//! Messages that wait for the admin's decision.

use std::time::Duration;

use entente_lexicon::api::Quarantined;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, trust};
use crate::browser::{poll, set_changed};
use crate::components::problem::Problem;
use crate::store::{Store, use_store};
use crate::view::codes::explain;
use crate::view::format::{ago, count, duration};
use crate::view::kind::Kind;

/// Events tell of most changes; asking wakes every link.
const POLL: Duration = Duration::from_secs(60);
/// Pages read in one go.
const MAX_PAGES: usize = 10;

/// The quarantine as the admin sees it.
#[derive(Clone, Copy)]
struct Shelf {
    held: RwSignal<Option<Vec<Quarantined>>>,
    trouble: RwSignal<Option<Failure>>,
    store: Store,
}

impl Shelf {
    async fn refresh(self) {
        let Some(key) = self.store.key() else { return };
        let answer = all(&key).await;
        if self.held.try_with_untracked(|_| ()).is_none() {
            return;
        }
        match answer {
            Ok(held) => {
                set_changed(self.held, Some(held));
                set_changed(self.trouble, None);
            }
            Err(failure) if failure.status == 401 => self.store.leave_admin(Some(failure)),
            Err(failure) => set_changed(self.trouble, Some(failure)),
        }
    }

    fn is_concerned(self) -> bool {
        self.store.with_fresh(|events| {
            let kinds = events.iter().map(|event| Kind::parse(&event.kind));
            kinds
                .into_iter()
                .any(|kind| matches!(kind, Kind::Held | Kind::Decided))
        })
    }

    async fn decide(self, item: String, decision: &'static str, said: &'static str) {
        let Some(key) = self.store.key() else { return };
        match trust::decide(&key, &item, decision).await {
            Ok(()) => {
                self.store.announcement.set(said.to_owned());
                self.refresh().await;
            }
            Err(failure) => {
                self.refresh().await;
                set_changed(self.trouble, Some(failure));
            }
        }
    }
}

async fn all(key: &str) -> Result<Vec<Quarantined>, Failure> {
    let mut held = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let page = trust::quarantine(key, cursor.as_deref()).await?;
        held.extend(page.held);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(held)
}

/// The panel of messages that are held.
#[component]
pub(crate) fn QuarantinePanel() -> impl IntoView {
    let store = use_store();
    let shelf = Shelf {
        held: RwSignal::new(None),
        trouble: RwSignal::new(None),
        store,
    };
    provide_context(shelf);
    Effect::new(move |before: Option<()>| {
        store.frame.track();
        if before.is_none() || shelf.is_concerned() {
            spawn_local(shelf.refresh());
        }
    });
    poll(POLL, move || spawn_local(shelf.refresh()));
    let items = Memo::new(move |_| shelf.held.with(|held| held.clone().unwrap_or_default()));
    let total = move || match items.with(Vec::len) {
        0 => String::new(),
        waiting => format!("{} waiting for you", count(waiting as u64)),
    };
    let empty = move || {
        if shelf.held.with(Option::is_some) {
            "Nothing is held. Mail from a peer at verified that lacks something you may decide about waits here."
        } else {
            "Asking what is held…"
        }
    };
    view! {
        <section class="panel quarantine" aria-labelledby="quarantine-title" data-testid="quarantine">
            <div class="panel-head">
                <h2 id="quarantine-title">"Quarantine"</h2>
                <span class="muted" data-testid="quarantine-count">{total}</span>
            </div>
            <Problem failure=shelf.trouble id="quarantine-trouble"/>
            <Show when=move || items.with(|items| !items.is_empty())
                fallback=move || view! { <p class="empty" data-testid="quarantine-empty">{empty}</p> }>
                <ul class="trust-list">
                    <For each=move || items.get() key=|one| (one.item.clone(), one.released) let:one>
                        <HeldRow one/>
                    </For>
                </ul>
            </Show>
        </section>
    }
}

#[component]
fn HeldRow(one: Quarantined) -> impl IntoView {
    let store = use_store();
    let shelf = expect_context::<Shelf>();
    let (from, to) = (one.from.clone(), one.to.clone());
    let from = move || store.names.with(|names| names.label(&from));
    let to = move || store.names.with(|names| names.label(&to));
    let (held_at, lapses_at) = (one.held_at, one.lapses_at);
    let times = move || {
        let now = store.now.get();
        format!(
            "held {}, refused by itself in {}",
            ago(held_at, now),
            duration(lapses_at.since(now))
        )
    };
    let reason = one.reason.clone();
    let why = explain(&reason).unwrap_or("It lacks what verified asks for.");
    let busy = RwSignal::new(one.released);
    let decide = move |item: String, decision: &'static str, said: &'static str| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            shelf.decide(item, decision, said).await;
            busy.try_set(false);
        });
    };
    let (release, refuse) = (one.item.clone(), one.item.clone());
    view! {
        <li class="peer-card" data-testid="held-row" data-message=one.id data-reason=one.reason>
            <div class="peer-top">
                <strong>{from}</strong>
                <span class="muted">"to "{to}" by "{one.host}</span>
                <span class="peer-buttons">
                    <button class="quiet small" type="button" data-testid="held-release" disabled=busy
                        on:click=move |_| decide(release.clone(), "release", "It is delivered.")>"Release"</button>
                    <button class="quiet small" type="button" data-testid="held-refuse" disabled=busy
                        on:click=move |_| decide(refuse.clone(), "refuse", "It is refused.")>"Refuse"</button>
                </span>
            </div>
            <p class="hint"><code>{reason}</code>" "{why}</p>
            <p class="hint">{if one.released { "Released: it waits for its agent. ".to_owned() } else { String::new() }}{times}</p>
        </li>
    }
}
