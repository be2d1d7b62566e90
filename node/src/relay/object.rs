//! The `Relay` object: what it answers, and its alarm.
#![expect(
    missing_docs,
    reason = "the durable_object macro writes methods without documentation"
)]

use std::rc::Rc;
use std::time::Duration;

use entente_lexicon::Timestamp;
use entente_lexicon::api::PublicPeers;
use entente_lexicon::keys::Recover;
use serde::de::DeserializeOwned;
use worker::{
    DurableObject, Env, Method, Request, Response, State, WebSocket, WebSocketIncomingMessage,
    console_error, durable_object,
};

use crate::agent::wire::{self, NewRepoEvent};
use crate::backup::RELAY;
use crate::backup::wire::Changed;
use crate::drill;
use crate::error::{ApiError, answer};
use crate::fanout::wire::Sockets;
use crate::internal::{new_request_id, now, request_id};
use crate::lifecycle::{self, INTERRUPTED_MS};
use crate::relay::core::Core;
use crate::shapes::{
    Events, FirstContact, HeadsOf, InitRelay, Nothing, PublishCard, RECENT_PATH, RelayIdentity,
    RepoDeleted,
};

/// How long after a request the sweep looks whether it was interrupted.
const SWEEP_DELAY_MS: u64 = INTERRUPTED_MS + 5_000;

/// The relay of a network.
#[durable_object]
pub struct Relay {
    core: Rc<Core>,
}

impl DurableObject for Relay {
    fn new(state: State, env: Env) -> Self {
        Self {
            core: Core::new(state, env),
        }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        if let Some(drilled) = drill::here(&request, &self.core.env).await {
            return drilled;
        }
        let id = request_id(&request);
        answer(self.core.handle(request).await, &id)
    }

    /// Never fails: an alarm that does is tried six times and then never again.
    async fn alarm(&self) -> worker::Result<Response> {
        if let Err(error) = self.core.sweep().await {
            console_error!("sweep: {error}");
        }
        self.core.back_up_if_due().await;
        Response::empty()
    }

    async fn websocket_message(
        &self,
        _socket: WebSocket,
        _message: WebSocketIncomingMessage,
    ) -> worker::Result<()> {
        // Who reads repos has nothing to say.
        Ok(())
    }

    async fn websocket_close(
        &self,
        socket: WebSocket,
        _code: usize,
        _reason: String,
        _was_clean: bool,
    ) -> worker::Result<()> {
        let _ = socket.close(Some(1000), Some("closed"));
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

impl Core {
    async fn handle(self: &Rc<Self>, mut request: Request) -> Result<Response, ApiError> {
        let path = request.path();
        self.revive()?;
        match (request.method(), path.as_str()) {
            (Method::Post, "/init") => {
                let init: InitRelay = read(&mut request).await?;
                self.check_not_restoring()?;
                let identity = self.init(&init)?;
                self.arm_sweep().await?;
                self.schedule_status();
                Ok(Response::from_json(&identity)?)
            }
            (Method::Get, "/identity") => Ok(Response::from_json(&self.identity()?)?),
            (Method::Post, "/countersign") => {
                let paper = self.register(&read(&mut request).await?)?;
                Ok(Response::from_json(&paper)?)
            }
            (Method::Post, "/rotate") => self.turn_keys(|core| core.rotate()).await,
            (Method::Post, "/recover") => {
                let wish: Recover = read(&mut request).await?;
                self.turn_keys(|core| core.recover(&wish)).await
            }
            (Method::Post, "/publish-card") => {
                let PublishCard { object_id } = read(&mut request).await?;
                self.publish_card(&object_id).await?;
                nothing()
            }
            (Method::Post, "/events") => {
                let Events { events } = read(&mut request).await?;
                self.take_events(events)?;
                nothing()
            }
            (Method::Post, "/status-changed") => {
                self.listed.replace(None);
                self.schedule_status();
                nothing()
            }
            (Method::Post, "/sweep") => {
                self.arm_sweep().await?;
                nothing()
            }
            (Method::Post, "/first-contact") => {
                let contact: FirstContact = read(&mut request).await?;
                self.first_contact(&contact)?;
                nothing()
            }
            (Method::Post, "/ticket") => {
                self.with_live(|_| Ok(()))?;
                Ok(Response::from_json(&self.make_ticket()?)?)
            }
            (Method::Post, path) if path.starts_with("/firehose/") => {
                self.route_firehose(path, request).await
            }
            (Method::Get, RECENT_PATH) => {
                let url = request.url()?;
                let host = url.query_pairs().find(|(key, _)| key == "peer");
                let host = host.map(|(_, host)| host.into_owned()).unwrap_or_default();
                Ok(Response::from_json(&self.recent(&host)?)?)
            }
            (_, path) if is_of_agents(path) => self.route_agents(request).await,
            (_, "/announcements") => self.route_announcements(request).await,
            (_, "/timeline" | "/endorsements/about") => self.route_said(&path, request).await,
            (_, path) if path.starts_with("/backups") => self.route_backups(request).await,
            (Method::Get, "/peers") => {
                let peers = self.peers().await?;
                Ok(Response::from_json(&PublicPeers { peers })?)
            }
            (method, path) => Err(ApiError::internal(format!("relay: {method:?} {path}"))),
        }
    }

    async fn route_firehose(
        self: &Rc<Self>,
        path: &str,
        mut request: Request,
    ) -> Result<Response, ApiError> {
        match path {
            "/firehose/seat" => Ok(Response::from_json(
                &self.seat(&read(&mut request).await?)?,
            )?),
            "/firehose/join" => {
                let joined = self.join(&read(&mut request).await?).await?;
                Ok(Response::from_json(&joined)?)
            }
            "/firehose/left" => {
                let left: Sockets = read(&mut request).await?;
                self.with_live(|live| {
                    live.shards.count(&left);
                    Ok(())
                })?;
                nothing()
            }
            "/firehose/after" => {
                let after = wire::read(&mut request).await?;
                wire::respond(&self.page(after)?)
            }
            other => Err(ApiError::internal(format!("relay: {other}"))),
        }
    }

    async fn route_announcements(
        self: &Rc<Self>,
        mut request: Request,
    ) -> Result<Response, ApiError> {
        if request.method() == Method::Post {
            let news = wire::read(&mut request).await?;
            return wire::respond(&self.take_announcements(news).await?);
        }
        let list = self.announcements(&request.query()?)?;
        Ok(Response::from_json(&list)?)
    }

    /// What the Worker reads of what is said here.
    async fn route_said(
        self: &Rc<Self>,
        path: &str,
        mut request: Request,
    ) -> Result<Response, ApiError> {
        if path == "/timeline" {
            let wish = wire::read(&mut request).await?;
            wire::respond(&self.timeline(&wish)?)
        } else {
            let wish = wire::read(&mut request).await?;
            wire::respond(&self.about(&wish)?)
        }
    }

    /// What agents tell of themselves: what happened to their repos, what wakes them.
    async fn route_agents(self: &Rc<Self>, mut request: Request) -> Result<Response, ApiError> {
        let path = request.path();
        match (request.method(), path.as_str()) {
            (Method::Get, "/repos/read") => self.read_repos(&request),
            (Method::Post, "/repos/events") => {
                let news: Vec<NewRepoEvent> = wire::read(&mut request).await?;
                self.take_repo_events(&news)?;
                wire::respond(&())
            }
            (Method::Post, "/repos/heads") => {
                let HeadsOf { dids } = read(&mut request).await?;
                Ok(Response::from_json(&self.store.heads(&dids)?)?)
            }
            (Method::Post, "/wakes/filters") => {
                self.leave_filters(&wire::read(&mut request).await?)?;
                wire::respond(&())
            }
            (Method::Post, "/repos/deleted") => {
                let RepoDeleted { did } = read(&mut request).await?;
                self.forget_filters(&did)?;
                self.take_deleted_repo(did)?;
                nothing()
            }
            (method, path) => Err(ApiError::internal(format!("relay: {method:?} {path}"))),
        }
    }

    async fn route_backups(self: &Rc<Self>, mut request: Request) -> Result<Response, ApiError> {
        let path = request.path();
        match (request.method(), path.as_str()) {
            (Method::Get, "/backups") => Ok(Response::from_json(&self.backups().await?)?),
            (Method::Post, "/backups") => Ok(Response::from_json(&self.back_up(true).await?)?),
            (Method::Post, "/backups/changed") => {
                let Changed { subject } = read(&mut request).await?;
                self.note_changed(&subject).await?;
                nothing()
            }
            (Method::Post, "/backups/restore") => {
                let wish = read(&mut request).await?;
                Ok(Response::from_json(&self.restore_network(&wish).await?)?)
            }
            (Method::Post, "/backups/restore-agent") => {
                let wish = read(&mut request).await?;
                Ok(Response::from_json(&self.restore_agent(&wish).await?)?)
            }
            (method, path) => Err(ApiError::internal(format!("relay: {method:?} {path}"))),
        }
    }

    /// Takes up, in a new life of this object, what an earlier one may have left to do.
    fn revive(self: &Rc<Self>) -> Result<(), ApiError> {
        if self.revived.get() || !self.store.exists()? {
            return Ok(());
        }
        self.revived.set(true);
        if self.store.newest_of_ours()? > 0 {
            self.offer_soon();
        }
        self.push_soon();
        self.wake_soon();
        Ok(())
    }

    fn first_contact(&self, contact: &FirstContact) -> Result<(), ApiError> {
        if self.limits.borrow_mut().admit(contact, now()) {
            Ok(())
        } else {
            Err(ApiError::new(
                429,
                "RATE_LIMITED",
                "Too many networks ask to peer in this minute: try again in the next.",
            ))
        }
    }

    /// Sets the alarm for the sweep, unless one is due already.
    pub(super) async fn arm_sweep(&self) -> Result<(), ApiError> {
        self.sweep_until.set(now().after(SWEEP_DELAY_MS));
        self.arm_by(now().after(SWEEP_DELAY_MS)).await
    }

    /// Sets the alarm, unless one is due sooner.
    pub(super) async fn arm_by(&self, at: Timestamp) -> Result<(), ApiError> {
        let storage = self.db.storage();
        let due = storage.get_alarm().await?;
        let due = due.and_then(|due| u64::try_from(due).ok());
        if due.is_none_or(|due| due > at.0) {
            let wait = Duration::from_millis(at.since(now()));
            storage.set_alarm(wait).await?;
        }
        Ok(())
    }

    /// Replaces the network's keys and tells everybody of the new ones.
    async fn turn_keys(
        self: &Rc<Self>,
        turn: impl FnOnce(&Self) -> Result<RelayIdentity, ApiError>,
    ) -> Result<Response, ApiError> {
        // Armed first: whatever is interrupted after the one write, the alarm finishes.
        self.arm_sweep().await?;
        let identity = turn(self)?;
        if let Err(error) = self.publish_if_due().await {
            console_error!("new keys could not be told yet, trying again: {error}");
        }
        self.note_new_keys(RELAY).await?;
        Ok(Response::from_json(&identity)?)
    }

    /// Settles what was interrupted; armed again first, so that a crash here changes nothing.
    async fn sweep(&self) -> Result<(), ApiError> {
        let storage = self.db.storage();
        storage
            .set_alarm(Duration::from_millis(SWEEP_DELAY_MS))
            .await?;
        let unpublished = self.publish_if_due().await?;
        let unsigned = self.publish_interrupted_cards().await?;
        let unoffered = self.offer_all().await.unwrap_or_else(|error| {
            console_error!("sweep: announcements: {error}");
            true
        });
        let unwoken = self.store.exists()? && self.somebody_waits()?;
        let left = lifecycle::sweep(&self.env, &new_request_id()).await?
            || unpublished
            || unsigned
            || unoffered
            || unwoken;
        // A request that armed it while this sweep ran has yet to write its row.
        if !left && now() >= self.sweep_until.get() {
            storage.delete_alarm().await?;
        }
        Ok(())
    }
}

fn is_of_agents(path: &str) -> bool {
    path.starts_with("/repos/") || path.starts_with("/wakes/")
}

async fn read<T: DeserializeOwned>(request: &mut Request) -> Result<T, ApiError> {
    let bytes = request.bytes().await?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn nothing() -> Result<Response, ApiError> {
    Ok(Response::from_json(&Nothing {})?)
}
