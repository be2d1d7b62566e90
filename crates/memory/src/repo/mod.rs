//! The repo: a Merkle search tree from record paths to CIDs under a signed commit, as atproto has it
//! (repository format version 3).
//!
//! | module | what |
//! |---|---|
//! | [`block`] | CIDs, and where blocks are kept |
//! | [`cbor`] | DAG-CBOR, read and written in its one canonical form |
//! | [`json`] | records as JSON |
//! | [`node`] | one node of the tree as bytes |
//! | [`tree`] | a batch of changes to a tree, and the blocks that come and go with it |
//! | [`walk`] | reading a tree: one key, the proof of one key, all of it |
//! | [`commit`] | the signed root |
//! | [`car`] | CAR v1 archives |
//! | [`import`] | archives and proofs of others, verified whole |

pub mod block;
pub mod car;
pub mod cbor;
pub mod commit;
pub mod events;
pub mod import;
pub mod json;
pub mod key;
pub mod node;
pub mod tree;
pub mod walk;

pub use block::{Blocks, MemoryBlocks};
pub use cid::Cid;
pub use commit::{Commit, SignedCommit};
pub use key::Key;
pub use tree::{Diff, Tree, TreeError};

#[cfg(test)]
mod tests;
