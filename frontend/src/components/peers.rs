//! The peers: what everybody may know, and for the admin everything.

use entente_lexicon::api::{AddPeer, PeerView, PublicPeer};
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::time::Duration;

use crate::api::{Failure, http};
use crate::browser::{is_hidden, set_changed};
use crate::components::peer_form::{Policy, PolicyFields};
use crate::components::peer_row::PeerRow;
use crate::components::problem::Problem;
use crate::store::{Store, use_store};
use crate::view::format::plural;
use crate::view::peer::state_name;

const POLL: Duration = Duration::from_secs(5);

/// The panel of peers.
#[component]
pub(crate) fn PeersPanel() -> impl IntoView {
    let store = use_store();
    let total = move || store.peers.with(Vec::len);
    view! {
        <section class="panel peers" aria-labelledby="peers-title" data-testid="peers">
            <div class="panel-head">
                <h2 id="peers-title">"Peers"</h2>
                <span class="muted">{move || plural(total(), "network")}</span>
            </div>
            <Show when=move || store.admin.get() fallback=|| view! { <PublicPeers/> }>
                <AdminPeers/>
            </Show>
        </section>
    }
}

#[component]
fn PublicPeers() -> impl IntoView {
    let store = use_store();
    let row = |peer: PublicPeer| {
        let (state, host) = (state_name(peer.state), peer.host.clone());
        view! {
            <li class="peer-line" data-testid="peer-row" data-host=host data-state=state
                data-level=peer.trust_level.as_str()>
                <span class="state" data-state=state><span class="lamp" aria-hidden="true"></span>{state}</span>
                <strong>{peer.host}</strong>
                <span class="muted">{peer.trust_level.as_str()}</span>
            </li>
        }
    };
    view! {
        <Show when=move || store.peers.with(|peers| !peers.is_empty())
            fallback=|| view! { <p class="empty" data-testid="peers-empty">"This network has no peers yet."</p> }>
            <ul class="peer-list">{move || store.peers.get().into_iter().map(row).collect_view()}</ul>
        </Show>
    }
}

/// The peers as the admin sees them.
#[derive(Clone, Copy)]
pub(crate) struct PeerBook {
    /// The list, once it came.
    pub(crate) peers: RwSignal<Option<Vec<PeerView>>>,
    /// Why it cannot be read or changed.
    pub(crate) trouble: RwSignal<Option<Failure>>,
    store: Store,
}

impl PeerBook {
    /// Reads the list anew.
    pub(crate) async fn refresh(self) {
        let Some(key) = self.store.key() else { return };
        let answer = http::peers(&key).await;
        if self.peers.try_with_untracked(|_| ()).is_none() {
            return;
        }
        match answer {
            Ok(list) => {
                set_changed(self.peers, Some(list.peers));
                set_changed(self.trouble, None);
            }
            Err(failure) if failure.status == 401 => self.store.leave_admin(Some(failure)),
            Err(failure) => set_changed(self.trouble, Some(failure)),
        }
    }
}

#[component]
fn AdminPeers() -> impl IntoView {
    let store = use_store();
    let book = PeerBook {
        peers: RwSignal::new(None),
        trouble: RwSignal::new(None),
        store,
    };
    provide_context(book);
    Effect::new(move |_| {
        store.peers_changed.track();
        store.peers.track();
        spawn_local(book.refresh());
    });
    let polling = set_interval_with_handle(
        move || {
            if !is_hidden() {
                spawn_local(book.refresh())
            }
        },
        POLL,
    );
    on_cleanup(move || {
        if let Ok(polling) = polling {
            polling.clear();
        }
    });
    let dids = Memo::new(move |_| {
        book.peers.with(|peers| {
            peers
                .iter()
                .flatten()
                .map(|peer| peer.did.clone())
                .collect::<Vec<_>>()
        })
    });
    view! {
        <Problem failure=book.trouble id="peers-trouble"/>
        <Show when=move || dids.with(|dids| !dids.is_empty())
            fallback=move || view! {
                <p class="empty" data-testid="peers-empty">
                    {move || if book.peers.with(Option::is_some) {
                        "No peers yet. Add one below; its admin adds this network too."
                    } else {
                        "Asking for the peers…"
                    }}
                </p>
            }>
            <ul class="peer-cards">
                <For each=move || dids.get() key=Clone::clone let:did><PeerRow did/></For>
            </ul>
        </Show>
        <AddForm/>
    }
}

#[component]
fn AddForm() -> impl IntoView {
    let store = use_store();
    let book = expect_context::<PeerBook>();
    let url = RwSignal::new(String::new());
    let policy = Policy::default();
    let adding = RwSignal::new(false);
    let error = RwSignal::new(None::<Failure>);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Some(key) = store.key() else { return };
        let body = AddPeer {
            allow_agents: policy.listed(),
            ..AddPeer::new(
                url.with_untracked(|url| url.trim().to_owned()),
                policy.level.get_untracked(),
            )
        };
        if body.peer_url.is_empty() || adding.get_untracked() {
            return;
        }
        adding.set(true);
        error.set(None);
        spawn_local(async move {
            let answer = http::add_peer(&key, &body).await;
            adding.try_set(false);
            match answer {
                Ok(peer) => {
                    store.announcement.set(format!("{} was added.", peer.host));
                    url.try_set(String::new());
                    policy.allow.try_set(String::new());
                    book.refresh().await;
                }
                Err(failure) => {
                    error.try_set(Some(failure));
                }
            }
        });
    };
    view! {
        <form class="form add-peer" on:submit=submit aria-label="Add a peer">
            <h3>"Add a peer"</h3>
            <div class="field">
                <label for="peer-url">"Address of its network"</label>
                <input id="peer-url" type="url" inputmode="url" placeholder="https://network.example.com"
                    autocomplete="off" spellcheck="false" data-testid="peer-url"
                    prop:value=move || url.get() on:input=move |event| url.set(event_target_value(&event))/>
            </div>
            <PolicyFields policy name="peer"/>
            <div class="form-end">
                <span class="hint grow">"Compare the fingerprint with its admin before you trust it."</span>
                <button class="primary" type="submit" data-testid="peer-add"
                    disabled=move || adding.get() || url.with(|url| url.trim().is_empty())>
                    {move || if adding.get() { "Asking it…" } else { "Add peer" }}
                </button>
            </div>
            <Problem failure=error id="peer-error"/>
        </form>
    }
}
