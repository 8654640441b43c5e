//! `cargo xtask bench`: builds the release binary and the bench beside it, and becomes the bench.
//!
//! The bench is a package of its own because it must be optimised (an unoptimised client on the
//! cores it shares with the server would be what is measured) and carries the storage engine,
//! neither of which `cargo xtask up` should have to wait for.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run;

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Those of the bench; `--help` among them prints what there is.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds both and replaces this process with the bench, so that a Ctrl-C reaches it.
pub fn bench(arguments: &Arguments) -> Result<()> {
    let mut build = vec!["build", "--release", "--package", "bench"];
    if !arguments.arguments.iter().any(|word| word == "--no-lab") {
        build.extend(["--package", "causeway"]);
    }
    run::cargo(&build)?;
    let binary = run::root().join("target/release/bench");
    let mut command = Command::new(&binary);
    let error = command
        .args(&arguments.arguments)
        .current_dir(run::root())
        .exec();
    Err(error).with_context(|| format!("can't start {}", binary.display()))
}
