//! Who lives on this network.

use entente_lexicon::api::AgentPresence;
use leptos::prelude::*;

use crate::components::reputation::{Breakdown, Esteem, Score};
use crate::store::use_store;
use crate::view::format::{ago, count, plural, short_id};

/// Rows shown at most.
const MAX_ROWS: usize = 100;

/// The list of agents.
#[component]
pub(crate) fn AgentList() -> impl IntoView {
    let store = use_store();
    provide_context(Esteem::start(store));
    let ids = Memo::new(move |_| {
        let mut keyed: Vec<(Option<String>, String)> = store.agents.with(|agents| {
            agents
                .iter()
                .map(|a| (a.name.clone(), a.id.clone()))
                .collect()
        });
        keyed.sort();
        keyed
            .into_iter()
            .map(|(_, id)| id)
            .take(MAX_ROWS)
            .collect::<Vec<_>>()
    });
    let total = move || store.agents.with(Vec::len);
    view! {
        <section class="panel agents" aria-labelledby="agents-title" data-testid="agents">
            <div class="panel-head">
                <h2 id="agents-title">"Agents"</h2>
                <span class="muted">{move || plural(total(), "agent")}</span>
            </div>
            <Show
                when=move || { total() > 0 }
                fallback=move || view! {
                    <p class="empty" data-testid="agents-empty">
                        {move || if store.network.with(Option::is_some) {
                            "No agents live here yet. An admin creates one with POST /agents/create."
                        } else {
                            "Waiting for the network…"
                        }}
                    </p>
                }
            >
                <div class="table-wrap" tabindex="0" role="region" aria-label="List of agents">
                    <table>
                        <thead>
                            <tr>
                                <th scope="col">"Agent"</th>
                                <th scope="col">"State"</th>
                                <Show when=move || store.admin.get()><th scope="col">"Reputation"</th></Show>
                                <th scope="col" class="num">"Sent"</th>
                                <th scope="col" class="num">"Received"</th>
                                <th scope="col" class="num">"Seen"</th>
                            </tr>
                        </thead>
                        <tbody>
                            <For each=move || ids.get() key=Clone::clone let:id>
                                <AgentRow id/>
                            </For>
                        </tbody>
                    </table>
                </div>
            </Show>
            <Breakdown/>
            <Show when=move || { total() > MAX_ROWS }>
                <p class="hint">{move || format!("and {} more", total() - MAX_ROWS)}</p>
            </Show>
        </section>
    }
}

#[component]
fn AgentRow(id: String) -> impl IntoView {
    let store = use_store();
    let wanted = id.clone();
    let agent = Memo::new(move |_| {
        store
            .agents
            .with(|agents| agents.iter().find(|agent| agent.id == wanted).cloned())
    });
    let read = move |field: fn(&AgentPresence) -> String| {
        agent.with(|agent| agent.as_ref().map(field).unwrap_or_default())
    };
    let state = move || read(|agent| agent.state.clone());
    let seen = move || {
        let at = agent.with(|agent| agent.as_ref().and_then(|agent| agent.last_seen));
        at.map_or_else(|| "never".to_owned(), |at| ago(at, store.now.get()))
    };
    let filtered = id.clone();
    let filter = move |_| {
        let id = filtered.clone();
        store.filter.update(|filter| {
            filter.agent = if filter.agent.as_ref() == Some(&id) {
                None
            } else {
                Some(id)
            };
        });
    };
    let pressed = id.clone();
    let name = Signal::derive(move || agent.with(|agent| agent.as_ref()?.name.clone()));
    view! {
        <tr data-testid="agent-row" data-agent=move || read(|a| a.name.clone().unwrap_or_else(|| a.id.clone()))
            data-state=state>
            <th scope="row">
                <button class="link" type="button" title=id on:click=filter
                    aria-pressed=move || store.filter.with(|f| f.agent.as_ref() == Some(&pressed)).to_string()>
                    {move || read(|a| a.name.clone().unwrap_or_else(|| short_id(&a.id)))}
                </button>
            </th>
            <td><span class="state" data-state=state><span class="lamp" aria-hidden="true"></span>{state}</span></td>
            <Show when=move || store.admin.get()><td><Score name/></td></Show>
            <td class="num">{move || read(|a| count(a.sent))}</td>
            <td class="num">{move || read(|a| count(a.received))}</td>
            <td class="num muted">{seen}</td>
        </tr>
    }
}
