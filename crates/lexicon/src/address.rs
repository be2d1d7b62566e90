//! How a recipient is written: `alice`, `did:cf:…`, `alice@host`, `did:cf:…@host`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{AgentName, Did, Host, IdError};

/// An agent at its network: `did:cf:…@host`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// Who.
    pub did: Did,
    /// Where.
    pub host: Host,
}

/// A recipient as a sender may write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recipient {
    /// The agent.
    pub agent: AgentRef,
    /// Its network, or `None` for the sender's own.
    pub host: Option<Host>,
}

/// An agent by DID or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentRef {
    /// By its DID.
    Did(Did),
    /// By its name on its network.
    Name(AgentName),
}

impl AgentRef {
    /// Returns the text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Did(did) => did.as_str(),
            Self::Name(name) => name.as_str(),
        }
    }
}

impl FromStr for AgentRef {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.starts_with("did:") {
            Did::parse(text).map(Self::Did)
        } else {
            AgentName::parse(text).map(Self::Name)
        }
    }
}

impl FromStr for Recipient {
    type Err = IdError;

    /// Splits at the last `@`; what stands before is a DID or a name.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (agent, host) = match text.rsplit_once('@') {
            Some((agent, host)) => (agent, Some(Host::parse(host)?)),
            None => (text, None),
        };
        Ok(Self {
            agent: agent.parse()?,
            host,
        })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.agent.as_str())?;
        match &self.host {
            Some(host) => write!(f, "@{host}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Recipient {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Recipient> for String {
    fn from(recipient: Recipient) -> Self {
        recipient.to_string()
    }
}

impl FromStr for Address {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (did, host) = text.rsplit_once('@').ok_or(IdError::Address)?;
        Ok(Self {
            did: Did::parse(did)?,
            host: Host::parse(host)?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.did, self.host)
    }
}

impl TryFrom<String> for Address {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_forms_are_read_and_shown() {
        let did = Did::from_scid(&[1; 32]);
        for text in [
            "alice".to_owned(),
            "alice@beta.example".to_owned(),
            did.to_string(),
            format!("{did}@localhost:8702"),
        ] {
            let recipient: Recipient = text.parse().unwrap();
            assert_eq!(recipient.to_string(), text);
        }
    }

    #[test]
    fn malformed_addresses_say_which_part_is_wrong() {
        for (bad, error) in [
            ("", IdError::Name),
            ("@", IdError::Host),
            ("alice@", IdError::Host),
            ("@host", IdError::Name),
            ("did:cf:x", IdError::Did),
            ("did:web:a@host", IdError::Did),
            ("al@ice@host", IdError::Name),
            ("alice@10.0.0.1", IdError::Host),
        ] {
            assert_eq!(bad.parse::<Recipient>(), Err(error), "{bad}");
        }
    }
}
