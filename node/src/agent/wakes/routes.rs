//! What the Worker may ask of an agent's filters, and what the relay brings.

use std::rc::Rc;

use worker::{Method, Request, Response};

use crate::agent::core::Core;
use crate::agent::read::Page;
use crate::agent::wire;
use crate::error::ApiError;
use crate::routes::body;

impl Core {
    /// Answers what follows `/agents/:name` for filters, and the relay; nothing if there is no such route.
    pub(in crate::agent) async fn wake_route(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Option<Response>, ApiError> {
        let path = request.path();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if !matches!(parts.first(), Some(&("filters" | "wakes" | "woken"))) {
            return Ok(None);
        }
        self.wakes.store.create()?;
        let answer = match (request.method(), parts.as_slice()) {
            (Method::Post, ["woken"]) => {
                self.take_woken(wire::read(request).await?)?;
                wire::respond(&())?
            }
            (Method::Get, ["wakes"]) => {
                let page: Page = request.query()?;
                Response::from_json(&self.list_wakes(&page)?)?
            }
            (Method::Get, ["filters"]) => Response::from_json(&self.list_filters()?)?,
            (Method::Post, ["filters"]) => {
                let view = self.add_filter(body::json(request).await?).await?;
                Response::from_json(&view)?.with_status(201)
            }
            (Method::Get, ["filters", id]) => Response::from_json(&self.show_filter(id)?)?,
            (Method::Put, ["filters", id]) => {
                let filter = body::json(request).await?;
                Response::from_json(&self.set_filter(id, filter).await?)?
            }
            (Method::Delete, ["filters", id]) => {
                self.remove_filter(id).await?;
                Response::empty()?.with_status(204)
            }
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }
}
