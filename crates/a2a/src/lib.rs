//! A2A 1.0 (JSON-RPC binding), mapped onto tasks between agents.
//!
//! Pure. As a server: [`rpc`] reads calls and writes answers, [`params`] has what they ask for,
//! [`message`] turns words into records and back, [`task`] writes tasks and their events, [`card`]
//! describes an agent and signs that, [`pace`] bounds how often each caller calls. As a client: [`remote`] writes calls and reads what other
//! agents answer, [`signature`] says whether their cards are theirs. The shapes are ProtoJSON of the
//! package `lf.a2a.v1`; `docs/protocol/a2a.md` is the specification of the mapping.

pub mod card;
pub mod message;
pub mod pace;
pub mod params;
pub mod remote;
pub mod rpc;
pub mod signature;
pub mod task;
