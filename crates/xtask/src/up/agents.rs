//! The demo agents of a network.

use anyhow::Result;
use entente_lexicon::api::{AgentCreated, AgentView, CreateAgent, LocalAgent};
use serde_json::Value;

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
        match (found, kept) {
            (Some(found), Some(kept)) if found.did == kept.did => continue,
            (Some(_), _) => {
                // Tokens are shown once: an agent without its token can speak for nobody.
                progress::note(format!(
                    "{name} on {} exists, but its token is lost: making it anew",
                    network.name
                ));
                admin.delete(&format!("/agents/{name}"))?;
            }
            (None, _) => {}
        }
        known.retain(|agent| agent.name != *name);
        known.push(create(admin, name)?);
        folder.set_agents(network.name, &known)?;
    }
    Ok(known)
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
