//! Dead letters of all agents: what was given up, to be tried again or thrown away.

use std::time::Duration;

use entente_lexicon::api::dead::{DeadLetter, DeadLetterList};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, dead};
use crate::browser::{poll, set_changed};
use crate::components::problem::Problem;
use crate::store::{Store, use_store};
use crate::view::format::{ago, short_id};

const POLL: Duration = Duration::from_secs(15);

#[derive(Clone, Copy)]
struct Pile {
    list: RwSignal<Option<DeadLetterList>>,
    trouble: RwSignal<Option<Failure>>,
    store: Store,
}

impl Pile {
    async fn refresh(self) {
        let Some(key) = self.store.key() else { return };
        let answer = dead::list(&key).await;
        if self.list.try_with_untracked(|_| ()).is_none() {
            return;
        }
        match answer {
            Ok(list) => {
                set_changed(self.list, Some(list));
                set_changed(self.trouble, None);
            }
            Err(failure) if failure.status == 401 => self.store.leave_admin(Some(failure)),
            Err(failure) => set_changed(self.trouble, Some(failure)),
        }
    }

    /// Has one tried again, or thrown away; all of them where none is named.
    fn change(self, id: Option<String>, deed: &'static str) {
        let Some(key) = self.store.key() else { return };
        spawn_local(async move {
            match dead::change(&key, id.as_deref(), deed).await {
                Ok(done) => {
                    let said = match deed {
                        "redrive" => "tried again",
                        _ => "thrown away",
                    };
                    let said = format!("Dead letters {said}: {}.", done.changed);
                    self.store.announcement.set(said);
                    self.refresh().await;
                }
                Err(failure) => set_changed(self.trouble, Some(failure)),
            }
        });
    }
}

/// The panel of dead letters.
#[component]
pub(crate) fn DeadLettersPanel() -> impl IntoView {
    let pile = Pile {
        list: RwSignal::new(None),
        trouble: RwSignal::new(None),
        store: use_store(),
    };
    provide_context(pile);
    Effect::new(move |_| spawn_local(pile.refresh()));
    poll(POLL, move || spawn_local(pile.refresh()));
    let total = move || {
        pile.list
            .with(|list| list.as_ref().map_or(0, |list| list.total))
    };
    let said = move || match total() {
        0 => String::new(),
        total => format!("{total} kept"),
    };
    let rows = move || {
        pile.list
            .with(|list| list.clone().map_or_else(Vec::new, |list| list.dead_letters))
    };
    view! {
        <section class="panel bans" aria-labelledby="dead-title" data-testid="dead-letters">
            <div class="panel-head">
                <h2 id="dead-title">"Dead letters"</h2>
                <span class="muted" data-testid="dead-total">{said}</span>
                <Show when=move || { total() > 0 }>
                    <button class="quiet small" type="button" data-testid="dead-redrive-all"
                        on:click=move |_| pile.change(None, "redrive")>"Try all again"</button>
                </Show>
            </div>
            <Problem failure=pile.trouble id="dead-trouble"/>
            <Show when=move || { total() > 0 }
                fallback=|| view! { <p class="empty" data-testid="dead-empty">"Nothing was given up."</p> }>
                <ul class="trust-list">
                    <For each=rows key=|dead| (dead.id.clone(), dead.at) let:dead><DeadRow dead/></For>
                </ul>
            </Show>
        </section>
    }
}

#[component]
fn DeadRow(dead: DeadLetter) -> impl IntoView {
    let pile = expect_context::<Pile>();
    let what = match dead.kind.as_str() {
        "message" => "Message to ",
        _ => "Webhook ",
    };
    let why = dead
        .code
        .or_else(|| dead.status.map(|status| format!("HTTP {status}")))
        .unwrap_or_else(|| "no answer".to_owned());
    let at = dead.at;
    let when = move || {
        format!(
            "{why}, {} attempts, given up {}",
            dead.attempts,
            ago(at, pile.store.now.get())
        )
    };
    let (full, short) = (dead.to.clone(), short_id(&dead.to));
    let agent = dead.agent.unwrap_or_default();
    let (again, away) = (dead.id.clone(), dead.id.clone());
    let redrive = format!("Try again: {short} of {agent}");
    let discard = format!("Throw away: {short} of {agent}");
    view! {
        <li class="peer-card" data-testid="dead-row" data-id=dead.id>
            <div class="peer-top">
                <strong>{agent}</strong>
                <span class="muted" title=full>{what}{short}</span>
                <span class="peer-buttons">
                    <button class="quiet small" type="button" data-testid="dead-redrive" aria-label=redrive
                        on:click=move |_| pile.change(Some(again.clone()), "redrive")>"Try again"</button>
                    <button class="quiet small" type="button" data-testid="dead-discard" aria-label=discard
                        on:click=move |_| pile.change(Some(away.clone()), "discard")>"Throw away"</button>
                </span>
            </div>
            <p class="hint">{when}</p>
        </li>
    }
}
