//! What the deployment says about itself: variables and secrets.

use entente_lexicon::{Host, TrustLevel};
use worker::Env;

use crate::error::ApiError;

/// What keeps a network from working.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// `ENCRYPTION_MASTER_KEY` is absent.
    #[error(
        "the secret ENCRYPTION_MASTER_KEY is not set: set the key this network was initialised with, or 32 fresh random bytes (base64url or hex) for a new network"
    )]
    MasterKeyMissing,
    /// `ENCRYPTION_MASTER_KEY` is malformed, or not the one the keys were sealed under.
    #[error(
        "the secret ENCRYPTION_MASTER_KEY is not the key this network was initialised with: set that one; keys are never made anew"
    )]
    MasterKeyWrong,
    /// `POST /admin/init` has not been called.
    #[error("this network has no identity yet: call POST /admin/init with the admin key")]
    NotInitialised,
    /// `ADMIN_API_KEY` is absent or too short.
    #[error("the secret ADMIN_API_KEY is not set or shorter than 16 characters")]
    AdminKeyMissing,
    /// A variable is absent or malformed.
    #[error("the variable {0} is missing or malformed")]
    Variable(&'static str),
}

impl Problem {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MasterKeyMissing => "MASTER_KEY_MISSING",
            Self::MasterKeyWrong => "MASTER_KEY_WRONG",
            Self::NotInitialised => "NOT_INITIALISED",
            Self::AdminKeyMissing => "ADMIN_KEY_MISSING",
            Self::Variable(_) => "CONFIG_INVALID",
        }
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self::new(503, problem.code(), problem.to_string())
    }
}

/// The deployment's variables, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The public host of this network.
    pub host: Host,
    /// Its name.
    pub name: String,
    /// What it grants to strangers.
    pub trust_level: TrustLevel,
    /// Loopback hosts that may be reached over http; empty in production.
    pub dev_hosts: Vec<Host>,
}

const MAX_NAME_CHARS: usize = 63;

impl Config {
    /// Reads the variables.
    ///
    /// # Errors
    /// [`Problem::Variable`] naming the first that is missing or malformed.
    pub fn from_env(env: &Env) -> Result<Self, Problem> {
        Self::from_texts(
            &variable(env, "NETWORK_HOST"),
            &variable(env, "NETWORK_NAME"),
            &variable(env, "TRUST_LEVEL"),
            &variable(env, "DEV_PEER_HOSTS"),
        )
    }

    /// Checks the variables' texts; empty means absent.
    ///
    /// # Errors
    /// As [`Self::from_env`].
    pub fn from_texts(host: &str, name: &str, level: &str, dev: &str) -> Result<Self, Problem> {
        let host = Host::parse(host).map_err(|_| Problem::Variable("NETWORK_HOST"))?;
        let name = if name.is_empty() {
            host.name().to_owned()
        } else {
            name.to_owned()
        };
        if name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
            return Err(Problem::Variable("NETWORK_NAME"));
        }
        let trust_level = match level {
            "" => TrustLevel::Allowlist,
            text => text.parse().map_err(|_| Problem::Variable("TRUST_LEVEL"))?,
        };
        let dev_hosts = dev
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(|text| Host::parse(text).ok().filter(is_loopback))
            .collect::<Option<Vec<_>>>()
            .ok_or(Problem::Variable("DEV_PEER_HOSTS"))?;
        Ok(Self {
            host,
            name,
            trust_level,
            dev_hosts,
        })
    }

    /// Tells whether `host` is reached over http and ws rather than https and wss.
    #[must_use]
    pub fn is_dev(&self, host: &Host) -> bool {
        self.dev_hosts.contains(host)
    }

    /// Returns `https://host`, or `http://host` for a development host.
    #[must_use]
    pub fn origin(&self, host: &Host) -> String {
        let scheme = if self.is_dev(host) { "http" } else { "https" };
        format!("{scheme}://{host}")
    }

    /// Returns `wss://host`, or `ws://host` for a development host.
    #[must_use]
    pub fn socket_origin(&self, host: &Host) -> String {
        let scheme = if self.is_dev(host) { "ws" } else { "wss" };
        format!("{scheme}://{host}")
    }
}

fn is_loopback(host: &Host) -> bool {
    host.port().is_some() && (host.name() == "localhost" || host.name().ends_with(".localhost"))
}

/// Returns a variable or secret as text, empty where it is not set.
#[must_use]
pub fn variable(env: &Env, name: &str) -> String {
    env.var(name)
        .map(|value| value.to_string())
        .unwrap_or_default()
}
