//! What this agent has read: noted here, and told to those who wrote it where the agent agrees.
//!
//! A mark is signed and stored in the transaction that notes what was read, and is kept until the
//! link, or the sender's object on our own network, has committed it. Told twice it changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use entente_federation::frame::control::Control;
use entente_lexicon::api::{MarkedRead, ReadView};
use entente_lexicon::{Did, MessageId};
use entente_trust::message::read::{MAX_MARKED, ReadMark};
use serde_bytes::ByteBuf;
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use crate::agent::contacts::Route;
use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::store::{AgentStore, did, hex_list, id_bytes, message_id};
use crate::agent::wire::{
    self, ControlItem, Controls, DeliveryReply, Handoff, HandoffItem, HandoffReply,
};
use crate::error::ApiError;
use crate::internal;
use crate::params;
use crate::store::sqlite::StoreError;
use entente_lexicon::Timestamp;

/// Messages that one call marks as read.
const MAX_READ: usize = 200;
/// Marks told at a time to one destination.
const MAX_BATCH: u32 = 64;
/// An alarm is due so far ahead while anything is to be told, and between two attempts.
const RETRY_MS: u64 = 1_000;
/// Before a link whose outbox is full is asked again.
const FULL_MS: u64 = 30_000;
const OUTBOX_FULL: &str = "OUTBOX_FULL";

/// A mark that waits to be told.
struct StoredMark {
    n: u64,
    peer: Did,
    mark: Vec<u8>,
}

/// What was read of one writer's: (writer, its network) → ids.
type Read = BTreeMap<(Did, Did), Vec<[u8; 16]>>;

impl AgentStore {
    /// Notes that messages were read. Returns those that were not before.
    fn note_read(&self, ids: &[MessageId], now: Timestamp) -> Result<Read, StoreError> {
        let rows = self.db.rows(
            "UPDATE messages SET read_at = ? WHERE outgoing = 0 AND read_at IS NULL
             AND id IN (SELECT unhex(value) FROM json_each(?)) RETURNING id, peer, network",
            params![now, hex_list(ids.iter().map(MessageId::to_bytes))],
        )?;
        let mut read = Read::new();
        for row in &rows {
            let writer = (did(row, 1)?, did(row, 2)?);
            read.entry(writer).or_default().push(id_bytes(row, 0)?);
        }
        Ok(read)
    }

    fn read_times(&self, ids: &[MessageId]) -> Result<Vec<ReadView>, StoreError> {
        let rows = self.db.rows(
            "SELECT id, MIN(read_at) FROM messages WHERE outgoing = 0 AND read_at IS NOT NULL
             AND id IN (SELECT unhex(value) FROM json_each(?)) GROUP BY id ORDER BY id",
            params![hex_list(ids.iter().map(MessageId::to_bytes))],
        )?;
        rows.iter()
            .map(|row| {
                Ok(ReadView {
                    id: message_id(row, 0)?.to_string(),
                    read_at: row.timestamp(1)?,
                })
            })
            .collect()
    }

    fn keep_mark(&self, writer: &(Did, Did), mark: &ReadMark) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO marks(peer, network, mark) VALUES(?, ?, ?)",
            params![writer.0.as_str(), writer.1.as_str(), mark.encode()],
        )
    }

    /// Returns the networks whose agents are to be told something.
    fn marked_networks(&self) -> Result<Vec<Did>, StoreError> {
        let rows = self
            .db
            .rows("SELECT DISTINCT network FROM marks", params![])?;
        rows.iter().map(|row| did(row, 0)).collect()
    }

    fn marks(&self, network: &Did) -> Result<Vec<StoredMark>, StoreError> {
        let rows = self.db.rows(
            "SELECT n, peer, mark FROM marks WHERE network = ? ORDER BY n LIMIT ?",
            params![network.as_str(), MAX_BATCH],
        )?;
        rows.iter()
            .map(|row| {
                Ok(StoredMark {
                    n: row.integer(0)?,
                    peer: did(row, 1)?,
                    mark: row.blob(2)?,
                })
            })
            .collect()
    }

    fn told_marks(&self, told: &[u64]) -> Result<(), StoreError> {
        let list = serde_json::to_string(told).unwrap_or_else(|_| "[]".to_owned());
        self.db.exec(
            "DELETE FROM marks WHERE n IN (SELECT value FROM json_each(?))",
            params![list],
        )
    }
}

impl Core {
    /// Marks messages as read, all or none; their writers are told if `tells`.
    pub(super) fn mark_read(
        self: &Rc<Self>,
        ids: &[String],
        tells: bool,
    ) -> Result<MarkedRead, ApiError> {
        let me = self.identity()?;
        let parsed: Result<BTreeSet<_>, _> = ids.iter().map(|id| MessageId::parse(id)).collect();
        let ids: Vec<_> = parsed.map_err(|_error| unknown())?.into_iter().collect();
        if !(1..=MAX_READ).contains(&ids.len()) {
            return Err(ApiError::bad_request(
                "INVALID_BODY",
                "`ids` names 1 to 200 messages.",
            ));
        }
        let now = internal::now();
        let messages = self.store.transaction(|| {
            let read = self.store.note_read(&ids, now)?;
            if tells {
                self.keep_marks(&me, read, now)?;
            }
            let messages = self.store.read_times(&ids)?;
            if messages.len() != ids.len() {
                return Err(unknown());
            }
            Ok(messages)
        })?;
        if tells {
            self.wake_in(RETRY_MS);
            self.tell_reads();
        }
        Ok(MarkedRead { messages })
    }

    fn keep_marks(&self, me: &Me, read: Read, now: Timestamp) -> Result<(), ApiError> {
        for (writer, ids) in read {
            for ids in ids.chunks(MAX_MARKED) {
                let reader = (&me.did, &me.signing);
                let mark = ReadMark::sign(reader, &writer.0, now, ids.to_vec());
                self.store.keep_mark(&writer, &mark)?;
            }
        }
        Ok(())
    }

    /// Starts telling writers what was read, unless that is under way already.
    pub(super) fn tell_reads(self: &Rc<Self>) {
        if self.telling.replace(true) {
            return;
        }
        let core = Rc::clone(self);
        spawn_local(async move {
            let outcome = core.tell_all_reads().await;
            core.telling.set(false);
            match outcome {
                Ok(None) => {}
                Ok(Some(wait)) => core.wake_in(wait),
                Err(error) => {
                    console_warn!("what was read could not be told, trying again: {error}");
                    core.wake_in(RETRY_MS);
                }
            }
        });
    }

    /// Tells everything; a network that cannot be told keeps no other waiting. Returns when to go
    /// on, if anything is left.
    async fn tell_all_reads(self: &Rc<Self>) -> Result<Option<u64>, ApiError> {
        let me = self.identity()?;
        let mut wait = None;
        for network in self.store.marked_networks()? {
            loop {
                let marks = self.store.marks(&network)?;
                if marks.is_empty() {
                    break;
                }
                let told = if network == me.network {
                    self.tell_here(&me, &marks).await
                } else {
                    self.tell_link(&me, &network, &marks).await
                };
                match told {
                    Ok(told) if told.len() == marks.len() => self.store.told_marks(&told)?,
                    Ok(told) => {
                        self.store.told_marks(&told)?;
                        wait = wait.or(Some(FULL_MS));
                        break;
                    }
                    Err(error) => {
                        console_warn!("what was read could not be told, trying again: {error}");
                        wait = Some(RETRY_MS);
                        break;
                    }
                }
            }
        }
        Ok(wait)
    }

    /// Hands marks to the link. Returns those that it has, or that will never go.
    async fn tell_link(
        &self,
        me: &Me,
        network: &Did,
        marks: &[StoredMark],
    ) -> Result<Vec<u64>, ApiError> {
        let items = marks.iter().filter_map(|stored| {
            let mark = ReadMark::decode(&stored.mark)?;
            Some(HandoffItem {
                id: ByteBuf::from(mark.name()),
                to: stored.peer.to_string(),
                bytes: ByteBuf::from(Control::Read(mark).encode()),
            })
        });
        let handoff = Handoff {
            object: self.state.id().to_string(),
            from: me.did.to_string(),
            is_new: false,
            items: items.collect(),
        };
        let stub = internal::link(&self.env, network)?;
        let all = || marks.iter().map(|stored| stored.n).collect();
        let reply = match wire::call::<HandoffReply>(&stub, "/controls", &handoff).await {
            Ok(reply) => reply,
            // The peer was removed: nobody is left to be told.
            Err(error) if error.code == "NOT_PEERED" => return Ok(all()),
            Err(error) => return Err(error),
        };
        let waits = |code: &Option<String>| code.as_deref() == Some(OUTBOX_FULL);
        let outcomes = marks.iter().zip(&reply.refused);
        let settled = outcomes.filter(|(_, code)| !waits(code));
        Ok(settled.map(|(stored, _)| stored.n).collect())
    }

    /// Tells agents of our own network.
    async fn tell_here(
        self: &Rc<Self>,
        me: &Me,
        marks: &[StoredMark],
    ) -> Result<Vec<u64>, ApiError> {
        for stored in marks {
            let contact = match self.local_contact(&stored.peer).await {
                Ok(contact) => contact,
                Err(error) if error.status < 500 => continue,
                Err(error) => return Err(error),
            };
            let (Route::Local { object }, Some(mark)) =
                (&contact.route, ReadMark::decode(&stored.mark))
            else {
                continue;
            };
            let controls = Controls {
                network: me.network.to_string(),
                host: me.host.to_string(),
                items: vec![ControlItem {
                    from: me.did.to_string(),
                    bytes: ByteBuf::from(Control::Read(mark).encode()),
                }],
            };
            let stub = internal::agent(&self.env, object)?;
            match wire::call::<DeliveryReply>(&stub, "/controls", &controls).await {
                Err(error) if error.status != 410 => return Err(error),
                // Told; or the writer was deleted meanwhile.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(marks.iter().map(|stored| stored.n).collect())
    }
}

fn unknown() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_MESSAGE",
        "This agent got no message with that id: GET /agents/:name/inbox lists them.",
    )
}
