//! One request on its way through a route.

use std::cell::RefCell;
use std::rc::Rc;

use entente_lexicon::AgentName;
use worker::{Env, Request};

use crate::auth::gate::Caller;
use crate::backup::{DIRECTORY, tell_changed};
use crate::config::{Config, Problem, key_ring};
use crate::error::ApiError;
use crate::internal::now;
use crate::store::agents::AgentRow;
use crate::store::d1::Directory;
use crate::store::network::NetworkRow;

/// One request that the access table let through.
pub(super) struct Call {
    pub(super) request: Request,
    pub(super) env: Env,
    /// The request's id.
    pub(super) id: String,
    pub(super) caller: Caller,
    /// What stood in place of the path's `:x`, in order.
    pub(super) parameters: Vec<String>,
}

/// A network that is fit to work.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) row: NetworkRow,
    pub(super) config: Config,
}

thread_local! {
    /// Who this network is never changes, nor do the variables of an isolate: each finds out once.
    static READY: RefCell<Option<Rc<Ready>>> = const { RefCell::new(None) };
}

impl Call {
    /// Returns the network if it is initialised and its secrets are right. Every route that
    /// touches an agent or a peer begins with this.
    pub(super) async fn ready(&self) -> Result<Rc<Ready>, ApiError> {
        ready(&self.env).await
    }

    pub(super) fn config(&self) -> Result<Config, ApiError> {
        Ok(Config::from_env(&self.env)?)
    }

    pub(super) fn directory(&self) -> Result<Directory, ApiError> {
        Directory::open(&self.env)
    }

    /// Returns the path's first parameter.
    pub(super) fn parameter(&self) -> &str {
        self.parameters.first().map_or("", String::as_str)
    }

    /// Finds the agent that the path names.
    pub(super) async fn agent(&self) -> Result<AgentRow, ApiError> {
        if let Caller::Agent(row) = &self.caller {
            return Ok((**row).clone());
        }
        let unknown = || unknown_agent(self.parameter());
        let name = AgentName::parse(self.parameter()).map_err(|_error| unknown())?;
        let row = self.directory()?.agent_by_name(&name).await?;
        row.ok_or_else(unknown)
    }

    /// Writes down what the caller did.
    pub(super) async fn audit(&self, action: &str, target: &str) -> Result<(), ApiError> {
        self.directory()?
            .audit(&self.caller.actor(), action, target, &self.id, now())
            .await?;
        // What is worth writing down changes the directory, which does not tell by itself.
        tell_changed(&self.env, DIRECTORY.to_owned()).await
    }
}

/// Returns the network if it is fit to work, else the problem.
pub(super) async fn ready(env: &Env) -> Result<Rc<Ready>, ApiError> {
    if let Some(ready) = READY.with_borrow(Clone::clone) {
        return Ok(ready);
    }
    let config = Config::from_env(env)?;
    let ring = key_ring(env)?;
    let row = Directory::open(env)?.network().await?;
    let row = row.ok_or(Problem::NotInitialised)?;
    if !row.is_sealed_by(&ring) {
        return Err(Problem::MasterKeyWrong.into());
    }
    if row.host != config.host {
        return Err(Problem::HostChanged.into());
    }
    let ready = Rc::new(Ready { row, config });
    READY.replace(Some(Rc::clone(&ready)));
    Ok(ready)
}

/// Makes the 404 for an agent.
pub(super) fn unknown_agent(name: &str) -> ApiError {
    let name: String = name.chars().take(100).collect();
    ApiError::not_found(
        "UNKNOWN_AGENT",
        format!("There is no agent {name:?} on this network: GET /agents lists them."),
    )
}
