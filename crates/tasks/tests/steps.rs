//! Each side, step by step: what is taken, what is refused, what crosses.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use entente_lexicon::Timestamp;
use entente_lexicon::records::comms::{Retry, TaskState};
use entente_tasks::{
    Act, Child, DEFAULT_DEADLINE_MS, GRACE_MS, Heard, Presumed, Refusal, Says, Task, Terms, Tick,
    Word, check_child, descendants, may_follow,
};

const NOW: Timestamp = Timestamp(1_000_000);

fn until(millis: u64) -> Terms {
    Terms {
        deadline: Some(NOW.after(millis)),
        retry: None,
    }
}

fn retrying(attempts: u8) -> Terms {
    let retry = Retry {
        max_attempts: attempts,
        delay_seconds: 10,
    };
    Terms {
        deadline: None,
        retry: Some(retry),
    }
}

/// Both sides of a task, the request delivered.
fn pair(terms: Terms) -> (Task, Task) {
    let (requester, word) = Task::ask(terms, NOW).unwrap();
    let (worker, reply) = Task::asked(terms, word).unwrap();
    assert_eq!(reply, None);
    (requester, worker)
}

fn say(worker: &mut Task, state: TaskState) -> Word {
    worker.act(Act::Say(state)).unwrap().unwrap()
}

fn taken(task: &mut Task, word: Word) -> Option<Word> {
    match task.hear(word, NOW).unwrap() {
        Heard::Taken(reply) => reply,
        Heard::Late => panic!("{word:?} came late"),
    }
}

#[test]
fn a_task_goes_through_a_question_to_its_result() {
    let (mut requester, mut worker) = pair(Terms::default());
    for state in [
        TaskState::Accepted,
        TaskState::Working,
        TaskState::InputRequired,
    ] {
        let word = say(&mut worker, state);
        assert_eq!(taken(&mut requester, word), None);
        assert_eq!(requester.state(), state);
    }
    let input = requester.act(Act::Input).unwrap().unwrap();
    assert_eq!(requester.state(), TaskState::Working);
    assert_eq!(requester.act(Act::Input), Err(Refusal::NoQuestion));
    let back = taken(&mut worker, input).unwrap();
    assert_eq!(back.says, Says::Status(TaskState::Working));
    taken(&mut requester, back);
    let done = say(&mut worker, TaskState::Completed);
    taken(&mut requester, done);
    assert_eq!(
        (requester.state(), requester.presumed()),
        (TaskState::Completed, None)
    );
    assert_eq!(requester.hear(done, NOW), Ok(Heard::Late));
    let over = Err(Refusal::Over(TaskState::Completed));
    assert_eq!(requester.act(Act::Cancel), over);
    assert_eq!(worker.act(Act::Say(TaskState::Working)), over);
}

#[test]
fn a_worker_takes_the_steps_of_the_table_and_no_others() {
    for from in TaskState::ALL {
        for to in TaskState::ALL {
            let mut worker = pair(Terms::default()).1;
            if from != TaskState::Submitted && worker.act(Act::Say(from)).is_err() {
                // Nobody but a requester cancels.
                assert_eq!(from, TaskState::Canceled);
                continue;
            }
            let legal = !from.is_final() && may_follow(from, to) && to != TaskState::Canceled;
            assert_eq!(
                worker.act(Act::Say(to)).is_ok(),
                legal,
                "{from:?} to {to:?}"
            );
        }
    }
}

#[test]
fn each_side_does_only_what_is_its_own() {
    let (mut requester, mut worker) = pair(Terms::default());
    assert_eq!(
        requester.act(Act::Say(TaskState::Working)),
        Err(Refusal::NotWorker)
    );
    assert_eq!(worker.act(Act::Cancel), Err(Refusal::NotRequester));
    assert_eq!(worker.act(Act::Input), Err(Refusal::NotRequester));
    let word = |says| Word {
        attempt: 1,
        n: 9,
        says,
    };
    assert_eq!(
        worker.hear(word(Says::Status(TaskState::Completed)), NOW),
        Err(Refusal::NotWorker)
    );
    for says in [Says::Request, Says::Cancel, Says::Input { answers: 1 }] {
        assert_eq!(requester.hear(word(says), NOW), Err(Refusal::NotRequester));
    }
}

#[test]
fn a_cancel_that_crosses_a_completion_changes_nothing() {
    let (mut requester, mut worker) = pair(Terms::default());
    let done = say(&mut worker, TaskState::Completed);
    let cancel = requester.act(Act::Cancel).unwrap().unwrap();
    assert!(requester.is_canceling());
    assert_eq!(requester.act(Act::Cancel), Ok(None));
    assert_eq!(worker.hear(cancel, NOW), Ok(Heard::Late));
    taken(&mut requester, done);
    assert_eq!(requester.state(), TaskState::Completed);
    assert_eq!(worker.state(), TaskState::Completed);
}

#[test]
fn a_cancel_is_confirmed_by_the_worker_and_may_come_before_its_request() {
    let (mut requester, mut worker) = pair(Terms::default());
    let cancel = requester.act(Act::Cancel).unwrap().unwrap();
    let word = taken(&mut worker, cancel).unwrap();
    taken(&mut requester, word);
    assert_eq!(
        (requester.state(), worker.state()),
        (TaskState::Canceled, TaskState::Canceled)
    );

    let (mut requester, request) = Task::ask(Terms::default(), NOW).unwrap();
    let cancel = requester.act(Act::Cancel).unwrap().unwrap();
    let (mut worker, reply) = Task::asked(Terms::default(), cancel).unwrap();
    assert_eq!(worker.hear(request, NOW), Ok(Heard::Late));
    taken(&mut requester, reply.unwrap());
    assert_eq!(
        (requester.state(), worker.state()),
        (TaskState::Canceled, TaskState::Canceled)
    );
}

#[test]
fn later_words_hold_whichever_comes_first() {
    let (mut requester, mut worker) = pair(Terms::default());
    let question = say(&mut worker, TaskState::InputRequired);
    let working = say(&mut worker, TaskState::Working);
    taken(&mut requester, working);
    assert_eq!(requester.hear(question, NOW), Ok(Heard::Late));
    assert_eq!(requester.state(), TaskState::Working);
}

#[test]
fn an_answer_to_an_old_question_does_not_answer_the_new_one() {
    let (mut requester, mut worker) = pair(Terms::default());
    let first = say(&mut worker, TaskState::InputRequired);
    taken(&mut requester, first);
    let input = requester.act(Act::Input).unwrap().unwrap();
    let second = say(&mut worker, TaskState::InputRequired);
    assert_eq!(worker.hear(input, NOW), Ok(Heard::Late));
    assert_eq!(worker.state(), TaskState::InputRequired);
    taken(&mut requester, second);
    assert_eq!(requester.state(), TaskState::InputRequired);
}

#[test]
fn no_task_is_open_for_ever() {
    let (requester, worker) = pair(Terms::default().bounded(NOW));
    assert_eq!(worker.due(), Some(NOW.after(DEFAULT_DEADLINE_MS)));
    assert_eq!(
        requester.due(),
        Some(NOW.after(DEFAULT_DEADLINE_MS + GRACE_MS))
    );
    let own = until(1_000);
    assert_eq!(own.bounded(NOW), own);
}

#[test]
fn a_deadline_ends_both_sides_and_the_workers_word_wins() {
    assert_eq!(
        Task::ask(until(0), NOW).unwrap_err(),
        Refusal::DeadlinePassed
    );
    let (mut requester, mut worker) = pair(until(1_000));
    assert_eq!(worker.due(), Some(NOW.after(1_000)));
    assert_eq!(requester.due(), Some(NOW.after(1_000 + GRACE_MS)));
    assert_eq!(worker.tick(NOW.after(999)), Tick::Nothing);
    let Tick::Expired(Some(failed)) = worker.tick(NOW.after(1_000)) else {
        panic!("the worker goes on");
    };
    assert_eq!(failed.says, Says::Status(TaskState::Failed));
    assert_eq!(requester.tick(NOW.after(1_000)), Tick::Nothing);
    let mut silent = requester.clone();
    taken(&mut requester, failed);
    assert_eq!(
        (requester.state(), requester.presumed()),
        (TaskState::Failed, None)
    );
    assert_eq!(requester.due(), None);

    assert_eq!(
        silent.tick(NOW.after(1_000 + GRACE_MS)),
        Tick::Expired(None)
    );
    assert_eq!(silent.presumed(), Some(Presumed::Deadline));
    let done = Word {
        attempt: 1,
        n: 4,
        says: Says::Status(TaskState::Completed),
    };
    let working = Word {
        attempt: 1,
        n: 3,
        says: Says::Status(TaskState::Working),
    };
    assert_eq!(silent.hear(working, NOW), Ok(Heard::Late));
    taken(&mut silent, done);
    assert_eq!(
        (silent.state(), silent.presumed()),
        (TaskState::Completed, None)
    );
}

#[test]
fn a_failed_task_is_tried_again_after_twice_the_time() {
    let (mut requester, mut worker) = pair(retrying(3));
    for (attempt, seconds) in [(1, 10), (2, 20)] {
        let failed = say(&mut worker, TaskState::Failed);
        taken(&mut requester, failed);
        assert_eq!(requester.state(), TaskState::Submitted);
        assert_eq!(requester.attempt(), attempt + 1);
        assert_eq!(requester.retry_at(), Some(NOW.after(seconds * 1_000)));
        assert_eq!(
            requester.tick(NOW.after(seconds * 1_000 - 1)),
            Tick::Nothing
        );
        let Tick::Retry(request) = requester.tick(NOW.after(seconds * 1_000)) else {
            panic!("it is not tried again");
        };
        assert_eq!(taken(&mut worker, request), None);
        assert_eq!(
            (worker.state(), worker.attempt()),
            (TaskState::Submitted, attempt + 1)
        );
        assert_eq!(worker.hear(request, NOW), Ok(Heard::Late));
    }
    let failed = say(&mut worker, TaskState::Failed);
    taken(&mut requester, failed);
    assert_eq!(
        requester.state(),
        TaskState::Failed,
        "three attempts in all"
    );
    let fourth = Word {
        attempt: 5,
        n: 9,
        says: Says::Request,
    };
    assert_eq!(worker.hear(fourth, NOW), Err(Refusal::UnexpectedAttempt));
}

#[test]
fn what_is_rejected_or_would_end_after_its_deadline_is_not_tried_again() {
    let (mut requester, mut worker) = pair(retrying(3));
    let word = say(&mut worker, TaskState::Rejected);
    taken(&mut requester, word);
    assert_eq!(requester.state(), TaskState::Rejected);
    let terms = Terms {
        deadline: Some(NOW.after(10_000)),
        ..retrying(3)
    };
    let (mut requester, mut worker) = pair(terms);
    let word = say(&mut worker, TaskState::Failed);
    taken(&mut requester, word);
    assert_eq!(requester.state(), TaskState::Failed);
}

#[test]
fn an_attempt_whose_time_passed_while_nobody_looked_is_not_asked_for() {
    let terms = Terms {
        deadline: Some(NOW.after(60_000)),
        ..retrying(3)
    };
    let (mut requester, mut worker) = pair(terms);
    let word = say(&mut worker, TaskState::Failed);
    taken(&mut requester, word);
    assert_eq!(requester.tick(NOW.after(60_000)), Tick::Expired(None));
    assert_eq!(
        (requester.state(), requester.attempt()),
        (TaskState::Failed, 1)
    );
    assert_eq!(requester.presumed(), None);
}

#[test]
fn a_task_is_canceled_between_two_attempts() {
    let (mut requester, mut worker) = pair(retrying(2));
    let failed = say(&mut worker, TaskState::Failed);
    taken(&mut requester, failed);
    let cancel = requester.act(Act::Cancel).unwrap().unwrap();
    assert_eq!(requester.tick(NOW.after(60_000)), Tick::Nothing);
    let word = taken(&mut worker, cancel).unwrap();
    taken(&mut requester, word);
    assert_eq!(
        (requester.state(), worker.state()),
        (TaskState::Canceled, TaskState::Canceled)
    );
}

#[test]
fn what_never_arrives_ends_the_task_for_its_requester() {
    let (mut requester, request) = Task::ask(retrying(3), NOW).unwrap();
    assert!(requester.undelivered(request));
    assert!(!requester.undelivered(request));
    assert_eq!(requester.state(), TaskState::Failed);
    assert_eq!(requester.presumed(), Some(Presumed::Undelivered));

    let (mut requester, mut worker) = pair(Terms::default());
    let question = say(&mut worker, TaskState::InputRequired);
    taken(&mut requester, question);
    let input = requester.act(Act::Input).unwrap().unwrap();
    assert!(requester.undelivered(input));
    assert_eq!(requester.state(), TaskState::InputRequired);
    let input = requester.act(Act::Input).unwrap().unwrap();
    let cancel = requester.act(Act::Cancel).unwrap().unwrap();
    assert_eq!(requester.act(Act::Input), Err(Refusal::Canceling));
    taken(&mut worker, input);
    assert!(requester.undelivered(cancel));
    assert_eq!(requester.state(), TaskState::Canceled);
    let working = Word {
        attempt: 1,
        n: 2,
        says: Says::Status(TaskState::Working),
    };
    assert!(!worker.undelivered(working));
}

#[test]
fn a_task_survives_storage() {
    let (mut requester, mut worker) = pair(retrying(3));
    let failed = say(&mut worker, TaskState::Failed);
    taken(&mut requester, failed);
    for task in [requester, worker] {
        let text = serde_json::to_string(&task).unwrap();
        assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), task);
    }
}

#[test]
fn a_sub_task_fits_its_parent() {
    let child = Child {
        parent_depth: 1,
        siblings: 0,
        deadline: None,
    };
    let (requester, mut worker) = pair(until(1_000));
    assert_eq!(check_child(&worker, &child), Ok(Some(NOW.after(1_000))));
    let own = |millis| Child {
        deadline: Some(NOW.after(millis)),
        ..child
    };
    assert_eq!(check_child(&worker, &own(500)), Ok(Some(NOW.after(500))));
    assert_eq!(
        check_child(&worker, &own(1_001)),
        Err(Refusal::DeadlineAfterParent)
    );
    let deep = Child {
        parent_depth: 8,
        ..child
    };
    assert_eq!(check_child(&requester, &deep), Err(Refusal::TooDeep));
    let many = Child {
        siblings: 100,
        ..child
    };
    assert_eq!(
        check_child(&requester, &many),
        Err(Refusal::TooManyChildren)
    );
    say(&mut worker, TaskState::Failed);
    assert_eq!(check_child(&worker, &child), Err(Refusal::ParentOver));
    let mut canceling = requester;
    canceling.act(Act::Cancel).unwrap();
    assert_eq!(check_child(&canceling, &child), Err(Refusal::ParentOver));
}

#[test]
fn everything_below_a_task_is_found_once() {
    let children = |task: &u32| {
        Ok::<_, ()>(match task {
            1 => vec![2, 3],
            2 => vec![4, 1],
            4 => vec![3, 5],
            _ => Vec::new(),
        })
    };
    assert_eq!(descendants(&1, children), Ok(vec![2, 3, 4, 5]));
    assert_eq!(descendants(&9, children), Ok(vec![]));
    assert_eq!(descendants(&1, |_task| Err("no")), Err("no"));
}
