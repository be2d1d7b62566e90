//! How long a body may keep those waiting who read it: it holds a place that others need.

use std::time::Duration;

use entente_lexicon::Timestamp;
use futures::TryStreamExt;
use futures::future::{Either, select};
use worker::{ByteStream, Delay, Env, Request};

use crate::edge::bounds::Bounds;
use crate::error::ApiError;
use crate::internal::now;

/// How long a body may be silent.
pub const BODY_SILENCE_MS: u64 = 30_000;
/// As many silences a part may take in all: whoever sends a byte now and then holds the place no longer.
const WHOLE_SILENCES: u64 = 30;

/// A body that is waited for, and no longer than that.
pub struct Watched {
    body: ByteStream,
    silence_ms: u64,
    until: Option<Timestamp>,
}

impl Watched {
    /// Watches the body of a request, which must have one.
    ///
    /// # Errors
    /// If the deployment's bounds are malformed, or the platform does not give the body out.
    pub fn of(request: &mut Request, env: &Env) -> Result<Self, ApiError> {
        Ok(Self {
            body: request.stream()?,
            silence_ms: Bounds::from_env(env)?.body_silence_ms,
            until: None,
        })
    }

    /// Bounds how long it may take in all: 15 minutes, unless the deployment has another silence.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.until = Some(now().after(self.silence_ms.saturating_mul(WHOLE_SILENCES)));
        self
    }

    /// Returns what comes next; nothing at the end.
    ///
    /// # Errors
    /// 408 `BODY_STALLED`, or if the sender is gone.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        let wait = wait_ms(self.silence_ms, self.until, now()).ok_or_else(stalled)?;
        let wait = Delay::from(Duration::from_millis(wait));
        match select(self.body.try_next(), wait).await {
            Either::Left((more, _)) => Ok(more?),
            Either::Right(((), _)) => Err(stalled()),
        }
    }
}

/// Returns how long may be waited; nothing once the time is over.
fn wait_ms(silence: u64, until: Option<Timestamp>, now: Timestamp) -> Option<u64> {
    let left = until.map_or(silence, |until| until.since(now));
    (left > 0).then(|| left.min(silence))
}

fn stalled() -> ApiError {
    ApiError::new(
        408,
        "BODY_STALLED",
        "The body was silent for 30 seconds, or took 15 minutes for one part: nothing of it is kept. Send it again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_drips_is_waited_for_no_longer_than_one_that_is_whole() {
        let at = Timestamp;
        assert_eq!(wait_ms(100, None, at(5)), Some(100));
        assert_eq!(wait_ms(100, Some(at(1_000)), at(5)), Some(100));
        assert_eq!(wait_ms(100, Some(at(1_000)), at(970)), Some(30));
        assert_eq!(wait_ms(100, Some(at(1_000)), at(1_000)), None);
        assert_eq!(wait_ms(100, Some(at(1_000)), at(2_000)), None);
    }
}
