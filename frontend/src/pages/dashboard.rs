//! The one page there is.

use leptos::prelude::*;

use crate::browser::focus;
use crate::components::{
    AgentList, AnnouncementsPanel, BansPanel, Compose, ConversationPanel, DeadLettersPanel, Feed,
    Header, HealthPanel, IdentityPanel, ObserverNotice, PeersPanel, QuarantinePanel, RequestsPanel,
    TimelinePanel, Topology,
};
use crate::mail::Mail;
use crate::store::use_store;
use crate::view::codes::remedy;

const MAIN_ID: &str = "main";

/// Lays out the panels for whoever is watching.
#[component]
pub(crate) fn Dashboard() -> impl IntoView {
    let store = use_store();
    Effect::new(move |_| {
        let name = store
            .network
            .with(|network| network.as_ref().map(|n| n.name.clone()));
        if let Some(name) = name {
            document().set_title(&format!("{name} · Entente"));
        }
    });
    // The field that had the focus goes when the key is taken.
    Effect::new(move |before: Option<bool>| {
        let admin = store.admin.get();
        if before.is_some_and(|before| before != admin) {
            focus(MAIN_ID);
        }
        admin
    });
    view! {
        <a class="skip" href="#main">"Skip to the panels"</a>
        <Header/>
        <main id=MAIN_ID class="page" tabindex="-1" class:is-admin=move || store.admin.get()>
            <Unwell/>
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
            <Show when=move || store.admin.get()>
                <RequestsPanel/>
                <BansPanel/>
                <QuarantinePanel/>
                <DeadLettersPanel/>
            </Show>
            <TimelinePanel/>
            <AnnouncementsPanel/>
        </main>
        <p class="sr-only" role="status" aria-live="polite">{move || store.announcement.get()}</p>
    }
}

/// Says what is wrong with the network, where it says so itself.
#[component]
fn Unwell() -> impl IntoView {
    let store = use_store();
    let line = |problem: String| {
        let remedy = remedy(&problem);
        view! { <li><code>{problem}</code>" " {remedy}</li> }
    };
    view! {
        <Show when=move || !store.problems.with(Vec::is_empty)>
            <section class="panel unwell" role="alert" data-testid="network-problem">
                <h2>"This network is not in order"</h2>
                <ul>{move || store.problems.get().into_iter().map(line).collect_view()}</ul>
            </section>
        </Show>
    }
}

/// The panels that need the key; they and what they hold go with it.
#[component]
fn AdminMail() -> impl IntoView {
    provide_context(Mail::start(use_store()));
    view! {
        <Compose/>
        <ConversationPanel/>
        <IdentityPanel/>
    }
}
