//! Sub-tasks: what an agent asks of others to get a task of its own done.

use std::collections::BTreeSet;

use entente_lexicon::Timestamp;

use crate::refusal::Refusal;
use crate::task::Task;

/// Sub-tasks of one task at most.
pub const MAX_CHILDREN: u32 = 100;
/// Tasks inside one another at most; the outermost counts.
pub const MAX_DEPTH: u32 = 8;

/// A sub-task that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// How deep its parent is; 1 for one that is part of nothing.
    pub parent_depth: u32,
    /// How many sub-tasks its parent has.
    pub siblings: u32,
    /// When its result is of no use any more, if it says so.
    pub deadline: Option<Timestamp>,
}

/// Checks that a task may become a part of `parent`, and returns its deadline: its parent's unless it
/// has one of its own.
///
/// # Errors
/// [`Refusal`] if the parent is over, the tree too large, or its deadline after its parent's.
pub fn check_child(parent: &Task, child: &Child) -> Result<Option<Timestamp>, Refusal> {
    if parent.state().is_final() || parent.is_canceling() {
        return Err(Refusal::ParentOver);
    }
    if child.parent_depth >= MAX_DEPTH {
        return Err(Refusal::TooDeep);
    }
    if child.siblings >= MAX_CHILDREN {
        return Err(Refusal::TooManyChildren);
    }
    match (child.deadline, parent.terms().deadline) {
        (Some(own), Some(parents)) if own > parents => Err(Refusal::DeadlineAfterParent),
        (own, parents) => Ok(own.or(parents)),
    }
}

/// Finds everything below a task, each once, parents first: what is canceled with it.
///
/// # Errors
/// What `children` returned.
pub fn descendants<T: Clone + Ord, E>(
    root: &T,
    mut children: impl FnMut(&T) -> Result<Vec<T>, E>,
) -> Result<Vec<T>, E> {
    let mut known = BTreeSet::from([root.clone()]);
    let mut found = Vec::new();
    let mut level = vec![root.clone()];
    while !level.is_empty() {
        let mut next = Vec::new();
        for parent in &level {
            let new = children(parent)?.into_iter();
            next.extend(new.filter(|child| known.insert(child.clone())));
        }
        found.extend(next.iter().cloned());
        level = next;
    }
    Ok(found)
}
