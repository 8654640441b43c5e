//! The one build tool: `cargo xtask up | test | tidy | graph | bench`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "invariant 1 leaves xtask out: it starts programs and reads the environment"
)]

mod again;
mod bench;
mod graph;
mod run;
mod test;
mod tidy;
mod up;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Causeway's build tool.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Task {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build Causeway and start the lab; arguments are those of `causeway up`.
    Up {
        /// Handed to `causeway up`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run everything that must pass, installing what it needs.
    Test(test::Arguments),
    /// Check what rustfmt and clippy don't: headers, lengths, edges, references.
    Tidy,
    /// Print which crate depends on which.
    Graph,
    /// Measure against peers and write docs/benchmarks.md.
    Bench(bench::Arguments),
}

fn main() -> Result<()> {
    match Task::parse().command {
        Command::Up { arguments } => up::up(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Tidy => tidy::tidy(),
        Command::Graph => graph::print(),
        Command::Bench(arguments) => bench::bench(&arguments),
    }
}
