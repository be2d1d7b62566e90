//! Archives that others made, believed only whole.
//!
//! An archive is believed if its root is a commit of the owner, signed by their key, and every node
//! and record of the tree that the commit names is there and where it has to be. Blocks that the tree
//! does not lead to are dropped.

use std::convert::Infallible;

use cid::Cid;
use entente_lexicon::{Did, RecordPath};
use entente_trust::crypto::secp256k1::VerifyingKey;

use super::block::MemoryBlocks;
use super::car::{self, CarError, CarReader};
use super::cbor::check_record;
use super::commit::{CommitError, SignedCommit};
use super::key::Key;
use super::node::NodeFault;
use super::tree::TreeError;
use super::walk::{Item, Path, Walk, path};

/// How much may be in one archive: both are bounds on memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all blocks.
    pub bytes: usize,
    /// Blocks.
    pub blocks: usize,
}

impl Limits {
    /// Counts a block of so many bytes.
    ///
    /// # Errors
    /// [`ImportError::TooMuch`] if that is more than is left.
    pub fn take(&mut self, bytes: usize) -> Result<(), ImportError> {
        let bytes = self.bytes.checked_sub(bytes);
        let blocks = self.blocks.checked_sub(1);
        let (Some(bytes), Some(blocks)) = (bytes, blocks) else {
            return Err(ImportError::TooMuch);
        };
        *self = Self { bytes, blocks };
        Ok(())
    }
}

/// The bounds of a proof of one record: a commit, a record, and the nodes between.
pub const PROOF_LIMITS: Limits = Limits {
    bytes: 4 << 20,
    blocks: 136,
};

/// Why an archive is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The bytes are no archive.
    #[error(transparent)]
    Car(#[from] CarError),
    /// More than the limits allow.
    #[error("the archive has more blocks or bytes than may be imported at once")]
    TooMuch,
    /// The root's block is missing, or no commit that is believed.
    #[error("the archive's root is not believed: {0}")]
    Commit(CommitError),
    /// A node or record of the tree is not in the archive.
    #[error("the archive lacks the block {0}, which its tree leads to")]
    Missing(Cid),
    /// The tree is not the one that its keys make.
    #[error("the archive's tree is not sound at block {0}: {1}")]
    Tree(Cid, NodeFault),
    /// A key that is no path of a record.
    #[error("the archive has a record whose path is none")]
    Path,
    /// A record that is no map in canonical DAG-CBOR.
    #[error("the archive has a record that is not canonical DAG-CBOR")]
    Record,
}

impl ImportError {
    /// Returns the stable code for the API.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Car(CarError::Truncated) => "CAR_TRUNCATED",
            Self::Car(CarError::Header) => "CAR_HEADER",
            Self::Car(CarError::Length | CarError::Cid) => "CAR_MALFORMED",
            Self::Car(CarError::TooLarge) => "CAR_BLOCK_TOO_LARGE",
            Self::Car(CarError::Codec) => "CAR_CODEC_UNKNOWN",
            Self::Car(CarError::Hash) => "CAR_HASH_MISMATCH",
            Self::TooMuch => "CAR_TOO_LARGE",
            Self::Commit(CommitError::Encoding) => "COMMIT_MALFORMED",
            Self::Commit(CommitError::Owner) => "COMMIT_WRONG_DID",
            Self::Commit(CommitError::Signature) => "COMMIT_BAD_SIGNATURE",
            Self::Missing(_) => "REPO_BLOCK_MISSING",
            Self::Tree(..) => "REPO_TREE_INVALID",
            Self::Path => "REPO_PATH_INVALID",
            Self::Record => "REPO_RECORD_INVALID",
        }
    }
}

impl From<TreeError<Infallible>> for ImportError {
    fn from(error: TreeError<Infallible>) -> Self {
        match error {
            TreeError::Store(never) => match never {},
            TreeError::Missing(cid) => Self::Missing(cid),
            TreeError::Node(cid, fault) => Self::Tree(cid, fault),
        }
    }
}

/// A repo that was verified whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Its commit.
    pub commit: SignedCommit,
    /// The nodes of its tree.
    pub nodes: MemoryBlocks,
    /// Its records in order.
    pub records: Vec<Record>,
}

/// A record of an [`Archive`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it is.
    pub path: RecordPath,
    /// Its CID.
    pub cid: Cid,
    /// What it holds, in DAG-CBOR.
    pub value: Vec<u8>,
}

/// An archive on its way in.
#[derive(Clone, Debug)]
pub struct Import {
    reader: CarReader,
    blocks: MemoryBlocks,
    left: Limits,
}

impl Import {
    /// Begins.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            reader: CarReader::default(),
            blocks: MemoryBlocks::new(),
            left: limits,
        }
    }

    /// Takes the next bytes of the archive.
    ///
    /// # Errors
    /// [`ImportError::Car`], [`ImportError::TooMuch`]: the archive is to be refused.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        self.reader.feed(bytes);
        while let Some((cid, block)) = self.reader.block()? {
            self.left.take(block.len())?;
            self.blocks.insert(cid, block);
        }
        Ok(())
    }

    fn commit(mut self, did: &Did, key: &VerifyingKey) -> Result<Unpacked, ImportError> {
        let root = self.reader.end()?;
        let block = self.blocks.remove(&root);
        Ok((commit(root, block.as_deref(), did, key)?, self.blocks))
    }

    /// Ends: verifies all of it as the repo of `did`, whose repo key is `key`.
    ///
    /// # Errors
    /// [`ImportError`], the first check that fails.
    pub fn finish(self, did: &Did, key: &VerifyingKey) -> Result<Archive, ImportError> {
        let (commit, blocks) = self.commit(did, key)?;
        let mut nodes = MemoryBlocks::new();
        let mut records = Vec::new();
        for item in Walk::new(&blocks, &commit.commit.data) {
            match item? {
                Item::Node(cid, bytes) => {
                    nodes.insert(cid, bytes);
                }
                Item::Leaf(key, cid) => {
                    let value = blocks.get(&cid).cloned();
                    records.push(record(&key, cid, value)?);
                }
            }
        }
        Ok(Archive {
            commit,
            nodes,
            records,
        })
    }
}

type Unpacked = (SignedCommit, MemoryBlocks);

/// Reads the commit that an archive's root names, and checks whose it is and who signed it. For those
/// who keep an archive's blocks elsewhere than in memory.
///
/// # Errors
/// [`ImportError::Missing`], [`ImportError::Commit`].
pub fn commit(
    root: Cid,
    block: Option<&[u8]>,
    did: &Did,
    key: &VerifyingKey,
) -> Result<SignedCommit, ImportError> {
    let block = block.ok_or(ImportError::Missing(root))?;
    let commit = SignedCommit::decode(block).map_err(ImportError::Commit)?;
    commit.verify(did, key).map_err(ImportError::Commit)?;
    Ok(commit)
}

/// Checks a record that a tree leads to: its path, that its block is there, and its encoding.
///
/// # Errors
/// [`ImportError::Path`], [`ImportError::Missing`], [`ImportError::Record`].
pub fn record(key: &Key, cid: Cid, value: Option<Vec<u8>>) -> Result<Record, ImportError> {
    let path = RecordPath::parse(key.as_str()).map_err(|_error| ImportError::Path)?;
    let value = value.ok_or(ImportError::Missing(cid))?;
    if cid.codec() != super::block::DAG_CBOR || check_record(&value).is_err() {
        return Err(ImportError::Record);
    }
    Ok(Record { path, cid, value })
}

/// Writes the proof of what a repo says of one path: the commit, the nodes of `path`, and the record
/// if there is one. `com.atproto.sync.getRecord` answers it.
#[must_use]
pub fn write_proof(commit: &SignedCommit, path: &Path, record: Option<&[u8]>) -> Vec<u8> {
    let root = commit.cid();
    let mut archive = car::header(&root);
    car::append(&mut archive, &root, &commit.encode());
    for (cid, node) in &path.nodes {
        car::append(&mut archive, cid, node);
    }
    if let (Some(cid), Some(record)) = (&path.value, record) {
        car::append(&mut archive, cid, record);
    }
    archive
}

/// Verifies a proof of what the repo of `did`, whose repo key is `key`, says of a path. Returns the
/// commit, and the record if the repo has one there.
///
/// # Errors
/// [`ImportError`], the first check that fails.
pub fn verify_proof(
    archive: &[u8],
    did: &Did,
    key: &VerifyingKey,
    of: &RecordPath,
) -> Result<(SignedCommit, Option<Record>), ImportError> {
    let mut import = Import::new(PROOF_LIMITS);
    import.feed(archive)?;
    let (commit, blocks) = import.commit(did, key)?;
    let of = Key::from(of);
    let found = path(&blocks, &commit.commit.data, &of)?.value;
    let record = found.map(|cid| record(&of, cid, blocks.get(&cid).cloned()));
    let record = record.transpose()?;
    Ok((commit, record))
}
