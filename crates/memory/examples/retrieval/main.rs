//! `cargo xtask bench retrieval`: how well memory is found, by each method.
//!
//! Run natively, with SQLite's own FTS5, on the tokens that ship. Without a file it takes the
//! synthetic set that is committed beside this crate.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command prints its answer"
)]

mod embedding;
mod methods;

use std::env;
use std::error::Error;
use std::fs;
use std::process::ExitCode;

use entente_memory::retrieval::{self, CUTS, Recall};

use self::embedding::Endpoint;
use self::methods::Method;

const SYNTHETIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/retrieval/synthetic.json");

/// What the command line says.
#[derive(Default)]
struct Arguments {
    file: Option<String>,
    embeddings: Option<String>,
    model: Option<String>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = arguments(env::args().skip(1))?;
    let file = arguments.file.as_deref().unwrap_or(SYNTHETIC);
    let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let conversations = retrieval::read(&text)?;
    let endpoint = match (arguments.embeddings, arguments.model) {
        (Some(url), Some(model)) => Some(Endpoint::probe(&url, &model)?),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err("--embeddings <url> and --model <name> go together".into());
        }
    };
    let turns: usize = conversations.iter().map(|one| one.turns.len()).sum();
    println!("{} conversations, {turns} turns\n", conversations.len());
    println!(
        "| method | questions | {} |",
        CUTS.map(|cut| format!("R@{cut}")).join(" | ")
    );
    println!("|---|---:|{}", "---:|".repeat(CUTS.len()));
    for method in Method::all(endpoint.as_ref()) {
        let mut recall = Recall::default();
        for conversation in &conversations {
            method.run(conversation, &mut recall)?;
        }
        let cuts = recall.at_cuts().map(|value| format!("{value:.3}"));
        println!(
            "| {} | {} | {} |",
            method.name(),
            recall.questions(),
            cuts.join(" | ")
        );
    }
    Ok(())
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    while let Some(flag) = given.next() {
        let value = given
            .next()
            .ok_or_else(|| format!("{flag} needs a value"))?;
        let place = match flag.as_str() {
            "--file" => &mut arguments.file,
            "--embeddings" => &mut arguments.embeddings,
            "--model" => &mut arguments.model,
            other => return Err(format!("unknown flag {other}")),
        };
        *place = Some(value);
    }
    Ok(arguments)
}
