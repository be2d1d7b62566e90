//! Every route of the HTTP API, dispatched by the access table.

mod a2a;
mod agents;
mod approval;
mod backups;
mod bans;
pub(crate) mod body;
mod call;
mod dashboard;
mod dead;
mod discovery;
mod federation;
mod health;
mod keys;
mod lend;
mod lexicons;
mod mail;
mod network;
mod peer_detail;
mod peers;
mod policy;
mod quarantine;
mod reply;
mod reputation;
mod requests;
mod tasks;
mod timeline;
mod xrpc;

use worker::{Env, Request, Response};

use crate::auth::find::{Found, look_up};
use crate::auth::gate::{Caller, admit};
use crate::auth::route::Route;
use crate::auth::table::{Access, Entry};
use crate::drill;
use crate::error::{ApiError, answer};
use crate::internal::new_request_id;
use call::Call;

/// Answers one request.
///
/// # Errors
/// If the platform cannot build a response.
pub async fn handle(request: Request, env: Env) -> worker::Result<Response> {
    // Made here, whatever the client sent: the audit log and the objects trust it.
    let id = new_request_id();
    let found = look_up(request.method().as_ref(), &request.path());
    let public = matches!(&found, Found::Route(entry, _) if entry.access == Access::Public);
    let result = if request.method() == worker::Method::Options {
        reply::preflight(&request)
    } else {
        dispatch(request, env, found, &id).await
    };
    reply::finish(answer(result, &id)?, &id, public)
}

async fn dispatch(
    request: Request,
    env: Env,
    found: Found,
    id: &str,
) -> Result<Response, ApiError> {
    let (entry, parameters) = match found {
        Found::Route(entry, parameters) => (entry, parameters),
        Found::OtherMethods(methods) => {
            admit(&request, &env, Access::Admin, None).await?;
            return Err(ApiError::new(
                405,
                "METHOD_NOT_ALLOWED",
                format!("This path answers {} only.", methods.join(", ")),
            ));
        }
        Found::Nothing => {
            admit(&request, &env, Access::Admin, None).await?;
            return Err(ApiError::not_found("NOT_FOUND", "There is no such route."));
        }
    };
    let name = parameters.first().map(String::as_str);
    let caller = admit(&request, &env, entry.access, name).await?;
    if let (Caller::Admin, Some(wish)) = (&caller, drill::asked(&request, &env)) {
        return drill::run(&env, &wish, id).await;
    }
    let call = Call {
        request,
        env,
        id: id.to_owned(),
        caller,
        parameters,
    };
    serve(call, entry).await
}

async fn serve(call: Call, entry: Entry) -> Result<Response, ApiError> {
    match entry.route {
        Route::Home | Route::Dashboard => dashboard::serve(&call, entry.route).await,
        Route::Health => health::show(&call).await,
        Route::NetworkDocument | Route::NetworkLog | Route::NetworkDid => {
            discovery::network(&call, entry.route).await
        }
        Route::AgentCard | Route::AgentPrekey | Route::AgentLog | Route::AgentDid => {
            discovery::agent(&call, entry.route).await
        }
        Route::LendBlob | Route::Xrpc => kept(&call, entry.route).await,
        Route::Lexicons | Route::Reputation | Route::Timeline => said(&call, entry.route).await,
        Route::Firehose | Route::Announcements => network::watch(&call, entry.route).await,
        Route::Federation => federation::upgrade(&call).await,
        Route::Init => network::init(call).await,
        Route::AdminTicket => network::ticket(&call).await,
        Route::ShowKeys | Route::RotateKeys | Route::RecoverKeys | Route::ResealKeys => {
            keys::serve(call, entry.route).await
        }
        Route::Backups => backups::serve(call).await,
        Route::CreateAgent => agents::create(call).await,
        Route::ListAgents => agents::list(&call).await,
        Route::ShowAgent | Route::ReplicaStatus => agents::show(&call, entry.route).await,
        Route::ChangeAgent => agents::change(call).await,
        Route::DeleteAgent => agents::delete(&call).await,
        Route::RotateToken | Route::RotateAgentKeys => agents::rotate(&call, entry.route).await,
        Route::SendMessage
        | Route::Announce
        | Route::ListMessages
        | Route::ShowMessage
        | Route::Inbox
        | Route::MarkRead
        | Route::AgentTicket
        | Route::ExportRepo
        | Route::ImportRepo
        | Route::AgentSocket
        | Route::ReadMemory
        | Route::WriteMemory
        | Route::DeleteMemory
        | Route::ShareMemory
        | Route::PutBlobPart
        | Route::Tasks
        | Route::Blocks
        | Route::Filters
        | Route::Endorsements
        | Route::Webhooks
        | Route::Groups
        | Route::DeadLetters => mail::forward(call, entry).await,
        Route::AddPeer => peers::add(call).await,
        Route::AdminTasks => tasks::list(&call).await,
        Route::A2a => a2a::serve(call).await,
        Route::AdminDeadLetters => dead::serve(call).await,
        Route::ListPeers | Route::PublicPeers => peers::show(&call, entry.route).await,
        Route::ShowPeer | Route::ProbePeer | Route::PardonPeer | Route::TestPeer => {
            peer_detail::serve(&call, entry.route).await
        }
        Route::ChangePeer => peers::change(call).await,
        Route::RemovePeer => peers::remove(&call).await,
        Route::ApprovePeer | Route::DisapprovePeer => approval::serve(call, entry.route).await,
        Route::PreviewPeer => policy::preview(call).await,
        Route::ListRequests | Route::AcceptRequest | Route::RejectRequest => {
            requests::serve(call, entry.route).await
        }
        Route::AddBan | Route::ListBans | Route::LiftBan => bans::serve(call, entry.route).await,
        Route::UnfreezePeer => peers::unfreeze(call).await,
        Route::ListQuarantine | Route::ReleaseQuarantined | Route::RefuseQuarantined => {
            quarantine::serve(call, entry.route).await
        }
    }
}

/// What there is to read of what is said here, and in which words.
async fn said(call: &Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::Reputation {
        reputation::serve(call).await
    } else if route == Route::Timeline {
        timeline::serve(call).await
    } else {
        lexicons::serve(call)
    }
}

/// What agents keep, for whoever may have it.
async fn kept(call: &Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::LendBlob {
        lend::serve(call).await
    } else {
        xrpc::serve(call).await
    }
}
