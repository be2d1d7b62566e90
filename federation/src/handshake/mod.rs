//! The opening handshake: four frames after which both sides agree on who they are, on every byte
//! they exchanged and on keys that nobody else has.
//!
//! 1. HELLO: the initiator names itself, the one it means to reach, and a fresh KEM key. Whoever
//!    receives it believes nothing yet.
//! 2. HELLO_ACK: the responder encapsulates a secret to that key and signs everything so far.
//! 3. AUTH: the initiator signs everything so far. Now the responder believes: identity, dial
//!    number, level wanted, cursors.
//! 4. READY: the responder states the level granted and its cursors. Now the initiator believes.
//!    The responder knows that READY arrived with the first session frame that has a right tag.
//!
//! Every frame after the first carries a signature and a MAC, both over a hash of all frames
//! before it and of its own body; the MAC also covers the speaker's DID. Signature and MAC are
//! each other's safety net. [`transcript`] is that hash, [`keys`] the schedule, [`initiator`] and
//! [`responder`] the two roles, [`fault`] the ways to fail.
//!
//! A state is a type named after the frame it expects; receiving the frame gives the next one.

pub mod fault;
pub mod initiator;
pub mod keys;
pub mod responder;
pub mod transcript;

use entente_lexicon::{Did, TrustLevel};
use entente_trust::attestation::attest;
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::policy::Approval;
use serde_bytes::ByteBuf;

use crate::frame::opening::{Cursor, Party, WireLimits};
use crate::link::{Evidence, Own, Peer, Reject};
use fault::Misbehaved;
use keys::Traffic;
use transcript::Digest;

/// Which side of the handshake a network plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It dialled.
    Initiator,
    /// It was dialled.
    Responder,
}

/// Who we are and whom we talk to.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// This network.
    pub own: &'a Own,
    /// Its signing key.
    pub key: &'a SigningKey,
    /// The peer.
    pub peer: &'a Peer,
    /// Our admin's approval of it, while it holds.
    pub approval: Option<Approval>,
}

/// Who signed an upgrade, as the edge verified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The network.
    pub did: Did,
    /// The name of the key.
    pub kid: String,
}

/// A signing key of the peer and its name.
#[derive(Clone, Debug)]
pub struct PeerKey {
    /// Its name in the peer's document.
    pub kid: String,
    /// The key.
    pub key: VerifyingKey,
}

/// What a finished handshake leaves.
#[derive(Debug)]
pub struct Established {
    /// The session's keys.
    pub traffic: Traffic,
    /// The session's id.
    pub session: [u8; 16],
    /// The level agreed on.
    pub granted: TrustLevel,
    /// The peer's key, which also signs its receipts.
    pub peer_key: PeerKey,
}

/// What the peer said about the streams, and its signature under that.
#[derive(Debug)]
pub struct PeerStand {
    /// What it has received.
    pub cursors: Vec<Cursor>,
    /// What it refused up to there.
    pub rejects: Vec<Reject>,
    /// What may be in flight towards it; the protocol's starting limits if it did not say.
    pub limits: Option<WireLimits>,
    /// The frame that said so.
    pub evidence: Evidence,
    /// What it showed of its approval of us; not checked yet.
    pub attestation: Vec<u8>,
}

impl Context<'_> {
    fn party(&self) -> Party {
        Party {
            did: self.own.did.clone(),
            host: self.own.host.clone(),
            doc: self.own.document_hash.into(),
            kid: self.own.kid.clone(),
        }
    }

    /// Checks document, host and kid of a party whose DID is already known to be the peer's.
    fn check_party(&self, party: &Party) -> Result<PeerKey, Misbehaved> {
        let document = &self.peer.document;
        if *party.doc != document.hash {
            return Err(Misbehaved::StaleDocument);
        }
        if party.host != document.host {
            return Err(Misbehaved::HostMismatch);
        }
        let key = document
            .keys
            .get(&party.kid)
            .cloned()
            .ok_or(Misbehaved::UnknownKey)?;
        Ok(PeerKey {
            kid: party.kid.clone(),
            key,
        })
    }

    /// Vouches for the peer, whose key was checked, if our admin approved it.
    fn attest(&self, peer_key: &PeerKey) -> ByteBuf {
        let about = (&self.peer.did, &peer_key.key);
        let attest = |approval| attest((&self.own.did, self.key), about, approval);
        ByteBuf::from(self.approval.map(attest).unwrap_or_default())
    }

    fn sign(&self, label: &[u8], digest: &Digest) -> Vec<u8> {
        self.key.sign(&[label, &[0], digest]).to_vec()
    }
}

impl PeerKey {
    fn check(&self, label: &[u8], digest: &Digest, signature: &[u8]) -> Result<(), Misbehaved> {
        self.key
            .verify(&[label, &[0], digest], signature)
            .map_err(|_error| Misbehaved::BadSignature)
    }
}
