//! Who is banned, and banning.

use std::time::Duration;

use entente_lexicon::Timestamp;
use entente_lexicon::api::{BanView, NewBan, PublicPeer};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, trust};
use crate::browser::{now, poll, set_changed};
use crate::components::problem::Problem;
use crate::store::{Store, use_store};
use crate::view::format::{ago, short_id};
use crate::view::trust::{BAN_ENDS, ban_subject, until};

const POLL: Duration = Duration::from_secs(15);

#[derive(Clone, Copy)]
struct Book {
    bans: RwSignal<Option<Vec<BanView>>>,
    trouble: RwSignal<Option<Failure>>,
    store: Store,
}

impl Book {
    async fn refresh(self) {
        let Some(key) = self.store.key() else { return };
        let answer = trust::bans(&key).await;
        if self.bans.try_with_untracked(|_| ()).is_none() {
            return;
        }
        match answer {
            Ok(list) => {
                set_changed(self.bans, Some(list.bans));
                set_changed(self.trouble, None);
            }
            Err(failure) if failure.status == 401 => self.store.leave_admin(Some(failure)),
            Err(failure) => set_changed(self.trouble, Some(failure)),
        }
    }

    /// Reads the list anew, and has the peers read.
    async fn changed(self, said: String) {
        self.store.announcement.set(said);
        self.refresh().await;
        self.store.peers_changed.update(|count| *count += 1);
    }
}

/// The panel of bans.
#[component]
pub(crate) fn BansPanel() -> impl IntoView {
    let book = Book {
        bans: RwSignal::new(None),
        trouble: RwSignal::new(None),
        store: use_store(),
    };
    provide_context(book);
    Effect::new(move |_| {
        book.store.peers_changed.track();
        spawn_local(book.refresh());
    });
    poll(POLL, move || spawn_local(book.refresh()));
    let total = move || book.bans.with(|bans| bans.as_ref().map_or(0, Vec::len));
    let said = move || match total() {
        0 => String::new(),
        bans => format!("{bans} in force"),
    };
    view! {
        <section class="panel bans" aria-labelledby="bans-title" data-testid="bans">
            <div class="panel-head">
                <h2 id="bans-title">"Bans"</h2>
                <span class="muted">{said}</span>
            </div>
            <Problem failure=book.trouble id="bans-trouble"/>
            <Show when=move || { total() > 0 }
                fallback=|| view! { <p class="empty" data-testid="bans-empty">"No network is banned."</p> }>
                <ul class="trust-list">
                    <For each=move || book.bans.get().unwrap_or_default()
                        key=|ban| (ban.subject.clone(), ban.created_at) let:ban><BanRow ban/></For>
                </ul>
            </Show>
            <BanForm/>
        </section>
    }
}

#[component]
fn BanRow(ban: BanView) -> impl IntoView {
    let store = use_store();
    let book = expect_context::<Book>();
    let busy = RwSignal::new(false);
    let subject = ban.subject.clone();
    let lift = move |_| {
        let Some(key) = store.key() else { return };
        let subject = subject.clone();
        busy.set(true);
        spawn_local(async move {
            let answer = trust::lift(&key, &subject).await;
            busy.try_set(false);
            match answer {
                Ok(()) => {
                    book.changed(format!("{subject} is not banned any more."))
                        .await
                }
                Err(failure) => set_changed(book.trouble, Some(failure)),
            }
        });
    };
    let times = move || {
        let now = store.now.get();
        let end = ban
            .expires_at
            .map_or_else(|| "until it is lifted".to_owned(), |at| until(at, now));
        format!("since {}, {end}", ago(ban.created_at, now))
    };
    let (full, short) = (ban.subject.clone(), short_id(&ban.subject));
    let did = ban.subject.clone();
    let host = move || {
        let known = |peers: &Vec<PublicPeer>| {
            peers
                .iter()
                .find(|peer| peer.did == did)
                .map(|peer| peer.host.clone())
        };
        store.peers.with(known)
    };
    let label = format!("Lift the ban of {short}");
    view! {
        <li class="peer-card" data-testid="ban-row" data-subject=ban.subject>
            <div class="peer-top">
                <strong title=full>{short}</strong>
                <span class="muted">{host}</span>
                <span class="peer-buttons">
                    <button class="quiet small" type="button" data-testid="ban-lift" aria-label=label
                        disabled=busy on:click=lift>"Lift"</button>
                </span>
            </div>
            <p class="ban-reason">{ban.reason}</p>
            <p class="hint">{times}</p>
        </li>
    }
}

#[component]
fn BanForm() -> impl IntoView {
    let store = use_store();
    let book = expect_context::<Book>();
    let subject = RwSignal::new(String::new());
    let reason = RwSignal::new(String::new());
    let end = RwSignal::new(0usize);
    let busy = RwSignal::new(false);
    let error = RwSignal::new(None::<Failure>);
    let blank = |text: RwSignal<String>| text.with(|text| text.trim().is_empty());
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Some(key) = store.key() else { return };
        let (did, host) = subject.with_untracked(|text| ban_subject(text));
        let lasts = BAN_ENDS.get(end.get_untracked()).and_then(|(_, ms)| *ms);
        let body = NewBan {
            did,
            host,
            reason: reason.with_untracked(|text| text.trim().to_owned()),
            expires_at: lasts.map(|ms| Timestamp(now().0.saturating_add(ms))),
        };
        busy.set(true);
        error.set(None);
        spawn_local(async move {
            let answer = trust::ban(&key, &body).await;
            busy.try_set(false);
            match answer {
                Ok(ban) => {
                    subject.try_set(String::new());
                    reason.try_set(String::new());
                    book.changed(format!("{} is banned.", ban.subject)).await;
                }
                Err(failure) => {
                    error.try_set(Some(failure));
                }
            }
        });
    };
    let ends = ends();
    view! {
        <form class="form add-peer" on:submit=submit aria-label="Ban a network">
            <div class="field">
                <label for="ban-subject">"Ban a network, by host or DID"</label>
                <input id="ban-subject" autocomplete="off" spellcheck="false" autocapitalize="none"
                    placeholder="network.example.com" data-testid="ban-subject"
                    prop:value=move || subject.get() on:input=move |event| subject.set(event_target_value(&event))/>
            </div>
            <div class="pair">
                <div class="field">
                    <label for="ban-end">"How long"</label>
                    <select id="ban-end" data-testid="ban-end"
                        on:change=move |event| end.set(event_target_value(&event).parse().unwrap_or_default())>{ends}</select>
                </div>
                <div class="field">
                    <label for="ban-reason">"Reason, for admins only"</label>
                    <input id="ban-reason" autocomplete="off" data-testid="ban-reason"
                        prop:value=move || reason.get() on:input=move |event| reason.set(event_target_value(&event))/>
                </div>
            </div>
            <div class="form-end">
                <span class="hint grow">"Its link closes, and what waits for it is refused to its senders."</span>
                <button class="danger" type="submit" data-testid="ban-add"
                    disabled=move || busy.get() || blank(subject) || blank(reason)>"Ban"</button>
            </div>
            <Problem failure=error id="ban-error"/>
        </form>
    }
}

/// The ends that a ban may have, to choose from.
fn ends() -> impl IntoView {
    BAN_ENDS
        .iter()
        .enumerate()
        .map(|(index, (name, _))| view! { <option value=index.to_string()>{*name}</option> })
        .collect_view()
}
