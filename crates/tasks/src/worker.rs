//! The side that was asked.

use entente_lexicon::Timestamp;
use entente_lexicon::records::comms::TaskState;

use crate::refusal::Refusal;
use crate::task::{Heard, Task, Tick, may_follow};
use crate::word::{Says, Word};

impl Task {
    /// Says how the task stands. A task is canceled by its requester alone.
    pub(crate) fn report(&mut self, state: TaskState) -> Result<Word, Refusal> {
        if state == TaskState::Canceled || !may_follow(self.state, state) {
            return Err(Refusal::IllegalStep {
                from: self.state,
                to: state,
            });
        }
        Ok(self.stand(state))
    }

    fn stand(&mut self, state: TaskState) -> Word {
        self.state = state;
        let word = self.say(Says::Status(state));
        if state == TaskState::InputRequired {
            self.question = word.n;
        }
        word
    }

    /// Whether this is the attempt that follows a failed one.
    fn is_next(&self, word: Word) -> bool {
        self.state == TaskState::Failed && word.attempt == self.attempt.saturating_add(1)
    }

    pub(crate) fn hear_request(&mut self, word: Word) -> Result<Heard, Refusal> {
        if word.attempt <= self.attempt {
            return Ok(Heard::Late);
        }
        if !self.is_next(word) {
            return Err(Refusal::UnexpectedAttempt);
        }
        self.attempt = word.attempt;
        self.heard = word.n;
        self.state = TaskState::Submitted;
        Ok(Heard::Taken(None))
    }

    pub(crate) fn hear_cancel(&mut self, word: Word) -> Result<Heard, Refusal> {
        let next = self.is_next(word);
        if word.attempt > self.attempt && !next {
            return Err(Refusal::UnexpectedAttempt);
        }
        // What ended before is on its way to the requester.
        if word.attempt < self.attempt || self.state.is_final() && !next {
            return Ok(Heard::Late);
        }
        self.attempt = word.attempt;
        self.heard = word.n;
        Ok(Heard::Taken(Some(self.stand(TaskState::Canceled))))
    }

    pub(crate) fn hear_input(&mut self, word: Word, answers: u32) -> Heard {
        let awaited = word.attempt == self.attempt
            && self.state == TaskState::InputRequired
            && self.question == answers;
        if !awaited {
            return Heard::Late;
        }
        self.heard = word.n;
        Heard::Taken(Some(self.stand(TaskState::Working)))
    }

    pub(crate) fn tick_worker(&mut self, now: Timestamp) -> Tick {
        if self.state.is_final() || !self.terms.has_expired(now) {
            return Tick::Nothing;
        }
        Tick::Expired(Some(self.stand(TaskState::Failed)))
    }
}
