//! What a subscriber was sent and has not yet said it read.

use std::collections::VecDeque;

/// Frames sent since the last acknowledgement.
#[derive(Debug, Default)]
pub struct Flow {
    sent: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Flow {
    /// Notes a frame of `bytes` after which the subscriber is at `seq`.
    pub fn sent(&mut self, seq: u64, bytes: usize) {
        self.sent.push_back((seq, bytes));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Notes that the subscriber has read everything up to `seq`. Returns the bytes that frees.
    pub fn acked(&mut self, seq: u64) -> usize {
        let before = self.bytes;
        while let Some((at, bytes)) = self.sent.front() {
            if *at > seq {
                break;
            }
            self.bytes = self.bytes.saturating_sub(*bytes);
            self.sent.pop_front();
        }
        before.saturating_sub(self.bytes)
    }

    /// Returns the frames that are out.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.sent.len()
    }

    /// Returns the bytes that are out.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_frees_everything_up_to_it() {
        let mut flow = Flow::default();
        for seq in [3, 5, 5, 9] {
            flow.sent(seq, 10);
        }
        assert_eq!((flow.frames(), flow.bytes()), (4, 40));
        assert_eq!(flow.acked(2), 0);
        assert_eq!(flow.acked(5), 30);
        assert_eq!((flow.frames(), flow.bytes()), (1, 10));
        assert_eq!(flow.acked(5), 0);
        assert_eq!(flow.acked(u64::MAX), 10);
    }
}
