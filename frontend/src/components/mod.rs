//! The panels and their parts.
#![expect(
    unreachable_pub,
    reason = "the component macro writes public items into these private modules"
)]

mod agents;
mod announcements;
mod approval;
mod bans;
mod compose;
mod conversation;
mod dead_letters;
mod feed;
mod feed_rows;
mod fingerprint;
mod frozen;
mod gate;
mod graph;
mod header;
mod health;
mod icon;
mod identity;
mod journey;
mod link_detail;
mod outlook;
mod peer_form;
mod peer_row;
mod peers;
mod preview;
mod problem;
mod pulses;
mod quarantine;
mod recipient;
mod reputation;
mod requests;
mod timeline;
mod topology;

pub(crate) use agents::AgentList;
pub(crate) use announcements::AnnouncementsPanel;
pub(crate) use bans::BansPanel;
pub(crate) use compose::Compose;
pub(crate) use conversation::ConversationPanel;
pub(crate) use dead_letters::DeadLettersPanel;
pub(crate) use feed::Feed;
pub(crate) use gate::ObserverNotice;
pub(crate) use header::Header;
pub(crate) use health::HealthPanel;
pub(crate) use identity::IdentityPanel;
pub(crate) use peers::PeersPanel;
pub(crate) use quarantine::QuarantinePanel;
pub(crate) use requests::RequestsPanel;
pub(crate) use timeline::TimelinePanel;
pub(crate) use topology::Topology;
