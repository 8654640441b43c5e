//! A lab of its own, started from the release binary as a user would, on free ports and a data
//! directory under target/, and removed with everything in it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use types::Region;

use crate::client::Client;
use crate::process::{self, Server};

/// How long a lab may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far a lab's link ports lie above its API port.
const LINK_PORT_DISTANCE: u16 = 10_000;

/// How far a lab's DNS port lies above its API port here.
const DNS_PORT_DISTANCE: u16 = 1;

/// How far the applications' port lies above it.
const APP_PORT_DISTANCE: u16 = 2;

/// A folder that is removed with what is in it.
pub struct Folder(PathBuf);

impl Folder {
    /// An empty folder under target/, where those of benches that were killed are removed.
    pub fn new(name: &str) -> Result<Folder> {
        let parent = crate::root().join("target/bench-data");
        std::fs::create_dir_all(&parent)?;
        for entry in std::fs::read_dir(&parent)? {
            let path = entry?.path();
            let owner = path.to_str().and_then(|path| path.rsplit_once('-'));
            let is_alive = |owner: &str| Path::new("/proc").join(owner).exists();
            if owner.is_none_or(|(_, owner)| !is_alive(owner)) {
                std::fs::remove_dir_all(&path)?;
            }
        }
        let path = parent.join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Folder(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed stays under target/, which is anybody's to delete.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running lab.
pub struct Lab {
    /// A client of each Region, at the Region's own address, in the order given.
    pub clients: Vec<Client>,
    /// From the start of the process to every Region answering a signed request.
    pub ready_after: Duration,
    /// Where the front door listens.
    pub front_door: SocketAddr,
    /// Each edge's own address for DNS, and its place.
    pub edges: Vec<(SocketAddr, Region)>,
    /// The port of each Region's application.
    pub app_port: u16,
    supervisor: Server,
    data: PathBuf,
    folder: Option<Folder>,
}

impl Lab {
    /// Starts a lab with these Regions on a fresh data directory.
    pub fn start(regions: &[&str], edges: u32, delay_scale: f64) -> Result<Lab> {
        Lab::start_with(regions, edges, delay_scale, &[])
    }

    /// Starts a lab on a fresh data directory with further words for `causeway up`.
    pub fn start_with(
        regions: &[&str],
        edges: u32,
        delay_scale: f64,
        words: &[&str],
    ) -> Result<Lab> {
        let folder = Folder::new("lab")?;
        let data = folder.path().join("data");
        let mut lab = Lab::start_on(&data, regions, edges, delay_scale, words)?;
        lab.folder = Some(folder);
        Ok(lab)
    }

    /// Starts a lab on a data directory, which stays when the lab ends.
    pub fn start_in(data: &Path, regions: &[&str], edges: u32, delay_scale: f64) -> Result<Lab> {
        Lab::start_on(data, regions, edges, delay_scale, &[])
    }

    fn start_on(
        data: &Path,
        regions: &[&str],
        edges: u32,
        delay_scale: f64,
        words: &[&str],
    ) -> Result<Lab> {
        let port = free_port(regions.len() + edges as usize)?;
        let options = [
            ("--regions", regions.join(",")),
            ("--edges", edges.to_string()),
            ("--data", data.display().to_string()),
            ("--delay-scale", delay_scale.to_string()),
            ("--api-port", port.to_string()),
            ("--dns-port", (port + DNS_PORT_DISTANCE).to_string()),
            ("--app-port", (port + APP_PORT_DISTANCE).to_string()),
        ];
        let mut arguments = vec!["up"];
        arguments.extend(options.iter().flat_map(|(name, value)| [*name, value]));
        arguments.extend(words);
        let log = data.with_extension("log");
        let started = Instant::now();
        let mut lab = Lab {
            clients: Vec::new(),
            ready_after: Duration::ZERO,
            front_door: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            edges: Vec::new(),
            app_port: port + APP_PORT_DISTANCE,
            supervisor: Server::start(&binary(), &arguments, &log)?,
            data: data.to_owned(),
            folder: None,
        };
        for edge in 0..edges as usize {
            // Edges are numbered behind the Regions, and stand in their places in turn.
            let own = address(regions.len() + edge + 1);
            let place = regions[edge % regions.len()].parse()?;
            let dns = SocketAddr::new(own, port + DNS_PORT_DISTANCE);
            lab.edges.push((dns, place));
        }
        lab.wait_until_ready(regions, port, started)?;
        Ok(lab)
    }

    /// Waits for the credentials, then until each Region has answered a signed request.
    fn wait_until_ready(&mut self, regions: &[&str], port: u16, started: Instant) -> Result<()> {
        let addresses = (1..=regions.len()).map(|number| SocketAddr::new(address(number), port));
        let addresses: Vec<SocketAddr> = addresses.collect();
        for address in &addresses {
            self.until(started, || {
                std::net::TcpStream::connect(address)?;
                Ok(())
            })?;
        }
        let mut credentials = None;
        self.until(started, || {
            credentials = Some(credentials_of(&self.data)?);
            Ok(())
        })?;
        let (id, secret) = credentials.context("read above")?;
        for (region, address) in regions.iter().zip(addresses) {
            self.clients
                .push(Client::new(address, region.parse()?, &id, &secret));
        }
        let clients = self.clients.clone();
        for client in clients {
            self.until(started, || {
                client.call("ListTables", &json!({})).map(|_| ())
            })?;
        }
        self.ready_after = started.elapsed();
        Ok(())
    }

    /// Tries until it works, the lab has ended, or patience has.
    fn until(&self, started: Instant, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
        loop {
            let Err(error) = attempt() else {
                return Ok(());
            };
            let ended = !Path::new(&format!("/proc/{}/exe", self.supervisor.pid())).exists();
            if ended || started.elapsed() > PATIENCE {
                let printed = self.supervisor.printed();
                return Err(error.context(format!("the lab isn't ready; it printed: {printed}")));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The supervisor's process id.
    pub fn supervisor(&self) -> u32 {
        self.supervisor.pid()
    }

    /// A client of the global services, at the front door.
    pub fn global(&self) -> Result<Client> {
        let first = self.clients.first().context("a lab has Regions")?;
        Ok(first.at(self.front_door, "us-east-1".parse()?))
    }

    /// The process id of a site.
    pub fn site(&self, name: &str) -> Result<u32> {
        let children = process::children(self.supervisor())?;
        let of_site = |words: &Vec<String>| {
            let mut parts = words.iter().flat_map(|word| word.split(['/', '.', '=']));
            parts.any(|part| part == name)
        };
        let found = children.iter().find(|(_, words)| of_site(words));
        let found = found.with_context(|| format!("no process of {name} among {children:?}"))?;
        Ok(found.0)
    }

    /// The process ids of all Regions.
    pub fn regions(&self) -> Result<Vec<u32>> {
        let names = self.clients.iter().map(|client| client.region.name());
        names.map(|name| self.site(name)).collect()
    }

    /// The folder of a site's data.
    pub fn folder_of(&self, region: Region) -> PathBuf {
        let own = self.data.join(region.name());
        if own.is_dir() { own } else { self.data.clone() }
    }

    /// The folder of the servers that a Region keeps.
    pub fn servers_of(&self, region: Region) -> PathBuf {
        self.data.join("db").join(region.name())
    }

    /// Runs a subcommand of the binary on this lab.
    pub fn command(&self, words: &[&str]) -> Result<String> {
        run(&self.data, words)
    }

    /// Stops it.
    pub fn stop(mut self) {
        self.supervisor.stop();
    }
}

/// The variable of the environment that names another build than the release one. What such a run
/// measures isn't written into the docs.
pub const BINARY: &str = "CAUSEWAY";

fn binary() -> PathBuf {
    let release = || crate::root().join("target/release/causeway");
    std::env::var_os(BINARY).map_or_else(release, PathBuf::from)
}

/// The first argument that makes this program remove what a bench leaves that is ended at once.
pub const SWEEP: &str = "sweep";

/// How long what the bench started may take to end behind it.
const SWEEP_WAIT: Duration = Duration::from_secs(60);

/// Has a process of its own remove this process's folders when it ends, however it does. It stands
/// in a process group of its own, so that a Ctrl-C leaves it alone.
pub fn start_sweeper() -> Result<std::process::ChildStdin> {
    let mut sweeper = Command::new(std::env::current_exe()?)
        .args([SWEEP, &std::process::id().to_string()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .process_group(0)
        .spawn()
        .context("can't start what sweeps up behind the bench")?;
    sweeper.stdin.take().context("it was asked for above")
}

/// Waits until whoever holds the other end of this process's input has ended, and removes its
/// folders as long as what it started still writes there.
pub fn sweep(mut words: impl Iterator<Item = String>) -> Result<()> {
    let owner = words.next().context("whose folders?")?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    let ended = Instant::now();
    loop {
        let left = folders_of(&owner)?;
        if left.is_empty() {
            return Ok(());
        }
        for folder in &left {
            // What is written to meanwhile is tried again.
            let _ = std::fs::remove_dir_all(folder);
        }
        if ended.elapsed() > SWEEP_WAIT {
            bail!("the bench has left {left:?}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn folders_of(owner: &str) -> Result<Vec<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(crate::root().join("target/bench-data")) else {
        return Ok(Vec::new());
    };
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let is_owners = |path: &PathBuf| {
        let name = path.to_str().and_then(|path| path.rsplit_once('-'));
        name.is_some_and(|(_, of)| of == owner)
    };
    Ok(paths?.into_iter().filter(is_owners).collect())
}

/// The address of a lab's site, counted from 1.
fn address(number: usize) -> IpAddr {
    let number = u8::try_from(number).expect("a lab has few sites");
    IpAddr::V4(Ipv4Addr::new(127, 1, number, 1))
}

/// A port that is free on the front door's address and, with those beside it that DNS, the
/// applications, the links and the relays use, on each site's. It lies below those that the system
/// gives to clients.
pub fn free_port(sites: usize) -> Result<u16> {
    let own = std::process::id();
    for attempt in 0..1000 {
        let offset = (own.wrapping_mul(31) + attempt * 17) % 10_000;
        let port = 20_000 + u16::try_from(offset).expect("less than 10,000");
        let is_free = |address: IpAddr| {
            let mut ports = [port, port + LINK_PORT_DISTANCE].into_iter();
            ports.all(|port| {
                (port..=port + APP_PORT_DISTANCE).all(|port| {
                    TcpListener::bind((address, port)).is_ok()
                        && UdpSocket::bind((address, port)).is_ok()
                })
            })
        };
        if is_free(Ipv4Addr::LOCALHOST.into()) && (1..=sites).all(|site| is_free(address(site))) {
            return Ok(port);
        }
    }
    bail!("found no port that is free on every site's address")
}

fn run(data: &Path, words: &[&str]) -> Result<String> {
    let output = Command::new(binary())
        .args(words)
        .arg("--data")
        .arg(data)
        .output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!(
            "causeway {} ended with {}: {error}",
            words.join(" "),
            output.status
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The key id and secret that `causeway env` prints for the shell.
fn credentials_of(data: &Path) -> Result<(String, String)> {
    let printed = run(data, &["env"])?;
    let value = |name: &str| {
        let lines = printed.lines().filter_map(|line| line.split_once('='));
        let mut lines = lines.filter(|(key, _)| key.trim_start_matches("export ") == name);
        let (_, value) = lines.next()?;
        Some(value.trim_matches(['"', '\'', ';']).to_owned())
    };
    let (id, secret) = (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"));
    id.zip(secret).context("causeway env prints no credentials")
}
