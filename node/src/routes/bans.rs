//! Bans: networks that are refused whatever else is said about them.

use entente_lexicon::api::{BanList, BanView, NewBan};
use entente_lexicon::{Did, Host, Timestamp};
use worker::Response;

use crate::auth::route::Route;
use crate::error::ApiError;
use crate::internal::now;
use crate::routes::call::Call;
use crate::routes::{body, peers, reply};
use crate::store::bans::BanRow;

/// The longest reason, in characters.
pub(super) const MAX_REASON_CHARS: usize = 500;

/// Answers the routes of bans.
pub(super) async fn serve(call: Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::AddBan {
        add(call).await
    } else if route == Route::LiftBan {
        lift(&call).await
    } else {
        list(&call).await
    }
}

/// `POST /admin/federation/bans`: bans a DID or host, or changes its ban.
async fn add(mut call: Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    let wish: NewBan = body::json(&mut call.request).await?;
    let now = now();
    let (subject, own) = match (&wish.did, &wish.host) {
        (Some(did), None) => {
            let did = Did::parse(did).map_err(|error| malformed("did", &error))?;
            let own = did == ready.row.did;
            (did.to_string(), own)
        }
        (None, Some(host)) => {
            let host = Host::parse(host).map_err(|error| malformed("host", &error))?;
            let own = host == ready.config.host;
            (host.to_string(), own)
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(ApiError::bad_request(
                "INVALID_BODY",
                "A ban names either `did` or `host`.",
            ));
        }
    };
    if own {
        return Err(ApiError::new(
            422,
            "PEER_IS_SELF",
            "That is this network itself.",
        ));
    }
    let reason = wish.reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON_CHARS {
        return Err(ApiError::bad_request(
            "INVALID_BODY",
            "`reason` says why, in at most 500 characters; the banned network is never told.",
        ));
    }
    if wish.expires_at.is_some_and(|at| at <= now) {
        return Err(ApiError::bad_request(
            "INVALID_EXPIRY",
            "`expiresAt` lies in the future; leave it out for a ban without end.",
        ));
    }
    call.audit("ban.add", &subject).await?;
    let directory = call.directory()?;
    let actor = call.caller.actor();
    let expires = wish.expires_at;
    if !directory
        .put_ban(&subject, reason, &actor, expires, now)
        .await?
    {
        return Err(ApiError::new(
            422,
            "TOO_MANY_BANS",
            "This network has all the bans it can keep: lift one first.",
        ));
    }
    peers::renew(&call, &subject).await?;
    let view = BanView {
        subject,
        reason: reason.to_owned(),
        created_at: now,
        expires_at: wish.expires_at,
    };
    reply::json(201, &view)
}

/// `GET /admin/federation/bans`: those in force.
async fn list(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let rows = call.directory()?.bans(now()).await?;
    let bans = rows.into_iter().map(view).collect();
    reply::json(200, &BanList { bans })
}

/// `DELETE /admin/federation/bans/:subject`: lifts one.
async fn lift(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let subject = call.parameter();
    call.audit("ban.lift", subject).await?;
    if !call.directory()?.lift_ban(subject).await? {
        return Err(ApiError::not_found(
            "UNKNOWN_BAN",
            "There is no such ban: GET /admin/federation/bans lists them by subject.",
        ));
    }
    peers::renew(call, subject).await?;
    reply::nothing()
}

pub(super) fn view(row: BanRow) -> BanView {
    BanView {
        subject: row.subject,
        reason: row.reason,
        created_at: Timestamp(row.created_at),
        expires_at: row.expires_at.map(Timestamp),
    }
}

/// What a banned network is told: nothing but that.
pub(super) fn banned() -> ApiError {
    ApiError::new(
        403,
        "BANNED",
        "This network does not talk to that one: ask its admin by another way.",
    )
}

fn malformed(member: &str, error: &entente_lexicon::IdError) -> ApiError {
    ApiError::bad_request("MALFORMED_ADDRESS", format!("`{member}`: {error}."))
}
