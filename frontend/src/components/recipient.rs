//! The recipient's field: a combobox that offers agents and hosts.

use leptos::ev::KeyboardEvent;
use leptos::prelude::*;

use crate::mail::Mail;
use crate::store::use_store;
use crate::view::names::id_of;
use crate::view::suggest::{Known, Suggestion, fault, suggest};

const MAX_MET: usize = 6;

/// What the list of suggestions shows.
#[derive(Clone, Copy)]
struct Choice {
    open: RwSignal<bool>,
    marked: RwSignal<Option<usize>>,
    offered: Memo<Vec<Suggestion>>,
    mail: Mail,
}

impl Choice {
    fn shows(self) -> bool {
        self.open.get() && self.offered.with(|offered| !offered.is_empty())
    }

    fn take(self, index: usize) {
        let value = self
            .offered
            .with_untracked(|o| o.get(index).map(|s| s.value.clone()));
        if let Some(value) = value {
            self.mail.to.set(value);
        }
        self.close();
    }

    fn close(self) {
        self.open.set(false);
        self.marked.set(None);
    }

    /// Moves the mark down or up, around the ends.
    fn step(self, down: bool) {
        let count = self.offered.with_untracked(Vec::len);
        self.open.set(true);
        if count == 0 {
            return;
        }
        self.marked.update(|marked| {
            *marked = Some(match (*marked, down) {
                (None, true) => 0,
                (None, false) => count - 1,
                (Some(index), true) => (index + 1) % count,
                (Some(index), false) => (index + count - 1) % count,
            });
        });
    }

    fn on_key(self, event: &KeyboardEvent) {
        match event.key().as_str() {
            "ArrowDown" => self.step(true),
            "ArrowUp" => self.step(false),
            "Enter" => match self.marked.get_untracked() {
                Some(index) if self.open.get_untracked() => self.take(index),
                Some(_) | None => return,
            },
            "Escape" if self.open.get_untracked() => self.close(),
            _ => return,
        }
        event.prevent_default();
    }
}

/// The recipient's field.
#[component]
pub(crate) fn RecipientField() -> impl IntoView {
    let mail = expect_context::<Mail>();
    let known = known(mail);
    let offered = Memo::new(move |_| {
        known.with(|known| {
            mail.to
                .with(|to| mail.from.with(|from| suggest(to, from, known)))
        })
    });
    let choice = Choice {
        open: RwSignal::new(false),
        marked: RwSignal::new(None),
        offered,
        mail,
    };
    let complaint = move || {
        let wrong = mail.to.with(|to| {
            if to.trim().is_empty() {
                None
            } else {
                fault(to)
            }
        });
        wrong.filter(|_| !choice.open.get())
    };
    let typed = move |event| {
        mail.to.set(event_target_value(&event));
        mail.thread.set(None);
        choice.open.set(true);
        choice.marked.set(None);
    };
    view! {
        <div class="field combo">
            <label for="compose-to">"To"</label>
            <input id="compose-to" type="text" role="combobox" autocomplete="off" autocapitalize="none"
                spellcheck="false" placeholder="name or name@host" data-testid="compose-to"
                aria-autocomplete="list" aria-controls="compose-to-list" aria-describedby="compose-to-fault"
                aria-expanded=move || choice.shows().to_string()
                aria-activedescendant=move || choice.marked.get().filter(|_| choice.shows()).map(option_id)
                aria-invalid=move || complaint().is_some().to_string()
                prop:value=move || mail.to.get() on:input=typed
                on:focus=move |_| choice.open.set(true)
                on:click=move |_| choice.open.set(true)
                on:blur=move |_| choice.close()
                on:keydown=move |event| choice.on_key(&event)/>
            <ul id="compose-to-list" class="options" role="listbox" aria-label="Recipients"
                hidden=move || !choice.shows()>
                {move || offered.get().into_iter().enumerate().map(|(index, suggestion)| {
                    view! { <Offer index suggestion choice/> }
                }).collect_view()}
            </ul>
            <p class="hint bad" id="compose-to-fault">{complaint}</p>
        </div>
    }
}

fn option_id(index: usize) -> String {
    format!("compose-to-{index}")
}

#[component]
fn Offer(index: usize, suggestion: Suggestion, choice: Choice) -> impl IntoView {
    let marked = move || choice.marked.get() == Some(index);
    view! {
        <li id=option_id(index) role="option" data-testid="compose-suggestion"
            aria-selected=move || marked().to_string() class:marked=marked
            on:mousedown=move |event| { event.prevent_default(); choice.take(index); }>
            <span>{suggestion.value}</span>
            <span class="hint">{suggestion.hint}</span>
        </li>
    }
}

fn known(mail: Mail) -> Memo<Known> {
    let store = use_store();
    Memo::new(move |_| {
        let mut local: Vec<String> = store.agents.with(|agents| {
            agents
                .iter()
                .filter_map(|agent| agent.name.clone())
                .collect()
        });
        local.sort();
        let mut met: Vec<String> = Vec::new();
        let names = store.names.get();
        let entries = mail
            .conversation
            .with(|conversation| conversation.entries());
        for entry in entries.iter().rev() {
            let address = names.writable(&entry.other);
            let is_local = local.iter().any(|name| name == id_of(&address));
            if !is_local && !met.contains(&address) && met.len() < MAX_MET {
                met.push(address);
            }
        }
        let hosts = store
            .peers
            .with(|peers| peers.iter().map(|p| p.host.clone()).collect());
        Known { local, met, hosts }
    })
}
