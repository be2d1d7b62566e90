//! Whose mail this agent does not take: agents, networks, whole hosts.
//!
//! It is looked at where mail is opened, before anything of it is, so it holds for whatever is on its
//! way already, and for everything that travels as mail: tasks, shares, invitations, what is said
//! in groups.

mod routes;
mod store;

use std::cell::RefCell;
use std::rc::Rc;

use entente_lexicon::address::AgentRef;
use entente_lexicon::{Did, Host, Recipient, Timestamp};

use crate::agent::core::Core;
use crate::error::ApiError;
use crate::store::directory;
use crate::store::sqlite::{Sqlite, StoreError};
use store::BlockStore;

/// Blocks of one agent.
const MAX_BLOCKS: usize = 1_000;
/// What stands before a host that is meant as a whole.
const WHOLE_HOST: &str = "*@";

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    /// The DID of an agent or of a network, or `*@host`.
    who: String,
    /// The network that lived at a blocked host when it was blocked.
    network: Option<String>,
    silent: bool,
}

/// What keeps a message away.
pub(super) struct Blocked {
    who: String,
    /// The sender is told nothing.
    pub(super) silent: bool,
}

/// An agent's blocks while its object is awake.
pub(super) struct Blocks {
    store: BlockStore,
    list: RefCell<Option<Rc<[Block]>>>,
}

impl Blocks {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self {
            store: BlockStore::new(db),
            list: RefCell::new(None),
        }
    }

    fn list(&self) -> Result<Rc<[Block]>, StoreError> {
        if let Some(list) = &*self.list.borrow() {
            return Ok(Rc::clone(list));
        }
        let list: Rc<[Block]> = self.store.all()?.into();
        self.list.replace(Some(Rc::clone(&list)));
        Ok(list)
    }

    /// Returns what keeps mail of an agent away, if anything does; the network that carries it
    /// vouches for who it is. What names the agent itself comes before what names its network.
    pub(super) fn of(
        &self,
        agent: &Did,
        network: &Did,
        host: &Host,
    ) -> Result<Option<Blocked>, StoreError> {
        let list = self.list()?;
        Ok(find(&list, agent, network, host).map(|block| Blocked {
            who: block.who.clone(),
            silent: block.silent,
        }))
    }

    /// Counts a message that was kept away. Part of the delivery's transaction.
    pub(super) fn count(&self, by: &Blocked, now: Timestamp) -> Result<(), StoreError> {
        self.store.count(&by.who, now)
    }
}

fn find<'a>(list: &'a [Block], agent: &Did, network: &Did, host: &Host) -> Option<&'a Block> {
    let by_agent = list.iter().find(|block| block.who == agent.as_str());
    let is_its_host = |block: &&Block| {
        let named = block.who.strip_prefix(WHOLE_HOST);
        block.who == network.as_str()
            || named == Some(host.as_str())
            || block.network.as_deref() == Some(network.as_str())
    };
    by_agent.or_else(|| list.iter().find(is_its_host))
}

impl Core {
    /// Reads whom a path means, as a block knows it: an agent by its DID, whatever it was called by,
    /// since names and hosts can change.
    async fn whom(self: &Rc<Self>, named: &str) -> Result<Block, ApiError> {
        let malformed = |error: entente_lexicon::IdError| {
            ApiError::bad_request(
                "MALFORMED_ADDRESS",
                format!("An agent, its DID, either with `@host`, or `*@host`: {error}."),
            )
        };
        let block = |who: String, network: Option<String>| Block {
            who,
            network,
            silent: false,
        };
        if let Some(host) = named.strip_prefix(WHOLE_HOST) {
            let host = Host::parse(host).map_err(malformed)?;
            let me = self.identity()?;
            let network = if host == me.host {
                Some(me.network.clone())
            } else {
                let peer = directory::peer_at(&self.env, &host).await?;
                peer.map(|peer| peer.did)
            };
            let network = network.map(|did| did.to_string());
            return Ok(block(format!("{WHOLE_HOST}{host}"), network));
        }
        let recipient: Recipient = named.parse().map_err(malformed)?;
        let did = match &recipient.agent {
            AgentRef::Did(did) => did.clone(),
            AgentRef::Name(_) => self.contact_of(&recipient).await?.did.clone(),
        };
        Ok(block(did.to_string(), None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn did(letter: char) -> Did {
        Did::from_scid(&[u8::try_from(letter).unwrap(); 32])
    }

    fn block(who: &str, network: Option<&Did>, silent: bool) -> Block {
        Block {
            who: who.to_owned(),
            network: network.map(Did::to_string),
            silent,
        }
    }

    #[test]
    fn a_block_finds_an_agent_by_itself_its_network_or_its_host() {
        let (agent, network, other) = (did('a'), did('b'), did('c'));
        let host = Host::parse("beta.example").unwrap();
        let moved = Host::parse("moved.example").unwrap();
        for (list, hit) in [
            (vec![], false),
            (vec![block(agent.as_str(), None, false)], true),
            (vec![block(network.as_str(), None, false)], true),
            (vec![block(other.as_str(), None, false)], false),
            (vec![block("*@beta.example", None, false)], true),
            (vec![block("*@moved.example", None, false)], false),
            (vec![block("*@old.example", Some(&network), false)], true),
        ] {
            assert_eq!(
                find(&list, &agent, &network, &host).is_some(),
                hit,
                "{list:?}"
            );
        }
        // Who moves to another host is still who it was.
        let list = [block("*@beta.example", Some(&network), false)];
        assert!(find(&list, &agent, &network, &moved).is_some());
        let list = [
            block("*@beta.example", None, false),
            block(agent.as_str(), None, true),
        ];
        assert!(find(&list, &agent, &network, &host).unwrap().silent);
    }
}
