//! What a change of a peer would do, before it is made.

use entente_lexicon::api::{Preview, PreviewExample};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, trust};
use crate::browser::sleep;
use crate::components::peer_form::Policy;
use crate::components::problem::Problem;
use crate::store::use_store;
use crate::view::codes::explain;
use crate::view::format::count;
use crate::view::trust::{arrow, parts, reason, stops, verdict};

/// Typing is over when nothing was typed for so long.
const CALM_MS: u64 = 250;
/// Examples that are shown of each sort.
const MAX_EXAMPLES: usize = 3;

/// Follows what is chosen and shows what it would do. `asking` is true while that is not known.
#[component]
pub(crate) fn PreviewBox(did: String, policy: Policy, asking: RwSignal<bool>) -> impl IntoView {
    let store = use_store();
    let shown = RwSignal::new(None::<Preview>);
    let error = RwSignal::new(None::<Failure>);
    let latest = StoredValue::new(0u64);
    let first = policy.change();
    Effect::new(move |_| {
        policy.level.track();
        policy.allow.track();
        latest.update_value(|turn| *turn += 1);
        let turn = latest.get_value();
        let body = policy.change();
        let Some(key) = store.key() else { return };
        if body == first {
            asking.set(false);
            shown.set(None);
            error.set(None);
            return;
        }
        asking.set(true);
        let did = did.clone();
        spawn_local(async move {
            sleep(CALM_MS).await;
            if latest.try_get_value() != Some(turn) {
                return;
            }
            let answer = trust::preview(&key, &did, &body).await;
            if latest.try_get_value() != Some(turn) {
                return;
            }
            asking.try_set(false);
            let (found, failure) = match answer {
                Ok(found) => (Some(found), None),
                Err(failure) => (None, Some(failure)),
            };
            shown.try_set(found);
            error.try_set(failure);
        });
    });
    view! {
        <div class="preview" aria-live="polite" aria-busy=move || asking.get().to_string()>
            {move || shown.get().map(|preview| view! { <Shown preview/> })}
            <Show when=move || asking.get() && shown.with(Option::is_none)>
                <p class="hint">"Asking what would change…"</p>
            </Show>
        </div>
        <Problem failure=error id="preview-error"/>
    }
}

#[component]
fn Shown(preview: Preview) -> impl IntoView {
    let link = preview.link.clone();
    let turns = link.before != link.after;
    let why = (link.after != "pass").then(|| {
        let text = explain(&link.after);
        view! { <p class="hint"><code>{link.after.clone()}</code>" "{text}</p> }
    });
    let rows = parts(&preview)
        .map(|(id, name, group)| {
            let (stops, starts) = (group.stops, group.starts);
            let lost = if stops == 0 { "–".to_owned() } else { format!("−{}", count(stops)) };
            let won = if starts == 0 { "–".to_owned() } else { format!("+{}", count(starts)) };
            view! {
                <tr data-testid="preview-row" data-group=id data-stops=stops.to_string() data-starts=starts.to_string()
                    data-before=group.pass_before.to_string() data-after=group.pass_after.to_string()>
                    <th scope="row">{name}</th>
                    <td class="num">{count(group.pass_before)}</td>
                    <td class="num">{count(group.pass_after)}</td>
                    <td class="num" class:bad=stops != 0>{lost}</td>
                    <td class="num" class:good=starts != 0>{won}</td>
                </tr>
            }
        })
        .collect_view();
    let examples: Vec<_> = parts(&preview)
        .into_iter()
        .flat_map(|(_, name, group)| {
            let some = group.examples.iter().take(MAX_EXAMPLES);
            some.map(move |example| (name, example.clone()))
        })
        .collect();
    let listed = !examples.is_empty();
    let examples = examples
        .into_iter()
        .map(|(name, example)| view! { <Example name example/> })
        .collect_view();
    view! {
        <div class="preview-card" data-testid="preview" data-link=link.after>
            <h3>"What this would change"</h3>
            <p class="preview-verdict" class:bad=turns && why.is_some()>{verdict(&preview)}</p>
            {why}
            <table>
                <thead><tr>
                    <th scope="col"><span class="sr-only">"What"</span></th>
                    <th scope="col" class="num">"now"</th>
                    <th scope="col" class="num">"then"</th>
                    <th scope="col" class="num">"stop"</th>
                    <th scope="col" class="num">"start"</th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table>
            {listed.then(|| view! { <ul class="preview-examples">{examples}</ul> })}
        </div>
    }
}

#[component]
fn Example(name: &'static str, example: PreviewExample) -> impl IntoView {
    let store = use_store();
    let label = move |did: String| move || store.names.with(|names| names.label(&did));
    let stopping = stops(&example.turn);
    let code = reason(&example.turn).to_owned();
    let arrow = arrow(&example);
    let ours = example.ours.clone().map(label);
    // What is no agent's is a collection of public events, and has its whole name.
    let theirs = match &example.ours {
        Some(_) => label(example.theirs.clone()).into_any(),
        None => example.theirs.clone().into_any(),
    };
    let (tone, word) = if stopping {
        ("bad", "stops")
    } else {
        ("good", "starts")
    };
    let hint = explain(&code);
    view! {
        <li data-testid="preview-example" data-direction=example.direction data-theirs=example.theirs
            data-before=example.turn.before data-after=example.turn.after>
            <span class=format!("preview-what {tone}")>{word}</span>
            <span class="link-route">{ours}" "{arrow}" "{theirs}</span>
            <span class="muted">{name}", "<code title=hint>{code}</code></span>
        </li>
    }
}
