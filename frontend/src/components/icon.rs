//! Inlined icons on a 16 by 16 grid, drawn in the colour of the text.

use leptos::prelude::*;

/// An icon. It says nothing to screen readers: words stand beside it.
#[component]
pub(crate) fn Icon(
    /// Which.
    name: &'static str,
) -> impl IntoView {
    let path = match name {
        "eye" => {
            "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8ZM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z"
        }
        "key" => "M9.7 9.3a3.5 3.5 0 1 0-3-3L2 11v3h3v-1.7h1.7v-1.7h1.7l1.3-1.3ZM11 5h.01",
        "pause" => "M5.5 3.5v9M10.5 3.5v9",
        "play" => "M4.5 3v10l8-5-8-5Z",
        "up" => "M8 13V3M3.5 7.5 8 3l4.5 4.5",
        "send" => "M14 2 7.3 8.7M14 2 9.8 14l-2.5-5.3L2 6.2 14 2Z",
        "reply" => "M6.5 4 2.5 8l4 4M3 8h6.5a4 4 0 0 1 4 4v.5",
        "close" => "M4 4l8 8M12 4l-8 8",
        "leave" => "M9.5 2.5h4v11h-4M10 8H2.5M5.5 5l-3 3 3 3",
        "lock" => "M4 7.5h8v6H4v-6ZM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
        _ => "M8 3v10M3 8h10",
    };
    view! {
        <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
            <path d=path/>
        </svg>
    }
}
