//! The signed root of a repo: atproto's commit, version 3.
//!
//! ```text
//! {"did": text, "rev": TID, "sig": 64 bytes, "data": link to the tree, "prev": null, "version": 3}
//! sig = ECDSA (K-256, low S) over the SHA-256 of the same without "sig"
//! ```

use cid::Cid;
use entente_lexicon::{Did, Tid};
use entente_trust::crypto::secp256k1::{SIGNATURE_LENGTH, SigningKey, VerifyingKey};

use super::block::cbor_cid;
use super::cbor::{CborError, Reader, Writer};

const VERSION: u64 = 3;

/// What a commit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Whose repo it is.
    pub did: Did,
    /// The revision: later ones sort behind.
    pub rev: Tid,
    /// The root of the tree.
    pub data: Cid,
}

/// A commit with its signature, which may be wrong until [`SignedCommit::verify`] says it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCommit {
    /// What it says.
    pub commit: Commit,
    signature: [u8; SIGNATURE_LENGTH],
}

/// Why a commit is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Not the canonical encoding of a commit of version 3 of a `did:cf`.
    #[error("it is not the canonical encoding of a commit of version 3")]
    Encoding,
    /// Another owner than the one asked for.
    #[error("it is of another owner's repo")]
    Owner,
    /// The owner's key did not sign it.
    #[error("its signature is not by the owner's repo key")]
    Signature,
}

impl From<CborError> for CommitError {
    fn from(_error: CborError) -> Self {
        Self::Encoding
    }
}

impl Commit {
    fn write(&self, signature: Option<&[u8; SIGNATURE_LENGTH]>) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.map(5 + usize::from(signature.is_some()));
        writer.text("did");
        writer.text(self.did.as_str());
        writer.text("rev");
        writer.text(self.rev.as_str());
        if let Some(signature) = signature {
            writer.text("sig");
            writer.bytes(signature);
        }
        writer.text("data");
        writer.link(&self.data);
        writer.text("prev");
        writer.optional_link(None);
        writer.text("version");
        writer.unsigned(VERSION);
        writer.into_bytes()
    }

    /// Signs.
    #[must_use]
    pub fn sign(self, key: &SigningKey) -> SignedCommit {
        let signature = key.sign(&[&self.write(None)]);
        SignedCommit {
            commit: self,
            signature,
        }
    }
}

impl SignedCommit {
    /// Writes the commit's block.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.commit.write(Some(&self.signature))
    }

    /// Returns the CID of the commit's block.
    #[must_use]
    pub fn cid(&self) -> Cid {
        cbor_cid(&self.encode())
    }

    /// Reads a commit's block.
    ///
    /// # Errors
    /// [`CommitError::Encoding`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CommitError> {
        let mut reader = Reader::new(bytes);
        reader.map(6)?;
        reader.member("did")?;
        let did = Did::parse(reader.text()?).map_err(|_error| CommitError::Encoding)?;
        reader.member("rev")?;
        let rev = Tid::parse(reader.text()?).map_err(|_error| CommitError::Encoding)?;
        reader.member("sig")?;
        let signature = reader.bytes()?;
        reader.member("data")?;
        let data = reader.link()?;
        reader.member("prev")?;
        let prev = reader.optional_link()?;
        reader.member("version")?;
        let version = reader.unsigned()?;
        reader.end()?;
        let signature = signature.try_into().ok();
        match signature.filter(|_sig| prev.is_none() && version == VERSION) {
            Some(signature) => Ok(Self {
                commit: Commit { did, rev, data },
                signature,
            }),
            None => Err(CommitError::Encoding),
        }
    }

    /// Checks whose commit it is and that their key signed it.
    ///
    /// # Errors
    /// [`CommitError::Owner`], [`CommitError::Signature`].
    pub fn verify(&self, did: &Did, key: &VerifyingKey) -> Result<(), CommitError> {
        if self.commit.did != *did {
            return Err(CommitError::Owner);
        }
        key.verify(&[&self.commit.write(None)], &self.signature)
            .map_err(|_error| CommitError::Signature)
    }
}
