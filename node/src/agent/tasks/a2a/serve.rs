//! Answering calls.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use entente_a2a::pace;
use entente_a2a::params::{Configuration, ListParams, Wanted};
use entente_a2a::rpc::{self, Call, RpcError};
use entente_a2a::signature;
use entente_a2a::{card::Card, task};
use entente_lexicon::api::tasks::TaskView;
use entente_lexicon::id::BASE32;
use entente_lexicon::{AgentName, Timestamp};
use entente_trust::crypto::sign::kid;
use entente_well_known::did_web;
use futures::future::{Either, select};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use worker::{Delay, Request, Response};

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::tasks::a2a::ANYONE;
use crate::agent::tasks::ask::blind;
use crate::agent::tasks::store::{OfCaller, StoredTask};
use crate::error::ApiError;
use crate::internal::{A2A_KEY, A2A_OPEN};
use crate::routes::body;

/// How long an answer waits for a task to end or to ask back; then it tells how the task stands.
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers of one agent that wait, streams included.
const MAX_WAITING: u32 = 128;

/// In which the platform says from where a call comes; what a caller writes there it overwrites.
const ADDRESS: &str = "cf-connecting-ip";

/// What the Worker asks of a card: where the agent is called, and what its setting says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CardWish {
    pub(crate) network: String,
    pub(crate) origin: String,
    pub(crate) open: bool,
    pub(crate) description: String,
    pub(crate) skills: Value,
}

/// What a call is answered with.
enum Answer {
    Value(Value),
    /// Every change of the task, from how it stands now on.
    Stream(Box<StoredTask>),
}

/// A place among the answers that wait.
pub(super) struct Place(Rc<Cell<u32>>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Core {
    /// Answers a call. Who calls is said by the header in which the Worker passes on the key's hash.
    pub(in crate::agent::tasks) async fn a2a_call(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Response, ApiError> {
        let headers = request.headers();
        let open = headers.has(A2A_OPEN)?;
        let caller = self.a2a_caller(headers.get(A2A_KEY)?.as_deref(), open)?;
        self.a2a_pace(caller, headers.get(ADDRESS)?.as_deref())?;
        let version = headers.get(rpc::VERSION_HEADER)?;
        let me = self.identity()?;
        let bytes = body::read(request).await?;
        let Call { id, wanted } = match rpc::read(&bytes) {
            Ok(call) => call,
            Err((id, error)) => return Ok(Response::from_json(&error.answer(&id))?),
        };
        let answer = match rpc::check_version(version.as_deref()) {
            Ok(()) => self.a2a_answer(&me, caller, wanted).await,
            Err(error) => Err(error),
        };
        let answer = answer.and_then(|answer| match answer {
            Answer::Value(value) => Ok((value, None)),
            Answer::Stream(stored) => {
                let place = self.a2a_place().ok_or_else(full)?;
                Ok((Value::Null, Some((*stored, place))))
            }
        });
        match answer {
            Ok((_, Some((stored, place)))) => self.a2a_stream(&me, id, &stored, place),
            Ok((value, None)) => Ok(Response::from_json(&rpc::answer(&id, &value))?),
            Err(error) => Ok(Response::from_json(&error.answer(&id))?),
        }
    }

    /// Counts a call of one who has a key by that, of others by their address.
    fn a2a_pace(&self, caller: u64, address: Option<&str>) -> Result<(), ApiError> {
        let name = if caller == ANYONE {
            pace::of_address(address)
        } else {
            format!("key {caller}")
        };
        let admitted = self
            .tasks
            .a2a
            .paces
            .borrow_mut()
            .admit(&name, crate::internal::now());
        admitted.map_err(|seconds| {
            ApiError::new(
                429,
                "A2A_RATE_LIMITED",
                "You call this agent too often: wait as long as Retry-After says, and listen to streams or push notifications in place of asking.",
            )
            .with_header("retry-after", seconds.to_string())
        })
    }

    async fn a2a_answer(
        self: &Rc<Self>,
        me: &Rc<Me>,
        caller: u64,
        wanted: Wanted,
    ) -> Result<Answer, RpcError> {
        let value = match wanted {
            Wanted::Send { params, streams } => {
                let Configuration {
                    return_immediately,
                    history_length,
                    task_push_notification_config: place,
                } = params.configuration;
                let stored = self.a2a_hear(me, caller, &params.message, place)?;
                if streams {
                    return Ok(Answer::Stream(Box::new(stored)));
                }
                let stored = if return_immediately {
                    stored
                } else {
                    self.a2a_rest(stored).await?
                };
                let view = self.a2a_view(me, &stored)?;
                json!({ "task": task::task(&view, history_length, true) })
            }
            Wanted::Get(params) => {
                let stored = self.a2a_task(me, caller, &params.id)?;
                task::task(&self.a2a_view(me, &stored)?, params.history_length, true)
            }
            Wanted::Cancel(params) => {
                let stored = self.a2a_cancel(me, caller, &params.id)?;
                task::task(&self.a2a_view(me, &stored)?, None, true)
            }
            Wanted::Subscribe(params) => {
                let stored = self.a2a_task(me, caller, &params.id)?;
                if stored.task.state().is_final() {
                    return Err(RpcError::unsupported(
                        "The task has ended: GetTask shows it.",
                    ));
                }
                return Ok(Answer::Stream(Box::new(stored)));
            }
            Wanted::List(params) => self.a2a_list(me, caller, &params)?,
            Wanted::SetPush(config) => self.a2a_set_push(me, caller, config)?,
            Wanted::GetPush(params) => self.a2a_get_push(me, caller, &params)?,
            Wanted::ListPush(params) => self.a2a_list_pushes(me, caller, &params)?,
            Wanted::DeletePush(params) => self.a2a_delete_push(me, caller, &params)?,
        };
        Ok(Answer::Value(value))
    }

    fn a2a_list(&self, me: &Me, caller: u64, params: &ListParams) -> Result<Value, RpcError> {
        if caller == ANYONE {
            return Err(RpcError::unsupported(
                "Who calls without a key has no list: ask with GetTask for the ids that you know.",
            ));
        }
        let after = match params.status_timestamp_after.as_str() {
            "" => None,
            text => Some(Timestamp::parse(text).ok_or_else(|| {
                RpcError::params("`statusTimestampAfter` is an instant as in RFC 3339.")
            })?),
        };
        let size = params.page()?;
        let wanted = OfCaller {
            caller,
            states: task::filter(&params.status)?,
            context: (!params.context_id.is_empty()).then(|| blind(me, &params.context_id)),
            after,
        };
        let before = match params.page_token.as_str() {
            "" => None,
            token => Some(place(token).ok_or_else(|| {
                RpcError::params("`pageToken` is none that this list returned: start over without.")
            })?),
        };
        let total = self.tasks.store.count_of_caller(&wanted)?;
        let found = self
            .tasks
            .store
            .list_of_caller(&wanted, before, size.saturating_add(1));
        let mut found = found?;
        let page = usize::try_from(size).unwrap_or(usize::MAX);
        let more = found.len() > page;
        found.truncate(page);
        let next = found.last().filter(|_| more).map(token);
        let history = params.history_length.unwrap_or(0);
        let tasks = found.iter().map(|stored| {
            let view = if history == 0 && !params.include_artifacts {
                self.brief_view(me, stored)?
            } else {
                self.a2a_view(me, stored)?
            };
            Ok(task::task(&view, Some(history), params.include_artifacts))
        });
        Ok(json!({
            "tasks": tasks.collect::<Result<Vec<_>, RpcError>>()?,
            "nextPageToken": next.unwrap_or_default(),
            "pageSize": size,
            "totalSize": total,
        }))
    }

    pub(super) fn a2a_view(&self, me: &Me, stored: &StoredTask) -> Result<TaskView, RpcError> {
        Ok(self.task_view(me, stored)?)
    }

    /// Waits until a task has ended or asks back, for a while.
    async fn a2a_rest(self: &Rc<Self>, stored: StoredTask) -> Result<StoredTask, RpcError> {
        let Some(_place) = self.a2a_place() else {
            return Ok(stored);
        };
        let mut stored = stored;
        let mut patience = Delay::from(PATIENCE);
        loop {
            let changed = self.tasks.a2a.watch.next(stored.n);
            stored = self.task_row(stored.n)?;
            if task::rests(stored.task.state()) {
                return Ok(stored);
            }
            match select(changed, patience).await {
                Either::Left((_changed, left)) => patience = left,
                Either::Right(((), _)) => return Ok(stored),
            }
        }
    }

    fn a2a_place(&self) -> Option<Place> {
        let waiting = &self.tasks.a2a.waiting;
        if waiting.get() >= MAX_WAITING {
            return None;
        }
        waiting.set(waiting.get().saturating_add(1));
        Some(Place(Rc::clone(waiting)))
    }

    /// The agent's card, signed with its key. Whoever reads it finds the key in the agent's
    /// `did.json`.
    pub(in crate::agent::tasks) fn a2a_card(&self, wish: &CardWish) -> Result<Value, ApiError> {
        let me = self.identity()?;
        let name: &AgentName = &me.name;
        let card = Card {
            name: name.as_str(),
            description: &wish.description,
            provider: (&wish.network, &wish.origin),
            url: &format!("{}/a2a/{name}", wish.origin),
            version: env!("CARGO_PKG_VERSION"),
            open: wish.open,
            skills: &wish.skills,
        };
        let id = did_web::agent_id(&me.host, name);
        let kid = kid(&me.signing.verifying_key().to_multikey());
        signature::sign(&card.to_value(), &me.signing, &format!("{id}#{kid}"))
            .map_err(ApiError::internal)
    }
}

fn full() -> RpcError {
    RpcError::unsupported(
        "This agent has 128 answers waiting already: ask with GetTask how the task stands.",
    )
    .with_code("A2A_TOO_MANY_STREAMS")
}

/// Where a page begins: after this time and this row.
type Before = (Timestamp, u64);

fn token(stored: &StoredTask) -> String {
    let mut bytes = stored.changed_at.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&stored.n.to_be_bytes());
    BASE32.encode(&bytes)
}

fn place(token: &str) -> Option<Before> {
    let bytes: [u8; 16] = BASE32.decode(token.as_bytes()).ok()?.try_into().ok()?;
    let (at, n) = bytes.split_first_chunk::<8>()?;
    let n: [u8; 8] = n.try_into().ok()?;
    Some((Timestamp(u64::from_be_bytes(*at)), u64::from_be_bytes(n)))
}
