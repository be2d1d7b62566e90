//! What links hold until an admin decides.

use entente_lexicon::Did;
use entente_lexicon::api::{QuarantineList, RefuseQuarantined};
use entente_lexicon::id::BASE32;
use futures::future::join_all;
use serde::Deserialize;
use worker::Response;

use crate::auth::route::Route;
use crate::error::ApiError;
use crate::internal;
use crate::routes::bans::MAX_REASON_CHARS;
use crate::routes::call::Call;
use crate::routes::{body, reply};
use crate::shapes::{Decide, Decision, Nothing};
use crate::store::peers::PeerRow;

/// Messages of one page.
const MAX_PAGE: usize = 100;
/// Links asked for one page.
const MAX_LINKS: usize = 50;

#[derive(Deserialize)]
struct Query {
    cursor: Option<String>,
}

/// Where a list goes on: after this number at this peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    peer: String,
    after: u64,
}

impl Place {
    fn encode(&self) -> String {
        BASE32.encode(format!("{}.{}", self.peer, self.after).as_bytes())
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = BASE32.decode(text.as_bytes()).ok()?;
        let (peer, after) = split(std::str::from_utf8(&bytes).ok()?)?;
        Some(Self { peer, after })
    }
}

/// Takes the name of a held message apart: its peer and its number there.
fn split(item: &str) -> Option<(String, u64)> {
    let (peer, n) = item.rsplit_once('.')?;
    Some((Did::parse(peer).ok()?.to_string(), n.parse().ok()?))
}

/// Answers the routes of quarantined messages.
pub(super) async fn serve(call: Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::ReleaseQuarantined {
        release(&call).await
    } else if route == Route::RefuseQuarantined {
        refuse(call).await
    } else {
        list(&call).await
    }
}

/// `GET /admin/federation/quarantine`: by peer, each one's oldest first.
async fn list(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let query: Query = call.request.query()?;
    let from = match query.cursor.as_deref().filter(|text| !text.is_empty()) {
        None => Place::default(),
        Some(text) => Place::decode(text).ok_or_else(|| {
            ApiError::bad_request(
                "INVALID_CURSOR",
                "`cursor` is not one of ours: pass what the last page returned, or none to start over.",
            )
        })?,
    };
    let mut peers = call.directory()?.peers().await?;
    peers.retain(|peer| !peer.is_closing() && peer.did.as_str() >= from.peer.as_str());
    peers.sort_by(|a, b| a.did.as_str().cmp(b.did.as_str()));
    let more = peers.len() > MAX_LINKS;
    peers.truncate(MAX_LINKS);
    let pages = join_all(peers.iter().map(|peer| page(call, peer, &from))).await;
    let mut found = QuarantineList::default();
    for (peer, page) in peers.iter().zip(pages) {
        let room = MAX_PAGE.saturating_sub(found.held.len());
        let mut held = page?.held;
        let full = held.len() >= room;
        held.truncate(room);
        found.held.extend(held);
        if full {
            found.cursor = found.held.last().and_then(|last| {
                let (peer, after) = split(&last.item)?;
                Some(Place { peer, after }.encode())
            });
            return reply::json(200, &found);
        }
        let place = Place {
            peer: peer.did.to_string(),
            after: u64::MAX >> 11,
        };
        found.cursor = more.then(|| place.encode());
    }
    reply::json(200, &found)
}

async fn page(call: &Call, peer: &PeerRow, from: &Place) -> Result<QuarantineList, ApiError> {
    let after = if peer.did.as_str() == from.peer {
        from.after
    } else {
        0
    };
    let stub = internal::link(&call.env, &peer.did)?;
    let path = format!("/quarantine?after={after}&limit={MAX_PAGE}");
    match internal::get(&stub, &path, &call.id).await {
        // It was removed, or is not set up yet: it holds nothing.
        Err(error) if error.code == "NOT_PEERED" => Ok(QuarantineList::default()),
        outcome => outcome,
    }
}

/// `POST /admin/federation/quarantine/:item/release`.
async fn release(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let target = call.parameter().to_owned();
    decide(call, "quarantine.release", &target, Decision::Release).await
}

/// `POST /admin/federation/quarantine/:item/refuse`.
async fn refuse(mut call: Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let bytes = body::read(&mut call.request).await?;
    let wish: RefuseQuarantined = if bytes.is_empty() {
        RefuseQuarantined::default()
    } else {
        body::parse(&bytes)?
    };
    let reason = wish.reason.unwrap_or_default();
    if reason.chars().count() > MAX_REASON_CHARS {
        return Err(ApiError::bad_request(
            "INVALID_BODY",
            "`reason` is at most 500 characters long.",
        ));
    }
    let target = format!("{} {reason}", call.parameter());
    decide(
        &call,
        "quarantine.refuse",
        target.trim_end(),
        Decision::Refuse,
    )
    .await
}

async fn decide(
    call: &Call,
    action: &str,
    target: &str,
    decision: Decision,
) -> Result<Response, ApiError> {
    let unknown = || {
        ApiError::not_found(
            "NOT_QUARANTINED",
            "Nothing is held under that name: GET /admin/federation/quarantine lists what is.",
        )
    };
    let (peer, n) = split(call.parameter()).ok_or_else(unknown)?;
    let did = Did::parse(&peer).map_err(|_error| unknown())?;
    let peer = call.directory()?.peer(&did).await?.ok_or_else(unknown)?;
    call.audit(action, target).await?;
    let stub = internal::link(&call.env, &peer.did)?;
    let body = Decide { n, decision };
    let Nothing {} = internal::post(&stub, "/quarantine", &body, &call.id).await?;
    reply::nothing()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_and_nonsense_is_none() {
        let peer = Did::from_scid(&[1; 32]).to_string();
        let place = Place { peer, after: 7 };
        assert_eq!(Place::decode(&place.encode()), Some(place));
        for bad in ["", "x", "did.7", "did:cf:abc.7", "..", "did:cf:abc"] {
            assert_eq!(split(bad), None, "{bad}");
            assert_eq!(Place::decode(&BASE32.encode(bad.as_bytes())), None);
        }
    }
}
