//! A blob far larger than the memory that moves it.

use std::fs;

use super::*;

const LENGTH: usize = 200 * 1000 * 1000;
/// What workerd may hold more at its peak than before, in KiB: parts in our hands and in those of
/// the bucket, which is a program in the same process here, and what neither has collected yet.
const MOST_KIB: u64 = 256 * 1024;
/// What four times the length, in and out again, may add to that. Holding it even once would add
/// twice as much.
const GROWTH_KIB: u64 = 96 * 1024;

/// The most memory, in KiB, that the process and its children ever held.
pub(super) fn peak(pid: u32) -> Vec<(String, u64)> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let mut all: Vec<_> = children
        .split_whitespace()
        .flat_map(|child| peak(child.parse().unwrap()))
        .collect();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let kib = line("VmHWM:")
        .trim_end_matches(" kB")
        .parse()
        .unwrap_or_default();
    all.push((line("Name:"), kib));
    all
}

#[test]
fn two_hundred_megabytes_pass_in_bounded_memory() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("heavy");
    let workerd = || {
        let all = peak(deployment.pid("alpha"));
        let workerd = all.iter().filter(|(name, _)| name.starts_with("workerd"));
        workerd.map(|(_, kib)| *kib).max().expect("workerd runs")
    };
    deployment.kill9("alpha");
    deployment.restart("alpha");
    let _ = upload(&agent, &noise(60, 1_000));
    let before = workerd();
    let quarter = upload(&agent, &noise(61, LENGTH / 4));
    assert!(read(&agent, &quarter).status == 200);
    let warm = workerd();
    let bytes = noise(62, LENGTH);
    let blob = upload(&agent, &bytes);
    let uploaded = workerd();
    assert_eq!(blob["cid"], cid(&bytes));
    for start in (0..LENGTH).step_by(4 * PART) {
        let end = (start + 4 * PART).min(LENGTH);
        let range = read_range(&agent, &blob, &format!("bytes={start}-{}", end - 1));
        assert!(
            range.status == 206 && range.body == bytes[start..end],
            "{start}"
        );
    }
    let after = workerd();
    println!(
        "workerd, KiB: {before}, {warm} after a quarter, {uploaded} after the upload, {after} after the download"
    );
    assert!(after - before < MOST_KIB, "{before} KiB, then {after}");
    let grown = after - warm;
    assert!(
        grown < GROWTH_KIB,
        "{grown} KiB more for four times the length"
    );
}
