//! What of a timeline the relay knows: announcements of our agents and of peers'.
//!
//! Of announcements that tell of endorsements those of peers are shown, as long as they hold; ours are
//! records of public repos, and shown as such.

use data_encoding::BASE64;
use entente_lexicon::api::timeline::{TimelineEntry, TimelineKind, TimelinePlace};
use entente_reputation::COLLECTION;
use entente_trust::announcement::Announcement;
use serde_json::Value;

use crate::agent::wire::{TimelinePage, TimelineWish};
use crate::error::ApiError;
use crate::params;
use crate::relay::core::Core;
use crate::relay::store::RelayStore;
use crate::store::sqlite::Row;

const KEY: &str = "author || '/' || collection || '/' || lower(hex(id))";

impl Core {
    /// Lists announcements behind a place, the newest first.
    pub(super) fn timeline(&self, wish: &TimelineWish) -> Result<TimelinePage, ApiError> {
        let entries = self.store.timeline(wish)?;
        Ok(TimelinePage { entries })
    }
}

impl RelayStore {
    fn timeline(
        &self,
        wish: &TimelineWish,
    ) -> Result<Vec<(TimelinePlace, TimelineEntry)>, ApiError> {
        let sql = format!(
            "SELECT bytes, host, name, peer, stored_at, {KEY} FROM announcements AS told
             WHERE (collection <> ?8 OR (peer IS NOT NULL AND EXISTS (SELECT 1 FROM endorsements AS held
                    WHERE held.author = told.author AND held.id = told.id AND record IS NOT NULL)))
                AND (stored_at < ?1 OR (stored_at = ?1 AND {KEY} < ?2))
                AND stored_at >= ?3 AND stored_at < ?4
                AND (?5 IS NULL OR EXISTS (SELECT 1 FROM json_each(?5) WHERE collection GLOB value))
                AND (?6 IS NULL OR author = ?6)
             ORDER BY stored_at DESC, {KEY} DESC LIMIT ?7"
        );
        let rows = self.db.rows(
            &sql,
            params![
                wish.at,
                wish.key.as_str(),
                wish.since,
                wish.until,
                wish.globs.clone(),
                wish.author.clone(),
                wish.limit,
                COLLECTION
            ],
        )?;
        rows.iter().map(entry).collect()
    }
}

fn entry(row: &Row) -> Result<(TimelinePlace, TimelineEntry), ApiError> {
    let bytes = row.blob(0)?;
    let made = Announcement::decode(&bytes).map_err(ApiError::internal)?;
    let made = made.announcement;
    let mut content = serde_json::to_value(made.content().map_err(ApiError::internal)?)?;
    // What tells of a record is shown as that record.
    let told = content
        .get_mut("data")
        .filter(|_| made.collection == COLLECTION);
    let mut told = told.map(Value::take);
    let mut field = |name: &str| told.as_mut()?.get_mut(name).map(Value::take);
    let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
    let (uri, cid, record) = (text(field("uri")), text(field("cid")), field("record"));
    let place = TimelinePlace {
        at: row.timestamp(4)?,
        key: row.text(5)?,
    };
    let shown = TimelineEntry {
        kind: TimelineKind::Announcement,
        did: made.from.to_string(),
        address: format!("{}@{}", made.from, row.text(1)?),
        name: row.text(2)?,
        network: made.network.to_string(),
        peer: row.optional(3, Row::text)?,
        collection: made.collection,
        content: Some(content).filter(|_| record.is_none()),
        uri,
        cid,
        record,
        at: place.at,
        proof: None,
        signed: Some(BASE64.encode(&bytes)),
    };
    Ok((place, shown))
}
