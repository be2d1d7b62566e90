//! The fields for what a peer may.

use entente_lexicon::TrustLevel;
use entente_lexicon::api::ChangePeer;
use leptos::prelude::*;

use crate::view::peer::level_sentence;

/// What is chosen for a peer.
#[derive(Clone, Copy)]
pub(crate) struct Policy {
    /// The level.
    pub(crate) level: RwSignal<TrustLevel>,
    /// The agents that may talk, as typed: DIDs between spaces, commas or line ends.
    pub(crate) allow: RwSignal<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            level: RwSignal::new(TrustLevel::Open),
            allow: RwSignal::new(String::new()),
        }
    }
}

impl Policy {
    /// Returns what is chosen as a change of a peer.
    pub(crate) fn change(self) -> ChangePeer {
        ChangePeer {
            trust_level: Some(self.level.get_untracked()),
            allow_agents: self.listed(),
            ..ChangePeer::default()
        }
    }

    /// Returns the listed agents, where the level asks for a list.
    pub(crate) fn listed(self) -> Option<Vec<String>> {
        let split = |text: &String| {
            text.split(|c: char| c.is_whitespace() || c == ',')
                .filter(|did| !did.is_empty())
                .map(str::to_owned)
                .collect()
        };
        asks_for_list(self.level.get_untracked()).then(|| self.allow.with_untracked(split))
    }
}

fn asks_for_list(level: TrustLevel) -> bool {
    match level {
        TrustLevel::Allowlist | TrustLevel::Verified => true,
        TrustLevel::Open | TrustLevel::Private => false,
    }
}

/// The fields. `name` keeps their ids apart; the test ids are the same everywhere.
#[component]
pub(crate) fn PolicyFields(policy: Policy, #[prop(into)] name: String) -> impl IntoView {
    let choose = move |event| {
        if let Ok(level) = event_target_value(&event).parse() {
            policy.level.set(level);
        }
    };
    let options = TrustLevel::ALL.map(|level| view! {
        <option value=level.as_str() selected=move || policy.level.get() == level>{level.as_str()}</option>
    });
    let (level_id, allow_id, hint_id) = (
        format!("{name}-level"),
        format!("{name}-allow"),
        format!("{name}-hint"),
    );
    let allow_for = allow_id.clone();
    view! {
        <div class="field">
            <label for=level_id.clone()>"Trust level"</label>
            <select id=level_id data-testid="peer-level" aria-describedby=hint_id.clone() on:change=choose>
                {options.collect_view()}
            </select>
            <p class="hint" id=hint_id>{move || level_sentence(policy.level.get())}</p>
        </div>
        <div class="field" hidden=move || !asks_for_list(policy.level.get())>
            <label for=allow_for>"Its agents that may talk, by DID"</label>
            <textarea id=allow_id rows="2" spellcheck="false" placeholder="did:cf:…" data-testid="peer-allow"
                prop:value=move || policy.allow.get()
                on:input=move |event| policy.allow.set(event_target_value(&event))></textarea>
        </div>
    }
}
