//! How failures are shown.

use leptos::prelude::*;

use crate::api::Failure;

/// A failure with its stable code, read out at once.
#[component]
pub(crate) fn Problem(
    /// The failure, while there is one.
    #[prop(into)]
    failure: Signal<Option<Failure>>,
    /// The test id.
    id: &'static str,
) -> impl IntoView {
    view! {
        {move || failure.get().map(|Failure { code, message, .. }| view! {
            <p class="problem" role="alert" data-testid=id data-code=code.clone()>
                <span>{message}</span>
                " "
                <code>{code.clone()}</code>
            </p>
        })}
    }
}
