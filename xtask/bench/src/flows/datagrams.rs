//! Datagrams: an echo, our flows before it, and a process that loads either with clients that
//! each keep a few datagrams under way.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::free_address;
use super::serve::{ECHO, SERVE};
use crate::dns::{pinned, processors};
use crate::lab::Folder;
use crate::process::{self, Server};

/// The first argument that makes this program the load.
pub const LOAD: &str = "load-datagrams";

/// Clients, each with a port of its own.
const CLIENTS: usize = 16;

/// Datagrams that each has under way.
const UNDER_WAY: usize = 8;

/// A datagram's length in bytes.
const LENGTH: usize = 64;

/// A datagram that isn't back by then is lost.
const PATIENCE: Duration = Duration::from_millis(200);

/// A process that datagrams are sent to.
pub struct Running {
    /// Where it takes them.
    pub address: SocketAddr,
    server: Server,
    _folder: Folder,
}

/// What a run found.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Datagrams that came back.
    pub completed: u64,
    /// Those that didn't.
    pub lost: u64,
}

impl Running {
    /// An echo: on the processor of the measured server, or on that of the load.
    pub fn echo(measured: bool) -> Result<Running> {
        let address = free_address()?;
        Running::start("echo", measured, address, &[ECHO, &address.to_string()])
    }

    /// Our flows before that echo.
    pub fn flows(echo: SocketAddr) -> Result<Running> {
        let address = free_address()?;
        let (from, to) = (address.to_string(), echo.to_string());
        Running::start("flows", true, address, &[SERVE, "udp", &from, &to])
    }

    fn start(name: &str, measured: bool, address: SocketAddr, words: &[&str]) -> Result<Running> {
        let folder = Folder::new(&format!("flows-udp-{name}-{measured}"))?;
        let own = std::env::current_exe()?.display().to_string();
        let processor = processors().map(|(server, load)| if measured { server } else { load });
        let mut all = pinned(processor, &own);
        all.extend(words.iter().map(|word| (*word).to_owned()));
        let rest: Vec<&str> = all[1..].iter().map(String::as_str).collect();
        let log = folder.path().join("log.txt");
        let mut server = Server::start(Path::new(&all[0]), &rest, &log)?;
        let started = Instant::now();
        while !answers(address) {
            server.check()?;
            if started.elapsed() > Duration::from_secs(20) {
                bail!("no datagram comes back from {address}");
            }
        }
        Ok(Running {
            address,
            server,
            _folder: folder,
        })
    }

    /// The processor seconds that it has used.
    pub fn processor(&self) -> Result<f64> {
        process::processor_seconds(&[self.server.pid()])
    }
}

/// Does a datagram come back?
fn answers(address: SocketAddr) -> bool {
    let exchange = || -> std::io::Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        socket.send(b"?")?;
        socket.recv(&mut [0; LENGTH]).map(drop)
    };
    let answered = exchange().is_ok();
    if !answered {
        std::thread::sleep(Duration::from_millis(10));
    }
    answered
}

/// Loads what takes datagrams there for so many seconds, from a process of its own.
pub fn run(address: SocketAddr, seconds: u64) -> Result<Run> {
    let own = std::env::current_exe()?.display().to_string();
    let mut words = pinned(processors().map(|(_, load)| load), &own);
    words.extend([LOAD.to_owned(), address.to_string(), seconds.to_string()]);
    let output = Command::new(&words[0]).args(&words[1..]).output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = printed.split_whitespace().map(str::parse::<u64>);
    let mut number = || numbers.next().and_then(Result::ok);
    let error = || String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Run {
        completed: number().with_context(error)?,
        lost: number().with_context(error)?,
    })
}

/// Is the load: sends datagrams, prints how many came back and how many didn't. The words: where
/// to, and for how many seconds.
pub fn load(mut words: impl Iterator<Item = String>) -> Result<()> {
    let address: SocketAddr = words.next().context("load what?")?.parse()?;
    let seconds: u64 = words.next().context("how long?")?.parse()?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let (completed, lost) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| -> Result<()> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| client(address, until, &completed, &lost)))
            .collect();
        for client in clients {
            let ended = client.join();
            ended.map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        Ok(())
    })?;
    println!("{} {}", completed.into_inner(), lost.into_inner());
    Ok(())
}

fn client(
    address: SocketAddr,
    until: Instant,
    completed: &AtomicU64,
    lost: &AtomicU64,
) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let (datagram, mut buffer) = ([7; LENGTH], [0; 2 * LENGTH]);
    let (mut back, mut under_way) = (0, 0);
    while Instant::now() < until {
        while under_way < UNDER_WAY {
            socket.send(&datagram)?;
            under_way += 1;
        }
        match socket.recv(&mut buffer) {
            Ok(_) => {
                back += 1;
                under_way -= 1;
            }
            Err(_) => {
                lost.fetch_add(under_way as u64, Ordering::Relaxed);
                under_way = 0;
            }
        }
    }
    completed.fetch_add(back, Ordering::Relaxed);
    Ok(())
}
