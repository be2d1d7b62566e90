//! Which events the feed shows, and in which of its row slots.

use entente_lexicon::api::Event;

use crate::view::kind::{Kind, Tone};
use crate::view::names::{Names, id_of};
use crate::view::ring::Ring;

/// What the feed is narrowed to. All parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only events of the link to this host.
    pub peer: Option<String>,
    /// Only events of this agent, by its DID or anonymous id.
    pub agent: Option<String>,
    /// Only this group of kinds.
    pub group: Group,
    /// Only events that contain this text, whatever its case.
    pub text: String,
}

/// Kinds of events that belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// Everything.
    #[default]
    All,
    /// Messages.
    Messages,
    /// What was announced to everybody.
    Announcements,
    /// Peers and their links.
    Links,
    /// What was refused or failed.
    Problems,
}

impl Group {
    /// All groups, in the order of the menu.
    pub const ALL: [Self; 5] = [
        Self::All,
        Self::Messages,
        Self::Announcements,
        Self::Links,
        Self::Problems,
    ];

    /// Returns the word in the menu, in lower case also the value of its option.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::All => "All events",
            Self::Messages => "Messages",
            Self::Announcements => "Announcements",
            Self::Links => "Links and peers",
            Self::Problems => "Problems",
        }
    }

    fn holds(self, kind: Kind) -> bool {
        match self {
            Self::All => true,
            Self::Messages => matches!(
                kind,
                Kind::Accepted
                    | Kind::Delivered
                    | Kind::Read
                    | Kind::Received
                    | Kind::Quarantined
                    | Kind::Held
                    | Kind::Decided
                    | Kind::Refused
                    | Kind::Expired
                    | Kind::Unconfirmed
            ),
            Self::Announcements => kind.is_announcement(),
            Self::Links => kind.concerns_peers(),
            Self::Problems => {
                matches!(kind.tone(), Tone::Bad)
                    || matches!(kind, Kind::LinkDown | Kind::Unconfirmed | Kind::Held)
            }
        }
    }
}

impl Filter {
    /// Tells whether nothing is filtered out.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Tells whether the feed shows `event`.
    #[must_use]
    pub fn holds(&self, event: &Event, names: &Names) -> bool {
        let party = |party: &Option<String>, id: &str| party.as_deref().map(id_of) == Some(id);
        let kind = Kind::parse(&event.kind);
        self.group.holds(kind)
            && self
                .peer
                .as_ref()
                .is_none_or(|host| event.peer.as_ref() == Some(host))
            && self
                .agent
                .as_ref()
                .is_none_or(|id| party(&event.from, id) || party(&event.to, id))
            && (self.text.is_empty() || contains(event, kind, names, &self.text.to_lowercase()))
    }
}

fn contains(event: &Event, kind: Kind, names: &Names, needle: &str) -> bool {
    let raw = [
        &event.from,
        &event.to,
        &event.message,
        &event.peer,
        &event.code,
        &event.label,
    ];
    let shown = [&event.from, &event.to]
        .into_iter()
        .flatten()
        .map(|p| names.label(p));
    kind.label().contains(needle)
        || raw
            .into_iter()
            .flatten()
            .any(|text| text.to_lowercase().contains(needle))
        || shown
            .into_iter()
            .any(|text| text.to_lowercase().contains(needle))
}

/// The part of the feed in sight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Events that match, up to the one the feed is held at.
    pub total: usize,
    /// Matching events newer than that.
    pub newer: usize,
    /// Rank (0 is the newest) and ordinal of each row to draw.
    pub rows: Vec<(usize, u64)>,
}

/// Finds what to draw: up to `slots` rows from rank `first` on. `held` is the number of events
/// after which the feed was paused or scrolled away from now; it does not move under the reader.
#[must_use]
pub fn window(
    ring: &Ring<Event>,
    filter: &Filter,
    names: &Names,
    held: Option<u64>,
    first: usize,
    slots: usize,
) -> Window {
    let end = held.unwrap_or(u64::MAX);
    let mut window = Window::default();
    for (ordinal, _) in ring
        .newest_first()
        .filter(|(_, event)| filter.is_open() || filter.holds(event, names))
    {
        if ordinal >= end {
            window.newer += 1;
            continue;
        }
        if window.total >= first && window.rows.len() < slots {
            window.rows.push((window.total, ordinal));
        }
        window.total += 1;
    }
    window
}

/// Gives each wanted row a slot. A row that has one keeps it, so that only new rows are rewritten.
pub fn assign(slots: &mut [Option<u64>], wanted: &[(usize, u64)]) {
    for slot in slots.iter_mut() {
        if slot.is_some_and(|held| !wanted.iter().any(|(_, ordinal)| *ordinal == held)) {
            *slot = None;
        }
    }
    for (_, ordinal) in wanted {
        if slots.contains(&Some(*ordinal)) {
            continue;
        }
        if let Some(free) = slots.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(*ordinal);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::view::fixture::{event, presence};

    fn ring(count: u64) -> Ring<Event> {
        let mut ring = Ring::new(1_000);
        for seq in 0..count {
            let kind = if seq % 2 == 0 {
                "message.accepted"
            } else {
                "link.up"
            };
            ring.push(event(seq, kind));
        }
        ring
    }

    #[test]
    fn a_held_feed_does_not_move() {
        let names = Names::default();
        let mut ring = ring(10);
        let open = Filter::default();
        let before = window(&ring, &open, &names, Some(10), 2, 3);
        assert_eq!(before.rows, [(2, 7), (3, 6), (4, 5)]);
        for seq in 10..15 {
            ring.push(event(seq, "message.accepted"));
        }
        let after = window(&ring, &open, &names, Some(10), 2, 3);
        assert_eq!((after.rows, after.total, after.newer), (before.rows, 10, 5));
        let now = window(&ring, &open, &names, None, 0, 2);
        assert_eq!((now.rows, now.newer), (vec![(0, 14), (1, 13)], 0));
    }

    #[test]
    fn every_part_of_the_filter_must_hold() {
        let mut names = Names::default();
        names.set_local("a.example", &[presence("did:cf:1", Some("alice"))]);
        let e = Event {
            from: Some("did:cf:1@a.example".to_owned()),
            to: Some("did:cf:2@b.example".to_owned()),
            peer: Some("b.example".to_owned()),
            ..event(1, "message.refused")
        };
        let text = |text: &str| Filter {
            text: text.to_owned(),
            ..Filter::default()
        };
        assert!(text("ALICE").holds(&e, &names));
        assert!(text("refused").holds(&e, &names));
        assert!(!text("bob").holds(&e, &names));
        let narrow = Filter {
            peer: Some("b.example".to_owned()),
            agent: Some("did:cf:2".to_owned()),
            group: Group::Problems,
            text: String::new(),
        };
        assert!(narrow.holds(&e, &names));
        assert!(
            !Filter {
                peer: Some("c.example".to_owned()),
                ..narrow.clone()
            }
            .holds(&e, &names)
        );
        assert!(
            !Filter {
                agent: Some("did:cf:3".to_owned()),
                ..narrow.clone()
            }
            .holds(&e, &names)
        );
        assert!(
            !Filter {
                group: Group::Links,
                ..narrow
            }
            .holds(&e, &names)
        );
    }

    proptest! {
        #[test]
        fn every_wanted_row_has_one_slot_and_kept_rows_stay(starts in proptest::collection::vec(0u64..60, 1..20)) {
            let mut slots = vec![None; 12];
            for start in starts {
                let before = slots.clone();
                let wanted: Vec<(usize, u64)> = (start..start + 12).rev().enumerate().collect();
                assign(&mut slots, &wanted);
                for (_, ordinal) in &wanted {
                    prop_assert_eq!(slots.iter().filter(|s| **s == Some(*ordinal)).count(), 1);
                }
                for (old, new) in before.iter().zip(&slots) {
                    if old.is_some_and(|o| wanted.iter().any(|(_, w)| *w == o)) {
                        prop_assert_eq!(old, new);
                    }
                }
            }
        }
    }
}
