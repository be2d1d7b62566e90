//! Recipients whose keys are not at hand: drafts wait while they are looked up. If they cannot be
//! fetched, the messages are stored and sealed later (`resolving`), and nothing else waits for
//! them. Messages whose recipient did not know their key take the same way once more.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use entente_lexicon::address::AgentRef;
use entente_lexicon::{Did, Host, MessageId, ReceiptStatus, Recipient, Timestamp};
use entente_trust::message::{Header, Prekey, PrekeyError, SignedPrekey, asks_to_reseal};
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use crate::agent::contacts::{Contact, Route};
use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::outbox::{Departure, EndOf};
use crate::agent::send::Draft;
use crate::agent::store::{End, Unsealed};
use crate::agent::wire::PrekeyReply;
use crate::error::ApiError;
use crate::internal;
use crate::store::directory;

/// Between two attempts to fetch keys: at first, and at most.
const RETRY_MS: u64 = 5_000;
const MAX_RETRY_MS: u64 = 5 * 60 * 1000;
/// Before a message is tried again whose recipient could not fetch our card.
const TOO_EARLY_MS: u64 = 30_000;
/// A recipient whose keys could not be fetched is not asked for again for every message.
const UNREACHED_MS: u64 = 2_000;

/// What a refusal says whose recipient could not fetch the sender's card: try again later.
pub(super) const SENDER_UNREACHABLE: &str = "SENDER_UNREACHABLE";
/// What a link says that must see the sender and does not.
const ORIGIN_MISSING: &str = "ORIGIN_MISSING";

/// Recipients that are being looked up, and those that cannot be now.
#[derive(Default)]
pub(super) struct Resolving {
    /// Drafts by their recipient as written.
    parked: RefCell<BTreeMap<String, Vec<Draft>>>,
    unreached: RefCell<BTreeMap<String, (Timestamp, Rc<Unreached>)>>,
    /// Whom stored messages without a seal are for: (DID or name, host).
    unsealed: RefCell<BTreeSet<(String, String)>>,
    running: Cell<bool>,
    retries: Cell<u32>,
}

/// Where a message will go once its recipient's keys are known.
pub(super) struct Unreached {
    /// The DID, or the name while that is all that is known.
    pub(super) peer: String,
    pub(super) host: Host,
    pub(super) network: Did,
}

impl Core {
    /// Returns the recipient if a message to it can be sealed in this turn.
    pub(super) fn reachable(&self, recipient: &Recipient) -> Option<Rc<Contact>> {
        let contact = self.contacts.by_text(recipient)?;
        let ready = self.conversations.is_ready(&contact.did, internal::now());
        let ahead = self.is_unsealed(&contact)
            || self
                .resolving
                .parked
                .borrow()
                .contains_key(&recipient.to_string());
        (ready && !ahead).then_some(contact)
    }

    fn is_unsealed(&self, contact: &Contact) -> bool {
        let unsealed = self.resolving.unsealed.borrow();
        !unsealed.is_empty()
            && [contact.did.as_str(), contact.name.as_str()]
                .iter()
                .any(|name| unsealed.contains(&((*name).to_owned(), contact.host.to_string())))
    }

    /// Lets a draft wait until its recipient's keys are known.
    pub(super) fn park(self: &Rc<Self>, draft: Draft) {
        self.outbox.take_room(draft.weight());
        let text = draft.recipient.to_string();
        let mut parked = self.resolving.parked.borrow_mut();
        if let Some(waiting) = parked.get_mut(&text) {
            return waiting.push(draft);
        }
        let recipient = draft.recipient.clone();
        parked.insert(text.clone(), vec![draft]);
        drop(parked);
        let core = Rc::clone(self);
        spawn_local(async move { core.find(&text, &recipient).await });
    }

    /// Looks a recipient up and lets the drafts go that wait for it, in the order they came.
    async fn find(self: &Rc<Self>, text: &str, recipient: &Recipient) {
        let outcome = self.reach_or_hold(text, recipient).await;
        let drafts = self.resolving.parked.borrow_mut().remove(text);
        let drafts = drafts.unwrap_or_default();
        for draft in &drafts {
            self.outbox.give_room(draft.weight());
        }
        match outcome {
            Ok(Reached::Now(contact)) => {
                // What waits in storage goes first.
                self.seal_stored(&contact);
                for draft in drafts {
                    self.enqueue(Rc::clone(&contact), draft);
                }
            }
            Ok(Reached::Later(to)) => self.hold_all(drafts, &to),
            Err(error) => {
                for draft in drafts {
                    draft.reply.tell(Err(error.clone()));
                }
            }
        }
    }

    async fn reach_or_hold(
        self: &Rc<Self>,
        text: &str,
        recipient: &Recipient,
    ) -> Result<Reached, ApiError> {
        let lately = self.resolving.unreached.borrow().get(text).cloned();
        if let Some((until, to)) = lately
            && until > internal::now()
        {
            return Ok(Reached::Later(to));
        }
        match self.reach(recipient).await {
            Ok(contact) => Ok(Reached::Now(contact)),
            Err(error) if may_come(&error) => {
                let to = Rc::new(self.unreached(recipient).await?);
                let until = internal::now().after(UNREACHED_MS);
                let mut unreached = self.resolving.unreached.borrow_mut();
                unreached.retain(|_, (until, _)| *until > internal::now());
                unreached.insert(text.to_owned(), (until, Rc::clone(&to)));
                Ok(Reached::Later(to))
            }
            Err(error) => Err(error),
        }
    }

    /// Finds a recipient and takes up its prekey.
    async fn reach(self: &Rc<Self>, recipient: &Recipient) -> Result<Rc<Contact>, ApiError> {
        let contact = self.contact_of(recipient).await?;
        if self.conversations.is_ready(&contact.did, internal::now()) {
            return Ok(contact);
        }
        let (contact, (prekey, needs_origin)) = match self.fetch_prekey(&contact).await {
            // Its keys may have been rotated since its card was fetched.
            Err(error) if error.code == PrekeyError::BadSignature.code() => {
                let contact = self.refresh(&contact).await?;
                let fetched = self.fetch_prekey(&contact).await?;
                (contact, fetched)
            }
            fetched => (contact, fetched?),
        };
        self.conversations.begin(prekey, needs_origin);
        Ok(contact)
    }

    async fn fetch_prekey(&self, contact: &Contact) -> Result<(Prekey, bool), ApiError> {
        let (stub, path) = match &contact.route {
            Route::Local { object } => (internal::agent(&self.env, object)?, "/prekey".to_owned()),
            Route::Link => {
                let fresh = u8::from(self.conversations.is_stale(&contact.did));
                let path = format!("/prekey?agent={}&fresh={fresh}", contact.did);
                (internal::link(&self.env, &contact.network)?, path)
            }
        };
        let reply: PrekeyReply = internal::get(&stub, &path, &internal::new_request_id()).await?;
        let prekey = SignedPrekey::parse(&reply.prekey)
            .and_then(|signed| signed.verify(&contact.did, &contact.signing, internal::now()))
            .map_err(|error| {
                // The next attempt asks past every cache, also for the card.
                self.conversations.end(&contact.did);
                self.contacts.forget(&contact.did);
                ApiError::new(502, error.code(), format!("{error}."))
            })?;
        Ok((prekey, reply.needs_origin))
    }

    async fn unreached(&self, recipient: &Recipient) -> Result<Unreached, ApiError> {
        if let Some(contact) = self.contacts.by_text(recipient) {
            return Ok(Unreached {
                peer: contact.did.to_string(),
                host: contact.host.clone(),
                network: contact.network.clone(),
            });
        }
        let host = recipient
            .host
            .as_ref()
            .ok_or_else(|| ApiError::internal("an agent of ours cannot be reached"))?;
        let peer = directory::peer_at(&self.env, host).await?;
        let peer = peer.ok_or_else(|| crate::agent::contacts::not_peered(host))?;
        Ok(Unreached {
            peer: recipient.agent.as_str().to_owned(),
            host: host.clone(),
            network: peer.did,
        })
    }

    fn hold_all(self: &Rc<Self>, drafts: Vec<Draft>, to: &Unreached) {
        for draft in drafts {
            let held = self.identity().and_then(|me| self.hold(&me, &draft, to));
            draft.reply.tell(held);
        }
        self.resolving
            .unsealed
            .borrow_mut()
            .insert((to.peer.clone(), to.host.to_string()));
        self.wake_in(RETRY_MS);
    }

    /// Reads which stored messages still have to be sealed.
    pub(super) fn restore_unsealed(self: &Rc<Self>) -> Result<(), ApiError> {
        let unsealed = self.store.unsealed_recipients()?;
        if !unsealed.is_empty() {
            self.wake_in(RETRY_MS);
        }
        self.resolving.unsealed.replace(unsealed);
        Ok(())
    }

    /// Tries to seal what is stored without a seal; what cannot be is tried again later.
    pub(super) fn resolve_unsealed(self: &Rc<Self>) {
        if self.resolving.unsealed.borrow().is_empty() || self.resolving.running.replace(true) {
            return;
        }
        // Whatever becomes of this attempt, another follows.
        self.wake_in(MAX_RETRY_MS);
        let core = Rc::clone(self);
        spawn_local(async move {
            let mut tried = BTreeSet::new();
            while let Some((peer, host)) = core.untried(&tried) {
                if let Err(error) = core.resolve_one(&peer, &host).await {
                    console_warn!("messages to {host} wait for keys: {error}");
                }
                tried.insert((peer, host));
            }
            core.resolving.running.set(false);
            if core.resolving.unsealed.borrow().is_empty() {
                core.resolving.retries.set(0);
            } else {
                let retries = core.resolving.retries.get();
                core.resolving.retries.set(retries.saturating_add(1));
                let wait = RETRY_MS.saturating_mul(1 << retries.min(6));
                core.wake_in(wait.min(MAX_RETRY_MS));
            }
        });
    }

    fn untried(&self, tried: &BTreeSet<(String, String)>) -> Option<(String, String)> {
        let unsealed = self.resolving.unsealed.borrow();
        unsealed.difference(tried).next().cloned()
    }

    async fn resolve_one(self: &Rc<Self>, peer: &str, host: &str) -> Result<(), ApiError> {
        let recipient = Recipient {
            agent: peer.parse::<AgentRef>().map_err(ApiError::internal)?,
            host: Some(Host::parse(host).map_err(ApiError::internal)?),
        };
        match self.reach(&recipient).await {
            Ok(contact) => {
                self.seal_stored(&contact);
                Ok(())
            }
            Err(error) if error.status >= 500 || may_come(&error) => {
                self.expire_stored([peer, peer], host)?;
                Err(error)
            }
            Err(error) => self.refuse_stored([peer, peer], host, &error.code),
        }
    }

    /// Seals what is stored for a recipient whose keys are at hand, and lets it go.
    fn seal_stored(self: &Rc<Self>, contact: &Rc<Contact>) {
        if !self.is_unsealed(contact) {
            return;
        }
        let names = [contact.did.as_str(), contact.name.as_str()];
        let sealed = self.identity().and_then(|me| {
            self.expire_stored(names, contact.host.as_str())?;
            let rows = self.store.unsealed(names, contact.host.as_str())?;
            self.store.transaction(|| {
                let mut departures = Vec::new();
                for row in &rows {
                    departures.extend(self.seal_row(&me, contact, row)?);
                }
                self.store
                    .set_next_index(&contact.did, contact.next_index.get())?;
                Ok::<_, ApiError>((departures, rows.len()))
            })
        });
        match sealed {
            Ok((departures, rows)) => {
                if departures.len() == rows {
                    let mut unsealed = self.resolving.unsealed.borrow_mut();
                    for name in names {
                        unsealed.remove(&(name.to_owned(), contact.host.to_string()));
                    }
                }
                for departure in departures {
                    self.depart(contact.destination(), departure);
                }
            }
            Err(error) => console_warn!("stored messages could not be sealed: {error}"),
        }
    }

    fn seal_row(
        &self,
        me: &Me,
        contact: &Contact,
        row: &Unsealed,
    ) -> Result<Option<Departure>, ApiError> {
        let now = internal::now();
        let place = row.place.unwrap_or_else(|| {
            let next = contact.next_index.get();
            contact.next_index.set(next.saturating_add(1));
            next
        });
        let header = Header {
            id: row.id.to_bytes(),
            from: me.did.clone(),
            to: contact.did.clone(),
            network: contact.network.clone(),
            index: place,
            expires: row.expires,
        };
        let body = me.open_body(&row.id, &row.body)?;
        let sealed = self.conversations.seal(me, &row.id, &header, &body, now);
        let Some(bytes) = sealed.map_err(ApiError::internal)? else {
            return Ok(None);
        };
        self.store.sealed(&row.id, &contact.did, place, &bytes)?;
        Ok(Some(Departure {
            id: row.id.clone(),
            to: contact.did.clone(),
            bytes,
            is_new: false,
            by_queue: false,
        }))
    }

    /// Ends what waited for keys until it expired.
    fn expire_stored(self: &Rc<Self>, names: [&str; 2], host: &str) -> Result<(), ApiError> {
        let now = internal::now();
        let late = |row: &Unsealed| row.expires.is_some_and(|at| at <= now);
        self.end_stored(names, host, "EXPIRED", late).map(|_| ())
    }

    fn refuse_stored(
        self: &Rc<Self>,
        names: [&str; 2],
        host: &str,
        code: &str,
    ) -> Result<(), ApiError> {
        self.end_stored(names, host, code, |_| true)?;
        let mut unsealed = self.resolving.unsealed.borrow_mut();
        for name in names {
            unsealed.remove(&(name.to_owned(), host.to_owned()));
        }
        Ok(())
    }

    fn end_stored(
        self: &Rc<Self>,
        names: [&str; 2],
        host: &str,
        code: &str,
        which: impl Fn(&Unsealed) -> bool,
    ) -> Result<(), ApiError> {
        let me = self.identity()?;
        let end = End {
            at: internal::now(),
            by: me.network.to_string(),
            code: Some(code.to_owned()),
            sent: None,
        };
        let ended = self.store.transaction(|| {
            let mut ended = Vec::new();
            for row in self.store.unsealed(names, host)? {
                if which(&row)
                    && let Some(step) =
                        self.store
                            .step(&row.id, ReceiptStatus::Refused, &end, None)?
                {
                    ended.push(EndOf::new(row.id, &step, ReceiptStatus::Refused, &end));
                }
            }
            Ok::<_, ApiError>(ended)
        })?;
        self.announce_ends(ended);
        Ok(())
    }

    /// Takes a refusal that asks for another seal, or for another attempt, if it is one; then the
    /// message did not end.
    pub(super) fn unseal(&self, id: &MessageId, code: Option<&str>) -> Result<Again, ApiError> {
        let Some(code) = code else {
            return Ok(Again::No);
        };
        let too_early = code == SENDER_UNREACHABLE;
        if !too_early && !asks_to_reseal(code) && code != ORIGIN_MISSING {
            return Ok(Again::No);
        }
        let Some((peer, host)) = self.store.unseal(id, too_early)? else {
            return Ok(Again::No);
        };
        if !too_early && let Ok(did) = Did::parse(&peer) {
            self.conversations.end(&did);
        }
        self.resolving.unsealed.borrow_mut().insert((peer, host));
        if too_early {
            self.wake_in(TOO_EARLY_MS);
            return Ok(Again::Later);
        }
        Ok(Again::Now)
    }
}

/// What a refusal asks of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// Nothing: the message ended.
    No,
    /// To seal it anew.
    Now,
    /// To try it again after a while.
    Later,
}

/// How a lookup ended.
enum Reached {
    /// Messages can be sealed.
    Now(Rc<Contact>),
    /// Not now.
    Later(Rc<Unreached>),
}

/// Tells whether keys that could not be fetched may come yet.
fn may_come(error: &ApiError) -> bool {
    matches!(
        error.code.as_ref(),
        "PEER_UNREACHABLE"
            | "PEER_TIMEOUT"
            | "PREKEY_INVALID"
            | "PREKEY_EXPIRED"
            | "PEER_NOT_FOUND"
    )
}
