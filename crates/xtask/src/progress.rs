//! What a person sees while a command runs: one line a step, on stderr.

use std::time::Instant;

/// A long step: announced when it begins, timed when it ends.
pub(crate) struct Step {
    what: String,
    begun: Instant,
}

impl Step {
    /// Announces `what`.
    pub(crate) fn begin(what: impl Into<String>) -> Self {
        let what = what.into();
        eprintln!("▸ {what} …");
        Self {
            what,
            begun: Instant::now(),
        }
    }

    /// Says how long it took.
    pub(crate) fn end(self) {
        eprintln!(
            "  {} ({})",
            self.what,
            seconds(self.begun.elapsed().as_secs_f64())
        );
    }
}

/// Prints a remark that belongs to the step above it.
pub(crate) fn note(text: impl AsRef<str>) {
    eprintln!("  {}", text.as_ref());
}

/// Prints what went wrong and the chain of reasons.
pub(crate) fn failure(error: &anyhow::Error) {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}

fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let minutes = (seconds / 60.0).floor();
    format!("{minutes:.0} min {:.0} s", seconds - minutes * 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_to_read() {
        assert_eq!(seconds(0.44), "0.4 s");
        assert_eq!(seconds(125.2), "2 min 5 s");
    }
}
