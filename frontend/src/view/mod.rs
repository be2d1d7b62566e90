//! What the page shows, decided without a page: reducers, layout and words.
//!
//! Nothing here touches the DOM, a socket, a clock or entropy; all of it is tested natively.
//! Start at [`model`], which takes in the firehose, and at [`topology`], which places the graph.

pub mod announcements;
pub mod codes;
pub mod connection;
pub mod conversation;
pub mod feed;
#[cfg(test)]
pub(crate) mod fixture;
pub mod flow;
pub mod format;
pub mod health;
pub mod journey;
pub mod kind;
pub mod link_history;
pub mod model;
pub mod names;
pub mod peer;
pub mod reputation;
pub mod ring;
pub mod suggest;
pub mod topology;
pub mod trust;
