//! The servers: NSD and Knot from Debian's packages, and ours, each with one worker on the same
//! processor, on a free port, with its files under target/.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::serve::SERVE;
use super::zones::TestZone;
use super::{pinned, processors, query};
use crate::lab::Folder;
use crate::process::{self, Server};

/// How long a server may take until it answers for every zone.
const PATIENCE: Duration = Duration::from_secs(180);

/// A kind of server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// NLnet Labs' NSD.
    Nsd,
    /// CZ.NIC's Knot DNS.
    Knot,
    /// Causeway's `runtime` and `routing`, in a process of the bench: the code of an edge.
    Ours,
}

/// A started server.
pub struct Running {
    /// Which it is.
    pub kind: Kind,
    /// Its version; empty for ours.
    pub version: String,
    /// Where it answers.
    pub address: SocketAddr,
    /// From its start to its first answer for every zone, in seconds.
    pub ready_after: f64,
    server: Server,
    _folder: Folder,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Nsd => "NSD",
            Kind::Knot => "Knot",
            Kind::Ours => "Causeway",
        }
    }

    /// Starts it with these zones and waits until it answers for each.
    pub fn start(self, zones: &[TestZone], label: &str) -> Result<Running> {
        let folder = Folder::new(&format!("dns-{}-{label}", self.name()))?;
        let address = free_address()?;
        let (program, arguments) = match self {
            Kind::Nsd => ("/usr/sbin/nsd", nsd(folder.path(), address, zones)?),
            Kind::Knot => ("/usr/sbin/knotd", knot(folder.path(), address, zones)?),
            Kind::Ours => ("", ours(address, zones)),
        };
        let own = std::env::current_exe()?.display().to_string();
        let program = if program.is_empty() { &own } else { program };
        if !Path::new(program).exists() {
            let package = self.name().to_lowercase();
            bail!("{program} is not installed (Debian has it: apt-get install {package})");
        }
        let mut words = pinned(processors().map(|(server, _)| server), program);
        words.extend(arguments);
        let rest: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let log = folder.path().join("log.txt");
        let started = Instant::now();
        let mut running = Running {
            kind: self,
            version: self.version(),
            address,
            ready_after: 0.0,
            server: Server::start(Path::new(&words[0]), &rest, &log)?,
            _folder: folder,
        };
        running.wait_until_answering(zones, started)?;
        running.ready_after = started.elapsed().as_secs_f64();
        Ok(running)
    }

    fn version(self) -> String {
        let (program, flag) = match self {
            Kind::Nsd => ("/usr/sbin/nsd", "-v"),
            Kind::Knot => ("/usr/sbin/knotd", "--version"),
            Kind::Ours => return String::new(),
        };
        let output = Command::new(program).arg(flag).output();
        let printed = output.map(|output| [output.stdout, output.stderr].concat());
        let printed = String::from_utf8_lossy(&printed.unwrap_or_default()).into_owned();
        let first = printed.lines().next().unwrap_or_default();
        first.rsplit(' ').next().unwrap_or_default().to_owned()
    }
}

impl Running {
    /// Its processes.
    pub fn pids(&self) -> Result<Vec<u32>> {
        let mut pids = vec![self.server.pid()];
        let mut next = 0;
        while let Some(parent) = pids.get(next).copied() {
            pids.extend(process::children(parent)?.into_iter().map(|(pid, _)| pid));
            next += 1;
        }
        Ok(pids)
    }

    /// The processor seconds that it has used: all, and those outside of the system's calls.
    pub fn processor(&self) -> Result<(f64, f64)> {
        let pids = self.pids()?;
        Ok((
            process::processor_seconds(&pids)?,
            process::own_seconds(&pids)?,
        ))
    }

    /// Its memory (PSS) in MiB.
    pub fn memory(&self) -> Result<f64> {
        self.pids()?.into_iter().map(process::memory).sum()
    }

    /// The bytes of its answer to a query for the addresses of a name.
    pub fn answer(&self, name: &str) -> Result<Vec<u8>> {
        query::ask(self.address, name)
    }

    fn wait_until_answering(&mut self, zones: &[TestZone], started: Instant) -> Result<()> {
        for zone in zones {
            let name = format!("host-{:07}.{}", zone.names - 1, zone.name);
            let answers = |answer: Vec<u8>| query::first_address(&answer).is_some();
            while !self.answer(&name).is_ok_and(answers) {
                self.server.check()?;
                if started.elapsed() > PATIENCE {
                    bail!("{} doesn't answer for {}", self.kind.name(), zone.name);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }
}

/// An address of the loopback whose port is free for both transports.
fn free_address() -> Result<SocketAddr> {
    for _ in 0..100 {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free for both UDP and TCP")
}

fn write_zones(folder: &Path, zones: &[TestZone]) -> Result<()> {
    for zone in zones {
        let path = folder.join(format!("{}.zone", zone.name));
        fs::write(&path, zone.file()).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

/// NSD in the foreground with one server process, as its package builds it.
fn nsd(folder: &Path, address: SocketAddr, zones: &[TestZone]) -> Result<Vec<String>> {
    write_zones(folder, zones)?;
    let (at, port) = (folder.display(), address.port());
    let mut text = format!(
        "server:\n  server-count: 1\n  ip-address: {}@{port}\n  do-ip6: no\n  username: \"\"\n  \
         database: \"\"\n  zonesdir: \"{at}\"\n  pidfile: \"{at}/nsd.pid\"\n  \
         xfrdfile: \"{at}/xfrd.state\"\n  zonelistfile: \"{at}/zone.list\"\n  \
         rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n",
        address.ip()
    );
    for zone in zones {
        let name = zone.name;
        text.push_str(&format!(
            "zone:\n  name: \"{name}\"\n  zonefile: \"{name}.zone\"\n"
        ));
    }
    let file = folder.join("nsd.conf");
    fs::write(&file, text)?;
    Ok(vec![
        "-d".to_owned(),
        "-c".to_owned(),
        file.display().to_string(),
    ])
}

/// Knot in the foreground with one worker of each kind.
fn knot(folder: &Path, address: SocketAddr, zones: &[TestZone]) -> Result<Vec<String>> {
    write_zones(folder, zones)?;
    let (at, port) = (folder.display(), address.port());
    let mut text = format!(
        "server:\n  listen: {}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\n  rundir: \"{at}\"\nlog:\n  - target: stderr\n    any: warning\n\
         database:\n  storage: \"{at}\"\ntemplate:\n  - id: default\n    storage: \"{at}\"\n    \
         zonefile-sync: -1\n    journal-content: none\nzone:\n",
        address.ip()
    );
    for zone in zones {
        let name = zone.name;
        text.push_str(&format!("  - domain: {name}\n    file: \"{name}.zone\"\n"));
    }
    let file = folder.join("knot.conf");
    fs::write(&file, text)?;
    Ok(vec!["-c".to_owned(), file.display().to_string()])
}

fn ours(address: SocketAddr, zones: &[TestZone]) -> Vec<String> {
    let mut words = vec![SERVE.to_owned(), address.to_string()];
    words.extend(zones.iter().map(|zone| zone.name.to_owned()));
    words
}
