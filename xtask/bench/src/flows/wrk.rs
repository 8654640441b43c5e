//! One run of wrk, and what it prints.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::dns::{pinned, processors};

/// A load.
#[derive(Clone, Copy)]
pub struct Load {
    /// The path that is asked for.
    pub path: &'static str,
    /// Connections at a time.
    pub connections: u32,
    /// Does each request have a connection of its own?
    pub closing: bool,
}

/// What a run found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Run {
    /// Requests answered.
    pub requests: u64,
    /// Bytes read, heads included.
    pub bytes: f64,
    /// Requests a second.
    pub rate: f64,
    /// Connections and requests that failed.
    pub errors: u64,
}

/// Loads what listens there for so many seconds.
pub fn run(address: SocketAddr, load: Load, seconds: u64) -> Result<Run> {
    let mut words = pinned(processors().map(|(_, load)| load), "wrk");
    words.extend(["-t", "1", "--timeout", "10s"].map(str::to_owned));
    words.extend(["-c".to_owned(), load.connections.to_string()]);
    words.extend(["-d".to_owned(), format!("{seconds}s")]);
    if load.closing {
        words.extend(["-H", "Connection: close"].map(str::to_owned));
    }
    words.push(format!("http://{address}{}", load.path));
    let output = Command::new(&words[0])
        .args(&words[1..])
        .output()
        .context("wrk can't be started (Debian has it: apt-get install wrk)")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("wrk ended with {}: {printed}{error}", output.status);
    }
    parse(&printed).with_context(|| format!("wrk printed what isn't understood: {printed}"))
}

fn parse(printed: &str) -> Option<Run> {
    let line = |name: &str| {
        printed
            .lines()
            .map(str::trim)
            .find(|line| line.contains(name))
    };
    let words: Vec<&str> = line(" requests in ")?.split(' ').collect();
    let read = words.iter().rev().nth(1)?;
    let unit = read.find(|letter: char| letter.is_ascii_alphabetic())?;
    let factor = match &read[unit..] {
        "B" => 1.0,
        "KB" => 1024.0,
        "MB" => 1024.0 * 1024.0,
        "GB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let numbers = |line: &str| -> u64 {
        let words = line.split([' ', ',']);
        words.filter_map(|word| word.parse::<u64>().ok()).sum()
    };
    Some(Run {
        requests: words.first()?.parse().ok()?,
        bytes: read[..unit].parse::<f64>().ok()? * factor,
        rate: line("Requests/sec:")?.rsplit(' ').next()?.parse().ok()?,
        errors: line("Socket errors:").map_or(0, numbers)
            + line("Non-2xx or 3xx responses:").map_or(0, numbers),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_prints_is_read() {
        let printed = "Running 2s test @ http://127.0.0.1:80/small\n  1 threads and 50 \
                       connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
                       Latency     1.59ms  204.81us   5.22ms   88.08%\n    Req/Sec    31.55k     \
                       1.80k   34.06k    75.00%\n  62788 requests in 2.00s, 21.08MB read\n  \
                       Socket errors: connect 1, read 2, write 0, timeout 4\nRequests/sec:  \
                       31378.10\nTransfer/sec:     10.53MB\n";
        let run = parse(printed).unwrap();
        assert_eq!((run.requests, run.errors), (62_788, 7));
        assert_eq!(run.rate, 31_378.1);
        assert_eq!(run.bytes, 21.08 * 1024.0 * 1024.0);
        assert_eq!(parse("nothing"), None);
    }
}
