//! What the Worker may ask of an agent's webhooks.

use std::rc::Rc;

use worker::{Method, Request, Response};

use crate::agent::core::Core;
use crate::agent::webhooks::hooks::Deed;
use crate::error::ApiError;
use crate::routes::body;

impl Core {
    /// Answers what follows `/agents/:name` for webhooks; nothing if there is no such route.
    pub(in crate::agent) async fn hook_route(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Option<Response>, ApiError> {
        let path = request.path();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let answer = match (request.method(), parts.as_slice()) {
            (Method::Post, ["webhooks"]) => {
                let view = self.add_hook(body::json(request).await?)?;
                Response::from_json(&view)?.with_status(201)
            }
            (Method::Get, ["webhooks"]) => Response::from_json(&self.list_hooks()?)?,
            (Method::Get, ["webhooks", id]) => Response::from_json(&self.show_hook(id)?)?,
            (Method::Delete, ["webhooks", id]) => {
                self.remove_hook(id)?;
                Response::empty()?.with_status(204)
            }
            (Method::Post, ["webhooks", id, "test"]) => {
                Response::from_json(&self.test_hook(id)?)?.with_status(202)
            }
            (Method::Post, ["webhooks", id, "enable"]) => {
                Response::from_json(&self.enable_hook(id)?)?
            }
            (Method::Post, ["webhooks", id, deed @ ("redrive" | "discard")]) => {
                let deed = if *deed == "redrive" {
                    Deed::Redrive
                } else {
                    Deed::Discard
                };
                let which = body::json(request).await?;
                Response::from_json(&self.change_dead(id, &which, deed)?)?
            }
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }
}
