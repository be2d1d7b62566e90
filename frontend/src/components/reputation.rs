//! What endorsements say of the agents here: a score beside each, and whose words it comes from.

use std::collections::BTreeMap;
use std::time::Duration;

use entente_lexicon::api::reputation::{ContributionView, ReputationHead, ReputationView};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, reputation};
use crate::browser::{poll, set_changed};
use crate::components::problem::Problem;
use crate::store::{Store, use_store};
use crate::view::format::{ago, plural};
use crate::view::reputation::{author, score, weight};

const POLL: Duration = Duration::from_secs(15);

/// The scores of the agents here, while the admin looks.
#[derive(Clone, Copy)]
pub(crate) struct Esteem {
    heads: RwSignal<BTreeMap<String, ReputationHead>>,
    /// Whose words are shown.
    chosen: RwSignal<Option<String>>,
    detail: RwSignal<Option<ReputationView>>,
    trouble: RwSignal<Option<Failure>>,
    store: Store,
}

impl Esteem {
    /// Begins to read them.
    pub(crate) fn start(store: Store) -> Self {
        let esteem = Self {
            heads: RwSignal::new(BTreeMap::new()),
            chosen: RwSignal::new(None),
            detail: RwSignal::new(None),
            trouble: RwSignal::new(None),
            store,
        };
        Effect::new(move |_| {
            if store.admin.get() {
                spawn_local(esteem.refresh());
            } else {
                esteem.heads.set(BTreeMap::new());
                esteem.choose(None);
            }
        });
        poll(POLL, move || spawn_local(esteem.refresh()));
        esteem
    }

    async fn refresh(self) {
        let Some(key) = self.store.key() else { return };
        match reputation::list(&key).await {
            Ok(list) => {
                let heads = list.reputations.into_iter();
                let heads = heads.map(|head| (head.name.clone(), head)).collect();
                set_changed(self.heads, heads);
                set_changed(self.trouble, None);
            }
            Err(failure) => set_changed(self.trouble, Some(failure)),
        }
        self.read_chosen().await;
    }

    async fn read_chosen(self) {
        let (Some(key), Some(name)) = (self.store.key(), self.chosen.get_untracked()) else {
            return;
        };
        match reputation::show(&key, &name).await {
            // Another one may have been chosen meanwhile.
            Ok(view) if self.chosen.get_untracked() == Some(name) => {
                set_changed(self.detail, Some(view));
                set_changed(self.trouble, None);
            }
            Ok(_) => {}
            Err(failure) => set_changed(self.trouble, Some(failure)),
        }
    }

    fn choose(self, name: Option<String>) {
        self.detail.set(None);
        self.chosen.set(name);
        spawn_local(self.read_chosen());
    }
}

/// An agent's score: a button that shows whose words it comes from.
#[component]
pub(crate) fn Score(#[prop(into)] name: Signal<Option<String>>) -> impl IntoView {
    let esteem = expect_context::<Esteem>();
    let head = Memo::new(move |_| {
        let name = name.get()?;
        esteem.heads.with(|heads| heads.get(&name).cloned())
    });
    let text = move || head.with(|head| head.as_ref().map(|head| score(head.score, head.voices)));
    let heard = move || head.with(|head| head.as_ref().is_some_and(|head| head.score.is_some()));
    let shown = move || name.with(|name| name.is_some() && esteem.chosen.with(|one| one == name));
    let toggle = move |_| {
        let open = untrack(shown);
        esteem.choose(name.get_untracked().filter(|_| !open));
    };
    let label = move || {
        let (who, said) = (name.get().unwrap_or_default(), text().unwrap_or_default());
        format!("Reputation of {who}: {said}")
    };
    view! {
        <Show when=heard fallback=move || view! {
            <span class="muted" data-testid="agent-score" data-heard="false"
                title="Nobody has endorsed this agent in public">{move || text().unwrap_or_else(|| "…".to_owned())}</span>
        }>
            <button class="link" type="button" data-testid="agent-score" data-heard="true" aria-label=label
                aria-expanded=move || shown().to_string() on:click=toggle>{move || text().unwrap_or_default()}</button>
        </Show>
    }
}

/// Whose words the chosen score comes from.
#[component]
pub(crate) fn Breakdown() -> impl IntoView {
    let esteem = expect_context::<Esteem>();
    let title = move || {
        let name = esteem.chosen.get().unwrap_or_default();
        format!("What is said of {name}")
    };
    let sum = move || {
        esteem.detail.with(|view| {
            let Some(view) = view else {
                return "Reading what is said…".to_owned();
            };
            let score = view.score.map_or_else(|| "no score".to_owned(), |score| format!("{score} of 100"));
            let voices = usize::try_from(view.voices).unwrap_or(usize::MAX);
            format!(
                "{score} by {}. Weighed on this network, against 50 points that stand for not knowing. It opens no door.",
                plural(voices, "voice")
            )
        })
    };
    let rows = move || {
        esteem.detail.with(|view| {
            view.as_ref()
                .map_or_else(Vec::new, |view| view.contributions.clone())
        })
    };
    view! {
        <Problem failure=esteem.trouble id="reputation-trouble"/>
        <Show when=move || esteem.chosen.with(Option::is_some)>
            <section class="esteem" aria-label=title data-testid="reputation">
                <div class="peer-top">
                    <h3>{title}</h3>
                    <span class="peer-buttons">
                        <button class="quiet small" type="button" data-testid="reputation-close"
                            on:click=move |_| esteem.choose(None)>"Close"</button>
                    </span>
                </div>
                <p class="hint" data-testid="reputation-sum">{sum}</p>
                <ul class="trust-list" role="list">
                    <For each=rows key=|one| (one.uri.clone(), one.cid.clone(), one.weight, one.silence.clone())
                        let:one><Word one/></For>
                </ul>
            </section>
        </Show>
    }
}

#[component]
fn Word(one: ContributionView) -> impl IntoView {
    let store = use_store();
    let at = one.created_at;
    let who = author(&one.name, &one.author);
    let weighs = weight(&one);
    let about = one.skill.map(|skill| format!(" for {skill}"));
    let gives = format!("{}{}", one.score, about.unwrap_or_default());
    let meta = move || format!("{weighs}, given {}", ago(at, store.now.get()));
    let text = one
        .text
        .map(|text| view! { <p class="letter-text" dir="auto">{text}</p> });
    view! {
        <li class="peer-card" data-testid="reputation-word" data-silence=one.silence>
            <div class="peer-top">
                <strong class="letter-who" title=one.author>{who}</strong>
                <span class="tag">{gives}</span>
            </div>
            {text}
            <p class="hint">{meta}</p>
        </li>
    }
}
