//! PostgreSQL as Debian has it: a primary and a standby that streams from it through a relay with
//! a link's delay, with the settings of our servers that bear on time, promoted by `pg_ctl`; and a
//! server by itself. Their sockets are in directories that only root and their user may enter; a
//! port has only the last, for who knows its password.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use super::patroni::random;
use super::relay::Relay;
use super::session::{Login, Way};
use super::{PATIENCE, opened};
use crate::lab::Folder;
use crate::process::Server;

/// Where Debian has the programs of the version that Causeway runs.
pub const PLACE: &str = "/usr/lib/postgresql/15/bin";

/// The user that servers run as when the bench is root, which PostgreSQL refuses to be.
pub const USER: &str = "postgres";

/// What our servers have, too.
pub const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "dynamic_shared_memory_type=mmap",
    "min_wal_size=32MB",
    "max_wal_size=256MB",
    "shared_buffers=16MB",
    "wal_log_hints=on",
    "wal_receiver_status_interval=1s",
    "wal_receiver_timeout=5s",
    "wal_retrieve_retry_interval=200ms",
    "wal_sender_timeout=5s",
];

/// A server, stopped when this is dropped.
struct DebianServer {
    server: Server,
    directory: PathBuf,
}

/// A server by itself that is reached by its socket, and by a TCP port with nothing before it.
pub struct Lone {
    server: DebianServer,
    address: SocketAddr,
    password: String,
    _folder: Folder,
}

/// A primary and its standby.
pub struct Pair {
    // In the order in which they are to be stopped.
    standby: DebianServer,
    primary: DebianServer,
    relay: Relay,
    _folder: Folder,
}

/// The path of one of PostgreSQL's programs, or what to install.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = Path::new(PLACE).join(name);
    if !path.exists() {
        bail!("{name} of PostgreSQL 15 is not installed (apt-get install postgresql)");
    }
    Ok(path)
}

/// The words that run one of PostgreSQL's programs as the servers' user.
fn words(name: &str) -> Result<Vec<String>> {
    // INT ends a server at once.
    Ok(as_user(&program(name)?.display().to_string(), "INT"))
}

/// The words that run a program as the servers' user; the signal ends it with the bench.
pub fn as_user(program: &str, signal: &str) -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return vec![program.to_owned()];
    }
    let user = ["--reuid", "--regid"].map(|which| format!("{which}={USER}"));
    let mut words = vec!["/usr/bin/setpriv".to_owned()];
    words.extend(user);
    words.push("--init-groups".to_owned());
    // A change of the user would else clear what ends it.
    words.push(format!("--pdeathsig={signal}"));
    words.push(program.to_owned());
    words
}

fn command(name: &str, arguments: &[&str]) -> Result<Command> {
    let words = words(name)?;
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(arguments);
    command.stdin(std::process::Stdio::null());
    Ok(command)
}

fn run(name: &str, arguments: &[&str]) -> Result<()> {
    let output = command(name, arguments)?.output();
    let output = output.with_context(|| format!("can't start {name}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("{name} ended with {}: {error}", output.status);
    }
    Ok(())
}

/// A directory that belongs to the servers' user.
pub fn private(directory: &Path) -> Result<&str> {
    let text = directory.to_str().context("the checkout's path is text")?;
    let mut command = Command::new("install");
    command.args(["-d", "-m", "0700"]);
    if rustix::process::geteuid().is_root() {
        command.args(["-o", USER, "-g", USER]);
    }
    let status = command.arg(text).status()?;
    anyhow::ensure!(status.success(), "install -d {text} ended with {status}");
    Ok(text)
}

/// Makes a server's `data` in that directory: its socket's clients say who they are, those of a
/// port log in by SCRAM.
fn make(directory: &Path) -> Result<()> {
    let data = directory.join("data").display().to_string();
    let logins = ["--auth-local=trust", "--auth-host=scram-sha-256"];
    let options = ["--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8"];
    let mut arguments = vec!["-D", &data, "-U", USER];
    arguments.extend(logins.iter().chain(&options));
    run("initdb", &arguments)
}

impl DebianServer {
    /// Starts the server in a directory that has its `data`; the settings are those beside
    /// [`SETTINGS`].
    fn start(directory: &Path, name: &str, settings: &[&str]) -> Result<DebianServer> {
        let data = directory.join("data").display().to_string();
        let sockets = format!("unix_socket_directories={}", directory.display());
        let mut words = words("postgres")?;
        words.extend(["-D".to_owned(), data]);
        let settings = SETTINGS.iter().chain(settings).copied();
        for setting in settings.chain([sockets.as_str()]) {
            words.extend(["-c".to_owned(), setting.to_owned()]);
        }
        let rest: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let log = directory.with_file_name(format!("{name}.log"));
        let server = DebianServer {
            server: Server::start(Path::new(&words[0]), &rest, &log)?,
            directory: directory.to_owned(),
        };
        opened(&server.login()).with_context(|| server.server.printed())?;
        Ok(server)
    }

    fn login(&self) -> Login {
        Login {
            way: Way::Socket(self.directory.clone()),
            user: USER.to_owned(),
            password: String::new(),
            database: USER.to_owned(),
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.server.pid())
            .ok()
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It can only fail if the process has ended.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

impl Drop for DebianServer {
    fn drop(&mut self) {
        // What `Server` sends would wait for sessions to end.
        self.signal(Signal::INT);
    }
}

impl Lone {
    /// Makes it in a folder of its own. Its port is PostgreSQL's, which the socket's name has, too,
    /// so the address is one of the loopback's that nobody else has.
    pub fn start() -> Result<Lone> {
        let folder = Folder::new("lone")?;
        let directory = folder.path().join("own");
        private(&directory)?;
        make(&directory)?;
        let [_, second, third, fourth, ..] = random()?.to_le_bytes();
        let address = Ipv4Addr::new(127, second | 1, third, fourth.clamp(1, 254));
        let listens = format!("listen_addresses={address}");
        let lone = Lone {
            server: DebianServer::start(&directory, "own", &[&listens])?,
            address: (address, 5432).into(),
            password: format!("bench-{:016x}", random()?),
            _folder: folder,
        };
        let asked = format!("alter role {USER} password '{}'", lone.password);
        opened(&lone.socket())?.query(&asked)?;
        Ok(lone)
    }

    /// The way in by its Unix socket.
    pub fn socket(&self) -> Login {
        self.server.login()
    }

    /// The way in by its TCP port.
    pub fn port(&self) -> Login {
        Login {
            way: Way::Address(self.address),
            password: self.password.clone(),
            ..self.server.login()
        }
    }
}

impl Pair {
    /// Makes both in a folder of their own, so far apart, and waits until the standby follows.
    pub fn start(delay: Duration) -> Result<Pair> {
        let folder = Folder::new("debian")?;
        let of = |name: &str| folder.path().join(name);
        let (near, far, between) = (of("near"), of("far"), of("between"));
        for directory in [&near, &far, &between] {
            private(directory)?;
        }
        make(&near)?;
        let primary = DebianServer::start(&near, "near", &[])?;
        let relay = Relay::start(&between, &near, delay)?;
        let (data, host) = (far.join("data"), between.display().to_string());
        let data = data.display().to_string();
        let mut arguments = vec!["-h", &host, "-U", USER, "-D", &data, "-R", "-C"];
        arguments.extend(["-S", "standby", "-X", "stream", "-c", "fast"]);
        run("pg_basebackup", &arguments)?;
        let pair = Pair {
            standby: DebianServer::start(&far, "far", &[])?,
            primary,
            relay,
            _folder: folder,
        };
        pair.wait_until_streaming()?;
        Ok(pair)
    }

    /// The way in at the primary.
    pub fn source(&self) -> Login {
        self.primary.login()
    }

    /// The way in at the standby.
    pub fn replica(&self) -> Login {
        self.standby.login()
    }

    /// The first processes of both servers.
    pub fn postmasters(&self) -> [u32; 2] {
        [self.primary.server.pid(), self.standby.server.pid()]
    }

    /// Ends the primary at once, without a checkpoint, and loses what is under way to the standby.
    pub fn kill_primary(&self) {
        self.relay.cut();
        self.primary.signal(Signal::QUIT);
    }

    /// `pg_ctl promote`, started.
    pub fn promote(&self) -> Result<std::process::Child> {
        let data = self.standby.directory.join("data").display().to_string();
        let mut command = command("pg_ctl", &["promote", "-D", &data])?;
        command.stdout(std::process::Stdio::null());
        command.spawn().context("can't start pg_ctl")
    }

    fn wait_until_streaming(&self) -> Result<()> {
        let mut session = opened(&self.source())?;
        let started = Instant::now();
        let streams = "select count(*) from pg_stat_replication where state = 'streaming'";
        while session.value(streams)? != "1" {
            if started.elapsed() > PATIENCE {
                bail!(
                    "the standby doesn't follow: {}",
                    self.standby.server.printed()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}
