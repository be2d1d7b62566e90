//! An agent's mail: the Worker checks who calls and passes the call on to the agent's object.

use worker::Response;

use crate::auth::gate::{Caller, admit_again};
use crate::auth::recall;
use crate::auth::route::Route;
use crate::auth::table::Entry;
use crate::error::{ApiError, REQUEST_ID};
use crate::internal::{self, ACTOR, Forwarded, READ_RECEIPTS};
use crate::routes::body;
use crate::routes::call::{Call, unknown_agent};

/// Where a call goes.
struct Target {
    object_id: String,
    /// Who acts, unless a ticket says so.
    actor: Option<&'static str>,
    /// Whether senders are told that the agent has read their messages.
    tells_reads: bool,
    /// The version of the row that was remembered; nothing if it was just read.
    remembered: Option<u64>,
}

/// Passes a call on to the agent that the path names.
pub(super) async fn forward(mut call: Call, entry: Entry) -> Result<Response, ApiError> {
    call.ready().await?;
    // A stream can be passed on once, so nothing may be refused that it was sent with.
    let streams = matches!(entry.route, Route::PutBlobPart | Route::ImportRepo);
    if streams && matches!(call.caller, Caller::Known(_)) {
        ask_again(&mut call, entry).await?;
    }
    let target = target(&call, entry.route).await?;
    let method = call.request.method();
    let body = if streams {
        Forwarded::Stream
    } else if matches!(
        method,
        worker::Method::Post | worker::Method::Put | worker::Method::Patch
    ) {
        Forwarded::Bytes(body::read(&mut call.request).await?)
    } else {
        Forwarded::Nothing
    };
    let answer = pass(&call, &target, &body).await?;
    if target.remembered.is_none() || answer.status_code() != recall::STALE {
        return Ok(answer);
    }
    ask_again(&mut call, entry).await?;
    pass(&call, &self::target(&call, entry.route).await?, &body).await
}

/// Has the directory say whose token this is, since what was remembered may not hold.
async fn ask_again(call: &mut Call, entry: Entry) -> Result<(), ApiError> {
    let name = call.parameters.first().map(String::as_str);
    call.caller = admit_again(&call.request, &call.env, entry.access, name).await?;
    Ok(())
}

async fn target(call: &Call, route: Route) -> Result<Target, ApiError> {
    if let Caller::Known(known) = &call.caller {
        return Ok(Target {
            object_id: known.object_id.clone(),
            actor: Some("agent"),
            tells_reads: known.tells_reads,
            remembered: Some(known.version),
        });
    }
    let row = match call.agent().await {
        Ok(row) if row.is_active() => row,
        // Who has yet to prove anything is not told which agents there are.
        Ok(_) | Err(_) if call.caller == Caller::TicketHolder => return Err(ticket_invalid()),
        Ok(row) => return Err(unknown_agent(row.name.as_str())),
        Err(error) => return Err(error),
    };
    let actor = match &call.caller {
        Caller::Agent(_) | Caller::Known(_) => Some("agent"),
        Caller::Admin if row.admin_may_read() => {
            let reads = matches!(
                call.request.method(),
                worker::Method::Get | worker::Method::Head
            );
            call.audit(action(route, reads), row.name.as_str()).await?;
            Some("admin")
        }
        Caller::Admin => {
            return Err(ApiError::new(
                403,
                "ADMIN_READ_OFF",
                format!(
                    "{}'s mail is its own: use the agent's token. (An agent made with config.adminRead: true lets the admin read and send.)",
                    row.name
                ),
            ));
        }
        Caller::TicketHolder => None,
        Caller::Anyone => {
            return Err(ApiError::internal("an open door before an agent's mail"));
        }
    };
    Ok(Target {
        tells_reads: row.tells_reads(),
        object_id: row.object_id,
        actor,
        remembered: None,
    })
}

async fn pass(call: &Call, target: &Target, body: &Forwarded) -> Result<Response, ApiError> {
    let url = call.request.inner().url();
    let path = inner_path(&url);
    let version = target.remembered.map(|version| version.to_string());
    let mut headers = vec![(REQUEST_ID, call.id.as_str())];
    headers.extend(target.actor.map(|actor| (ACTOR, actor)));
    headers.extend(version.as_deref().map(|version| (recall::VERSION, version)));
    if target.tells_reads {
        headers.push((READ_RECEIPTS, "1"));
    }
    let stub = internal::agent(&call.env, &target.object_id)?;
    internal::forward(&stub, &call.request, &path, &headers, body).await
}

fn ticket_invalid() -> ApiError {
    ApiError::new(
        401,
        "TICKET_INVALID",
        "The ticket is unknown, used or older than 30 s: get a new one with POST /agents/:name/ticket.",
    )
}

/// Returns what follows `/agents/:name` in a URL, as it was written.
fn inner_path(url: &str) -> String {
    let path = url.split_once("://").map_or(url, |(_scheme, rest)| rest);
    format!("/{}", path.splitn(4, '/').nth(3).unwrap_or_default())
}

/// Returns what the audit log calls an access by the admin.
fn action(route: Route, reads: bool) -> &'static str {
    const ACTIONS: [(Route, &str); 15] = [
        (Route::Announce, "mail.announce"),
        (Route::SendMessage, "mail.send"),
        (Route::ListMessages, "mail.list"),
        (Route::ShowMessage, "mail.show"),
        (Route::Inbox, "mail.inbox"),
        (Route::MarkRead, "mail.read"),
        (Route::AgentTicket, "mail.ticket"),
        (Route::ExportRepo, "memory.export"),
        (Route::ImportRepo, "memory.import"),
        (Route::AgentSocket, "mail.socket"),
        (Route::ReadMemory, "memory.read"),
        (Route::WriteMemory, "memory.write"),
        (Route::DeleteMemory, "memory.delete"),
        (Route::PutBlobPart, "memory.write"),
        (Route::ShareMemory, "memory.share"),
    ];
    // Of these, reading and writing are told apart by the method.
    const BOTH: [(Route, [&str; 2]); 7] = [
        (
            Route::Endorsements,
            ["endorsements.read", "endorsements.write"],
        ),
        (Route::Tasks, ["tasks.read", "tasks.write"]),
        (Route::Blocks, ["blocks.read", "blocks.write"]),
        (Route::Filters, ["filters.read", "filters.write"]),
        (Route::Webhooks, ["webhooks.read", "webhooks.write"]),
        (Route::Groups, ["groups.read", "groups.write"]),
        (
            Route::DeadLetters,
            ["dead-letters.read", "dead-letters.write"],
        ),
    ];
    if let Some((_, [read, write])) = BOTH.iter().find(|(of, _)| *of == route) {
        return if reads { read } else { write };
    }
    ACTIONS
        .iter()
        .find(|(of, _)| *of == route)
        .map_or("mail", |(_, action)| action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_sees_the_path_without_the_agent() {
        for (url, path) in [
            (
                "https://a.example/agents/alice/messages/abc",
                "/messages/abc",
            ),
            (
                "http://localhost:8701/agents/alice/inbox?limit=2&cursor=x/y",
                "/inbox?limit=2&cursor=x/y",
            ),
        ] {
            assert_eq!(inner_path(url), path);
        }
    }
}
