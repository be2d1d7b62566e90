//! Whether what a Worker remembers of this agent's row still holds: see [`crate::auth::recall`].

use worker::Request;

use crate::agent::core::Core;
use crate::auth::recall::{Outdate, VERSION};
use crate::error::ApiError;

/// Where the version is kept that a remembered row must have.
const OLDEST: &str = "row-version";

impl Core {
    /// Refuses rows remembered below a version from here on. Committed when this returns.
    pub(super) fn outdate(&self, outdate: Outdate) -> Result<(), ApiError> {
        if !self.store.exists()? {
            // Nothing calls an agent that is yet to be born.
            return Ok(());
        }
        let oldest = self.oldest_row()?.max(outdate.version);
        self.store.set_meta(OLDEST, &oldest.to_be_bytes())?;
        self.oldest_row.set(Some(oldest));
        Ok(())
    }

    /// Tells whether a call comes by a remembered row that does not hold any more.
    pub(super) fn is_outdated(&self, request: &Request) -> Result<bool, ApiError> {
        let Some(version) = request.headers().get(VERSION)? else {
            return Ok(false);
        };
        let version: u64 = version.parse().map_err(ApiError::internal)?;
        Ok(version < self.oldest_row()?)
    }

    /// Returns the version that a remembered row must have; none is good where nobody lives.
    fn oldest_row(&self) -> Result<u64, ApiError> {
        if let Some(oldest) = self.oldest_row.get() {
            return Ok(oldest);
        }
        if !self.store.exists()? || self.is_deleted() {
            return Ok(u64::MAX);
        }
        let kept = self.store.meta(OLDEST)?;
        let oldest = kept.and_then(|kept| kept.try_into().ok());
        let oldest = oldest.map_or(0, u64::from_be_bytes);
        self.oldest_row.set(Some(oldest));
        Ok(oldest)
    }
}
