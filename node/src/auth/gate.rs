//! Lets a caller through or says why not.

use entente_lexicon::AgentName;
use entente_lexicon::id::BASE32;
use entente_trust::crypto::hash::sha256;
use entente_trust::crypto::mac::constant_time_eq;
use worker::{Env, Request};

use crate::auth::recall::{self, Recalled};
use crate::auth::table::Access;
use crate::config::{Problem, variable};
use crate::error::ApiError;
use crate::store::agents::AgentRow;
use crate::store::d1::Directory;

/// Shorter admin keys are refused: they could be guessed.
const MIN_ADMIN_KEY_CHARS: usize = 16;
/// What every agent's token begins with.
pub const TOKEN_PREFIX: &str = "ent_";
/// What every key of an A2A caller begins with.
pub const A2A_PREFIX: &str = "a2a_";
/// What comes before a ticket in a socket's subprotocol.
pub const TICKET_PROTOCOL: &str = "entente.ticket.";

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody in particular.
    Anyone,
    /// The admin.
    Admin,
    /// An agent, by its token; its row says which.
    Agent(Box<AgentRow>),
    /// An agent, by a token that was looked up earlier; its object judges whether that still holds.
    Known(Recalled),
    /// Whoever holds the ticket that the subprotocol carries; the agent's object judges it.
    TicketHolder,
}

impl Caller {
    /// Returns the caller's name for the audit log.
    #[must_use]
    pub fn actor(&self) -> String {
        match self {
            Self::Anyone => "anyone".to_owned(),
            Self::Admin => "admin".to_owned(),
            Self::Agent(row) => format!("agent:{}", row.name),
            Self::Known(known) => format!("agent:{}", known.name),
            Self::TicketHolder => "ticket".to_owned(),
        }
    }
}

/// Hashes an agent's token as the directory keeps it.
#[must_use]
pub fn token_key(token: &str) -> String {
    BASE32.encode(&sha256(&[token.as_bytes()]))
}

/// Finds out who calls, and whether `access` admits them. `name` is the agent in the path.
///
/// # Errors
/// 401 `UNAUTHENTICATED` for who shows no valid key, 403 `FORBIDDEN` for who shows another's.
pub async fn admit(
    request: &Request,
    env: &Env,
    access: Access,
    name: Option<&str>,
) -> Result<Caller, ApiError> {
    if matches!(access, Access::Public | Access::A2aCaller) {
        return Ok(Caller::Anyone);
    }
    let Some(shown) = bearer(request)? else {
        if access == Access::AgentSocket && carries_ticket(request)? {
            return Ok(Caller::TicketHolder);
        }
        return Err(unauthenticated());
    };
    let remembered = matches!(access, Access::AgentMail | Access::AgentSocket);
    let known = remembered.then(|| recall::recall(&token_key(&shown)));
    let caller = match known.flatten() {
        Some(known) => Caller::Known(known),
        None => identify(&shown, env).await?,
    };
    permit(caller, access, name)
}

/// As [`admit`] for a request whose token an isolate remembered, when the agent's object refused that.
///
/// # Errors
/// As [`admit`].
pub async fn admit_again(
    request: &Request,
    env: &Env,
    access: Access,
    name: Option<&str>,
) -> Result<Caller, ApiError> {
    let shown = bearer(request)?.ok_or_else(unauthenticated)?;
    recall::forget(&token_key(&shown));
    permit(identify(&shown, env).await?, access, name)
}

fn permit(caller: Caller, access: Access, name: Option<&str>) -> Result<Caller, ApiError> {
    match (&caller, access) {
        (Caller::Admin, _) => Ok(caller),
        (Caller::Agent(row), Access::AdminOrAgent | Access::AgentMail | Access::AgentSocket)
            if name == Some(row.name.as_str()) =>
        {
            Ok(caller)
        }
        (Caller::Known(known), _) if name == Some(known.name.as_str()) => Ok(caller),
        (Caller::Agent(row), _) => Err(forbidden(&row.name)),
        (Caller::Known(known), _) => Err(forbidden(&known.name)),
        (Caller::Anyone | Caller::TicketHolder, _) => Err(unauthenticated()),
    }
}

/// Tells whether the request shows the admin key, on routes where that is optional.
///
/// # Errors
/// If the platform fails.
pub fn is_admin(request: &Request, env: &Env) -> Result<bool, ApiError> {
    match (bearer(request)?, admin_key(env)) {
        (Some(shown), Ok(key)) => Ok(same(&shown, &key)),
        (None, _) | (_, Err(_)) => Ok(false),
    }
}

async fn identify(shown: &str, env: &Env) -> Result<Caller, ApiError> {
    if shown.starts_with(TOKEN_PREFIX) {
        // Looked up by hash: what a timing could tell is the hash, which is of no use.
        let hash = token_key(shown);
        let row = Directory::open(env)?.agent_by_token(&hash).await?;
        return match row.filter(AgentRow::is_active) {
            Some(row) => {
                recall::remember(&hash, &row);
                Ok(Caller::Agent(Box::new(row)))
            }
            None => Err(unauthenticated()),
        };
    }
    if same(shown, &admin_key(env)?) {
        Ok(Caller::Admin)
    } else {
        Err(unauthenticated())
    }
}

fn admin_key(env: &Env) -> Result<String, Problem> {
    let key = variable(env, "ADMIN_API_KEY");
    if key.chars().count() < MIN_ADMIN_KEY_CHARS || key.starts_with(TOKEN_PREFIX) {
        return Err(Problem::AdminKeyMissing);
    }
    Ok(key)
}

/// Tells whether the deployment has an admin key that can be used.
#[must_use]
pub fn has_admin_key(env: &Env) -> bool {
    admin_key(env).is_ok()
}

/// Compares in time that depends on neither text: by their hashes.
fn same(shown: &str, key: &str) -> bool {
    constant_time_eq(&sha256(&[shown.as_bytes()]), &sha256(&[key.as_bytes()]))
}

/// Returns the key that a request shows, if it shows any.
///
/// # Errors
/// If the platform cannot read headers.
pub fn bearer(request: &Request) -> Result<Option<String>, ApiError> {
    let header = request.headers().get("authorization")?;
    Ok(header.as_deref().and_then(bearer_of).map(str::to_owned))
}

/// Returns what follows `Bearer ` in an `Authorization` header.
fn bearer_of(header: &str) -> Option<&str> {
    let (scheme, rest) = header.split_once(' ')?;
    let token = rest.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn carries_ticket(request: &Request) -> Result<bool, ApiError> {
    let protocol = request.headers().get("sec-websocket-protocol")?;
    Ok(protocol.is_some_and(|text| text.starts_with(TICKET_PROTOCOL)))
}

fn unauthenticated() -> ApiError {
    ApiError::new(
        401,
        "UNAUTHENTICATED",
        "This needs a valid key: send `Authorization: Bearer <admin key or agent token>`.",
    )
}

fn forbidden(name: &AgentName) -> ApiError {
    ApiError::new(
        403,
        "FORBIDDEN",
        format!("The token of {name} is good for the routes under /agents/{name} only."),
    )
}

/// Returns the subprotocol that shows a ticket, as the client offered it.
///
/// # Errors
/// If the platform cannot read headers.
pub fn ticket_protocol(request: &Request) -> Result<Option<String>, ApiError> {
    let offered = request.headers().get("sec-websocket-protocol")?;
    let offered = offered.unwrap_or_default();
    let mut protocols = offered.split(',').map(str::trim);
    Ok(protocols
        .find(|protocol| protocol.starts_with(TICKET_PROTOCOL))
        .map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_header_is_read_whatever_its_case() {
        assert_eq!(bearer_of("Bearer abc"), Some("abc"));
        assert_eq!(bearer_of("bearer  abc "), Some("abc"));
        for bad in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(bearer_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn keys_are_the_same_only_if_every_byte_is() {
        assert!(same("0123456789abcdef", "0123456789abcdef"));
        assert!(!same("0123456789abcde", "0123456789abcdef"));
        assert!(!same("0123456789abcdeg", "0123456789abcdef"));
        assert!(!same("", "0123456789abcdef"));
    }

    #[test]
    fn a_stored_token_is_not_the_token() {
        assert_ne!(token_key("ent_x"), "ent_x");
        assert_eq!(token_key("ent_x").len(), 52);
    }
}
