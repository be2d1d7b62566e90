//! The demo agents of a network.

use anyhow::Result;
use entente_lexicon::api::{AgentCreated, AgentView, CreateAgent, LocalAgent, NewToken};
use serde_json::{Value, json};

use super::client::Client;
use super::plan::Network;
use super::state::StateFolder;
use crate::progress;

/// Makes the demo agents that are missing; their tokens are kept in the state folder.
pub(crate) fn ensure(
    folder: &StateFolder,
    network: &Network,
    admin: &Client,
) -> Result<Vec<LocalAgent>> {
    let mut known = folder.agents(network.name)?;
    for name in network.agents {
        let found: Option<AgentView> = admin.find(&format!("/agents/{name}"))?;
        let kept = known.iter().find(|agent| agent.name == *name);
        let agent = match (found, kept) {
            (Some(found), Some(kept)) if found.did == kept.did => continue,
            (Some(found), _) => give_token(admin, name, found)?,
            (None, _) => create(admin, name)?,
        };
        known.retain(|agent| agent.name != *name);
        known.push(agent);
        folder.set_agents(network.name, &known)?;
    }
    Ok(known)
}

/// Tokens are shown once: an agent whose token is lost, as after a restore, gets another.
fn give_token(admin: &Client, name: &str, found: AgentView) -> Result<LocalAgent> {
    progress::note(format!("the token of {name} is lost: it gets another"));
    let NewToken { token } = admin.post(&format!("/agents/{name}/token"), &json!({}))?;
    Ok(LocalAgent {
        name: found.name,
        did: found.did,
        address: found.address,
        token,
    })
}

fn create(admin: &Client, name: &str) -> Result<LocalAgent> {
    let config = [("adminRead".to_owned(), Value::Bool(true))].into();
    let wanted = CreateAgent {
        name: name.to_owned(),
        model: None,
        config: Some(config),
    };
    let made: AgentCreated = admin.post("/agents/create", &wanted)?;
    Ok(LocalAgent {
        name: made.name,
        did: made.did,
        address: made.address,
        token: made.token,
    })
}
