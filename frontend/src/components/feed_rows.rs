//! The rows of the feed: a fixed number of slots that are rewritten, never inserted.
//!
//! One effect a frame decides which event each slot shows. A slot whose event stays in sight only
//! moves; inserting at the top of a keyed list would move every row's node instead.

use entente_lexicon::api::Event;
use leptos::prelude::*;

use crate::browser::{follow_width, offset_min, set_changed};
use crate::components::feed::Reading;
use crate::store::use_store;
use crate::view::feed::{assign, window};
use crate::view::format::{clock, duration};
use crate::view::kind::Kind;
use crate::view::names::Names;

const SLOTS: usize = 40;
/// Rows drawn above the first one in sight, so that scrolling shows no hole.
const OVERSCAN: usize = 6;
const ROW_PX: usize = 30;
/// Where it is narrow a row has two lines.
const TALL_ROW_PX: usize = 50;
const NARROW_PX: f64 = 440.0;

#[derive(Clone, Debug, PartialEq)]
struct Row {
    ordinal: u64,
    seq: u64,
    time: String,
    instant: String,
    kind: Kind,
    raw_kind: String,
    who: String,
    detail: String,
}

impl Row {
    fn new(ordinal: u64, event: &Event, names: &Names, offset_min: i32) -> Self {
        let kind = Kind::parse(&event.kind);
        let label = |party: &Option<String>| party.as_deref().map(|party| names.label(party));
        let who = match (label(&event.from), label(&event.to)) {
            (Some(from), Some(to)) => format!("{from} → {to}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => event.peer.clone().unwrap_or_default(),
        };
        let word = (kind == Kind::Other).then(|| event.kind.clone());
        let details = [
            word,
            event.code.clone(),
            event.latency_ms.map(duration),
            event.label.clone(),
            event.more.map(|more| format!("and {more} more")),
        ];
        let details: Vec<String> = details.into_iter().flatten().collect();
        Self {
            ordinal,
            seq: event.seq,
            time: clock(event.at, offset_min),
            instant: event.at.to_string(),
            kind,
            raw_kind: event.kind.clone(),
            who,
            detail: details.join(" · "),
        }
    }
}

#[derive(Clone, Copy)]
struct Slot {
    row: RwSignal<Option<Row>>,
    rank: RwSignal<usize>,
}

/// The scrolling list.
#[component]
pub(crate) fn FeedRows(reading: Reading) -> impl IntoView {
    let store = use_store();
    let width = follow_width(reading.scroller);
    let row_px = Memo::new(move |_| {
        let width = width.get();
        if width > 0.0 && width < NARROW_PX {
            TALL_ROW_PX
        } else {
            ROW_PX
        }
    });
    let scrolled = RwSignal::new(0usize);
    let total = RwSignal::new(0usize);
    let slots: Vec<Slot> = (0..SLOTS)
        .map(|_| Slot {
            row: RwSignal::new(None),
            rank: RwSignal::new(0),
        })
        .collect();
    fill(reading, slots.clone(), row_px, scrolled, total);
    let on_scroll = move |_| {
        let Some(scroller) = reading.scroller.get_untracked() else {
            return;
        };
        let top = usize::try_from(scroller.scroll_top()).unwrap_or(0);
        scrolled.set(top);
        let away = top > row_px.get_untracked() / 2;
        if away && reading.held.get_untracked().is_none() {
            reading
                .held
                .set(Some(store.with_model(|model| model.events.pushed())));
        } else if top == 0 && !reading.paused.get_untracked() {
            reading.held.set(None);
        }
    };
    let rows = slots
        .into_iter()
        .map(|slot| view! { <EventRow seat=slot row_px total/> });
    view! {
        <div class="rows" class:tall=move || { row_px.get() == TALL_ROW_PX } node_ref=reading.scroller
            tabindex="0" role="region" aria-label="Events, newest first" on:scroll=on_scroll>
            <ul style:height=move || format!("{}px", total.get() * row_px.get())
                hidden=move || { total.get() == 0 }>
                {rows.collect_view()}
            </ul>
            <Show when=move || { total.get() == 0 }>
                <p class="empty" data-testid="feed-empty">
                    {move || if store.filter.with(crate::view::feed::Filter::is_open) {
                        "No events yet. They appear here as agents write and links come up."
                    } else {
                        "No event matches. Clear the filter to see all."
                    }}
                </p>
            </Show>
        </div>
    }
}

/// Decides what each slot shows, after each frame with news and whenever the reader moves.
fn fill(
    reading: Reading,
    slots: Vec<Slot>,
    row_px: Memo<usize>,
    scrolled: RwSignal<usize>,
    total: RwSignal<usize>,
) {
    let store = use_store();
    let offset_min = offset_min();
    let held_rows = StoredValue::new(vec![None::<u64>; SLOTS]);
    let first_row = Memo::new(move |_| (scrolled.get() / row_px.get()).saturating_sub(OVERSCAN));
    // Names and generations that change rewrite all rows; anything else only the new ones.
    let known_names = StoredValue::new(Names::default());
    Effect::new(move |_| {
        store.frame.track();
        let names = store.names.get();
        let first = first_row.get();
        let held = reading.held.get();
        let rewrite = known_names.with_value(|known| *known != names);
        store.filter.with(|filter| {
            store.with_model(|model| {
                let seen = window(&model.events, filter, &names, held, first, SLOTS);
                set_changed(total, seen.total);
                set_changed(reading.newer, seen.newer);
                held_rows.update_value(|held_rows| assign(held_rows, &seen.rows));
                let assigned = held_rows.get_value();
                for (slot, ordinal) in slots.iter().zip(assigned) {
                    let place = ordinal.and_then(|o| seen.rows.iter().find(|row| row.1 == o));
                    let Some((rank, ordinal)) = place.copied() else {
                        set_changed(slot.row, None);
                        continue;
                    };
                    let event = model.events.at(ordinal);
                    let stays = slot.row.with_untracked(|row| {
                        row.as_ref().is_some_and(|row| {
                            row.ordinal == ordinal && event.is_some_and(|e| e.seq == row.seq)
                        })
                    });
                    if rewrite || !stays {
                        let row = event.map(|event| Row::new(ordinal, event, &names, offset_min));
                        set_changed(slot.row, row);
                    }
                    set_changed(slot.rank, rank);
                }
            });
        });
        if rewrite {
            known_names.set_value(names);
        }
    });
}

#[component]
fn EventRow(seat: Slot, row_px: Memo<usize>, total: RwSignal<usize>) -> impl IntoView {
    let text = move |field: fn(&Row) -> String| {
        seat.row
            .with(|row| row.as_ref().map(field).unwrap_or_default())
    };
    let kind = move || {
        seat.row
            .with(|row| row.as_ref().map_or(Kind::Other, |row| row.kind))
    };
    let place = move || format!("translateY({}px)", seat.rank.get() * row_px.get());
    // An empty slot is no row: tests and readers find only what is shown.
    let test_id = move || seat.row.with(|row| row.as_ref().map(|_| "event-row"));
    view! {
        <li class="event" hidden=move || seat.row.with(Option::is_none) style:transform=place
            data-testid=test_id data-kind=move || text(|row| row.raw_kind.clone())
            data-seq=move || text(|row| row.seq.to_string())
            aria-posinset=move || (seat.rank.get() + 1).to_string()
            aria-setsize=move || total.get().to_string()>
            <time datetime=move || text(|row| row.instant.clone())>{move || text(|row| row.time.clone())}</time>
            <span class="kind" data-tone=move || kind().tone().name()>
                <span class="glyph" aria-hidden="true">{move || kind().glyph()}</span>
                {move || kind().label()}
            </span>
            <span class="who" title=move || text(|row| row.who.clone())>{move || text(|row| row.who.clone())}</span>
            <span class="detail">{move || text(|row| row.detail.clone())}</span>
        </li>
    }
}
