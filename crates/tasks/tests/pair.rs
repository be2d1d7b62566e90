//! Two peers over a channel that delays, repeats and reorders: in the end they agree.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use entente_lexicon::Timestamp;
use entente_lexicon::records::comms::{Retry, TaskState};
use entente_tasks::{
    Act, GRACE_MS, Heard, RETENTION_MS, Task, Terms, Tick, Ties, Word, may_follow,
};
use proptest::prelude::*;

/// One thing that happens. Numbers choose among what is there.
#[derive(Clone, Debug)]
enum Step {
    Worker(usize),
    Cancel,
    Input,
    /// A word for the worker arrives, and stays to arrive again where it says so.
    ToWorker(usize, bool),
    ToRequester(usize, bool),
    Time(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..7).prop_map(Step::Worker),
        1 => Just(Step::Cancel),
        2 => Just(Step::Input),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(n, again)| Step::ToWorker(n, again)),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(n, again)| Step::ToRequester(n, again)),
        2 => (0_u64..30_000).prop_map(Step::Time),
    ]
}

fn terms() -> impl Strategy<Value = Terms> {
    let deadline = proptest::option::of((1_u64..100_000).prop_map(Timestamp));
    let retry = proptest::option::of((1_u8..4, 0_u32..20).prop_map(|(most, delay)| Retry {
        max_attempts: most,
        delay_seconds: delay,
    }));
    (deadline, retry).prop_map(|(deadline, retry)| Terms { deadline, retry })
}

struct World {
    now: Timestamp,
    requester: Task,
    worker: Option<Task>,
    terms: Terms,
    to_worker: Vec<Word>,
    /// Whatever the worker was ever told.
    said: Vec<Word>,
    to_requester: Vec<Word>,
    /// How often the worker has reported a last word, by attempt.
    ended: Vec<(u32, TaskState)>,
}

impl World {
    fn new(terms: Terms) -> Self {
        let (requester, request) = Task::ask(terms, Timestamp(0)).unwrap();
        Self {
            now: Timestamp(0),
            requester,
            worker: None,
            terms,
            to_worker: vec![request],
            said: vec![request],
            to_requester: Vec::new(),
            ended: Vec::new(),
        }
    }

    fn tell_worker(&mut self, word: Option<Word>) {
        self.to_worker.extend(word);
        self.said.extend(word);
    }

    fn tell_requester(&mut self, word: Option<Word>) {
        self.to_requester.extend(word);
        if let Some(worker) = &self.worker
            && worker.state().is_final()
            && word.is_some()
        {
            self.ended.push((worker.attempt(), worker.state()));
        }
    }

    fn tick(&mut self) {
        match self.requester.tick(self.now) {
            Tick::Nothing | Tick::Expired(None) => {}
            Tick::Expired(Some(word)) | Tick::Retry(word) => self.tell_worker(Some(word)),
        }
        let ticked = self.worker.as_mut().map(|worker| worker.tick(self.now));
        if let Some(Tick::Expired(word)) = ticked {
            self.tell_requester(word);
        }
    }

    fn hear_worker(&mut self, word: Word) {
        match &mut self.worker {
            None => {
                // An answer to a question cannot come before the question.
                if let Ok((worker, reply)) = Task::asked(self.terms, word) {
                    self.worker = Some(worker);
                    self.tell_requester(reply);
                }
            }
            Some(worker) => {
                let (before, attempt) = (worker.state(), worker.attempt());
                let heard = worker.hear(word, self.now).unwrap();
                assert!(
                    worker.state() == before || may_follow(before, worker.state()),
                    "{before:?} to {:?}",
                    worker.state()
                );
                assert!(worker.attempt() >= attempt);
                if let Heard::Taken(reply) = heard {
                    self.tell_requester(reply);
                }
            }
        }
    }

    fn hear_requester(&mut self, word: Word) {
        let settled = self.requester.state().is_final() && self.requester.presumed().is_none();
        let before = self.requester.clone();
        let _heard = self.requester.hear(word, self.now).unwrap();
        if settled {
            assert_eq!(before, self.requester, "what is settled stays");
        }
    }

    fn run(&mut self, step: &Step) {
        self.tick();
        match *step {
            Step::Worker(n) => {
                let state = TaskState::ALL[n];
                if let Some(worker) = &mut self.worker
                    && let Ok(word) = worker.act(Act::Say(state))
                {
                    self.tell_requester(word);
                }
            }
            Step::Cancel => {
                let word = self.requester.act(Act::Cancel);
                self.tell_worker(word.ok().flatten());
            }
            Step::Input => {
                let word = self.requester.act(Act::Input);
                self.tell_worker(word.ok().flatten());
            }
            Step::ToWorker(n, again) => {
                if let Some(word) = pick(&mut self.to_worker, n, again) {
                    self.hear_worker(word);
                }
            }
            Step::ToRequester(n, again) => {
                if let Some(word) = pick(&mut self.to_requester, n, again) {
                    self.hear_requester(word);
                }
            }
            Step::Time(millis) => self.now = self.now.after(millis),
        }
        self.tick();
    }

    /// Everything that was said arrives, and time passes, until nothing happens any more.
    fn drain(&mut self) {
        while !(self.to_worker.is_empty() && self.to_requester.is_empty()) {
            self.run(&Step::ToWorker(0, false));
            self.run(&Step::ToRequester(0, false));
        }
    }
}

fn pick(words: &mut Vec<Word>, n: usize, again: bool) -> Option<Word> {
    if words.is_empty() {
        return None;
    }
    let n = n % words.len();
    Some(if again { words[n] } else { words.remove(n) })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_delayed_repeated_or_reordered_both_sides_agree_in_the_end(
        terms in terms(),
        steps in proptest::collection::vec(step(), 0..60),
        late in any::<bool>(),
    ) {
        let mut world = World::new(terms);
        for step in &steps {
            world.run(step);
        }
        if late {
            world.now = world.now.after(200_000 + GRACE_MS);
        }
        world.drain();
        // What is still open is canceled: then it ends.
        world.run(&Step::Cancel);
        world.drain();
        let worker = world.worker.clone().unwrap();
        prop_assert!(worker.state().is_final());
        prop_assert_eq!(world.requester.state(), worker.state());
        prop_assert_eq!(world.requester.attempt(), worker.attempt());
        prop_assert_eq!(world.requester.presumed(), None);
        // Each attempt has one last word.
        let mut attempts: Vec<_> = world.ended.iter().map(|(attempt, _)| *attempt).collect();
        let all = attempts.len();
        attempts.dedup();
        prop_assert_eq!(all, attempts.len());
        let most = terms.retry.map_or(1, |retry| u32::from(retry.max_attempts));
        prop_assert!(worker.attempt() <= most);
    }

    #[test]
    fn what_is_forgotten_is_over_on_its_side_and_is_never_done_again(
        terms in terms(),
        steps in proptest::collection::vec(step(), 0..60),
        bits in 0_u8..8,
        kept in 0_u64..200_000,
        waited in 0_u64..400_000,
    ) {
        let terms = terms.bounded(Timestamp(0));
        let mut world = World::new(terms);
        for step in &steps {
            world.run(step);
        }
        let changed = world.now;
        let now = changed.after(waited);
        let ties = Ties {
            untold: bits & 1 != 0,
            parent_open: bits & 2 != 0,
            children: bits & 4 != 0,
        };
        let deadline = terms.deadline.unwrap();
        for task in [Some(&world.requester), world.worker.as_ref()].into_iter().flatten() {
            let far = Timestamp(u64::MAX / 2);
            prop_assert_eq!(
                task.may_be_forgotten(changed, (far, RETENTION_MS), Ties::default()),
                task.state().is_final()
            );
            if !task.may_be_forgotten(changed, (now, kept), ties) {
                continue;
            }
            prop_assert!(task.state().is_final() && task.due().is_none());
            prop_assert_eq!(ties, Ties::default());
            prop_assert!(now >= changed.after(kept) && now >= deadline.after(kept));
            // Whatever its requester said comes once more, to a worker that has forgotten it.
            for word in &world.said {
                let Ok((mut anew, _reply)) = Task::asked(terms, *word) else {
                    continue;
                };
                let _: Tick = anew.tick(now);
                prop_assert!(anew.state().is_final(), "{:?} is done again", word);
                let refused = anew.act(Act::Say(TaskState::Working));
                prop_assert!(refused.is_err());
            }
        }
    }

    #[test]
    fn no_word_makes_either_side_panic_or_leave_a_settled_end(
        words in proptest::collection::vec((0_u32..4, 0_u32..6, 0_usize..11), 0..40),
    ) {
        let (mut requester, request) = Task::ask(Terms::default(), Timestamp(0)).unwrap();
        let (mut worker, _) = Task::asked(Terms::default(), request).unwrap();
        for (attempt, n, kind) in words {
            let says = match kind {
                0 => entente_tasks::Says::Request,
                1 => entente_tasks::Says::Cancel,
                2 => entente_tasks::Says::Input { answers: n },
                other => entente_tasks::Says::Status(TaskState::ALL[other - 3]),
            };
            let word = Word { attempt, n, says };
            for task in [&mut requester, &mut worker] {
                let before = task.clone();
                let outcome = task.hear(word, Timestamp(1));
                if outcome.is_err() || outcome == Ok(Heard::Late) {
                    prop_assert_eq!(&before, &*task);
                }
                if before.state().is_final() && before.state() != TaskState::Failed {
                    prop_assert_eq!(before.state(), task.state());
                }
            }
        }
    }
}
