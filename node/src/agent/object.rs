//! The Durable Object: what the Worker, links and other agents may ask of an agent.
#![expect(
    missing_docs,
    reason = "the durable_object macro writes methods without documentation"
)]

use std::cell::RefCell;
use std::rc::Rc;

use entente_lexicon::api::{MarkRead, SendMessage};
use wasm_bindgen::{JsCast, JsValue};
use worker::worker_sys::DurableObjectState;
use worker::{
    DurableObject, Env, Method, Request, Response, State, WebSocket, WebSocketIncomingMessage,
    console_error, durable_object,
};

use crate::agent::core::Core;
use crate::agent::read::Page;
use crate::agent::repo::RepoTree;
use crate::agent::wire::{self, PrekeyReply};
use crate::auth::recall;
use crate::drill;
use crate::error::{ApiError, answer};
use crate::internal::{self, READ_RECEIPTS};
use crate::routes::body;
use crate::shapes::Published;

/// One agent.
#[durable_object]
pub struct Agent {
    core: RefCell<Rc<Core>>,
}

impl Agent {
    fn core(&self) -> Rc<Core> {
        Rc::clone(&self.core.borrow())
    }

    /// Forgets everything that was kept in memory: it is of another life than what is stored.
    fn renew(&self) {
        let core = self.core();
        let raw: &JsValue = core.state.as_raw().as_ref();
        let state = State::from(raw.clone().unchecked_into::<DurableObjectState>());
        self.core.replace(Core::new(state, core.env.clone()));
    }
}

impl DurableObject for Agent {
    fn new(state: State, env: Env) -> Self {
        Self {
            core: RefCell::new(Core::new(state, env)),
        }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        let core = self.core();
        if let Some(drilled) = drill::here(&request, &core.env).await {
            return drilled;
        }
        if let Some(drilled) = core.affliction.here(&request, &core.env) {
            return drilled;
        }
        let id = internal::request_id(&request);
        match core.is_outdated(&request) {
            Ok(false) => {}
            Ok(true) => return Ok(Response::empty()?.with_status(recall::STALE)),
            Err(error) => return answer(Err(error), &id),
        }
        let was_put_back = request.path() == "/restore";
        let outcome = core.route(request).await;
        if was_put_back {
            self.renew();
        }
        answer(outcome, &id)
    }

    async fn alarm(&self) -> worker::Result<Response> {
        let core = self.core();
        // An alarm that fails six times is gone for good, so failures are logged, never returned.
        if let Err(error) = core.wake() {
            console_error!("the agent could not start: {error}");
        }
        core.retry_outbox();
        core.tend_lanes();
        core.resolve_unsealed();
        core.tell_reads();
        if let Err(error) = core.hand_repo_events() {
            console_error!("what happened to the repo could not be read: {error}");
        }
        if let Err(error) = core.retry_announcements() {
            console_error!("announcements could not be read: {error}");
        }
        core.tend();
        core.tend_memory();
        core.tend_tasks();
        core.start_courier();
        core.tend_groups();
        core.tell_filters_soon();
        Response::empty()
    }

    async fn websocket_message(
        &self,
        socket: WebSocket,
        message: WebSocketIncomingMessage,
    ) -> worker::Result<()> {
        let core = self.core();
        match core.wake() {
            Ok(()) => core.hear(&socket, message),
            Err(error) => {
                console_error!("the agent could not start: {error}");
                let _ = socket.close(Some(1011), Some("the agent is not available"));
            }
        }
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
    async fn route(self: &Rc<Self>, mut request: Request) -> Result<Response, ApiError> {
        let path = request.path();
        let method = request.method();
        if let Some(answer) = self.route_life(&mut request).await? {
            return Ok(answer);
        }
        self.wake()?;
        if let Some(answer) = self.route_part(&mut request).await? {
            return Ok(answer);
        }
        match (&method, path.as_str()) {
            (Method::Post, "/deliver") => {
                self.affliction.suffer().await?;
                let delivery = wire::read(&mut request).await?;
                wire::respond(&self.deliver(delivery).await?)
            }
            (Method::Post, "/receipts") => {
                let receipts = wire::read(&mut request).await?;
                self.take_receipts(&receipts)?;
                wire::respond(&())
            }
            (Method::Post, "/controls") => {
                let controls = wire::read(&mut request).await?;
                wire::respond(&self.take_controls(controls).await?)
            }
            (Method::Post, path) if path.starts_with("/inbox/") => self.route_read(request).await,
            (Method::Post, "/messages") => {
                let message: SendMessage = body::json(&mut request).await?;
                let accepted = self.send(message).await?;
                Ok(Response::from_json(&accepted)?.with_status(202))
            }
            (Method::Post, "/announce") => {
                let announced = self.announce(body::json(&mut request).await?).await?;
                Ok(Response::from_json(&announced)?.with_status(202))
            }
            (Method::Get, "/messages") => {
                let list = self.list(&page(&request)?)?;
                Ok(Response::from_json(&list)?)
            }
            (Method::Get, "/inbox") => Ok(Response::from_json(&self.inbox(&page(&request)?)?)?),
            (Method::Post, "/ticket") => Ok(Response::from_json(&self.make_ticket()?)?),
            (Method::Get, "/ws") => self.open_socket(&request),
            (Method::Get, "/prekey") => {
                let prekey = self.current_prekey(&*self.identity()?)?;
                Ok(Response::from_json(&PrekeyReply {
                    prekey,
                    needs_origin: false,
                })?)
            }
            (Method::Get, "/lend") => Ok(Response::from_json(&self.reader_of(&request)?)?),
            (Method::Get, "/lend/chunks") => self.lend_blob(&request).await,
            (Method::Get, "/export") => self.archive(RepoTree::Private, None),
            (Method::Get, path) => {
                match (path.strip_prefix("/messages/"), path.strip_prefix("/xrpc/")) {
                    (Some(id), _) => Ok(Response::from_json(&self.status(id)?)?),
                    (_, Some(method)) => self.xrpc(method, &request).await,
                    (None, None) => Err(no_route()),
                }
            }
            _ => Err(no_route()),
        }
    }

    /// What has a file of its own: memory, blobs, tasks, groups, webhooks, the queue, dead letters, filters, blocks.
    async fn route_part(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Option<Response>, ApiError> {
        let path = request.path();
        if let Some(answer) = self.replica_route(request).await? {
            return Ok(Some(answer));
        }
        if let Some(rest) = path.strip_prefix("/memory") {
            let answer = self.memory_route(request, rest).await?;
            return answer.ok_or_else(no_route).map(Some);
        }
        if let Some(rest) = path.strip_prefix("/blobs") {
            let answer = self.blob_route(request, rest).await?;
            return answer.ok_or_else(no_route).map(Some);
        }
        if let Some(answer) = self.task_route(request).await? {
            return Ok(Some(answer));
        }
        if let Some(answer) = self.hook_route(request).await? {
            return Ok(Some(answer));
        }
        if let Some(answer) = self.group_route(request).await? {
            return Ok(Some(answer));
        }
        if let Some(answer) = self.lane_route(request).await? {
            return Ok(Some(answer));
        }
        if let Some(answer) = self.dead_route(request).await? {
            return Ok(Some(answer));
        }
        if let Some(answer) = self.topic_route(request).await? {
            return Ok(Some(answer));
        }
        if let Some(answer) = self.wake_route(request).await? {
            return Ok(Some(answer));
        }
        if let Some(answer) = self.endorsement_route(request).await? {
            return Ok(Some(answer));
        }
        self.block_route(request).await
    }

    /// What the relay asks of the agent's keys and of its life, before it is awake or after its end.
    async fn route_life(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Option<Response>, ApiError> {
        let path = request.path();
        match (request.method(), path.as_str()) {
            (Method::Post, "/init") => {
                let born = self.init(&request.json().await?)?;
                return Ok(Some(Response::from_json(&born)?));
            }
            (Method::Post, "/rotate") => return Ok(Some(Response::from_json(&self.rotate()?)?)),
            (Method::Post, "/published") => {
                let Published { seq } = request.json().await?;
                self.published(seq)?;
            }
            (Method::Post, "/reseal") => self.reseal()?,
            (Method::Post, "/outdate") => self.outdate(request.json().await?)?,
            (Method::Post, "/destroy") => self.destroy().await?,
            (Method::Post, "/backup") => {
                let wish = wire::read(request).await?;
                return wire::respond(&self.keeper.take(&wish).await?).map(Some);
            }
            (Method::Post, "/restore") => {
                let wish = wire::read(request).await?;
                return wire::respond(&self.become_again(wish).await?).map(Some);
            }
            (Method::Post, "/wake") => {
                self.wake()?;
                self.tell_put_back()?;
            }
            _ => return Ok(None),
        }
        Ok(Some(Response::from_json(&serde_json::json!({}))?))
    }

    /// `POST /inbox/read` and `POST /inbox/:id/read`.
    async fn route_read(self: &Rc<Self>, mut request: Request) -> Result<Response, ApiError> {
        let path = request.path();
        let rest = path.strip_prefix("/inbox/").unwrap_or_default();
        let tells = request.headers().has(READ_RECEIPTS)?;
        let ids = match rest.strip_suffix("/read") {
            Some(id) => vec![id.to_owned()],
            None if rest == "read" => body::json::<MarkRead>(&mut request).await?.ids,
            None => return Err(no_route()),
        };
        Ok(Response::from_json(&self.mark_read(&ids, tells)?)?)
    }

    /// Makes sure that the agent can act, and takes up what an earlier life left to do.
    pub(super) fn wake(self: &Rc<Self>) -> Result<(), ApiError> {
        let me = self.identity()?;
        self.restore_outbox(&me)?;
        self.wake_tasks();
        self.wake_courier();
        self.wake_groups();
        self.wake_filters();
        Ok(())
    }
}

fn no_route() -> ApiError {
    ApiError::not_found("NOT_FOUND", "An agent has no such route.")
}

fn page(request: &Request) -> Result<Page, ApiError> {
    Ok(request.query()?)
}
