//! Whom this agent knows: other agents' cards, verified once and pinned.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use entente_lexicon::address::AgentRef;
use entente_lexicon::{AgentName, Did, Host, Recipient, Timestamp};
use entente_trust::crypto::kem::KemPublic;
use entente_trust::crypto::sign::VerifyingKey;
use entente_trust::identity::Log;
use entente_well_known::VerifiedCard;
use entente_well_known::card::{self, CardBody};
use entente_well_known::document::RetiredKey;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use crate::agent::core::Core;
use crate::error::ApiError;
use crate::internal;
use crate::shapes::Resolved;
use crate::store::d1::Directory;
use crate::store::directory;

/// A contact that was not asked for so long is asked for again, beside the mail to it.
const FRESH_MS: u64 = 10 * 60 * 1000;
/// A contact is not asked for more often than this because its mail does not verify.
pub(super) const REFRESH_SPACING_MS: u64 = 2_000;
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
    /// Its current signing key.
    pub(super) signing: VerifyingKey,
    /// The key that records are shared with it by.
    pub(super) hybrid: KemPublic,
    /// The signing keys before that, the newest first.
    pub(super) retired: Vec<RetiredKey>,
    /// When its card was last asked for.
    pub(super) checked_at: Cell<Timestamp>,
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
            self.refresh_beside(&known);
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
        self.fetch_card(did.as_str(), network, host, false).await
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
        self.local_card(row.object_id, &me.network, &me.host).await
    }

    async fn local_card(
        &self,
        object: String,
        network: &Did,
        host: &Host,
    ) -> Result<Rc<Contact>, ApiError> {
        let paper = Directory::open(&self.env)?
            .card(&object)
            .await?
            .ok_or_else(|| ApiError::internal("an active agent has no card"))?;
        self.pin(&paper, network, host, Route::Local { object })
    }

    /// Asks for a contact's card again, since it may have new keys.
    pub(super) async fn refresh(&self, contact: &Contact) -> Result<Rc<Contact>, ApiError> {
        contact.checked_at.set(internal::now());
        match &contact.route {
            Route::Local { object } => {
                let object = object.clone();
                self.local_card(object, &contact.network, &contact.host)
                    .await
            }
            Route::Link => {
                let did = contact.did.as_str();
                self.fetch_card(did, &contact.network, &contact.host, true)
                    .await
            }
        }
    }

    /// Refreshes a contact that was not asked for lately, while what is known of it is used.
    fn refresh_beside(self: &Rc<Self>, contact: &Rc<Contact>) {
        if internal::now().since(contact.checked_at.get()) < FRESH_MS {
            return;
        }
        contact.checked_at.set(internal::now());
        let (core, contact) = (Rc::clone(self), Rc::clone(contact));
        spawn_local(async move {
            if let Err(error) = core.refresh(&contact).await {
                console_warn!("a contact's card could not be asked for again: {error}");
            }
        });
    }

    async fn remote_contact(
        self: &Rc<Self>,
        agent: &AgentRef,
        host: &Host,
    ) -> Result<Rc<Contact>, ApiError> {
        let peer = directory::peer_at(&self.env, host)
            .await?
            .ok_or_else(|| not_peered(host))?;
        self.fetch_card(agent.as_str(), &peer.did, host, false)
            .await
    }

    /// Asks the link to the agent's network for its card and log; `fresh` has it ask the peer again.
    async fn fetch_card(
        &self,
        agent: &str,
        network: &Did,
        host: &Host,
        fresh: bool,
    ) -> Result<Rc<Contact>, ApiError> {
        let stub = internal::link(&self.env, network)?;
        let request = internal::new_request_id();
        let fresh = if fresh { "&fresh=1" } else { "" };
        let path = format!("/resolve?agent={agent}{fresh}");
        let paper: Resolved = internal::get(&stub, &path, &request).await?;
        self.pin(&paper, network, host, Route::Link)
    }

    /// Finds an agent that was looked up before, wherever it lives, without asking anybody.
    pub(super) fn known_contact(&self, did: &Did) -> Result<Option<Rc<Contact>>, ApiError> {
        if let Some(known) = self.contacts.by_did(did) {
            return Ok(Some(known));
        }
        // A neighbour's object is asked of the directory whenever it is written to; its keys are here.
        let Some(row) = self.store.contact(did)? else {
            return Ok(None);
        };
        let network = Did::parse(&row.network).map_err(ApiError::internal)?;
        let host = Host::parse(&row.host).map_err(ApiError::internal)?;
        let card = verify(&row.card, &row.log, &network, &host)?;
        Ok(Some(contact(
            card,
            Route::Link,
            row.checked_at,
            row.next_index,
        )))
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
        let card = verify(&row.card, &row.log, &network, &host)?;
        let contact = contact(card, Route::Link, row.checked_at, row.next_index);
        self.contacts.keep(&contact);
        Ok(Some(contact))
    }

    /// Writes a contact down, or its new keys, if its log continues the one that is pinned.
    fn pin(
        &self,
        paper: &Resolved,
        network: &Did,
        host: &Host,
        route: Route,
    ) -> Result<Rc<Contact>, ApiError> {
        let card = verify(&paper.card, &paper.log, network, host)?;
        let known = self.store.contact(&card.did)?;
        let pinned = known.as_ref().map(|row| Log::parse(&row.log));
        if let Some(pinned) = pinned.transpose().map_err(ApiError::internal)?
            && card.log.extends(&pinned.pin()).is_err()
        {
            return Err(ApiError::new(
                409,
                "AGENT_KEY_CHANGED",
                format!(
                    "The keys of {} changed in a way that its identity log does not prove: nothing is sealed to them. Ask its network's admin.",
                    card.name
                ),
            ));
        }
        let now = internal::now();
        self.store
            .pin_contact(&card.did, network, host, paper, now)?;
        // What was sent meanwhile has counted on the contact in memory.
        let counted = self.contacts.by_did(&card.did).map(|c| c.next_index.get());
        let next_index = counted.or(known.map(|row| row.next_index)).unwrap_or(0);
        let contact = contact(card, route, now, next_index);
        self.contacts.keep(&contact);
        Ok(contact)
    }
}

/// Checks what anybody can of a card that our directory or the link vouched for: that the DID's log
/// leads to these keys.
fn verify(card: &str, log: &str, network: &Did, host: &Host) -> Result<VerifiedCard, ApiError> {
    let card: CardBody = serde_json::from_str(card).map_err(bad_card)?;
    let log = Log::parse(log).map_err(bad_card)?;
    card::check_body(card, network, host, Some(&log)).map_err(bad_card)
}

fn contact(
    card: VerifiedCard,
    route: Route,
    checked_at: Timestamp,
    next_index: u64,
) -> Rc<Contact> {
    Rc::new(Contact {
        did: card.did,
        name: card.name,
        network: card.network,
        host: card.host,
        route,
        signing: card.keys.signing,
        hybrid: card.keys.hybrid,
        retired: card.retired,
        checked_at: Cell::new(checked_at),
        next_index: Cell::new(next_index),
    })
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
