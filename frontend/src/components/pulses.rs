//! Messages moving through the graph. Where no motion is wanted, edges and nodes only light up.

use std::time::Duration;

use leptos::prelude::*;

use crate::browser::{is_hidden, now as wall_clock, set_changed, ticks_ms, wants_no_motion};
use crate::components::topology::Graph;
use crate::store::use_store;
use crate::view::flow::{MAX_PULSES, Pulses as Flying, Spark};
use crate::view::kind::{Kind, Tone};
use crate::view::names::id_of;

const HOT_MS: f64 = 900.0;
const LIVE_MS: u64 = 10_000;
const COOLING: Duration = Duration::from_millis(300);

/// What is in flight, outside of the signals.
#[derive(Clone, Copy)]
struct Air {
    flying: StoredValue<Flying>,
    running: StoredValue<bool>,
    heat: StoredValue<Vec<(String, f64)>>,
}

/// The layer of moving dots.
#[component]
pub(crate) fn Pulses(graph: Graph) -> impl IntoView {
    let store = use_store();
    let sparks: Vec<RwSignal<Option<Spark>>> =
        (0..MAX_PULSES).map(|_| RwSignal::new(None)).collect();
    let air = Air {
        flying: StoredValue::new(Flying::default()),
        running: StoredValue::new(false),
        heat: StoredValue::new(Vec::new()),
    };
    let shown = StoredValue::new(sparks.clone());
    Effect::new(move |_| {
        store.frame.track();
        if is_hidden() {
            return;
        }
        let (now, clock, still) = (ticks_ms(), wall_clock(), wants_no_motion());
        store.with_fresh(|events| {
            graph.places.with_untracked(|places| {
                // What is replayed after a connection is not happening now.
                let live = events
                    .iter()
                    .filter(|event| clock.since(event.at) < LIVE_MS);
                for event in live {
                    let kind = Kind::parse(&event.kind);
                    let Some(path) = places.path(event) else {
                        continue;
                    };
                    let parties = [
                        event.from.as_deref().map(id_of),
                        event.to.as_deref().map(id_of),
                        event.peer.as_deref(),
                    ];
                    air.heat.update_value(|heat| {
                        heat.extend(
                            parties
                                .into_iter()
                                .flatten()
                                .map(|key| (key.to_owned(), now)),
                        );
                    });
                    if !still {
                        let tone = if kind == Kind::Received {
                            Tone::Good
                        } else {
                            kind.tone()
                        };
                        air.flying
                            .update_value(|flying| flying.start(path, tone, now));
                    }
                }
            });
        });
        cool(graph, air);
        if !air.running.get_value() && air.flying.with_value(|flying| !flying.is_still()) {
            air.running.set_value(true);
            request_animation_frame(move || fly(air, shown));
        }
    });
    let cooling = set_interval_with_handle(move || cool(graph, air), COOLING);
    on_cleanup(move || {
        if let Ok(cooling) = cooling {
            cooling.clear();
        }
    });
    view! { <g class="pulses" aria-hidden="true">{sparks.into_iter().map(dot).collect_view()}</g> }
}

fn dot(spark: RwSignal<Option<Spark>>) -> impl IntoView {
    let place = move || {
        spark.get().map_or_else(
            || "translate(-99,-99)".to_owned(),
            |spark| format!("translate({:.1},{:.1})", spark.at.x, spark.at.y),
        )
    };
    let tone = move || spark.get().map_or("calm", |spark| spark.tone.name());
    view! { <circle class="pulse" r="4.5" data-tone=tone transform=place/> }
}

/// Draws one frame of what is in flight and asks for the next.
fn fly(air: Air, shown: StoredValue<Vec<RwSignal<Option<Spark>>>>) {
    let Some(frame) = air
        .flying
        .try_update_value(|flying| flying.frame(ticks_ms()))
    else {
        return;
    };
    shown.with_value(|shown| {
        for (index, spark) in shown.iter().enumerate() {
            set_changed(*spark, frame.get(index).copied().flatten());
        }
    });
    let still = air.flying.with_value(Flying::is_still);
    air.running.set_value(!still);
    if !still {
        request_animation_frame(move || fly(air, shown));
    }
}

/// Drops what had no traffic for a while, and shows what is left.
fn cool(graph: Graph, air: Air) {
    let now = ticks_ms();
    let keys = air.heat.try_update_value(|heat| {
        heat.retain(|(_, since)| now - since < HOT_MS);
        let mut keys: Vec<String> = heat.iter().map(|(key, _)| key.clone()).collect();
        keys.sort();
        keys.dedup();
        keys
    });
    if let Some(keys) = keys {
        set_changed(graph.hot, keys);
    }
}
