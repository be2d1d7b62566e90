//! The benchmark's table, in Markdown.

use std::time::Duration;

use super::load::Outcome;
use super::meter::{Usage, as_f64};

/// One subject in one round.
pub(super) struct Measurement {
    /// The subject.
    pub(super) name: String,
    /// With many in flight.
    pub(super) loaded: Outcome,
    /// With one in flight.
    pub(super) alone: Outcome,
    /// What `loaded` cost.
    pub(super) usage: Usage,
}

/// The median over the rounds of each subject, in order of appearance.
pub(super) fn render(measured: &[Measurement], in_flight: u64) -> String {
    let mut names: Vec<&str> = Vec::new();
    for one in measured {
        if !names.contains(&one.name.as_str()) {
            names.push(&one.name);
        }
    }
    let mut text = format!(
        "\n| subject | messages/s at {in_flight} in flight | server CPU ms/message | p50 ms at 1 | p99 ms at 1 | resident MiB |\n\
         |---|---:|---:|---:|---:|---:|\n"
    );
    for name in names {
        let rounds: Vec<_> = measured.iter().filter(|one| one.name == name).collect();
        let of = |value: fn(&Measurement) -> f64| {
            median(rounds.iter().map(|round| value(round)).collect())
        };
        text += &format!(
            "| {name} | {:.0} | {:.4} | {:.2} | {:.2} | {:.0} |\n",
            of(rate),
            of(cpu),
            of(|one| percentile_ms(&one.alone.latencies, 50)),
            of(|one| percentile_ms(&one.alone.latencies, 99)),
            of(|one| as_f64(one.usage.resident_bytes) / (1024.0 * 1024.0)),
        );
    }
    text
}

fn rate(one: &Measurement) -> f64 {
    as_f64(one.loaded.delivered) / one.loaded.elapsed.as_secs_f64().max(f64::EPSILON)
}

fn cpu(one: &Measurement) -> f64 {
    one.usage.cpu_ms / as_f64(one.loaded.delivered.max(1))
}

fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted
        .get(index)
        .map_or(f64::NAN, |took| took.as_secs_f64() * 1000.0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_round_is_reported() {
        let round = |delivered| Measurement {
            name: "floor".into(),
            loaded: Outcome {
                delivered,
                elapsed: Duration::from_secs(1),
                latencies: Vec::new(),
            },
            alone: Outcome {
                latencies: vec![Duration::from_millis(2); 10],
                ..Outcome::default()
            },
            usage: Usage {
                cpu_ms: 100.0,
                resident_bytes: 1 << 20,
            },
        };
        let text = render(&[round(500), round(100), round(200)], 512);
        assert!(
            text.ends_with("| floor | 200 | 0.5000 | 2.00 | 2.00 | 1 |\n"),
            "{text}"
        );
    }
}
