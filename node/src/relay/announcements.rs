//! The announcements of our agents and of our peers': kept for a while, shown, and those of our
//! own offered to every peer's link.
//!
//! Each link has a cursor here over the sequence. It moves once the link has committed, so what a
//! crash cuts off is offered again; a link or a peer that has an announcement knows it by its
//! author and id.

use std::collections::BTreeMap;
use std::rc::Rc;

use entente_lexicon::api::{AnnouncementList, AnnouncementView, NewEvent};
use entente_lexicon::{Did, MessageId, Timestamp};
use entente_reputation::COLLECTION;
use entente_trust::announcement::Announcement;
use serde_bytes::ByteBuf;

use crate::agent::wire::{NewAnnouncement, NewAnnouncements, Refusals};
use crate::error::ApiError;
use crate::internal::now;
use crate::params;
use crate::relay::core::Core;
use crate::relay::endorsements;
use crate::relay::store::RelayStore;
use crate::shapes::RecentAnnouncement;
use crate::store::sqlite::{Row, StoreError};

/// The table of announcements, by arrival, and how far each link has been offered ours.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS announcements (
  n INTEGER PRIMARY KEY AUTOINCREMENT, author TEXT NOT NULL, id BLOB NOT NULL,
  network TEXT NOT NULL, peer TEXT, host TEXT NOT NULL, name TEXT NOT NULL, bytes BLOB NOT NULL,
  collection TEXT NOT NULL, stored_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS announcements_by_id ON announcements (author, id);
CREATE INDEX IF NOT EXISTS announcements_by_network ON announcements (network, n);
CREATE INDEX IF NOT EXISTS announcements_by_time ON announcements (stored_at);
CREATE TABLE IF NOT EXISTS offered (peer TEXT PRIMARY KEY, upto INTEGER NOT NULL) WITHOUT ROWID;
";

/// Announcements of one network that are kept.
const MAX_OF_NETWORK: u64 = 1_000;
/// Announcements of all other networks together that are kept.
const MAX_OF_OTHERS: u64 = 20_000;
/// How long an announcement is kept.
const KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Announcements of one page at most.
const MAX_PAGE: u32 = 200;
/// Announcements of one page unless told.
const DEFAULT_PAGE: u32 = 50;
/// Announcements that a preview looks at, each way.
const MAX_RECENT: u32 = 200;

impl Core {
    /// Keeps announcements whose signatures hold, and shows those that are new.
    pub(super) async fn take_announcements(
        self: &Rc<Self>,
        news: NewAnnouncements,
    ) -> Result<Refusals, ApiError> {
        if news.peer.is_none() {
            // Armed first: whatever is interrupted after the commit, the alarm finishes.
            self.arm_sweep().await?;
        }
        let at = now();
        let mut events = Vec::new();
        let refused = self.store.transaction(|| {
            let mut refused = Vec::with_capacity(news.items.len());
            for item in &news.items {
                let kept = self.store.keep(item, news.peer.as_deref(), at)?;
                refused.push(match kept {
                    Kept::New(event) => {
                        events.push(*event);
                        None
                    }
                    Kept::Known => None,
                    Kept::Other => Some("ID_REUSED".to_owned()),
                    Kept::Refused(code) => Some(code.to_owned()),
                });
            }
            self.store.prune(at)?;
            Ok::<_, ApiError>(refused)
        })?;
        self.take_events(events)?;
        if news.peer.is_none() {
            self.offer_soon();
        }
        Ok(Refusals { refused })
    }

    /// Lists announcements, the newest first.
    pub(super) fn announcements(
        &self,
        query: &BTreeMap<String, String>,
    ) -> Result<AnnouncementList, ApiError> {
        let number = |name: &str| query.get(name).map(|text| text.parse::<u64>()).transpose();
        let before = number("cursor").map_err(|_error| {
            ApiError::bad_request(
                "INVALID_CURSOR",
                "`cursor` is what an earlier page answered.",
            )
        })?;
        let limit = number("limit")
            .map_err(|_error| ApiError::bad_request("INVALID_LIMIT", "`limit` is 1 to 200."))?;
        let limit = limit.map_or(DEFAULT_PAGE, |limit| {
            u32::try_from(limit).unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE)
        });
        let rows = self.store.page(before, limit)?;
        let full = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let cursor = rows.last().map(|(n, _)| n.to_string()).filter(|_| full);
        let announcements = rows.into_iter().map(|(_, view)| view).collect();
        Ok(AnnouncementList {
            announcements,
            cursor,
        })
    }

    /// Returns the last announcements, ours and those that a peer brought.
    pub(super) fn recent_announcements(
        &self,
        peer: &str,
    ) -> Result<Vec<RecentAnnouncement>, ApiError> {
        let mut recent = self.store.last(None)?;
        recent.extend(self.store.last(Some(peer))?);
        Ok(recent)
    }
}

/// What became of an announcement.
enum Kept {
    /// It is stored now.
    New(Box<NewEvent>),
    /// It was stored before.
    Known,
    /// Its author gave its id to another.
    Other,
    /// It does not say what its collection asks for.
    Refused(&'static str),
}

impl RelayStore {
    fn keep(
        &self,
        item: &NewAnnouncement,
        peer: Option<&str>,
        at: Timestamp,
    ) -> Result<Kept, ApiError> {
        let found = Announcement::decode(&item.bytes).map_err(ApiError::internal)?;
        let made = found.announcement;
        let known = self.db.row(
            "SELECT bytes FROM announcements WHERE author = ? AND id = ?",
            params![made.from.as_str(), made.id],
        )?;
        if let Some(row) = known {
            let same = row.blob(0)? == item.bytes.as_slice();
            return Ok(if same { Kept::Known } else { Kept::Other });
        }
        if made.collection == COLLECTION {
            let statement = match endorsements::read(&made, at) {
                Ok(statement) => statement,
                Err(code) => return Ok(Kept::Refused(code)),
            };
            self.keep_endorsement(&statement, &made, (item, peer), at)?;
        }
        self.db.exec(
            "INSERT INTO announcements (author, id, network, peer, host, name, bytes, collection, stored_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                made.from.as_str(),
                made.id,
                made.network.as_str(),
                peer.map(str::to_owned),
                item.host.as_str(),
                item.name.as_str(),
                item.bytes.as_slice(),
                made.collection.as_str(),
                at
            ],
        )?;
        let kind = if peer.is_some() {
            "announcement.received"
        } else {
            "announcement.made"
        };
        Ok(Kept::New(Box::new(NewEvent {
            kind: kind.to_owned(),
            at,
            from: Some(format!("{}@{}", made.from, item.host)),
            message: Some(MessageId::from_bytes(made.id).to_string()),
            peer: peer.map(str::to_owned),
            label: Some(made.collection),
            ..NewEvent::default()
        })))
    }

    /// Lets go of what is old, and of the oldest where a network, or all others, have too many.
    fn prune(&self, at: Timestamp) -> Result<(), StoreError> {
        let oldest = Timestamp(at.0.saturating_sub(KEPT_MS));
        self.db.exec(
            "DELETE FROM announcements WHERE stored_at < ?",
            params![oldest],
        )?;
        self.db.exec(
            "DELETE FROM announcements WHERE n IN (
               SELECT n FROM (SELECT n, row_number() OVER (PARTITION BY network ORDER BY n DESC) AS place
                 FROM announcements) WHERE place > ?)",
            params![MAX_OF_NETWORK],
        )?;
        self.db.exec(
            "DELETE FROM announcements WHERE n IN (
               SELECT n FROM announcements WHERE peer IS NOT NULL ORDER BY n DESC LIMIT -1 OFFSET ?)",
            params![MAX_OF_OTHERS],
        )
    }

    /// Lists what agents say in words of their own; what they say of one another is in the timeline.
    fn page(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, AnnouncementView)>, ApiError> {
        let rows = self.db.rows(
            "SELECT n, bytes, host, name, peer, stored_at FROM announcements
             WHERE n < ? AND collection <> ? ORDER BY n DESC LIMIT ?",
            params![before.unwrap_or(MAX_NUMBER), COLLECTION, limit],
        )?;
        rows.iter().map(shown).collect()
    }

    fn last(&self, peer: Option<&str>) -> Result<Vec<RecentAnnouncement>, ApiError> {
        let rows = self.db.rows(
            "SELECT bytes FROM announcements WHERE peer IS ? ORDER BY n DESC LIMIT ?",
            params![peer.map(str::to_owned), MAX_RECENT],
        )?;
        rows.iter()
            .map(|row| {
                let made = Announcement::decode(&row.blob(0)?).map_err(ApiError::internal)?;
                Ok(RecentAnnouncement {
                    came_in: peer.is_some(),
                    collection: made.announcement.collection,
                    network: made.announcement.network,
                })
            })
            .collect()
    }

    /// Returns our own announcements after a number, in order.
    pub(super) fn ours_after(
        &self,
        upto: u64,
        limit: u32,
    ) -> Result<Vec<(u64, ByteBuf)>, StoreError> {
        let rows = self.db.rows(
            "SELECT n, bytes FROM announcements WHERE peer IS NULL AND n > ? ORDER BY n LIMIT ?",
            params![upto, limit],
        )?;
        let read = |row: &Row| Ok((row.integer(0)?, ByteBuf::from(row.blob(1)?)));
        rows.iter().map(read).collect()
    }

    /// Returns the number of our newest announcement, 0 before the first.
    pub(super) fn newest_of_ours(&self) -> Result<u64, StoreError> {
        self.number(
            "SELECT coalesce(max(n), 0) FROM announcements WHERE peer IS NULL",
            params![],
        )
    }

    /// Returns how far each link has been offered ours.
    pub(super) fn offered(&self) -> Result<BTreeMap<Did, u64>, ApiError> {
        let rows = self.db.rows("SELECT peer, upto FROM offered", params![])?;
        rows.iter()
            .map(|row| {
                let peer = Did::parse(&row.text(0)?).map_err(ApiError::internal)?;
                Ok((peer, row.integer(1)?))
            })
            .collect()
    }

    /// Returns the number of the last of ours that was made before an instant.
    pub(super) fn last_before(&self, at: Timestamp) -> Result<u64, StoreError> {
        self.number(
            "SELECT coalesce(max(n), 0) FROM announcements WHERE peer IS NULL AND stored_at < ?",
            params![at],
        )
    }

    pub(super) fn set_offered(&self, peer: &Did, upto: u64) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO offered (peer, upto) VALUES (?1, ?2)
             ON CONFLICT (peer) DO UPDATE SET upto = ?2",
            params![peer.as_str(), upto],
        )
    }

    pub(super) fn forget_offered(&self, peer: &Did) -> Result<(), StoreError> {
        self.db
            .exec("DELETE FROM offered WHERE peer = ?", params![peer.as_str()])
    }
}

/// Above every number that is given.
const MAX_NUMBER: u64 = (1 << 53) - 1;

fn shown(row: &Row) -> Result<(u64, AnnouncementView), ApiError> {
    let found = Announcement::decode(&row.blob(1)?).map_err(ApiError::internal)?;
    let made = found.announcement;
    let view = AnnouncementView {
        id: MessageId::from_bytes(made.id).to_string(),
        from: format!("{}@{}", made.from, row.text(2)?),
        name: row.text(3)?,
        network: made.network.to_string(),
        peer: row.optional(4, Row::text)?,
        content: made.content().map_err(ApiError::internal)?,
        collection: made.collection,
        created_at: made.at,
        received_at: row.timestamp(5)?,
    };
    Ok((row.integer(0)?, view))
}
