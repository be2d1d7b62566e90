//! `GET /relay/agents/:agent/blobs/:cid`: an agent of another network reads a blob of a record that is
//! shared with it.
//!
//! The agent signs the request itself. What it costs to look at that (its card, the link) is spent only
//! once the owner's object has said that the blob is shared with it.

use entente_lexicon::Host;
use entente_trust::crypto::sign::VerifyingKey;
use entente_trust::policy;
use entente_well_known::card::CardBody;
use entente_well_known::signature::Claim;
use worker::Response;

use crate::edge::{penalty, signature};
use crate::error::{ApiError, REQUEST_ID};
use crate::internal::{self, Forwarded, Stub, now};
use crate::routes::bans;
use crate::routes::call::Call;
use crate::routes::discovery::living_agent;
use crate::routes::federation::network_private;
use crate::shapes::{LoanWish, Nothing, Reader, Resolved};
use crate::store::directory;

/// Answers with chunks of the blob.
pub(super) async fn serve(call: &Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    if !policy::allows_link(ready.config.trust_level) {
        return Err(network_private());
    }
    let claim = signature::claim(&call.request, &ready.config)?;
    let wish: LoanWish = call.request.query().map_err(|_error| malformed())?;
    let named = call.parameters.get(1).is_some_and(|cid| *cid == wish.cid);
    if wish.reader != claim.did || !named {
        return Err(malformed());
    }
    let row = living_agent(call, call.parameter()).await?;
    let owner = internal::agent(&call.env, &row.object_id)?;
    let url = call.request.url()?;
    let query = url.query().unwrap_or_default();
    let reader: Reader = internal::get(&owner, &format!("/lend?{query}"), &call.id).await?;
    let link = admitted(call, &claim, &reader.host).await?;
    if let Err(error) = check_reader(call, &claim, &link).await {
        // Who cannot show that it is the reader is not told what is shared with it either.
        let detail = Some(error.to_string());
        return Err(ApiError {
            detail,
            ..unknown()
        });
    }
    let path = format!("/lend/chunks?{query}");
    let headers = [(REQUEST_ID, call.id.as_str())];
    internal::forward(&owner, &call.request, &path, &headers, &Forwarded::Nothing).await
}

/// Has the link to the reader's network say whether anything may go out to it. Returns the link.
async fn admitted(call: &Call, claim: &Claim, host: &str) -> Result<Stub, ApiError> {
    let host = Host::parse(host).map_err(ApiError::internal)?;
    let peer = directory::peer_at(&call.env, &host).await?;
    // No peer any more: nothing is lent there.
    let peer = peer.ok_or_else(unknown)?;
    let directory = call.directory()?;
    if directory
        .ban(&peer.did, Some(&host), now())
        .await?
        .is_some()
    {
        return Err(bans::banned());
    }
    penalty::check(&directory, &peer.did, now()).await?;
    let link = internal::link(&call.env, &peer.did)?;
    let path = format!("/admits?agent={}&direction=outbound", claim.did);
    let Nothing {} = internal::get(&link, &path, &call.id).await?;
    Ok(link)
}

/// Checks that the reader signed, by the key that its card tells. It may have a new one.
async fn check_reader(call: &Call, claim: &Claim, link: &Stub) -> Result<(), ApiError> {
    let known = signature::check(claim, Some(&key(call, claim, link, "").await?));
    match known {
        Ok(()) => Ok(()),
        Err(_of_an_old_key) => {
            let fresh = key(call, claim, link, "&fresh=1").await?;
            signature::check(claim, Some(&fresh))
        }
    }
}

async fn key(
    call: &Call,
    claim: &Claim,
    link: &Stub,
    fresh: &str,
) -> Result<VerifyingKey, ApiError> {
    let path = format!("/resolve?agent={}{fresh}", claim.did);
    let resolved: Resolved = internal::get(link, &path, &call.id).await?;
    let card: CardBody = serde_json::from_str(&resolved.card)?;
    VerifyingKey::from_multikey(&card.keys.signing).map_err(ApiError::internal)
}

fn unknown() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_BLOB",
        "No record that is shared with the agent that signed refers to such a blob.",
    )
}

fn malformed() -> ApiError {
    ApiError::bad_request(
        "INVALID_QUERY",
        "`reader` signs; `record`, `cid`, `dek`, `from` and `to` say what of: see docs/protocol/api.md.",
    )
}
