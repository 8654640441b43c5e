//! Proxies from Debian's packages before a server's Unix socket, with one thread each: HAProxy,
//! which passes bytes on (TCP mode), and PgBouncer, which speaks PostgreSQL's protocol (a server's
//! session for each client's).

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::Result;

use super::debian::{as_user, private};
use super::install;
use super::patroni::private_file;
use super::session::Login;
use crate::lab::Folder;
use crate::machine::output;
use crate::process::Server;

/// A started proxy.
pub struct Proxy {
    /// Its name and version.
    pub title: String,
    /// Where it listens.
    pub address: SocketAddr,
    server: Server,
    _folder: Folder,
}

impl Proxy {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }
}

/// Starts HAProxy before the socket in that directory and waits until it listens.
pub fn start(directory: &Path) -> Result<Proxy> {
    let program = "/usr/sbin/haproxy";
    install::ensure(program, &["haproxy"])?;
    let folder = Folder::new("proxy")?;
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let socket = directory.join(".s.PGSQL.5432");
    let text = format!(
        "global\n  nbthread 1\n  maxconn 200\ndefaults\n  mode tcp\n  option splice-auto\n  \
         timeout connect 5s\n  timeout client 1h\n  timeout server 1h\nlisten databases\n  \
         bind {address}\n  server backend unix@{}\n",
        socket.display()
    );
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, text)?;
    let words = ["-db", "-f", &file.display().to_string()];
    let log = folder.path().join("log.txt");
    let mut server = Server::start(Path::new(program), &words, &log)?;
    server.wait_until_listening(address)?;
    let version = output(std::process::Command::new(program).arg("-v"));
    let version = version.split(' ').nth(2).unwrap_or_default();
    let version = version.split('-').next().unwrap_or_default();
    Ok(Proxy {
        title: format!("HAProxy {version}"),
        address,
        server,
        _folder: folder,
    })
}

/// Starts PgBouncer before the socket in that directory, for one user, and waits until it listens.
pub fn start_bouncer(directory: &Path, login: &Login) -> Result<Proxy> {
    let program = "/usr/sbin/pgbouncer";
    install::ensure(program, &["pgbouncer"])?;
    let folder = Folder::new("bouncer")?;
    let own = folder.path().join("own");
    private(&own)?;
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let users = own.join("users");
    private_file(
        &users,
        &format!("\"{}\" \"{}\"\n", login.user, login.password),
    )?;
    let text = format!(
        "[databases]\n{} = host={} port=5432\n[pgbouncer]\nlisten_addr = {}\nlisten_port = {}\n\
         unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = session\n\
         max_client_conn = 200\ndefault_pool_size = 50\nlog_connections = 0\n\
         log_disconnections = 0\nlog_stats = 0\n",
        login.database,
        directory.display(),
        address.ip(),
        address.port(),
        users.display()
    );
    let file = own.join("pgbouncer.ini");
    private_file(&file, &text)?;
    let words = as_user(program, "TERM");
    let file = file.display().to_string();
    let mut rest: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    rest.push(&file);
    let log = folder.path().join("log.txt");
    let mut server = Server::start(Path::new(&words[0]), &rest, &log)?;
    server.wait_until_listening(address)?;
    let version = output(std::process::Command::new(program).arg("--version"));
    let version = version.lines().next().unwrap_or_default();
    Ok(Proxy {
        title: version.to_owned(),
        address,
        server,
        _folder: folder,
    })
}
