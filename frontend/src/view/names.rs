//! Names for the DIDs that events and messages carry.

use std::collections::BTreeMap;

use entente_lexicon::api::AgentPresence;

use crate::view::format::short_id;

/// What this page has learnt about who is who.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    own_host: String,
    local: BTreeMap<String, String>,
    learnt: BTreeMap<String, String>,
}

/// Returns the id before `@host`, or the whole text where there is no host.
#[must_use]
pub fn id_of(party: &str) -> &str {
    party.rsplit_once('@').map_or(party, |(id, _)| id)
}

/// Returns the host of an address.
#[must_use]
pub fn host_of(party: &str) -> Option<&str> {
    party.rsplit_once('@').map(|(_, host)| host)
}

impl Names {
    /// Replaces what is known of this network's own agents.
    pub fn set_local(&mut self, own_host: &str, agents: &[AgentPresence]) {
        own_host.clone_into(&mut self.own_host);
        self.local = agents
            .iter()
            .filter_map(|agent| Some((agent.id.clone(), agent.name.clone()?)))
            .collect();
    }

    /// Remembers the name a person typed for an address that the network resolved.
    pub fn learn(&mut self, address: &str, typed: &str) {
        let name = id_of(typed);
        if !name.starts_with("did:") && id_of(address).starts_with("did:") {
            self.learnt
                .insert(id_of(address).to_owned(), name.to_owned());
        }
    }

    /// Returns the name of a DID, where one is known.
    #[must_use]
    pub fn name(&self, id: &str) -> Option<&str> {
        self.local
            .get(id)
            .or_else(|| self.learnt.get(id))
            .map(String::as_str)
    }

    /// Shows a party of an event: `alice`, `diana@host`, `k3f9ab…wxyz@host`.
    #[must_use]
    pub fn label(&self, party: &str) -> String {
        let id = id_of(party);
        let name = self.name(id).map_or_else(|| short_id(id), str::to_owned);
        match host_of(party) {
            Some(host) if host != self.own_host => format!("{name}@{host}"),
            Some(_) | None => name,
        }
    }

    /// Returns an address a person can read and the network can resolve: a name where one is
    /// known, the DID otherwise, at its host unless that is our own.
    #[must_use]
    pub fn writable(&self, party: &str) -> String {
        let id = id_of(party);
        let name = self.name(id).unwrap_or(id);
        match host_of(party) {
            Some(host) if host != self.own_host => format!("{name}@{host}"),
            Some(_) | None => name.to_owned(),
        }
    }

    /// Returns the names learnt by sending, with their DIDs.
    pub fn learnt(&self) -> impl Iterator<Item = (&str, &str)> {
        self.learnt
            .iter()
            .map(|(did, name)| (did.as_str(), name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::fixture::presence;

    #[test]
    fn parties_are_named_where_possible() {
        let did = format!("did:cf:{}", "d".repeat(52));
        let mut names = Names::default();
        names.set_local("a.example", &[presence("did:cf:1", Some("alice"))]);
        assert_eq!(names.label("did:cf:1@a.example"), "alice");
        assert_eq!(names.label("did:cf:1@b.example"), "alice@b.example");
        assert_eq!(names.label("agent-77"), "agent-77");
        let address = format!("{did}@b.example");
        assert_eq!(names.label(&address), "dddddd…dddd@b.example");
        assert_eq!(names.writable(&address), address);
        names.learn(&address, "diana@b.example");
        assert_eq!(names.label(&address), "diana@b.example");
        assert_eq!(names.writable(&address), "diana@b.example");
        names.learn(&address, &did);
        assert_eq!(names.name(&did), Some("diana"));
    }
}
