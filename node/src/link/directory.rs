//! What the peer publishes: its document, fetched anew when its hash changed, and its agents'
//! cards, verified and kept.

use std::rc::Rc;

use entente_federation::{Code, Input, Item};
use entente_lexicon::address::AgentRef;
use entente_trust::crypto::sign::VerifyingKey;
use entente_trust::message::Header;
use entente_trust::message::origin::{OriginError, check_origin, has_origin, strip_origin};
use entente_trust::policy::Proof;
use entente_well_known::card::CardBody;
use entente_well_known::{card, document};
use worker::Response;

use crate::error::ApiError;
use crate::guard;
use crate::internal;
use crate::link::driver::Driver;
use crate::link::object::PEER;
use crate::link::own::peer_document;

/// A card is asked for again after this.
const CARD_LIFE_MS: u64 = 24 * 60 * 60 * 1000;
const DOCUMENT_PATH: &str = "/.well-known/agent-network.json";

impl Driver {
    /// Fetches the peer's document because the machine met another hash, and answers it.
    pub(super) async fn refetch_document(self: Rc<Self>) {
        let outcome = self.fetch_document().await;
        let answer = outcome.map_err(|error| Code::lossy(&error.code));
        self.feed_quietly(Input::Document(answer));
    }

    async fn fetch_document(&self) -> Result<entente_federation::PeerDocument, ApiError> {
        let mut record = self.peer()?.as_ref().clone();
        record.document = guard::fetch_text(self.config()?, &record.host, DOCUMENT_PATH).await?;
        let verified = document::verify(&record.document, &record.host)
            .map_err(|error| ApiError::new(502, error.code(), error.to_string()))?;
        if verified.did != record.peer_did {
            return Err(ApiError::new(
                409,
                "DID_CHANGED",
                "Another network answers at this peer's host: remove the peer, and add it again if you trust it.",
            ));
        }
        record.fetched_at = internal::now();
        let document = peer_document(&verified, record.fetched_at);
        self.store
            .set_meta(PEER, &serde_json::to_string(&record)?)?;
        self.peer.replace(Some(Rc::new(record)));
        Ok(document)
    }

    /// Answers with the card of one of the peer's agents, by DID or name.
    pub(super) async fn resolve(&self, agent: &str) -> Result<Response, ApiError> {
        json_text(&self.card(agent).await?)
    }

    /// Says what a message's outer signature is worth: it must be by the agent that it claims to
    /// come from, whose key the peer's signed directory tells.
    ///
    /// # Errors
    /// If the card cannot be had now.
    pub(super) async fn proof(&self, item: &Item) -> Result<Proof, ApiError> {
        if !has_origin(&item.bytes) {
            return Ok(Proof::Missing);
        }
        let header = Header::peek(strip_origin(&item.bytes));
        if !header.is_ok_and(|header| header.from == item.from) {
            return Ok(Proof::Wrong);
        }
        let card = match self.card(item.from.as_str()).await {
            Ok(card) => card,
            Err(error) if error.status < 500 => return Ok(Proof::Wrong),
            Err(error) => return Err(error),
        };
        let card: CardBody = serde_json::from_str(&card)?;
        let key = VerifyingKey::from_multikey(&card.keys.signing);
        let key = key.map_err(ApiError::internal)?;
        Ok(match check_origin(&item.bytes, &key) {
            Ok(()) => Proof::Sound,
            Err(OriginError::Missing) => Proof::Missing,
            Err(OriginError::Malformed | OriginError::BadSignature) => Proof::Wrong,
        })
    }

    /// Returns the verified card of one of the peer's agents.
    async fn card(&self, agent: &str) -> Result<String, ApiError> {
        let reference: AgentRef = agent.parse().map_err(|error: entente_lexicon::IdError| {
            ApiError::bad_request("MALFORMED_ADDRESS", error.to_string())
        })?;
        let now = internal::now();
        let since = entente_lexicon::Timestamp(now.0.saturating_sub(CARD_LIFE_MS));
        if let Some(card) = self.store.card(agent, since)? {
            return Ok(card);
        }
        let peer = self.peer()?;
        let path = format!("/relay/agents/{}", reference.as_str());
        let text = guard::fetch_text(self.config()?, &peer.host, &path).await;
        let text = text.map_err(|error| no_card(error, agent))?;
        let document = self.verify(&peer)?;
        let card = card::verify(&text, &document.did, &document.keys, &peer.host)
            .map_err(|error| ApiError::new(502, error.code(), error.to_string()))?;
        let asked = match &reference {
            AgentRef::Did(did) => *did == card.did,
            AgentRef::Name(name) => *name == card.name,
        };
        if !asked {
            return Err(ApiError::new(
                502,
                "CARD_INVALID",
                format!("{} answered with the card of another agent.", peer.host),
            ));
        }
        let names = [card.did.as_str(), card.name.as_str()];
        self.store
            .transaction(|| self.store.keep_card(&names, &text, now))?;
        Ok(text)
    }
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
