//! Where things are kept: an object's own SQLite, and D1, the network's directory.

pub mod sqlite;
