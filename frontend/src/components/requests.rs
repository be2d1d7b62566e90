//! The networks that dialled unasked and wait for the admin.

use std::time::Duration;

use entente_lexicon::TrustLevel;
use entente_lexicon::api::{AcceptRequest, PeerRequest};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, trust};
use crate::browser::{poll, set_changed};
use crate::components::fingerprint::Fingerprint;
use crate::components::peer_form::{Policy, PolicyFields};
use crate::components::problem::Problem;
use crate::store::{Store, use_store};
use crate::view::format::{ago, count, short_id};

const POLL: Duration = Duration::from_secs(5);

/// The requests as the admin sees them.
#[derive(Clone, Copy)]
struct Queue {
    requests: RwSignal<Option<Vec<PeerRequest>>>,
    trouble: RwSignal<Option<Failure>>,
    store: Store,
}

impl Queue {
    async fn refresh(self) {
        let Some(key) = self.store.key() else { return };
        let answer = trust::requests(&key).await;
        if self.requests.try_with_untracked(|_| ()).is_none() {
            return;
        }
        match answer {
            Ok(list) => {
                set_changed(self.requests, Some(list.requests));
                set_changed(self.trouble, None);
            }
            Err(failure) if failure.status == 401 => self.store.leave_admin(Some(failure)),
            Err(failure) => set_changed(self.trouble, Some(failure)),
        }
    }
}

/// What is open below a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drawer {
    Closed,
    Accept,
    Reject,
}

/// The panel of requests.
#[component]
pub(crate) fn RequestsPanel() -> impl IntoView {
    let store = use_store();
    let queue = Queue {
        requests: RwSignal::new(None),
        trouble: RwSignal::new(None),
        store,
    };
    provide_context(queue);
    Effect::new(move |_| {
        store.peers_changed.track();
        spawn_local(queue.refresh());
    });
    poll(POLL, move || spawn_local(queue.refresh()));
    let dids = Memo::new(move |_| {
        queue.requests.with(|requests| {
            let all = requests.iter().flatten();
            all.map(|one| one.did.clone()).collect::<Vec<_>>()
        })
    });
    let total = move || match dids.with(Vec::len) {
        0 => String::new(),
        waiting => format!("{waiting} waiting for you"),
    };
    let empty = move || {
        if queue.requests.with(Option::is_some) {
            "Nobody waits. A network that dials this one unasked shows here, unless this network is open or private."
        } else {
            "Asking who waits…"
        }
    };
    view! {
        <section class="panel requests" aria-labelledby="requests-title" data-testid="requests">
            <div class="panel-head">
                <h2 id="requests-title">"Requests to peer"</h2>
                <span class="muted">{total}</span>
            </div>
            <Problem failure=queue.trouble id="requests-trouble"/>
            <Show when=move || dids.with(|dids| !dids.is_empty())
                fallback=move || view! { <p class="empty" data-testid="requests-empty">{empty}</p> }>
                <ul class="trust-list">
                    <For each=move || dids.get() key=Clone::clone let:did><RequestRow did/></For>
                </ul>
            </Show>
        </section>
    }
}

#[component]
fn RequestRow(did: String) -> impl IntoView {
    let store = use_store();
    let queue = expect_context::<Queue>();
    let wanted = did.clone();
    let request = Memo::new(move |_| {
        queue.requests.with(|requests| {
            let mut all = requests.iter().flatten();
            all.find(|one| one.did == wanted).cloned()
        })
    });
    let text = move |field: fn(&PeerRequest) -> String| {
        request.with(|request| request.as_ref().map(field).unwrap_or_default())
    };
    let host = move || text(|one| one.host.clone());
    let name = move || text(|one| one.name.clone());
    let fingerprint = Signal::derive(move || text(|one| one.fingerprint.clone()));
    let times = move || {
        let now = store.now.get();
        request.with(|request| {
            request.as_ref().map(|one| {
                let last = ago(one.last_at, now);
                if one.attempts > 1 {
                    let tries = count(one.attempts);
                    format!(
                        "asks since {}, {tries} times, last {last}",
                        ago(one.first_at, now)
                    )
                } else {
                    format!("asked {last}")
                }
            })
        })
    };
    let drawer = RwSignal::new(Drawer::Closed);
    let toggle = move |which| {
        let next = if drawer.get_untracked() == which {
            Drawer::Closed
        } else {
            which
        };
        drawer.set(next);
    };
    let (full, short, shown) = (did.clone(), short_id(&did), did.clone());
    view! {
        <li class="peer-card" data-testid="request-row" data-host=host data-did=shown>
            <div class="peer-top">
                <strong>{host}</strong>
                <span class="muted">{name}</span>
                <span class="peer-buttons">
                    <button class="quiet small" type="button" data-testid="request-accept"
                        aria-label=move || format!("Accept {}", host())
                        aria-expanded=move || (drawer.get() == Drawer::Accept).to_string()
                        on:click=move |_| toggle(Drawer::Accept)>"Accept…"</button>
                    <button class="quiet small" type="button" data-testid="request-reject"
                        aria-label=move || format!("Reject {}", host())
                        aria-expanded=move || (drawer.get() == Drawer::Reject).to_string()
                        on:click=move |_| toggle(Drawer::Reject)>"Reject…"</button>
                </span>
            </div>
            <Fingerprint text=fingerprint id="request-fingerprint"/>
            <p class="hint"><code title=full>{short}</code>" "{times}</p>
            {move || match drawer.get() {
                Drawer::Closed => ().into_any(),
                Drawer::Accept => view! { <AcceptDrawer did=did.clone() fingerprint drawer/> }.into_any(),
                Drawer::Reject => view! { <RejectDrawer did=did.clone() drawer/> }.into_any(),
            }}
        </li>
    }
}

#[component]
fn AcceptDrawer(
    did: String,
    fingerprint: Signal<String>,
    drawer: RwSignal<Drawer>,
) -> impl IntoView {
    let store = use_store();
    let queue = expect_context::<Queue>();
    let policy = Policy::default();
    policy.level.set(TrustLevel::Allowlist);
    let busy = RwSignal::new(false);
    let error = RwSignal::new(None::<Failure>);
    let name = format!("accept-{did}");
    // What the admin read when the drawer opened is what is accepted, whatever comes later.
    let compared = fingerprint.get_untracked();
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Some(key) = store.key() else { return };
        if busy.get_untracked() {
            return;
        }
        let body = AcceptRequest {
            trust_level: policy.level.get_untracked(),
            allow_agents: policy.listed(),
            allow_collections: None,
            allow_networks: None,
            allow_inbound: None,
            allow_outbound: None,
            fingerprint: Some(compared.clone()),
        };
        let did = did.clone();
        busy.set(true);
        error.set(None);
        spawn_local(async move {
            let answer = trust::accept(&key, &did, &body).await;
            busy.try_set(false);
            match answer {
                Ok(peer) => {
                    store
                        .announcement
                        .set(format!("{} is a peer now.", peer.host));
                    store.peers_changed.update(|count| *count += 1);
                    queue.refresh().await;
                }
                Err(failure) => {
                    error.try_set(Some(failure));
                }
            }
        });
    };
    view! {
        <form class="form drawer" on:submit=submit aria-label="Accept this network">
            <PolicyFields policy name/>
            <div class="form-end">
                <span class="hint grow">"You accept the fingerprint above: compare it with its admin first."</span>
                <button class="quiet" type="button" on:click=move |_| drawer.set(Drawer::Closed)>"Cancel"</button>
                <button class="primary" type="submit" data-testid="request-accept-confirm" disabled=busy>
                    {move || if busy.get() { "Asking it…" } else { "Accept" }}
                </button>
            </div>
            <Problem failure=error id="request-error"/>
        </form>
    }
}

#[component]
fn RejectDrawer(did: String, drawer: RwSignal<Drawer>) -> impl IntoView {
    let store = use_store();
    let queue = expect_context::<Queue>();
    let error = RwSignal::new(None::<Failure>);
    let reject = move |_| {
        let Some(key) = store.key() else { return };
        let did = did.clone();
        spawn_local(async move {
            match trust::reject(&key, &did).await {
                Ok(()) => {
                    store
                        .announcement
                        .set("It is turned away from now on.".to_owned());
                    queue.refresh().await;
                }
                Err(failure) => {
                    error.try_set(Some(failure));
                }
            }
        });
    };
    view! {
        <div class="drawer" role="group" aria-label="Confirm the rejection">
            <p>"It is turned away from now on and does not show here again. You can still add it as a peer yourself."</p>
            <div class="form-end">
                <span class="grow"></span>
                <button class="quiet" type="button" on:click=move |_| drawer.set(Drawer::Closed)>"Cancel"</button>
                <button class="danger" type="button" data-testid="request-reject-confirm" on:click=reject>"Reject this network"</button>
            </div>
            <Problem failure=error id="request-error"/>
        </div>
    }
}
