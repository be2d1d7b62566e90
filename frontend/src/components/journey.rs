//! How far a message came, as a timeline.

use entente_lexicon::api::MessageStatus;
use leptos::prelude::*;

use crate::browser::offset_min;
use crate::mail::Mail;
use crate::store::use_store;
use crate::view::format::clock_ms;
use crate::view::journey::{Step, StepState, steps};

/// The journey of the chosen message.
#[component]
pub(crate) fn Journey() -> impl IntoView {
    let mail = expect_context::<Mail>();
    let message = Memo::new(move |_| {
        let id = mail.journey.get()?;
        mail.conversation
            .with(|conversation| conversation.sent(&id).cloned())
    });
    view! {
        {move || message.get().map(|message| view! { <Timeline message/> })}
    }
}

#[component]
fn Timeline(message: MessageStatus) -> impl IntoView {
    let store = use_store();
    let to = message.to.clone();
    let label = move || store.names.with(|names| names.label(&to));
    let (id, status) = (message.id.clone(), message.status.as_str());
    let rows = move || {
        let steps = store.network.with(|network| {
            store
                .peers
                .with(|peers| steps(&message, network.as_ref(), peers))
        });
        steps
            .into_iter()
            .map(|step| view! { <StepRow step/> })
            .collect_view()
    };
    view! {
        <div class="journey" data-testid="journey" data-message=id data-status=status>
            <h3>"Journey to " {label}</h3>
            <ol>{rows}</ol>
        </div>
    }
}

#[component]
fn StepRow(step: Step) -> impl IntoView {
    let offset = offset_min();
    let (word, glyph, state) = match step.state {
        StepState::Done => (step.name, "✓", "done"),
        StepState::Waiting => ("on its way", "…", "waiting"),
        StepState::Failed => (step.name, "✕", "failed"),
    };
    let at = step.at.map(|at| {
        view! {
            <time datetime=at.to_string()>{clock_ms(at, offset)}</time>
        }
    });
    view! {
        <li data-testid=format!("journey-{}", step.name) data-state=state>
            <span class="step-mark" aria-hidden="true">{glyph}</span>
            <div class="step-body">
                <div class="step-line">
                    <strong>{word}</strong>
                    {step.by.map(|by| view! { <span class="muted">"by " {by}</span> })}
                    {step.code.map(|code| view! { <code>{code}</code> })}
                    <span class="step-time">
                        {at}
                        {step.after.map(|after| view! { <span class="after">{after}</span> })}
                    </span>
                </div>
                {step.note.map(|note| view! { <p class="hint">{note}</p> })}
            </div>
        </li>
    }
}
