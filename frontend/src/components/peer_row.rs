//! One peer as the admin sees it.

use entente_lexicon::api::{LinkState, PeerView};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, http};
use crate::components::approval::Approval;
use crate::components::frozen::Frozen;
use crate::components::link_detail::LinkDetails;
use crate::components::peer_form::{Policy, PolicyFields};
use crate::components::peers::PeerBook;
use crate::components::preview::PreviewBox;
use crate::components::problem::Problem;
use crate::store::use_store;
use crate::view::codes::explain;
use crate::view::format::{ago, count, duration};
use crate::view::peer::state_name;

/// What is open below a peer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drawer {
    Closed,
    Detail,
    Edit,
    Remove,
}

/// One peer.
#[component]
pub(crate) fn PeerRow(did: String) -> impl IntoView {
    let book = expect_context::<PeerBook>();
    let wanted = did.clone();
    let peer = Memo::new(move |_| {
        book.peers.with(|peers| {
            peers
                .iter()
                .flatten()
                .find(|peer| peer.did == wanted)
                .cloned()
        })
    });
    let text = move |field: fn(&PeerView) -> String| {
        peer.with(|peer| peer.as_ref().map(field).unwrap_or_default())
    };
    let state = move || {
        peer.with(|peer| {
            peer.as_ref()
                .map_or("connecting", |peer| state_name(peer.state))
        })
    };
    let level = move || text(|peer| peer.trust_level.to_string());
    let drawer = RwSignal::new(Drawer::Closed);
    let toggle = move |which| {
        drawer.update(|drawer| {
            *drawer = if *drawer == which {
                Drawer::Closed
            } else {
                which
            }
        })
    };
    let host = move || text(|peer| peer.host.clone());
    let edited = did.clone();
    let detailed = did.clone();
    open_when_chosen(peer, drawer);
    view! {
        <li class="peer-card" data-testid="peer-row" data-host=host data-state=state data-level=level>
            <div class="peer-top">
                <span class="state" data-state=state><span class="lamp" aria-hidden="true"></span>{state}</span>
                <strong>{host}</strong>
                <span class="tag">{level}</span>
                <span class="peer-buttons">
                    <button class="quiet small" type="button" data-testid="peer-detail"
                        aria-label=move || format!("Details of {}", host())
                        aria-expanded=move || (drawer.get() == Drawer::Detail).to_string()
                        on:click=move |_| toggle(Drawer::Detail)>"Details"</button>
                    <button class="quiet small" type="button" data-testid="peer-edit"
                        aria-label=move || format!("Edit {}", host())
                        aria-expanded=move || (drawer.get() == Drawer::Edit).to_string()
                        on:click=move |_| toggle(Drawer::Edit)>"Edit"</button>
                    <button class="quiet small" type="button" data-testid="peer-remove"
                        aria-label=move || format!("Remove {}", host())
                        aria-expanded=move || (drawer.get() == Drawer::Remove).to_string()
                        on:click=move |_| toggle(Drawer::Remove)>"Remove"</button>
                </span>
            </div>
            <Facts peer/>
            <Approval peer/>
            <Frozen peer/>
            {move || match drawer.get() {
                Drawer::Closed => ().into_any(),
                Drawer::Detail => view! { <LinkDetails did=detailed.clone()/> }.into_any(),
                Drawer::Edit => view! { <EditDrawer did=edited.clone() peer drawer/> }.into_any(),
                Drawer::Remove => view! { <RemoveDrawer did=did.clone() peer drawer/> }.into_any(),
            }}
        </li>
    }
}

/// Opens the details of a link that is chosen in the graph.
fn open_when_chosen(peer: Memo<Option<PeerView>>, drawer: RwSignal<Drawer>) {
    let store = use_store();
    Effect::new(move |before: Option<bool>| {
        let chosen = store.filter.with(|filter| filter.peer.clone());
        let host = peer.with(|peer| peer.as_ref().map(|peer| peer.host.clone()));
        let chosen = chosen.is_some() && chosen == host;
        if chosen && before != Some(true) {
            drawer.set(Drawer::Detail);
        }
        chosen
    });
}

#[component]
fn Facts(peer: Memo<Option<PeerView>>) -> impl IntoView {
    let store = use_store();
    let queue = move || {
        peer.with(|peer| {
            peer.as_ref()
                .map(|peer| match (peer.queued, peer.oldest_age_ms) {
                    (0, _) => "nothing waits".to_owned(),
                    (queued, None) => format!("{} waiting", count(queued)),
                    (queued, Some(age)) => format!(
                        "{} waiting, the oldest for {}",
                        count(queued),
                        duration(age)
                    ),
                })
        })
    };
    let trip = move || peer.with(|peer| peer.as_ref().and_then(|p| p.round_trip_ms).map(duration));
    let since =
        move || peer.with(|peer| peer.as_ref().map(|peer| ago(peer.since, store.now.get())));
    let granted = move || {
        peer.with(|peer| {
            let peer = peer.as_ref()?;
            let granted = peer
                .granted
                .filter(|granted| *granted != peer.trust_level)?;
            Some(format!("{granted}, the stricter of both sides"))
        })
    };
    let retry = move || {
        peer.with(|peer| {
            let at = peer.as_ref()?.next_retry?;
            let wait = at.since(store.now.get());
            Some(if wait == 0 {
                "now".to_owned()
            } else {
                format!("in {}", duration(wait))
            })
        })
    };
    let error = move || {
        peer.with(|peer| {
            let peer = peer.as_ref()?;
            // A link that is up has got over its last error; that it waits is said with the approval.
            peer.last_error
                .clone()
                .filter(|_| !matches!(peer.state, LinkState::Up | LinkState::Waiting))
        })
    };
    let ban = move || peer.with(|peer| Some(peer.as_ref()?.trust.ban.as_ref()?.reason.clone()));
    view! {
        <dl class="facts">
            <div><dt>"Fingerprint"</dt>
                <dd class="mono" data-testid="peer-fingerprint">{move || peer.with(|peer| peer.as_ref().map(|p| p.fingerprint.clone()))}</dd></div>
            {move || granted().map(|text| view! { <div><dt>"In force"</dt><dd>{text}</dd></div> })}
            <div><dt>"Since"</dt><dd>{since}</dd></div>
            <div><dt>"Queue"</dt><dd>{queue}</dd></div>
            {move || trip().map(|text| view! { <div><dt>"Round trip"</dt><dd>{text}</dd></div> })}
            {move || retry().map(|text| view! { <div><dt>"Next try"</dt><dd>{text}</dd></div> })}
        </dl>
        {move || match ban() {
            Some(reason) => view! {
                <p class="problem" data-testid="peer-ban"><code>"BANNED"</code>" You banned it: "{reason}</p>
            }.into_any(),
            None => error().map(|code| view! {
                <p class="problem"><code>{code.clone()}</code>" " {explain(&code)}</p>
            }).into_any(),
        }}
    }
}

#[component]
fn EditDrawer(
    did: String,
    peer: Memo<Option<PeerView>>,
    drawer: RwSignal<Drawer>,
) -> impl IntoView {
    let store = use_store();
    let book = expect_context::<PeerBook>();
    let policy = Policy::default();
    peer.with_untracked(|peer| {
        if let Some(peer) = peer {
            policy.level.set(peer.trust_level);
            policy.allow.set(peer.allow_agents.join("\n"));
        }
    });
    let error = RwSignal::new(None::<Failure>);
    let name = format!("edit-{did}");
    let asking = RwSignal::new(false);
    let tried = did.clone();
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Some(key) = store.key() else { return };
        let did = did.clone();
        let body = policy.change();
        spawn_local(async move {
            match http::change_peer(&key, &did, &body).await {
                Ok(()) => {
                    drawer.try_set(Drawer::Closed);
                    book.refresh().await;
                }
                Err(failure) => {
                    error.try_set(Some(failure));
                }
            }
        });
    };
    view! {
        <form class="form drawer" on:submit=submit>
            <PolicyFields policy name/>
            <PreviewBox did=tried policy asking/>
            <div class="form-end">
                <span class="grow"></span>
                <button class="quiet" type="button" data-testid="peer-cancel" on:click=move |_| drawer.set(Drawer::Closed)>"Cancel"</button>
                <button class="primary" type="submit" data-testid="peer-save" disabled=asking>"Save"</button>
            </div>
            <Problem failure=error id="peer-error"/>
        </form>
    }
}

#[component]
fn RemoveDrawer(
    did: String,
    peer: Memo<Option<PeerView>>,
    drawer: RwSignal<Drawer>,
) -> impl IntoView {
    let store = use_store();
    let book = expect_context::<PeerBook>();
    let error = RwSignal::new(None::<Failure>);
    let queued = move || peer.with(|peer| peer.as_ref().map_or(0, |peer| peer.queued));
    let remove = move |_| {
        let Some(key) = store.key() else { return };
        let did = did.clone();
        spawn_local(async move {
            match http::remove_peer(&key, &did).await {
                Ok(()) => book.refresh().await,
                Err(failure) => {
                    error.try_set(Some(failure));
                }
            }
        });
    };
    view! {
        <div class="drawer" role="group" aria-label="Confirm the removal">
            <p>
                {move || match queued() {
                    0 => "The link ends at once and nothing passes any more.".to_owned(),
                    queued => format!("The link ends at once. {} waiting messages are refused to their senders.", count(queued)),
                }}
            </p>
            <div class="form-end">
                <span class="grow"></span>
                <button class="quiet" type="button" data-testid="peer-remove-cancel"
                    on:click=move |_| drawer.set(Drawer::Closed)>"Keep it"</button>
                <button class="danger" type="button" data-testid="peer-remove-confirm" on:click=remove>"Remove this peer"</button>
            </div>
            <Problem failure=error id="peer-error"/>
        </div>
    }
}
