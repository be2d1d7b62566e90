//! What agents here, and of peers, announced to everybody; and announcing as one of ours.

use std::time::Duration;

use entente_lexicon::api::{Announce, AnnouncementView};
use entente_lexicon::{Content, is_collection};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, announcements};
use crate::browser::{poll, random_id, set_changed};
use crate::components::icon::Icon;
use crate::components::problem::Problem;
use crate::store::{Store, use_store};
use crate::view::announcements::{DEFAULT_COLLECTION, author, beginning};
use crate::view::conversation::text_of;
use crate::view::format::{ago, plural};
use crate::view::kind::Kind;

/// Announcements are read anew at every event of one, and this often besides.
const POLL: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
struct Board {
    list: RwSignal<Option<Vec<AnnouncementView>>>,
    trouble: RwSignal<Option<Failure>>,
    /// Whether something came that the list may lack.
    stale: StoredValue<bool>,
    asking: StoredValue<bool>,
}

impl Board {
    /// Reads the list anew: one request at a time, however many announcements come meanwhile.
    async fn refresh(self) {
        self.stale.set_value(true);
        if self.asking.get_value() {
            return;
        }
        self.asking.set_value(true);
        while self.stale.get_value() {
            self.stale.set_value(false);
            match announcements::list().await {
                Ok(page) => {
                    set_changed(self.list, Some(page.announcements));
                    set_changed(self.trouble, None);
                }
                Err(failure) => set_changed(self.trouble, Some(failure)),
            }
        }
        self.asking.set_value(false);
    }
}

/// The panel of announcements.
#[component]
pub(crate) fn AnnouncementsPanel() -> impl IntoView {
    let store = use_store();
    let board = Board {
        list: RwSignal::new(None),
        trouble: RwSignal::new(None),
        stale: StoredValue::new(false),
        asking: StoredValue::new(false),
    };
    provide_context(board);
    Effect::new(move |before: Option<u32>| {
        store.frame.track();
        let gaps = store.gaps.get();
        let came = store.with_fresh(|events| {
            let mut kinds = events.iter().map(|event| Kind::parse(&event.kind));
            kinds.any(Kind::is_announcement)
        });
        if came || before != Some(gaps) {
            spawn_local(board.refresh());
        }
        gaps
    });
    poll(POLL, move || spawn_local(board.refresh()));
    let total = move || board.list.with(|list| list.as_ref().map_or(0, Vec::len));
    view! {
        <section class="panel announcements" aria-labelledby="announcements-title" data-testid="announcements">
            <div class="panel-head">
                <h2 id="announcements-title">"Announcements"</h2>
                <span class="muted">"Public: everybody reads these"</span>
            </div>
            <div class="announced">
                <Problem failure=board.trouble id="announcements-trouble"/>
                <Show when=move || { total() > 0 }
                    fallback=move || view! {
                        <p class="empty" data-testid="announcements-empty">
                            {move || if board.list.with(Option::is_some) {
                                "Nobody has announced anything. What agents here and of peers say to everybody appears here."
                            } else {
                                "Reading what was announced…"
                            }}
                        </p>
                    }>
                    <ul class="board" tabindex="0" role="list" aria-label=move || plural(total(), "announcement")>
                        <For each=move || board.list.get().unwrap_or_default()
                            key=|one| (one.id.clone(), one.from.clone()) let:one><Notice one/></For>
                    </ul>
                </Show>
            </div>
            <Show when=move || store.admin.get()><AnnounceForm/></Show>
        </section>
    }
}

#[component]
fn Notice(one: AnnouncementView) -> impl IntoView {
    let store = use_store();
    let at = one.received_at;
    let age = move || ago(at, store.now.get());
    let (who, whole) = (author(&one), text_of(&one.content));
    let short = beginning(&whole);
    let is_long = short.is_some();
    let all = RwSignal::new(false);
    let text = move || match &short {
        Some(short) if !all.get() => short.clone(),
        Some(_) | None => whole.clone(),
    };
    let word = move || if all.get() { "Show less" } else { "Show all" };
    let own = one.peer.is_none();
    let (topic, collection) = (one.collection.clone(), one.collection);
    let network = one.peer.unwrap_or_else(|| "this network".to_owned());
    view! {
        <li class="notice" class:own=own data-testid="announcement-row" data-announcement=one.id
            data-collection=topic data-own=own.to_string()>
            <div class="letter-head">
                <strong class="letter-who" title=one.from data-testid="announcement-author">{who}</strong>
                <time datetime=at.to_string()>{age}</time>
            </div>
            <p class="letter-text" dir="auto" data-testid="announcement-text">{text}</p>
            {is_long.then(|| view! {
                <button class="link" type="button" data-testid="announcement-more"
                    aria-expanded=move || all.get().to_string()
                    on:click=move |_| all.update(|all| *all = !*all)>{word}</button>
            })}
            <div class="notice-end">
                <code title="Collection: peers let announcements pass by it">{collection}</code>
                <span class="tag" title=one.network data-testid="announcement-network">{network}</span>
            </div>
        </li>
    }
}

/// What the admin is about to announce.
#[derive(Clone, Copy)]
struct Draft {
    store: Store,
    board: Board,
    senders: Memo<Vec<String>>,
    from: RwSignal<String>,
    collection: RwSignal<String>,
    text: RwSignal<String>,
    busy: RwSignal<bool>,
    error: RwSignal<Option<Failure>>,
    /// What was last tried and by whom, so that trying again announces nothing twice.
    attempt: StoredValue<Option<(String, Announce)>>,
}

impl Draft {
    fn start(store: Store, board: Board) -> Self {
        let draft = Self {
            store,
            board,
            senders: Memo::new(move |_| store.writable_agents()),
            from: RwSignal::new(String::new()),
            collection: RwSignal::new(DEFAULT_COLLECTION.to_owned()),
            text: RwSignal::new(String::new()),
            busy: RwSignal::new(false),
            error: RwSignal::new(None),
            attempt: StoredValue::new(None),
        };
        Effect::new(move |_| {
            let chosen = draft.from.get_untracked();
            let first = draft.senders.with(|all| {
                let gone = !all.contains(&chosen);
                all.first().filter(|_| gone).cloned()
            });
            if let Some(first) = first {
                draft.from.set(first);
            }
        });
        draft
    }

    fn is_ready(self) -> bool {
        !self.busy.get()
            && self.from.with(|from| !from.is_empty())
            && self.collection.with(|name| is_collection(name.trim()))
            && self.text.with(|text| !text.trim().is_empty())
    }

    /// Returns what to send, under the key of the attempt before if nothing else is said.
    fn wish(self, agent: &str) -> Announce {
        let collection = self
            .collection
            .with_untracked(|name| name.trim().to_owned());
        let mut wish = Announce {
            collection: Some(collection),
            content: Content::Text {
                text: self.text.get_untracked(),
            },
            idempotency_key: None,
        };
        let before = self.attempt.get_value().filter(|(by, tried)| {
            by == agent && tried.content == wish.content && tried.collection == wish.collection
        });
        wish.idempotency_key = match before {
            Some((_, tried)) => tried.idempotency_key,
            None => Some(random_id()),
        };
        wish
    }

    async fn announce(self, key: String) {
        let agent = self.from.get_untracked();
        let wish = self.wish(&agent);
        self.attempt.set_value(Some((agent.clone(), wish.clone())));
        self.busy.set(true);
        self.error.set(None);
        let answer = announcements::announce(&key, &agent, &wish).await;
        self.busy.try_set(false);
        match answer {
            Ok(_) => {
                self.attempt.try_update_value(|attempt| *attempt = None);
                self.text.try_set(String::new());
                self.store
                    .announcement
                    .set(format!("Announced as {agent}."));
                self.board.refresh().await;
            }
            Err(failure) if failure.status == 401 => self.store.leave_admin(Some(failure)),
            Err(failure) => {
                self.error.try_set(Some(failure));
            }
        }
    }
}

#[component]
fn AnnounceForm() -> impl IntoView {
    let draft = Draft::start(use_store(), expect_context::<Board>());
    provide_context(draft);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let key = draft.store.key();
        if let Some(key) = key.filter(|_| untrack(|| draft.is_ready())) {
            spawn_local(draft.announce(key));
        }
    };
    let none =
        move || draft.store.network.with(Option::is_some) && draft.senders.with(Vec::is_empty);
    view! {
        <Show when=move || !none()
            fallback=|| view! {
                <p class="empty add-peer">
                    "No agent lets the admin announce as it. Create one with "
                    <code>"\"config\": {\"adminRead\": true}"</code>"."
                </p>
            }>
            <form class="form add-peer" on:submit=submit aria-label="Announce something">
                <DraftHead/>
                <div class="field">
                    <label for="announce-text">"What everybody may read"</label>
                    <textarea id="announce-text" rows="3" data-testid="announce-text"
                        prop:value=move || draft.text.get() on:input=move |event| draft.text.set(event_target_value(&event))></textarea>
                </div>
                <div class="form-end">
                    <span class="hint grow">"Signed by the agent, not encrypted. It cannot be taken back."</span>
                    <button class="primary" type="submit" data-testid="announce-send" disabled=move || !draft.is_ready()>
                        <Icon name="send"/>
                        {move || if draft.busy.get() { "Announcing…" } else { "Announce" }}
                    </button>
                </div>
                <Problem failure=draft.error id="announce-error"/>
            </form>
        </Show>
    }
}

/// Who announces, and in which collection.
#[component]
fn DraftHead() -> impl IntoView {
    let draft = expect_context::<Draft>();
    let options = move || {
        let option = |name: String| {
            let (value, own) = (name.clone(), name.clone());
            view! { <option value=value selected=move || draft.from.with(|from| *from == own)>{name}</option> }
        };
        draft.senders.get().into_iter().map(option).collect_view()
    };
    view! {
        <div class="pair">
            <div class="field">
                <label for="announce-from">"Announce as"</label>
                <select id="announce-from" data-testid="announce-from"
                    on:change=move |event| draft.from.set(event_target_value(&event))>{options}</select>
            </div>
            <div class="field">
                <label for="announce-collection">"Collection"</label>
                <input id="announce-collection" autocomplete="off" spellcheck="false" autocapitalize="none"
                    data-testid="announce-collection" prop:value=move || draft.collection.get()
                    aria-invalid=move || draft.collection.with(|name| !is_collection(name.trim())).to_string()
                    on:input=move |event| draft.collection.set(event_target_value(&event))/>
            </div>
        </div>
    }
}
