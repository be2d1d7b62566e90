//! Public events on a link: offering our agents' announcements, and believing the peer's.
//!
//! What came in has the right form and passed policy as what it says it is; here it must prove
//! that: the signature is checked against its agent's card, which is fetched from its network. What
//! fails is counted by its code and let go, and forging is held against the peer.

use std::rc::Rc;

use entente_federation::{CloseCode, Code, Input, Item, Stream};
use entente_lexicon::link_view::EventTally;
use entente_lexicon::{Did, Timestamp};
use entente_trust::announcement::{Announcement, AnnouncementError, Unverified};
use entente_trust::crypto::sign::{VerifyingKey, kid};
use entente_trust::policy::{self, Direction, ItemKind, Origin, Proof, Verdict, decide};
use entente_well_known::card::CardBody;
use serde_bytes::ByteBuf;
use worker::{Request, Response, console_warn};

use crate::agent::wire::{self, Announcements, NewAnnouncement, NewAnnouncements, Refusals};
use crate::error::ApiError;
use crate::internal;
use crate::link::directory::RETIRED_ORIGIN_MS;
use crate::link::driver::{Driver, not_peered};
use crate::link::store::{LinkStore, Outgoing};
use crate::link::streams::Arrival;
use crate::params;
use crate::shapes::Resolved;
use crate::store::d1::Directory;
use crate::store::sqlite::StoreError;

/// How many public events had which outcome.
pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS tallies(
    direction TEXT NOT NULL, code TEXT NOT NULL, n INTEGER NOT NULL, last_at INTEGER NOT NULL,
    PRIMARY KEY(direction, code)) WITHOUT ROWID";
/// The code of what went through.
const PASS: &str = "pass";
/// Every code of an event that is not what it says it is begins so.
const FORGED: &str = "EVENT_";
/// Kinds of outcome that are told apart; the codes are ours, so there are far fewer.
const MAX_TALLIES: u32 = 64;

/// What is wrong with an event: a code, and whether no honest peer would have sent it.
struct Doubt {
    code: Code,
    forged: bool,
}

impl Doubt {
    fn forged(code: &'static str) -> Self {
        Self {
            code: Code::from_static(code),
            forged: true,
        }
    }

    fn refused(code: &str) -> Self {
        Self {
            code: Code::lossy(code),
            forged: false,
        }
    }
}

impl Driver {
    pub(super) async fn route_events(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Response, ApiError> {
        let announcements = wire::read(request).await?;
        self.wake().await?;
        wire::respond(&self.offer_events(&announcements)?)
    }

    /// Takes announcements of our agents for the peer. Answers once those that policy lets out are
    /// stored.
    fn offer_events(self: &Rc<Self>, announcements: &Announcements) -> Result<Refusals, ApiError> {
        let to = self.peer()?.peer_did.clone();
        let mut refused = vec![None; announcements.items.len()];
        let mut offered = Vec::with_capacity(announcements.items.len());
        let mut places = Vec::with_capacity(announcements.items.len());
        for (place, bytes) in announcements.items.iter().enumerate() {
            let found = Announcement::decode(bytes).map_err(ApiError::internal)?;
            let (id, from) = (found.announcement.id, found.announcement.from);
            // An answer of ours that was lost makes the relay offer it again.
            if self.store.holds_event(&id, &from)? {
                continue;
            }
            places.push(place);
            offered.push(Outgoing {
                item: Item {
                    id,
                    from,
                    to: to.clone(),
                    bytes: bytes.as_slice().into(),
                    expires: None,
                },
                object: String::new(),
            });
        }
        let items = offered.iter().map(|one| one.item.clone()).collect();
        let stream = Stream::Evt;
        let outcomes = self.feed_offer(Input::Enqueue { stream, items }, &offered)?;
        for (place, outcome) in places.into_iter().zip(outcomes) {
            self.tally(Direction::Outbound, outcome.as_deref().unwrap_or(PASS));
            if let Some(slot) = refused.get_mut(place) {
                *slot = outcome;
            }
        }
        Ok(Refusals { refused })
    }

    /// Passes events that hold on to the relay, which keeps and shows them.
    pub(super) async fn pass_events(self: &Rc<Self>, arrivals: &[Arrival]) -> Result<(), ApiError> {
        let mut items = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            match self.believe(&arrival.item).await? {
                Ok(item) => items.push(item),
                Err(doubt) => self.doubt(&doubt),
            }
        }
        if items.is_empty() {
            return Ok(());
        }
        let news = NewAnnouncements {
            peer: Some(self.peer()?.host.to_string()),
            items,
        };
        let relay = internal::relay(&self.env)?;
        let reply: Refusals = wire::call(&relay, "/announcements", &news).await?;
        for refused in reply.refused {
            match refused {
                None => self.tally(Direction::Inbound, PASS),
                Some(code) => self.doubt(&Doubt::refused(&code)),
            }
        }
        Ok(())
    }

    /// Notes an event that was let go before it was stored.
    pub(super) fn event_refused(self: &Rc<Self>, code: &Code) {
        self.doubt(&Doubt {
            code: code.clone(),
            forged: code.as_str().starts_with(FORGED),
        });
    }

    /// Checks an event that arrived. The outer error means that it cannot be known now.
    async fn believe(
        self: &Rc<Self>,
        item: &Item,
    ) -> Result<Result<NewAnnouncement, Doubt>, ApiError> {
        let found = match Announcement::decode(&item.bytes) {
            Ok(found) => found,
            Err(error) => return Ok(Err(Doubt::forged(error.code()))),
        };
        let card = match self.author(&found).await? {
            Ok(card) => card,
            Err(doubt) => return Ok(Err(doubt)),
        };
        // The policy may have changed since it was stored.
        if let Some(code) = self.refusal_of(&found.announcement)? {
            return Ok(Err(Doubt::refused(code)));
        }
        Ok(Ok(NewAnnouncement {
            bytes: ByteBuf::from(item.bytes.as_ref()),
            name: card.name.to_string(),
            host: card.host.to_string(),
        }))
    }

    /// Finds the card of the agent that signed an announcement.
    async fn author(
        self: &Rc<Self>,
        found: &Unverified,
    ) -> Result<Result<CardBody, Doubt>, ApiError> {
        // Its keys may have been rotated since its card was fetched.
        for fresh in [false, true] {
            let card = match self.card_of(&found.announcement, fresh).await {
                Ok(card) => card,
                Err(error) => return unknown_author(error).map(Err),
            };
            if card.network != found.announcement.network {
                return Ok(Err(Doubt::forged("EVENT_FOREIGN_AUTHOR")));
            }
            if is_signed(found, &card, internal::now())? {
                return Ok(Ok(card));
            }
        }
        Ok(Err(Doubt::forged(AnnouncementError::BadSignature.code())))
    }

    /// Asks the network that an announcement names for its author's card: the peer, or one that the
    /// admin lets pass through it, over the link we have to that one ourselves.
    async fn card_of(
        self: &Rc<Self>,
        announcement: &Announcement,
        fresh: bool,
    ) -> Result<CardBody, ApiError> {
        let agent = announcement.from.as_str();
        let resolved: Resolved = if announcement.network == self.peer()?.peer_did {
            serde_json::from_str(&self.card(agent, fresh).await?)?
        } else {
            let network = &announcement.network;
            // An object of its own is made for every name that is asked for.
            if Directory::open(&self.env)?.peer(network).await?.is_none() {
                return Err(not_peered());
            }
            let link = internal::link(&self.env, network)?;
            let asked = if fresh { "&fresh=1" } else { "" };
            let path = format!("/resolve?agent={agent}{asked}");
            internal::get(&link, &path, &internal::new_request_id()).await?
        };
        Ok(serde_json::from_str(&resolved.card)?)
    }

    /// Says why our policy does not let a sound announcement in, if it does not.
    fn refusal_of(&self, announcement: &Announcement) -> Result<Option<&'static str>, ApiError> {
        let peer = self.peer()?;
        let origin = if announcement.network == peer.peer_did {
            Origin::Speaker
        } else {
            Origin::Other(&announcement.network)
        };
        let item = policy::Item {
            kind: ItemKind::Event {
                collection: &announcement.collection,
                origin,
            },
            proof: Proof::Sound,
        };
        let machine = self.machine.borrow();
        let machine = machine.as_ref().ok_or_else(not_peered)?;
        Ok(match decide(machine.policy(), Direction::Inbound, &item) {
            Verdict::Pass => None,
            Verdict::Hold(reason) | Verdict::Refuse(reason) => Some(reason.code()),
        })
    }

    fn doubt(self: &Rc<Self>, doubt: &Doubt) {
        let code = doubt.code.as_str();
        self.tally(Direction::Inbound, code);
        if doubt.forged {
            console_warn!("the peer sent an event that is not what it says it is: {code}");
            if self.note_forgery(code) {
                self.drop_sockets(CloseCode::BadSignature);
            }
        }
    }

    /// Counts an outcome. Counts are for people: a failure costs no event.
    fn tally(&self, direction: Direction, code: &str) {
        if let Err(error) = self.store.tally(direction, code, internal::now()) {
            console_warn!("an event was not counted: {error}");
        }
    }

    /// Returns what became of public events, by direction and code.
    pub(super) fn event_tallies(&self) -> Result<Vec<EventTally>, ApiError> {
        Ok(self.store.tallies()?)
    }
}

/// Tells whether a current key of the card, or one that was replaced lately, signed.
fn is_signed(found: &Unverified, card: &CardBody, now: Timestamp) -> Result<bool, ApiError> {
    let retired = card.retired.iter().filter(|old| {
        let until = old.valid_until.unwrap_or_default();
        now.since(until) < RETIRED_ORIGIN_MS
    });
    let retired = retired.map(|old| &old.public_key_multibase);
    for multikey in std::iter::once(&card.keys.signing).chain(retired) {
        if kid(multikey) == found.announcement.kid {
            let key = VerifyingKey::from_multikey(multikey).map_err(ApiError::internal)?;
            return Ok(found.verify(&key).is_ok());
        }
    }
    Ok(false)
}

/// Says what it means that an author's card cannot be had: for good, or only now.
fn unknown_author(error: ApiError) -> Result<Doubt, ApiError> {
    match (error.status, &*error.code) {
        // Its network knows of no such agent, and never has.
        (404, _) => Ok(Doubt::forged("EVENT_FOREIGN_AUTHOR")),
        // An admin has yet to decide about the peer's keys.
        (_, "KEY_CHANGED") | (500.., _) => Err(error),
        _ => Ok(Doubt::refused(&error.code)),
    }
}

impl LinkStore {
    /// Tells whether an event waits for the peer already.
    fn holds_event(&self, id: &[u8; 16], from: &Did) -> Result<bool, StoreError> {
        let row = self.row(
            "SELECT 1 FROM others WHERE stream = 'evt' AND id = ? AND sender = ?",
            params![*id, from.as_str()],
        )?;
        Ok(row.is_some())
    }

    fn tally(&self, direction: Direction, code: &str, at: Timestamp) -> Result<(), StoreError> {
        self.exec(
            "INSERT INTO tallies(direction, code, n, last_at) VALUES(?1, ?2, 1, ?3)
             ON CONFLICT(direction, code) DO UPDATE SET n = n + 1, last_at = ?3",
            params![name(direction), code, at],
        )
    }

    fn tallies(&self) -> Result<Vec<EventTally>, StoreError> {
        let rows = self.rows(
            "SELECT direction, code, n, last_at FROM tallies ORDER BY direction, code LIMIT ?",
            params![MAX_TALLIES],
        )?;
        rows.iter()
            .map(|row| {
                Ok(EventTally {
                    direction: row.text(0)?,
                    code: row.text(1)?,
                    count: row.integer(2)?,
                    last_at: row.timestamp(3)?,
                })
            })
            .collect()
    }
}

/// The name of a direction, as people are shown it.
pub(super) const fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "in",
        Direction::Outbound => "out",
    }
}
