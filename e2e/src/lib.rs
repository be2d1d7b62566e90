//! Tools for end-to-end tests: whole local deployments, clients, and a peer that can cheat.
//!
//! [`deployment`] starts real networks with `cargo xtask up`, [`client`] and [`socket`] speak to
//! them as an outside program would, and [`fake_peer`] is a second implementation of the
//! federation protocol, written from the specification alone, so that it can tell right from
//! wrong and do both. The tests are in `tests/`; each file there shares one deployment.
//!
//! The crate knows the product only by HTTP, WebSocket, the files a deployment keeps and the
//! screen of a browser. It takes cryptography from `entente_trust` only to sign as a peer would.
//! Everything here fails by panicking with a message that says what was expected: only tests
//! call it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::map_err_ignore,
    reason = "a library for tests reports by panicking"
)]

pub mod bucket;
pub mod cbor;
pub mod client;
pub mod deployment;
pub mod embedder;
pub mod fake_peer;
mod ports;
pub mod receiver;
pub mod scan;
pub mod socket;
pub mod wait;

pub use client::{Client, Reply};
pub use deployment::{Agent, Deployment, Network, Options};
pub use receiver::Receiver;
pub use socket::Socket;
pub use wait::wait_for;
