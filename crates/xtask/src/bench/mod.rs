//! `cargo xtask bench`: what a message, a record and a frame of the firehose cost, beside floors; how
//! well memory is found.
//!
//! The floor is a minimal Worker in plain JavaScript (node/local/floor) that moves as many bytes over
//! the same hops. Both run on the same machine in turns, so that the ratio says more than the numbers.

mod firehose;
mod load;
mod memory;
mod meter;
mod networks;
mod report;
mod retrieval;
mod socket;

use std::time::Duration;

use anyhow::{Result, bail};

use self::networks::Subject;
use self::report::Measurement;
use crate::cli::{Bench, BenchMessage, BenchSide, BenchWhat, Build};
use crate::paths::Repo;
use crate::progress::Step;
use crate::{build, setup};

const WARM_UP: Duration = Duration::from_secs(2);

/// Runs the chosen benchmark.
pub(crate) fn run(repo: &Repo, args: &Bench) -> Result<()> {
    match &args.what {
        BenchWhat::Message(args) => message(repo, args),
        BenchWhat::Memory(args) => memory::run(repo, args),
        BenchWhat::Firehose(args) => firehose::run(repo, args),
        BenchWhat::Retrieval(args) => retrieval::run(repo, args),
    }
}

fn message(repo: &Repo, args: &BenchMessage) -> Result<()> {
    if !meter::available() {
        bail!("the benchmark reads /proc and runs on Linux only");
    }
    let build_ours = args.only != Some(BenchSide::Floor) && args.bundle.is_none();
    if build_ours {
        build::run(
            repo,
            &Build {
                release: true,
                ..Build::default()
            },
        )?;
    } else {
        setup::node(repo)?;
    }
    let started = networks::start(repo, args)?;
    let measured = measure(&started.subjects, args);
    let stopped = started.stop();
    let measured = measured?;
    stopped?;
    print!("{}", report::render(&measured, args.in_flight));
    Ok(())
}

fn measure(subjects: &[Subject], args: &BenchMessage) -> Result<Vec<Measurement>> {
    let mut found = Vec::new();
    for round in 1..=args.rounds {
        for subject in subjects {
            let step = Step::begin(format!("round {round}: {}", subject.name));
            let (loaded, mut usage) = load::run(
                subject,
                args.in_flight,
                WARM_UP,
                Duration::from_secs(args.seconds),
            )?;
            usage.resident_bytes = meter::resident_bytes(&subject.processes)?;
            let (alone, _) = load::run(
                subject,
                1,
                WARM_UP / 4,
                Duration::from_secs(args.seconds / 4 + 1),
            )?;
            found.push(Measurement {
                name: subject.name.clone(),
                loaded,
                alone,
                usage,
            });
            step.end();
        }
    }
    Ok(found)
}
