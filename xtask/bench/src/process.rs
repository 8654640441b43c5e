//! Processes: started so that they end with the bench, whatever ends it, and what `/proc` tells
//! of their processor time and memory.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

/// The first argument that makes this program become another, tied to the life of its parent.
pub const TIED: &str = "tied";

/// Clock ticks a second in `/proc/PID/stat`: Linux shows 100 on every architecture.
const TICKS: f64 = 100.0;

/// How long a process may take to end when asked to.
const GRACE: Duration = Duration::from_secs(15);

/// A process that is ended when this is dropped.
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a program; what it prints goes to a file.
    pub fn start(program: &Path, arguments: &[&str], log: &Path) -> Result<Server> {
        let output = File::create(log)?;
        let child = Command::new(std::env::current_exe()?)
            .arg(TIED)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("can't start {}", program.display()))?;
        Ok(Server {
            child,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error if it has ended, with the last lines that it printed.
    pub fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        bail!("the server ended with {status}: {}", self.last_words())
    }

    /// What it has printed.
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until something accepts connections there.
    pub fn wait_until_listening(&mut self, address: SocketAddr) -> Result<()> {
        let started = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            self.check()?;
            if started.elapsed() > Duration::from_secs(60) {
                bail!(
                    "nothing listens on {address} after 60 s: {}",
                    self.last_words()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let printed = self.printed();
        let lines: Vec<&str> = printed.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Asks it to end, waits, and kills it if it doesn't.
    pub fn stop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let (Ok(None), Some(pid)) = (self.child.try_wait(), pid) {
            // It can only fail if the process has ended meanwhile.
            let _ = rustix::process::kill_process(pid, Signal::TERM);
            let asked = Instant::now();
            while asked.elapsed() < GRACE && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(10));
            }
            // Likewise: both fail only if it is gone.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Becomes the program that the words name, told to end when the parent ends.
pub fn become_tied(mut words: impl Iterator<Item = OsString>) -> Result<()> {
    let program = words.next().context("tied to what?")?;
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    // If the parent ended before that, nobody would send the signal.
    if rustix::process::getppid() == Pid::from_raw(1) {
        bail!("the bench has ended");
    }
    let error = Command::new(&program).args(words).exec();
    Err(error).with_context(|| format!("can't start {}", program.display()))
}

/// The processor seconds, its own and the system's for it, that processes have used so far.
pub fn processor_seconds(pids: &[u32]) -> Result<f64> {
    Ok(own_seconds(pids)? + fields_as_seconds(pids, SYSTEM_TIME)?)
}

/// The processor seconds that processes have used so far outside of the system's calls.
pub fn own_seconds(pids: &[u32]) -> Result<f64> {
    fields_as_seconds(pids, OWN_TIME)
}

/// The fields of `/proc/PID/stat` for time, counted from behind the name.
const OWN_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;

fn fields_as_seconds(pids: &[u32], field: usize) -> Result<f64> {
    let mut ticks = 0;
    for pid in pids {
        ticks += stat(*pid, field)?;
    }
    Ok(ticks as f64 / TICKS)
}

/// A field of `/proc/PID/stat`, counted from behind the name: that, in parentheses, may hold
/// anything.
fn stat(pid: u32, field: usize) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} has ended"))?;
    let (_, fields) = stat
        .rsplit_once(')')
        .context("/proc/PID/stat is not understood")?;
    let value = fields.split_whitespace().nth(field);
    Ok(value.context("/proc/PID/stat is too short")?.parse()?)
}

/// How long ago a process started, to 10 ms.
pub fn age(pid: u32) -> Result<Duration> {
    const STARTED: usize = 19;
    let started = stat(pid, STARTED)? as f64;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
    Ok(Duration::from_secs_f64((now - started / TICKS).max(0.0)))
}

/// A process's proportional share of memory in MiB.
pub fn memory(pid: u32) -> Result<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("can't read the memory of process {pid}"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kibibytes = kibibytes.context("smaps_rollup has no Pss line")?;
    Ok(kibibytes.trim().parse::<f64>()? / 1024.0)
}

/// The children of a process with their command lines.
pub fn children(parent: u32) -> Result<Vec<(u32, Vec<String>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end between the listing and the reading.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let is_child = fields.split_whitespace().nth(1) == Some(parent.to_string().as_str());
        if let (true, Ok(line)) = (is_child, fs::read(format!("/proc/{pid}/cmdline"))) {
            let words = line.split(|byte| *byte == 0);
            let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
            found.push((pid, words.collect()));
        }
    }
    Ok(found)
}

/// A process and all below it.
pub fn tree(root: u32) -> Result<Vec<u32>> {
    let mut pids = vec![root];
    let mut next = 0;
    while let Some(parent) = pids.get(next).copied() {
        pids.extend(children(parent)?.into_iter().map(|(pid, _)| pid));
        next += 1;
    }
    Ok(pids)
}

/// The processor seconds that a process, all below it, and those of them that have ended have used.
pub fn tree_seconds(root: u32) -> Result<f64> {
    /// Own, the system's, and both of children that have ended.
    const TIMES: std::ops::Range<usize> = OWN_TIME..OWN_TIME + 4;
    let mut ticks = 0;
    for pid in tree(root)? {
        for field in TIMES {
            // One that ends between the listing and the reading is counted by its parent.
            ticks += stat(pid, field).unwrap_or(0);
        }
    }
    Ok(ticks as f64 / TICKS)
}

/// The bytes that a folder's files take on the disk.
pub fn disk(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file may be removed between the listing and the reading.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += match metadata.is_dir() {
            true => disk(&entry.path()).unwrap_or(0),
            false => metadata.blocks() * 512,
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_uses_the_processor() {
        let pid = std::process::id();
        let started = Instant::now();
        let mut sum = 0_u64;
        while started.elapsed() < Duration::from_millis(50) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(processor_seconds(&[pid]).unwrap() >= 0.02);
        assert!(memory(pid).unwrap() > 0.1);
        assert!(age(pid).unwrap() < Duration::from_secs(3600));
    }
}
