//! The network as a whole: initialising it, the firehose and its tickets.

use entente_lexicon::api::{AnnouncementList, Ticket, Viewer};
use entente_lexicon::keys::Init;
use worker::Response;

use crate::auth::gate::{TICKET_PROTOCOL, is_admin, ticket_protocol};
use crate::auth::route::Route;
use crate::config::{Problem, key_ring};
use crate::error::{ApiError, REQUEST_ID};
use crate::fanout::wire::{AskSeat, Seat};
use crate::internal::{self, SHARD, now};
use crate::lifecycle;
use crate::routes::call::Call;
use crate::routes::{body, keys, reply};
use crate::shapes::{InitRelay, Nothing, RelayIdentity, VIEWER};

/// `POST /admin/init`: makes the network's keys the first time, and says who it is every time.
pub(super) async fn init(mut call: Call) -> Result<Response, ApiError> {
    let config = call.config()?;
    let ring = key_ring(&call.env)?;
    let bytes = body::read(&mut call.request).await?;
    let wish: Init = match bytes.as_slice() {
        [] => Init::default(),
        bytes => body::parse(bytes)?,
    };
    let directory = call.directory()?;
    let row = directory.network().await?;
    if let Some(row) = &row {
        if !row.is_sealed_by(&ring) {
            return Err(Problem::MasterKeyWrong.into());
        }
        if row.host != config.host {
            return Err(Problem::HostChanged.into());
        }
    }
    let fresh = row.is_none();
    let did = row.map(|row| row.did);
    let identity = renew(&call, did, wish.recovery_public_key).await?;
    if fresh {
        call.audit("network.init", identity.did.as_str()).await?;
    }
    lifecycle::wake_links(&call.env, &directory, &call.id).await?;
    reply::json(if fresh { 201 } else { 200 }, &keys::view(identity))
}

/// Has the relay bring its documents up to date, and lists them.
pub(super) async fn renew(
    call: &Call,
    expected: Option<entente_lexicon::Did>,
    recovery: Option<String>,
) -> Result<RelayIdentity, ApiError> {
    let config = call.config()?;
    let init = InitRelay {
        object_id: internal::relay_id(&call.env)?,
        host: config.host,
        name: config.name,
        expected,
        recovery,
    };
    let relay = internal::relay(&call.env)?;
    let identity: RelayIdentity = internal::post(&relay, "/init", &init, &call.id).await?;
    call.directory()?.put_network(&identity, now()).await?;
    Ok(identity)
}

/// `POST /admin/ticket`: a one-time pass for the admin's view of the firehose.
pub(super) async fn ticket(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let relay = internal::relay(&call.env)?;
    let ticket: Ticket = internal::post(&relay, "/ticket", &Nothing {}, &call.id).await?;
    reply::json(200, &ticket)
}

/// What happens here, as a stream or as the announcements that are kept.
pub(super) async fn watch(call: &Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::Firehose {
        firehose(call).await
    } else {
        announcements(call).await
    }
}

/// `WS /relay/firehose`: the admin's view for a ticket or the key, else the observer's.
async fn firehose(call: &Call) -> Result<Response, ApiError> {
    require_upgrade(call)?;
    call.ready().await?;
    let protocol = ticket_protocol(&call.request)?;
    let ticket = protocol.and_then(|text| text.strip_prefix(TICKET_PROTOCOL).map(str::to_owned));
    let viewer = if ticket.is_some() || is_admin(&call.request, &call.env)? {
        Viewer::Admin
    } else if call.request.headers().has("authorization")? {
        return Err(ApiError::new(
            401,
            "UNAUTHENTICATED",
            "The key is not this network's admin key: send the right one, or none to observe.",
        ));
    } else {
        Viewer::Observer
    };
    let ask = AskSeat { viewer, ticket };
    let relay = internal::relay(&call.env)?;
    let seat: Seat = internal::post(&relay, "/firehose/seat", &ask, &call.id).await?;
    let viewer = match viewer {
        Viewer::Admin => "admin",
        Viewer::Observer => "observer",
    };
    let query = call.request.url()?.query().map(str::to_owned);
    let path = query.map_or("/firehose".to_owned(), |query| format!("/firehose?{query}"));
    let headers = [
        (REQUEST_ID, call.id.as_str()),
        (VIEWER, viewer),
        (SHARD, seat.shard.as_str()),
    ];
    let fanout = internal::fanout(&call.env, &seat.shard)?;
    let nothing = internal::Forwarded::Nothing;
    internal::forward(&fanout, &call.request, &path, &headers, &nothing).await
}

/// `GET /relay/announcements`: what agents here and of peers said to everybody, the newest first.
async fn announcements(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let query = call.request.url()?.query().map(str::to_owned);
    let path = query.map_or("/announcements".to_owned(), |query| {
        format!("/announcements?{query}")
    });
    let relay = internal::relay(&call.env)?;
    let list: AnnouncementList = internal::get(&relay, &path, &call.id).await?;
    reply::json(200, &list)
}

/// Refuses a request that is no WebSocket upgrade.
pub(super) fn require_upgrade(call: &Call) -> Result<(), ApiError> {
    let upgrade = call.request.headers().get("upgrade")?;
    if upgrade.is_some_and(|text| text.eq_ignore_ascii_case("websocket")) {
        return Ok(());
    }
    Err(ApiError::new(
        426,
        "UPGRADE_REQUIRED",
        "This route speaks WebSocket only: connect with ws:// or wss://.",
    ))
}
