//! Why a link is frozen, and the way out.

use entente_lexicon::api::PeerView;
use entente_lexicon::keys::{FrozenLink, Unfreeze};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, http};
use crate::components::peers::PeerBook;
use crate::components::problem::Problem;
use crate::store::use_store;

/// Says why the link to a peer is frozen, if it is, and lets the admin decide.
#[component]
pub(crate) fn Frozen(peer: Memo<Option<PeerView>>) -> impl IntoView {
    let frozen = Memo::new(move |_| {
        peer.with(|peer| {
            let peer = peer.as_ref()?;
            Some((peer.did.clone(), peer.host.clone(), peer.frozen.clone()?))
        })
    });
    move || {
        frozen
            .get()
            .map(|(did, host, frozen)| view! { <Decision did host frozen/> })
    }
}

#[component]
fn Decision(did: String, host: String, frozen: FrozenLink) -> impl IntoView {
    let store = use_store();
    let book = expect_context::<PeerBook>();
    let known = frozen.known_fingerprint.clone();
    let trusted = RwSignal::new(String::new());
    let error = RwSignal::new(None::<Failure>);
    let id = format!("unfreeze-{did}");
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Some(key) = store.key() else { return };
        let did = did.clone();
        let body = Unfreeze {
            fingerprint: trusted.with_untracked(|text| text.trim().to_owned()),
        };
        error.set(None);
        spawn_local(async move {
            match http::unfreeze(&key, &did, &body).await {
                Ok(peer) => {
                    store
                        .announcement
                        .set(format!("The link to {} goes on.", peer.host));
                    book.refresh().await;
                }
                Err(failure) => {
                    error.try_set(Some(failure));
                }
            }
        });
    };
    view! {
        <form class="form drawer frozen" data-testid="peer-frozen" data-reason=frozen.reason.clone() on:submit=submit>
            <p>
                <strong>"Frozen: "</strong>
                "the keys of " {host} " changed in a way that its identity log does not prove ("
                {frozen.explanation.clone()} "). Nothing crosses this link; what waits is kept. Ask its admin, by another way
                than this one, which fingerprint is right."
            </p>
            <dl class="facts">
                <div><dt>"Known"</dt><dd class="mono" data-testid="frozen-known">{known}</dd></div>
                {frozen.served_fingerprint.clone().map(|served| view! {
                    <div><dt>"Served now"</dt><dd class="mono" data-testid="frozen-served">{served}</dd></div>
                })}
            </dl>
            <div class="field">
                <label for=id.clone()>"Fingerprint that its admin confirmed"</label>
                <input id=id type="text" class="mono" autocomplete="off" spellcheck="false" data-testid="unfreeze-fingerprint"
                    prop:value=move || trusted.get() on:input=move |event| trusted.set(event_target_value(&event))/>
            </div>
            <div class="form-end">
                <span class="hint grow">"Or remove the peer."</span>
                <button class="danger" type="submit" data-testid="unfreeze"
                    disabled=move || trusted.with(|text| text.trim().is_empty())>"Trust this key"</button>
            </div>
            <Problem failure=error id="unfreeze-error"/>
        </form>
    }
}
