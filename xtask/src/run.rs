//! Running other programs from the root of the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The root of the checkout.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .parent()
        .expect("xtask stands in the root")
        .to_owned()
}

/// Runs cargo with these arguments.
pub fn cargo(arguments: &[&str]) -> Result<()> {
    command(&mut cargo_command(arguments))
}

/// Cargo, to be run with these arguments.
pub fn cargo_command(arguments: &[&str]) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(arguments);
    command
}

/// Runs a command in the root, printing it first; an exit code other than 0 is an error.
pub fn command(command: &mut Command) -> Result<()> {
    eprintln!("+ {}", shown(command));
    let started = Instant::now();
    let status = command
        .current_dir(root())
        .status()
        .with_context(|| format!("can't start {}", shown(command)))?;
    eprintln!("  {:.0} s", started.elapsed().as_secs_f64());
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Is there a program of that name on the path, or where daemons are?
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let daemons = PathBuf::from("/usr/sbin");
    std::env::split_paths(&path)
        .chain([daemons])
        .any(|directory| directory.join(program).is_file())
}

/// A command as one would type it.
pub fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}
