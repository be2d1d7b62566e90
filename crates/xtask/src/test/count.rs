//! Adding up what test programs print.

use std::fmt;

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Passed.
    pub(super) passed: u64,
    /// Failed.
    pub(super) failed: u64,
}

impl Count {
    /// Counts one step that is no test program.
    pub(super) fn one(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Adds the numbers of another.
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Reads a `test result: ok. 3 passed; 0 failed; …` line of libtest.
    pub(super) fn of_libtest(line: &str) -> Option<Self> {
        let rest = line.trim_start().strip_prefix("test result: ")?;
        Some(Self {
            passed: number_before(rest, " passed")?,
            failed: number_before(rest, " failed")?,
        })
    }

    /// Reads a `# pass 3` or `# fail 0` line of Node's test runner.
    pub(super) fn of_node(line: &str) -> Option<Self> {
        let rest = line
            .trim_start()
            .trim_start_matches(['#', 'ℹ'])
            .trim_start();
        let (word, number) = rest.split_once(' ')?;
        let number = number.trim().parse().ok()?;
        match word {
            "pass" => Some(Self {
                passed: number,
                failed: 0,
            }),
            "fail" => Some(Self {
                passed: 0,
                failed: number,
            }),
            _ => None,
        }
    }
}

fn number_before(text: &str, word: &str) -> Option<u64> {
    let before = text.split(word).next()?;
    before.rsplit([' ', ';']).next()?.parse().ok()
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_lines_are_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(
            Count::of_libtest(line),
            Some(Count {
                passed: 12,
                failed: 3
            })
        );
        assert_eq!(Count::of_libtest("test a ... ok"), None);
    }

    #[test]
    fn node_lines_are_read() {
        assert_eq!(
            Count::of_node("# pass 7"),
            Some(Count {
                passed: 7,
                failed: 0
            })
        );
        assert_eq!(
            Count::of_node("ℹ fail 2"),
            Some(Count {
                passed: 0,
                failed: 2
            })
        );
        assert_eq!(Count::of_node("# duration_ms 12.5"), None);
    }

    #[test]
    fn the_closing_line_is_plain() {
        assert_eq!(
            Count {
                passed: 3,
                failed: 0
            }
            .to_string(),
            "3 passed, 0 failed"
        );
    }
}
