//! Proxies of flows side by side: ours, HAProxy and nginx before one backend, what loads them,
//! and for datagrams a bare echo to compare with.

pub mod backend;
pub mod datagrams;
pub mod proxies;
pub mod serve;
pub mod wrk;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// A Debian program at one of the places where distributions have it, or what to install.
pub fn program(places: &[&'static str], package: &str) -> Result<&'static Path> {
    let mut paths = places.iter().map(|place| Path::new(*place));
    let found = paths.find(|path| path.exists());
    found.with_context(|| {
        let name = places.first().and_then(|place| place.rsplit('/').next());
        let name = name.unwrap_or_default();
        format!("{name} is not installed (Debian has it: apt-get install {package})")
    })
}

/// An address of the loopback whose port is free for both transports.
fn free_address() -> Result<SocketAddr> {
    for _ in 0..100 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free for both UDP and TCP")
}
