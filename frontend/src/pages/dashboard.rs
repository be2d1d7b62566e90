//! The one page there is.

use leptos::prelude::*;

use crate::components::{
    AgentList, Compose, ConversationPanel, Feed, Header, HealthPanel, ObserverNotice, PeersPanel,
    Topology,
};
use crate::mail::Mail;
use crate::store::use_store;

/// Lays out the panels for whoever is watching.
#[component]
pub(crate) fn Dashboard() -> impl IntoView {
    let store = use_store();
    view! {
        <a class="skip" href="#main">"Skip to the panels"</a>
        <Header/>
        <main id="main" class="page" class:is-admin=move || store.admin.get()>
            <Show when=move || !store.admin.get()>
                <ObserverNotice/>
            </Show>
            <HealthPanel/>
            <Topology/>
            <Feed/>
            <Show when=move || store.admin.get()>
                <AdminMail/>
            </Show>
            <AgentList/>
            <PeersPanel/>
        </main>
        <p class="sr-only" role="status" aria-live="polite">{move || store.announcement.get()}</p>
    }
}

/// The panels that need the key; they and what they hold go with it.
#[component]
fn AdminMail() -> impl IntoView {
    provide_context(Mail::start(use_store()));
    view! {
        <Compose/>
        <ConversationPanel/>
    }
}
