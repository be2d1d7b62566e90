//! `cargo xtask sim`: the deterministic simulator, one run a seed, as many at once as there are cores.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use anyhow::Result;
use entente_federation_sim::{Failure, PlantedBug, Settings, Summary, run as simulate};

use crate::cli::{Sim, SimPlant};

/// What a seed came to, and how long it took.
type Outcome = (Result<Summary, Box<Failure>>, f64);

/// Runs the seeds; the lowest that fails ends it.
pub(crate) fn run(args: &Sim) -> Result<ExitCode> {
    let begun = Instant::now();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cores = cores.min(args.seeds.try_into().unwrap_or(usize::MAX));
    let next = AtomicU64::new(0);
    let (done, outcomes) = mpsc::channel();
    let failed = thread::scope(|scope| {
        for _ in 0..cores {
            let (done, next) = (done.clone(), &next);
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= args.seeds {
                        return;
                    }
                    let one = Instant::now();
                    let outcome = simulate(settings(args, args.seed.saturating_add(place)));
                    let sent = done.send((place, (outcome, one.elapsed().as_secs_f64())));
                    if sent.is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let failed = print_in_order(args.seed, outcomes);
        // What is under way ends; nothing begins any more.
        next.store(args.seeds, Ordering::Relaxed);
        failed
    });
    if failed {
        return Ok(ExitCode::FAILURE);
    }
    let memory =
        peak_memory_kib().map_or_else(String::new, |kib| format!(", {} MiB at most", kib / 1024));
    println!(
        "{} seeds passed in {:.1} s{memory}",
        args.seeds,
        begun.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &Sim, seed: u64) -> Settings {
    Settings {
        seed,
        networks: args.networks,
        minutes: args.minutes,
        liars: args.liars,
        plant: args.plant.map(|plant| match plant {
            SimPlant::DropAck => PlantedBug::DropAck,
            SimPlant::SkipDedup => PlantedBug::SkipDedup,
        }),
    }
}

/// Prints each seed when all before it are done; true at the first that failed.
fn print_in_order(first: u64, outcomes: mpsc::Receiver<(u64, Outcome)>) -> bool {
    let mut waiting = BTreeMap::new();
    let mut place = 0;
    for (at, outcome) in outcomes {
        waiting.insert(at, outcome);
        while let Some((outcome, seconds)) = waiting.remove(&place) {
            match outcome {
                Ok(summary) => println!("{}", line(first.saturating_add(place), &summary, seconds)),
                Err(failure) => {
                    println!("{failure}");
                    return true;
                }
            }
            place += 1;
        }
    }
    false
}

/// The most memory this process ever had; `None` where the system does not say.
fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn line(seed: u64, summary: &Summary, seconds: f64) -> String {
    let trace = data_encoding::HEXLOWER.encode(&summary.trace);
    let Summary {
        events,
        links,
        accepted,
        refused,
        committed,
        expired,
        received,
        gaps,
        duplicates,
        sessions,
        faults,
        crashes,
        accusations,
        lies,
        handed_again,
        withdrawn_but_held,
        rejected_but_held,
        healing_ms,
        trace: _,
    } = summary;
    format!(
        "seed {seed}: {links} links, {events} events, {faults} faults, {crashes} crashes, \
         {sessions} session ends, {lies} lies; messages: {accepted} accepted, {refused} refused at once, \
         {committed} committed, {expired} expired, {duplicates} offered again, {handed_again} times handed over again, {withdrawn_but_held} withdrawn and {rejected_but_held} \
         refused though held; \
         events and records: {received} arrived, {gaps} gaps; {accusations} timeouts and stale dials; healed in {healing_ms} ms; {seconds:.1} s\n  \
         trace {trace}"
    )
}
