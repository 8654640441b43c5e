//! Other implementations of the same API, installed under target/ from their registries and
//! started in each mode that is worth comparing. One that can't be installed is named with the
//! reason.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::client::Client;
use crate::lab::{Folder, free_port};
use crate::process::Server;

/// An implementation in one of its modes.
pub struct Peer {
    /// Its name and mode.
    pub name: &'static str,
    /// The version measured.
    pub version: &'static str,
    /// What an acknowledged write has survived there.
    pub durability: &'static str,
    install: fn(&Path) -> Result<PathBuf>,
    arguments: fn(port: &str, data: &str) -> Vec<String>,
}

/// A started peer.
pub struct Running {
    /// A client of it.
    pub client: Client,
    /// Its process.
    pub server: Server,
    _data: Folder,
}

const DYNOXIDE: &str = "3.2.0";
const DYNALITE: &str = "4.0.0";
const MOTO: &str = "5.2.5";

/// Every peer and mode. None of them verifies signatures; all are sent signed requests alike.
pub const PEERS: &[Peer] = &[
    Peer {
        name: "dynoxide, in memory",
        version: DYNOXIDE,
        durability: "none (SQLite in memory)",
        install: install_dynoxide,
        arguments: |port, _| words(&["--host", "127.0.0.1", "--port", port]),
    },
    Peer {
        name: "dynoxide, on disk",
        version: DYNOXIDE,
        durability: "a killed process (SQLite file, write-ahead log)",
        install: install_dynoxide,
        arguments: |port, data| {
            let file = format!("{data}/tables.sqlite");
            words(&["--host", "127.0.0.1", "--port", port, "--db-path", &file])
        },
    },
    Peer {
        name: "dynalite, in memory",
        version: DYNALITE,
        durability: "none",
        install: install_dynalite,
        arguments: |port, _| {
            words(&[
                "--host",
                "127.0.0.1",
                "--port",
                port,
                "--createTableMs",
                "0",
            ])
        },
    },
    Peer {
        name: "dynalite, on disk",
        version: DYNALITE,
        durability: "a killed process (LevelDB, not synced)",
        install: install_dynalite,
        arguments: |port, data| {
            words(&[
                "--host",
                "127.0.0.1",
                "--port",
                port,
                "--createTableMs",
                "0",
                "--path",
                data,
            ])
        },
    },
    Peer {
        name: "moto server, in memory",
        version: MOTO,
        durability: "none",
        install: install_moto,
        arguments: |port, _| words(&["--host", "127.0.0.1", "--port", port]),
    },
];

impl Peer {
    /// Installs it if it isn't there, and starts it on a free port.
    pub fn start(&self) -> Result<Running> {
        let folder = crate::root().join("target/bench-peers");
        std::fs::create_dir_all(&folder)?;
        let program = (self.install)(&folder)?;
        let data = Folder::new("peer")?;
        let port = free_port(0)?;
        let log = data.path().join("log.txt");
        let database = data.path().join("data");
        std::fs::create_dir(&database)?;
        let arguments = (self.arguments)(&port.to_string(), &database.display().to_string());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut server = Server::start(&program, &arguments, &log)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        server.wait_until_listening(address)?;
        let region = "us-east-1".parse()?;
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        Ok(Running {
            client: Client::new(address, region, "AKIAIOSFODNN7EXAMPLE", secret),
            server,
            _data: data,
        })
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn install_dynoxide(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("dynoxide");
    let program = root.join("bin/dynoxide");
    if program.is_file() {
        return Ok(program);
    }
    let mut install = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    install
        .args(["install", "--quiet", "--locked", "--no-default-features"])
        .args(["--features", "native-sqlite,http-server,cli", "--root"])
        .arg(&root)
        .arg("--target-dir")
        .arg(folder.join("dynoxide-build"))
        .arg(format!("dynoxide-rs@{DYNOXIDE}"));
    run(&mut install)?;
    Ok(program)
}

fn install_dynalite(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("dynalite");
    let program = root.join("node_modules/.bin/dynalite");
    if !program.is_file() {
        let mut install = Command::new("npm");
        install
            .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(&root)
            .arg(format!("dynalite@{DYNALITE}"));
        run(&mut install)?;
    }
    Ok(program)
}

fn install_moto(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("moto");
    let program = root.join("bin/moto_server");
    if !program.is_file() {
        let mut make = Command::new("python3");
        run(make.args(["-m", "venv", "--clear"]).arg(&root))?;
        let mut install = Command::new(root.join("bin/python"));
        install
            .args(["-m", "pip", "install", "--quiet"])
            .arg("--disable-pip-version-check")
            .arg(format!("moto[dynamodb,server]=={MOTO}"));
        run(&mut install)?;
    }
    Ok(program)
}

/// Runs an installer; an error has the end of what it printed.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("there is no {program} to install it with"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = error.lines().last().unwrap_or_default().to_owned();
        bail!("{program} ended with {}: {last}", output.status);
    }
    Ok(())
}
