//! The Durable Object: what the Worker, agents and the relay may ask of a link.
#![expect(
    missing_docs,
    reason = "the durable_object macro writes methods without documentation"
)]

use std::collections::BTreeMap;
use std::rc::Rc;

use entente_federation::{Amounts, Code, Input, Item, Status, Stream};
use entente_lexicon::api::{LinkAmount, LinkAmounts, LinkState, PeerOutlook, PeerTrust, PeerView};
use entente_lexicon::keys::Unfreeze;
use entente_lexicon::{Did, Timestamp};
use entente_trust::identity::Log;
use entente_trust::message::Header;
use entente_trust::message::origin::has_origin;
use worker::{
    DurableObject, Env, Method, Request, Response, State, WebSocket, WebSocketIncomingMessage,
    console_error, durable_object,
};

use crate::agent::wire::{self, Handoff, HandoffReply};
use crate::drill;
use crate::error::{ApiError, answer};
use crate::internal;
use crate::link::driver::{Driver, not_peered};
use crate::link::store::Outgoing;
use crate::shapes::{CloseLink, InitLink, Nothing, TryPolicy};

/// One peer's link.
#[durable_object]
pub struct Link {
    driver: Rc<Driver>,
}

pub(super) const PEER: &str = "peer";
const CLOSED: &str = "closed";

impl DurableObject for Link {
    fn new(state: State, env: Env) -> Self {
        Self {
            driver: Driver::new(state, env),
        }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        if let Some(drilled) = drill::here(&request, &self.driver.env).await {
            return drilled;
        }
        let id = internal::request_id(&request);
        answer(self.driver.route(request).await, &id)
    }

    async fn alarm(&self) -> worker::Result<Response> {
        // An alarm that fails six times is gone for good, so failures are logged, never returned.
        match self.driver.wake().await {
            Ok(()) => self.driver.tick(),
            Err(error) if error.code == "NOT_PEERED" => self.driver.finish_close().await,
            Err(error) => {
                console_error!("the link could not start: {error}");
                self.driver.arm(Some(internal::now().after(START_RETRY_MS)));
            }
        }
        Response::empty()
    }

    async fn websocket_message(
        &self,
        socket: WebSocket,
        _message: WebSocketIncomingMessage,
    ) -> worker::Result<()> {
        // Link sockets do not hibernate, so none is expected here.
        let _ = socket.close(Some(1011), Some("unexpected"));
        Ok(())
    }

    async fn websocket_close(
        &self,
        _socket: WebSocket,
        _code: usize,
        _reason: String,
        _was_clean: bool,
    ) -> worker::Result<()> {
        Ok(())
    }

    async fn websocket_error(
        &self,
        _socket: WebSocket,
        _error: worker::Error,
    ) -> worker::Result<()> {
        Ok(())
    }
}

/// Before a link that could not start tries again.
const START_RETRY_MS: u64 = 5_000;

impl Driver {
    async fn route(self: &Rc<Self>, mut request: Request) -> Result<Response, ApiError> {
        let path = request.path();
        match (request.method(), path.as_str()) {
            (Method::Post, "/init") => {
                let record: InitLink = request.json().await?;
                self.init(record).await?;
                self.respond_with_view()
            }
            (Method::Post, "/close") => {
                let close: CloseLink = request.json().await?;
                self.close_for_good(&close.reason).await?;
                Ok(Response::from_json(&serde_json::json!({}))?)
            }
            (Method::Get, "/status" | "/detail") => {
                self.wake().await?;
                if path == "/detail" {
                    return self.respond_with_detail();
                }
                self.respond_with_view()
            }
            (Method::Get, "/try") => {
                self.wake().await?;
                self.try_upgrade().await
            }
            (Method::Post, "/probe" | "/pardon") => {
                self.wake().await?;
                match path.as_str() {
                    "/probe" => self.feed(Input::Probe)?,
                    _ => self.pardon()?,
                }
                Ok(Response::from_json(&Nothing {})?)
            }
            (Method::Get, "/accept") => {
                self.wake().await?;
                self.accept(&request)
            }
            (Method::Post, "/handoff") => self.route_handoff(&mut request).await,
            (Method::Post, "/controls") => self.route_controls(&mut request).await,
            (Method::Post, "/announcements") => self.route_events(&mut request).await,
            (Method::Post, "/preview") => {
                let wish: TryPolicy = request.json().await?;
                self.wake().await?;
                Ok(Response::from_json(&self.preview(&wish)?)?)
            }
            (_, "/quarantine") => self.route_quarantine(request).await,
            (Method::Post, "/backup" | "/restore") => self.route_backup(request).await,
            (Method::Post, "/own" | "/learn" | "/freeze" | "/unfreeze") => {
                self.route_keys(&path, request).await
            }
            (Method::Get, "/resolve" | "/prekey" | "/admits") => {
                self.wake().await?;
                self.route_agent(&path, &request).await
            }
            _ => Err(ApiError::not_found(
                "NOT_FOUND",
                "A link has no such route.",
            )),
        }
    }

    /// What concerns one of the peer's agents: its keys, and whether anything may cross to or from it.
    async fn route_agent(
        self: &Rc<Self>,
        path: &str,
        request: &Request,
    ) -> Result<Response, ApiError> {
        let agent = query(request, "agent")?;
        let fresh = query(request, "fresh").is_ok_and(|text| text == "1");
        match path {
            "/prekey" => self.prekey(&agent, fresh).await,
            "/resolve" => self.resolve(&agent, fresh).await,
            _ => {
                let agent = Did::parse(&agent).map_err(ApiError::internal)?;
                self.admits(&agent, query(request, "direction")? == "inbound")?;
                Ok(Response::from_json(&Nothing {})?)
            }
        }
    }

    /// What concerns keys: ours that changed, and the peer's.
    async fn route_keys(
        self: &Rc<Self>,
        path: &str,
        mut request: Request,
    ) -> Result<Response, ApiError> {
        // A link that was closed meanwhile needs no new keys of ours.
        if path == "/own" && (!self.store.exists()? || self.store.meta(CLOSED)?.is_some()) {
            return Ok(Response::from_json(&Nothing {})?);
        }
        self.wake().await?;
        match path {
            "/own" => self.take_own(request.json().await?)?,
            "/learn" => self.learn_new_keys().await?,
            "/freeze" => self.freeze(request.json().await?),
            _ => {
                let wish: Unfreeze = request.json().await?;
                self.unfreeze(&wish).await?;
                return self.respond_with_view();
            }
        }
        Ok(Response::from_json(&Nothing {})?)
    }

    /// Makes sure that the machine runs: rebuilds it from what is stored, if need be.
    pub(super) async fn wake(self: &Rc<Self>) -> Result<(), ApiError> {
        if self.machine.borrow().is_some() {
            return Ok(());
        }
        if !self.store.exists()? || self.store.meta(CLOSED)?.is_some() {
            return Err(not_peered());
        }
        let text = self.store.meta(PEER)?.ok_or_else(not_peered)?;
        let record: InitLink = serde_json::from_str(&text)?;
        self.start(record).await
    }

    async fn init(self: &Rc<Self>, record: InitLink) -> Result<(), ApiError> {
        self.store.create()?;
        if self.store.meta(CLOSED)?.is_some() {
            // The peer comes back while its senders were still being told of its removal.
            self.tell_all().await?;
            self.forget().await?;
            self.store.create()?;
        }
        let known = self.store.meta(PEER)?;
        let known: Option<InitLink> = known.map(|text| serde_json::from_str(&text)).transpose()?;
        let later = |known: &InitLink| known.policy_version > record.policy_version;
        if known.as_ref().is_some_and(later) {
            // A later change overtook this one.
            return self.wake().await;
        }
        let record = newer(known, record)?;
        let text = serde_json::to_string(&record)?;
        self.store.set_meta(PEER, &text)?;
        if self.machine.borrow().is_some() {
            self.replace_record(record)?;
        } else {
            self.start(record).await?;
        }
        // Whoever names a peer again wants to see it tried again now.
        self.feed(Input::Probe)
    }

    /// Ends the link: closes its socket, refuses what is queued and tells its senders, then
    /// forgets everything. What a crash leaves undone the next call or alarm finishes.
    async fn close_for_good(self: &Rc<Self>, reason: &str) -> Result<(), ApiError> {
        if !self.store.exists()? {
            return Ok(());
        }
        let code = Code::lossy(reason);
        // A link that cannot start any more can still be removed.
        if self.wake().await.is_ok() {
            self.feed(Input::Shutdown { code: code.clone() })?;
        }
        self.store.transaction(|| {
            self.store.set_meta(CLOSED, code.as_str())?;
            self.store.refuse_all(code.as_str(), internal::now())
        })?;
        self.arm(Some(internal::now().after(START_RETRY_MS)));
        self.tell_all().await?;
        self.forget().await
    }

    /// Goes on with a removal that a crash interrupted.
    async fn finish_close(self: &Rc<Self>) {
        if !matches!(self.store.exists(), Ok(true)) {
            return;
        }
        let outcome = match self.tell_all().await {
            Ok(()) => self.forget().await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            console_error!("a removed link could not be cleared, trying again: {error}");
            self.arm(Some(internal::now().after(START_RETRY_MS)));
        }
    }

    async fn forget(&self) -> Result<(), ApiError> {
        self.machine.replace(None);
        self.peer.replace(None);
        self.state.storage().delete_alarm().await?;
        self.state.storage().delete_all().await?;
        Ok(())
    }

    /// `POST /handoff`.
    async fn route_handoff(self: &Rc<Self>, request: &mut Request) -> Result<Response, ApiError> {
        let handoff = wire::read(request).await?;
        self.wake().await?;
        wire::respond(&self.take(handoff)?)
    }

    /// Takes messages from an agent of ours. Answers once they are stored.
    fn take(self: &Rc<Self>, handoff: Handoff) -> Result<HandoffReply, ApiError> {
        let from = Did::parse(&handoff.from).map_err(ApiError::internal)?;
        let mut refused = vec![None; handoff.items.len()];
        if self.needs_origin() && !handoff.items.iter().all(|item| has_origin(&item.bytes)) {
            return Ok(HandoffReply {
                refused,
                needs_origin: true,
            });
        }
        let held = if handoff.is_new {
            BTreeMap::new()
        } else {
            let ids = handoff.items.iter().map(|entry| entry.id.as_slice());
            self.store.held(ids, &from)?
        };
        let mut offered = Vec::with_capacity(handoff.items.len());
        let mut places = Vec::with_capacity(handoff.items.len());
        for (place, entry) in handoff.items.into_iter().enumerate() {
            let id: [u8; 16] = entry
                .id
                .into_vec()
                .try_into()
                .map_err(|_error| ApiError::internal("a message id is not 16 bytes"))?;
            let to = Did::parse(&entry.to).map_err(ApiError::internal)?;
            let bytes = entry.bytes.into_vec();
            let item = Item {
                id,
                from: from.clone(),
                to,
                expires: Header::peek(&bytes).ok().and_then(|header| header.expires),
                bytes: bytes.into(),
            };
            // An answer of ours that was lost makes the agent hand over again.
            if !held.get(&item.id).is_some_and(|known| known.holds(&item)) {
                offered.push(Outgoing {
                    item,
                    object: handoff.object.clone(),
                });
                places.push(place);
            }
        }
        let items = offered
            .iter()
            .map(|outgoing| outgoing.item.clone())
            .collect();
        let stream = Stream::Msg;
        let outcomes = self.feed_offer(Input::Enqueue { stream, items }, &offered)?;
        for (place, outcome) in places.into_iter().zip(outcomes) {
            if let Some(slot) = refused.get_mut(place) {
                *slot = outcome;
            }
        }
        Ok(HandoffReply {
            refused,
            needs_origin: false,
        })
    }

    fn respond_with_view(&self) -> Result<Response, ApiError> {
        let peer = self.peer()?;
        let now = internal::now();
        let machine = self.machine.borrow();
        let view = machine.as_ref().map(|machine| machine.view(now));
        let oldest = self.store.oldest()?;
        let shown = PeerView {
            did: peer.peer_did.to_string(),
            host: peer.host.to_string(),
            fingerprint: self.fingerprint.borrow().clone(),
            trust_level: peer.policy.level,
            granted: view.as_ref().and_then(|view| view.granted),
            allow_agents: Vec::new(),
            state: view
                .as_ref()
                .map_or(LinkState::Connecting, |view| view.state),
            since: view.as_ref().map_or(now, |view| view.since),
            queued: view.as_ref().map_or(0, |view| view.queued),
            oldest_age_ms: oldest.map(|at| now.since(at)),
            round_trip_ms: view.as_ref().and_then(|view| view.round_trip_ms),
            last_error: view
                .as_ref()
                .and_then(|v| v.last_error.as_ref().map(ToString::to_string)),
            limits: view.as_ref().map(|view| amounts(&view.status.limits)),
            usage: view.as_ref().map(|view| amounts(&view.status.usage)),
            peer_view: view
                .as_ref()
                .and_then(|view| view.peer.as_ref())
                .map(|(status, at)| peer_outlook(status, *at)),
            next_retry: view.as_ref().and_then(|view| view.next_retry),
            trust: PeerTrust {
                approval: self.approval_view(&peer)?,
                ..PeerTrust::default()
            },
            frozen: self.frozen()?,
        };
        Ok(Response::from_json(&shown)?)
    }
}

fn amounts(amounts: &Amounts) -> LinkAmounts {
    let shown = |amount: entente_federation::Amount| LinkAmount {
        items: amount.items,
        bytes: amount.bytes,
    };
    LinkAmounts {
        messages: shown(amounts.msg),
        events: shown(amounts.evt),
        controls: shown(amounts.ctl),
        outbox: shown(amounts.outbox),
    }
}

fn peer_outlook(status: &Status, at: Timestamp) -> PeerOutlook {
    let view = &status.view;
    PeerOutlook {
        at,
        trust_level: view.level,
        queued: view.queued,
        queued_events: view.events,
        oldest_age_ms: view.oldest,
        round_trip_ms: view.rtt,
        last_error: view.error.clone(),
        limits: amounts(&status.limits),
        usage: amounts(&status.usage),
    }
}

/// Keeps what is pinned where the directory lags behind it: the link's own log decides.
fn newer(known: Option<InitLink>, record: InitLink) -> Result<InitLink, ApiError> {
    let Some(known) = known else {
        return Ok(record);
    };
    let pinned = Log::parse(&known.log).map_err(ApiError::internal)?;
    let listed = Log::parse(&record.log).map_err(ApiError::internal)?;
    // The link may have fetched the document itself since.
    if listed.extends(&pinned.pin()).is_ok() && record.fetched_at >= known.fetched_at {
        return Ok(record);
    }
    Ok(InitLink {
        document: known.document,
        log: known.log,
        fetched_at: known.fetched_at,
        ..record
    })
}

fn query(request: &Request, name: &str) -> Result<String, ApiError> {
    let url = request.url()?;
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .ok_or_else(|| ApiError::internal(format!("`{name}` is missing")))
}
