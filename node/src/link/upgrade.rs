//! Upgrades that the edge verified: each is taken once.

use entente_federation::Claimed;
use entente_lexicon::{Did, Timestamp};
use worker::Request;

use crate::error::ApiError;
use crate::internal::{self, FROM, FROM_KID, NONCE, NONCE_UNTIL};
use crate::link::driver::Driver;
use crate::link::store::LinkStore;
use crate::params;
use crate::store::sqlite::StoreError;

/// The table of nonces that were used and whose signatures are still valid.
pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS nonces(nonce TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID";
/// Nonces remembered at most; a peer that needs more in the life of a signature must wait.
const MAX_NONCES: u64 = 1_024;

/// What became of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nonce {
    Fresh,
    Used,
    TooMany,
}

impl LinkStore {
    /// Takes a nonce, which must be remembered until its signature is no longer valid.
    fn take_nonce(
        &self,
        nonce: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Nonce, StoreError> {
        self.transaction(|| {
            self.exec("DELETE FROM nonces WHERE until < ?", params![now])?;
            let known = "SELECT 1 FROM nonces WHERE nonce = ?";
            if self.row(known, params![nonce])?.is_some() {
                return Ok(Nonce::Used);
            }
            let count = self.row("SELECT COUNT(*) FROM nonces", params![])?;
            if count.map_or(Ok(0), |row| row.integer(0))? >= MAX_NONCES {
                return Ok(Nonce::TooMany);
            }
            let sql = "INSERT INTO nonces(nonce, until) VALUES(?, ?)";
            self.exec(sql, params![nonce, until])?;
            Ok(Nonce::Fresh)
        })
    }
}

impl Driver {
    /// Reads who signed an upgrade, as the edge verified it, and takes its nonce.
    pub(super) fn admit_upgrade(&self, request: &Request) -> Result<Claimed, ApiError> {
        let until: u64 = said(request, NONCE_UNTIL)?
            .parse()
            .map_err(ApiError::internal)?;
        let nonce = said(request, NONCE)?;
        let taken = self
            .store
            .take_nonce(&nonce, Timestamp(until), internal::now())?;
        match taken {
            Nonce::Fresh => {
                self.greet()?;
                Ok(Claimed {
                    did: Did::parse(&said(request, FROM)?).map_err(ApiError::internal)?,
                    kid: said(request, FROM_KID)?,
                })
            }
            Nonce::Used => Err(ApiError::new(
                401,
                "SIGNATURE_REPLAYED",
                "This signature was used already: sign each request anew, with a fresh nonce.",
            )),
            Nonce::TooMany => Err(ApiError::new(
                429,
                "RATE_LIMITED",
                "This network has opened too many sockets within a few minutes: wait, then dial once.",
            )),
        }
    }
}

fn said(request: &Request, name: &str) -> Result<String, ApiError> {
    let value = request.headers().get(name)?;
    value.ok_or_else(|| ApiError::internal(format!("the edge did not say {name}")))
}
