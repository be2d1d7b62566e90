//! The clock, entropy, timers and sizes: what the page asks the browser for.

use std::time::Duration;

use entente_lexicon::Timestamp;
use futures::channel::oneshot;
use futures::future::{Either, select};
use leptos::html::{Div, ElementType};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

/// Reads the wall clock.
pub(crate) fn now() -> Timestamp {
    Timestamp(js_sys::Date::now() as u64)
}

/// Reads a clock that only goes forward, in milliseconds.
pub(crate) fn ticks_ms() -> f64 {
    window()
        .performance()
        .map_or_else(js_sys::Date::now, |clock| clock.now())
}

/// Returns how many minutes local time is ahead of UTC.
pub(crate) fn offset_min() -> i32 {
    -(js_sys::Date::new_0().get_timezone_offset() as i32)
}

/// Draws 16 bytes of entropy and writes them in hexadecimal.
pub(crate) fn random_id() -> String {
    let mut bytes = [0u8; 16];
    let drawn = window()
        .crypto()
        .and_then(|crypto| crypto.get_random_values_with_u8_array(&mut bytes));
    if drawn.is_err() {
        return format!("{}-{}", now().0, js_sys::Math::random());
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Tells whether the browser believes it has a network.
pub(crate) fn is_online() -> bool {
    window().navigator().on_line()
}

/// Tells whether the page is out of sight.
pub(crate) fn is_hidden() -> bool {
    document().hidden()
}

/// Tells whether the reader wants no motion.
pub(crate) fn wants_no_motion() -> bool {
    window()
        .match_media("(prefers-reduced-motion: reduce)")
        .ok()
        .flatten()
        .is_some_and(|query| query.matches())
}

/// Moves the focus to the element with this id.
pub(crate) fn focus(id: &str) {
    let element = document()
        .get_element_by_id(id)
        .and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(element) = element {
        let _ = element.focus();
    }
}

/// Waits.
pub(crate) async fn sleep(millis: u64) {
    let (done, waiting) = oneshot::channel();
    set_timeout(
        move || {
            let _ = done.send(());
        },
        Duration::from_millis(millis),
    );
    let _ = waiting.await;
}

/// Awaits `work` for at most `millis`; returns nothing if it takes longer.
pub(crate) async fn within<F: Future + Unpin>(millis: u64, work: F) -> Option<F::Output> {
    let timer = Box::pin(sleep(millis));
    match select(work, timer).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

/// Does something again and again while the page is in sight, until the owner goes.
pub(crate) fn poll(period: Duration, work: impl Fn() + 'static) {
    let polling = set_interval_with_handle(
        move || {
            if !is_hidden() {
                work();
            }
        },
        period,
    );
    on_cleanup(move || {
        if let Ok(polling) = polling {
            polling.clear();
        }
    });
}

/// Sets a signal unless it holds that value already, so that nothing is drawn for nothing.
pub(crate) fn set_changed<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.with_untracked(|old| *old != value) {
        signal.set(value);
    }
}

/// Follows the width of an element in CSS pixels; 0 until it is laid out.
pub(crate) fn follow_width(element: NodeRef<Div>) -> ReadSignal<f64>
where
    Div: ElementType,
{
    let (width, set_width) = signal(0.0);
    Effect::new(move |_| {
        let Some(element) = element.get() else {
            return;
        };
        let seen = Closure::<dyn FnMut(js_sys::Array)>::new(move |entries: js_sys::Array| {
            let entry = entries.get(0).dyn_into::<web_sys::ResizeObserverEntry>();
            if let Ok(entry) = entry {
                let next = entry.content_rect().width().floor();
                if (width.get_untracked() - next).abs() >= 1.0 {
                    set_width.set(next);
                }
            }
        });
        if let Ok(observer) = web_sys::ResizeObserver::new(seen.as_ref().unchecked_ref()) {
            observer.observe(&element);
        }
        // The panels stay for as long as the page does.
        seen.forget();
    });
    width
}
