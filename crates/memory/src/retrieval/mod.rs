//! How well memory is found: recall over questions whose evidence is known.

pub mod locomo;

use std::collections::BTreeSet;

pub use locomo::{BadFile, Conversation, Question, Turn, read};

/// How many hits are looked at.
pub const CUTS: [usize; 4] = [1, 5, 10, 20];

/// Recall of one method over many questions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recall {
    questions: u32,
    sums: [f64; CUTS.len()],
}

impl Recall {
    /// Adds a question: what was found, best first, and what should have been.
    ///
    /// Each cut counts the share of the evidence within it. A question without evidence counts
    /// nothing.
    pub fn add(&mut self, found: &[usize], evidence: &BTreeSet<usize>) {
        if evidence.is_empty() {
            return;
        }
        self.questions = self.questions.saturating_add(1);
        for (sum, cut) in self.sums.iter_mut().zip(CUTS) {
            let within: BTreeSet<_> = found.iter().take(cut).collect();
            let hits = evidence.iter().filter(|one| within.contains(one)).count();
            *sum += share(hits, evidence.len());
        }
    }

    /// Returns how many questions were added.
    #[must_use]
    pub const fn questions(&self) -> u32 {
        self.questions
    }

    /// Returns the mean recall at each of [`CUTS`], from 0 to 1.
    #[must_use]
    pub fn at_cuts(&self) -> [f64; CUTS.len()] {
        self.sums.map(|sum| sum / f64::from(self.questions.max(1)))
    }
}

fn share(part: usize, whole: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    number(part) / number(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_is_the_share_of_the_evidence_within_each_cut() {
        let mut recall = Recall::default();
        recall.add(&[7, 1, 2, 3, 4, 5], &BTreeSet::from([7]));
        recall.add(&[9, 8, 1], &BTreeSet::from([1, 5]));
        recall.add(&[1], &BTreeSet::new());
        assert_eq!(recall.questions(), 2);
        assert_eq!(recall.at_cuts(), [0.5, 0.75, 0.75, 0.75]);
        assert_eq!(Recall::default().at_cuts(), [0.0; 4]);
    }

    #[test]
    fn the_same_hit_twice_counts_once() {
        let mut recall = Recall::default();
        recall.add(&[1, 1, 1, 1, 1], &BTreeSet::from([1, 2]));
        assert_eq!(recall.at_cuts(), [0.5; 4]);
    }
}
