//! A link's calls to its agents: one under way per agent, each of which can fail.

use std::collections::VecDeque;

use entente_federation::{DeliveryVerdict, Input, Item};
use entente_lexicon::Timestamp;

use crate::agent::Taken;
use crate::fact::{Fact, number};
use crate::queue::{Call, Job};
use crate::world::World;

/// One call to an agent in so many fails before the agent commits, as many after.
const CALL_FAILS_ONCE_IN: u64 = 50;

impl World {
    /// One call under way per agent; what comes meanwhile waits behind it.
    pub(crate) fn deliver(&mut self, end: usize, epoch: u64, items: Vec<(u64, Item)>) {
        let it = &self.ends[end];
        let waiting = it.calls.values().flatten().map(|call| call.items.len());
        let before = waiting.sum::<usize>();
        let mut touched = Vec::new();
        for (waiting, (seq, item)) in (before + 1..).zip(items) {
            let agent = self.agent_by_did[&item.to];
            let it = &self.ends[end];
            let handed = Fact::Handed {
                end,
                life: it.life,
                place: (epoch, seq),
                settled: it.store.received(),
                item: &item,
                policy: &it.policy,
                waiting,
            };
            let is_honest = self.is_honest(end);
            let failed = is_honest.then(|| self.checks.see(&handed)).flatten();
            if let Some(failed) = failed {
                self.violation.get_or_insert(failed);
            }
            let it = &mut self.ends[end];
            let calls: &mut VecDeque<Call> = it.calls.entry(agent).or_default();
            let fresh = touched.contains(&agent).then(|| calls.back_mut()).flatten();
            if let Some(call) = fresh {
                call.items.push((seq, item));
                continue;
            }
            touched.push(agent);
            calls.push_back(Call {
                end,
                life: it.life,
                agent,
                epoch,
                items: vec![(seq, item)],
            });
        }
        for agent in touched {
            if self.ends[end].calls[&agent].len() == 1 {
                self.call(end, agent);
            }
        }
    }

    /// Sends the front call on its way.
    fn call(&mut self, end: usize, agent: usize) {
        let call = self.ends[end].calls.get(&agent).and_then(VecDeque::front);
        let Some(call) = call.cloned() else { return };
        let slow = self.agents[agent].slow_until > self.now;
        let pause = if slow {
            self.rng.between(500, 5_000)
        } else {
            self.rng.between(1, 40)
        };
        self.queue
            .push(self.now + pause, Job::Commit(Box::new(call)));
    }

    /// A call reaches its agent, whether or not the link that made it still lives.
    pub(crate) fn commit(&mut self, call: Call) {
        let is_orphan = self.ends[call.end].life != call.life;
        if self.faulty
            && self
                .rng
                .once_in(if is_orphan { 2 } else { CALL_FAILS_ONCE_IN })
        {
            return self.again(call);
        }
        let at = self.local(call.end);
        let take =
            |(seq, item): &(u64, Item)| (*seq, item.id, self.take(&call, is_orphan, item, at));
        let verdicts = call.items.iter().map(take).collect();
        if self.faulty && self.rng.once_in(CALL_FAILS_ONCE_IN) {
            return self.again(call);
        }
        let pause = self.rng.between(1, 40);
        let answer = Job::Answer {
            end: call.end,
            life: call.life,
            agent: call.agent,
            epoch: call.epoch,
            verdicts,
        };
        self.queue.push(self.now + pause, answer);
    }

    /// The call failed: the driver that made it, if it lives, makes it again.
    fn again(&mut self, call: Call) {
        if self.ends[call.end].life == call.life {
            self.queue.push(self.now + 200, Job::Commit(Box::new(call)));
        }
    }

    fn take(
        &mut self,
        call: &Call,
        is_orphan: bool,
        item: &Item,
        at: Timestamp,
    ) -> DeliveryVerdict {
        let message = number(&item.id);
        let expires = self.expiries.get(&message);
        let is_late = expires.is_some_and(|expires| *expires <= at);
        let taken = self.agents[call.agent].take(message, is_late);
        self.summary.duplicates += u64::from(taken == Taken::Held);
        if taken == Taken::Expired && self.is_honest(call.end) {
            self.see(&Fact::TooLate { message });
        }
        if taken == Taken::New && self.is_honest(call.end) {
            self.summary.committed += 1;
            let from = self.agent_by_did[&item.from];
            self.see(&Fact::Committed {
                message,
                from,
                to: call.agent,
                is_orphan,
            });
        }
        taken.verdict()
    }

    pub(crate) fn answer(
        &mut self,
        end: usize,
        life: u64,
        agent: usize,
        (epoch, verdicts): (u64, Vec<(u64, [u8; 16], DeliveryVerdict)>),
    ) {
        if self.ends[end].life != life {
            return;
        }
        if let Some(calls) = self.ends[end].calls.get_mut(&agent) {
            calls.pop_front();
            if calls.is_empty() {
                self.ends[end].calls.remove(&agent);
            }
        }
        self.call(end, agent);
        self.input(end, Input::Delivered { epoch, verdicts });
    }
}
