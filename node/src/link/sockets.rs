//! The sockets of a link: dialling, accepting, reading.

use std::rc::Rc;
use std::time::Duration;

use entente_federation::{CloseCode, Code, Input, SocketId};
use entente_well_known::signature::HOST;
use futures::StreamExt;
use futures::future::{Either, select};
use wasm_bindgen_futures::spawn_local;
use worker::{
    Delay, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response, WebSocket,
    WebSocketPair, WebsocketEvent, console_warn,
};

use crate::edge::signature::sign_get;
use crate::error::ApiError;
use crate::internal;
use crate::link::conduct::Meter;
use crate::link::driver::Driver;

/// How long an upgrade may take.
const DIAL_TIMEOUT_MS: u64 = 10_000;
/// The close code of a socket that ended without one.
const ABNORMAL: u16 = 1006;
/// What follows a relay's URL when it is dialled.
const FEDERATION_PATH: &str = "/relay/federation";

impl Driver {
    /// Dials the peer and tells the machine how that went.
    pub(super) async fn dial(self: Rc<Self>) {
        let own = self.own.borrow().clone();
        let opened = self.open().await;
        // What was signed with a key that is replaced meanwhile must not be followed by a HELLO
        // under the new one.
        let same = match (own, self.own.borrow().as_ref()) {
            (Some(before), Some(after)) => Rc::ptr_eq(&before, after),
            (_, _) => false,
        };
        match opened {
            Ok(socket) if !same => {
                let _ = socket.accept();
                let _ = socket.close(Some(1000), Some("keys rotated"));
                let code = Code::from_static("KEY_ROTATED");
                self.feed_quietly(Input::DialFailed { code });
            }
            Ok(socket) => match self.adopt(socket) {
                Ok(socket) => self.feed_quietly(Input::Dialled { socket }),
                Err(_) => {
                    let code = Code::from_static("PEER_UNREACHABLE");
                    self.feed_quietly(Input::DialFailed { code });
                }
            },
            Err(code) => self.feed_quietly(Input::DialFailed { code }),
        }
    }

    pub(super) async fn open(&self) -> Result<WebSocket, Code> {
        const UNREACHABLE: &str = "PEER_UNREACHABLE";
        let request = self.upgrade_request().map_err(|error| {
            console_warn!("the upgrade could not be written: {error}");
            Code::from_static("CONFIG_INVALID")
        })?;
        let fetch = Fetch::Request(request);
        let attempt = std::pin::pin!(fetch.send());
        let timeout = Delay::from(Duration::from_millis(DIAL_TIMEOUT_MS));
        let response = match select(attempt, timeout).await {
            Either::Left((Ok(response), _)) => response,
            Either::Left((Err(_), _)) => return Err(Code::from_static(UNREACHABLE)),
            Either::Right(_) => return Err(Code::from_static("PEER_SILENT")),
        };
        self.upgraded(response).await
    }

    fn upgrade_request(&self) -> Result<Request, ApiError> {
        let own = self.own()?;
        let peer = self.peer()?;
        let headers = Headers::new();
        headers.set("upgrade", "websocket")?;
        headers.set(HOST, own.host.as_str())?;
        let path = (FEDERATION_PATH, None);
        sign_get(&headers, &own.signer(), peer.host.as_str(), path)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Get)
            .with_headers(headers)
            .with_redirect(RequestRedirect::Manual);
        let url = format!("{}{FEDERATION_PATH}", self.config()?.origin(&peer.host));
        Ok(Request::new_with_init(&url, &init)?)
    }

    async fn upgraded(&self, mut response: Response) -> Result<WebSocket, Code> {
        let status = response.status_code();
        if status != 101 {
            let body = response.bytes().await.unwrap_or_default();
            let known = internal::decode_error(status, body.get(..4096).unwrap_or(&body));
            return Err(match status {
                300..=399 => Code::from_static("PEER_REDIRECTS"),
                400..=499 => Code::lossy(&known.code),
                _ => Code::from_static("PEER_UNREACHABLE"),
            });
        }
        response
            .websocket()
            .ok_or(Code::from_static("PEER_UNREACHABLE"))
    }

    /// Takes a socket that the peer opened, as the Worker passed it on.
    pub(super) fn accept(self: &Rc<Self>, request: &Request) -> Result<Response, ApiError> {
        let claimed = self.admit_upgrade(request)?;
        let pair = WebSocketPair::new()?;
        let socket = self.adopt(pair.server)?;
        self.feed(Input::Accepted { socket, claimed })?;
        Ok(Response::from_websocket(pair.client)?)
    }

    /// Numbers a socket and reads it until it closes.
    fn adopt(self: &Rc<Self>, socket: WebSocket) -> Result<SocketId, ApiError> {
        let id = SocketId(self.next_socket.get());
        self.next_socket.set(id.0.saturating_add(1));
        // Without this, binary frames of a dialled socket arrive as Blobs and read as empty.
        socket
            .as_ref()
            .set_binary_type(web_sys::BinaryType::Arraybuffer);
        // Frames are sent in this very turn, so accept now; none can arrive before the reader,
        // which starts within the turn too, listens.
        socket.accept()?;
        self.sockets.borrow_mut().insert(id, socket.clone());
        let driver = Rc::clone(self);
        spawn_local(async move {
            let code = driver.read(id, &socket).await;
            driver.sockets.borrow_mut().remove(&id);
            driver.feed_quietly(Input::Closed { socket: id, code });
        });
        Ok(id)
    }

    async fn read(self: &Rc<Self>, id: SocketId, socket: &WebSocket) -> u16 {
        let Ok(mut events) = socket.events() else {
            return ABNORMAL;
        };
        let mut meter = Meter::new(internal::now());
        while let Some(event) = events.next().await {
            match event {
                Ok(WebsocketEvent::Message(message)) => {
                    // Text is no frame of ours: the machine refuses the empty one.
                    let bytes = message.bytes().unwrap_or_default();
                    if self.is_flood(&mut meter, bytes.len()) {
                        let code = CloseCode::Flood;
                        let _ = socket.close(Some(code.number()), Some(code.as_str()));
                        return code.number();
                    }
                    self.feed_quietly(Input::Frame {
                        socket: id,
                        bytes: &bytes,
                    });
                }
                Ok(WebsocketEvent::Close(close)) => {
                    let code = close.code();
                    let _ = socket.close(Some(1000), Some("closed"));
                    return code;
                }
                Err(_) => return ABNORMAL,
            }
        }
        ABNORMAL
    }

    pub(super) fn transmit(&self, id: SocketId, frame: &[u8]) {
        let socket = self.sockets.borrow().get(&id).cloned();
        // A socket that is gone is reported by its close; the machine sends again elsewhere.
        if let Some(socket) = socket {
            self.note_sent(frame);
            let _ = socket.send_with_bytes(frame);
        }
    }

    pub(super) fn close(&self, id: SocketId, code: u16, reason: &str) {
        let socket = self.sockets.borrow_mut().remove(&id);
        if let Some(socket) = socket {
            let _ = socket.close(Some(code), Some(reason));
        }
    }
}
