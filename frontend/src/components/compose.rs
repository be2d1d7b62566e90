//! Writing a message as one of this network's agents.

use leptos::ev::{KeyboardEvent, SubmitEvent};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::components::icon::Icon;
use crate::components::journey::Journey;
use crate::components::problem::Problem;
use crate::components::recipient::RecipientField;
use crate::mail::Mail;
use crate::store::use_store;
use crate::view::suggest::fault;

/// The compose panel, with the journey of the message sent last.
#[component]
pub(crate) fn Compose() -> impl IntoView {
    let store = use_store();
    let mail = expect_context::<Mail>();
    let none = move || store.network.with(Option::is_some) && mail.senders().is_empty();
    view! {
        <section class="panel compose" aria-labelledby="compose-title" data-testid="compose">
            <div class="panel-head"><h2 id="compose-title">"Write a message"</h2></div>
            <Show
                when=move || !none()
                fallback=|| view! {
                    <p class="empty">
                        "No agent lets the admin write as it. Create one with "
                        <code>"\"config\": {\"adminRead\": true}"</code>
                        "; others keep their mail to themselves."
                    </p>
                }
            >
                <Form/>
                <Journey/>
            </Show>
        </section>
    }
}

#[component]
fn Form() -> impl IntoView {
    let mail = expect_context::<Mail>();
    let send = move || {
        let (to, text) = (mail.to.get_untracked(), mail.text.get_untracked());
        if !mail.sending.get_untracked() && fault(&to).is_none() && !text.trim().is_empty() {
            spawn_local(mail.send());
        }
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        send();
    };
    let shortcut = move |event: KeyboardEvent| {
        if event.key() == "Enter" && (event.ctrl_key() || event.meta_key()) {
            event.prevent_default();
            send();
        }
    };
    let ready = move || {
        !mail.sending.get()
            && mail.to.with(|to| fault(to).is_none())
            && mail.text.with(|text| !text.trim().is_empty())
    };
    view! {
        <form class="form" on:submit=submit>
            <div class="pair">
                <SenderField/>
                <RecipientField/>
            </div>
            <div class="field">
                <label for="compose-text">"Message"</label>
                <textarea id="compose-text" rows="3" data-testid="compose-text" node_ref=mail.field
                    prop:value=move || mail.text.get()
                    on:input=move |event| mail.text.set(event_target_value(&event))
                    on:keydown=shortcut></textarea>
            </div>
            <div class="form-end">
                <Thread/>
                <button class="primary" type="submit" data-testid="compose-send" disabled=move || !ready()>
                    <Icon name="send"/>
                    {move || if mail.sending.get() { "Sending…" } else { "Send" }}
                </button>
            </div>
            <Problem failure=mail.error id="compose-error"/>
        </form>
    }
}

#[component]
fn SenderField() -> impl IntoView {
    let mail = expect_context::<Mail>();
    let senders = Memo::new(move |_| mail.senders());
    let options = move || {
        senders.get().into_iter().map(|name| {
            let (value, own) = (name.clone(), name.clone());
            view! {
                <option value=value selected=move || mail.from.with(|from| *from == own)>{name}</option>
            }
        }).collect_view()
    };
    view! {
        <div class="field">
            <label for="compose-from">"From"</label>
            <select id="compose-from" data-testid="compose-from"
                on:change=move |event| mail.choose(&event_target_value(&event))>
                {options}
            </select>
        </div>
    }
}

/// Says that the message continues a thread, and lets it be a new one.
#[component]
fn Thread() -> impl IntoView {
    let mail = expect_context::<Mail>();
    view! {
        <span class="hint grow">
            {move || match mail.thread.get() {
                Some(thread) => view! {
                    <button class="chip" type="button" aria-label=format!("Leave the thread {thread}")
                        on:click=move |_| mail.thread.set(None)>
                        {format!("thread {}", crate::view::format::clip(&thread, 24))}
                        <Icon name="close"/>
                    </button>
                }.into_any(),
                None => view! { "Sealed by the sending agent. Ctrl + Enter sends." }.into_any(),
            }}
        </span>
    }
}
