//! Waiting for a task to change.

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures::channel::oneshot::{Receiver, Sender, channel};

/// Who waits for which task.
#[derive(Default)]
pub(in crate::agent::tasks) struct Watch {
    waiting: RefCell<BTreeMap<u64, Vec<Sender<()>>>>,
}

impl Watch {
    /// A task is being changed: who waits for it looks once that is committed, or was not.
    pub(in crate::agent::tasks) fn changed(&self, task: u64) {
        let waiting = self.waiting.borrow_mut().remove(&task);
        for one in waiting.into_iter().flatten() {
            let _gone = one.send(());
        }
    }

    /// Returns what is told when a task changes next. Look at the task before anything is awaited.
    pub(super) fn next(&self, task: u64) -> Receiver<()> {
        let (tell, told) = channel();
        let mut waiting = self.waiting.borrow_mut();
        let waiting = waiting.entry(task).or_default();
        waiting.retain(|one| !one.is_canceled());
        waiting.push(tell);
        told
    }
}
