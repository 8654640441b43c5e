//! What a result depends on and says of itself: machine, date, versions, and what else was
//! running.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The line under every section's title.
pub fn description(root: &Path) -> String {
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.trim_end_matches(" kB").parse::<f64>().ok())
        .map_or(0.0, |kibibytes| kibibytes / 1024.0 / 1024.0);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let commit = output(Command::new("git").current_dir(root).args([
        "describe",
        "--always",
        "--dirty",
        "--exclude",
        "*",
    ]));
    let date = output(Command::new("date").args(["--utc", "+%Y-%m-%d %H:%M UTC"]));
    let compiler = output(Command::new("rustc").arg("--version"));
    format!(
        "{date}; commit {commit}; {compiler}; {cores} cores of {processor}, {memory:.0} GiB, Linux \
         {kernel}; load average before it {load}."
    )
}

/// The first value of a `name: value` line.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

fn read(file: &str) -> String {
    fs::read_to_string(file)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// What a command prints; `unknown` if it can't.
pub fn output(command: &mut Command) -> String {
    match command.output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}
