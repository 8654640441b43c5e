//! Peers from Debian's packages: installed when they are missing and the bench is root.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// Makes sure that a program is there, from these packages; whatever its package would start as a
/// service stays down.
///
/// # Errors
/// It isn't there, and can't be installed: why.
pub fn ensure(program: &str, packages: &[&str]) -> Result<()> {
    if Path::new(program).exists() {
        return Ok(());
    }
    let words = packages.join(" ");
    if !rustix::process::geteuid().is_root() {
        bail!("{program} is not installed (Debian has it: apt-get install {words})");
    }
    eprintln!("   apt-get install {words}");
    let mut command = Command::new("apt-get");
    command.args(["install", "--yes", "--quiet", "--no-install-recommends"]);
    // In runlevel 1 Debian's packages start nothing.
    command
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    let output = command.stdin(Stdio::null()).output()?;
    if !Path::new(program).exists() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = error.lines().last().unwrap_or_default().to_owned();
        bail!("{program} can't be installed (apt-get install {words}): {last}");
    }
    Ok(())
}
