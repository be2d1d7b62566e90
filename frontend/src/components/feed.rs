//! Live events: narrowed, paused, or followed.

use leptos::html::Div;
use leptos::prelude::*;

use crate::components::feed_rows::FeedRows;
use crate::components::icon::Icon;
use crate::store::use_store;
use crate::view::feed::Group;
use crate::view::format::{count, short_id};

/// Where the reader is in the feed.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    /// The number of events after which the feed is held; nothing while it follows.
    pub(crate) held: RwSignal<Option<u64>>,
    /// Whether the reader paused it, so that scrolling to the top does not go on.
    pub(crate) paused: RwSignal<bool>,
    /// Matching events that came since.
    pub(crate) newer: RwSignal<usize>,
    /// The scrolling element.
    pub(crate) scroller: NodeRef<Div>,
}

impl Reading {
    fn jump_to_now(self) {
        self.paused.set(false);
        self.held.set(None);
        if let Some(scroller) = self.scroller.get_untracked() {
            scroller.set_scroll_top(0);
        }
    }
}

/// The panel of live events.
#[component]
pub(crate) fn Feed() -> impl IntoView {
    let store = use_store();
    let reading = Reading {
        held: RwSignal::new(None),
        paused: RwSignal::new(false),
        newer: RwSignal::new(0),
        scroller: NodeRef::new(),
    };
    let toggle = move |_| {
        if reading.paused.get_untracked() {
            reading.jump_to_now();
        } else {
            reading.paused.set(true);
            reading
                .held
                .set(Some(store.with_model(|model| model.events.pushed())));
        }
    };
    view! {
        <section class="panel feed" aria-labelledby="feed-title" data-testid="feed">
            <div class="panel-head">
                <h2 id="feed-title">"Live events"</h2>
                <button class="quiet" type="button" data-testid="feed-pause" on:click=toggle
                    aria-pressed=move || reading.paused.get().to_string()>
                    {move || if reading.paused.get() {
                        view! { <Icon name="play"/> "Resume" }.into_any()
                    } else {
                        view! { <Icon name="pause"/> "Pause" }.into_any()
                    }}
                </button>
            </div>
            <Filters/>
            <Show when=move || { store.gaps.get() > 0 }>
                <p class="hint warn" data-testid="feed-gap">
                    "Some events were missed while this page was away."
                </p>
            </Show>
            <div class="feed-body">
                <Show when=move || reading.held.with(Option::is_some)>
                    <button class="now" type="button" data-testid="feed-now" on:click=move |_| reading.jump_to_now()>
                        <Icon name="up"/>
                        {move || match reading.newer.get() {
                            0 => "Jump to now".to_owned(),
                            newer => format!("{} new, jump to now", count(newer as u64)),
                        }}
                    </button>
                </Show>
                <FeedRows reading/>
            </div>
        </section>
    }
}

#[component]
fn Filters() -> impl IntoView {
    let store = use_store();
    let choose = move |event| {
        let chosen = event_target_value(&event);
        let group = Group::ALL.into_iter().find(|group| group.label() == chosen);
        store
            .filter
            .update(|filter| filter.group = group.unwrap_or_default());
    };
    let options = Group::ALL.map(|group| {
        view! {
            <option value=group.label() selected=move || store.filter.with(|f| f.group == group)>
                {group.label()}
            </option>
        }
    });
    let type_text = move |event| {
        let text = event_target_value(&event);
        store
            .filter
            .update(|filter| text.clone_into(&mut filter.text));
    };
    let peer = move || store.filter.with(|filter| filter.peer.clone());
    let agent = move || store.filter.with(|filter| filter.agent.clone());
    let agent_name = move |id: &str| {
        store
            .names
            .with(|names| names.name(id).map_or_else(|| short_id(id), str::to_owned))
    };
    view! {
        <div class="filters">
            <input type="search" placeholder="Filter events" aria-label="Filter events by text"
                data-testid="feed-text" prop:value=move || store.filter.with(|f| f.text.clone())
                on:input=type_text/>
            <select aria-label="Filter events by kind" data-testid="feed-group" on:change=choose>
                {options.collect_view()}
            </select>
            {move || peer().map(|host| view! {
                <button class="chip" type="button" data-testid="feed-chip"
                    aria-label=format!("Show other links than {host} too")
                    on:click=move |_| store.filter.update(|filter| filter.peer = None)>
                    {format!("link {host}")}
                    <Icon name="close"/>
                </button>
            })}
            {move || agent().map(|id| view! {
                <button class="chip" type="button" data-testid="feed-chip"
                    aria-label=format!("Show other agents than {} too", agent_name(&id))
                    on:click=move |_| store.filter.update(|filter| filter.agent = None)>
                    {format!("agent {}", agent_name(&id))}
                    <Icon name="close"/>
                </button>
            })}
        </div>
    }
}
