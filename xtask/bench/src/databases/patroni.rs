//! Patroni from Debian's package: two nodes on the loopback and an etcd of one member, with the
//! shortest times that its documentation allows. Logins are SCRAM; whoever has no password of this
//! run gets nowhere.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal};

use super::debian::{PLACE, SETTINGS, USER, private};
use super::session::{Login, Way};
use super::{PATIENCE, install, opened};
use crate::lab::Folder;
use crate::machine::output;
use crate::process::Server;

/// The names of both nodes.
const NAMES: [&str; 2] = ["near", "far"];

/// Seconds between two looks of a node: the least that Patroni's documentation allows.
pub const LOOP_WAIT: u64 = 1;

/// Seconds for which a leader holds its key: the least.
pub const TTL: u64 = 20;

/// Seconds for which a failed call is tried again: the least.
pub const RETRY_TIMEOUT: u64 = 3;

/// What was measured was one of this.
pub struct Patroni {
    // In the order in which they are to be stopped.
    nodes: [Node; 2],
    _etcd: Server,
    /// Patroni's version.
    pub version: String,
    password: String,
    _folder: Folder,
}

/// One of its nodes.
struct Node {
    name: &'static str,
    directory: PathBuf,
    postgres: SocketAddr,
    interface: SocketAddr,
    /// None: it was killed.
    server: Option<Server>,
}

/// An address of the loopback that is free now.
fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

impl Patroni {
    /// Installs it if it can be, and starts it; both nodes are in step.
    pub fn start() -> Result<Patroni> {
        install::ensure("/usr/bin/patroni", &["patroni", "python3-etcd"])?;
        install::ensure("/usr/bin/etcd", &["etcd-server"])?;
        let folder = Folder::new("patroni")?;
        let (etcd, store) = start_store(&folder)?;
        let password = format!("bench-{:016x}", random()?);
        let mut nodes = Vec::new();
        for name in NAMES {
            let directory = folder.path().join(name);
            private(&directory)?;
            let mut node = Node {
                name,
                directory,
                postgres: free()?,
                interface: free()?,
                server: None,
            };
            node.configure(store, &password)?;
            node.start()?;
            // The first to look makes the cluster; the other copies it.
            if nodes.is_empty() {
                opened(&login(node.postgres, &password)).with_context(|| node.said())?;
            }
            nodes.push(node);
        }
        let version = output(std::process::Command::new("/usr/bin/patroni").arg("--version"));
        let nodes: [Node; 2] = nodes.try_into().ok().context("there are two")?;
        let patroni = Patroni {
            nodes,
            _etcd: etcd,
            version: version
                .trim()
                .rsplit(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
            password,
            _folder: folder,
        };
        patroni.wait_until_in_step(0)?;
        Ok(patroni)
    }

    /// The way in at a node.
    pub fn login(&self, node: usize) -> Login {
        login(self.nodes[node].postgres, &self.password)
    }

    /// Asks the leader for a switchover to the other node; it answers when that is over.
    pub fn switch_over(&self, leader: usize) -> Result<()> {
        let (from, to) = (&self.nodes[leader], &self.nodes[1 - leader]);
        let body = format!(
            r#"{{"leader": "{}", "candidate": "{}"}}"#,
            from.name, to.name
        );
        let (status, said) = from.call("POST", "/switchover", &body)?;
        ensure!(status == 200, "Patroni answered {status}: {said}");
        Ok(())
    }

    /// `kill -9` of a node's PostgreSQL, and before that of its Patroni if `whole`.
    pub fn kill(&mut self, node: usize, whole: bool) -> Result<()> {
        let node = &mut self.nodes[node];
        let postmaster = node.postmaster()?;
        if let Some(mut server) = node.server.take_if(|_| whole) {
            kill(server.pid())?;
            // What is left is to be waited for.
            server.stop();
        }
        kill(postmaster)
    }

    /// Starts a node's Patroni again, if it was killed.
    pub fn restart(&mut self, node: usize) -> Result<()> {
        let node = &mut self.nodes[node];
        match node.server {
            Some(_) => Ok(()),
            None => node.start(),
        }
    }

    /// Waits until the other node streams from this one, with nothing left to replay.
    pub fn wait_until_in_step(&self, leader: usize) -> Result<()> {
        let streams = "select count(*) from pg_stat_replication where state = 'streaming' \
                       and pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) < 65536";
        let started = Instant::now();
        loop {
            let count = opened(&self.login(leader)).and_then(|mut session| session.value(streams));
            // A switchover is refused until the other's Patroni has said that it runs.
            let (status, _) = self.nodes[1 - leader]
                .call("GET", "/replica", "")
                .unwrap_or_default();
            if status == 200 && count.is_ok_and(|count| count == "1") {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                let said: Vec<String> = self.nodes.iter().map(Node::said).collect();
                bail!("the nodes aren't in step: {}", said.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Starts an etcd of one member and waits until it listens.
fn start_store(folder: &Folder) -> Result<(Server, SocketAddr)> {
    let (store, peer) = (free()?, free()?);
    let directory = folder.path().join("etcd").display().to_string();
    let (client, peer) = (format!("http://{store}"), format!("http://{peer}"));
    let cluster = format!("one={peer}");
    let words = [
        ("--name", "one"),
        ("--data-dir", &directory),
        ("--listen-client-urls", &client),
        ("--advertise-client-urls", &client),
        ("--listen-peer-urls", &peer),
        ("--initial-advertise-peer-urls", &peer),
        ("--initial-cluster", &cluster),
    ];
    let words: Vec<&str> = words
        .iter()
        .flat_map(|(name, value)| [*name, *value])
        .collect();
    let log = folder.path().join("etcd.log");
    let mut server = Server::start(Path::new("/usr/bin/etcd"), &words, &log)?;
    server.wait_until_listening(store)?;
    Ok((server, store))
}

fn login(address: SocketAddr, password: &str) -> Login {
    Login {
        way: Way::Address(address),
        user: USER.to_owned(),
        password: password.to_owned(),
        database: USER.to_owned(),
    }
}

fn kill(pid: u32) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.context("a process has a number")?;
    rustix::process::kill_process(pid, Signal::KILL)?;
    Ok(())
}

/// A number that nobody guesses.
pub fn random() -> Result<u64> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

impl Node {
    /// Writes its settings, which only its user may read.
    fn configure(&self, store: SocketAddr, password: &str) -> Result<()> {
        let (name, interface, postgres) = (self.name, self.interface, self.postgres);
        let home = self.directory.display();
        let mut text = format!(
            "scope: bench\nname: {name}\nrestapi:\n  listen: {interface}\n  \
             connect_address: {interface}\netcd3:\n  host: {store}\nbootstrap:\n  dcs:\n    \
             ttl: {TTL}\n    loop_wait: {LOOP_WAIT}\n    retry_timeout: {RETRY_TIMEOUT}\n    \
             maximum_lag_on_failover: 1048576\n    master_start_timeout: 0\n    \
             primary_start_timeout: 0\n    postgresql:\n      use_pg_rewind: true\n      \
             parameters:\n"
        );
        for setting in SETTINGS {
            let (key, value) = setting.split_once('=').context("a setting has a value")?;
            if key != "listen_addresses" {
                writeln!(text, "        {key}: '{value}'")?;
            }
        }
        write!(
            text,
            "  initdb:\n  - encoding: UTF8\n  - locale: C.UTF-8\n  - data-checksums\n  pg_hba:\n  \
             - host replication all 127.0.0.1/32 scram-sha-256\n  \
             - host all all 127.0.0.1/32 scram-sha-256\npostgresql:\n  listen: {postgres}\n  \
             connect_address: {postgres}\n  data_dir: {home}/data\n  bin_dir: {PLACE}\n  \
             pgpass: {home}/pgpass\n  authentication:\n"
        )?;
        for (role, user) in [
            ("superuser", USER),
            ("replication", "standby"),
            ("rewind", "rewind"),
        ] {
            writeln!(
                text,
                "    {role}:\n      username: {user}\n      password: {password}"
            )?;
        }
        writeln!(text, "  parameters:\n    unix_socket_directories: '{home}'")?;
        let file = self.settings();
        private_file(&file, &text)
    }

    fn settings(&self) -> PathBuf {
        self.directory.join("patroni.yml")
    }

    fn start(&mut self) -> Result<()> {
        let settings = self.settings().display().to_string();
        let words = super::debian::as_user("/usr/bin/patroni", "TERM");
        let mut rest: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        rest.push(&settings);
        let log = self.directory.with_extension("log");
        self.server = Some(Server::start(Path::new(&words[0]), &rest, &log)?);
        Ok(())
    }

    fn postmaster(&self) -> Result<u32> {
        let text = std::fs::read_to_string(self.directory.join("data/postmaster.pid"))?;
        let first = text.lines().next().context("postmaster.pid is empty")?;
        first.trim().parse().context("postmaster.pid has no number")
    }

    /// The last lines that it printed.
    fn said(&self) -> String {
        let printed = std::fs::read_to_string(self.directory.with_extension("log"));
        let printed = printed.unwrap_or_default();
        let lines: Vec<&str> = printed.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// A request to its interface; the status and the answer.
    fn call(&self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.interface)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.interface,
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
        Ok((status.context("Patroni speaks no HTTP")?, answer))
    }
}

/// Writes a file that the servers' user alone may read.
pub fn private_file(file: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(file)?.write_all(text.as_bytes())?;
    if rustix::process::geteuid().is_root() {
        let status = std::process::Command::new("chown")
            .arg(USER)
            .arg(file)
            .status()?;
        ensure!(status.success(), "chown ended with {status}");
    }
    Ok(())
}
