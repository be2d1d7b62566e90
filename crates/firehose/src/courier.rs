//! When each agent that events wake is called: one call at a time to each, a few at once in all, never
//! more events than its pace allows, and again after a while where a call failed. Nothing is let go: who
//! is behind is told later, from where it is.

use std::collections::{BTreeMap, BTreeSet};

use entente_lexicon::Timestamp;
use entente_lexicon::pace::{Pace, Rate};

/// Agents that are called at once.
const MAX_CALLS: usize = 16;
/// Events of one call.
const MAX_EVENTS: u32 = 100;
/// Events that wake an agent at once after a rest.
const BURST: u32 = 200;
/// After a burst, an agent is woken by one event in so many milliseconds.
const SPACING_MS: u64 = 250;
const RATE: Rate = Rate {
    burst: BURST,
    spacing_ms: SPACING_MS,
};
/// An agent whose pace is used up waits for so many events.
const MIN_BATCH: u32 = 10;
/// After the first failure; twice as long after each other.
const RETRY_MS: u64 = 1_000;
/// The longest wait after a failure.
const MAX_RETRY_MS: u64 = 60_000;

/// One call to be made. It ends with [`Courier::told`] or [`Courier::failed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// The agent.
    pub agent: u64,
    /// It was told of everything up to this event.
    pub after: u64,
    /// So many events at most.
    pub room: u32,
}

#[derive(Debug)]
struct Waiting {
    after: u64,
    due: Timestamp,
    failures: u32,
}

/// The agents that have something to be told.
#[derive(Debug, Default)]
pub struct Courier {
    waiting: BTreeMap<u64, Waiting>,
    queue: BTreeSet<(Timestamp, u64)>,
    running: BTreeSet<u64>,
    paces: BTreeMap<u64, Pace>,
}

impl Courier {
    /// Notes that something after `after` wakes an agent. Returns whether nothing did before: then it has
    /// to be written down.
    pub fn note(&mut self, agent: u64, after: u64, now: Timestamp) -> bool {
        if self.waiting.contains_key(&agent) {
            return false;
        }
        let waiting = Waiting {
            after,
            due: now,
            failures: 0,
        };
        self.waiting.insert(agent, waiting);
        if !self.running.contains(&agent) {
            self.queue.insert((now, agent));
        }
        true
    }

    /// Tells whether something wakes an agent that it was not told of.
    #[must_use]
    pub fn waits(&self, agent: u64) -> bool {
        self.waiting.contains_key(&agent)
    }

    /// Tells whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns a call that is to be made now.
    pub fn next(&mut self, now: Timestamp) -> Option<Job> {
        while self.running.len() < MAX_CALLS {
            let (due, agent) = *self.queue.first()?;
            if due > now {
                return None;
            }
            self.queue.pop_first();
            let Some(waiting) = self.waiting.get_mut(&agent) else {
                continue;
            };
            let known = self.paces.get(&agent).copied();
            let pace = RATE.by_now(known.unwrap_or(RATE.rested(now)), now);
            if pace.room == 0 {
                waiting.due = pace.at.after(SPACING_MS.saturating_mul(MIN_BATCH.into()));
                self.queue.insert((waiting.due, agent));
                continue;
            }
            self.running.insert(agent);
            return Some(Job {
                agent,
                after: waiting.after,
                room: pace.room.min(MAX_EVENTS),
            });
        }
        None
    }

    /// An agent was told of `events` events and is at `upto`; `more` says whether anything follows.
    pub fn told(&mut self, agent: u64, now: Timestamp, upto: u64, events: u32, more: bool) {
        self.running.remove(&agent);
        let known = self.paces.get(&agent).copied();
        let mut pace = RATE.by_now(known.unwrap_or(RATE.rested(now)), now);
        pace.room = pace.room.saturating_sub(events);
        if pace.room < BURST {
            self.paces.insert(agent, pace);
        } else {
            self.paces.remove(&agent);
        }
        if !more {
            self.waiting.remove(&agent);
        }
        if let Some(waiting) = self.waiting.get_mut(&agent) {
            *waiting = Waiting {
                after: upto,
                due: now,
                failures: 0,
            };
            self.queue.insert((now, agent));
        }
    }

    /// A call failed: it is made again later.
    pub fn failed(&mut self, agent: u64, now: Timestamp) {
        self.running.remove(&agent);
        if let Some(waiting) = self.waiting.get_mut(&agent) {
            let doubled = RETRY_MS.saturating_mul(1_u64 << waiting.failures.min(16));
            waiting.failures = waiting.failures.saturating_add(1);
            waiting.due = now.after(doubled.min(MAX_RETRY_MS));
            self.queue.insert((waiting.due, agent));
        }
    }

    /// Forgets an agent.
    pub fn forget(&mut self, agent: u64) {
        if let Some(gone) = self.waiting.remove(&agent) {
            self.queue.remove(&(gone.due, agent));
        }
        self.paces.remove(&agent);
    }

    /// Returns when [`Courier::next`] has something, unless the end of a call comes sooner.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.queue.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[test]
    fn one_call_at_a_time_goes_to_an_agent_and_few_in_all() {
        let mut courier = Courier::default();
        for agent in 0..40 {
            assert!(courier.note(agent, 5, NOW));
        }
        assert!(!courier.note(3, 9, NOW));
        let jobs: Vec<Job> = std::iter::from_fn(|| courier.next(NOW)).collect();
        assert_eq!(jobs.len(), MAX_CALLS);
        let later = NOW.after(1);
        courier.told(jobs[0].agent, later, 8, 2, true);
        let next = courier.next(later).unwrap();
        assert_eq!(next.agent, 16, "who was told goes to the end");
        courier.failed(next.agent, later);
        let called: Vec<u64> = std::iter::from_fn(|| {
            courier.next(later).map(|job| {
                courier.told(job.agent, later, 9, 0, false);
                job.agent
            })
        })
        .collect();
        assert!(!called.contains(&16) && called.contains(&jobs[0].agent));
        assert_eq!(courier.due(), Some(later.after(RETRY_MS)));
    }

    #[test]
    fn a_flood_wakes_an_agent_at_its_pace_and_leaves_nothing_out() {
        let mut courier = Courier::default();
        let _ = courier.note(1, 0, NOW);
        let (mut now, mut told) = (NOW, 0_u64);
        while told < 1_000 {
            if let Some(job) = courier.next(now) {
                assert_eq!(job.after, told);
                told = told.saturating_add(job.room.into());
                courier.told(1, now, told, job.room, true);
            } else {
                now = courier.due().unwrap();
            }
        }
        let expected = (told - u64::from(BURST)) * SPACING_MS;
        assert!(now.since(NOW).abs_diff(expected) <= 2 * SPACING_MS * u64::from(MIN_BATCH));
    }

    #[test]
    fn an_agent_that_is_forgotten_while_it_is_called_is_not_called_again() {
        let mut courier = Courier::default();
        let _ = courier.note(1, 0, NOW);
        let _ = courier.next(NOW).unwrap();
        courier.forget(1);
        courier.told(1, NOW, 7, 1, true);
        assert!(courier.is_empty() && courier.next(NOW).is_none() && courier.due().is_none());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Note(u64),
        Next,
        Told(bool),
        Failed,
        Forget(u64),
        Later(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0u64..4).prop_map(Step::Note),
            Just(Step::Next),
            Just(Step::Next),
            any::<bool>().prop_map(Step::Told),
            Just(Step::Failed),
            (0u64..4).prop_map(Step::Forget),
            (1u64..100_000).prop_map(Step::Later),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        #[test]
        fn whoever_waits_is_called_in_the_end_from_where_it_is(steps in steps()) {
            let mut courier = Courier::default();
            let mut model: BTreeMap<u64, u64> = BTreeMap::new();
            let (mut now, mut newest, mut calls) = (NOW, 0_u64, Vec::<Job>::new());
            for step in steps {
                match step {
                    Step::Note(agent) => {
                        newest += 1;
                        if courier.note(agent, newest, now) {
                            prop_assert!(model.insert(agent, newest).is_none());
                        }
                    }
                    Step::Next => {
                        if let Some(job) = courier.next(now) {
                            prop_assert!(calls.iter().all(|call| call.agent != job.agent));
                            prop_assert_eq!(model.get(&job.agent), Some(&job.after));
                            calls.push(job);
                        }
                    }
                    Step::Told(more) => {
                        if let Some(job) = calls.pop() {
                            newest += 1;
                            courier.told(job.agent, now, newest, 1, more);
                            if !more {
                                model.remove(&job.agent);
                            } else if let Some(at) = model.get_mut(&job.agent) {
                                *at = newest;
                            }
                        }
                    }
                    Step::Failed => {
                        if let Some(job) = calls.pop() {
                            courier.failed(job.agent, now);
                        }
                    }
                    Step::Forget(agent) => {
                        courier.forget(agent);
                        model.remove(&agent);
                    }
                    Step::Later(wait) => now = now.after(wait),
                }
            }
            for job in calls.drain(..) {
                courier.failed(job.agent, now);
            }
            while let Some(due) = courier.due() {
                now = now.max(due);
                if let Some(job) = courier.next(now) {
                    prop_assert_eq!(model.remove(&job.agent), Some(job.after));
                    courier.told(job.agent, now, newest, 1, false);
                }
            }
            prop_assert!(model.is_empty() && courier.is_empty());
        }
    }
}
