//! Peers that are put aside: the Worker asks before it wakes their links.

use std::cell::RefCell;
use std::collections::BTreeMap;

use entente_lexicon::link_view::PenaltyView;
use entente_lexicon::{Did, Timestamp};

use crate::error::ApiError;
use crate::store::d1::Directory;

/// How long an isolate believes what it read, so that a pardon is felt everywhere soon.
const REMEMBER_MS: u64 = 5_000;
/// Peers remembered at most.
const MAX_REMEMBERED: usize = 1_000;

thread_local! {
    static PUT_ASIDE: RefCell<BTreeMap<Did, (PenaltyView, Timestamp)>> = RefCell::default();
}

/// Refuses a peer that is put aside.
///
/// # Errors
/// 429 `PENALTY` with `Retry-After`; if D1 fails.
pub async fn check(directory: &Directory, did: &Did, now: Timestamp) -> Result<(), ApiError> {
    let known = PUT_ASIDE.with_borrow(|all| all.get(did).cloned());
    let fresh = known.filter(|(_, read)| now.since(*read) < REMEMBER_MS);
    let penalty = match fresh {
        Some((penalty, _)) => Some(penalty),
        None => directory.penalty(did).await?,
    };
    match penalty.filter(|penalty| penalty.until > now) {
        None => {
            forget(did);
            Ok(())
        }
        Some(penalty) => {
            PUT_ASIDE.with_borrow_mut(|all| {
                if all.len() >= MAX_REMEMBERED {
                    all.clear();
                }
                let read = all.get(did).map_or(now, |(_, read)| *read);
                let read = if now.since(read) < REMEMBER_MS {
                    read
                } else {
                    now
                };
                all.insert(did.clone(), (penalty.clone(), read));
            });
            Err(refusal(&penalty, now))
        }
    }
}

/// Forgets what this isolate remembers of a peer.
pub fn forget(did: &Did) {
    PUT_ASIDE.with_borrow_mut(|all| all.remove(did));
}

/// The answer to a peer that is put aside.
#[must_use]
pub fn refusal(penalty: &PenaltyView, now: Timestamp) -> ApiError {
    let seconds = penalty.until.since(now).div_ceil(1_000).max(1);
    let message = format!(
        "This network has put yours aside for {seconds} s because of {}: wait, then dial once.",
        penalty.reason
    );
    ApiError::new(429, "PENALTY", message).with_header("retry-after", seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_put_aside_is_told_for_how_long_and_why() {
        let penalty = PenaltyView {
            until: Timestamp(12_345),
            reason: "FLOOD".to_owned(),
            strikes: 1,
        };
        let error = refusal(&penalty, Timestamp(2_000));
        assert_eq!((error.status, &*error.code), (429, "PENALTY"));
        assert_eq!(error.headers, [("retry-after", "11".to_owned())]);
        assert!(error.message.contains("FLOOD"), "{error}");
    }
}
