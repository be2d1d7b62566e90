//! What processes consumed, from /proc.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// CPU time in clock ticks is 1/100 s on every Linux that Rust's std runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a span of time cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// CPU time of all processes in milliseconds.
    pub(super) cpu_ms: f64,
    /// Resident memory at the end.
    pub(super) resident_bytes: u64,
}

/// Whether this system tells.
pub(super) fn available() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// A process and all its descendants.
pub(super) fn family(root: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may be gone by now.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        if let Some(parent) = field(&text, 4) {
            parents.push((pid, u32::try_from(parent).unwrap_or(0)));
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&member) = family.get(next) {
        family.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == member)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    Ok(family)
}

/// CPU time, user and system, that the processes used since they started, in milliseconds.
pub(super) fn cpu_ms(processes: &[u32]) -> Result<f64> {
    let mut ticks = 0;
    for pid in processes {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))
            .context("a network stopped during the benchmark")?;
        ticks += field(&text, 14).unwrap_or(0) + field(&text, 15).unwrap_or(0);
    }
    Ok(as_f64(ticks) * 1000.0 / TICKS_PER_SECOND)
}

/// Resident memory of all processes.
pub(super) fn resident_bytes(processes: &[u32]) -> Result<u64> {
    let mut kib = 0;
    for pid in processes {
        let text = fs::read_to_string(format!("/proc/{pid}/status"))
            .context("a network stopped during the benchmark")?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap_or("0");
        kib += line
            .split_whitespace()
            .next()
            .and_then(|number| number.parse::<u64>().ok())
            .unwrap_or(0);
    }
    Ok(kib * 1024)
}

/// Field `number` of a stat line, counted from 1; the name in parentheses may contain blanks.
fn field(stat: &str, number: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_whitespace()
        .nth(number.checked_sub(3)?)?
        .parse()
        .ok()
}

/// Numbers here are far below 2^52.
pub(super) fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_read_behind_the_name() {
        let line = "42 (a (b) c) S 7 1 1 0 -1 0 0 0 0 0 120 30 0 0 20 0 1 0 5 0 0";
        assert_eq!(
            (field(line, 4), field(line, 14), field(line, 15)),
            (Some(7), Some(120), Some(30))
        );
    }
}
