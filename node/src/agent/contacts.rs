//! Whom this agent knows: other agents' cards, verified once and pinned.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use entente_lexicon::address::AgentRef;
use entente_lexicon::{AgentName, Did, Host, Recipient};
use entente_trust::crypto::sign::VerifyingKey;
use entente_trust::identity::PublicKeys;
use entente_well_known::card::CardBody;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};

use crate::agent::core::Core;
use crate::error::ApiError;
use crate::internal;
use crate::store::d1::Directory;
use crate::store::directory;

/// Contacts kept parsed in memory; all of them are in SQLite.
const MAX_PARSED: usize = 512;

/// Another agent, ready to be written to or heard from.
pub(super) struct Contact {
    pub(super) did: Did,
    /// Its name on its network.
    pub(super) name: AgentName,
    /// Its network.
    pub(super) network: Did,
    /// Its network's host.
    pub(super) host: Host,
    pub(super) route: Route,
    pub(super) signing: VerifyingKey,
    /// The index of the next message to it.
    pub(super) next_index: Cell<u64>,
}

/// How messages reach a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// It lives on our network, in this object.
    Local {
        /// The object's id.
        object: String,
    },
    /// Through the link to its network.
    Link,
}

/// What is known and parsed.
#[derive(Default)]
pub(super) struct Contacts {
    by_did: RefCell<BTreeMap<Did, Rc<Contact>>>,
    by_text: RefCell<BTreeMap<String, Did>>,
    lookups: RefCell<BTreeMap<String, Lookup>>,
}

/// A recipient being looked up.
type Lookup = Shared<LocalBoxFuture<'static, Result<Rc<Contact>, ApiError>>>;

impl Contacts {
    pub(super) fn by_text(&self, recipient: &Recipient) -> Option<Rc<Contact>> {
        let did = self.by_text.borrow().get(&recipient.to_string()).cloned()?;
        self.by_did(&did)
    }

    fn by_did(&self, did: &Did) -> Option<Rc<Contact>> {
        self.by_did.borrow().get(did).cloned()
    }

    fn keep(&self, contact: &Rc<Contact>) {
        let mut by_did = self.by_did.borrow_mut();
        if by_did.len() >= MAX_PARSED {
            by_did.clear();
            self.by_text.borrow_mut().clear();
        }
        by_did.insert(contact.did.clone(), Rc::clone(contact));
    }

    fn alias(&self, recipient: &Recipient, contact: &Contact) {
        self.by_text
            .borrow_mut()
            .insert(recipient.to_string(), contact.did.clone());
    }

    /// Forgets what is parsed, so that the next use asks the directory again.
    pub(super) fn forget(&self, did: &Did) {
        self.by_did.borrow_mut().remove(did);
        self.by_text.borrow_mut().retain(|_, known| known != did);
    }

    /// Returns where an agent that is in memory lives.
    pub(super) fn host_of(&self, did: &Did) -> Option<Host> {
        self.by_did(did).map(|contact| contact.host.clone())
    }
}

impl Core {
    /// Finds the recipient of a message. Whoever asks for one that is being looked up waits for
    /// the same answer, so that messages sent one after another stay so.
    pub(super) async fn contact_of(
        self: &Rc<Self>,
        recipient: &Recipient,
    ) -> Result<Rc<Contact>, ApiError> {
        if let Some(known) = self.contacts.by_text(recipient) {
            return Ok(known);
        }
        let text = recipient.to_string();
        let under_way = self.contacts.lookups.borrow().get(&text).cloned();
        let lookup = under_way.unwrap_or_else(|| {
            let (core, recipient) = (Rc::clone(self), recipient.clone());
            let lookup = async move { core.look_up(&recipient).await };
            let lookup = lookup.boxed_local().shared();
            let mut lookups = self.contacts.lookups.borrow_mut();
            lookups.insert(text.clone(), lookup.clone());
            lookup
        });
        let outcome = lookup.await;
        self.contacts.lookups.borrow_mut().remove(&text);
        outcome
    }

    async fn look_up(self: &Rc<Self>, recipient: &Recipient) -> Result<Rc<Contact>, ApiError> {
        let me = self.identity()?;
        let contact = match &recipient.host {
            Some(host) if *host != me.host => self.remote_contact(&recipient.agent, host).await?,
            Some(_) | None => self.our_contact(&recipient.agent).await?,
        };
        self.contacts.alias(recipient, &contact);
        Ok(contact)
    }

    /// Finds an agent that a network vouches for: the peer `network` at `host`, or our own.
    pub(super) async fn contact_at(
        self: &Rc<Self>,
        did: &Did,
        network: &Did,
        host: &Host,
    ) -> Result<Rc<Contact>, ApiError> {
        if let Some(known) = self.contacts.by_did(did) {
            return Ok(known);
        }
        if *network == self.identity()?.network {
            return self.local_contact(did).await;
        }
        if let Some(pinned) = self.pinned(did)? {
            return Ok(pinned);
        }
        self.fetch_card(did.as_str(), network, host).await
    }

    /// Tells whether an agent is known without asking anybody.
    pub(super) fn is_at_hand(&self, did: &Did) -> bool {
        self.contacts.by_did(did).is_some() || matches!(self.store.contact(did), Ok(Some(_)))
    }

    /// Finds an agent of our own network by DID.
    pub(super) async fn local_contact(self: &Rc<Self>, did: &Did) -> Result<Rc<Contact>, ApiError> {
        if let Some(known) = self.contacts.by_did(did) {
            return Ok(known);
        }
        self.our_contact(&AgentRef::Did(did.clone())).await
    }

    async fn our_contact(self: &Rc<Self>, agent: &AgentRef) -> Result<Rc<Contact>, ApiError> {
        let me = self.identity()?;
        let row = directory::active_agent(&self.env, agent)
            .await?
            .ok_or_else(|| {
                ApiError::not_found(
                    "UNKNOWN_AGENT",
                    format!(
                        "This network has no agent {}: for an agent elsewhere write …@host.",
                        agent.as_str()
                    ),
                )
            })?;
        if let Some(known) = row.did.as_ref().and_then(|did| self.contacts.by_did(did)) {
            return Ok(known);
        }
        let card = Directory::open(&self.env)?
            .card(&row.object_id)
            .await?
            .ok_or_else(|| ApiError::internal("an active agent has no card"))?;
        let route = Route::Local {
            object: row.object_id,
        };
        self.pin(&card, &me.network, &me.host, route)
    }

    async fn remote_contact(
        self: &Rc<Self>,
        agent: &AgentRef,
        host: &Host,
    ) -> Result<Rc<Contact>, ApiError> {
        let peer = directory::peer_at(&self.env, host)
            .await?
            .ok_or_else(|| not_peered(host))?;
        self.fetch_card(agent.as_str(), &peer.did, host).await
    }

    /// Asks the link to the agent's network for its card.
    async fn fetch_card(
        self: &Rc<Self>,
        agent: &str,
        network: &Did,
        host: &Host,
    ) -> Result<Rc<Contact>, ApiError> {
        let stub = internal::link(&self.env, network)?;
        let request = internal::new_request_id();
        let card: serde_json::Value =
            internal::get(&stub, &format!("/resolve?agent={agent}"), &request).await?;
        self.pin(&card.to_string(), network, host, Route::Link)
    }

    fn pinned(&self, did: &Did) -> Result<Option<Rc<Contact>>, ApiError> {
        let Some(row) = self.store.contact(did)? else {
            return Ok(None);
        };
        let network = Did::parse(&row.network).map_err(ApiError::internal)?;
        let host = Host::parse(&row.host).map_err(ApiError::internal)?;
        if network == self.identity()?.network {
            return Ok(None);
        }
        self.parse(&row.card, &network, &host, Route::Link, row.next_index)
            .map(Some)
    }

    /// Writes a contact down. Its DID commits to its keys, so what was pinned cannot be replaced
    /// by other keys under the same DID.
    fn pin(
        &self,
        card: &str,
        network: &Did,
        host: &Host,
        route: Route,
    ) -> Result<Rc<Contact>, ApiError> {
        let contact = self.parse(card, network, host, route, 0)?;
        if let Some(known) = self.store.contact(&contact.did)? {
            contact.next_index.set(known.next_index);
        }
        self.store
            .pin_contact(&contact.did, network, host, card, internal::now())?;
        Ok(contact)
    }

    /// Reads a card that our directory or the link vouched for, and checks what anybody can: that
    /// the DID is made of these keys.
    fn parse(
        &self,
        card: &str,
        network: &Did,
        host: &Host,
        route: Route,
        next_index: u64,
    ) -> Result<Rc<Contact>, ApiError> {
        let card: CardBody = serde_json::from_str(card).map_err(bad_card)?;
        let proven = card.log0.verify().map_err(bad_card)?;
        if proven != card.did || !card.log0.keys().commit_to(&card.keys) {
            return Err(bad_card("its DID is not made of its keys"));
        }
        let keys = PublicKeys::parse(&card.keys).map_err(bad_card)?;
        let contact = Rc::new(Contact {
            did: card.did,
            name: card.name,
            network: network.clone(),
            host: host.clone(),
            route,
            signing: keys.signing,
            next_index: Cell::new(next_index),
        });
        self.contacts.keep(&contact);
        Ok(contact)
    }
}

pub(super) fn not_peered(host: &Host) -> ApiError {
    ApiError::new(
        422,
        "NOT_PEERED",
        format!(
            "{host} is not a peer of this network: an admin can add it with POST /admin/federation/peers."
        ),
    )
}

fn bad_card(error: impl std::fmt::Display) -> ApiError {
    ApiError::new(
        502,
        "CARD_INVALID",
        format!("The recipient's card cannot be used: {error}."),
    )
}
