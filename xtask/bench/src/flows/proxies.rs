//! The proxies of TCP: HAProxy and nginx from Debian's packages, and ours, each with one thread or
//! worker on the same processor, on a free port, before the same backend.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::backend::{NGINX, NGINX_PACKAGES, nginx_head};
use super::serve::SERVE;
use super::{free_address, program};
use crate::balancer;
use crate::dns::{pinned, processors};
use crate::lab::Folder;
use crate::process::{self, Server};

/// A kind of proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HAProxy in TCP mode, which splices when it sees fit.
    Haproxy,
    /// nginx's stream module.
    Nginx,
    /// Causeway's `runtime`, in a process of the bench: the code of an edge.
    Ours,
    /// HAProxy in HTTP mode.
    HaproxyHttp,
    /// nginx as an HTTP proxy.
    NginxHttp,
    /// Causeway's `runtime`, in a process of the bench: the code of a Region's balancers.
    OursHttp,
}

/// Every kind that carries flows, in the order of the first round.
pub const KINDS: [Kind; 3] = [Kind::Haproxy, Kind::Nginx, Kind::Ours];

/// A started proxy.
pub struct Running {
    /// Which it is.
    pub kind: Kind,
    /// Its version; empty for ours.
    pub version: String,
    /// Where it listens.
    pub address: SocketAddr,
    server: Server,
    _folder: Folder,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Haproxy => "HAProxy",
            Kind::Nginx => "nginx stream",
            Kind::HaproxyHttp => "HAProxy HTTP",
            Kind::NginxHttp => "nginx HTTP",
            Kind::Ours | Kind::OursHttp => "Causeway",
        }
    }

    /// Starts it before that backend and waits until it listens.
    pub fn start(self, backend: SocketAddr) -> Result<Running> {
        let folder = Folder::new(&format!("flows-{}", self.name().replace(' ', "-")))?;
        let address = free_address()?;
        let (program, arguments) = match self {
            Kind::Haproxy => haproxy(folder.path(), address, backend)?,
            Kind::Nginx => nginx(folder.path(), address, backend)?,
            Kind::HaproxyHttp => balancer::haproxy(folder.path(), address, backend)?,
            Kind::NginxHttp => balancer::nginx(folder.path(), address, backend)?,
            Kind::OursHttp => {
                let own = std::env::current_exe()?.display().to_string();
                let places = [address, backend].map(|place| place.to_string());
                (
                    own,
                    [vec![balancer::SERVE.to_owned()], places.into()].concat(),
                )
            }
            Kind::Ours => {
                let own = std::env::current_exe()?.display().to_string();
                let words = [SERVE, "tcp"].map(str::to_owned);
                let places = [address, backend].map(|place| place.to_string());
                (own, [words, places].concat())
            }
        };
        let version = self.version(&program);
        let mut words = pinned(processors().map(|(server, _)| server), &program);
        words.extend(arguments);
        let rest: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let log = folder.path().join("log.txt");
        let mut server = Server::start(Path::new(&words[0]), &rest, &log)?;
        server.wait_until_listening(address)?;
        Ok(Running {
            kind: self,
            version,
            address,
            server,
            _folder: folder,
        })
    }

    fn version(self, program: &str) -> String {
        if matches!(self, Kind::Ours | Kind::OursHttp) {
            return String::new();
        }
        let output = Command::new(program).arg("-v").output();
        let printed = output.map(|output| [output.stdout, output.stderr].concat());
        let printed = String::from_utf8_lossy(&printed.unwrap_or_default()).into_owned();
        let words = printed.split([' ', '/', '\n']);
        let is_version = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
        let version = words.into_iter().find(is_version).unwrap_or_default();
        version.split('-').next().unwrap_or_default().to_owned()
    }
}

impl Running {
    /// Its name and version.
    pub fn title(&self) -> String {
        let title = format!("{} {}", self.kind.name(), self.version);
        title.trim().to_owned()
    }

    /// The processor seconds that it has used.
    pub fn processor(&self) -> Result<f64> {
        process::processor_seconds(&self.pids()?)
    }

    /// Its memory (PSS) in MiB.
    pub fn memory(&self) -> Result<f64> {
        self.pids()?.into_iter().map(process::memory).sum()
    }

    fn pids(&self) -> Result<Vec<u32>> {
        process::tree(self.server.pid())
    }
}

/// A program and its arguments.
pub type Words = (String, Vec<String>);

fn haproxy(folder: &Path, address: SocketAddr, backend: SocketAddr) -> Result<Words> {
    let program = program(&["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"], "haproxy")?;
    // It doesn't start unless it may open all that these could need.
    let connections = (runtime::raise_open_files() / 2)
        .saturating_sub(600)
        .min(8500);
    let text = format!(
        "global\n  nbthread 1\n  maxconn {connections}\n  maxpipes 128\ndefaults\n  mode tcp\n  option splice-auto\n  \
         timeout connect 5s\n  timeout client 1h\n  timeout server 1h\nlisten flows\n  \
         bind {address} backlog 4096\n  server backend {backend}\n"
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, text)?;
    let words = vec![
        "-db".to_owned(),
        "-f".to_owned(),
        file.display().to_string(),
    ];
    Ok((program.display().to_string(), words))
}

fn nginx(folder: &Path, address: SocketAddr, backend: SocketAddr) -> Result<Words> {
    const MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
    let program = program(&NGINX, NGINX_PACKAGES)?;
    let module = match Path::new(MODULE).exists() {
        true => format!("load_module {MODULE};\n"),
        // It may be built in.
        false => String::new(),
    };
    let text = format!(
        "{module}{head} stream {{ server {{ listen {address} backlog=4096; \
         proxy_timeout 1h; proxy_pass {backend}; }} }}\n",
        head = nginx_head(folder),
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text)?;
    let words = vec!["-c".to_owned(), file.display().to_string()];
    Ok((program.display().to_string(), words))
}
