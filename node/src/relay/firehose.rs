//! The firehose: who is let in, and the status that viewers are told beside the events.

use std::rc::Rc;
use std::time::Duration;

use entente_firehose::Head;
use entente_lexicon::api::{AgentPresence, FirehoseFrame, PublicPeer, Ticket, Viewer};
use entente_lexicon::{Host, Timestamp, TrustLevel};
use entente_trust::crypto::token::{Token, token_hash};
use entente_trust::policy;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, console_warn};

use crate::error::ApiError;
use crate::fanout::wire::{AskSeat, Joined, Seat, Sockets, StatusFrames};
use crate::internal::{now, rng};
use crate::relay::core::{Core, Listed, Live};

const TICKET_LIFE_MS: u64 = 30_000;
/// Status frames are at least so far apart.
const STATUS_INTERVAL_MS: u64 = 1_000;
/// A viewer that joins may be shown a status frame that is so old.
const STATUS_KEPT_MS: u64 = 200;

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

    /// Lets a viewer in: checks its ticket and says which fan-out object takes it.
    pub(super) fn seat(&self, ask: &AskSeat) -> Result<Seat, ApiError> {
        if let Some(ticket) = &ask.ticket
            && !self.store.take_ticket(&token_hash(ticket), now())?
        {
            return Err(ApiError::new(
                401,
                "TICKET_INVALID",
                "The ticket is unknown, used or older than 30 s: get a new one with POST /admin/ticket.",
            ));
        }
        let seats = self.config()?.firehose_seats;
        let shard = self.with_live(|live| Ok(live.shards.seat(ask.viewer, seats)))?;
        shard.map(|shard| Seat { shard }).ok_or_else(|| {
            ApiError::new(
                503,
                "TOO_MANY_SOCKETS",
                "The firehose has all the viewers it can take: try again later.",
            )
        })
    }

    /// Notes that a fan-out object has viewers, and says where the stream is.
    pub(super) async fn join(self: &Rc<Self>, join: &Sockets) -> Result<Joined, ApiError> {
        let status = self.fresh_status().await?;
        // After this nothing awaits: what is pushed from here on follows what is answered here.
        self.with_live(|live| {
            if live.shards.join(join, live.newest) {
                self.keep_shards(&live.shards)?;
            }
            let floor = self
                .store
                .oldest()?
                .map_or(live.newest, |oldest| oldest.saturating_sub(1));
            Ok(Joined {
                head: Head {
                    epoch: live.epoch.clone(),
                    floor,
                    newest: live.newest,
                },
                status,
            })
        })
    }

    async fn fresh_status(&self) -> Result<StatusFrames, ApiError> {
        let known = self.with_live(|live| Ok(live.shards.status.clone()))?;
        let looked = self.status_looked.get();
        if let Some(status) = known
            && (!self.status_stale.get() || now().since(looked) < STATUS_KEPT_MS)
        {
            return Ok(status);
        }
        self.look_at_status().await?;
        let status = self.with_live(|live| Ok(live.shards.status.clone()))?;
        status.ok_or_else(|| ApiError::internal("no status"))
    }

    /// Sends a status frame soon, unless one is due already or nobody looks.
    pub(super) fn schedule_status(self: &Rc<Self>) {
        self.status_stale.set(true);
        let nobody = self.with_live(|live| Ok(live.shards.is_empty()));
        if nobody.unwrap_or(true) || self.status_due.replace(true) {
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
        if self.look_at_status().await? {
            self.schedule_status();
        }
        self.push_soon();
        Ok(())
    }

    /// Makes the status frames anew. Returns whether time alone will change them.
    async fn look_at_status(&self) -> Result<bool, ApiError> {
        let listed = self.listed().await?;
        let level = self.config()?.trust_level;
        let at = now();
        self.status_stale.set(false);
        self.status_looked.set(at);
        self.with_live(|live| {
            let text = |viewer| serde_json::to_string(&status(live, &listed, viewer, level, at));
            let frames = StatusFrames {
                admin: text(Viewer::Admin)?.into(),
                observer: text(Viewer::Observer)?.into(),
            };
            live.shards.set_status(frames);
            Ok(live.presence.will_rest(at))
        })
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
