//! What agents here and of peers say of one another, as their announcements told it: of each record the
//! last word, also that it was withdrawn.
//!
//! An announcement came here with its author's signature checked against the author's pinned card. A
//! withdrawal is kept longer than any word may travel, so what was withdrawn does not come back.

use entente_lexicon::Timestamp;
use entente_memory::repo::json::from_json;
use entente_memory::sealed::record_cid;
use entente_reputation::{Given, MAX_TRAVEL_MS, Said, Statement};
use entente_trust::announcement::Announcement;

use crate::agent::wire::{AboutReply, AboutWish, HeldEndorsement, NewAnnouncement};
use crate::error::ApiError;
use crate::params;
use crate::relay::core::Core;
use crate::relay::store::RelayStore;
use crate::store::sqlite::{Row, StoreError};

/// The last word on each record; `record` is NULL where it was withdrawn.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS endorsements (
  author TEXT NOT NULL, path TEXT NOT NULL, made INTEGER NOT NULL, id BLOB NOT NULL,
  network TEXT NOT NULL, peer TEXT, host TEXT NOT NULL, name TEXT NOT NULL,
  subject TEXT, cid TEXT, record TEXT, stored_at INTEGER NOT NULL, PRIMARY KEY (author, path)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS endorsements_by_subject ON endorsements (subject, made);
CREATE INDEX IF NOT EXISTS endorsements_by_network ON endorsements (network, stored_at);
";
/// Endorsements of one network's agents that are kept.
const MAX_OF_NETWORK: u64 = 5_000;
/// Endorsements of all other networks together that are kept.
const MAX_OF_OTHERS: u64 = 50_000;
/// Withdrawals are kept a day longer than what they are about may come.
const WITHDRAWN_MS: u64 = MAX_TRAVEL_MS + 24 * 60 * 60 * 1000;
/// Endorsements that one answer has at most.
const MAX_ABOUT: u32 = 10_000;
/// What an announcement's record must have to be believed.
const CID_MISMATCH: &str = "ENDORSEMENT_CID_MISMATCH";

impl Core {
    /// Returns what is said of subjects, and whom these speak of.
    pub(super) fn about(&self, wish: &AboutWish) -> Result<AboutReply, ApiError> {
        Ok(self.store.about(wish)?)
    }
}

/// Reads what an announcement says of an endorsement; the code that refuses it where that is nothing.
pub(super) fn read(made: &Announcement, at: Timestamp) -> Result<Statement, &'static str> {
    let content = made.content().map_err(|error| error.code())?;
    let statement = Statement::read((&made.from, made.at), content, at);
    let statement = statement.map_err(|error| error.code())?;
    if let Said::Given(given) = &statement.said {
        let block = from_json(&given.record).map_err(|_error| CID_MISMATCH)?;
        if record_cid(&block).to_string() != given.cid {
            return Err(CID_MISMATCH);
        }
    }
    Ok(statement)
}

impl RelayStore {
    /// Keeps the last word on a record, and lets go of what is too much.
    pub(super) fn keep_endorsement(
        &self,
        statement: &Statement,
        made: &Announcement,
        (item, peer): (&NewAnnouncement, Option<&str>),
        at: Timestamp,
    ) -> Result<(), ApiError> {
        let given: Option<&Given> = match &statement.said {
            Said::Given(given) => Some(given),
            Said::Withdrawn => None,
        };
        let record = given.map(|given| serde_json::to_string(&given.record));
        self.db.exec(
            "INSERT INTO endorsements (author, path, made, id, network, peer, host, name, subject, cid,
                record, stored_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (author, path) DO UPDATE SET made = excluded.made, id = excluded.id,
                network = excluded.network, peer = excluded.peer, host = excluded.host,
                name = excluded.name, subject = excluded.subject, cid = excluded.cid,
                record = excluded.record, stored_at = excluded.stored_at
             WHERE (excluded.made, excluded.id) > (endorsements.made, endorsements.id)",
            params![
                made.from.as_str(),
                statement.path.to_string(),
                made.at,
                made.id,
                made.network.as_str(),
                peer.map(str::to_owned),
                item.host.as_str(),
                item.name.as_str(),
                given.map(|given| given.endorsement.subject.to_string()),
                given.map(|given| given.cid.clone()),
                record.transpose()?,
                at
            ],
        )?;
        Ok(self.prune_endorsements(made.network.as_str(), at)?)
    }

    fn prune_endorsements(&self, network: &str, at: Timestamp) -> Result<(), StoreError> {
        let oldest = Timestamp(at.0.saturating_sub(WITHDRAWN_MS));
        self.db.exec(
            "DELETE FROM endorsements WHERE record IS NULL AND stored_at < ?",
            params![oldest],
        )?;
        self.db.exec(
            "DELETE FROM endorsements WHERE (author, path) IN (
                SELECT author, path FROM endorsements WHERE network = ?
                ORDER BY stored_at DESC LIMIT -1 OFFSET ?)",
            params![network, MAX_OF_NETWORK],
        )?;
        self.db.exec(
            "DELETE FROM endorsements WHERE (author, path) IN (
                SELECT author, path FROM endorsements WHERE peer IS NOT NULL
                ORDER BY stored_at DESC LIMIT -1 OFFSET ?)",
            params![MAX_OF_OTHERS],
        )
    }

    /// Forgets what an agent said that is no more.
    pub(super) fn forget_endorsements(&self, author: &str) -> Result<(), StoreError> {
        self.db
            .exec("DELETE FROM endorsements WHERE author = ?", params![author])
    }

    fn about(&self, wish: &AboutWish) -> Result<AboutReply, StoreError> {
        let subjects = serde_json::to_string(&wish.subjects).unwrap_or_default();
        let rows = self.db.rows(
            "SELECT author, path, made, id, network, host, name, peer, cid, record, stored_at
             FROM endorsements WHERE record IS NOT NULL
                AND subject IN (SELECT value FROM json_each(?)) ORDER BY made DESC, id LIMIT ?",
            params![subjects.as_str(), MAX_ABOUT],
        )?;
        let held = rows.iter().map(held).collect::<Result<_, _>>()?;
        let rows = self.db.rows(
            "SELECT DISTINCT author, subject FROM endorsements WHERE record IS NOT NULL
                AND author IN (SELECT value FROM json_each(?))
                AND coalesce(record ->> 'score', 0) > 50 LIMIT ?",
            params![subjects.as_str(), MAX_ABOUT],
        )?;
        let praised = rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?)));
        Ok(AboutReply {
            held,
            praised: praised.collect::<Result<_, StoreError>>()?,
        })
    }
}

fn held(row: &Row) -> Result<HeldEndorsement, StoreError> {
    let author = row.text(0)?;
    Ok(HeldEndorsement {
        uri: format!("at://{author}/{}", row.text(1)?),
        author,
        made: row.timestamp(2)?,
        id: row
            .blob(3)?
            .try_into()
            .map_err(|_error| StoreError::Column(3))?,
        network: row.text(4)?,
        host: row.text(5)?,
        name: row.text(6)?,
        peer: row.optional(7, Row::text)?,
        cid: row.text(8)?,
        record: row.text(9)?,
        stored_at: row.timestamp(10)?,
    })
}
