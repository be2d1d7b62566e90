//! Recipients to offer while one is typed.

use std::str::FromStr;

use entente_lexicon::Recipient;

/// Recipients offered at most.
const MAX_SUGGESTIONS: usize = 8;

/// One recipient to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// What goes into the field.
    pub value: String,
    /// What it is.
    pub hint: &'static str,
}

/// What is known of possible recipients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Names of this network's agents.
    pub local: Vec<String>,
    /// Addresses met in conversations, the likeliest first.
    pub met: Vec<String>,
    /// Hosts of peers.
    pub hosts: Vec<String>,
}

/// Offers recipients for what is typed so far, without the sender itself.
#[must_use]
pub fn suggest(typed: &str, sender: &str, known: &Known) -> Vec<Suggestion> {
    let typed = typed.trim();
    let offer = |value: &String, hint| Suggestion {
        value: value.clone(),
        hint,
    };
    let mut out: Vec<Suggestion> = Vec::new();
    let agents = known.local.iter().filter(|name| *name != sender);
    out.extend(agents.map(|name| offer(name, "on this network")));
    out.extend(
        known
            .met
            .iter()
            .map(|address| offer(address, "in this conversation")),
    );
    out.retain(|suggestion| suggestion.value.contains(typed));
    let (name, host) = typed.split_once('@').unwrap_or((typed, ""));
    if !name.is_empty() {
        let hosts = known.hosts.iter().filter(|known| known.starts_with(host));
        out.extend(hosts.map(|host| offer(&format!("{name}@{host}"), "at a peer")));
    }
    let mut seen = Vec::new();
    out.retain(|suggestion| {
        let new = !seen.contains(&suggestion.value);
        seen.push(suggestion.value.clone());
        new && suggestion.value != typed
    });
    out.truncate(MAX_SUGGESTIONS);
    out
}

/// Returns what is wrong with a recipient, or nothing where it can be sent to.
#[must_use]
pub fn fault(typed: &str) -> Option<String> {
    Recipient::from_str(typed.trim()).err().map(|error| {
        let mut text = error.to_string();
        if let Some(first) = text.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known {
            local: vec!["alice".to_owned(), "bob".to_owned()],
            met: vec!["diana@b.example".to_owned()],
            hosts: vec!["b.example".to_owned(), "c.example".to_owned()],
        }
    }

    fn values(typed: &str) -> Vec<String> {
        suggest(typed, "alice", &known())
            .into_iter()
            .map(|s| s.value)
            .collect()
    }

    #[test]
    fn known_agents_come_first_and_the_sender_never() {
        assert_eq!(values(""), ["bob", "diana@b.example"]);
        assert_eq!(
            values("b"),
            ["bob", "diana@b.example", "b@b.example", "b@c.example"]
        );
    }

    #[test]
    fn a_name_is_offered_at_every_peer() {
        assert_eq!(values("eve"), ["eve@b.example", "eve@c.example"]);
        assert_eq!(values("eve@c"), ["eve@c.example"]);
        assert_eq!(values("diana@"), ["diana@b.example", "diana@c.example"]);
        assert!(values("eve@c.example").is_empty());
    }

    #[test]
    fn a_malformed_recipient_is_explained() {
        assert_eq!(fault("diana@b.example"), None);
        assert!(fault("Diana!").unwrap().starts_with("A name is a label"));
    }
}
