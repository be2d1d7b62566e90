//! Who this network is: its fingerprint, and the button that rotates its keys.

use entente_lexicon::keys::IdentityView;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, http};
use crate::components::problem::Problem;
use crate::store::use_store;
use crate::view::format::ago;

/// The admin's view of the network's keys.
#[component]
pub(crate) fn IdentityPanel() -> impl IntoView {
    let store = use_store();
    let identity = RwSignal::new(None::<IdentityView>);
    let error = RwSignal::new(None::<Failure>);
    let asking = RwSignal::new(false);
    let turning = RwSignal::new(false);
    let take = move |answer: Result<IdentityView, Failure>| match answer {
        Ok(view) => {
            error.try_set(None);
            identity.try_set(Some(view));
        }
        Err(failure) => {
            error.try_set(Some(failure));
        }
    };
    Effect::new(move |_| {
        let Some(key) = store.key() else { return };
        spawn_local(async move { take(http::keys(&key).await) });
    });
    let rotate = move |_| {
        let Some(key) = store.key() else { return };
        if turning.get_untracked() {
            return;
        }
        turning.set(true);
        spawn_local(async move {
            let answer = http::rotate_keys(&key).await;
            if answer.is_ok() {
                store
                    .announcement
                    .set("This network has new keys.".to_owned());
            }
            turning.try_set(false);
            asking.try_set(false);
            take(answer);
        });
    };
    view! {
        <section class="panel identity" aria-labelledby="identity-title" data-testid="identity">
            <div class="panel-head"><h2 id="identity-title">"Identity"</h2></div>
            <Facts identity/>
            <Show when=move || asking.get() fallback=move || view! {
                <div class="form-end">
                    <span class="hint grow">"Peers compare the fingerprint with you by voice."</span>
                    <button class="quiet" type="button" data-testid="keys-rotate"
                        on:click=move |_| asking.set(true)>"Rotate keys"</button>
                </div>
            }>
                <div class="drawer" role="group" aria-label="Confirm the rotation">
                    <p>"The network gets new keys under the same DID. Peers follow by its identity log; nothing is lost. The
                        fingerprint changes."</p>
                    <div class="form-end">
                        <span class="grow"></span>
                        <button class="quiet" type="button" on:click=move |_| asking.set(false)>"Keep them"</button>
                        <button class="danger" type="button" data-testid="keys-rotate-confirm"
                            disabled=move || turning.get() on:click=rotate>"Rotate now"</button>
                    </div>
                </div>
            </Show>
            <Problem failure=error id="identity-error"/>
        </section>
    }
}

#[component]
fn Facts(identity: RwSignal<Option<IdentityView>>) -> impl IntoView {
    let store = use_store();
    let text = move |field: fn(&IdentityView) -> String| {
        identity.with(|identity| identity.as_ref().map(field))
    };
    let since = move || {
        identity.with(|identity| {
            identity
                .as_ref()
                .map(|identity| ago(identity.rotated_at, store.now.get()))
        })
    };
    view! {
        <dl class="facts">
            <div><dt>"Fingerprint"</dt><dd class="mono" data-testid="identity-fingerprint">{move || text(|view| view.fingerprint.clone())}</dd></div>
            <div><dt>"Rotations"</dt><dd data-testid="identity-seq">{move || text(|view| view.seq.to_string())}</dd></div>
            <div><dt>"Keys since"</dt><dd>{since}</dd></div>
        </dl>
    }
}
