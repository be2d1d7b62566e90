//! One task as one of its two sides knows it.

use entente_lexicon::Timestamp;
use entente_lexicon::records::comms::{Retry, TaskState};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::word::{Says, Word};

/// How long after the deadline a requester waits for the worker's word before it presumes that there
/// is none: the word has a way to go, and clocks differ.
pub const GRACE_MS: u64 = 5_000;

/// How long a task may stay open that was asked for without a deadline: what one side says last may never
/// reach the other, and neither waits for ever.
pub const DEFAULT_DEADLINE_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// Which side of a task an agent is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It asked.
    Requester,
    /// It was asked.
    Worker,
}

impl Role {
    /// Returns the name used in JSON and in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::Worker => "worker",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Requester, Self::Worker]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// What a task was asked for with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// When the result is of no use any more.
    pub deadline: Option<Timestamp>,
    /// What to do when it fails.
    pub retry: Option<Retry>,
}

impl Terms {
    /// Returns these terms with a deadline: the one they have, or the one that every task has that was asked
    /// for at `now` without one.
    #[must_use]
    pub fn bounded(self, now: Timestamp) -> Self {
        let deadline = self.deadline.unwrap_or(now.after(DEFAULT_DEADLINE_MS));
        Self {
            deadline: Some(deadline),
            ..self
        }
    }

    /// Returns how long to wait after a failed attempt, in milliseconds, or `None` if it was the
    /// last one.
    fn delay_after(&self, attempt: u32) -> Option<u64> {
        let retry = self.retry?;
        if attempt >= u32::from(retry.max_attempts) {
            return None;
        }
        let doubled = 1_u64.checked_shl(attempt.saturating_sub(1))?;
        let first = u64::from(retry.delay_seconds).saturating_mul(1_000);
        Some(first.saturating_mul(doubled))
    }

    fn is_past(&self, now: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }
}

/// What an agent does about a task of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The requester wants it no more.
    Cancel,
    /// The requester answers the worker's question.
    Input,
    /// The worker says how it stands.
    Say(TaskState),
}

/// Why a requester takes a task for ended though the worker has not said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Presumed {
    /// The deadline passed, and nothing was heard.
    Deadline,
    /// What had to be told did not arrive.
    Undelivered,
}

/// What a word of the other side did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It changed the task; this is to be answered.
    Taken(Option<Word>),
    /// It came too late, or again, to change anything.
    Late,
}

/// What the clock did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Nothing was due.
    Nothing,
    /// The deadline passed: the task failed, and this is to be told.
    Expired(Option<Word>),
    /// It is tried again: this is to be told.
    Retry(Word),
}

/// One task as one of its two sides knows it.
///
/// Call [`Task::tick`] before anything else at a new time, and again when [`Task::due`] comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub(crate) role: Role,
    pub(crate) state: TaskState,
    pub(crate) terms: Terms,
    pub(crate) attempt: u32,
    /// How many words this side has said.
    pub(crate) said: u32,
    /// The number of the latest word of the other side that counted.
    pub(crate) heard: u32,
    /// The worker's number for its latest question.
    pub(crate) question: u32,
    /// Requester: it asked to cancel.
    pub(crate) canceling: bool,
    /// Requester: it ended for this reason, without the worker's word.
    pub(crate) presumed: Option<Presumed>,
    /// Requester: when a failed task is asked for again.
    pub(crate) retry_at: Option<Timestamp>,
}

impl Task {
    /// The requester's side of a new task, and the word that asks for it.
    ///
    /// # Errors
    /// [`Refusal::DeadlinePassed`] if it is of no use already.
    pub fn ask(terms: Terms, now: Timestamp) -> Result<(Self, Word), Refusal> {
        if terms.is_past(now) {
            return Err(Refusal::DeadlinePassed);
        }
        let mut task = Self::new(Role::Requester, terms, 1);
        let word = task.say(Says::Request);
        Ok((task, word))
    }

    /// The worker's side of a task that it never heard of, by the first word that came.
    ///
    /// A cancel may come before its request: then the task is canceled from the start, and the
    /// request, when it comes, changes nothing.
    ///
    /// # Errors
    /// [`Refusal::UnexpectedAttempt`] if the word neither asks for a task nor cancels it.
    pub fn asked(terms: Terms, word: Word) -> Result<(Self, Option<Word>), Refusal> {
        let mut task = Self::new(Role::Worker, terms, word.attempt);
        task.heard = word.n;
        match word.says {
            Says::Request => Ok((task, None)),
            Says::Cancel => {
                task.state = TaskState::Canceled;
                let reply = task.say(Says::Status(TaskState::Canceled));
                Ok((task, Some(reply)))
            }
            Says::Input { .. } | Says::Status(_) => Err(Refusal::UnexpectedAttempt),
        }
    }

    fn new(role: Role, terms: Terms, attempt: u32) -> Self {
        Self {
            role,
            state: TaskState::Submitted,
            terms,
            attempt,
            said: 0,
            heard: 0,
            question: 0,
            canceling: false,
            presumed: None,
            retry_at: None,
        }
    }

    /// Does what this agent wants done. Returns what the other side is to be told; nothing if it was
    /// told before.
    ///
    /// # Errors
    /// [`Refusal`] if the act is the other side's, or does not follow from how the task stands.
    pub fn act(&mut self, act: Act) -> Result<Option<Word>, Refusal> {
        match (self.role, act) {
            (Role::Requester, Act::Say(_)) => Err(Refusal::NotWorker),
            (Role::Worker, Act::Cancel | Act::Input) => Err(Refusal::NotRequester),
            (Role::Requester | Role::Worker, _) if self.state.is_final() => {
                Err(Refusal::Over(self.state))
            }
            (Role::Requester, Act::Cancel) => Ok(self.cancel()),
            (Role::Requester, Act::Input) => self.input().map(Some),
            (Role::Worker, Act::Say(state)) => self.report(state).map(Some),
        }
    }

    /// Takes what the other side says.
    ///
    /// # Errors
    /// [`Refusal`] if that is not for the other side to say.
    pub fn hear(&mut self, word: Word, now: Timestamp) -> Result<Heard, Refusal> {
        match (self.role, word.says) {
            (Role::Requester, Says::Status(state)) => self.hear_status(word, state, now),
            (Role::Requester, Says::Request | Says::Cancel | Says::Input { .. }) => {
                Err(Refusal::NotRequester)
            }
            (Role::Worker, Says::Status(_)) => Err(Refusal::NotWorker),
            (Role::Worker, Says::Request) => self.hear_request(word),
            (Role::Worker, Says::Cancel) => self.hear_cancel(word),
            (Role::Worker, Says::Input { answers }) => Ok(self.hear_input(word, answers)),
        }
    }

    /// Does what is due by the clock.
    pub fn tick(&mut self, now: Timestamp) -> Tick {
        match self.role {
            Role::Requester => self.tick_requester(now),
            Role::Worker => self.tick_worker(now),
        }
    }

    /// Returns when [`Task::tick`] has something to do.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        if self.state.is_final() {
            return None;
        }
        let deadline = self.terms.deadline.map(|deadline| match self.role {
            Role::Requester => deadline.after(GRACE_MS),
            Role::Worker => deadline,
        });
        match (self.retry_at, deadline) {
            (Some(retry), Some(deadline)) => Some(retry.min(deadline)),
            (retry, deadline) => retry.or(deadline),
        }
    }

    /// A word of this side's will never arrive. Returns whether that changes anything.
    pub fn undelivered(&mut self, word: Word) -> bool {
        match self.role {
            Role::Requester => self.requester_undelivered(word),
            // The worker has decided; whoever asked concludes from its silence what it must.
            Role::Worker => false,
        }
    }

    /// Returns which side this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Returns how the task stands.
    #[must_use]
    pub const fn state(&self) -> TaskState {
        self.state
    }

    /// Returns which attempt this is; 1 is the first.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns what it was asked for with.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Tells whether the requester has asked to cancel it and waits for the worker's word.
    #[must_use]
    pub const fn is_canceling(&self) -> bool {
        self.canceling && !self.state.is_final()
    }

    /// Returns why it is taken for ended without the worker's word, if it is.
    #[must_use]
    pub const fn presumed(&self) -> Option<Presumed> {
        self.presumed
    }

    /// Returns the worker's number for its latest question.
    #[must_use]
    pub const fn question(&self) -> u32 {
        self.question
    }

    /// Returns when it is asked for again after a failed attempt.
    #[must_use]
    pub const fn retry_at(&self) -> Option<Timestamp> {
        self.retry_at
    }

    pub(crate) fn say(&mut self, says: Says) -> Word {
        self.said = self.said.saturating_add(1);
        Word {
            attempt: self.attempt,
            n: self.said,
            says,
        }
    }
}

impl Terms {
    /// Returns when an attempt that failed now is followed by the next, if it is.
    pub(crate) fn retry_at(&self, attempt: u32, now: Timestamp) -> Option<Timestamp> {
        let at = now.after(self.delay_after(attempt)?);
        let late = self.deadline.is_some_and(|deadline| at >= deadline);
        (!late).then_some(at)
    }

    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.is_past(now)
    }
}

/// Tells whether a task may come to stand like `to` after `from`: the table in
/// `docs/protocol/tasks.md`.
#[must_use]
pub const fn may_follow(from: TaskState, to: TaskState) -> bool {
    use TaskState::{
        Accepted, Canceled, Completed, Failed, InputRequired, Rejected, Submitted, Working,
    };
    match from {
        Submitted => !matches!(to, Submitted),
        Accepted => matches!(to, Working | InputRequired | Completed | Failed | Canceled),
        Working | InputRequired => {
            matches!(to, Working | InputRequired | Completed | Failed | Canceled)
        }
        // Another attempt.
        Failed => matches!(to, Submitted | Canceled),
        Completed | Rejected | Canceled => false,
    }
}
