//! What would a change of policy do? Answered by the same function that decides for real, asked
//! about everything this link knows of, once as things are and once as they would be.

use std::collections::BTreeSet;

use entente_lexicon::api::{Preview, PreviewExample, PreviewGroup, Turn};
use entente_lexicon::{CollectionGlob, Did};
use entente_trust::announcement::DEFAULT_COLLECTION;
use entente_trust::policy::{Direction, Item, ItemKind, Origin, Policy, Proof, Verdict, decide};

use crate::error::ApiError;
use crate::link::driver::{Driver, not_peered};
use crate::link::policy::lists;
use crate::link::public;
use crate::shapes::{RecentAnnouncement, TryPolicy};

/// Examples of each sort of change that are shown.
const MAX_EXAMPLES: u64 = 10;
const PASS: &str = "pass";
const BOTH_WAYS: [Direction; 2] = [Direction::Inbound, Direction::Outbound];

/// Two policies to compare.
struct Trial {
    before: Policy,
    after: Policy,
}

impl Driver {
    /// Compares the policy in force with another one. Changes nothing.
    pub(super) fn preview(&self, wish: &TryPolicy) -> Result<Preview, ApiError> {
        let before = {
            let machine = self.machine.borrow();
            machine.as_ref().ok_or_else(not_peered)?.policy().clone()
        };
        let after = Policy {
            ban: before.ban,
            approval: before.approval,
            standing: before.standing,
            ..lists(&wish.policy, self.config()?)?
        };
        let trial = Trial { before, after };
        let mut known: BTreeSet<Did> = self.store.known_agents()?.into_iter().collect();
        known.extend(trial.before.allow_agents.iter().cloned());
        known.extend(trial.after.allow_agents.iter().cloned());
        known.extend(wish.recent.iter().map(|(_, _, theirs)| theirs.clone()));
        Ok(Preview {
            link: trial.link(),
            agents: trial.agents(&wish.ours, &known),
            collections: trial.collections(),
            recent: trial.recent(&wish.recent),
            queued: trial.queued(&self.store.waiting()?),
            announcements: trial.announcements(&wish.announcements, &self.peer()?.peer_did),
        })
    }
}

impl Trial {
    fn link(&self) -> Turn {
        let said = |policy: &Policy| {
            let refusal = policy.link_refusal();
            refusal.map_or(PASS, |reason| reason.code()).to_owned()
        };
        Turn {
            before: said(&self.before),
            after: said(&self.after),
        }
    }

    fn agents(&self, ours: &[Did], theirs: &BTreeSet<Did>) -> PreviewGroup {
        let mut group = PreviewGroup::default();
        for theirs in theirs {
            for direction in BOTH_WAYS {
                for ours in ours {
                    self.message(&mut group, direction, ours, theirs);
                }
            }
        }
        group
    }

    /// Looks at every collection that either list names; a pattern stands for one below it.
    fn collections(&self) -> PreviewGroup {
        let lists = [&self.before, &self.after].map(|policy| policy.allow_collections.iter());
        let named = lists.into_iter().flatten().flatten();
        let mut names: BTreeSet<String> = named.map(example).collect();
        names.insert(DEFAULT_COLLECTION.to_owned());
        let mut group = PreviewGroup::default();
        for name in &names {
            for direction in BOTH_WAYS {
                let kind = ItemKind::Event {
                    collection: name,
                    origin: Origin::Speaker,
                };
                self.count(&mut group, direction, kind, None, name);
            }
        }
        group
    }

    /// Looks at what was announced lately. Only what a network's own agents announce leaves it.
    fn announcements(&self, recent: &[RecentAnnouncement], peer: &Did) -> PreviewGroup {
        let mut group = PreviewGroup::default();
        for one in recent {
            let own = !one.came_in || one.network == *peer;
            let kind = ItemKind::Event {
                collection: &one.collection,
                origin: if own {
                    Origin::Speaker
                } else {
                    Origin::Other(&one.network)
                },
            };
            let direction = if one.came_in {
                Direction::Inbound
            } else {
                Direction::Outbound
            };
            self.count(&mut group, direction, kind, None, &one.collection);
        }
        group
    }

    fn recent(&self, recent: &[(bool, Did, Did)]) -> PreviewGroup {
        let mut group = PreviewGroup::default();
        for (came_in, ours, theirs) in recent {
            let direction = if *came_in {
                Direction::Inbound
            } else {
                Direction::Outbound
            };
            self.message(&mut group, direction, ours, theirs);
        }
        group
    }

    fn queued(&self, waiting: &[(Did, Did)]) -> PreviewGroup {
        let mut group = PreviewGroup::default();
        for (ours, theirs) in waiting {
            self.message(&mut group, Direction::Outbound, ours, theirs);
        }
        group
    }

    fn message(&self, group: &mut PreviewGroup, direction: Direction, ours: &Did, theirs: &Did) {
        let kind = ItemKind::Message { peer_agent: theirs };
        self.count(group, direction, kind, Some(ours), theirs.as_str());
    }

    fn count(
        &self,
        group: &mut PreviewGroup,
        direction: Direction,
        kind: ItemKind<'_>,
        ours: Option<&Did>,
        theirs: &str,
    ) {
        let item = Item {
            kind,
            proof: Proof::Pending,
        };
        let verdicts = [&self.before, &self.after].map(|policy| decide(policy, direction, &item));
        let [before, after] = verdicts.map(|verdict| verdict == Verdict::Pass);
        group.pass_before = group.pass_before.saturating_add(before.into());
        group.pass_after = group.pass_after.saturating_add(after.into());
        let changed = match (before, after) {
            (true, false) => &mut group.stops,
            (false, true) => &mut group.starts,
            (true, true) | (false, false) => return,
        };
        *changed = changed.saturating_add(1);
        if *changed <= MAX_EXAMPLES {
            let [before, after] = verdicts.map(|verdict| said(verdict).to_owned());
            group.examples.push(PreviewExample {
                direction: public::name(direction).to_owned(),
                ours: ours.map(Did::to_string),
                theirs: theirs.to_owned(),
                turn: Turn { before, after },
            });
        }
    }
}

fn example(glob: &CollectionGlob) -> String {
    match glob.as_str() {
        "*" => DEFAULT_COLLECTION.to_owned(),
        text => text.replace('*', "announcement"),
    }
}

const fn said(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => PASS,
        Verdict::Hold(reason) | Verdict::Refuse(reason) => reason.code(),
    }
}
