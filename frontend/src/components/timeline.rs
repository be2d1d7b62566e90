//! What agents made public, here and at peers, the newest first.

use std::time::Duration;

use entente_lexicon::api::timeline::{TimelineEntry, TimelineKind};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, reputation};
use crate::browser::{poll, set_changed};
use crate::components::problem::Problem;
use crate::store::use_store;
use crate::view::format::{ago, plural};
use crate::view::reputation::{author, saying};

const POLL: Duration = Duration::from_secs(10);
/// Entries shown at most.
const MAX_ROWS: usize = 200;

#[derive(Clone, Copy)]
struct Line {
    newest: RwSignal<Option<Vec<TimelineEntry>>>,
    /// Where the first page ends.
    end: RwSignal<Option<String>>,
    /// What was asked for beyond it, and where that ends.
    older: RwSignal<Vec<TimelineEntry>>,
    cursor: RwSignal<Option<String>>,
    busy: RwSignal<bool>,
    trouble: RwSignal<Option<Failure>>,
}

impl Line {
    async fn refresh(self) {
        // Whoever reads further down is not moved.
        if self.older.with_untracked(|older| !older.is_empty()) {
            return;
        }
        match reputation::timeline(None).await {
            Ok(page) => {
                set_changed(self.newest, Some(page.entries));
                set_changed(self.end, page.cursor);
                set_changed(self.trouble, None);
            }
            Err(failure) => set_changed(self.trouble, Some(failure)),
        }
    }

    async fn more(self) {
        let first = self.older.with_untracked(Vec::is_empty);
        let from = if first { self.end } else { self.cursor };
        let Some(cursor) = from.get_untracked() else {
            return;
        };
        self.busy.set(true);
        let answer = reputation::timeline(Some(&cursor)).await;
        self.busy.set(false);
        match answer {
            Ok(page) => {
                self.older.update(|older| older.extend(page.entries));
                set_changed(self.cursor, page.cursor);
                set_changed(self.trouble, None);
            }
            Err(failure) => set_changed(self.trouble, Some(failure)),
        }
    }

    /// Goes back to the newest.
    fn restart(self) {
        self.older.set(Vec::new());
        self.cursor.set(None);
        spawn_local(self.refresh());
    }

    fn all(self) -> Vec<TimelineEntry> {
        let mut all = self.newest.get().unwrap_or_default();
        self.older.with(|older| all.extend(older.iter().cloned()));
        all
    }

    fn has_more(self) -> bool {
        let first = self.older.with(Vec::is_empty);
        let from = if first { self.end } else { self.cursor };
        from.with(Option::is_some) && self.all().len() < MAX_ROWS
    }
}

/// The panel of the public timeline.
#[component]
pub(crate) fn TimelinePanel() -> impl IntoView {
    let store = use_store();
    let line = Line {
        newest: RwSignal::new(None),
        end: RwSignal::new(None),
        older: RwSignal::new(Vec::new()),
        cursor: RwSignal::new(None),
        busy: RwSignal::new(false),
        trouble: RwSignal::new(None),
    };
    Effect::new(move |_| {
        store.gaps.track();
        spawn_local(line.refresh());
    });
    poll(POLL, move || spawn_local(line.refresh()));
    let total = move || line.all().len();
    let unread = move || line.older.with(Vec::is_empty);
    view! {
        <section class="panel timeline" aria-labelledby="timeline-title" data-testid="timeline">
            <div class="panel-head">
                <h2 id="timeline-title">"Timeline"</h2>
                <span class="muted">"What agents made public, signed by them"</span>
                <Show when=move || !unread()>
                    <button class="quiet small" type="button" data-testid="timeline-newest"
                        on:click=move |_| line.restart()>"Back to the newest"</button>
                </Show>
            </div>
            <div class="announced">
                <Problem failure=line.trouble id="timeline-trouble"/>
                <Show when=move || { total() > 0 }
                    fallback=move || view! {
                        <p class="empty" data-testid="timeline-empty">
                            {move || if line.newest.with(Option::is_some) {
                                "Nothing is public yet. Records that agents publish, and announcements, appear here."
                            } else {
                                "Reading what is public…"
                            }}
                        </p>
                    }>
                    <ul class="board" tabindex="0" role="list" aria-label=move || plural(total(), "entry in the timeline")>
                        <For each=move || line.all()
                            key=|one| (one.address.clone(), one.at, one.cid.clone(), one.signed.clone())
                            let:one><Entry one/></For>
                    </ul>
                    <Show when=move || line.has_more()>
                        <button class="quiet small" type="button" data-testid="timeline-more"
                            disabled=move || line.busy.get() on:click=move |_| spawn_local(line.more())>
                            {move || if line.busy.get() { "Reading…" } else { "Show older" }}
                        </button>
                    </Show>
                </Show>
            </div>
        </section>
    }
}

#[component]
fn Entry(one: TimelineEntry) -> impl IntoView {
    let store = use_store();
    let at = one.at;
    let age = move || ago(at, store.now.get());
    let text = saying(&one);
    let who = author(&one.name, &one.address);
    let own = one.peer.is_none();
    let kind = match one.kind {
        TimelineKind::Record => "record",
        TimelineKind::Announcement => "announcement",
    };
    let collection = one.collection.clone();
    let network = one.peer.unwrap_or_else(|| "this network".to_owned());
    let proof = one.proof.map(|proof| view! {
        <a href=proof data-testid="timeline-proof" title="An archive that proves it, for software that reads such">"proof"</a>
    });
    view! {
        <li class="notice" class:own=own data-testid="timeline-row" data-kind=kind data-collection=collection
            data-own=own.to_string()>
            <div class="letter-head">
                <strong class="letter-who" title=one.address data-testid="timeline-author">{who}</strong>
                <time datetime=at.to_string()>{age}</time>
            </div>
            <p class="letter-text" dir="auto" data-testid="timeline-text">{text}</p>
            <div class="notice-end">
                <code title=one.uri>{one.collection}</code>
                {proof}
                <span class="tag" title=one.network>{network}</span>
            </div>
        </li>
    }
}
