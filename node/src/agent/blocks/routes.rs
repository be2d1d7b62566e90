//! What the Worker may ask of an agent's blocks.

use std::rc::Rc;

use entente_lexicon::api::blocks::{BlockList, SetBlock};
use worker::{Method, Request, Response};

use crate::agent::blocks::MAX_BLOCKS;
use crate::agent::core::Core;
use crate::auth::percent::decode;
use crate::error::ApiError;
use crate::internal;
use crate::routes::body;

impl Core {
    /// Answers what follows `/agents/:name` for blocks; nothing if there is no such route.
    pub(in crate::agent) async fn block_route(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Option<Response>, ApiError> {
        let path = request.path();
        let Some(rest) = path.strip_prefix("/blocks") else {
            return Ok(None);
        };
        self.blocks.store.create()?;
        let named = decode(rest.strip_prefix('/').unwrap_or_default()).unwrap_or_default();
        let answer = match (request.method(), named.as_str()) {
            (Method::Get, "") => Response::from_json(&BlockList {
                blocks: self.blocks.store.list()?,
            })?,
            (Method::Get, _) => {
                let who = self.whom(&named).await?.who;
                let view = self.blocks.store.one(&who)?;
                Response::from_json(&view.ok_or_else(not_blocked)?)?
            }
            (Method::Put, _) => {
                let wish: SetBlock = body::json(request).await?;
                self.block(&named, wish).await?
            }
            (Method::Delete, _) => {
                let who = self.whom(&named).await?.who;
                let was_there = self.blocks.store.remove(&who)?;
                self.blocks.list.take();
                if !was_there {
                    return Err(not_blocked());
                }
                Response::empty()?.with_status(204)
            }
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }

    async fn block(self: &Rc<Self>, named: &str, wish: SetBlock) -> Result<Response, ApiError> {
        let mut block = self.whom(named).await?;
        if block.who == self.identity()?.did.as_str() {
            return Err(ApiError::bad_request(
                "BLOCK_SELF",
                "An agent blocks others: name another one.",
            ));
        }
        block.silent = wish.silent;
        let known = self.blocks.list()?;
        if known.len() >= MAX_BLOCKS && !known.iter().any(|other| other.who == block.who) {
            return Err(ApiError::new(
                409,
                "TOO_MANY_BLOCKS",
                "This agent has 1,000 blocks: block a whole host, or take some back.",
            ));
        }
        let view = self.blocks.store.put(&block, named, internal::now())?;
        self.blocks.list.take();
        Ok(Response::from_json(&view)?)
    }
}

fn not_blocked() -> ApiError {
    ApiError::not_found(
        "NOT_BLOCKED",
        "This agent does not block that: GET /agents/:name/blocks lists its blocks.",
    )
}
