//! What an observer is told, and where the key goes in.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::Failure;
use crate::components::icon::Icon;
use crate::components::problem::Problem;
use crate::store::{Store, use_store};

/// Says what observers see and why, and takes the admin's key.
#[component]
pub(crate) fn ObserverNotice() -> impl IntoView {
    view! {
        <section class="panel gate" aria-labelledby="gate-title" data-testid="observer-notice">
            <div class="gate-text">
                <h2 id="gate-title">"You are watching as an observer"</h2>
                <p>
                    "You see that messages flow, not what they say or who writes them. "
                    "This network replaces agents’ names by ids that change every day, and leaves out "
                    "what messages contain, before anything reaches this page. "
                    "Messages are sealed from agent to agent; no dashboard gets to open them on its own."
                </p>
            </div>
            <KeyForm/>
        </section>
    }
}

#[component]
fn KeyForm() -> impl IntoView {
    let store = use_store();
    let key = RwSignal::new(String::new());
    let trying = RwSignal::new(false);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let text = key.with_untracked(|key| key.trim().to_owned());
        if text.is_empty() || trying.get_untracked() {
            return;
        }
        trying.set(true);
        spawn_local(async move {
            store.enter_admin(text).await;
            trying.try_set(false);
            if store.admin.get_untracked() {
                key.try_set(String::new());
            }
        });
    };
    view! {
        <form class="gate-form" on:submit=submit autocomplete="off">
            <label for="admin-key">"Admin key"</label>
            <div class="joined">
                <input
                    id="admin-key"
                    type="password"
                    autocomplete="off"
                    spellcheck="false"
                    data-1p-ignore="true"
                    data-testid="admin-key"
                    aria-describedby="admin-key-hint"
                    prop:value=move || key.get()
                    on:input=move |event| key.set(event_target_value(&event))
                />
                <button class="primary" type="submit" data-testid="admin-enter" disabled=move || trying.get()>
                    {move || if trying.get() { "Checking…" } else { "Enter" }}
                </button>
            </div>
            <p class="hint" id="admin-key-hint">
                <Icon name="lock"/>
                "Kept in this page’s memory only. Reloading forgets it."
            </p>
            <Problem failure=Signal::derive(move || explained(store)) id="admin-error"/>
        </form>
    }
}

/// A refused key is said plainly; other failures keep their own words.
fn explained(store: Store) -> Option<Failure> {
    store.gate_error.get().map(|failure| {
        if failure.is_wrong_key() {
            let message = "That is not this network’s admin key. Check that it belongs to this network and was copied whole.".to_owned();
            Failure { message, ..failure }
        } else {
            failure
        }
    })
}
