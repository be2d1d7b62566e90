//! `cargo xtask bench retrieval`: runs the example of the memory crate, which brings SQLite with it.

use std::path::absolute;

use anyhow::Result;

use crate::cli::BenchRetrieval;
use crate::paths::Repo;
use crate::process;

pub(super) fn run(repo: &Repo, args: &BenchRetrieval) -> Result<()> {
    let mut command = process::cargo(repo.root());
    command.args(["run", "--quiet", "--package", "entente-memory"]);
    command.args(["--example", "retrieval", "--"]);
    if let Some(file) = &args.file {
        command.arg("--file").arg(absolute(file)?);
    }
    let flags = [("--embeddings", &args.embeddings), ("--model", &args.model)];
    for (flag, value) in flags {
        if let Some(value) = value {
            command.args([flag, value]);
        }
    }
    process::run(&mut command)
}
