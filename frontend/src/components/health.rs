//! The network's health in four numbers.

use entente_lexicon::api::Viewer;
use leptos::prelude::*;

use crate::store::use_store;
use crate::view::format::{count, duration};
use crate::view::health::sparkline;

const SPARK_WIDTH: f64 = 96.0;
const SPARK_HEIGHT: f64 = 28.0;

/// The network's health in four numbers.
#[component]
pub(crate) fn HealthPanel() -> impl IntoView {
    let store = use_store();
    let total = move || store.agents.with(Vec::len);
    let working = move || {
        store
            .agents
            .with(|agents| agents.iter().filter(|a| a.state == "working").count())
    };
    let median = move || {
        store
            .summary
            .with(|s| s.p50_ms)
            .map_or_else(|| "–".to_owned(), |ms| duration(ms.into()))
    };
    let tail = move || match store.summary.with(|s| s.p95_ms) {
        Some(ms) => format!("95 % within {}", duration(ms.into())),
        None if store.viewer.get() == Some(Viewer::Observer) => "told to the admin only".to_owned(),
        None => "nothing delivered in 5 min".to_owned(),
    };
    let refused = move || store.summary.with(|s| s.refused);
    view! {
        <section class="panel health" aria-label="Network health">
            <Figure label="Agents" id="health-agents" value=Signal::derive(move || count(total() as u64))
                note=Signal::derive(move || format!("{} working now", working()))/>
            <Figure label="Messages per minute" id="health-rate"
                value=Signal::derive(move || count(store.summary.with(|s| s.per_minute).into()))
                note=Signal::derive(|| "sent here, or from peers".to_owned())
                series=Signal::derive(move || store.summary.with(|s| s.messages.clone()))/>
            <Figure label="Median time to deliver" id="health-latency" value=Signal::derive(median)
                note=Signal::derive(tail)
                series=Signal::derive(move || store.summary.with(|s| s.latency.clone()))/>
            <Figure label="Refused" id="health-refused"
                value=Signal::derive(move || count(refused().into()))
                note=Signal::derive(|| "in 5 minutes".to_owned())
                alarming=Signal::derive(move || refused() > 0)/>
        </section>
    }
}

#[component]
fn Figure(
    label: &'static str,
    id: &'static str,
    value: Signal<String>,
    note: Signal<String>,
    #[prop(optional)] series: Option<Signal<Vec<u32>>>,
    #[prop(optional)] alarming: Option<Signal<bool>>,
) -> impl IntoView {
    let spark = series.map(|series| {
        let points = move || series.with(|series| sparkline(series, SPARK_WIDTH, SPARK_HEIGHT));
        let empty = move || series.with(|series| series.iter().all(|value| *value == 0));
        view! {
            <svg class="spark-line" class:empty=empty viewBox="0 0 96 28" width="96" height="28"
                preserveAspectRatio="none" aria-hidden="true" focusable="false">
                <polyline points=points/>
            </svg>
        }
    });
    view! {
        <div class="figure">
            <div>
                <div class="figure-label">{label}</div>
                <div class="figure-value" data-testid=id
                    class:bad=move || alarming.is_some_and(|alarming| alarming.get())>{value}</div>
                <div class="figure-note">{note}</div>
            </div>
            {spark}
        </div>
    }
}
