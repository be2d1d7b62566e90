//! `cargo xtask test`: everything, with a count in the end.

mod browser;
mod count;
mod failures;
mod stream;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use self::count::Count;
use self::failures::Failures;
use crate::cli::{Build, Test};
use crate::paths::Repo;
use crate::progress::{self, Step};
use crate::{build, check, process, setup, tidy};

/// What all that ran came to.
#[derive(Default)]
struct Report {
    count: Count,
    failures: Failures,
}

/// Runs everything and goes on after failures; tells in the end what failed, and last the count.
pub(crate) fn run(repo: &Repo, args: &Test) -> Result<ExitCode> {
    setup::node(repo)?;
    setup::wasm_target(repo)?;
    // Cargo may replace our own file while the tests run.
    let own = keep_own_binary(repo)?;
    let mut report = Report::default();
    for (name, mut command) in check::commands(repo) {
        step(&mut report, name, || process::run(&mut command));
    }
    step(&mut report, "tidy", || tidy::run(repo));
    suite(
        &mut report,
        "unit and property tests",
        unit_tests(repo)?,
        Count::of_libtest,
    );
    suite(
        &mut report,
        "JavaScript tests",
        script_tests(repo)?,
        Count::of_node,
    );
    let built = step(&mut report, "build", || build::run(repo, &Build::default()));
    if built && !args.no_e2e {
        match browser::find(repo) {
            Ok(browser) => {
                let command = end_to_end(repo, own.into(), browser)?;
                suite(&mut report, "end-to-end tests", command, Count::of_libtest);
            }
            Err(error) => step_failed(&mut report, "end-to-end tests", &error),
        }
    }
    for line in report.failures.lines() {
        println!("{line}");
    }
    println!("{}", report.count);
    Ok(if report.count.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn keep_own_binary(repo: &Repo) -> Result<PathBuf> {
    fs::create_dir_all(repo.dist())?;
    let place = repo.dist().join("xtask");
    let own = std::env::current_exe()?;
    if own != place {
        // A copy that runs right now cannot be written, but it can be replaced.
        let _ = fs::remove_file(&place);
        fs::copy(&own, &place).with_context(|| format!("cannot write {}", place.display()))?;
    }
    Ok(place)
}

/// Runs something that counts as one test; returns whether it passed.
fn step(report: &mut Report, name: &str, work: impl FnOnce() -> Result<()>) -> bool {
    let step = Step::begin(name);
    match work() {
        Ok(()) => {
            report.count.one(true);
            step.end();
            true
        }
        Err(error) => {
            step_failed(report, name, &error);
            false
        }
    }
}

fn step_failed(report: &mut Report, name: &str, error: &anyhow::Error) {
    report.count.one(false);
    report.failures.step(name, &format!("{error:#}"));
    eprintln!("failed: {name}");
    progress::failure(error);
}

/// Runs a test program, showing what it prints and adding up what it counts.
fn suite(report: &mut Report, name: &str, mut command: Command, read: fn(&str) -> Option<Count>) {
    let step = Step::begin(name);
    let mut found = Count::default();
    let ended = stream::lines(&mut command, |line| {
        println!("{line}");
        report.failures.look(line);
        if let Some(more) = read(line) {
            found.add(more);
        }
    });
    match ended {
        Ok(true) => {}
        Ok(false) if found.failed == 0 => {
            found.one(false);
            let why = "it did not compile, or died without a count: see above";
            report.failures.step(name, why);
        }
        Ok(false) => {}
        Err(error) => step_failed(report, name, &error),
    }
    report.count.add(found);
    progress::note(format!("{name}: {found}"));
    step.end();
}

fn unit_tests(repo: &Repo) -> Result<Command> {
    let mut command = process::cargo(repo.root());
    command.args([
        "test",
        "--workspace",
        "--no-fail-fast",
        "--exclude",
        "entente-e2e",
    ]);
    if !has_tests(&repo.join("node/src"))? {
        command.args(["--exclude", "entente-node"]);
    }
    Ok(command)
}

/// The Worker is only compiled natively when it has tests that can run so.
fn has_tests(folder: &std::path::Path) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            has_tests(&path)?
        } else {
            fs::read_to_string(&path)?.contains("#[test]")
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn script_tests(repo: &Repo) -> Result<Command> {
    let mut files = Vec::new();
    for folder in [repo.local().join("tests"), repo.join("e2e/oracles")] {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(".test.mjs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut command = process::program("node", ["--test", "--test-reporter=spec"], repo.root());
    command.args(files);
    Ok(command)
}

fn end_to_end(repo: &Repo, own: OsString, browser: PathBuf) -> Result<Command> {
    let node = process::output(&mut process::program(
        "node",
        ["-p", "process.execPath"],
        repo.root(),
    ))?;
    let mut command = process::cargo(repo.root());
    command
        .args(["test", "--package", "entente-e2e", "--no-fail-fast"])
        .env("ENTENTE_XTASK", own)
        .env("CHROME_PATH", browser)
        .env("PLAYWRIGHT_SKIP_DRIVER_DOWNLOAD", "1")
        .env("PLAYWRIGHT_NODE_EXE", node.trim())
        .env(
            "PLAYWRIGHT_CLI_JS",
            repo.join("node_modules/playwright-core/cli.js"),
        );
    Ok(command)
}
