//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::paths::Repo;

/// Entente's commands. They need rustup's cargo and Node 20 or newer; the rest is set up by itself.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run local networks, peered, with demo agents talking across them, until Ctrl-C
    Up(Up),
    /// Stop the networks that `up` started; their state stays
    Down(State),
    /// Build the Worker and the dashboard into dist/
    Build(Build),
    /// Run everything: lints, unit and property tests, end-to-end tests in a real browser
    Test(Test),
    /// Check formatting and lints of all crates
    Check,
    /// Check the dependency arrows, the length of files and the length of functions
    Tidy,
    /// Measure what a message costs, beside a floor, or how well memory is found
    Bench(Bench),
    /// Simulate many networks under faults, from a seed, and check what must hold
    Sim(Sim),
    /// Run a statement that reads on a local network's D1
    Sql(Sql),
    /// Back a running local network up now, and list its backups
    Backup(Backup),
    /// Put a local network back whose state is gone, or one agent of it that was lost
    Restore(Restore),
}

/// Where local networks keep their state.
#[derive(Args, Clone, Debug)]
pub(crate) struct State {
    /// The folder of the local networks' state
    #[arg(long = "state", value_name = "DIR", default_value = ".up")]
    pub(crate) folder: PathBuf,
}

/// Arguments of `up`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Up {
    /// How many networks (3 at first, afterwards as many as last time)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16))]
    pub(crate) networks: Option<u16>,
    /// Network k listens on 127.0.0.1:P+k (8700 at first, afterwards as last time)
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u16).range(1024..=65000))]
    pub(crate) port: Option<u16>,
    /// Start or restart one network only, also while the others run
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Option<String>,
    /// Return when everything is ready; stop it later with `cargo xtask down`
    #[arg(long)]
    pub(crate) detach: bool,
    /// Delete the networks' state first and start over
    #[arg(long, conflicts_with = "only")]
    pub(crate) fresh: bool,
    /// Where the state is kept
    #[command(flatten)]
    pub(crate) state: State,
    /// Stop when stdin ends
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub(crate) stop_on_stdin_eof: bool,
    /// Run this Worker bundle instead of building one
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// A variable for every network's Worker
    #[arg(long = "var", hide = true, value_name = "KEY=VALUE")]
    pub(crate) vars: Vec<String>,
    /// Networks and peers only: no demo agents, no conversation
    #[arg(long, hide = true)]
    pub(crate) bare: bool,
}

/// Arguments of `build`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Build {
    /// Optimise, as for production
    #[arg(long)]
    pub(crate) release: bool,
    /// Keep functions' names in what is optimised, for profiles and stack traces; a quarter larger
    #[arg(long, requires = "release")]
    pub(crate) names: bool,
    /// Bundle this compiled Worker, for tests of the shim, instead of building ours
    #[arg(long, hide = true, value_name = "FILE", requires = "out")]
    pub(crate) wasm: Option<PathBuf>,
    /// Where that bundle goes
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// Arguments of `test`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Test {
    /// Leave out the end-to-end tests, which need a browser
    #[arg(long)]
    pub(crate) no_e2e: bool,
}

/// Arguments of `bench`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) what: BenchWhat,
}

/// What is measured.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum BenchWhat {
    /// A 200-byte message from an agent of one network to an agent of another
    Message(BenchMessage),
    /// Storing, reading, listing and finding a record among many
    Memory(BenchMemory),
    /// What the firehose costs for each frame to each subscriber
    Firehose(BenchFirehose),
    /// How well memory is found: recall of the evidence of questions, by method
    Retrieval(BenchRetrieval),
}

/// Arguments of `bench message`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchMessage {
    /// Measure one side only
    #[arg(long, value_enum)]
    pub(crate) only: Option<BenchSide>,
    /// Rounds; the sides take turns
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rounds: u32,
    /// Seconds a side and round
    #[arg(long, value_name = "S", default_value_t = 8)]
    pub(crate) seconds: u64,
    /// Messages in flight
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) in_flight: u64,
    /// Bytes a message has between the floor's objects; ours has about 620, sealed
    #[arg(
        long,
        value_name = "BYTES",
        value_delimiter = ',',
        default_value = "200,620"
    )]
    pub(crate) floor_bytes: Vec<u32>,
    /// The first port to use
    #[arg(long, value_name = "P", default_value_t = 8780)]
    pub(crate) port: u16,
    /// Measure this Worker bundle instead of building an optimised one
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
}

/// Arguments of `bench memory`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchMemory {
    /// Records there are before anything is measured
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) records: u64,
    /// Rounds; the sides take turns
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rounds: u32,
    /// Calls a side and round
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) calls: u64,
    /// The first port to use
    #[arg(long, value_name = "P", default_value_t = 8740)]
    pub(crate) port: u16,
    /// Measure this Worker bundle instead of building an optimised one
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
}

/// Arguments of `bench firehose`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchFirehose {
    /// Subscribers; each wants what one of 100 agents does
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) subscribers: u32,
    /// Events a second
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(3..=2_000))]
    pub(crate) rate: u32,
    /// Seconds with subscribers, and as many without
    #[arg(long, value_name = "S", default_value_t = 15)]
    pub(crate) seconds: u64,
    /// The first port to use
    #[arg(long, value_name = "P", default_value_t = 8780)]
    pub(crate) port: u16,
    /// Measure this Worker bundle instead of building an optimised one
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
}

/// Arguments of `bench retrieval`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchRetrieval {
    /// A file of LoCoMo's format; without it, the synthetic set of this repository
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Also search by vectors of this service, such as http://127.0.0.1:8080/v1 (OpenAI's protocol)
    #[arg(long, value_name = "URL", requires = "model")]
    pub(crate) embeddings: Option<String>,
    /// The service's model
    #[arg(long, value_name = "NAME", requires = "embeddings")]
    pub(crate) model: Option<String>,
}

/// A side of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BenchSide {
    /// The product.
    Node,
    /// The minimal Workers.
    Floor,
}

/// Arguments of `sim`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Sim {
    /// Where all chance comes from: the same seed gives the same run
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many networks; each peers with up to 8 others
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) networks: usize,
    /// Virtual minutes with faults; healing comes on top
    #[arg(long, value_name = "M", default_value_t = 2)]
    pub(crate) minutes: u64,
    /// Run so many seeds, one after the other
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub(crate) seeds: u64,
    /// One network in so many lies; 0 for none
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) liars: usize,
    /// Plant a bug in the core, to see it found
    #[arg(long, value_enum)]
    pub(crate) plant: Option<SimPlant>,
}

/// A bug to plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SimPlant {
    /// One acknowledgement is taken, but not given to the driver to store.
    DropAck,
    /// One message offered again is not recognised.
    SkipDedup,
}

/// Arguments of `sql`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Sql {
    /// The network's name, such as alpha
    pub(crate) network: String,
    /// The statement, such as "SELECT did FROM network_identity"
    pub(crate) statement: String,
    /// Where the state is kept
    #[command(flatten)]
    pub(crate) state: State,
}

/// Arguments of `backup`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Backup {
    /// The network's name, such as alpha
    pub(crate) network: String,
    /// List the backups only
    #[arg(long)]
    pub(crate) list: bool,
    /// Where the state is kept
    #[command(flatten)]
    pub(crate) state: State,
}

/// Arguments of `restore`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Restore {
    /// The network's name, such as alpha; its secrets.json must still be there, or be put back
    pub(crate) network: String,
    /// Restore this agent only, into the running network
    #[arg(long, value_name = "NAME", conflicts_with = "did")]
    pub(crate) agent: Option<String>,
    /// Which generation; the newest whole one unless said
    #[arg(long, value_name = "N")]
    pub(crate) generation: Option<u64>,
    /// Which network's backup, where the bucket holds those of several
    #[arg(long, value_name = "DID")]
    pub(crate) did: Option<String>,
    /// Where the state is kept
    #[command(flatten)]
    pub(crate) state: State,
}

impl Cli {
    /// Runs the chosen command.
    pub(crate) fn dispatch(self) -> Result<ExitCode> {
        let repo = Repo::find()?;
        let done = match self.command {
            Command::Test(args) => return crate::test::run(&repo, &args),
            Command::Sim(args) => return crate::sim::run(&args),
            Command::Up(args) => crate::up::run(&repo, &args),
            Command::Down(args) => crate::down::run(&args),
            Command::Build(args) => crate::build::run(&repo, &args),
            Command::Check => crate::check::run(&repo),
            Command::Tidy => crate::tidy::run(&repo),
            Command::Bench(args) => crate::bench::run(&repo, &args),
            Command::Sql(args) => crate::sql::run(&args),
            Command::Backup(args) => crate::backup::back_up(&args),
            Command::Restore(args) => crate::backup::restore(&repo, &args),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
