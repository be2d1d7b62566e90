//! Why an act or a word is refused.

use entente_lexicon::records::comms::TaskState;

/// Why an act or a word is refused; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The task has ended.
    #[error("the task is {} already, and nothing follows", .0.as_str())]
    Over(TaskState),
    /// The worker may not go on like that.
    #[error("a task that is {} does not become {}", .from.as_str(), .to.as_str())]
    IllegalStep {
        /// How it stands.
        from: TaskState,
        /// How it was to stand.
        to: TaskState,
    },
    /// The worker alone says how a task stands.
    #[error("the agent that works on a task says how it stands; this one asked for it")]
    NotWorker,
    /// The requester alone cancels and answers questions.
    #[error(
        "the agent that asked for a task cancels it and answers questions; this one works on it"
    )]
    NotRequester,
    /// The worker has no open question.
    #[error("the worker has not asked anything that is not answered yet")]
    NoQuestion,
    /// The requester has asked to cancel the task.
    #[error("the task is being canceled")]
    Canceling,
    /// A word of the other side belongs to an attempt that there is not.
    #[error("there is no such attempt at the task")]
    UnexpectedAttempt,
    /// The deadline lies in the past.
    #[error("the deadline has passed already")]
    DeadlinePassed,
    /// A sub-task may not outlast what it is a part of.
    #[error("a sub-task ends no later than the task that it is a part of")]
    DeadlineAfterParent,
    /// The task that this is to be a part of has ended.
    #[error("the task that this one is to be a part of is over")]
    ParentOver,
    /// There are too many sub-tasks.
    #[error("a task has at most 100 sub-tasks")]
    TooManyChildren,
    /// Sub-tasks are too deep inside one another.
    #[error("tasks are at most 8 deep inside one another")]
    TooDeep,
}

impl Refusal {
    /// Returns the stable code, as docs/protocol/errors.md lists it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Over(_) => "TASK_OVER",
            Self::IllegalStep { .. } => "TASK_ILLEGAL_STEP",
            Self::NotWorker => "TASK_NOT_WORKER",
            Self::NotRequester => "TASK_NOT_REQUESTER",
            Self::NoQuestion => "TASK_NO_QUESTION",
            Self::Canceling => "TASK_CANCELING",
            Self::UnexpectedAttempt => "TASK_UNEXPECTED_ATTEMPT",
            Self::DeadlinePassed => "TASK_DEADLINE_PASSED",
            Self::DeadlineAfterParent => "TASK_DEADLINE_AFTER_PARENT",
            Self::ParentOver => "TASK_PARENT_OVER",
            Self::TooManyChildren => "TASK_TOO_MANY_CHILDREN",
            Self::TooDeep => "TASK_TOO_DEEP",
        }
    }
}
