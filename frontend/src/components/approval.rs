//! Approving a peer by its fingerprint, which `verified` asks of both sides.

use entente_lexicon::api::{ApprovePeer, PeerView};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, trust};
use crate::components::fingerprint::Fingerprint;
use crate::components::peers::PeerBook;
use crate::components::problem::Problem;
use crate::store::use_store;
use crate::view::codes::explain;
use crate::view::trust::{Side, asks_for_approval, our_side, their_side};

/// How approval stands with a peer, where it matters.
#[component]
pub(crate) fn Approval(peer: Memo<Option<PeerView>>) -> impl IntoView {
    let wanted = Memo::new(move |_| peer.with(|peer| peer.as_ref().is_some_and(asks_for_approval)));
    view! {
        <Show when=move || wanted.get()><ApprovalCard peer/></Show>
    }
}

#[component]
fn ApprovalCard(peer: Memo<Option<PeerView>>) -> impl IntoView {
    let fingerprint = Memo::new(move |_| {
        peer.with(|peer| {
            peer.as_ref()
                .map(|peer| peer.fingerprint.clone())
                .unwrap_or_default()
        })
    });
    // The two approvals say themselves what is lacking; everything else is said by its code.
    let lacks = move || {
        peer.with(|peer| peer.as_ref().and_then(|p| p.trust.approval.lacks.clone()))
            .filter(|code| !matches!(code.as_str(), "APPROVAL_NEEDED" | "APPROVAL_AWAITED"))
    };
    view! {
        <div class="drawer approval" role="group" aria-label="Approval by fingerprint" data-testid="approval">
            <h3>"Approval by fingerprint"</h3>
            <Fingerprint text=fingerprint id="approval-fingerprint"/>
            <Sides peer/>
            {move || lacks().map(|code| view! {
                <p class="hint" data-testid="approval-lacks"><code>{code.clone()}</code>" "{explain(&code)}</p>
            })}
            <Approve peer fingerprint/>
        </div>
    }
}

#[component]
fn Sides(peer: Memo<Option<PeerView>>) -> impl IntoView {
    let store = use_store();
    let side = move |of: fn(&PeerView, entente_lexicon::Timestamp) -> Side| {
        let now = store.now.get();
        peer.with(|peer| peer.as_ref().map(|peer| of(peer, now)))
    };
    let row = move |id: &'static str, side: Option<Side>, who: AnyView| {
        side.map(|Side { holds, said }| {
            let mark = if holds { "✓" } else { "…" };
            view! {
                <li data-testid=id data-holds=holds.to_string()>
                    <span class="step-mark" aria-hidden="true">{mark}</span>
                    <span>{who}" "<span class="muted">{said}</span></span>
                </li>
            }
        })
    };
    let host = move || peer.with(|p| p.as_ref().map(|p| p.host.clone()).unwrap_or_default());
    view! {
        <ul class="approval-sides">
            {move || row("approval-ours", side(our_side), view! { <strong>"This network"</strong> }.into_any())}
            {move || row("approval-theirs", side(their_side), view! { <strong>{host()}</strong> }.into_any())}
        </ul>
    }
}

#[component]
fn Approve(peer: Memo<Option<PeerView>>, fingerprint: Memo<String>) -> impl IntoView {
    let store = use_store();
    let book = expect_context::<PeerBook>();
    let compared = RwSignal::new(false);
    let busy = RwSignal::new(false);
    let error = RwSignal::new(None::<Failure>);
    // Another fingerprint has to be compared again.
    Effect::new(move |_| {
        fingerprint.track();
        compared.set(false);
    });
    let approved = Memo::new(move |_| {
        peer.with(|p| {
            p.as_ref()
                .is_some_and(|p| p.trust.approval.ours_until.is_some())
        })
    });
    let act = move |approve: bool| {
        let Some(key) = store.key() else { return };
        let Some(did) = peer.with_untracked(|p| p.as_ref().map(|p| p.did.clone())) else {
            return;
        };
        let body = ApprovePeer {
            fingerprint: Some(fingerprint.get_untracked()),
            ..ApprovePeer::default()
        };
        busy.set(true);
        error.set(None);
        spawn_local(async move {
            let answer = if approve {
                trust::approve(&key, &did, &body).await
            } else {
                trust::withdraw(&key, &did).await
            };
            busy.try_set(false);
            match answer {
                Ok(_) => {
                    compared.try_set(false);
                    book.refresh().await;
                }
                Err(failure) => {
                    error.try_set(Some(failure));
                }
            }
        });
    };
    view! {
        <label class="check">
            <input type="checkbox" data-testid="approval-compared" prop:checked=move || compared.get()
                on:change=move |event| compared.set(event_target_checked(&event))/>
            "I compared this fingerprint with that network’s admin, by another way than this page."
        </label>
        <div class="form-end">
            <Show when=move || approved.get()>
                <button class="quiet" type="button" data-testid="approval-withdraw" disabled=busy
                    on:click=move |_| act(false)>"Withdraw"</button>
            </Show>
            <button class="primary" type="button" data-testid="approval-approve"
                disabled=move || busy.get() || !compared.get() on:click=move |_| act(true)>
                {move || if approved.get() { "Renew for 90 days" } else { "Approve for 90 days" }}
            </button>
        </div>
        <Problem failure=error id="approval-error"/>
    }
}
