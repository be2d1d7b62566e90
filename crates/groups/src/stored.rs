//! How a group is kept: the bytes are secret, and go nowhere but into sealed storage.

use std::collections::BTreeMap;

use entente_lexicon::{Address, Did};
use entente_trust::group::{GroupKey, Roster};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use zeroize::Zeroizing;

use crate::group::{Current, Group, Standing};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    id: ByteArray<16>,
    nonce: ByteArray<16>,
    me: Address,
    owner: Address,
    name: String,
    standing: Standing,
    current: Option<(ByteBuf, ByteBuf)>,
    seen: u64,
    invitation: u32,
    invited: BTreeMap<Did, (Address, u32)>,
    since: BTreeMap<Did, (u64, u32)>,
}

impl Group {
    /// Writes it for sealed storage; nothing if that is impossible.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        let current = self.current.as_ref().map(|current| {
            let key = current.key.to_bytes().to_vec();
            (ByteBuf::from(current.signed.clone()), ByteBuf::from(key))
        });
        let stored = Stored {
            id: ByteArray::new(self.id),
            nonce: ByteArray::new(self.nonce),
            me: self.me.clone(),
            owner: self.owner.clone(),
            name: self.name.clone(),
            standing: self.standing,
            current,
            seen: self.seen,
            invitation: self.invitation,
            invited: self.invited.clone(),
            since: self.since.clone(),
        };
        serde_ipld_dagcbor::to_vec(&stored).ok().map(Zeroizing::new)
    }

    /// Reads what [`Group::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_ipld_dagcbor::from_slice(bytes).ok()?;
        let current = match stored.current {
            None => None,
            Some((signed, key)) => Some(Current {
                roster: Roster::decode(&signed).ok()?.roster,
                signed: signed.into_vec(),
                key: GroupKey::from_bytes(&key)?,
            }),
        };
        Some(Self {
            id: stored.id.into_array(),
            nonce: stored.nonce.into_array(),
            me: stored.me,
            owner: stored.owner,
            name: stored.name,
            standing: stored.standing,
            current,
            seen: stored.seen,
            invitation: stored.invitation,
            invited: stored.invited,
            since: stored.since,
        })
    }
}
