//! The `Agent` object.
#![expect(
    missing_docs,
    reason = "the durable_object macro writes methods without documentation"
)]

use worker::{
    DurableObject, Env, Error, Request, Response, Result, State, WebSocket,
    WebSocketIncomingMessage, durable_object,
};

use crate::error::ApiError;
use crate::internal::request_id;

/// One agent.
#[durable_object]
pub struct Agent {
    _state: State,
    _env: Env,
}

impl DurableObject for Agent {
    fn new(state: State, env: Env) -> Self {
        Self {
            _state: state,
            _env: env,
        }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        ApiError::new(501, "NOT_IMPLEMENTED", "not yet").respond(&request_id(&request))
    }

    async fn alarm(&self) -> Result<Response> {
        Response::empty()
    }

    async fn websocket_message(&self, _: WebSocket, _: WebSocketIncomingMessage) -> Result<()> {
        Ok(())
    }

    async fn websocket_close(&self, _: WebSocket, _: usize, _: String, _: bool) -> Result<()> {
        Ok(())
    }

    async fn websocket_error(&self, _: WebSocket, _: Error) -> Result<()> {
        Ok(())
    }
}
