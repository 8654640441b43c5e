//! One run of dnsperf, and what it prints.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{pinned, processors};

/// Clients that it plays: each has a port of its own.
const CLIENTS: &str = "4";

/// Queries under way at any time, all clients together.
const OUTSTANDING: &str = "100";

/// What a run found.
pub struct Run {
    /// Queries answered.
    pub completed: u64,
    /// Queries a second.
    pub rate: f64,
    /// Queries that no answer came to.
    pub lost: u64,
    /// Of the answered ones, the share of each response code: `NXDOMAIN 1000 (100.00%)`.
    pub codes: String,
}

/// Loads a server with the queries of a file for so many seconds.
pub fn run(server: SocketAddr, queries: &Path, edns: bool, seconds: u64) -> Result<Run> {
    let (address, port) = (server.ip().to_string(), server.port().to_string());
    let (seconds, queries) = (seconds.to_string(), queries.display().to_string());
    let mut words = pinned(processors().map(|(_, load)| load), "dnsperf");
    let options = [
        ["-s", &address],
        ["-p", &port],
        ["-d", &queries],
        ["-l", &seconds],
        ["-c", CLIENTS],
        ["-T", "1"],
        ["-q", OUTSTANDING],
    ];
    words.extend(options.iter().flatten().map(|word| (*word).to_owned()));
    if edns {
        words.push("-e".to_owned());
    }
    let output = Command::new(&words[0])
        .args(&words[1..])
        .output()
        .context("dnsperf can't be started (Debian has it: apt-get install dnsperf)")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("dnsperf ended with {}: {error}", output.status);
    }
    parse(&printed).with_context(|| format!("dnsperf printed what isn't understood: {printed}"))
}

fn parse(printed: &str) -> Option<Run> {
    let value = |name: &str| {
        let mut lines = printed.lines().map(str::trim);
        let text = lines.find_map(|line| line.strip_prefix(name))?;
        Some(text.trim_start_matches(':').trim())
    };
    let first = |text: &str| text.split_whitespace().next().map(str::to_owned);
    Some(Run {
        completed: first(value("Queries completed")?)?.parse().ok()?,
        lost: first(value("Queries lost")?)?.parse().ok()?,
        rate: value("Queries per second")?.parse().ok()?,
        codes: value("Response codes")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_prints_is_read() {
        let printed = "Statistics:\n\n  Queries sent:         521012\n  \
                       Queries completed:    521010 (100.00%)\n  \
                       Queries lost:         2 (0.00%)\n\n  \
                       Response codes:       NOERROR 521010 (100.00%)\n  \
                       Run time (s):         5.000\n  \
                       Queries per second:   104202.000000\n";
        let run = parse(printed).unwrap();
        assert_eq!((run.completed, run.lost), (521_010, 2));
        assert_eq!(run.rate, 104_202.0);
        assert_eq!(run.codes, "NOERROR 521010 (100.00%)");
        assert!(parse("nothing").is_none());
    }
}
