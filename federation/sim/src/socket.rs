//! A WebSocket as it is: in order, late, stalled one way or dead, never shuffled.

use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) enum Parcel {
    Frame(Vec<u8>),
    Close(u16),
}

/// Side 0 belongs to the even end of a pair, side 1 to the odd one.
#[derive(Debug, Default)]
pub(crate) struct Socket {
    pub(crate) pair: usize,
    /// Whether a side may still send and hear.
    pub(crate) open: [bool; 2],
    /// To each side nothing arrives before this.
    pub(crate) stalled_until: [u64; 2],
    pipes: [VecDeque<(u64, Parcel)>; 2],
    bytes: [usize; 2],
}

impl Socket {
    pub(crate) fn new(pair: usize) -> Self {
        Self {
            pair,
            open: [true; 2],
            ..Self::default()
        }
    }

    /// Puts something on its way to `side`; returns when it arrives.
    pub(crate) fn put(&mut self, side: usize, due_ms: u64, parcel: Parcel) -> u64 {
        let last = self.pipes[side].back().map_or(0, |(due, _)| *due);
        let due = due_ms.max(last);
        if let Parcel::Frame(frame) = &parcel {
            self.bytes[side] += frame.len();
        }
        self.pipes[side].push_back((due, parcel));
        due
    }

    /// What has arrived at `side` by now.
    pub(crate) fn take(&mut self, side: usize, now_ms: u64) -> Option<Parcel> {
        if self.pipes[side].front()?.0 > now_ms {
            return None;
        }
        let (_, parcel) = self.pipes[side].pop_front()?;
        if let Parcel::Frame(frame) = &parcel {
            self.bytes[side] -= frame.len();
        }
        Some(parcel)
    }

    /// Loses what is on its way.
    pub(crate) fn lose(&mut self) {
        for side in [0, 1] {
            self.pipes[side].clear();
            self.bytes[side] = 0;
        }
    }

    /// Frames on their way to `side`, in bytes.
    pub(crate) const fn bytes_to(&self, side: usize) -> usize {
        self.bytes[side]
    }

    /// Whether nobody will ever hear of it again.
    pub(crate) fn is_over(&self) -> bool {
        self.open == [false; 2] && self.pipes.iter().all(VecDeque::is_empty)
    }

    pub(crate) fn parcels_to(&self, side: usize) -> usize {
        self.pipes[side].len()
    }
}
