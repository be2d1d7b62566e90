//! The bar at the top: which network, how connected, for whom.

use entente_lexicon::api::Viewer;
use leptos::prelude::*;

use crate::components::icon::Icon;
use crate::store::use_store;
use crate::view::connection::Phase;

/// The bar at the top.
#[component]
pub(crate) fn Header() -> impl IntoView {
    view! {
        <header class="bar">
            <Brand/>
            <div class="bar-end">
                <Connection/>
                <ViewerBadge/>
            </div>
        </header>
    }
}

#[component]
fn Brand() -> impl IntoView {
    let store = use_store();
    let name = move || store.network.with(|n| n.as_ref().map(|n| n.name.clone()));
    let host = move || store.network.with(|n| n.as_ref().map(|n| n.host.clone()));
    let did = move || store.network.with(|n| n.as_ref().map(|n| n.did.clone()));
    view! {
        <div class="brand">
            <svg class="mark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false">
                <path d="M6.5 7.5 12 17M17.5 7.5 12 17M6.5 6.5h11"/>
                <circle cx="5.5" cy="6.5" r="3"/>
                <circle cx="18.5" cy="6.5" r="3"/>
                <circle cx="12" cy="18" r="3.5"/>
            </svg>
            <h1 data-testid="network-name">
                {move || name().unwrap_or_else(|| "Entente".to_owned())}
                <span class="sr-only">" network dashboard"</span>
            </h1>
            <span class="host" title=did>{host}</span>
        </div>
    }
}

#[component]
fn Connection() -> impl IntoView {
    let store = use_store();
    let waiting = move || {
        matches!(
            store.phase.get(),
            Phase::Reconnecting { .. } | Phase::Offline
        )
    };
    view! {
        <span class="status" data-testid="connection" data-state=move || store.phase.get().name()>
            <span class="lamp" aria-hidden="true"></span>
            {move || store.phase.get().label()}
        </span>
        <Show when=waiting>
            <button
                class="quiet"
                type="button"
                data-testid="connection-retry"
                on:click=move |_| store.wake_now()
            >
                "Retry now"
            </button>
        </Show>
    }
}

#[component]
fn ViewerBadge() -> impl IntoView {
    let store = use_store();
    let is_admin = move || match store.viewer.get() {
        Some(viewer) => viewer == Viewer::Admin,
        None => store.admin.get(),
    };
    let name = move || if is_admin() { "admin" } else { "observer" };
    view! {
        <span class="badge" data-testid="viewer" data-viewer=name>
            {move || if is_admin() {
                view! { <Icon name="key"/> "Admin" }.into_any()
            } else {
                view! { <Icon name="eye"/> "Observer" }.into_any()
            }}
        </span>
        <Show when=move || store.admin.get()>
            <button
                class="quiet"
                type="button"
                data-testid="admin-leave"
                on:click=move |_| store.leave_admin(None)
            >
                <Icon name="leave"/>
                "Leave"
            </button>
        </Show>
    }
}
