//! The mail of the agent chosen in the compose panel.

use entente_lexicon::ReceiptStatus;
use leptos::html::Div;
use leptos::prelude::*;

use crate::browser::offset_min;
use crate::components::icon::Icon;
use crate::components::problem::Problem;
use crate::mail::Mail;
use crate::store::use_store;
use crate::view::conversation::Entry;
use crate::view::format::clock;

/// A list scrolled this near to its end follows new messages.
const NEAR_END_PX: i32 = 60;

/// The conversation panel.
#[component]
pub(crate) fn ConversationPanel() -> impl IntoView {
    let mail = expect_context::<Mail>();
    let entries = Memo::new(move |_| mail.conversation.with(|mail| mail.entries()));
    let loaded = move || mail.conversation.with(|mail| mail.loaded);
    let scroller = NodeRef::<Div>::new();
    let follows = follow_end(scroller, entries);
    let title = move || {
        mail.from.with(|from| {
            if from.is_empty() {
                "Conversation".to_owned()
            } else {
                format!("Conversation of {from}")
            }
        })
    };
    view! {
        <section class="panel conversation" aria-labelledby="conversation-title" data-testid="conversation">
            <div class="panel-head">
                <h2 id="conversation-title">{title}</h2>
                <span class="muted">"Reading is audited"</span>
            </div>
            <Problem failure=mail.trouble id="conversation-error"/>
            <div class="mail" tabindex="0" role="region" aria-label="Messages, newest last"
                node_ref=scroller on:scroll=move |_| note_place(scroller, follows)>
                <Show when=move || entries.with(Vec::is_empty)>
                    <p class="empty" data-testid="conversation-empty">
                        {move || if loaded() {
                            "Nothing sent or received yet. What this agent writes and gets appears here."
                        } else {
                            "Reading the inbox…"
                        }}
                    </p>
                </Show>
                <ul>
                    // A message that came further is drawn anew.
                    <For each=move || entries.get() key=|e| (e.id.clone(), e.outgoing, e.status) let:entry>
                        <Letter entry/>
                    </For>
                </ul>
            </div>
        </section>
    }
}

fn note_place(scroller: NodeRef<Div>, follows: StoredValue<bool>) {
    if let Some(list) = scroller.get_untracked() {
        let left = list.scroll_height() - list.scroll_top() - list.client_height();
        follows.set_value(left < NEAR_END_PX);
    }
}

/// Keeps the newest message in sight unless the reader scrolled back.
fn follow_end(scroller: NodeRef<Div>, entries: Memo<Vec<Entry>>) -> StoredValue<bool> {
    let follows = StoredValue::new(true);
    Effect::new(move |_| {
        entries.track();
        request_animation_frame(move || {
            if follows.try_get_value() == Some(true)
                && let Some(Some(list)) = scroller.try_get_untracked()
            {
                list.set_scroll_top(list.scroll_height());
            }
        });
    });
    follows
}

#[component]
fn Letter(entry: Entry) -> impl IntoView {
    let store = use_store();
    let other = entry.other.clone();
    let label = move || store.names.with(|names| names.label(&other));
    let id = if entry.outgoing {
        "sent-message"
    } else {
        "inbox-message"
    };
    let heading = if entry.outgoing { "to " } else { "from " };
    let text = entry
        .text
        .clone()
        .unwrap_or_else(|| "Sealed: what it says is not kept here.".to_owned());
    let (at, status, outgoing) = (entry.at, entry.status.as_str(), entry.outgoing);
    let (message, sealed) = (entry.id.clone(), entry.text.is_none());
    let unread = !outgoing && entry.status != ReceiptStatus::Read;
    view! {
        <li class="letter" class:outgoing=outgoing class:unread=unread data-testid=id data-message=message data-status=status>
            <div class="letter-head">
                <span class="letter-who">{heading} <strong>{label}</strong></span>
                <time datetime=at.to_string()>{clock(at, offset_min())}</time>
            </div>
            {if unread {
                view! { <Unopened id=entry.id.clone() text/> }.into_any()
            } else {
                view! {
                    <p class="letter-text" class:sealed=sealed data-testid="message-text">{text}</p>
                }
                .into_any()
            }}
            <div class="letter-end"><LetterActions entry/></div>
        </li>
    }
}

/// The text of a letter that nobody has opened: one line of it, until it is.
#[component]
fn Unopened(id: String, text: String) -> impl IntoView {
    let mail = expect_context::<Mail>();
    view! {
        <button class="letter-open" type="button" data-testid="open-letter"
            on:click=move |_| mail.mark_read(id.clone())>
            <span class="unread-dot" data-testid="unread-dot" role="img" aria-label="Unread."></span>
            <span class="letter-text" data-testid="message-text">{text}</span>
        </button>
    }
}

#[component]
fn LetterActions(entry: Entry) -> impl IntoView {
    let store = use_store();
    let mail = expect_context::<Mail>();
    if entry.outgoing {
        let (id, status) = (entry.id, entry.status.as_str());
        return view! {
            <button class="quiet small" type="button" data-testid="show-journey"
                aria-label=format!("{status}. Show the journey of this message.")
                on:click=move |_| mail.journey.set(Some(id.clone()))>
                <span class="receipt" data-status=status>{status}</span>
            </button>
        }
        .into_any();
    }
    let unread = entry.status != ReceiptStatus::Read;
    let (id, answered) = (entry.id.clone(), entry.id.clone());
    let answer = move |_| {
        let to = store
            .names
            .with_untracked(|names| names.writable(&entry.other));
        mail.reply(to, entry.thread.clone());
        if unread {
            mail.mark_read(answered.clone());
        }
    };
    let mark = unread.then(|| {
        view! {
            <button class="quiet small" type="button" data-testid="mark-read"
                on:click=move |_| mail.mark_read(id.clone())>
                "Mark read"
            </button>
        }
    });
    view! {
        {mark}
        <button class="quiet small" type="button" data-testid="reply" on:click=answer>
            <Icon name="reply"/>
            "Reply"
        </button>
    }
    .into_any()
}
