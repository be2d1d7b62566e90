//! `cargo xtask sim`: the deterministic simulator, one run a seed.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use entente_federation_sim::{Plant, Settings, Summary, run as simulate};

use crate::cli::{Sim, SimPlant};

/// Runs the seeds one after the other; the first that fails ends it.
pub(crate) fn run(args: &Sim) -> Result<ExitCode> {
    let begun = Instant::now();
    for seed in (args.seed..).take(args.seeds.try_into().unwrap_or(usize::MAX)) {
        let settings = Settings {
            seed,
            networks: args.networks,
            minutes: args.minutes,
            plant: args.plant.map(|plant| match plant {
                SimPlant::DropAck => Plant::DropAck,
                SimPlant::SkipDedup => Plant::SkipDedup,
            }),
        };
        let one = Instant::now();
        match simulate(settings) {
            Ok(summary) => println!("{}", line(seed, &summary, one.elapsed().as_secs_f64())),
            Err(failure) => {
                println!("{failure}");
                return Ok(ExitCode::FAILURE);
            }
        }
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
        duplicates,
        sessions,
        faults,
        crashes,
        accusations,
        withdrawn_but_held,
        rejected_but_held,
        healing_ms,
        trace: _,
    } = summary;
    format!(
        "seed {seed}: {links} links, {events} events, {faults} faults, {crashes} crashes, \
         {sessions} session ends; messages: {accepted} accepted, {refused} refused at once, \
         {committed} committed, {duplicates} offered again, {withdrawn_but_held} withdrawn and {rejected_but_held} \
         refused though held; \
         {accusations} timeouts and stale dials; healed in {healing_ms} ms; {seconds:.1} s\n  \
         trace {trace}"
    )
}
