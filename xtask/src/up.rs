//! `cargo xtask up`: builds the release binary and becomes it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run;

/// Builds Causeway and replaces this process with `causeway up`, so that a Ctrl-C or a signal
/// reaches it and nobody else.
pub fn up(arguments: &[String]) -> Result<()> {
    run::cargo(&["build", "--release", "--package", "causeway"])?;
    let binary = run::root().join("target/release/causeway");
    let error = Command::new(&binary).arg("up").args(arguments).exec();
    Err(error).with_context(|| format!("can't start {}", binary.display()))
}
