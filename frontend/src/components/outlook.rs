//! How a peer sees the link to us, and how full both ends are.

use entente_lexicon::api::{LinkAmount, LinkAmounts, PeerOutlook, PeerView};
use leptos::prelude::*;

use crate::store::use_store;
use crate::view::codes::explain;
use crate::view::format::{ago, count, duration};
use crate::view::trust::taken;

/// What the peer sees of us, as it said last, and what is taken on both sides.
#[component]
pub(crate) fn Outlook(#[prop(into)] peer: Signal<Option<PeerView>>) -> impl IntoView {
    let seen = move || peer.with(|peer| peer.as_ref().and_then(|p| p.peer_view.clone()));
    let ours = move || peer.with(|peer| peer.as_ref().and_then(|p| p.limits.zip(p.usage)));
    view! {
        <h3>"What the peer sees of us"</h3>
        {move || match seen() {
            Some(seen) => view! { <Seen seen/> }.into_any(),
            None => view! { <p class="hint" data-testid="outlook-unknown">"It says so when the link is up."</p> }.into_any(),
        }}
        {move || ours().map(|ours| view! {
            <Taken ours theirs=seen().map(|seen| (seen.limits, seen.usage))/>
        })}
    }
}

#[component]
fn Seen(seen: PeerOutlook) -> impl IntoView {
    let store = use_store();
    let at = seen.at;
    let row = |name: &'static str, value: String| {
        view! { <div><dt>{name}</dt><dd>{value}</dd></div> }
    };
    let error = seen.last_error.map(|code| {
        let text = explain(&code);
        view! { <p class="hint">"It went wrong for it before: "<code>{code}</code>" "{text}</p> }
    });
    view! {
        <dl class="facts link-facts" data-testid="outlook" data-level=seen.trust_level.as_str()>
            {row("Holds us at", seen.trust_level.to_string())}
            {row("Messages for us", count(seen.queued))}
            {row("Events for us", count(seen.queued_events))}
            {seen.oldest_age_ms.map(|age| row("Oldest", duration(age)))}
            {seen.round_trip_ms.map(|ms| row("Its round trip", duration(ms)))}
            <div><dt>"Said"</dt><dd>{move || ago(at, store.now.get())}</dd></div>
        </dl>
        {error}
    }
}

/// Limits, and how much of them is taken.
type Room = (LinkAmounts, LinkAmounts);

#[component]
fn Taken(ours: Room, theirs: Option<Room>) -> impl IntoView {
    let cell = |room: &Room, part: fn(&LinkAmounts) -> LinkAmount| {
        let (limits, usage) = room;
        taken(part(usage), part(limits))
    };
    let row = |name: &'static str, part: fn(&LinkAmounts) -> LinkAmount| {
        let far = theirs
            .as_ref()
            .map_or_else(|| "unknown".to_owned(), |room| cell(room, part));
        view! {
            <tr><th scope="row">{name}</th><td>{cell(&ours, part)}</td><td>{far}</td></tr>
        }
    };
    view! {
        <div class="outlook-room">
            <table data-testid="outlook-room">
                <thead><tr>
                    <th scope="col">"Taken"</th>
                    <th scope="col">"here"</th>
                    <th scope="col">"at the peer"</th>
                </tr></thead>
                <tbody>
                    {row("Messages coming in", |all| all.messages)}
                    {row("Events coming in", |all| all.events)}
                    {row("Waiting to go out", |all| all.outbox)}
                </tbody>
            </table>
        </div>
    }
}
