//! `cargo xtask bench memory`: what storing, reading, listing and finding a record costs among 10,000,
//! beside a floor that keeps the same rows; and how fast keys rotate.
//!
//! Both sides are asked over HTTP by the same client. What any call costs is measured too: half of what
//! a floor takes is the way to it.

mod load;
mod report;
mod sides;
mod words;

use std::time::Instant;

use anyhow::{Result, bail};

use self::load::Cost;
use self::report::Line;
use self::sides::Side;
use super::meter;
use crate::cli::{BenchMemory, Build};
use crate::paths::Repo;
use crate::progress::Step;
use crate::{build, setup};

/// Runs the benchmark.
pub(super) fn run(repo: &Repo, args: &BenchMemory) -> Result<()> {
    if !meter::available() {
        bail!("the benchmark reads /proc and runs on Linux only");
    }
    if args.bundle.is_none() {
        let release = Build {
            release: true,
            ..Build::default()
        };
        build::run(repo, &release)?;
    } else {
        setup::node(repo)?;
    }
    let started = sides::start(repo, args)?;
    let measured = measure(&started.sides, args);
    let stopped = started.stop();
    let (lines, rotation) = measured?;
    stopped?;
    print!("{}", report::render(&lines, args.records));
    if let Some((rows, took)) = rotation {
        println!("\nrotation: {:.0} rows/s", meter::as_f64(rows) / took);
    }
    Ok(())
}

type Measured = (Vec<Line>, Option<(u64, f64)>);

fn measure(sides: &[Side], args: &BenchMemory) -> Result<Measured> {
    for side in sides {
        let step = Step::begin(format!("{}: storing {} records", side.name, args.records));
        load::fill(side, args.records)?;
        side.settle()?;
        step.end();
    }
    let mut lines = Vec::new();
    for round in 1..=args.rounds {
        for side in sides {
            let step = Step::begin(format!("round {round}: {}", side.name));
            for what in load::ALL {
                let cost: Cost = load::run(side, *what, args.calls)?;
                lines.push(Line {
                    side: side.name,
                    what: *what,
                    cost,
                });
            }
            step.end();
        }
    }
    let mut rotation = None;
    for side in sides {
        let began = Instant::now();
        if let Some(rows) = side.rotate()? {
            rotation = Some((rows, began.elapsed().as_secs_f64()));
        }
    }
    Ok((lines, rotation))
}
