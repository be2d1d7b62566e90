//! Announcing: sign, commit, then hand over to the relay, which shows it and tells the peers.
//!
//! What is committed here reaches the relay sooner or later: it stays in the table until the relay
//! has committed it, and the alarm tries again. The relay knows it by its id.

use std::rc::Rc;

use entente_lexicon::api::{Announce, Announced};
use entente_lexicon::{Content, Did, MessageId, Timestamp};
use entente_reputation::COLLECTION;
use entente_trust::announcement::{Announcement, AnnouncementError, DEFAULT_COLLECTION};
use entente_trust::crypto::hash;
use serde_bytes::ByteBuf;
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::outbox::WATCH_MS;
use crate::agent::send::{MAX_TEXT_BYTES, check_content, no_share};
use crate::agent::store::AgentStore;
use crate::agent::wire::{self, NewAnnouncement, NewAnnouncements, Refusals};
use crate::error::ApiError;
use crate::internal;
use crate::params;
use crate::store::sqlite::{Row, StoreError};

/// Announcements of one agent within a minute: each goes to every peer.
const MAX_A_MINUTE: u64 = 60;
const MINUTE_MS: u64 = 60_000;
/// Announcements that an agent remembers, to answer the same request again.
const MAX_REMEMBERED: u64 = 1_000;
/// Announcements of one call.
const MAX_BATCH: u32 = 100;

/// The agent's table of what it announced; `bytes` until the relay has it.
pub(super) const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS announcements(
        n INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, request TEXT, digest BLOB NOT NULL,
        collection TEXT NOT NULL, created_at INTEGER NOT NULL, bytes BLOB)",
    "CREATE UNIQUE INDEX IF NOT EXISTS announcements_by_request ON announcements(request)
        WHERE request IS NOT NULL",
];

/// An announcement as it is remembered.
struct Remembered {
    digest: Vec<u8>,
    answer: Announced,
}

impl Core {
    /// Announces something. Returns once it is durable and, unless that fails, with the relay.
    pub(super) async fn announce(self: &Rc<Self>, wish: Announce) -> Result<Announced, ApiError> {
        let key = wish.idempotency_key.as_deref();
        if key.is_some_and(|key| key.is_empty() || key.len() > MAX_TEXT_BYTES) {
            return Err(ApiError::bad_request(
                "INVALID_TEXT",
                "`idempotencyKey` is 1 to 256 bytes long where it is given.",
            ));
        }
        if wish.collection.as_deref() == Some(COLLECTION) {
            return Err(ApiError::bad_request(
                "INVALID_COLLECTION",
                "Endorsements are records, which announce themselves: POST …/endorsements.",
            ));
        }
        no_share(&wish.content)?;
        check_content(&wish.content)?;
        let digest = hash::sha256(&[&serde_json::to_vec(&wish)?]);
        if let Some(key) = key
            && let Some(known) = self.store.announced(key)?
        {
            return known.repeats(&digest);
        }
        let now = internal::now();
        self.check_announcing()?;
        let me = self.identity()?;
        let (answer, bytes) = make(&me, &wish, now)?;
        let id = answer.id.parse::<MessageId>().map_err(ApiError::internal)?;
        self.store.transaction(|| {
            self.store
                .remember_announcement(&id, key, &digest, &answer, &bytes)
        })?;
        // In the turn that commits: whatever happens to this object, it wakes and goes on.
        self.wake_in(WATCH_MS);
        if let Err(error) = self.hand_announcements(&me).await {
            console_warn!("an announcement is not with the relay yet, trying again: {error}");
        }
        Ok(answer)
    }

    /// Announces what became of an endorsement. Part of the caller's transaction; the alarm, or
    /// [`Core::hand_announcements_now`], tells the relay.
    pub(super) fn announce_endorsement(&self, me: &Me, content: Content) -> Result<(), ApiError> {
        let wish = Announce {
            collection: Some(COLLECTION.to_owned()),
            content,
            idempotency_key: None,
        };
        let digest = hash::sha256(&[&serde_json::to_vec(&wish)?]);
        let made = make(me, &wish, internal::now());
        let (answer, bytes) = made.map_err(|error| match error.status {
            413 => ApiError::new(
                413,
                "ENDORSEMENT_TOO_LARGE",
                "A public endorsement is at most 8 KiB as JSON: shorten its text, or name less evidence.",
            ),
            _ => error,
        })?;
        let id = answer.id.parse::<MessageId>().map_err(ApiError::internal)?;
        self.store
            .remember_announcement(&id, None, &digest, &answer, &bytes)?;
        self.wake_in(0);
        Ok(())
    }

    /// Hands over what waits, before a call is answered. If that fails, the alarm tries again.
    pub(super) async fn hand_announcements_now(&self) {
        let outcome = match self.identity() {
            Ok(me) => self.hand_announcements(&me).await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            console_warn!("announcements are not with the relay yet, trying again: {error}");
        }
    }

    /// Refuses what is announced too often.
    pub(super) fn check_announcing(&self) -> Result<(), ApiError> {
        let minute_ago = Timestamp(internal::now().0.saturating_sub(MINUTE_MS));
        if self.store.announced_since(minute_ago)? < MAX_A_MINUTE {
            return Ok(());
        }
        Err(ApiError::new(
            429,
            "RATE_LIMITED",
            "An agent announces at most 60 times a minute, since each goes to every peer: wait a minute.",
        ))
    }

    /// Takes up announcements that an earlier life, or a call that failed, left here.
    pub(super) fn retry_announcements(self: &Rc<Self>) -> Result<(), ApiError> {
        if self.store.unhanded_announcements(1)?.is_empty() {
            return Ok(());
        }
        let core = Rc::clone(self);
        spawn_local(async move {
            let outcome = match core.identity() {
                Ok(me) => core.hand_announcements(&me).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                console_warn!("announcements are not with the relay yet, trying again: {error}");
                core.wake_in(WATCH_MS);
            }
        });
        Ok(())
    }

    /// Hands everything over that the relay has not committed. Two at once are harmless: it knows
    /// each by its id.
    async fn hand_announcements(&self, me: &Me) -> Result<(), ApiError> {
        loop {
            let waiting = self.store.unhanded_announcements(MAX_BATCH)?;
            let Some((last, _)) = waiting.last() else {
                return Ok(());
            };
            let last = *last;
            let items = waiting.into_iter().map(|(_, bytes)| NewAnnouncement {
                bytes: ByteBuf::from(bytes),
                name: me.name.to_string(),
                host: me.host.to_string(),
            });
            let news = NewAnnouncements {
                peer: None,
                items: items.collect(),
            };
            let relay = internal::relay(&self.env)?;
            let Refusals { .. } = wire::call(&relay, "/announcements", &news).await?;
            self.store.handed_announcements(last)?;
        }
    }
}

/// Makes and signs an announcement.
fn make(me: &Me, wish: &Announce, now: Timestamp) -> Result<(Announced, Vec<u8>), ApiError> {
    let id = MessageId::from_parts(now.0, internal::random());
    let collection = wish.collection.as_deref().unwrap_or(DEFAULT_COLLECTION);
    let announcement = Announcement {
        id: id.to_bytes(),
        from: Did::clone(&me.did),
        network: me.network.clone(),
        collection: collection.to_owned(),
        at: now,
        content: serde_json::to_string(&wish.content)?,
        kid: String::new(),
    };
    let bytes = announcement.sign(&me.signing).map_err(refused)?;
    let answer = Announced {
        id: id.to_string(),
        collection: collection.to_owned(),
        created_at: now,
    };
    Ok((answer, bytes))
}

fn refused(error: AnnouncementError) -> ApiError {
    match error {
        AnnouncementError::TooLarge => ApiError::new(
            413,
            "CONTENT_TOO_LARGE",
            "An announcement's content is at most 8 KiB as JSON: publish it elsewhere and announce a `ref`.",
        ),
        AnnouncementError::Malformed => ApiError::bad_request(
            "INVALID_COLLECTION",
            "`collection` is dotted segments of letters, digits and `-`, such as agent.public.announcement.",
        ),
        AnnouncementError::BadSignature => ApiError::internal(error),
    }
}

impl Remembered {
    fn repeats(self, digest: &[u8]) -> Result<Announced, ApiError> {
        if self.digest == digest {
            return Ok(self.answer);
        }
        Err(ApiError::new(
            409,
            "IDEMPOTENCY_MISMATCH",
            "This idempotency key was used for another announcement: use a new key, or repeat the first request exactly.",
        ))
    }
}

impl AgentStore {
    fn remember_announcement(
        &self,
        id: &MessageId,
        request: Option<&str>,
        digest: &[u8],
        answer: &Announced,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO announcements(id, request, digest, collection, created_at, bytes)
             VALUES(?, ?, ?, ?, ?, ?)",
            params![
                id.to_bytes(),
                request.map(str::to_owned),
                digest,
                answer.collection.as_str(),
                answer.created_at,
                bytes
            ],
        )?;
        self.db.exec(
            "DELETE FROM announcements WHERE bytes IS NULL AND n <=
                (SELECT MAX(n) FROM announcements) - ?",
            params![MAX_REMEMBERED],
        )
    }

    fn announced(&self, request: &str) -> Result<Option<Remembered>, StoreError> {
        let row = self.db.row(
            "SELECT id, digest, collection, created_at FROM announcements WHERE request = ?",
            params![request],
        )?;
        row.map(|row| {
            let id: Vec<u8> = row.blob(0)?;
            let id = id.try_into().map_err(|_error| StoreError::Column(0))?;
            Ok(Remembered {
                digest: row.blob(1)?,
                answer: Announced {
                    id: MessageId::from_bytes(id).to_string(),
                    collection: row.text(2)?,
                    created_at: row.timestamp(3)?,
                },
            })
        })
        .transpose()
    }

    fn announced_since(&self, at: Timestamp) -> Result<u64, StoreError> {
        let row = self.db.row(
            "SELECT COUNT(*) FROM announcements WHERE created_at > ?",
            params![at],
        )?;
        row.map_or(Ok(0), |row| row.integer(0))
    }

    fn unhanded_announcements(&self, limit: u32) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let rows = self.db.rows(
            "SELECT n, bytes FROM announcements WHERE bytes IS NOT NULL ORDER BY n LIMIT ?",
            params![limit],
        )?;
        let read = |row: &Row| Ok((row.integer(0)?, row.blob(1)?));
        rows.iter().map(read).collect()
    }

    fn handed_announcements(&self, upto: u64) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE announcements SET bytes = NULL WHERE n <= ?",
            params![upto],
        )
    }
}
