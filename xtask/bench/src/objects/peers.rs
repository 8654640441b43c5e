//! Other stores of objects, installed from Cargo's registry and Debian and started on a free port:
//! garage with its durability as it comes and with all of it, s3s-fs, and nginx for the same files.
//! One that can't be had is named with the reason.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Bucket;
use crate::client::Client;
use crate::lab::{Folder, free_port};
use crate::process::Server;

/// The name of the bucket in every peer.
const BUCKET: &str = "bench";

const GARAGE: &str = "2.5.0";
const S3S_FS: &str = "0.14.1";

/// Garage wants its own form of keys.
const KEY: &str = "GK0123456789abcdef01234567";
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A store in one of its modes.
pub struct Peer {
    /// Its name and mode.
    pub name: &'static str,
    /// The version measured.
    pub version: &'static str,
    /// What an acknowledged object has survived there.
    pub durability: &'static str,
    start: fn(&Peer, &Folder, u16) -> Result<Server>,
    /// Are metadata and data synced?
    synced: bool,
}

/// Every peer and mode; all verify signatures.
pub const PEERS: &[Peer] = &[
    Peer {
        name: "garage",
        version: GARAGE,
        durability: "a killed process (its default: neither metadata nor data synced)",
        start: start_garage,
        synced: false,
    },
    Peer {
        name: "garage, synced",
        version: GARAGE,
        durability: "a power cut (metadata_fsync and data_fsync set)",
        start: start_garage,
        synced: true,
    },
    Peer {
        name: "s3s-fs",
        version: S3S_FS,
        durability: "a killed process (files, never synced; no versions)",
        start: start_s3s_fs,
        synced: false,
    },
];

/// A started peer.
pub struct Running {
    /// Its bucket.
    pub bucket: Bucket,
    /// Its process.
    pub server: Server,
    _data: Folder,
}

impl Peer {
    /// Installs it if it isn't there, starts it and makes the bucket.
    pub fn start(&self) -> Result<Running> {
        let data = Folder::new("store")?;
        let port = free_port(0)?;
        let server = (self.start)(self, &data, port)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let client = Client::new(address, "us-east-1".parse()?, KEY, SECRET);
        let bucket = Bucket {
            client,
            name: BUCKET.to_owned(),
        };
        if self.name == "s3s-fs" {
            bucket.create()?;
        }
        Ok(Running {
            bucket,
            server,
            _data: data,
        })
    }
}

/// nginx on the files of a folder; where it listens.
pub fn nginx(folder: &Folder) -> Result<(Server, SocketAddr)> {
    let port = free_port(0)?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let own = folder.path().display();
    let user = match rustix::process::geteuid().is_root() {
        // So that it may read what root has written under a folder of root's.
        true => "user root;",
        false => "",
    };
    let text = format!(
        "{user} daemon off; worker_processes auto; pid {own}/nginx.pid; error_log stderr;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;\n\
         client_body_temp_path {own}/body; proxy_temp_path {own}/proxy;\n\
         fastcgi_temp_path {own}/fastcgi; uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;\n\
         server {{ listen {address}; root {own}/files; }} }}\n"
    );
    let configuration = folder.path().join("nginx.conf");
    fs::write(&configuration, text)?;
    let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
    let program = program.into_iter().find(|path| Path::new(path).exists());
    let program = program.context("nginx is not installed (Debian's nginx-light is enough)")?;
    let words = ["-c", &configuration.display().to_string()];
    let log = folder.path().join("nginx.log");
    let mut server = Server::start(Path::new(program), &words, &log)?;
    server.wait_until_listening(address)?;
    Ok((server, address))
}

/// Installs a program from Cargo's registry under target/, unless it is there.
fn install(program: &str, package: &str, more: &[&str]) -> Result<PathBuf> {
    let root = crate::root().join("target/bench-peers").join(program);
    let installed = root.join("bin").join(program);
    if installed.is_file() {
        return Ok(installed);
    }
    eprintln!("   building {package}, which takes minutes");
    let mut install = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    install
        .args(["install", "--quiet", "--locked", "--root"])
        .arg(&root)
        .arg("--target-dir")
        .arg(root.with_extension("build"))
        .args(more)
        .arg(package);
    run(&mut install)?;
    Ok(installed)
}

/// Runs a program to its end; what it printed, or an error with the end of that.
fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("can't run {program}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = error.lines().last().unwrap_or_default().to_owned();
        bail!("{program} ended with {}: {last}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn start_garage(peer: &Peer, data: &Folder, port: u16) -> Result<Server> {
    let program = install("garage", &format!("garage@{GARAGE}"), &[])?;
    let own = data.path().display();
    let (rpc, synced) = (port + 1, peer.synced);
    let text = format!(
        "metadata_dir = \"{own}/meta\"\ndata_dir = \"{own}/data\"\nreplication_factor = 1\n\
         metadata_fsync = {synced}\ndata_fsync = {synced}\n\
         rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\n\
         rpc_secret = \"{SECRET}\"\n\
         [s3_api]\ns3_region = \"us-east-1\"\napi_bind_addr = \"127.0.0.1:{port}\"\n"
    );
    let configuration = data.path().join("garage.toml");
    fs::write(&configuration, text)?;
    let file = configuration.display().to_string();
    let log = data.path().join("garage.log");
    let mut server = Server::start(&program, &["-c", &file, "server"], &log)?;
    server.wait_until_listening(SocketAddr::from(([127, 0, 0, 1], rpc)))?;
    let garage = |words: &[&str]| run(Command::new(&program).args(["-c", &file]).args(words));
    let node = garage(&["node", "id", "-q"])?;
    let node = node.split('@').next().unwrap_or_default().trim().to_owned();
    garage(&["layout", "assign", &node, "-z", "bench", "-c", "30G"])?;
    garage(&["layout", "apply", "--version", "1"])?;
    garage(&["key", "import", "--yes", "-n", "bench", KEY, SECRET])?;
    garage(&["bucket", "create", BUCKET])?;
    let allow = ["bucket", "allow", "--read", "--write", "--owner", BUCKET];
    garage(&[&allow[..], &["--key", KEY]].concat())?;
    server.wait_until_listening(SocketAddr::from(([127, 0, 0, 1], port)))?;
    Ok(server)
}

fn start_s3s_fs(_: &Peer, data: &Folder, port: u16) -> Result<Server> {
    let features = ["--features", "binary"];
    let program = install("s3s-fs", &format!("s3s-fs@{S3S_FS}"), &features)?;
    let files = data.path().join("data");
    fs::create_dir_all(&files)?;
    let (port_text, files) = (port.to_string(), files.display().to_string());
    let words = [
        "--access-key",
        KEY,
        "--secret-key",
        SECRET,
        "--host",
        "127.0.0.1",
        "--port",
        &port_text,
        &files,
    ];
    let log = data.path().join("s3s-fs.log");
    let mut server = Server::start(&program, &words, &log)?;
    server.wait_until_listening(SocketAddr::from(([127, 0, 0, 1], port)))?;
    Ok(server)
}
