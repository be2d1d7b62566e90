//! Which networks there are, where they listen and who lives on them.

/// Greek letters: more than anyone starts on one machine.
const NAMES: [&str; 16] = [
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "omicron", "pi",
];

/// The demo agents of each network, in the order of `NAMES`.
const AGENTS: [&[&str]; 16] = [
    &["alice", "bob", "charlie"],
    &["diana", "eve"],
    &["frank"],
    &["grace"],
    &["heidi"],
    &["ivan"],
    &["judy"],
    &["karl"],
    &["laura"],
    &["mallory"],
    &["niaj"],
    &["olivia"],
    &["peggy"],
    &["quentin"],
    &["rupert"],
    &["sybil"],
];

/// One network to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    /// `alpha`.
    pub(crate) name: &'static str,
    /// The port it listens on at 127.0.0.1.
    pub(crate) port: u16,
    /// The names of its demo agents.
    pub(crate) agents: &'static [&'static str],
}

impl Network {
    /// The host by which it names itself and by which others reach it.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Its origin.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.host())
    }
}

/// The first `count` networks (at most 16), the k-th on `port` + k.
pub(crate) fn networks(count: u16, port: u16) -> Vec<Network> {
    NAMES
        .iter()
        .zip(AGENTS)
        .zip(1..=count)
        .map(|((name, agents), k)| Network {
            name,
            port: port.saturating_add(k),
            agents,
        })
        .collect()
}

/// All hosts, as the variable `DEV_PEER_HOSTS` lists them.
pub(crate) fn dev_peer_hosts(networks: &[Network]) -> String {
    let hosts: Vec<_> = networks.iter().map(Network::host).collect();
    hosts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_networks_are_the_ones_in_the_documentation() {
        let networks = networks(3, 8700);
        let found: Vec<_> = networks
            .iter()
            .map(|n| (n.name, n.port, n.agents.len()))
            .collect();
        assert_eq!(
            found,
            [("alpha", 8701, 3), ("beta", 8702, 2), ("gamma", 8703, 1)]
        );
        assert_eq!(
            dev_peer_hosts(&networks),
            "localhost:8701,localhost:8702,localhost:8703"
        );
    }

    #[test]
    fn no_name_is_used_twice() {
        let mut names: Vec<_> = networks(16, 8700)
            .iter()
            .flat_map(|n| n.agents.iter().copied().chain([n.name]))
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
