//! What the Worker may ask of an agent's topics and broadcasts.

use std::rc::Rc;

use worker::{Method, Request, Response};

use crate::agent::core::Core;
use crate::auth::percent::decode;
use crate::error::ApiError;
use crate::routes::body;

impl Core {
    /// Answers what follows `/agents/:name` for topics, subscriptions and broadcasts; nothing if there
    /// is no such route.
    pub(in crate::agent) async fn topic_route(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Option<Response>, ApiError> {
        let path = request.path();
        let parts = path.split('/').filter(|part| !part.is_empty());
        let parts: Vec<String> = parts.map(|part| decode(part).unwrap_or_default()).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if !matches!(
            parts.first(),
            Some(&"topics" | &"subscriptions" | &"broadcasts")
        ) {
            return Ok(None);
        }
        self.topics.prepare()?;
        self.prepare_casts()?;
        let answer = match (request.method(), parts.as_slice()) {
            (Method::Get, ["topics"]) => Response::from_json(&self.list_topics()?)?,
            (Method::Put, ["topics", topic]) => {
                let wish = body::json(request).await?;
                Response::from_json(&self.open_topic(topic, wish)?)?
            }
            (Method::Delete, ["topics", topic]) => {
                self.close_topic(topic)?;
                Response::empty()?.with_status(204)
            }
            (Method::Delete, ["topics", topic, "listeners", who]) => {
                Response::from_json(&self.drop_listener(topic, who)?)?
            }
            (Method::Get, ["subscriptions"]) => Response::from_json(&self.list_subscriptions()?)?,
            (Method::Post, ["subscriptions"]) => {
                let view = self.subscribe(body::json(request).await?).await?;
                Response::from_json(&view)?.with_status(201)
            }
            (Method::Delete, ["subscriptions", id]) => {
                self.unsubscribe(id).await?;
                Response::empty()?.with_status(204)
            }
            (Method::Post, ["broadcasts"]) => {
                let (view, new) = self.broadcast(body::json(request).await?).await?;
                let status = if new { 202 } else { 200 };
                Response::from_json(&view)?.with_status(status)
            }
            (Method::Get, ["broadcasts", id]) => Response::from_json(&self.show_cast(id)?)?,
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }
}
