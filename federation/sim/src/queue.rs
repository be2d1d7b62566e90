//! Everything that will happen, by time and, within one instant, in the order it was decided.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use entente_federation::{DeliveryVerdict, Item, Stream};

/// A thing that will happen. `life` names a machine's memory: what was meant for an earlier one is
/// dropped.
#[derive(Debug)]
pub(crate) enum Job {
    /// A machine comes back.
    Start { end: usize, life: u64 },
    /// A machine's alarm.
    Wake { end: usize },
    /// Something reaches a side of a socket.
    Arrive { socket: u64, side: usize },
    /// A dial comes to its end.
    Connect { end: usize, life: u64 },
    /// A fetched document arrives.
    Document { end: usize, life: u64 },
    /// A call reaches an agent.
    Commit(Box<Call>),
    /// An agent's answer reaches the link.
    Answer {
        end: usize,
        life: u64,
        agent: usize,
        epoch: u64,
        verdicts: Vec<(u64, [u8; 16], DeliveryVerdict)>,
    },
    /// The driver has passed on one item of events or control records.
    Taken {
        end: usize,
        life: u64,
        stream: Stream,
    },
    /// A network's agents send something.
    Send { network: usize },
    /// A network hands messages over again whose answer it did not hear.
    Again { end: usize, items: Vec<Item> },
    /// A network that lies says something.
    Lie { network: usize },
    /// Something breaks.
    Fault,
    /// An end's policy is open again, unless it changed once more.
    Reopen { end: usize, change: u64 },
}

/// Messages from a link to one agent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) end: usize,
    pub(crate) life: u64,
    pub(crate) agent: usize,
    pub(crate) epoch: u64,
    pub(crate) items: Vec<(u64, Item)>,
}

impl Job {
    /// What the trace shows of it.
    pub(crate) fn numbers(&self) -> [u64; 3] {
        match self {
            Self::Start { end, life } => [1, *end as u64, *life],
            Self::Wake { end } => [2, *end as u64, 0],
            Self::Arrive { socket, side } => [3, *socket, *side as u64],
            Self::Connect { end, life } => [4, *end as u64, *life],
            Self::Document { end, life } => [5, *end as u64, *life],
            Self::Commit(call) => [6, call.end as u64, call.agent as u64],
            Self::Answer { end, agent, .. } => [7, *end as u64, *agent as u64],
            Self::Send { network } => [8, *network as u64, 0],
            Self::Again { end, items } => [13, *end as u64, items.len() as u64],
            Self::Lie { network } => [12, *network as u64, 0],
            Self::Fault => [9, 0, 0],
            Self::Taken { end, stream, .. } => [11, *end as u64, stream.number().into()],
            Self::Reopen { end, change } => [10, *end as u64, *change],
        }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    next: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at_ms: u64, job: Job) {
        self.next += 1;
        self.heap.push(Entry {
            key: (at_ms, self.next),
            job,
        });
    }

    /// The earliest job if it is due by `end_ms`.
    pub(crate) fn pop(&mut self, end_ms: u64) -> Option<((u64, u64), Job)> {
        if self.heap.peek()?.key.0 > end_ms {
            return None;
        }
        self.heap.pop().map(|entry| (entry.key, entry.job))
    }
}

#[derive(Debug)]
struct Entry {
    key: (u64, u64),
    job: Job,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}
