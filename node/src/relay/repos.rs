//! atproto's stream of repos: what happened to the public repos of our agents, in one sequence that
//! readers follow from a cursor on. See `docs/protocol/repo.md`, section 6.
//!
//! A reader gets what is stored behind the place it is at, page by page, and nothing else: so there is
//! neither a gap nor a doublet between what was and what comes, whoever sleeps or dies.

use std::rc::Rc;
use std::time::Duration;

use entente_lexicon::{Did, Tid};
use entente_memory::repo::events::{self, Body, Event};
use serde_bytes::ByteBuf;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, Request, Response, WebSocket, WebSocketPair, console_warn};

use crate::agent::wire::NewRepoEvent;
use crate::error::ApiError;
use crate::internal::{now, random};
use crate::params;
use crate::relay::core::Core;
use crate::relay::store::RelayStore;
use crate::shapes::RepoHead;
use crate::store::sqlite::{Row, StoreError};

/// The stream, by place; `id` is the event's own, by which one that is handed over again is known.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS repo_events (
  seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, frame BLOB NOT NULL);
";

/// Frames that are kept: of each at most 32 KiB are blocks.
const MAX_KEPT: u64 = 2_000;
/// Readers at one time.
const MAX_READERS: usize = 64;
/// Frames sent to a reader in one turn.
const PAGE: u32 = 50;
/// The last place that was dropped.
const DROPPED: &str = "repo-events-dropped";
/// A reader asks for what is yet to come.
const POLICY: u16 = 1008;

impl Core {
    /// Gives events their places and sends them to who reads.
    pub(super) fn take_repo_events(self: &Rc<Self>, news: &[NewRepoEvent]) -> Result<(), ApiError> {
        self.store.transaction(|| {
            for one in news {
                let event: Event =
                    serde_ipld_dagcbor::from_slice(&one.event).map_err(ApiError::internal)?;
                // An instant, so that it grows whatever was put back from a backup.
                let seq = self.store.last_repo_event()?.saturating_add(1).max(now().0);
                self.store
                    .keep_repo_event(seq, &one.id, &event.frame(seq))?;
                if let Some(commit) = event.head() {
                    self.store.note_head(&RepoHead {
                        commit: commit.to_string(),
                        did: event.did,
                        rev: event.rev,
                    })?;
                }
            }
            Ok::<_, ApiError>(self.store.prune_repo_events()?)
        })?;
        for socket in self.state.get_websockets() {
            self.pump(socket);
        }
        Ok(())
    }

    /// Tells readers that an agent was deleted.
    pub(super) fn take_deleted_repo(self: &Rc<Self>, did: Did) -> Result<(), ApiError> {
        if !self.store.exists()? {
            return Ok(());
        }
        self.store.forget_endorsements(did.as_str())?;
        let at = now();
        let event = Event {
            did,
            rev: Tid::after(None, at.0.saturating_mul(1_000), 0),
            body: Body::Deleted,
            blocks: Vec::new(),
            at,
        };
        let event = serde_ipld_dagcbor::to_vec(&event).map_err(ApiError::internal)?;
        self.take_repo_events(&[NewRepoEvent {
            id: ByteBuf::from(random::<16>()),
            event: ByteBuf::from(event),
        }])
    }

    /// Answers the upgrade of a reader.
    pub(super) fn read_repos(self: &Rc<Self>, request: &Request) -> Result<Response, ApiError> {
        let url = request.url()?;
        let cursor = url.query_pairs().find(|(name, _)| name == "cursor");
        let cursor = cursor.filter(|(_, text)| !text.is_empty());
        let cursor = cursor.map(|(_, text)| text.parse::<u64>()).transpose();
        let cursor = cursor.map_err(|_error| {
            ApiError::bad_request("InvalidRequest", "`cursor` is the `seq` of a frame.")
        })?;
        if self.state.get_websockets().len() >= MAX_READERS {
            return Err(ApiError::new(
                503,
                "TOO_MANY_SOCKETS",
                "64 readers follow this network's repos already: try again later.",
            ));
        }
        let (newest, dropped) = (self.store.last_repo_event()?, self.store.dropped()?);
        let pair = WebSocketPair::new()?;
        self.state.accept_web_socket(&pair.server);
        let at = cursor.unwrap_or(newest);
        if at > newest {
            let last = events::error("FutureCursor", "The cursor is later than all there is.");
            pair.server.send_with_bytes(last)?;
            pair.server.close(Some(POLICY), Some("FutureCursor"))?;
            return Ok(Response::from_websocket(pair.client)?);
        }
        if at < dropped {
            let told = events::info("OutdatedCursor", "Some of what followed is not kept.");
            pair.server.send_with_bytes(told)?;
        }
        pair.server.serialize_attachment(at)?;
        self.pump(pair.server);
        Ok(Response::from_websocket(pair.client)?)
    }

    /// Sends a reader what follows the place it is at; the rest in turns of their own.
    fn pump(self: &Rc<Self>, socket: WebSocket) {
        match self.send_page(&socket) {
            Ok(false) => {}
            Ok(true) => {
                let core = Rc::clone(self);
                spawn_local(async move {
                    Delay::from(Duration::ZERO).await;
                    core.pump(socket);
                });
            }
            Err(error) => {
                console_warn!("a reader of repos is left: {error}");
                let _ = socket.close(Some(1011), Some("try again"));
            }
        }
    }

    /// Returns whether there is more.
    fn send_page(&self, socket: &WebSocket) -> Result<bool, ApiError> {
        let Some(at) = socket.deserialize_attachment::<u64>()? else {
            // It was refused, and is being closed.
            return Ok(false);
        };
        let rows = self.store.repo_events_after(at, PAGE)?;
        for (seq, frame) in &rows {
            socket.send_with_bytes(frame)?;
            socket.serialize_attachment(*seq)?;
        }
        Ok(rows.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX))
    }
}

impl RelayStore {
    fn keep_repo_event(&self, seq: u64, id: &[u8], frame: &[u8]) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO repo_events (seq, id, frame) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
            params![seq, id, frame],
        )
    }

    /// Returns the newest place; that of what was dropped last, if that was all.
    fn last_repo_event(&self) -> Result<u64, StoreError> {
        let row = self.db.row("SELECT max(seq) FROM repo_events", params![])?;
        let last = row.map(|row| row.optional(0, Row::integer)).transpose()?;
        Ok(last.flatten().unwrap_or_default().max(self.dropped()?))
    }

    fn repo_events_after(&self, seq: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let rows = self.db.rows(
            "SELECT seq, frame FROM repo_events WHERE seq > ? ORDER BY seq LIMIT ?",
            params![seq, limit],
        )?;
        let frames = rows.iter().map(|row| Ok((row.integer(0)?, row.blob(1)?)));
        frames.collect()
    }

    fn dropped(&self) -> Result<u64, StoreError> {
        let kept = self.meta(DROPPED)?.and_then(|kept| kept.try_into().ok());
        Ok(kept.map_or(0, u64::from_be_bytes))
    }

    fn prune_repo_events(&self) -> Result<(), StoreError> {
        let row = self.db.row(
            "SELECT seq FROM repo_events ORDER BY seq DESC LIMIT 1 OFFSET ?",
            params![MAX_KEPT],
        )?;
        let Some(row) = row else { return Ok(()) };
        let upto = row.integer(0)?;
        self.set_meta(DROPPED, &upto.to_be_bytes())?;
        self.db
            .exec("DELETE FROM repo_events WHERE seq <= ?", params![upto])
    }
}
