//! Where things are kept: an object's own SQLite, D1, the network's directory, and R2, its bucket.

pub mod agents;
pub mod audit;
pub mod bans;
pub mod bucket;
pub mod d1;
pub mod directory;
pub mod dump;
pub mod network;
pub mod peers;
pub mod penalties;
pub mod pins;
pub mod replica;
pub mod requests;
pub mod sqlite;
pub(crate) mod timeline;
