//! Names of things: DIDs, agent names, hosts, message ids.

use std::fmt;
use std::str::FromStr;

use data_encoding::Encoding;
use data_encoding_macro::new_encoding;
use serde::{Deserialize, Serialize};

/// Lower-case RFC 4648 base32 without padding: how hashes and ids are written.
pub const BASE32: Encoding = new_encoding! {
    symbols: "abcdefghijklmnopqrstuvwxyz234567",
};

/// Why a text is not the identifier it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not `did:cf:` and 52 base32 characters.
    #[error("a DID is did:cf: followed by 52 lower-case base32 characters")]
    Did,
    /// Not a DNS label.
    #[error(
        "a name is a label: 1 to 63 of a-z, 0-9 and '-', neither beginning nor ending with '-'"
    )]
    Name,
    /// Not a lower-case host name with an optional port.
    #[error("a host is a lower-case DNS name with an optional port, such as network.example.com")]
    Host,
    /// Not 26 base32 characters.
    #[error("a message id is 26 lower-case base32 characters")]
    MessageId,
    /// Neither a DID, a name nor either of them at a host.
    #[error("an address is a name or a DID, alone or followed by @host")]
    Address,
    /// Not an atproto TID.
    #[error("a TID is 13 characters of 2 to 7 and a to z, the first one at most j")]
    Tid,
    /// Not an NSID.
    #[error(
        "a collection is an NSID: three or more labels with dots between, the last one letters and \
         digits, such as agent.memory.note"
    )]
    Nsid,
    /// Not a record key.
    #[error("a record key is 1 to 512 of A-Z, a-z, 0-9 and . _ ~ : -, and neither . nor ..")]
    RecordKey,
    /// Not a collection and a record key.
    #[error("a record's path is its collection and its key with / between")]
    RecordPath,
}

/// Defines an identifier: a text whose form `is_valid` checks.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $error:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the form of `text`.
            ///
            /// # Errors
            /// [`IdError`] if the form is wrong.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                Self::is_valid(text).then(|| Self(text.to_owned())).ok_or(IdError::$error)
            }

            /// Returns the text form.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                if Self::is_valid(&text) { Ok(Self(text)) } else { Err(IdError::$error) }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

pub(crate) use text_id;

text_id! {
    /// `did:cf:<scid>`: the self-certifying name of a network or an agent.
    ///
    /// The scid is the SHA-256 of the first entry of its identity log, in base32.
    Did, Did
}
text_id! {
    /// An agent's name on its own network: a DNS label, so that it can stand in a host or a path.
    AgentName, Name
}
text_id! {
    /// A network's host: lower-case A-labels, with a port only on development machines.
    Host, Host
}
text_id! {
    /// A message's id: 16 bytes in base32, the first 6 of them its creation time.
    MessageId, MessageId
}

const DID_PREFIX: &str = "did:cf:";
const HASH_LENGTH: usize = 32;
const MESSAGE_ID_LENGTH: usize = 16;
const MAX_LABEL_LENGTH: usize = 63;
const MAX_HOST_LENGTH: usize = 253;

impl Did {
    /// Names the identity whose first log entry hashes to `scid`.
    #[must_use]
    pub fn from_scid(scid: &[u8; HASH_LENGTH]) -> Self {
        Self(format!("{DID_PREFIX}{}", BASE32.encode(scid)))
    }

    /// Returns the base32 text after `did:cf:`.
    #[must_use]
    pub fn scid(&self) -> &str {
        self.0.strip_prefix(DID_PREFIX).unwrap_or_default()
    }

    fn is_valid(text: &str) -> bool {
        text.strip_prefix(DID_PREFIX)
            .and_then(|scid| BASE32.decode(scid.as_bytes()).ok())
            .is_some_and(|bytes| bytes.len() == HASH_LENGTH)
    }
}

impl AgentName {
    fn is_valid(text: &str) -> bool {
        is_label(text)
    }
}

impl Host {
    /// Returns the name without its port.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0
            .split_once(':')
            .map_or(self.0.as_str(), |(name, _)| name)
    }

    /// Returns the port, where one is named.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.0
            .split_once(':')
            .and_then(|(_, port)| port.parse().ok())
    }

    fn is_valid(text: &str) -> bool {
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        let port_ok = port.is_none_or(|port| {
            !port.starts_with('0') && port.parse::<u16>().is_ok_and(|p| p.to_string() == port)
        });
        let numeric = name
            .rsplit('.')
            .next()
            .is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        port_ok && name.len() <= MAX_HOST_LENGTH && !numeric && name.split('.').all(is_label)
    }
}

impl MessageId {
    /// Makes an id from its time in milliseconds and 10 bytes of entropy; ids sort by time.
    #[must_use]
    pub fn from_parts(millis: u64, entropy: [u8; 10]) -> Self {
        let mut bytes = [0; MESSAGE_ID_LENGTH];
        let time = millis.to_be_bytes();
        for (target, source) in bytes
            .iter_mut()
            .zip(time.iter().skip(2).chain(entropy.iter()))
        {
            *target = *source;
        }
        Self::from_bytes(bytes)
    }

    /// Returns the id with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; MESSAGE_ID_LENGTH]) -> Self {
        Self(BASE32.encode(&bytes))
    }

    /// Returns the 16 bytes of the id.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; MESSAGE_ID_LENGTH] {
        let decoded = BASE32.decode(self.0.as_bytes()).unwrap_or_default();
        decoded.try_into().unwrap_or_default()
    }

    fn is_valid(text: &str) -> bool {
        BASE32
            .decode(text.as_bytes())
            .is_ok_and(|bytes| bytes.len() == MESSAGE_ID_LENGTH)
    }
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.len() <= MAX_LABEL_LENGTH
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_did_is_the_base32_of_32_bytes() {
        let did = Did::from_scid(&[7; 32]);
        assert_eq!(Did::parse(did.as_str()), Ok(did.clone()));
        assert_eq!(did.scid().len(), 52);
        for bad in [
            "did:cf:",
            "did:cf:diana",
            "did:web:example.com",
            &did.as_str().to_uppercase(),
        ] {
            assert_eq!(Did::parse(bad), Err(IdError::Did), "{bad}");
        }
    }

    #[test]
    fn a_name_is_a_label() {
        for good in ["a", "alice", "agent-7", "0"] {
            assert!(AgentName::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            "-a",
            "a-",
            "Alice",
            "al ice",
            "a.b",
            "al/ice",
            "ålice",
            long.as_str(),
        ] {
            assert_eq!(AgentName::parse(bad), Err(IdError::Name), "{bad}");
        }
    }

    #[test]
    fn a_host_is_a_lower_case_name_with_an_optional_port() {
        for good in ["example.com", "localhost:8701", "xn--bcher-kva.example"] {
            assert!(Host::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "Example.com",
            "example.com.",
            "a..b",
            "127.0.0.1",
            "[::1]",
            "a:0",
            "a:070",
            "a:99999",
            "a:1:2",
            "user@host",
            "a/b",
        ] {
            assert_eq!(Host::parse(bad), Err(IdError::Host), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn message_ids_read_back_and_sort_by_time(a in 0u64..1 << 47, b in 0u64..1 << 47, entropy: [u8; 10]) {
            let (first, second) = (MessageId::from_parts(a, entropy), MessageId::from_parts(b, entropy));
            prop_assert_eq!(MessageId::parse(first.as_str()), Ok(first.clone()));
            prop_assert_eq!(MessageId::from_bytes(first.to_bytes()), first.clone());
            prop_assert_eq!(a.cmp(&b), first.to_bytes().cmp(&second.to_bytes()));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,80}") {
            let _ = (Did::parse(&text), AgentName::parse(&text), Host::parse(&text), MessageId::parse(&text));
        }
    }
}
