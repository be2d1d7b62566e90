//! What the deployment says about itself: variables and secrets.

use entente_delivery::{DEFAULT_ATTEMPTS, MAX_ATTEMPTS};
use entente_lexicon::{Host, TrustLevel};
use entente_tasks::RETENTION_MS;
use entente_trust::crypto::rest::{BadMasterKey, KeyRing, MasterKey, RestError};
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
    /// `ENCRYPTION_MASTER_KEY` is no key.
    #[error(
        "the secret ENCRYPTION_MASTER_KEY or ENCRYPTION_MASTER_KEY_PREVIOUS is malformed: each is 32 random bytes in base64url or hex (openssl rand -hex 32)"
    )]
    MasterKeyMalformed,
    /// `ENCRYPTION_MASTER_KEY` is not the one that the keys were sealed under.
    #[error(
        "the secret ENCRYPTION_MASTER_KEY is not the key that seals this network's keys: set that one, or name it in ENCRYPTION_MASTER_KEY_PREVIOUS while you rotate; keys are never made anew"
    )]
    MasterKeyWrong,
    /// `POST /admin/init` has not been called.
    #[error("this network has no identity yet: call POST /admin/init with the admin key")]
    NotInitialised,
    /// `NETWORK_HOST` is not the host that the identity names.
    #[error(
        "the variable NETWORK_HOST is not the host this network was initialised with: peers and addresses name that one, so set it back"
    )]
    HostChanged,
    /// The directory lists a DID whose keys the relay no longer has.
    #[error(
        "the directory lists this network but the relay has lost its keys: restore the Durable Objects' storage, or start a new network with an empty database"
    )]
    IdentityLost,
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
            Self::MasterKeyMalformed | Self::MasterKeyWrong => "MASTER_KEY_WRONG",
            Self::HostChanged => "HOST_CHANGED",
            Self::IdentityLost => "IDENTITY_LOST",
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
    /// Whether anything may come in from any peer.
    pub allow_inbound: bool,
    /// Whether anything may go out to any peer.
    pub allow_outbound: bool,
    /// Viewers of the firehose that one fan-out object takes.
    pub firehose_seats: usize,
    /// Attempts until mail of this network, or a webhook, is a dead letter.
    pub delivery_attempts: u32,
    /// How long tasks are kept that are over, in milliseconds.
    pub task_retention_ms: u64,
}

const MAX_NAME_CHARS: usize = 63;
/// Viewers of one fan-out object, unless told, and at most.
const SEATS: usize = 250;
const MAX_SEATS: usize = 1_000;
/// Tasks that are over are kept for ten years at most.
const MAX_RETENTION_MS: u64 = 3_660 * 24 * 60 * 60 * 1_000;

impl Config {
    /// Reads the variables.
    ///
    /// # Errors
    /// [`Problem::Variable`] naming the first that is missing or malformed.
    pub fn from_env(env: &Env) -> Result<Self, Problem> {
        let config = Self::from_texts(
            &variable(env, "NETWORK_HOST"),
            &variable(env, "NETWORK_NAME"),
            &variable(env, "TRUST_LEVEL"),
            &variable(env, "DEV_PEER_HOSTS"),
        )?;
        Ok(Self {
            allow_inbound: gate(&variable(env, "ALLOW_INBOUND"))
                .ok_or(Problem::Variable("ALLOW_INBOUND"))?,
            allow_outbound: gate(&variable(env, "ALLOW_OUTBOUND"))
                .ok_or(Problem::Variable("ALLOW_OUTBOUND"))?,
            firehose_seats: seats(&variable(env, "FIREHOSE_SEATS"))
                .ok_or(Problem::Variable("FIREHOSE_SEATS"))?,
            delivery_attempts: attempts(&variable(env, "DELIVERY_ATTEMPTS"))
                .ok_or(Problem::Variable("DELIVERY_ATTEMPTS"))?,
            task_retention_ms: retention(&variable(env, "TASK_RETENTION_MS"))
                .ok_or(Problem::Variable("TASK_RETENTION_MS"))?,
            ..config
        })
    }

    /// Checks the variables' texts; empty means absent.
    ///
    /// # Errors
    /// As [`Self::from_env`].
    pub fn from_texts(host: &str, name: &str, level: &str, dev: &str) -> Result<Self, Problem> {
        let host = Host::parse(host).map_err(|_error| Problem::Variable("NETWORK_HOST"))?;
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
            text => text
                .parse()
                .map_err(|_error| Problem::Variable("TRUST_LEVEL"))?,
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
            allow_inbound: true,
            allow_outbound: true,
            firehose_seats: SEATS,
            delivery_attempts: DEFAULT_ATTEMPTS,
            task_retention_ms: RETENTION_MS,
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

    /// Returns what the network's document depends on; another value means that it is stale.
    #[must_use]
    pub fn document_key(&self) -> String {
        let (version, level) = (env!("CARGO_PKG_VERSION"), self.trust_level);
        let schemes = if self.is_dev(&self.host) {
            "dev"
        } else {
            "tls"
        };
        let gates = (self.allow_inbound, self.allow_outbound);
        format!(
            "{version} {level} {schemes} {gates:?} {} {}",
            self.host, self.name
        )
    }
}

/// Reads whether a direction is open: yes unless told.
fn gate(text: &str) -> Option<bool> {
    match text {
        "" | "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn seats(text: &str) -> Option<usize> {
    match text {
        "" => Some(SEATS),
        text => text
            .parse()
            .ok()
            .filter(|seats| (1..=MAX_SEATS).contains(seats)),
    }
}

fn attempts(text: &str) -> Option<u32> {
    match text {
        "" => Some(DEFAULT_ATTEMPTS),
        text => text
            .parse()
            .ok()
            .filter(|attempts| (1..=MAX_ATTEMPTS).contains(attempts)),
    }
}

fn retention(text: &str) -> Option<u64> {
    match text {
        "" => Some(RETENTION_MS),
        text => text
            .parse()
            .ok()
            .filter(|millis| (1..=MAX_RETENTION_MS).contains(millis)),
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

/// Reads the secret that seals every private key, and the one before it where it is being
/// rotated.
///
/// # Errors
/// [`Problem::MasterKeyMissing`] or [`Problem::MasterKeyMalformed`].
pub fn key_ring(env: &Env) -> Result<KeyRing, Problem> {
    ring_from_texts(
        &variable(env, "ENCRYPTION_MASTER_KEY"),
        &variable(env, "ENCRYPTION_MASTER_KEY_PREVIOUS"),
    )
}

fn ring_from_texts(current: &str, previous: &str) -> Result<KeyRing, Problem> {
    if current.is_empty() {
        return Err(Problem::MasterKeyMissing);
    }
    let parse =
        |text: &str| MasterKey::parse(text).map_err(|BadMasterKey| Problem::MasterKeyMalformed);
    let previous = (!previous.is_empty())
        .then(|| parse(previous))
        .transpose()?;
    Ok(KeyRing::new(parse(current)?, previous))
}

/// Says why a secret at rest does not open.
#[must_use]
pub fn unsealed(error: RestError) -> ApiError {
    match error {
        RestError::WrongMasterKey => Problem::MasterKeyWrong.into(),
        RestError::UnknownVersion | RestError::Corrupt => ApiError::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_dev(dev: &str) -> Result<Config, Problem> {
        Config::from_texts("network.example.com", "", "", dev)
    }

    #[test]
    fn a_malformed_previous_master_key_is_refused_as_the_current_one_is() {
        let (key, other) = ("01".repeat(31) + "02", "02".repeat(31) + "03");
        assert!(ring_from_texts(&key, "").is_ok());
        assert!(ring_from_texts(&key, &other).is_ok());
        let missing = ring_from_texts("", &other).unwrap_err();
        assert_eq!(missing, Problem::MasterKeyMissing);
        for (current, previous) in [("x", ""), (key.as_str(), "x")] {
            let refused = ring_from_texts(current, previous).unwrap_err();
            assert_eq!(refused, Problem::MasterKeyMalformed);
        }
    }

    #[test]
    fn production_reaches_everything_over_https() {
        let config = with_dev("").unwrap();
        let peer = Host::parse("localhost:8702").unwrap();
        assert_eq!(config.origin(&peer), "https://localhost:8702");
        assert_eq!(config.socket_origin(&peer), "wss://localhost:8702");
        assert_eq!(config.trust_level, TrustLevel::Allowlist);
        assert_eq!(config.name, "network.example.com");
    }

    #[test]
    fn exactly_the_listed_loopback_hosts_are_reached_over_http() {
        let config = with_dev("localhost:8701, localhost:8702").unwrap();
        let [listed, other] = ["localhost:8702", "localhost:8703"].map(|h| Host::parse(h).unwrap());
        assert_eq!(config.origin(&listed), "http://localhost:8702");
        assert_eq!(config.socket_origin(&listed), "ws://localhost:8702");
        assert_eq!(config.origin(&other), "https://localhost:8703");
    }

    #[test]
    fn only_loopback_hosts_with_a_port_may_be_listed() {
        for bad in [
            "example.com:80",
            "localhost",
            "127.0.0.1:80",
            "x,,y",
            "localhost:1;",
        ] {
            assert_eq!(
                with_dev(bad),
                Err(Problem::Variable("DEV_PEER_HOSTS")),
                "{bad}"
            );
        }
    }

    #[test]
    fn attempts_are_bounded() {
        assert_eq!(attempts(""), Some(DEFAULT_ATTEMPTS));
        assert_eq!(attempts("2"), Some(2));
        assert_eq!(["0", "101", "-1", "x"].map(attempts), [None; 4]);
    }

    #[test]
    fn how_long_tasks_are_kept_is_bounded() {
        assert_eq!(retention(""), Some(RETENTION_MS));
        assert_eq!(retention("1000"), Some(1_000));
        assert_eq!(
            ["0", "999999999999999", "-1", "x"].map(retention),
            [None; 4]
        );
    }

    #[test]
    fn a_direction_is_open_unless_told() {
        assert_eq!(
            ["", "true", "false"].map(gate),
            [Some(true), Some(true), Some(false)]
        );
        assert_eq!(["no", "0", "False"].map(gate), [None; 3]);
        let open = with_dev("").unwrap();
        let closed = Config {
            allow_outbound: false,
            ..open.clone()
        };
        assert_ne!(open.document_key(), closed.document_key());
    }

    #[test]
    fn each_malformed_variable_is_named() {
        let host = "a.example";
        for (texts, name) in [
            (("", "n", ""), "NETWORK_HOST"),
            (("https://a.example", "n", ""), "NETWORK_HOST"),
            ((host, "a\nb", ""), "NETWORK_NAME"),
            ((host, "n", "closed"), "TRUST_LEVEL"),
        ] {
            assert_eq!(
                Config::from_texts(texts.0, texts.1, texts.2, ""),
                Err(Problem::Variable(name))
            );
        }
    }
}
