//! The panels and their parts.
#![expect(
    unreachable_pub,
    reason = "the component macro writes public items into these private modules"
)]

mod agents;
mod compose;
mod conversation;
mod feed;
mod feed_rows;
mod gate;
mod graph;
mod header;
mod health;
mod icon;
mod journey;
mod link_detail;
mod peer_form;
mod peer_row;
mod peers;
mod problem;
mod pulses;
mod recipient;
mod topology;

pub(crate) use agents::AgentList;
pub(crate) use compose::Compose;
pub(crate) use conversation::ConversationPanel;
pub(crate) use feed::Feed;
pub(crate) use gate::ObserverNotice;
pub(crate) use header::Header;
pub(crate) use health::HealthPanel;
pub(crate) use peers::PeersPanel;
pub(crate) use topology::Topology;
