//! What failed and why, told once more in the end: a run is long, and its output longer.

/// Lines kept of one failure.
const MAX_LINES: usize = 12;
/// Failures whose lines are kept.
const MAX_FAILURES: usize = 20;

/// Finds the reports of failed tests in what libtest and Node's test runner print.
#[derive(Debug, Default)]
pub(super) struct Failures {
    found: Vec<Vec<String>>,
    left_off: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Outside of any report.
    #[default]
    Outside,
    /// In a report.
    Inside,
    /// In the backtrace of a report.
    Backtrace,
}

impl Failures {
    /// Looks at one line.
    pub(super) fn look(&mut self, line: &str) {
        let is_head = line.starts_with("---- ") && line.ends_with(" ----");
        if is_head || (line.starts_with("✖ ") && line != "✖ failing tests:") {
            self.begin(line);
            self.state = if is_head {
                State::Inside
            } else {
                State::Outside
            };
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.state = State::Outside;
        } else if line == "stack backtrace:" {
            self.state = State::Backtrace;
        } else if self.state == State::Backtrace && !line.starts_with(' ') {
            self.state = State::Inside;
        }
        let is_note = line.starts_with("note: ") || line.trim().is_empty() || is_head;
        if self.state == State::Inside && !is_note {
            self.keep(line);
        }
    }

    /// Something that is no test program failed.
    pub(super) fn step(&mut self, name: &str, why: &str) {
        self.begin(&format!("---- {name} ----"));
        why.lines().for_each(|line| self.keep(line));
    }

    fn begin(&mut self, head: &str) {
        if self.found.len() < MAX_FAILURES {
            self.found.push(vec![head.to_owned()]);
        } else {
            self.left_off += 1;
        }
    }

    fn keep(&mut self, line: &str) {
        if self.left_off > 0 {
            return;
        }
        if let Some(last) = self.found.last_mut().filter(|last| last.len() <= MAX_LINES) {
            last.push(line.to_owned());
        }
    }

    /// Returns what is to be told; empty where nothing failed.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.found.concat();
        if self.left_off > 0 {
            lines.push(format!("and {} more", self.left_off));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let mut failures = Failures::default();
        text.lines().for_each(|line| failures.look(line));
        failures.lines()
    }

    const REPORT: &str = "\
running 2 tests
test one ... ok
test two ... FAILED

failures:

---- two stdout ----

thread 'two' (7) panicked at src/lib.rs:3:5:
assertion failed: it holds
stack backtrace:
   0: somewhere
             at here
note: Some details are omitted

failures:
    two

test result: FAILED. 1 passed; 1 failed; 0 ignored
";

    #[test]
    fn a_failed_test_is_told_with_its_reason_and_without_its_backtrace() {
        let expected = [
            "---- two stdout ----",
            "thread 'two' (7) panicked at src/lib.rs:3:5:",
            "assertion failed: it holds",
        ];
        assert_eq!(told(REPORT), expected);
    }

    #[test]
    fn where_all_passed_nothing_is_told() {
        assert!(told("test one ... ok\ntest result: ok. 1 passed; 0 failed").is_empty());
    }

    #[test]
    fn a_flood_of_failures_is_cut() {
        let many: Vec<String> = told(&REPORT.repeat(MAX_FAILURES + 5));
        assert_eq!(many.last().map(String::as_str), Some("and 5 more"));
        assert_eq!(many.len(), 3 * MAX_FAILURES + 1);
    }
}
