//! A fingerprint as it is read out over the telephone.

use leptos::prelude::*;

use crate::view::trust::groups;

/// A fingerprint in groups of four, large enough to compare.
#[component]
pub(crate) fn Fingerprint(
    /// The fingerprint as the network writes it.
    #[prop(into)]
    text: Signal<String>,
    /// The test id.
    id: &'static str,
) -> impl IntoView {
    let parts = move || {
        text.with(|text| groups(text))
            .into_iter()
            .map(|group| view! { <span>{group}" "</span> })
            .collect_view()
    };
    view! {
        <p class="fingerprint mono" data-testid=id data-fingerprint=move || text.get()>{parts}</p>
    }
}
