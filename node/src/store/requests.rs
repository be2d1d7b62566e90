//! Networks that dialled unasked and wait for an admin.

use entente_lexicon::{Did, Host, Timestamp};
use serde::Deserialize;

use crate::error::ApiError;
use crate::store::d1::{Directory, instant};

/// Requests that are kept. Strangers fill this, so the oldest make room, refused ones first.
pub const MAX_REQUESTS: u64 = 200;

/// One network that wants to peer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RequestRow {
    /// Its DID.
    pub did: Did,
    /// Its host.
    pub host: Host,
    /// The name that its document gives.
    pub name: String,
    /// Its signing key's fingerprint.
    pub fingerprint: String,
    /// `waiting`, or `rejected` by an admin.
    pub status: String,
    /// How often it dialled, counted once a minute.
    pub attempts: u64,
    /// When it dialled first.
    pub first_at: u64,
    /// When it dialled last.
    pub last_at: u64,
}

/// What a stranger's verified document says.
pub struct NewRequest<'a> {
    /// Its DID.
    pub did: &'a Did,
    /// Its host.
    pub host: &'a Host,
    /// Its name.
    pub name: &'a str,
    /// Its signing key's fingerprint.
    pub fingerprint: &'a str,
}

const COLUMNS: &str = "did, host, name, fingerprint, status, attempts, first_at, last_at";
/// A network that keeps dialling is written down so often.
const NOTE_EVERY_MS: u64 = 60_000;

impl RequestRow {
    /// Tells whether an admin said no.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.status == "rejected"
    }
}

impl Directory {
    /// Finds a request by DID.
    ///
    /// # Errors
    /// If D1 fails, as everywhere here.
    pub async fn request(&self, did: &Did) -> Result<Option<RequestRow>, ApiError> {
        let sql = format!("SELECT {COLUMNS} FROM peer_requests WHERE did = ?1");
        self.first(&sql, &[did.as_str().into()]).await
    }

    /// Lists the requests that wait, the latest first.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn requests(&self) -> Result<Vec<RequestRow>, ApiError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM peer_requests WHERE status = 'waiting' ORDER BY last_at DESC, did"
        );
        self.all(&sql, &[]).await
    }

    /// Writes down a stranger whose document was verified. Another network that was known at the
    /// same host gives way: the host no longer serves its document.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn put_request(
        &self,
        request: &NewRequest<'_>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let did = || request.did.as_str().into();
        self.run(
            "DELETE FROM peer_requests WHERE host = ?1 AND did <> ?2",
            &[request.host.as_str().into(), did()],
        )
        .await?;
        self.run(
            "INSERT INTO peer_requests (did, host, name, fingerprint, first_at, last_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)
             ON CONFLICT (did) DO UPDATE SET host = ?2, name = ?3, fingerprint = ?4,
               attempts = attempts + 1, last_at = ?5",
            &[
                did(),
                request.host.as_str().into(),
                request.name.into(),
                request.fingerprint.into(),
                instant(now),
            ],
        )
        .await?;
        self.run(
            "DELETE FROM peer_requests WHERE did IN (
               SELECT did FROM peer_requests ORDER BY status = 'rejected', last_at DESC
               LIMIT -1 OFFSET ?1)",
            &[instant(Timestamp(MAX_REQUESTS))],
        )
        .await?;
        Ok(())
    }

    /// Notes that a stranger who is written down dialled again; at most once a minute.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn note_request(&self, request: &RequestRow, now: Timestamp) -> Result<(), ApiError> {
        if now.since(Timestamp(request.last_at)) >= NOTE_EVERY_MS {
            self.run(
                "UPDATE peer_requests SET attempts = attempts + 1, last_at = ?2 WHERE did = ?1",
                &[request.did.as_str().into(), instant(now)],
            )
            .await?;
        }
        Ok(())
    }

    /// Notes that an admin said no. Returns `false` if there is no such request that waits.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn reject_request(&self, did: &Did) -> Result<bool, ApiError> {
        let sql =
            "UPDATE peer_requests SET status = 'rejected' WHERE did = ?1 AND status = 'waiting'";
        Ok(self.run(sql, &[did.as_str().into()]).await? == 1)
    }

    /// Forgets a request: the network is a peer now.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn forget_request(&self, did: &Did) -> Result<(), ApiError> {
        let sql = "DELETE FROM peer_requests WHERE did = ?1";
        self.run(sql, &[did.as_str().into()]).await?;
        Ok(())
    }
}
