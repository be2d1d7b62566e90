//! The benchmark's table, in Markdown.

use std::time::Duration;

use super::load::{ALL, Cost, What};

/// One measurement.
pub(super) struct Line {
    pub(super) side: &'static str,
    pub(super) what: What,
    pub(super) cost: Cost,
}

/// The median over the rounds: CPU for each side and what it is of the floor's, which comes last.
pub(super) fn render(lines: &[Line], records: u64) -> String {
    let mut sides: Vec<&str> = Vec::new();
    for line in lines {
        if !sides.contains(&line.side) {
            sides.push(line.side);
        }
    }
    let mut text =
        format!("\nCPU ms a call among {records} records (p50 ms with 8 calls at a time)\n\n|");
    let heads = sides.iter().map(|side| format!(" {side} |"));
    text += &format!(
        " |{}\n|---|{}\n",
        heads.collect::<String>(),
        "---:|".repeat(sides.len())
    );
    for what in ALL {
        text += &format!("| {} |", what.name());
        let floor = sides
            .last()
            .map_or(f64::NAN, |side| cpu(lines, side, *what));
        for side in &sides {
            let (cpu, wait) = (cpu(lines, side, *what), p50(lines, side, *what));
            text += &format!(" {cpu:.3} = {:.1} × ({wait:.1}) |", cpu / floor);
        }
        text += "\n";
    }
    text
}

fn cpu(lines: &[Line], side: &str, what: What) -> f64 {
    median(lines, side, what, |cost| cost.cpu_ms)
}

fn p50(lines: &[Line], side: &str, what: What) -> f64 {
    median(lines, side, what, |cost| {
        let middle = cost.latencies.get(cost.latencies.len() / 2);
        middle.map_or(f64::NAN, Duration::as_secs_f64) * 1000.0
    })
}

fn median(lines: &[Line], side: &str, what: What, of: impl Fn(&Cost) -> f64) -> f64 {
    let these = lines
        .iter()
        .filter(|line| line.side == side && line.what == what);
    let mut values: Vec<_> = these.map(|line| of(&line.cost)).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_round_is_reported_beside_the_floor() {
        let line = |side, cpu_ms| Line {
            side,
            what: What::Store,
            cost: Cost {
                cpu_ms,
                latencies: vec![Duration::from_millis(2); 3],
            },
        };
        let text = render(
            &[
                line("ours", 9.0),
                line("ours", 3.0),
                line("ours", 4.0),
                line("floor", 2.0),
            ],
            10,
        );
        let row = "| store | 4.000 = 2.0 × (2.0) | 2.000 = 1.0 × (2.0) |";
        assert!(text.contains(row), "{text}");
    }
}
