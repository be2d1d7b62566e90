//! One peer in full, its pardon, and the test of a host stage by stage.

use entente_lexicon::TrustLevel;
use entente_lexicon::api::PeerView;
use entente_lexicon::link_view::{LinkDetail, LinkTest, PeerDetail, Stage};
use entente_well_known::guard::check_peer_url;
use worker::Response;

use crate::auth::route::Route;
use crate::edge::penalty;
use crate::error::ApiError;
use crate::guard;
use crate::internal;
use crate::routes::call::Call;
use crate::routes::{peers, reply};
use crate::shapes::Nothing;
use crate::store::peers::PeerRow;

/// Everything about one peer.
pub(super) async fn serve(call: &Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::ProbePeer {
        probe(call).await
    } else if route == Route::PardonPeer {
        pardon(call).await
    } else if route == Route::TestPeer {
        test(call).await
    } else {
        show(call).await
    }
}

/// `GET /admin/federation/peers/:did`: the peer as listed, and all that its link knows.
async fn show(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let row = peers::peer(call).await?;
    let peer = peers::view(call, &row).await?;
    let link = internal::link(&call.env, &row.did)?;
    let detail: LinkDetail = match internal::get(&link, "/detail", &call.id).await {
        Ok(detail) => detail,
        // What the directory knows is shown all the same.
        Err(error) => LinkDetail {
            why: format!("The link itself does not answer: {}", error.message),
            ..LinkDetail::default()
        },
    };
    reply::json(200, &PeerDetail { peer, detail })
}

/// `POST /admin/federation/peers/:did/probe`: dials now rather than when the next try is due.
async fn probe(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let row = peers::peer(call).await?;
    call.audit("peer.probe", row.did.as_str()).await?;
    let link = internal::link(&call.env, &row.did)?;
    let Nothing {} = internal::post(&link, "/probe", &Nothing {}, &call.id).await?;
    reply::nothing()
}

/// `DELETE /admin/federation/peers/:did/penalty`: takes the peer back at once.
async fn pardon(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let row = peers::peer(call).await?;
    call.audit("peer.pardon", row.did.as_str()).await?;
    let link = internal::link(&call.env, &row.did)?;
    let Nothing {} = internal::post(&link, "/pardon", &Nothing {}, &call.id).await?;
    call.directory()?.drop_penalty(&row.did).await?;
    penalty::forget(&row.did);
    reply::nothing()
}

/// `GET /admin/federation/test?host=`: walks a peer stage by stage, up to the first that fails.
async fn test(call: &Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    let url = call.request.url()?;
    let host = url.query_pairs().find(|(name, _)| name == "host");
    let host = host
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    let mut stages = Vec::new();
    walk(call, &ready.config, &host, &mut stages).await?;
    let ok = stages.iter().all(|stage| stage.ok);
    reply::json(200, &LinkTest { host, ok, stages })
}

async fn walk(
    call: &Call,
    config: &crate::config::Config,
    host: &str,
    stages: &mut Vec<Stage>,
) -> Result<(), ApiError> {
    let origin = match entente_lexicon::Host::parse(host) {
        Ok(host) => config.origin(&host),
        Err(_) if host.contains("://") => host.to_owned(),
        // What is wrong with it is for the rules to say.
        Err(_) => format!("https://{host}"),
    };
    let own = std::slice::from_ref(&config.host);
    let target = match check_peer_url(&origin, own, &config.dev_hosts) {
        Ok(target) => target,
        Err(error) => {
            let next = "Name the peer's public host, such as network.example.com";
            stages.push(failed("url", &guard::refused(error), next));
            return Ok(());
        }
    };
    stages.push(held("url", format!("{} may be asked", target.origin)));
    let document = match guard::fetch_document(&target, None)
        .await
        .map_err(ApiError::from)
    {
        Ok(fetched) => fetched.verified,
        Err(error) => {
            let next = "Ask the peer's admin to look at its /.well-known/agent-network.json";
            stages.push(failed("document", &error, next));
            return Ok(());
        }
    };
    let proved = format!(
        "signed by {}, fingerprint {}",
        document.did, document.fingerprint
    );
    stages.push(held("document", proved));
    let Some(row) = call.directory()?.peer(&document.did).await? else {
        let error = ApiError::new(
            422,
            "NOT_PEERED",
            "This network does not list it as a peer.",
        );
        let next =
            "Add it with POST /admin/federation/peers, and ask its admin to add this network";
        stages.push(failed("peer", &error, next));
        return Ok(());
    };
    stages.push(held("peer", format!("listed at {}", row.level)));
    if row.level == TrustLevel::Private {
        let error = ApiError::new(403, "POLICY_PRIVATE", "It is held at private.");
        stages.push(failed("level", &error, "Raise its level"));
        return Ok(());
    }
    stages.extend(of_link(call, &row).await?);
    Ok(())
}

async fn of_link(call: &Call, row: &PeerRow) -> Result<Vec<Stage>, ApiError> {
    let link = internal::link(&call.env, &row.did)?;
    let upgrade: Stage = internal::get(&link, "/try", &call.id).await?;
    if !upgrade.ok {
        return Ok(vec![upgrade]);
    }
    let view: PeerView = internal::get(&link, "/status", &call.id).await?;
    let detail: LinkDetail = internal::get(&link, "/detail", &call.id).await?;
    let mut state = held("link", detail.why);
    if let Some(error) = detail.error {
        state.ok = false;
        state.code = Some(error.code);
        state.next = Some(error.next);
    }
    let granted = view.granted.map_or_else(
        || "no handshake has been finished yet".to_owned(),
        |granted| format!("both sides agreed on {granted}"),
    );
    Ok(vec![upgrade, state, held("level", granted)])
}

fn held(stage: &str, found: String) -> Stage {
    Stage {
        stage: stage.to_owned(),
        ok: true,
        found,
        code: None,
        next: None,
    }
}

fn failed(stage: &str, error: &ApiError, next: &str) -> Stage {
    Stage {
        stage: stage.to_owned(),
        ok: false,
        found: error.message.clone(),
        code: Some(error.code.clone().into_owned()),
        next: Some(next.to_owned()),
    }
}
