//! Peers that are put aside.

use entente_lexicon::link_view::PenaltyView;
use entente_lexicon::{Did, Timestamp};

use serde::Deserialize;

use crate::error::ApiError;
use crate::store::d1::{Directory, instant};

impl Directory {
    /// Finds out whether and why a peer is put aside; it may be over.
    ///
    /// # Errors
    /// If D1 fails, as everywhere here.
    pub async fn penalty(&self, did: &Did) -> Result<Option<PenaltyView>, ApiError> {
        #[derive(Deserialize)]
        struct Row {
            until: u64,
            reason: String,
            strikes: u32,
        }
        let sql = "SELECT until, reason, strikes FROM penalties WHERE did = ?1";
        let row: Option<Row> = self.first(sql, &[did.as_str().into()]).await?;
        Ok(row.map(|row| PenaltyView {
            until: Timestamp(row.until),
            reason: row.reason,
            strikes: row.strikes,
        }))
    }

    /// Puts a peer aside.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn put_penalty(&self, did: &Did, penalty: &PenaltyView) -> Result<(), ApiError> {
        self.run(
            "INSERT INTO penalties (did, until, reason, strikes) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (did) DO UPDATE SET until = ?2, reason = ?3, strikes = ?4",
            &[
                did.as_str().into(),
                instant(penalty.until),
                penalty.reason.as_str().into(),
                instant(Timestamp(penalty.strikes.into())),
            ],
        )
        .await?;
        Ok(())
    }

    /// Pardons a peer.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn drop_penalty(&self, did: &Did) -> Result<(), ApiError> {
        let sql = "DELETE FROM penalties WHERE did = ?1";
        self.run(sql, &[did.as_str().into()]).await?;
        Ok(())
    }
}
