//! Everything the firehose told, without the page.

use entente_lexicon::Timestamp;
use entente_lexicon::api::{AgentPresence, Event, FirehoseFrame, NetworkView, PublicPeer, Viewer};

use crate::view::health::{Health, Summary};
use crate::view::names::id_of;
use crate::view::ring::Ring;

/// Events kept.
pub const MAX_EVENTS: usize = 1_000;

/// What a frame changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// Who is there: read it from the model.
    Status,
    /// One new event; it is the newest of the ring.
    Event(Box<Event>),
    /// An event that was there already.
    Known,
    /// Events were missed.
    Gap,
}

/// The state behind the dashboard. Nothing here is reactive: the page reads it once a frame.
#[derive(Clone, Debug)]
pub struct Model {
    /// For whom the stream is made, once it said so.
    pub viewer: Option<Viewer>,
    /// This network.
    pub network: Option<NetworkView>,
    /// Its agents.
    pub agents: Vec<AgentPresence>,
    /// Its peers.
    pub peers: Vec<PublicPeer>,
    /// The newest events.
    pub events: Ring<Event>,
    /// Where the stream goes on after a reconnection.
    pub cursor: Option<String>,
    /// How often events were missed.
    pub gaps: u32,
    health: Health,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            viewer: None,
            network: None,
            agents: Vec::new(),
            peers: Vec::new(),
            events: Ring::new(MAX_EVENTS),
            cursor: None,
            gaps: 0,
            health: Health::default(),
        }
    }
}

impl Model {
    /// Takes in one frame.
    pub fn apply(&mut self, frame: FirehoseFrame) -> Applied {
        match frame {
            FirehoseFrame::Status {
                viewer,
                network,
                agents,
                peers,
            } => {
                self.viewer = Some(viewer);
                self.network = Some(network);
                self.agents = agents;
                self.peers = peers;
                Applied::Status
            }
            FirehoseFrame::Event { cursor, event } => {
                self.cursor = Some(cursor);
                if self.has(&event) {
                    return Applied::Known;
                }
                self.health.record(&event, self.is_from_outside(&event));
                self.events.push(event.clone());
                Applied::Event(Box::new(event))
            }
            FirehoseFrame::Cursor { cursor }
            | FirehoseFrame::Slow { cursor }
            | FirehoseFrame::Filtered { cursor, .. } => {
                self.cursor = Some(cursor);
                Applied::Known
            }
            FirehoseFrame::Error { .. } => Applied::Known,
            FirehoseFrame::Gap { cursor } => {
                self.cursor = Some(cursor);
                self.gaps = self.gaps.saturating_add(1);
                Applied::Gap
            }
        }
    }

    /// Sums up the last minutes.
    #[must_use]
    pub fn summary(&self, now: Timestamp) -> Summary {
        self.health.summary(now)
    }

    /// Observers are not told the peer; what no agent here wrote came from outside.
    fn is_from_outside(&self, event: &Event) -> bool {
        let from = event.from.as_deref().map(id_of);
        event.peer.is_some()
            || !self
                .agents
                .iter()
                .any(|agent| Some(agent.id.as_str()) == from)
    }

    /// A replay after a reconnection may overlap what is here; a new epoch counts from the start.
    fn has(&self, event: &Event) -> bool {
        self.events
            .newest_first()
            .take_while(|(_, known)| known.seq >= event.seq)
            .any(|(_, known)| known == event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::fixture::event;

    fn frame(seq: u64) -> FirehoseFrame {
        FirehoseFrame::Event {
            cursor: format!("c{seq}"),
            event: event(seq, "link.up"),
        }
    }

    #[test]
    fn a_replayed_event_is_known() {
        let mut model = Model::default();
        for seq in 1..4 {
            assert!(matches!(model.apply(frame(seq)), Applied::Event(_)));
        }
        assert_eq!(model.apply(frame(2)), Applied::Known);
        assert_eq!(model.events.len(), 3);
        assert_eq!(model.cursor.as_deref(), Some("c2"));
    }

    #[test]
    fn a_new_epoch_counts_from_the_start() {
        let mut model = Model::default();
        model.apply(frame(900));
        let restarted = FirehoseFrame::Event {
            cursor: "d1".to_owned(),
            event: event(1, "link.up"),
        };
        assert!(matches!(model.apply(restarted), Applied::Event(_)));
    }

    #[test]
    fn a_gap_moves_the_cursor() {
        let mut model = Model::default();
        assert_eq!(
            model.apply(FirehoseFrame::Gap {
                cursor: "g".to_owned()
            }),
            Applied::Gap
        );
        assert_eq!((model.cursor.as_deref(), model.gaps), (Some("g"), 1));
    }
}
