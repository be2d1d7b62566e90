//! What the peer publishes: its document, fetched anew when its hash changed, and its agents'
//! cards, verified and kept.

use std::collections::BTreeMap;
use std::rc::Rc;

use entente_federation::{Code, Input, Item, PeerDocument};
use entente_lexicon::address::AgentRef;
use entente_lexicon::{Did, Timestamp};
use entente_trust::crypto::sign::VerifyingKey;
use entente_trust::identity::Log;
use entente_trust::message::Header;
use entente_trust::message::origin::{OriginError, check_origin, has_origin, strip_origin};
use entente_trust::policy::Proof;
use entente_well_known::card::CardBody;
use entente_well_known::document::claim;
use entente_well_known::{CardError, VerifiedCard, VerifiedDocument, card};
use worker::{Response, console_warn};

use crate::error::ApiError;
use crate::guard::{self, Distrust, FetchedDocument};
use crate::internal;
use crate::link::driver::Driver;
use crate::link::object::PEER;
use crate::link::own::peer_document;
use crate::shapes::Resolved;
use crate::store::d1::Directory;

/// So long a card that cannot be had is asked for before its agent's mail is held.
const UNVERIFIED_MS: u64 = 10_000;
/// Agents of which that is known.
const MAX_UNVERIFIED: usize = 1_024;
/// A card is asked for again after this.
const CARD_LIFE_MS: u64 = 24 * 60 * 60 * 1000;
/// How long after a rotation a message or announcement may still carry the origin that the key before it signed: the
/// longest expiry and a day.
pub(super) const RETIRED_ORIGIN_MS: u64 = 31 * 24 * 60 * 60 * 1000;
/// How long after a rotation the key before it still vouches for cards.
const RETIRED_GRACE_MS: u64 = 60 * 60 * 1000;

impl Driver {
    /// Fetches the peer's document because the machine met another hash, and answers it.
    pub(super) async fn refetch_document(self: Rc<Self>) {
        match self.fetch_document().await {
            Ok(document) => self.feed_quietly(Input::Document(Ok(document))),
            Err(Distrust::Broken(broken)) => self.freeze(broken),
            Err(Distrust::Unusable(error)) => {
                self.feed_quietly(Input::Document(Err(Code::lossy(&error.code))));
            }
        }
    }

    async fn fetch_document(&self) -> Result<PeerDocument, Distrust> {
        let record = self.peer()?;
        let pinned = Log::parse(&record.log).map_err(ApiError::internal)?;
        let target = guard::target(self.config()?, &record.host)?;
        let fetched = guard::fetch_document(&target, Some(&pinned)).await?;
        self.keep_document(&fetched)?;
        self.list_document(&fetched).await;
        Ok(peer_document(&fetched.verified, internal::now()))
    }

    /// Stores the peer's new document and log: the pin moves on.
    pub(super) fn keep_document(&self, fetched: &FetchedDocument) -> Result<(), ApiError> {
        let mut record = self.peer()?.as_ref().clone();
        if fetched.verified.did != record.peer_did {
            return Err(ApiError::new(
                409,
                "DID_CHANGED",
                "Another network answers at this peer's host: remove the peer, and add it again if you trust it.",
            ));
        }
        record.document.clone_from(&fetched.text);
        record.log.clone_from(&fetched.log);
        record.fetched_at = internal::now();
        self.store
            .set_meta(PEER, &serde_json::to_string(&record)?)?;
        let fingerprint = fetched.verified.fingerprint.clone();
        self.fingerprint.replace(fingerprint);
        self.peer.replace(Some(Rc::new(record)));
        Ok(())
    }

    /// Writes the pin into the directory too. The link's own is what decides, so a failure waits
    /// for the next time.
    pub(super) async fn list_document(&self, fetched: &FetchedDocument) {
        let outcome = match Directory::open(&self.env) {
            Ok(directory) => directory.put_pin(fetched, internal::now()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            console_warn!("the directory does not list the peer's new document yet: {error}");
        }
    }

    /// Answers with the card of one of the peer's agents, by DID or name, and its log; `fresh` asks
    /// the peer again.
    pub(super) async fn resolve(
        self: &Rc<Self>,
        agent: &str,
        fresh: bool,
    ) -> Result<Response, ApiError> {
        json_text(&self.card(agent, fresh).await?)
    }

    /// Says what a message's outer signature is worth: it must be by the agent that it claims to
    /// come from, whose key the peer's signed directory tells.
    ///
    /// # Errors
    /// If the card cannot be had now.
    pub(super) async fn proof(self: &Rc<Self>, item: &Item) -> Result<Proof, ApiError> {
        if !has_origin(&item.bytes) {
            return Ok(Proof::Missing);
        }
        let header = Header::peek(strip_origin(&item.bytes));
        if !header.is_ok_and(|header| header.from == item.from) {
            return Ok(Proof::Wrong);
        }
        // Its agent may have rotated its keys since its card was fetched.
        let proof = self.proof_by_card(item, false).await?;
        if proof == Proof::Wrong {
            return self.proof_by_card(item, true).await;
        }
        Ok(proof)
    }

    async fn proof_by_card(self: &Rc<Self>, item: &Item, fresh: bool) -> Result<Proof, ApiError> {
        let resolved = match self.card(item.from.as_str(), fresh).await {
            Ok(resolved) => resolved,
            Err(error) if error.status < 500 => return Ok(Proof::Wrong),
            Err(error) => return self.unverified(&item.from, error),
        };
        self.deliveries.unverified.borrow_mut().remove(&item.from);
        let resolved: Resolved = serde_json::from_str(&resolved)?;
        let card: CardBody = serde_json::from_str(&resolved.card)?;
        // What was on its way when a key was replaced is still its agent's.
        let now = internal::now();
        let retired = card.retired.iter().filter(|old| {
            let until = old.valid_until.unwrap_or_default();
            now.since(until) < RETIRED_ORIGIN_MS
        });
        let retired = retired.map(|old| &old.public_key_multibase);
        for multikey in std::iter::once(&card.keys.signing).chain(retired) {
            let key = VerifyingKey::from_multikey(multikey).map_err(ApiError::internal)?;
            match check_origin(&item.bytes, &key) {
                Ok(()) => return Ok(Proof::Sound),
                Err(OriginError::Missing) => return Ok(Proof::Missing),
                Err(OriginError::Malformed | OriginError::BadSignature) => {}
            }
        }
        Ok(Proof::Wrong)
    }

    /// A card that cannot be had is asked for again for a while; then others have waited enough.
    fn unverified(&self, agent: &Did, error: ApiError) -> Result<Proof, ApiError> {
        let now = internal::now();
        let mut unverified = self.deliveries.unverified.borrow_mut();
        if unverified.len() >= MAX_UNVERIFIED {
            unverified.clear();
        }
        let since = *unverified.entry(agent.clone()).or_insert(now);
        if now.since(since) < UNVERIFIED_MS {
            return Err(error);
        }
        Ok(Proof::Unverified)
    }

    /// Returns the verified card of one of the peer's agents, and its log.
    pub(super) async fn card(
        self: &Rc<Self>,
        agent: &str,
        fresh: bool,
    ) -> Result<String, ApiError> {
        let reference: AgentRef = agent.parse().map_err(|error: entente_lexicon::IdError| {
            ApiError::bad_request("MALFORMED_ADDRESS", error.to_string())
        })?;
        let now = internal::now();
        let known = self.store.card(agent)?;
        if let Some((resolved, at)) = &known
            && !fresh
            && now.since(*at) < CARD_LIFE_MS
        {
            return Ok(resolved.clone());
        }
        if self.frozen()?.is_some() {
            return Err(ApiError::new(
                409,
                "KEY_CHANGED",
                "The link to that network is frozen because its keys changed unproven: an admin must decide first.",
            ));
        }
        let known = known.map(|(resolved, _)| serde_json::from_str::<Resolved>(&resolved));
        let pinned = known.transpose()?.map(|known| Log::parse(&known.log));
        let pinned = pinned.transpose().map_err(ApiError::internal)?;
        let (card, resolved) = self.fetch_card(&reference, pinned.as_ref()).await?;
        let names = [card.did.as_str(), card.name.as_str()];
        let text = serde_json::to_string(&resolved)?;
        self.store
            .transaction(|| self.store.keep_card(&names, &text, now))?;
        Ok(text)
    }

    /// Fetches an agent's card, and what its log has beyond the one that is known.
    async fn fetch_card(
        self: &Rc<Self>,
        reference: &AgentRef,
        known: Option<&Log>,
    ) -> Result<(VerifiedCard, Resolved), ApiError> {
        let peer = self.peer()?;
        let target = guard::target(self.config()?, &peer.host)?;
        let agent = reference.as_str();
        let text = guard::fetch_text(&target, &format!("/relay/agents/{agent}")).await;
        let text = text.map_err(|error| no_card(error, agent))?;
        let bad = |code: &'static str, message: String| ApiError::new(502, code, message);
        let claim = claim(&text).map_err(|error| bad("CARD_MALFORMED", error.to_string()))?;
        let known = known.filter(|log| *log.did() == claim.did);
        let base = format!("{}/relay/agents/{}/log", target.origin, claim.did);
        let log = guard::follow_log(&base, &claim, known).await?;
        let log = log.map_err(|error| match known {
            Some(_) => changed(agent, &error.to_string()),
            None => bad("CARD_BAD_LOG", error.to_string()),
        })?;
        let card = match self.check_card(&text, &log) {
            // Our peer may have rotated its keys, and not dialled us since.
            Err(CardError::BadCountersignature) => {
                self.learn_new_keys().await?;
                self.check_card(&text, &log)
            }
            checked => checked,
        };
        let card = card.map_err(|error| match (&error, known) {
            (CardError::LogForked | CardError::WrongKey, Some(_)) => {
                changed(agent, &error.to_string())
            }
            _ => bad(error.code(), error.to_string()),
        })?;
        let asked = match reference {
            AgentRef::Did(did) => *did == card.did,
            AgentRef::Name(name) => *name == card.name,
        };
        if !asked {
            let message = format!("{} answered with the card of another agent.", peer.host);
            return Err(bad("CARD_INVALID", message));
        }
        let log = log.to_text().map_err(ApiError::internal)?;
        Ok((card, Resolved { card: text, log }))
    }

    fn check_card(&self, text: &str, log: &Log) -> Result<VerifiedCard, CardError> {
        let document = self
            .peer()
            .and_then(|peer| self.verify(&peer))
            .map_err(|_error| CardError::BadCountersignature)?;
        let keys = countersigning_keys(&document, internal::now());
        card::verify(text, &document.did, &keys, &document.host, Some(log))
    }

    /// Fetches the peer's document because something is signed with a key that it did not tell of.
    pub(super) async fn learn_new_keys(self: &Rc<Self>) -> Result<(), ApiError> {
        match self.fetch_document().await {
            Ok(document) => self.feed(Input::Document(Ok(document))),
            Err(Distrust::Broken(broken)) => {
                self.freeze(broken.clone());
                Err(broken.into())
            }
            Err(Distrust::Unusable(error)) => Err(error),
        }
    }
}

/// The keys that may countersign cards: the current one, and for a while the one before, since a
/// network signs its cards anew only after it has published its new key.
fn countersigning_keys(
    document: &VerifiedDocument,
    now: Timestamp,
) -> BTreeMap<String, VerifyingKey> {
    let retired = document.retired.iter();
    let recent = retired.filter(|key| now.since(key.until) < RETIRED_GRACE_MS);
    let recent = recent.map(|key| (key.kid.clone(), key.key.clone()));
    document.keys.clone().into_iter().chain(recent).collect()
}

fn changed(agent: &str, why: &str) -> ApiError {
    ApiError::new(
        409,
        "AGENT_KEY_CHANGED",
        format!(
            "The keys of {agent} changed in a way that its identity log does not prove ({why}): nothing is sealed to them. Ask its network's admin."
        ),
    )
}

fn no_card(error: ApiError, agent: &str) -> ApiError {
    match error.status {
        404 => ApiError::not_found("UNKNOWN_AGENT", format!("The peer has no agent {agent}.")),
        410 => ApiError::new(
            410,
            "AGENT_DELETED",
            format!("The peer's agent {agent} was deleted."),
        ),
        _ => error,
    }
}

fn json_text(text: &str) -> Result<Response, ApiError> {
    let response = Response::ok(text)?;
    response.headers().set("content-type", "application/json")?;
    Ok(response)
}
