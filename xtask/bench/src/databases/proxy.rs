//! HAProxy from Debian's package, in TCP mode before a server's Unix socket, with one thread.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::Result;

use crate::flows::program;
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

/// Starts it before the socket in that directory and waits until it listens.
pub fn start(directory: &Path) -> Result<Proxy> {
    let program = program(&["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"], "haproxy")?;
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
    let mut server = Server::start(program, &words, &folder.path().join("log.txt"))?;
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
