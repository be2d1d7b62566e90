//! Rosters: who is in a group from one epoch on.
//!
//! ```text
//! roster    = DAG-CBOR [body: bytes, signature: bytes]                       at most 40 KiB, canonical
//! body      = DAG-CBOR {at: ms since 1970, commitment: 32 bytes, epoch, group: 16 bytes,
//!                       members: [[did, host], …] by DID, each once, name, owner}
//! signature = Ed25519 by owner's signing key over "entente-group-roster/1" ‖ 0x00 ‖ body
//! ```

use entente_lexicon::{Address, Did, Host, Timestamp};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::crypto::sign::{SIGNATURE_LENGTH, SigningKey, VerifyingKey};

const LABEL: &[u8] = b"entente-group-roster/1\0";
/// Members of a group, its owner among them.
pub const MAX_MEMBERS: usize = 100;
/// The longest name of a group in bytes.
pub const MAX_NAME: usize = 200;
/// The longest roster in bytes.
pub const MAX_ROSTER: usize = 40 * 1024;
/// The last epoch there is: beyond it, not every reader counts exactly.
const MAX_EPOCH: u64 = (1 << 53) - 1;

/// Who is in a group from one epoch on, and what its key is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// The group.
    pub group: [u8; 16],
    /// The agent that signs.
    pub owner: Did,
    /// Which one it is; a later one replaces it.
    pub epoch: u64,
    /// What the group is called, 1 to [`MAX_NAME`] bytes.
    pub name: String,
    /// When it was made, by the owner's clock.
    pub at: Timestamp,
    /// By DID, each once; the owner is among them.
    pub members: Vec<Address>,
    /// See [`GroupKey::commitment`](super::GroupKey::commitment).
    pub commitment: [u8; 32],
}

/// Why bytes are no roster that may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// It is not in the one form, or longer than any may be.
    #[error("the bytes are no roster of a group")]
    Malformed,
    /// The owner did not sign it.
    #[error("the roster is not signed by the group's owner")]
    BadSignature,
}

/// A roster as it came, of which only the form was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified {
    /// What it says.
    pub roster: Roster,
    signature: [u8; SIGNATURE_LENGTH],
}

#[derive(Serialize, Deserialize)]
struct Wire(ByteBuf, ByteArray<SIGNATURE_LENGTH>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    at: u64,
    commitment: ByteArray<32>,
    epoch: u64,
    group: ByteArray<16>,
    members: Vec<(Did, Host)>,
    name: String,
    owner: Did,
}

impl Roster {
    /// Signs it with its owner's key.
    ///
    /// # Errors
    /// [`RosterError::Malformed`] if its members are not in order, too many or without the owner,
    /// its name is empty or too long, or all of it is too long.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, RosterError> {
        self.check()?;
        let body = self.body()?;
        let signature = ByteArray::new(key.sign(&[LABEL, &body]));
        let wire = Wire(ByteBuf::from(body), signature);
        let bytes = serde_ipld_dagcbor::to_vec(&wire).map_err(|_error| RosterError::Malformed)?;
        (bytes.len() <= MAX_ROSTER)
            .then_some(bytes)
            .ok_or(RosterError::Malformed)
    }

    /// Reads canonical bytes only; nothing of it is believed.
    ///
    /// # Errors
    /// [`RosterError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Unverified, RosterError> {
        if bytes.len() > MAX_ROSTER {
            return Err(RosterError::Malformed);
        }
        let malformed = |_error| RosterError::Malformed;
        let wire: Wire = serde_ipld_dagcbor::from_slice(bytes).map_err(malformed)?;
        let body: Body = serde_ipld_dagcbor::from_slice(&wire.0).map_err(malformed)?;
        let member = |(did, host)| Address { did, host };
        let roster = Self {
            group: body.group.into_array(),
            owner: body.owner,
            epoch: body.epoch,
            name: body.name,
            at: Timestamp(body.at),
            members: body.members.into_iter().map(member).collect(),
            commitment: body.commitment.into_array(),
        };
        roster.check()?;
        let canonical = roster.body()? == wire.0.as_slice()
            && serde_ipld_dagcbor::to_vec(&wire).is_ok_and(|again| again == bytes);
        let found = Unverified {
            roster,
            signature: wire.1.into_array(),
        };
        canonical.then_some(found).ok_or(RosterError::Malformed)
    }

    /// Returns a member's address.
    #[must_use]
    pub fn member(&self, did: &Did) -> Option<&Address> {
        let place = self.members.binary_search_by(|member| member.did.cmp(did));
        place.ok().and_then(|place| self.members.get(place))
    }

    fn check(&self) -> Result<(), RosterError> {
        let mut pairs = self.members.iter().zip(self.members.iter().skip(1));
        let sound = pairs.all(|(one, next)| one.did < next.did)
            && self.members.len() <= MAX_MEMBERS
            && self.member(&self.owner).is_some()
            && (1..=MAX_NAME).contains(&self.name.len())
            && (1..=MAX_EPOCH).contains(&self.epoch)
            && self.at.0 <= MAX_EPOCH;
        sound.then_some(()).ok_or(RosterError::Malformed)
    }

    fn body(&self) -> Result<Vec<u8>, RosterError> {
        let member = |member: &Address| (member.did.clone(), member.host.clone());
        let body = Body {
            at: self.at.0,
            commitment: ByteArray::new(self.commitment),
            epoch: self.epoch,
            group: ByteArray::new(self.group),
            members: self.members.iter().map(member).collect(),
            name: self.name.clone(),
            owner: self.owner.clone(),
        };
        serde_ipld_dagcbor::to_vec(&body).map_err(|_error| RosterError::Malformed)
    }
}

impl Unverified {
    /// Believes it if `key` signed it. That this is a key of [`Roster::owner`] the caller knows,
    /// this function cannot.
    ///
    /// # Errors
    /// [`RosterError::BadSignature`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), RosterError> {
        let body = self.roster.body()?;
        key.verify(&[LABEL, &body], &self.signature)
            .map_err(|_error| RosterError::BadSignature)
    }
}
