//! One link in full: why something is late, how it came to that, and its last messages.

use entente_lexicon::link_view::{LinkMessage, PeerDetail};
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::time::Duration;

use crate::api::{Failure, http};
use crate::browser::{is_hidden, offset_min, set_changed};
use crate::components::outlook::Outlook;
use crate::components::problem::Problem;
use crate::store::use_store;
use crate::view::format::{bytes, clock, clock_ms, count, duration, short_id};
use crate::view::link_history::{journey, stretches};

const POLL: Duration = Duration::from_secs(2);
/// Changes of state that are listed below the bar.
const MAX_LISTED: usize = 6;

#[derive(Clone, Copy)]
struct Book {
    detail: RwSignal<Option<PeerDetail>>,
    trouble: RwSignal<Option<Failure>>,
}

/// The details of the link to one peer, kept current while they are open.
#[component]
pub(crate) fn LinkDetails(did: String) -> impl IntoView {
    let store = use_store();
    let book = Book {
        detail: RwSignal::new(None),
        trouble: RwSignal::new(None),
    };
    let wanted = did.clone();
    let refresh = move || {
        let Some(key) = store.key() else { return };
        let did = wanted.clone();
        spawn_local(async move {
            match http::peer_detail(&key, &did).await {
                Ok(detail) => {
                    set_changed(book.detail, Some(detail));
                    set_changed(book.trouble, None);
                }
                Err(failure) => set_changed(book.trouble, Some(failure)),
            }
        });
    };
    refresh();
    let again = refresh.clone();
    let polling = set_interval_with_handle(
        move || {
            if !is_hidden() {
                again();
            }
        },
        POLL,
    );
    on_cleanup(move || {
        if let Ok(polling) = polling {
            polling.clear();
        }
    });
    let why = move || {
        book.detail
            .with(|d| d.as_ref().map(|d| d.detail.why.clone()))
    };
    let next = move || {
        book.detail.with(|d| {
            let error = d.as_ref()?.detail.error.as_ref()?;
            Some((error.code.clone(), error.next.clone()))
        })
    };
    view! {
        <div class="drawer link-detail" role="group" aria-label="The link in detail" data-testid="link-detail">
            <p class="link-why" data-testid="link-why">{move || why().unwrap_or_else(|| "Asking it…".to_owned())}</p>
            {move || next().map(|(code, next)| view! {
                <p class="hint" data-testid="link-next"><code>{code}</code>" "{next}"."</p>
            })}
            <Aside did=did.clone() book/>
            <Numbers book/>
            <Outlook peer=Signal::derive(move || book.detail.with(|d| d.as_ref().map(|d| d.peer.clone())))/>
            <History book/>
            <Messages book/>
            <ProbeButton did book/>
            <Problem failure=book.trouble id="link-trouble"/>
        </div>
    }
}

/// Says that the peer is put aside, and takes it back.
#[component]
fn Aside(did: String, book: Book) -> impl IntoView {
    let store = use_store();
    let penalty = move || {
        book.detail
            .with(|d| d.as_ref().and_then(|d| d.detail.penalty.clone()))
    };
    let clear = move |_| {
        let Some(key) = store.key() else { return };
        let did = did.clone();
        spawn_local(async move {
            match http::pardon_peer(&key, &did).await {
                Ok(()) => book.detail.update(|detail| {
                    if let Some(detail) = detail {
                        detail.detail.penalty = None;
                    }
                }),
                Err(failure) => set_changed(book.trouble, Some(failure)),
            }
        });
    };
    view! {
        {move || penalty().map(|penalty| {
            let clear = clear.clone();
            let left = move || duration(penalty.until.since(store.now.get()));
            view! {
                <div class="problem link-aside" data-testid="link-penalty">
                    <span>"Put aside for "{left}": "<code>{penalty.reason.clone()}</code></span>
                    <button class="quiet small" type="button" data-testid="link-pardon" on:click=clear>"Clear"</button>
                </div>
            }
        })}
    }
}

#[component]
fn Numbers(book: Book) -> impl IntoView {
    let row = |name: &'static str, value: String| {
        view! { <div><dt>{name}</dt><dd>{value}</dd></div> }
    };
    view! {
        {move || book.detail.get().map(|PeerDetail { peer, detail }| view! {
            <dl class="facts link-facts">
                {row("Waiting", count(peer.queued))}
                {peer.oldest_age_ms.map(|age| row("Oldest", duration(age)))}
                {row("Failed attempts", count(detail.attempts.into()))}
                {row("Sent, not acknowledged", bytes(detail.unacknowledged_bytes))}
                {row("Received, not taken", bytes(detail.undelivered_bytes))}
                {peer.round_trip_ms.map(|ms| row("Round trip", duration(ms)))}
            </dl>
        })}
    }
}

/// The states of the link as a bar of time, and the last changes in words.
#[component]
fn History(book: Book) -> impl IntoView {
    let store = use_store();
    let offset = offset_min();
    let bar = move || {
        let now = store.now.get();
        book.detail.with(|detail| {
            let found = detail.as_ref().map(|d| stretches(&d.detail.history, now));
            found
                .unwrap_or_default()
                .into_iter()
                .map(|stretch| {
                    let width = format!("{:.3}%", stretch.part);
                    view! { <span data-state=stretch.state style:flex-basis=width title=stretch.said></span> }
                })
                .collect_view()
        })
    };
    let rows = move || {
        book.detail.with(|detail| {
            let history = detail.as_ref().map(|d| d.detail.history.clone());
            let history = history.unwrap_or_default();
            let now = store.now.get();
            let said = stretches(&history, now);
            history
                .into_iter()
                .zip(said)
                .rev()
                .take(MAX_LISTED)
                .map(|(change, stretch)| {
                    let at = clock(change.at, offset);
                    view! {
                        <li>
                            <time datetime=change.at.to_string()>{at}</time>
                            <span class="state" data-state=stretch.state><span class="lamp" aria-hidden="true"></span>{stretch.said}</span>
                        </li>
                    }
                })
                .collect_view()
        })
    };
    view! {
        <h3>"How it came to this"</h3>
        <div class="link-bar" aria-hidden="true">{bar}</div>
        <ol class="link-history" data-testid="link-history">{rows}</ol>
    }
}

/// The last messages over the link, without what they say.
#[component]
fn Messages(book: Book) -> impl IntoView {
    let messages = move || {
        book.detail
            .with(|d| d.as_ref().map(|d| d.detail.messages.clone()))
            .unwrap_or_default()
    };
    let rows = move || {
        messages()
            .into_iter()
            .map(|message| view! { <MessageRow message/> })
            .collect_view()
    };
    view! {
        <h3>"Last messages"</h3>
        <Show when=move || book.detail.with(|d| d.as_ref().is_some_and(|d| !d.detail.messages.is_empty()))
            fallback=|| view! { <p class="hint">"None has been sent over this link yet."</p> }>
            <ol class="link-messages" data-testid="link-messages">{rows}</ol>
        </Show>
    }
}

#[component]
fn MessageRow(message: LinkMessage) -> impl IntoView {
    let store = use_store();
    let offset = offset_min();
    let name = move |did: String| move || store.names.with(|names| names.label(&did));
    let (from, to) = (name(message.from.clone()), name(message.to.clone()));
    let (status, code) = (message.status.clone(), message.code.clone());
    let far_status = status.clone();
    let stored = clock_ms(message.stored_at, offset);
    let ended = message.ended_at.map(|at| clock_ms(at, offset));
    let short = short_id(&message.id);
    let id = message.id.clone();
    let far = move || journey(&message, store.now.get());
    view! {
        <li data-testid="link-message" data-message=id data-status=status>
            <span class="link-route"><code>{short}</code>" "{from}" → "{to}</span>
            <span class="link-far" data-status=far_status>{far}{code.map(|code| view! { " "<code>{code}</code> })}</span>
            <span class="muted">"accepted and stored "{stored}{ended.map(|at| format!(", ended {at}"))}</span>
        </li>
    }
}

#[component]
fn ProbeButton(did: String, book: Book) -> impl IntoView {
    let store = use_store();
    let probe = move |_| {
        let Some(key) = store.key() else { return };
        let did = did.clone();
        spawn_local(async move {
            match http::probe_peer(&key, &did).await {
                Ok(()) => store.announcement.set("The link is tried now.".to_owned()),
                Err(failure) => set_changed(book.trouble, Some(failure)),
            }
        });
    };
    view! {
        <div class="form-end">
            <span class="grow"></span>
            <button class="quiet" type="button" data-testid="link-probe" on:click=probe>"Try now"</button>
        </div>
    }
}
