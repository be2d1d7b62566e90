//! The bytes that all links of one isolate may hold together.
//!
//! An isolate has 128 MB for all its objects, and sockets cannot be paused. Each link tells what it
//! holds; when all together hold too much, the heaviest is told to shed its sessions, and links that
//! hold less than an equal share go on. [`Budget`] is pure; [`Share`] is a link's part of the one
//! budget of this isolate.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// What all links of an isolate may hold, unless the deployment says otherwise.
pub const LINK_BUDGET: u64 = 48 * 1024 * 1024;

/// What each link holds.
#[derive(Debug, Default)]
pub struct Budget {
    links: BTreeMap<u64, u64>,
    total: u64,
    next: u64,
    /// The link that was found heaviest and has not shed yet.
    marked: Option<u64>,
}

impl Budget {
    fn join(&mut self) -> u64 {
        self.next = self.next.saturating_add(1);
        self.links.insert(self.next, 0);
        self.next
    }

    /// Notes what a link holds now. Returns whether it must shed.
    pub fn note(&mut self, link: u64, bytes: u64, limit: u64) -> bool {
        let before = self.links.insert(link, bytes).unwrap_or_default();
        self.total = self.total.saturating_sub(before).saturating_add(bytes);
        if self.total <= limit {
            self.marked = None;
            return false;
        }
        let heaviest = self.links.iter().max_by_key(|(_, held)| **held);
        let heaviest = heaviest.map(|(link, _)| *link);
        self.marked = self.marked.or(heaviest);
        let sheds = self.marked == Some(link) || heaviest == Some(link);
        if sheds {
            self.marked = None;
        }
        sheds
    }

    /// Whether a link may take on more: always below the limit, else only below an equal share.
    #[must_use]
    pub fn has_room(&self, link: u64, limit: u64) -> bool {
        let held = self.links.get(&link).copied().unwrap_or_default();
        let share = limit / (self.links.len().max(1) as u64);
        self.total <= limit || held < share
    }

    fn leave(&mut self, link: u64) {
        let held = self.links.remove(&link).unwrap_or_default();
        self.total = self.total.saturating_sub(held);
        self.marked = self.marked.filter(|marked| *marked != link);
    }
}

thread_local! {
    static BUDGET: RefCell<Budget> = RefCell::default();
}

/// One link's share of the isolate's budget, given back when it is dropped.
#[derive(Debug)]
pub struct Share(u64);

impl Share {
    /// Joins the budget of this isolate, holding nothing yet.
    #[must_use]
    pub fn join() -> Self {
        Self(BUDGET.with_borrow_mut(Budget::join))
    }

    /// As [`Budget::note`].
    #[must_use]
    pub fn note(&self, bytes: u64, limit: u64) -> bool {
        BUDGET.with_borrow_mut(|budget| budget.note(self.0, bytes, limit))
    }

    /// As [`Budget::has_room`].
    #[must_use]
    pub fn has_room(&self, limit: u64) -> bool {
        BUDGET.with_borrow(|budget| budget.has_room(self.0, limit))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        BUDGET.with_borrow_mut(|budget| budget.leave(self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_the_limit_nobody_sheds() {
        let mut budget = Budget::default();
        let (one, other) = (budget.join(), budget.join());
        assert!(!budget.note(one, 60, 100));
        assert!(!budget.note(other, 40, 100));
        assert!(budget.has_room(one, 100) && budget.has_room(other, 100));
    }

    #[test]
    fn over_the_limit_the_heaviest_sheds_and_never_the_one_that_tipped_it() {
        let mut budget = Budget::default();
        let (heavy, healthy) = (budget.join(), budget.join());
        assert!(!budget.note(heavy, 95, 100));
        assert!(!budget.note(healthy, 10, 100), "the healthy one goes on");
        assert!(budget.has_room(healthy, 100));
        assert!(!budget.has_room(heavy, 100));
        assert!(
            budget.note(heavy, 95, 100),
            "the heavy one sheds when next heard of"
        );
        assert!(!budget.note(heavy, 0, 100));
        assert!(budget.has_room(heavy, 100));
    }

    #[test]
    fn a_link_that_goes_gives_back_what_it_held() {
        let mut budget = Budget::default();
        let (one, other) = (budget.join(), budget.join());
        budget.note(one, 90, 100);
        budget.leave(one);
        assert!(!budget.note(other, 90, 100));
        assert_eq!((budget.total, budget.links.len()), (90, 1));
    }

    #[test]
    fn the_sum_stays_right_whatever_happens() {
        let mut budget = Budget::default();
        let links: Vec<u64> = (0..50).map(|_| budget.join()).collect();
        for round in 0..1_000_u64 {
            for link in &links {
                let held = (round * 7_919 + link * 104_729) % 1_000;
                let sheds = budget.note(*link, held, 20_000);
                if sheds {
                    budget.note(*link, 0, 20_000);
                }
            }
            assert_eq!(budget.total, budget.links.values().sum::<u64>());
        }
    }
}
