//! What the Worker may ask of an agent's tasks.

use std::rc::Rc;

use worker::{Method, Request, Response};

use crate::agent::core::Core;
use crate::agent::tasks::view::Query;
use crate::error::ApiError;
use crate::routes::body;

impl Core {
    /// Answers what follows `/agents/:name` for tasks and handoffs; nothing if there is no such
    /// route.
    pub(in crate::agent) async fn task_route(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Option<Response>, ApiError> {
        let path = request.path();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if !matches!(parts.first(), Some(&"tasks" | &"handoffs" | &"a2a")) {
            return Ok(None);
        }
        self.tasks.prepare()?;
        let answer = match (request.method(), parts.as_slice()) {
            (Method::Post, ["tasks"]) => {
                let (view, new) = self.ask_task(body::json(request).await?).await?;
                let status = if new { 201 } else { 200 };
                Response::from_json(&view)?.with_status(status)
            }
            (Method::Get, ["tasks"]) => {
                Response::from_json(&self.list_tasks(&request.query::<Query>()?)?)?
            }
            (Method::Get, ["tasks", id]) => Response::from_json(&self.show_task(id)?)?,
            (Method::Post, ["tasks", id, "respond"]) => {
                let step = body::json(request).await?;
                Response::from_json(&self.respond(id, step).await?)?
            }
            (Method::Post, ["tasks", id, "input"]) => {
                let step = body::json(request).await?;
                Response::from_json(&self.answer(id, step)?)?
            }
            (Method::Post, ["tasks", id, "cancel"]) => {
                let step = body::json(request).await?;
                Response::from_json(&self.cancel_task(id, step)?)?
            }
            (Method::Post, ["handoffs"]) => {
                let done = self.hand_off(body::json(request).await?).await?;
                Response::from_json(&done)?.with_status(202)
            }
            _ => return self.a2a_route(request, &parts).await,
        };
        Ok(Some(answer))
    }

    async fn a2a_route(
        self: &Rc<Self>,
        request: &mut Request,
        parts: &[&str],
    ) -> Result<Option<Response>, ApiError> {
        let answer = match (request.method(), parts) {
            (Method::Post, ["a2a", "call"]) => self.a2a_call(request).await?,
            (Method::Post, ["a2a", "card"]) => {
                Response::from_json(&self.a2a_card(&request.json().await?)?)?
            }
            (Method::Post, ["a2a", "keys"]) => {
                let made = self.make_a2a_key(&body::json(request).await?)?;
                Response::from_json(&made)?.with_status(201)
            }
            (Method::Get, ["a2a", "keys"]) => Response::from_json(&self.list_a2a_keys()?)?,
            (Method::Post, ["a2a", "agents"]) => {
                let added = self.add_a2a_agent(&body::json(request).await?).await?;
                Response::from_json(&added)?.with_status(201)
            }
            (Method::Get, ["a2a", "agents"]) => Response::from_json(&self.list_a2a_agents()?)?,
            (Method::Delete, ["a2a", "agents", id]) => {
                self.remove_a2a_agent(id)?;
                Response::empty()?.with_status(204)
            }
            (Method::Delete, ["a2a", "keys", id]) => {
                self.revoke_a2a_key(id)?;
                Response::empty()?.with_status(204)
            }
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }
}
