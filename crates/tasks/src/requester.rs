//! The side that asked.

use entente_lexicon::Timestamp;
use entente_lexicon::records::comms::TaskState;

use crate::refusal::Refusal;
use crate::task::{GRACE_MS, Heard, Presumed, Task, Tick};
use crate::word::{Says, Word};

impl Task {
    pub(crate) fn cancel(&mut self) -> Option<Word> {
        if self.canceling {
            return None;
        }
        self.canceling = true;
        self.retry_at = None;
        Some(self.say(Says::Cancel))
    }

    pub(crate) fn input(&mut self) -> Result<Word, Refusal> {
        if self.canceling {
            return Err(Refusal::Canceling);
        }
        if self.state != TaskState::InputRequired {
            return Err(Refusal::NoQuestion);
        }
        // Until the worker says otherwise.
        self.state = TaskState::Working;
        let answers = self.question;
        Ok(self.say(Says::Input { answers }))
    }

    pub(crate) fn hear_status(
        &mut self,
        word: Word,
        state: TaskState,
        now: Timestamp,
    ) -> Result<Heard, Refusal> {
        if word.attempt > self.attempt || state == TaskState::Submitted {
            return Err(Refusal::UnexpectedAttempt);
        }
        let settled = self.state.is_final() && self.presumed.is_none();
        if word.attempt < self.attempt || settled {
            return Ok(Heard::Late);
        }
        if state.is_final() {
            self.heard = self.heard.max(word.n);
            self.end(state, now);
            return Ok(Heard::Taken(None));
        }
        if word.n <= self.heard || self.presumed.is_some() {
            return Ok(Heard::Late);
        }
        self.heard = word.n;
        self.state = state;
        if state == TaskState::InputRequired {
            self.question = word.n;
        }
        Ok(Heard::Taken(None))
    }

    /// The worker's last word on an attempt.
    fn end(&mut self, state: TaskState, now: Timestamp) {
        let again = match state {
            TaskState::Failed if !self.canceling && self.presumed.is_none() => {
                self.terms.retry_at(self.attempt, now)
            }
            TaskState::Submitted
            | TaskState::Accepted
            | TaskState::Working
            | TaskState::InputRequired
            | TaskState::Completed
            | TaskState::Failed
            | TaskState::Rejected
            | TaskState::Canceled => None,
        };
        self.presumed = None;
        self.state = state;
        if again.is_some() {
            self.state = TaskState::Submitted;
            self.attempt = self.attempt.saturating_add(1);
            self.retry_at = again;
        }
    }

    fn presume(&mut self, state: TaskState, why: Presumed) {
        self.state = state;
        self.presumed = Some(why);
        self.retry_at = None;
    }

    pub(crate) fn tick_requester(&mut self, now: Timestamp) -> Tick {
        if self.state.is_final() {
            return Tick::Nothing;
        }
        if self.retry_at.is_some() && self.terms.has_expired(now) {
            // The next attempt was never asked for: the worker's word on the last one holds.
            self.retry_at = None;
            self.attempt = self.attempt.saturating_sub(1);
            self.state = TaskState::Failed;
            return Tick::Expired(None);
        }
        let deadline = self.terms.deadline;
        if deadline.is_some_and(|deadline| now >= deadline.after(GRACE_MS)) {
            self.presume(TaskState::Failed, Presumed::Deadline);
            return Tick::Expired(None);
        }
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry_at = None;
            return Tick::Retry(self.say(Says::Request));
        }
        Tick::Nothing
    }

    pub(crate) fn requester_undelivered(&mut self, word: Word) -> bool {
        if word.attempt != self.attempt || self.state.is_final() {
            return false;
        }
        match word.says {
            Says::Request => self.presume(TaskState::Failed, Presumed::Undelivered),
            Says::Cancel => self.presume(TaskState::Canceled, Presumed::Undelivered),
            Says::Input { answers } => {
                // The worker may have gone on without it.
                let waits = answers == self.question && self.heard == self.question;
                if self.state != TaskState::Working || !waits {
                    return false;
                }
                self.state = TaskState::InputRequired;
            }
            Says::Status(_) => return false,
        }
        true
    }
}
