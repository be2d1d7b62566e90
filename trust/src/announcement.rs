//! Announcements: what an agent says to everybody, in the clear, under its own signature.
//!
//! ```text
//! announcement = DAG-CBOR [body: bytes, signature: bytes]                    at most 12 KiB, canonical
//! body         = DAG-CBOR {at: ms since 1970, collection, content: JSON text, from, id: 16 bytes, kid, network}
//! signature    = Ed25519 by from's signing key over "entente-announcement/1" ‖ 0x00 ‖ body
//! ```
//!
//! The signature is the agent's, so it holds wherever the bytes go; the network is named inside it,
//! so nobody can pass one network's announcement off as another's. The content stays the text that
//! was signed: whoever shows it parses it, nobody writes it anew.

use entente_lexicon::{Content, Did, Timestamp, is_collection};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::crypto::sign::{SIGNATURE_LENGTH, SigningKey, VerifyingKey, kid};

const LABEL: &[u8] = b"entente-announcement/1\0";
/// The longest announcement in bytes.
pub const MAX_ANNOUNCEMENT: usize = 12 * 1024;
/// The longest content in bytes, as JSON.
pub const MAX_CONTENT: usize = 8 * 1024;
/// The longest kid in bytes.
const MAX_KID: usize = 64;
/// The collection of an announcement that names none.
pub const DEFAULT_COLLECTION: &str = "agent.public.announcement";

/// What an agent announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Its id; with `from` it names the announcement for good.
    pub id: [u8; 16],
    /// The agent that announces.
    pub from: Did,
    /// The agent's network.
    pub network: Did,
    /// What it is about: dotted segments, by which policy decides where it goes.
    pub collection: String,
    /// When it was made, by its agent's clock.
    pub at: Timestamp,
    /// A [`Content`] as JSON, exactly as it was signed.
    pub content: String,
    /// The name of the key that signed.
    pub kid: String,
}

/// Why bytes are no announcement that may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnouncementError {
    /// It is longer than any may be.
    #[error("the announcement is longer than 12 KiB, or its content than 8 KiB")]
    TooLarge,
    /// It is not in the one form.
    #[error("the bytes are no announcement")]
    Malformed,
    /// It was not signed by this key.
    #[error("the announcement's signature is not by its agent")]
    BadSignature,
}

impl AnnouncementError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "EVENT_TOO_LARGE",
            Self::Malformed => "EVENT_MALFORMED",
            Self::BadSignature => "EVENT_BAD_SIGNATURE",
        }
    }
}

/// An announcement as it came, of which only the form was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified {
    /// What it says.
    pub announcement: Announcement,
    signature: [u8; SIGNATURE_LENGTH],
}

#[derive(Serialize, Deserialize)]
struct Wire(ByteBuf, ByteArray<SIGNATURE_LENGTH>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    at: u64,
    collection: String,
    content: String,
    from: Did,
    id: ByteArray<16>,
    kid: String,
    network: Did,
}

impl Announcement {
    /// Signs it with its agent's key, whose kid it takes.
    ///
    /// # Errors
    /// [`AnnouncementError`] if it is too long, its collection is none, or its content is no
    /// [`Content`].
    pub fn sign(mut self, key: &SigningKey) -> Result<Vec<u8>, AnnouncementError> {
        self.kid = kid(&key.verifying_key().to_multikey());
        let signature = key.sign(&[LABEL, &self.body()]);
        self.with_signature(signature)
    }

    /// Writes it with a signature that was made elsewhere.
    ///
    /// # Errors
    /// As [`Announcement::sign`].
    pub fn with_signature(
        &self,
        signature: [u8; SIGNATURE_LENGTH],
    ) -> Result<Vec<u8>, AnnouncementError> {
        self.check()?;
        let wire = Wire(ByteBuf::from(self.body()), ByteArray::new(signature));
        let bytes =
            serde_ipld_dagcbor::to_vec(&wire).map_err(|_error| AnnouncementError::Malformed)?;
        if bytes.len() > MAX_ANNOUNCEMENT {
            return Err(AnnouncementError::TooLarge);
        }
        Ok(bytes)
    }

    /// Reads canonical bytes only; nothing of it is believed.
    ///
    /// # Errors
    /// [`AnnouncementError::TooLarge`], [`AnnouncementError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Unverified, AnnouncementError> {
        if bytes.len() > MAX_ANNOUNCEMENT {
            return Err(AnnouncementError::TooLarge);
        }
        let malformed = |_error| AnnouncementError::Malformed;
        let wire: Wire = serde_ipld_dagcbor::from_slice(bytes).map_err(malformed)?;
        let body: Body = serde_ipld_dagcbor::from_slice(&wire.0).map_err(malformed)?;
        let announcement = Self {
            id: body.id.into_array(),
            from: body.from,
            network: body.network,
            collection: body.collection,
            at: Timestamp(body.at),
            content: body.content,
            kid: body.kid,
        };
        announcement.check()?;
        let canonical = announcement.body() == wire.0.as_slice()
            && serde_ipld_dagcbor::to_vec(&wire).is_ok_and(|again| again == bytes);
        let found = Unverified {
            announcement,
            signature: wire.1.into_array(),
        };
        canonical
            .then_some(found)
            .ok_or(AnnouncementError::Malformed)
    }

    /// Returns the content.
    ///
    /// # Errors
    /// [`AnnouncementError::Malformed`]: never, for what was decoded or signed.
    pub fn content(&self) -> Result<Content, AnnouncementError> {
        serde_json::from_str(&self.content).map_err(|_error| AnnouncementError::Malformed)
    }

    fn check(&self) -> Result<(), AnnouncementError> {
        if self.content.len() > MAX_CONTENT {
            return Err(AnnouncementError::TooLarge);
        }
        let sound = is_collection(&self.collection) && self.kid.len() <= MAX_KID;
        self.content()?;
        sound.then_some(()).ok_or(AnnouncementError::Malformed)
    }

    fn body(&self) -> Vec<u8> {
        let body = Body {
            at: self.at.0,
            collection: self.collection.clone(),
            content: self.content.clone(),
            from: self.from.clone(),
            id: ByteArray::new(self.id),
            kid: self.kid.clone(),
            network: self.network.clone(),
        };
        serde_ipld_dagcbor::to_vec(&body).unwrap_or_default()
    }
}

impl Unverified {
    /// Believes it if `key` signed it. That this is a key of [`Announcement::from`] the caller
    /// knows, this function cannot.
    ///
    /// # Errors
    /// [`AnnouncementError::BadSignature`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), AnnouncementError> {
        key.verify(&[LABEL, &self.announcement.body()], &self.signature)
            .map_err(|_error| AnnouncementError::BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn did(seed: u8) -> Did {
        Did::from_scid(&[seed; 32])
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn says(content: &str) -> Announcement {
        Announcement {
            id: [4; 16],
            from: did(1),
            network: did(2),
            collection: DEFAULT_COLLECTION.to_owned(),
            at: Timestamp(1_800_000_000_000),
            content: content.to_owned(),
            kid: String::new(),
        }
    }

    fn made() -> Vec<u8> {
        says(r#"{"kind":"text","text":"hello"}"#)
            .sign(&key(1))
            .unwrap()
    }

    /// Reads bytes and checks them with agent 1's key.
    fn believed(bytes: &[u8]) -> Result<Announcement, AnnouncementError> {
        let found = Announcement::decode(bytes)?;
        found.verify(&key(1).verifying_key())?;
        Ok(found.announcement)
    }

    #[test]
    fn an_announcement_reads_back_and_names_the_key_that_signed_it() {
        let found = believed(&made()).unwrap();
        assert_eq!(found.kid, kid(&key(1).verifying_key().to_multikey()));
        let content = Content::Text {
            text: "hello".to_owned(),
        };
        assert_eq!(found.content(), Ok(content));
        assert_eq!((found.from, found.network), (did(1), did(2)));
    }

    #[test]
    fn an_announcement_that_another_key_signed_is_not_believed() {
        let bytes = says(r#"{"kind":"text","text":"hello"}"#)
            .sign(&key(3))
            .unwrap();
        assert_eq!(believed(&bytes), Err(AnnouncementError::BadSignature));
    }

    #[test]
    fn an_announcement_passed_off_as_another_networks_is_not_believed() {
        let found = Announcement::decode(&made()).unwrap();
        for forged in [
            Announcement {
                network: did(3),
                ..found.announcement.clone()
            },
            Announcement {
                from: did(3),
                ..found.announcement.clone()
            },
            Announcement {
                collection: "a.b".to_owned(),
                ..found.announcement.clone()
            },
            Announcement {
                id: [5; 16],
                ..found.announcement.clone()
            },
        ] {
            let bytes = forged.with_signature(found.signature).unwrap();
            assert_eq!(believed(&bytes), Err(AnnouncementError::BadSignature));
        }
    }

    #[test]
    fn what_is_too_long_or_says_nothing_is_not_made() {
        let long = format!(r#"{{"kind":"text","text":"{}"}}"#, "x".repeat(MAX_CONTENT));
        assert_eq!(says(&long).sign(&key(1)), Err(AnnouncementError::TooLarge));
        for content in ["", "{}", "[]", r#"{"kind":"text"}"#] {
            assert_eq!(
                says(content).sign(&key(1)),
                Err(AnnouncementError::Malformed)
            );
        }
        for collection in ["", "a..b", "a.*", &"a".repeat(129)] {
            let other = Announcement {
                collection: collection.to_owned(),
                ..says(r#"{"kind":"text","text":""}"#)
            };
            assert_eq!(other.sign(&key(1)), Err(AnnouncementError::Malformed));
        }
        let most = format!(
            r#"{{"kind":"text","text":"{}"}}"#,
            "x".repeat(MAX_CONTENT - 25)
        );
        let bytes = says(&most).sign(&key(1)).unwrap();
        assert!(believed(&bytes).is_ok());
        assert_eq!(
            Announcement::decode(&vec![0; MAX_ANNOUNCEMENT + 1]),
            Err(AnnouncementError::TooLarge)
        );
    }

    proptest! {
        #[test]
        fn a_changed_announcement_is_never_believed(at in 0usize..4096, bit in 0u8..8, cut in 0usize..4096) {
            let mut bytes = made();
            let short = bytes.get(..cut % bytes.len()).unwrap().to_vec();
            prop_assert!(believed(&short).is_err());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(believed(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(Announcement::decode(&bytes).is_err());
        }
    }
}
