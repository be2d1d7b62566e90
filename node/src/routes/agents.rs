//! Agents: birth, listing, death, tokens.

use entente_lexicon::api::memory::ReplicaView;
use entente_lexicon::api::{AgentCreated, AgentList, ChangeAgent, CreateAgent, NewEvent, NewToken};
use entente_lexicon::keys::AgentKeys;
use entente_lexicon::{Address, AgentName, Did, Host};
use entente_trust::crypto::token::Token;
use serde_json::Value;
use worker::{Env, Response};

use crate::auth::gate::{TOKEN_PREFIX, token_key};
use crate::auth::recall::Outdate;
use crate::auth::route::Route;
use crate::error::ApiError;
use crate::internal::{self, now, rng};
use crate::lifecycle::bury;
use crate::routes::a2a;
use crate::routes::call::{Call, Ready, unknown_agent};
use crate::routes::{body, reply};
use crate::shapes::{AgentInit, CardPaper, Countersign, InitAgent, Nothing, PublishCard};
use crate::store::agents::{A2A, AgentRow, NewAgent, READ_RECEIPTS};

/// The longest name of a model.
const MAX_MODEL_CHARS: usize = 200;

/// `POST /agents/create`: makes an agent; the answer shows its token this once.
pub(super) async fn create(mut call: Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    let wish: CreateAgent = body::json(&mut call.request).await?;
    let (name, admin_read) = check(&wish)?;
    let token = Token::generate(&mut rng(), TOKEN_PREFIX);
    let object_id = internal::new_agent_id(&call.env)?;
    arm_sweep(&call.env, &call.id).await?;
    let new = NewAgent {
        object_id: &object_id,
        name: &name,
        model: wish.model.as_deref(),
        config: &serde_json::to_string(&wish.config.unwrap_or_default())?,
        admin_read,
        token_hash: &token_key(token.as_str()),
    };
    let directory = call.directory()?;
    if !directory.begin_agent(&new, now()).await? {
        return Err(ApiError::new(
            409,
            "NAME_TAKEN",
            format!(
                "An agent named {name} lives here already: choose another name, or delete it first."
            ),
        ));
    }
    call.audit("agent.create", name.as_str()).await?;
    let born = match birth(&call, &ready, &name, admin_read, &object_id).await {
        Ok(born) => born,
        Err(error) => {
            if let Err(second) = bury(&call.env, &directory, &object_id, &call.id).await {
                worker::console_warn!("left to the sweep: {name}: {second}");
            }
            return Err(error);
        }
    };
    let address = address(&born.did, &ready.row.host);
    report(&call.env, "agent.created", Some(&address)).await;
    let created = AgentCreated {
        did: born.did.to_string(),
        name: name.to_string(),
        address,
        token: token.as_str().to_owned(),
        public_keys: born.public_keys,
    };
    reply::json(201, &created)
}

/// Lets the object make its keys, has its card countersigned, and lists it.
async fn birth(
    call: &Call,
    ready: &Ready,
    name: &AgentName,
    admin_read: bool,
    object_id: &str,
) -> Result<AgentInit, ApiError> {
    let init = InitAgent {
        name: name.clone(),
        network_did: ready.row.did.clone(),
        host: ready.row.host.clone(),
        admin_read,
        object_id: object_id.to_owned(),
    };
    let stub = internal::agent(&call.env, object_id)?;
    let born: AgentInit = internal::post(&stub, "/init", &init, &call.id).await?;
    let wish = Countersign {
        paper: CardPaper {
            card: born.card.clone(),
            log: born.log.clone(),
        },
        head: born.head.clone(),
    };
    let relay = internal::relay(&call.env)?;
    let paper: CardPaper = internal::post(&relay, "/countersign", &wish, &call.id).await?;
    let listed = call
        .directory()?
        .activate_agent(object_id, &born.did, &born.public_keys, &paper, now())
        .await?;
    if listed {
        Ok(born)
    } else {
        Err(ApiError::new(
            503,
            "BIRTH_INTERRUPTED",
            "Making the agent took too long and was undone: try again.",
        ))
    }
}

fn check(wish: &CreateAgent) -> Result<(AgentName, bool), ApiError> {
    let name = AgentName::parse(&wish.name)
        .map_err(|error| ApiError::bad_request("INVALID_NAME", format!("`name`: {error}.")))?;
    if name.as_str() == "create" {
        return Err(ApiError::bad_request(
            "INVALID_NAME",
            "`name`: `create` is a route of its own; choose another.",
        ));
    }
    let long = |model: &String| model.is_empty() || model.chars().count() > MAX_MODEL_CHARS;
    if wish.model.as_ref().is_some_and(long) {
        return Err(ApiError::bad_request(
            "INVALID_BODY",
            "`model` is 1 to 200 characters long where it is given.",
        ));
    }
    let admin_read = switch(wish, "adminRead")?;
    switch(wish, READ_RECEIPTS)?;
    if let Some(setting) = wish.config.as_ref().and_then(|config| config.get(A2A)) {
        let setting = serde_json::from_value(setting.clone());
        a2a::check(&setting.map_err(|error| {
            ApiError::bad_request("INVALID_BODY", format!("`config.a2a`: {error}."))
        })?)?;
    }
    Ok((name, admin_read))
}

/// Reads a setting that is on or off; off unless told.
fn switch(wish: &CreateAgent, name: &str) -> Result<bool, ApiError> {
    match wish.config.as_ref().and_then(|config| config.get(name)) {
        None => Ok(false),
        Some(Value::Bool(on)) => Ok(*on),
        Some(_) => Err(ApiError::bad_request(
            "INVALID_BODY",
            format!("`config.{name}` is true or false."),
        )),
    }
}

/// `GET /agents`.
pub(super) async fn list(call: &Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    let rows = call.directory()?.agents().await?;
    let agents = rows.iter().map(|row| row.view(&ready.row.host)).collect();
    reply::json(200, &AgentList { agents })
}

/// `GET /agents/:name`, and `GET /agents/:name/memory/replica`: how far its replica is, in numbers, so
/// that the admin may always ask.
pub(super) async fn show(call: &Call, route: Route) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    let row = call.agent().await?;
    if route != Route::ReplicaStatus {
        return reply::json(200, &row.view(&ready.row.host));
    }
    if !row.is_active() {
        return Err(unknown_agent(row.name.as_str()));
    }
    let stub = internal::agent(&call.env, &row.object_id)?;
    let view: ReplicaView = internal::get(&stub, "/memory/replica", &call.id).await?;
    reply::json(200, &view)
}

/// `PATCH /agents/:name`: what is absent stays as it is.
pub(super) async fn change(mut call: Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    let wish: ChangeAgent = body::json(&mut call.request).await?;
    let mut row = call.agent().await?;
    let mut changes = Vec::new();
    changes.extend(
        wish.read_receipts
            .map(|on| (READ_RECEIPTS, Value::Bool(on))),
    );
    if let Some(setting) = wish.a2a {
        a2a::check(&setting)?;
        changes.push((A2A, serde_json::to_value(setting)?));
    }
    for (name, value) in changes {
        call.audit("agent.change", row.name.as_str()).await?;
        let versions = (row.version, outdate(&call, &row).await?);
        let directory = call.directory()?;
        if !directory
            .set(&row.object_id, versions, name, &value)
            .await?
        {
            return Err(changed_meanwhile(&row));
        }
        row.version = versions.1;
    }
    let row = call.directory()?.agent_by_object(&row.object_id).await?;
    let row = row.ok_or_else(|| unknown_agent(call.parameter()))?;
    reply::json(200, &row.view(&ready.row.host))
}

/// `DELETE /agents/:name`: its keys and mail are wiped, a tombstone stays. Repeatable.
pub(super) async fn delete(call: &Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    let row = call.agent().await?;
    arm_sweep(&call.env, &call.id).await?;
    call.audit("agent.delete", row.name.as_str()).await?;
    bury(&call.env, &call.directory()?, &row.object_id, &call.id).await?;
    let address = row.did.map(|did| address(&did, &ready.row.host));
    report(&call.env, "agent.deleted", address.as_deref()).await;
    reply::nothing()
}

/// `POST /agents/:name/token` and `POST /agents/:name/keys/rotate`.
pub(super) async fn rotate(call: &Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::RotateToken {
        rotate_token(call).await
    } else {
        rotate_keys(call).await
    }
}

/// A new token; the old one stops working at once.
async fn rotate_token(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let row = call.agent().await?;
    let token = Token::generate(&mut rng(), TOKEN_PREFIX);
    call.audit("agent.token", row.name.as_str()).await?;
    let hash = token_key(token.as_str());
    let versions = (row.version, outdate(call, &row).await?);
    let directory = call.directory()?;
    if !directory.put_token(&row.object_id, versions, &hash).await? {
        return Err(changed_meanwhile(&row));
    }
    let token = NewToken {
        token: token.as_str().to_owned(),
    };
    reply::json(200, &token)
}

/// Has the agent's object refuse what isolates remember of its row, which is about to change. Returns
/// the version that the row is to have.
async fn outdate(call: &Call, row: &AgentRow) -> Result<u64, ApiError> {
    if !row.is_active() {
        return Err(unknown_agent(row.name.as_str()));
    }
    let stub = internal::agent(&call.env, &row.object_id)?;
    // An instant, so that it is later than any that a restored object knows.
    let version = row.version.saturating_add(1).max(now().0);
    let Nothing {} = internal::post(&stub, "/outdate", &Outdate { version }, &call.id).await?;
    Ok(version)
}

fn changed_meanwhile(row: &AgentRow) -> ApiError {
    ApiError::new(
        409,
        "AGENT_CHANGED",
        format!(
            "Another request changed {} at the same time: try again.",
            row.name
        ),
    )
}

/// New keys under the same DID.
async fn rotate_keys(call: &Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    let row = call.agent().await?;
    let unknown = || unknown_agent(row.name.as_str());
    let did = row
        .did
        .clone()
        .filter(|_| row.is_active())
        .ok_or_else(unknown)?;
    // Whatever is interrupted after this, the relay's sweep finishes.
    arm_sweep(&call.env, &call.id).await?;
    call.audit("agent.keys.rotate", row.name.as_str()).await?;
    call.directory()?.begin_rotation(&row.object_id).await?;
    let stub = internal::agent(&call.env, &row.object_id)?;
    let turned: AgentInit = internal::post(&stub, "/rotate", &Nothing {}, &call.id).await?;
    let relay = internal::relay(&call.env)?;
    let card = PublishCard {
        object_id: row.object_id.clone(),
    };
    let Nothing {} = internal::post(&relay, "/publish-card", &card, &call.id).await?;
    let address = address(&did, &ready.row.host);
    report(&call.env, "agent.keys.rotated", Some(&address)).await;
    let keys = AgentKeys {
        did: did.to_string(),
        public_keys: turned.public_keys,
        seq: turned.seq,
    };
    reply::json(200, &keys)
}

/// Has the relay look, some time after this request must be over, for what a crash left undone.
pub(super) async fn arm_sweep(env: &Env, request: &str) -> Result<(), ApiError> {
    let relay = internal::relay(env)?;
    let Nothing {} = internal::post(&relay, "/sweep", &Nothing {}, request).await?;
    Ok(())
}

/// Tells viewers; that they do not hear of it is no reason to fail.
pub(super) async fn report(env: &Env, kind: &str, from: Option<&str>) {
    let event = NewEvent {
        kind: kind.to_owned(),
        at: now(),
        from: from.map(str::to_owned),
        ..NewEvent::default()
    };
    if let Err(error) = internal::report(env, &[event]).await {
        worker::console_warn!("{kind} was not shown: {error}");
    }
}

fn address(did: &Did, host: &Host) -> String {
    let (did, host) = (did.clone(), host.clone());
    Address { did, host }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(json: Value) -> Result<(AgentName, bool), ApiError> {
        check(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn the_admin_reads_only_where_it_is_said_so() {
        use serde_json::json;
        assert!(!wish(json!({"name": "a"})).unwrap().1);
        assert!(
            !wish(json!({"name": "a", "config": {"adminRead": false}}))
                .unwrap()
                .1
        );
        assert!(
            wish(json!({"name": "a", "config": {"adminRead": true}}))
                .unwrap()
                .1
        );
        for setting in ["adminRead", "readReceipts"] {
            let odd = wish(json!({"name": "a", "config": {setting: "yes"}})).unwrap_err();
            assert_eq!(odd.code, "INVALID_BODY");
        }
    }

    #[test]
    fn a_name_is_a_label_and_no_route() {
        for bad in ["", "Alice", "a b", "a.b", "-a", "create"] {
            let error = wish(serde_json::json!({"name": bad})).unwrap_err();
            assert_eq!((error.status, &*error.code), (400, "INVALID_NAME"), "{bad}");
        }
    }
}
