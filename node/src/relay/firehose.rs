//! The firehose: sockets of viewers, what they see on connecting, and status frames.

use std::rc::Rc;
use std::time::Duration;

use entente_lexicon::api::{AgentPresence, FirehoseFrame, PublicPeer, Ticket, Viewer};
use entente_lexicon::{Host, Timestamp, TrustLevel};
use entente_trust::crypto::token::{Token, token_hash};
use entente_trust::policy;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, Headers, Request, Response, WebSocket, WebSocketPair, console_warn};

use crate::auth::gate::{TICKET_PROTOCOL, ticket_protocol};
use crate::error::ApiError;
use crate::internal::{now, rng};
use crate::relay::core::{Core, Listed, Live};
use crate::relay::events::{cursor, frame, parse_cursor};
use crate::shapes::VIEWER;

/// The tag of an admin's socket.
pub(super) const ADMIN: &str = "admin";
/// The tag of an observer's socket.
pub(super) const OBSERVER: &str = "observer";

/// Sockets of all viewers together.
const MAX_SOCKETS: usize = 1_000;
/// Of these, observers leave some for admins.
const MAX_OBSERVERS: usize = 900;
const TICKET_LIFE_MS: u64 = 30_000;
/// Status frames are at least so far apart.
const STATUS_INTERVAL_MS: u64 = 1_000;
/// Past events that a viewer without a cursor may ask for with `?recent=`.
const MAX_RECENT: u64 = 200;

/// What a viewer asks for in the query of the upgrade.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    cursor: Option<String>,
    recent: u64,
}

impl Core {
    /// Makes a one-time pass for an admin's socket.
    pub(super) fn make_ticket(&self) -> Result<Ticket, ApiError> {
        let token = Token::generate(&mut rng(), "");
        let (now, expires_at) = (now(), now().after(TICKET_LIFE_MS));
        let kept = self
            .store
            .add_ticket(&token_hash(token.as_str()), now, expires_at)?;
        if !kept {
            return Err(ApiError::new(
                429,
                "TOO_MANY_TICKETS",
                "Too many tickets wait to be used: try again in 30 seconds.",
            ));
        }
        Ok(Ticket {
            ticket: token.as_str().to_owned(),
            expires_at,
        })
    }

    /// Opens a viewer's socket.
    pub(super) async fn open_firehose(
        self: &Rc<Self>,
        request: &Request,
    ) -> Result<Response, ApiError> {
        let protocol = ticket_protocol(request)?;
        let viewer = self.admit_viewer(request, protocol.as_deref())?;
        let wish = wish(request)?;
        // After this nothing awaits: no event is missed between what is replayed and what follows.
        let listed = self.listed().await?;
        self.check_room(viewer)?;
        let pair = WebSocketPair::new()?;
        let tag = match viewer {
            Viewer::Admin => ADMIN,
            Viewer::Observer => OBSERVER,
        };
        self.state.accept_websocket_with_tags(&pair.server, &[tag]);
        self.greet(&pair.server, viewer, &wish, &listed)?;
        let response = Response::from_websocket(pair.client)?;
        let headers = Headers::new();
        if let Some(protocol) = protocol {
            headers.set("sec-websocket-protocol", &protocol)?;
        }
        Ok(response.with_headers(headers))
    }

    fn admit_viewer(&self, request: &Request, protocol: Option<&str>) -> Result<Viewer, ApiError> {
        if let Some(ticket) = protocol.and_then(|text| text.strip_prefix(TICKET_PROTOCOL)) {
            return if self.store.take_ticket(&token_hash(ticket), now())? {
                Ok(Viewer::Admin)
            } else {
                Err(ApiError::new(
                    401,
                    "TICKET_INVALID",
                    "The ticket is unknown, used or older than 30 s: get a new one with POST /admin/ticket.",
                ))
            };
        }
        let said = request.headers().get(VIEWER)?;
        Ok(match said.as_deref() {
            Some(ADMIN) => Viewer::Admin,
            _ => Viewer::Observer,
        })
    }

    fn check_room(&self, viewer: Viewer) -> Result<(), ApiError> {
        let observers = self.state.get_websockets_with_tag(OBSERVER).len();
        let admins = self.state.get_websockets_with_tag(ADMIN).len();
        let full = match viewer {
            Viewer::Admin => observers.saturating_add(admins) >= MAX_SOCKETS,
            Viewer::Observer => observers >= MAX_OBSERVERS,
        };
        if full {
            return Err(ApiError::new(
                503,
                "TOO_MANY_SOCKETS",
                "The firehose has all the viewers it can take: try again later.",
            ));
        }
        Ok(())
    }

    /// Sends the status, then what the viewer missed.
    fn greet(
        &self,
        socket: &WebSocket,
        viewer: Viewer,
        wish: &Wish,
        listed: &Listed,
    ) -> Result<(), ApiError> {
        let level = self.config()?.trust_level;
        self.with_live(|live| {
            let status = status(live, listed, viewer, level, now());
            send(socket, &serde_json::to_string(&status)?);
            let after = match wish.cursor.as_deref() {
                None => live.newest.saturating_sub(wish.recent),
                Some(text) => match self.resume(live, text)? {
                    Some(seq) => seq,
                    None => {
                        let gap = FirehoseFrame::Gap {
                            cursor: cursor(&live.epoch, live.newest),
                        };
                        send(socket, &serde_json::to_string(&gap)?);
                        live.newest
                    }
                },
            };
            if after < live.newest {
                for event in self.store.after(after)? {
                    let seen = match viewer {
                        Viewer::Admin => event,
                        Viewer::Observer => live.anonymiser.event(&event),
                    };
                    send(socket, &frame(live, seen)?);
                }
            }
            Ok(())
        })
    }

    /// Returns the event to go on after, or `None` if events after it are no longer kept.
    fn resume(&self, live: &Live, text: &str) -> Result<Option<u64>, ApiError> {
        let Some((epoch, seq)) = parse_cursor(text) else {
            return Ok(None);
        };
        let oldest = self.store.oldest()?;
        let kept = oldest.is_none_or(|oldest| seq.saturating_add(1) >= oldest);
        Ok((epoch == live.epoch && kept && seq <= live.newest).then_some(seq))
    }

    /// Sends a status frame soon, unless one is due already or nobody looks.
    pub(super) fn schedule_status(self: &Rc<Self>) {
        if self.state.get_websockets().is_empty() || self.status_due.replace(true) {
            return;
        }
        let core = Rc::clone(self);
        spawn_local(async move {
            Delay::from(Duration::from_millis(STATUS_INTERVAL_MS)).await;
            core.status_due.set(false);
            if let Err(error) = core.send_status().await {
                console_warn!("status frame: {error}");
            }
        });
    }

    async fn send_status(self: &Rc<Self>) -> Result<(), ApiError> {
        let listed = self.listed().await?;
        let level = self.config()?.trust_level;
        let at = now();
        let again = self.with_live(|live| {
            let admin = serde_json::to_string(&status(live, &listed, Viewer::Admin, level, at))?;
            if admin == live.last_status {
                return Ok(live.presence.will_rest(at));
            }
            for socket in self.state.get_websockets_with_tag(ADMIN) {
                send(&socket, &admin);
            }
            let observers = self.state.get_websockets_with_tag(OBSERVER);
            if !observers.is_empty() {
                let frame = status(live, &listed, Viewer::Observer, level, at);
                let text = serde_json::to_string(&frame)?;
                for socket in observers {
                    send(&socket, &text);
                }
            }
            live.last_status = admin;
            Ok(live.presence.will_rest(at))
        })?;
        if again {
            self.schedule_status();
        }
        Ok(())
    }

    /// Returns the peers with the state of their links.
    pub(super) async fn peers(&self) -> Result<Vec<PublicPeer>, ApiError> {
        let listed = self.listed().await?;
        self.with_live(|live| Ok(with_states(live, &listed)))
    }
}

/// Makes a status frame for a viewer.
fn status(
    live: &Live,
    listed: &Listed,
    viewer: Viewer,
    level: TrustLevel,
    at: Timestamp,
) -> FirehoseFrame {
    let agents = listed.agents.iter().map(|(did, name, admin_read)| {
        let shown = live.presence.show(did, name.as_str(), *admin_read, at);
        match viewer {
            Viewer::Admin => shown,
            Viewer::Observer => AgentPresence {
                id: live.anonymiser.id(did.as_str(), at),
                name: None,
                admin_read: None,
                ..shown
            },
        }
    });
    let mut agents: Vec<AgentPresence> = agents.collect();
    if viewer == Viewer::Observer {
        // By name they would be in an order that tells who is who.
        agents.sort_by(|a, b| a.id.cmp(&b.id));
    }
    let hidden = viewer == Viewer::Observer && !policy::allows_link(level);
    let peers = if hidden {
        Vec::new()
    } else {
        with_states(live, listed)
    };
    FirehoseFrame::Status {
        viewer,
        network: Core::network(&live.stored, level),
        agents,
        peers,
    }
}

fn with_states(live: &Live, listed: &Listed) -> Vec<PublicPeer> {
    let state = |host: &str| {
        let host = Host::parse(host).ok();
        host.map(|host| live.presence.link_state(&host))
    };
    listed
        .peers
        .iter()
        .map(|peer| PublicPeer {
            state: state(&peer.host).unwrap_or(peer.state),
            ..peer.clone()
        })
        .collect()
}

/// Sends to a socket that may be gone; its close event tidies up.
pub(super) fn send(socket: &WebSocket, text: &str) {
    if socket.send_with_str(text).is_err() {
        let _ = socket.close(Some(1011), Some("cannot be sent to"));
    }
}

fn wish(request: &Request) -> Result<Wish, ApiError> {
    Ok(parse_wish(&request.url()?))
}

fn parse_wish(url: &url::Url) -> Wish {
    let mut wish = Wish::default();
    for (name, value) in url.query_pairs() {
        match &*name {
            "cursor" if !value.is_empty() => wish.cursor = Some(value.into_owned()),
            "recent" => wish.recent = value.parse().unwrap_or(0).min(MAX_RECENT),
            _ => {}
        }
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
        assert_eq!(wish_of(""), Wish::default());
        assert_eq!(wish_of("?cursor=ab.7").cursor.as_deref(), Some("ab.7"));
        assert_eq!(wish_of("?recent=50").recent, 50);
        assert_eq!(wish_of("?recent=99999").recent, MAX_RECENT);
        assert_eq!(wish_of("?recent=-1&cursor="), Wish::default());
    }
}
