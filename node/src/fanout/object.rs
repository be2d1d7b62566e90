//! The `Fanout` object: what it answers.
#![expect(
    missing_docs,
    reason = "the durable_object macro writes methods without documentation"
)]

use std::rc::Rc;

use entente_firehose::{BadFilter, Filter, Start};
use entente_lexicon::api::{FilterWish, Viewer};
use worker::{
    DurableObject, Env, Error, Headers, Method, Request, Response, State, WebSocket,
    WebSocketIncomingMessage, WebSocketPair, WebSocketRequestResponsePair, console_error,
    durable_object,
};

use crate::agent::wire;
use crate::auth::gate::ticket_protocol;
use crate::drill;
use crate::error::{ApiError, answer};
use crate::fanout::driver::Driver;
use crate::fanout::store::ADMIN;
use crate::internal::{SHARD, request_id};
use crate::shapes::VIEWER;

/// What a viewer may send to see whether the socket is alive; answered without waking the object.
const PING: &str = "ping";
const PONG: &str = "pong";
/// The longest command.
const MAX_COMMAND_BYTES: usize = 1 << 20;
/// Past events that a viewer without a cursor may ask for with `?recent=`.
const MAX_RECENT: u64 = 200;

/// A part of the firehose's viewers.
#[durable_object]
pub struct Fanout {
    driver: Rc<Driver>,
    env: Env,
}

impl DurableObject for Fanout {
    fn new(state: State, env: Env) -> Self {
        if let Ok(pair) = WebSocketRequestResponsePair::new(PING, PONG) {
            state.set_websocket_auto_response(&pair);
        }
        Self {
            driver: Driver::new(state, env.clone()),
            env,
        }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        if let Some(drilled) = drill::here(&request, &self.env).await {
            return drilled;
        }
        let id = request_id(&request);
        answer(self.handle(request).await, &id)
    }

    async fn alarm(&self) -> worker::Result<Response> {
        Response::empty()
    }

    async fn websocket_message(
        &self,
        socket: WebSocket,
        message: WebSocketIncomingMessage,
    ) -> worker::Result<()> {
        let text = match &message {
            WebSocketIncomingMessage::String(text) if text.len() <= MAX_COMMAND_BYTES => text,
            WebSocketIncomingMessage::String(_) | WebSocketIncomingMessage::Binary(_) => "",
        };
        if let Err(error) = self.driver.hear(&socket, text) {
            console_error!("firehose: {error}");
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
        self.leave(&socket);
        // It may be closed on both sides already.
        let _ = socket.close(Some(1000), Some("bye"));
        Ok(())
    }

    async fn websocket_error(&self, socket: WebSocket, _error: Error) -> worker::Result<()> {
        self.leave(&socket);
        Ok(())
    }
}

impl Fanout {
    async fn handle(&self, mut request: Request) -> Result<Response, ApiError> {
        match (request.method(), request.path().as_str()) {
            (Method::Get, "/firehose") => self.open(&request).await,
            (Method::Post, "/push") => {
                let push = wire::read(&mut request).await?;
                wire::respond(&self.driver.take(&push)?)
            }
            (method, path) => Err(ApiError::internal(format!("fanout: {method:?} {path}"))),
        }
    }

    async fn open(&self, request: &Request) -> Result<Response, ApiError> {
        let viewer = match request.headers().get(VIEWER)?.as_deref() {
            Some(ADMIN) => Viewer::Admin,
            _ => Viewer::Observer,
        };
        let wish = parse_wish(&request.url()?);
        let filter = Filter::try_from(&wish.filter).map_err(|error| refused(&error))?;
        let protocol = ticket_protocol(request)?;
        let name = request.headers().get(SHARD)?;
        let name = name.ok_or_else(|| ApiError::internal("a fan-out object without a name"))?;
        let joined = self.driver.join(name).await?;
        // After this nothing awaits: no event is missed between what the relay said and what follows.
        let pair = WebSocketPair::new()?;
        self.driver.state.accept_web_socket(&pair.server);
        self.driver
            .welcome(&pair.server, viewer, filter, wish.start, &joined)?;
        let headers = Headers::new();
        if let Some(protocol) = protocol {
            headers.set("sec-websocket-protocol", &protocol)?;
        }
        Ok(Response::from_websocket(pair.client)?.with_headers(headers))
    }

    fn leave(&self, socket: &WebSocket) {
        if let Err(error) = self.driver.leave(socket) {
            console_error!("firehose: {error}");
        }
    }
}

fn refused(error: &BadFilter) -> ApiError {
    ApiError::bad_request(error.code(), format!("{error}."))
}

/// What a viewer asks for in the query of the upgrade.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    start: Option<Start>,
    filter: FilterWish,
}

fn parse_wish(url: &url::Url) -> Wish {
    let mut wish = Wish {
        start: Some(Start::Recent(0)),
        filter: FilterWish::default(),
    };
    for (name, value) in url.query_pairs() {
        let list = match &*name {
            "cursor" if !value.is_empty() => {
                wish.start = value.parse().ok().map(Start::After);
                continue;
            }
            "recent" if matches!(wish.start, Some(Start::Recent(_))) => {
                let count: u64 = value.parse().unwrap_or(0);
                wish.start = Some(Start::Recent(count.min(MAX_RECENT)));
                continue;
            }
            "collections" => &mut wish.filter.collections,
            "kinds" => &mut wish.filter.kinds,
            "dids" => &mut wish.filter.dids,
            _ => continue,
        };
        let texts = value.split(',').filter(|text| !text.is_empty());
        list.extend(texts.map(str::to_owned));
    }
    wish
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish_of(query: &str) -> Wish {
        parse_wish(&url::Url::parse(&format!("http://object/firehose{query}")).unwrap())
    }

    #[test]
    fn a_viewer_may_ask_for_a_cursor_or_for_the_recent_past() {
        let recent = |count| Some(Start::Recent(count));
        assert_eq!(wish_of("").start, recent(0));
        let cursor = "ab.7".parse().ok().map(Start::After);
        assert_eq!(wish_of("?cursor=ab.7").start, cursor);
        assert_eq!(wish_of("?cursor=ab.7&recent=5").start, cursor);
        assert_eq!(wish_of("?cursor=nonsense").start, None);
        assert_eq!(wish_of("?recent=50").start, recent(50));
        assert_eq!(wish_of("?recent=99999").start, recent(MAX_RECENT));
        assert_eq!(wish_of("?recent=-1&cursor=").start, recent(0));
    }

    #[test]
    fn lists_are_written_with_commas_or_one_by_one() {
        let filter = wish_of("?collections=a.b,c.*&collections=d&kinds=message.*&dids=,x,").filter;
        assert_eq!(filter.collections, ["a.b", "c.*", "d"]);
        assert_eq!(filter.kinds, ["message.*"]);
        assert_eq!(filter.dids, ["x"]);
    }
}
