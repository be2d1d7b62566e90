//! The nodes and edges of the graph. They stand still between changes and ease to new places.

use entente_lexicon::TrustLevel;
use entente_lexicon::api::{LinkState, PublicPeer};
use leptos::ev::KeyboardEvent;
use leptos::prelude::*;

use crate::components::topology::Graph;
use crate::store::{Store, use_store};
use crate::view::format::{clip, short_id};
use crate::view::peer::{state_icon, state_name, state_sentence};
use crate::view::topology::Point;

const PEER_RADIUS: &str = "15";
const AGENT_RADIUS: &str = "7";
const MAX_HOST_CHARS: usize = 24;
const MAX_NAME_CHARS: usize = 14;

fn translate(point: Point) -> String {
    format!("translate({:.1}px, {:.1}px)", point.x, point.y)
}

fn line(from: Point, to: Point) -> String {
    format!("M{:.1} {:.1}L{:.1} {:.1}", from.x, from.y, to.x, to.y)
}

/// Enter and the space bar press what is drawn like a button.
fn presses(event: &KeyboardEvent) -> bool {
    let pressed = matches!(event.key().as_str(), "Enter" | " ");
    if pressed {
        event.prevent_default();
    }
    pressed
}

fn toggle_peer(store: Store, host: &str) {
    store.filter.update(|filter| {
        let same = filter.peer.as_deref() == Some(host);
        filter.peer = (!same).then(|| host.to_owned());
    });
}

fn find_peer(store: Store, host: &str) -> Memo<PublicPeer> {
    let host = host.to_owned();
    let gone = PublicPeer {
        did: String::new(),
        host: host.clone(),
        trust_level: TrustLevel::Private,
        state: LinkState::Idle,
    };
    Memo::new(move |_| {
        let known = store
            .peers
            .with(|peers| peers.iter().find(|p| p.host == host).cloned());
        known.unwrap_or_else(|| gone.clone())
    })
}

fn peer_place(graph: Graph, host: &str) -> Memo<Point> {
    let host = host.to_owned();
    Memo::new(move |_| {
        graph
            .places
            .with(|places| places.peers.get(&host).copied().unwrap_or(places.hub))
    })
}

fn agent_place(graph: Graph, id: &str) -> Memo<Point> {
    let id = id.to_owned();
    Memo::new(move |_| {
        graph
            .places
            .with(|places| places.agents.get(&id).copied().unwrap_or(places.hub))
    })
}

fn is_hot(graph: Graph, key: &str) -> Memo<bool> {
    let key = key.to_owned();
    Memo::new(move |_| graph.hot.with(|hot| hot.contains(&key)))
}

/// A link to a peer. Its line tells the level, its badge the state.
#[component]
pub(crate) fn Edge(graph: Graph, host: String) -> impl IntoView {
    let store = use_store();
    let peer = find_peer(store, &host);
    let place = peer_place(graph, &host);
    let hot = is_hot(graph, &host);
    let path = move || line(graph.places.with(|places| places.hub), place.get());
    let badge = move || {
        let hub = graph.places.with(|places| places.hub);
        translate(hub.toward(place.get(), crate::view::topology::BADGE_AT))
    };
    let state = move || state_name(peer.with(|peer| peer.state));
    let level = move || peer.with(|peer| peer.trust_level.as_str());
    let chosen = host.clone();
    let clicked = host.clone();
    view! {
        <g class="edge" data-testid="peer-edge" data-host=host data-state=state data-level=level
            class:hot=hot class:chosen=move || store.filter.with(|f| f.peer.as_ref() == Some(&chosen))
            on:click=move |_| toggle_peer(store, &clicked)>
            <path class="edge-hit" d=path/>
            <path class="edge-line" data-level=level data-state=state d=path/>
            <g class="edge-badge" data-state=state style:transform=badge>
                <circle r="8"/>
                <path d=move || state_icon(peer.with(|peer| peer.state))/>
            </g>
        </g>
    }
}

/// The line from this network to one of its agents.
#[component]
pub(crate) fn Spoke(graph: Graph, id: String) -> impl IntoView {
    let place = agent_place(graph, &id);
    let hot = is_hot(graph, &id);
    let path = move || line(graph.places.with(|places| places.hub), place.get());
    view! { <path class="spoke" class:hot=hot d=path/> }
}

/// This network.
#[component]
pub(crate) fn Hub(graph: Graph) -> impl IntoView {
    let store = use_store();
    let name = move || {
        store.network.with(|n| {
            n.as_ref()
                .map_or_else(|| "…".to_owned(), |n| clip(&n.name, 9))
        })
    };
    let level = move || {
        store
            .network
            .with(|n| n.as_ref().map(|n| n.trust_level.as_str()))
    };
    view! {
        <g class="hub" data-testid="hub-node" style:transform=move || translate(graph.places.with(|p| p.hub))>
            <circle class="hub-halo" r="42"/>
            <circle r="34"/>
            <text y="-1">{name}</text>
            <text class="sub" y="13">{level}</text>
        </g>
    }
}

/// An agent of this network.
#[component]
pub(crate) fn AgentNode(graph: Graph, id: String) -> impl IntoView {
    let store = use_store();
    let place = agent_place(graph, &id);
    let hot = is_hot(graph, &id);
    let wanted = id.clone();
    let agent = Memo::new(move |_| {
        store
            .agents
            .with(|agents| agents.iter().find(|agent| agent.id == wanted).cloned())
    });
    let shown = id.clone();
    let name = Memo::new(move |_| {
        let name = agent.with(|agent| agent.as_ref().and_then(|agent| agent.name.clone()));
        name.unwrap_or_else(|| short_id(&shown))
    });
    let state = move || {
        agent.with(|agent| {
            agent
                .as_ref()
                .map(|agent| agent.state.clone())
                .unwrap_or_default()
        })
    };
    let above = move || place.get().y < graph.places.with(|places| places.hub.y);
    let label_y = move || if above() { "-13" } else { "20" };
    let pressed = id.clone();
    let chosen = move || {
        store
            .filter
            .with(|filter| filter.agent.as_ref() == Some(&pressed))
    };
    let toggle = move || {
        store.filter.update(|filter| {
            filter.agent = if filter.agent.as_ref() == Some(&id) {
                None
            } else {
                Some(id.clone())
            };
        });
    };
    let on_key = toggle.clone();
    view! {
        <g class="agent" class:hot=hot class:chosen=chosen.clone() data-testid="agent-node" data-agent=name
            data-state=state role="button" tabindex="0" style:transform=move || translate(place.get())
            aria-pressed=move || chosen().to_string()
            aria-description=move || format!("An agent, {}. Press to show only its events.", state())
            on:click=move |_| toggle()
            on:keydown=move |event| if presses(&event) { on_key() }>
            <circle class="target" r="14"/>
            <circle class="dot" r=AGENT_RADIUS/>
            <text y=label_y>{move || clip(&name.get(), MAX_NAME_CHARS)}</text>
        </g>
    }
}

/// A peer.
#[component]
pub(crate) fn PeerNode(graph: Graph, host: String) -> impl IntoView {
    let store = use_store();
    let peer = find_peer(store, &host);
    let place = peer_place(graph, &host);
    let hot = is_hot(graph, &host);
    let pressed = host.clone();
    let chosen = move || {
        store
            .filter
            .with(|filter| filter.peer.as_ref() == Some(&pressed))
    };
    let words =
        move || peer.with(|peer| format!("{} · {}", peer.trust_level, state_name(peer.state)));
    // The words drawn are the button's name; this goes beside it.
    let about = move || {
        let state = peer.with(|peer| state_sentence(peer.state));
        format!("A peer: {state}. Press to show only its events.")
    };
    // Above the hub the words stand above the node, so that the edge does not run through them.
    let above = move || place.get().y < graph.places.with(|places| places.hub.y) - 20.0;
    let room = move || graph.picture.with(|picture| picture.host_chars);
    let (clicked, keyed, shown) = (host.clone(), host.clone(), host.clone());
    let name = move || clip(&shown, if room() == 0 { MAX_HOST_CHARS } else { room() });
    view! {
        <g class="peer" class:terse=move || room() == 0 class:hot=hot class:chosen=chosen.clone() data-testid="peer-node" data-host=host.clone()
            data-state=move || state_name(peer.with(|peer| peer.state))
            data-level=move || peer.with(|peer| peer.trust_level.as_str())
            role="button" tabindex="0" style:transform=move || translate(place.get())
            aria-pressed=move || chosen().to_string() aria-description=about
            on:click=move |_| toggle_peer(store, &clicked)
            on:keydown=move |event| if presses(&event) { toggle_peer(store, &keyed) }>
            <rect class="target" x="-18" width="36" height="66" y=move || if above() { "-50" } else { "-16" }/>
            <circle class="dot" r=PEER_RADIUS/>
            <path class="glyph" d="M-7 0H7M0-7C-4.5-3-4.5 3 0 7 4.5 3 4.5-3 0-7"/>
            <circle class="glyph" r="7"/>
            <text y=move || if above() { "-37" } else { "30" }>{name}</text>
            " "
            <text class="sub" y=move || if above() { "-23" } else { "44" }>{words}</text>
        </g>
    }
}
