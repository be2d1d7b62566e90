//! Identifiers, messages and API shapes shared by every part of Entente.
//!
//! This crate names things and checks their form. It performs no I/O, reads no clock, draws no
//! entropy and knows no cryptography. Start reading at [`address`] for how agents are named, at
//! [`message`] for what they say, and at [`api`] for the JSON the HTTP API speaks.

pub mod address;
pub mod api;
pub mod blob;
pub mod cast;
pub mod collection;
pub mod group;
pub mod id;
pub mod keys;
pub mod level;
pub mod link_view;
pub mod message;
pub mod pace;
pub mod record;
pub mod records;
pub mod schema;
pub mod time;

pub use address::{Address, Recipient};
pub use collection::{CollectionGlob, is_collection};
pub use id::{AgentName, Did, Host, IdError, MessageId};
pub use level::TrustLevel;
pub use message::{Content, ReceiptStatus};
pub use record::{Nsid, RecordKey, RecordPath, Tid};
pub use time::Timestamp;
