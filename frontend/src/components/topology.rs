//! The federation: this network in the middle, its agents around it, its peers beyond.

use entente_lexicon::api::{AgentPresence, LinkState, PublicPeer};
use leptos::html::Div;
use leptos::prelude::*;

use crate::browser::follow_width;
use crate::components::graph::{AgentNode, Edge, Hub, PeerNode, Spoke};
use crate::components::pulses::Pulses;
use crate::store::use_store;
use crate::view::flow::Places;
use crate::view::format::plural;
use crate::view::peer::{state_icon, state_name};
use crate::view::topology::{Layout, MAX_AGENTS, layout, wanted_height};

/// What the parts of the graph share.
#[derive(Clone, Copy)]
pub(crate) struct Graph {
    /// The picture.
    pub(crate) picture: Memo<Layout>,
    /// Who stands where in it.
    pub(crate) places: Memo<Places>,
    /// Hosts and agents' ids with traffic just now.
    pub(crate) hot: RwSignal<Vec<String>>,
}

/// Who is drawn, and where.
struct Arrangement {
    hosts: Memo<Vec<String>>,
    drawn: Memo<Vec<String>>,
    graph: Graph,
}

/// Places peers in the order of their hosts and agents in the order of their names.
fn arrange(width: ReadSignal<f64>) -> Arrangement {
    let store = use_store();
    let hosts = Memo::new(move |_| {
        let host = |peer: &PublicPeer| peer.host.clone();
        store
            .peers
            .with(|peers| peers.iter().map(host).collect::<Vec<_>>())
    });
    let ids = Memo::new(move |_| {
        let key = |agent: &AgentPresence| (agent.name.clone(), agent.id.clone());
        let mut keyed: Vec<_> = store.agents.with(|agents| agents.iter().map(key).collect());
        keyed.sort();
        let ids = keyed.into_iter().map(|(_, id)| id).take(MAX_AGENTS);
        ids.collect::<Vec<_>>()
    });
    let picture = Memo::new(move |_| {
        let (width, peers) = (width.get().max(280.0), hosts.with(Vec::len));
        layout(
            width,
            wanted_height(width, peers),
            ids.with(Vec::len),
            peers,
        )
    });
    // Where it is narrow there is room for fewer.
    let drawn = Memo::new(move |_| {
        let room = picture.with(|picture| picture.agents.len());
        ids.with(|ids| ids.iter().take(room).cloned().collect::<Vec<_>>())
    });
    let places = Memo::new(move |_| {
        picture.with(|picture| ids.with(|ids| hosts.with(|hosts| Places::new(picture, ids, hosts))))
    });
    let hot = RwSignal::new(Vec::new());
    Arrangement {
        hosts,
        drawn,
        graph: Graph {
            picture,
            places,
            hot,
        },
    }
}

/// The panel with the graph.
#[component]
pub(crate) fn Topology() -> impl IntoView {
    let store = use_store();
    let stage = NodeRef::<Div>::new();
    let width = follow_width(stage);
    let Arrangement {
        hosts,
        drawn,
        graph,
    } = arrange(width);
    let counts = move || {
        let (peers, agents) = (hosts.with(Vec::len), store.agents.with(Vec::len));
        let shown = drawn.with(Vec::len);
        let part = if shown < agents {
            format!(" ({shown} drawn)")
        } else {
            String::new()
        };
        format!(
            "{}, {}{part}",
            plural(peers, "peer"),
            plural(agents, "agent")
        )
    };
    view! {
        <section class="panel topology" aria-labelledby="topology-title">
            <div class="panel-head">
                <h2 id="topology-title">"Federation"</h2>
                <span class="muted">{counts}</span>
            </div>
            <div class="stage" node_ref=stage>
                <Show when=move || { width.get() > 0.0 }>
                    <Picture graph ids=drawn hosts/>
                </Show>
                <Show when=move || store.network.with(Option::is_some) && hosts.with(Vec::is_empty)>
                    <p class="stage-note" data-testid="topology-empty">
                        "No peers yet. Messages stay on this network until an admin adds one."
                    </p>
                </Show>
            </div>
            <Legend/>
        </section>
    }
}

#[component]
fn Picture(graph: Graph, ids: Memo<Vec<String>>, hosts: Memo<Vec<String>>) -> impl IntoView {
    let size = move |side: fn(&Layout) -> f64| graph.picture.with(|p| format!("{:.0}", side(p)));
    let view_box = move || format!("0 0 {} {}", size(|p| p.width), size(|p| p.height));
    view! {
        <svg class="graph" data-testid="topology" role="group" aria-label="Map of this network and its peers"
            width=move || size(|p| p.width) height=move || size(|p| p.height) viewBox=view_box
            class:terse=move || graph.picture.with(|p| !p.labelled)>
            <For each=move || hosts.get() key=Clone::clone let:host><Edge graph host/></For>
            <For each=move || ids.get() key=Clone::clone let:id><Spoke graph id/></For>
            <Pulses graph/>
            <Hub graph/>
            <For each=move || ids.get() key=Clone::clone let:id><AgentNode graph id/></For>
            <For each=move || hosts.get() key=Clone::clone let:host><PeerNode graph host/></For>
        </svg>
    }
}

#[component]
fn Legend() -> impl IntoView {
    let line = |level: &'static str, note: &'static str| {
        view! {
            <li title=note>
                <svg viewBox="0 0 34 8" width="34" height="8" aria-hidden="true" focusable="false">
                    <path class="edge-line" data-level=level data-state="idle" d="M1 4h32"/>
                </svg>
                {level}
            </li>
        }
    };
    let badge = |state: LinkState| {
        view! {
            <li>
                <svg viewBox="-8 -8 16 16" width="16" height="16" aria-hidden="true" focusable="false">
                    <g class="edge-badge" data-state=state_name(state)>
                        <circle r="7"/>
                        <path d=state_icon(state)/>
                    </g>
                </svg>
                {state_name(state)}
            </li>
        }
    };
    view! {
        <div class="legend">
            <div class="legend-group">
            <span class="legend-title">"Level"</span>
            <ul aria-label="Lines by trust level">
                {line("open", "Every agent, both ways")}
                {line("allowlist", "Only listed agents")}
                {line("verified", "Listed and attested")}
                {line("private", "Nothing passes")}
            </ul>
            </div>
            <div class="legend-group">
            <span class="legend-title">"Link"</span>
            <ul aria-label="Badges by state of the link">
                {badge(LinkState::Up)}
                {badge(LinkState::Idle)}
                {badge(LinkState::Connecting)}
                {badge(LinkState::Unreachable)}
                {badge(LinkState::Waiting)}
                {badge(LinkState::Refused)}
                {badge(LinkState::Frozen)}
            </ul>
            </div>
        </div>
    }
}
