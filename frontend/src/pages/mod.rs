//! Whole pages.
#![expect(
    unreachable_pub,
    reason = "the component macro writes public items into these private modules"
)]

mod dashboard;

pub(crate) use dashboard::Dashboard;
