//! `cargo xtask test`: everything that must pass, in the order in which it fails soonest.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::again::{self, Kind, Shown};
use crate::{run, tidy};

/// What drives the lab as a user would: pinned, from PyPI.
const CLIENTS: &[&str] = &[
    "awscli==1.45.11",
    "boto3==1.43.11",
    "dnspython==2.9.2",
    "psycopg[binary]==3.3.9",
];

/// What `tests/clients/javascript` imports: pinned, from npm, of the last line that Debian's
/// Node.js (18) is good for.
const JAVASCRIPT: &[&str] = &["@aws-sdk/client-s3@3.940.0", "@aws-sdk/lib-storage@3.940.0"];

/// Tests that hardly compute and wait for minutes, as Terraform's provider does and requests that
/// stand still: they run beside the others, each by itself.
const WAITING: &[&str] = &[
    "test_terraform_balancer_settings",
    "test_terraform_balancers",
    "test_terraform_fronts",
    "test_terraform_zones",
    "test_wire",
];

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only the steps whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

type Step = (&'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("tools", tools),
    ("format", || run::cargo(&["fmt", "--all", "--check"])),
    ("tidy", tidy::tidy),
    ("clippy", clippy),
    ("release", release),
    ("unit", unit),
    ("world", || {
        run::cargo(&[
            "test",
            "--release",
            "--package",
            "world",
            "--",
            "--nocapture",
        ])
    }),
    ("clients", clients),
];

/// Runs the steps; the first that fails ends it.
pub fn test(arguments: &Arguments) -> Result<()> {
    let mut done = 0;
    for (name, step) in STEPS {
        if arguments
            .only
            .as_ref()
            .is_some_and(|only| !name.contains(only.as_str()))
        {
            continue;
        }
        eprintln!("== {name}");
        step()?;
        done += 1;
    }
    again::tell_unsteady();
    println!("cargo xtask test: {done} steps passed");
    Ok(())
}

fn clippy() -> Result<()> {
    run::cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ])
}

/// The binaries that ship, in one go since they share most of their dependencies.
fn release() -> Result<()> {
    run::cargo(&[
        "build",
        "--release",
        "--package",
        "causeway",
        "--package",
        "orders",
    ])?;
    run::cargo(&["test", "--release", "--package", "orders", "--quiet"])
}

/// Everything but the simulation, which wants the optimiser, and the example: its SDK would take
/// longer to build once more than all of ours. Game days find the one that the step before made.
fn unit() -> Result<()> {
    let made = run::root().join("target/release/orders");
    let wanted = run::root().join("target/debug/orders");
    if made.exists() {
        std::fs::create_dir_all(run::root().join("target/debug"))?;
        std::fs::copy(made, wanted)?;
    }
    let mut all = run::cargo_command(&["test", "--workspace", "--quiet", "--no-fail-fast"]);
    all.args(["--exclude", "world", "--exclude", "orders"]);
    let kind = Kind {
        failed: again::failed_targets,
        one: Box::new(|target| {
            let mut one = run::cargo_command(&["test", "--quiet"]);
            one.args(target.split(' '));
            one
        }),
    };
    again::run(&mut all, &kind, Shown::AsItComes)
}

/// Makes sure that what the tests call is there; as root it is installed.
fn tools() -> Result<()> {
    let wanted = [
        ("cc", "gcc"),
        ("python3", "python3"),
        ("openssl", "openssl"),
        ("dig", "bind9-dnsutils"),
        ("nsd", "nsd"),
        ("knotd", "knot"),
        ("bird", "bird2"),
        ("rclone", "rclone"),
        ("s3cmd", "s3cmd"),
        ("node", "nodejs"),
        ("npm", "npm"),
    ];
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|(program, _)| !run::has(program))
        .map(|(_, package)| *package)
        .collect();
    let venv = Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .output();
    let no_venv = !venv.is_ok_and(|output| output.status.success());
    let mut packages = missing;
    if !(run::has("psql") && has_postgres()) {
        packages.push("postgresql");
    }
    if no_venv {
        packages.push("python3-venv");
    }
    if packages.is_empty() {
        return Ok(());
    }
    let user = Command::new("id").arg("-u").output()?;
    if user.stdout.trim_ascii() != b"0" {
        bail!(
            "these are missing; run: sudo apt-get install --yes {}",
            packages.join(" ")
        );
    }
    run::command(Command::new("apt-get").args(["update", "--quiet"]))?;
    let mut install = Command::new("apt-get");
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages);
    run::command(install.env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Are PostgreSQL's servers here, on the path or where Debian puts them?
fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let of_debian = versions.into_iter().flatten().flatten();
    run::has("postgres")
        || of_debian
            .into_iter()
            .any(|version| version.path().join("bin/postgres").is_file())
}

/// The `aws` command line, boto3, `dig` and Terraform drive the whole slice.
fn clients() -> Result<()> {
    let python = client_environment()?;
    javascript_environment()?;
    let folder = run::root().join("tests/clients");
    let mut busy = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(module) = name
            .strip_suffix(".py")
            .filter(|_| name.starts_with("test_"))
        {
            busy.push(module.to_owned());
        }
    }
    busy.retain(|module| !WAITING.contains(&module.as_str()));
    busy.sort();
    let command = move || {
        let mut command = Command::new(&python);
        command
            .args(["-m", "unittest", "--verbose"])
            .env("PYTHONPATH", &folder)
            .env("CAUSEWAY", run::root().join("target/release/causeway"));
        command
    };
    let kind = {
        let command = command.clone();
        move || {
            let command = command.clone();
            Kind {
                failed: again::failed_cases,
                one: Box::new(move |case| {
                    let mut one = command();
                    one.arg(case);
                    one
                }),
            }
        }
    };
    let beside = WAITING.iter().map(|module| {
        let mut command = command();
        command.arg(module);
        let kind = kind();
        std::thread::spawn(move || again::run(&mut command, &kind, Shown::AtItsEnd))
    });
    let beside: Vec<_> = beside.collect();
    let mut outcome = again::run(command().args(busy), &kind(), Shown::AsItComes);
    for waiting in beside {
        outcome = outcome.and(waiting.join().expect("it doesn't panic"));
    }
    outcome
}

/// The SDK for JavaScript under target/, where the test that needs it looks for it.
fn javascript_environment() -> Result<()> {
    let folder = run::root().join("target/javascript");
    let stamp = folder.join("packages.txt");
    let wanted = JAVASCRIPT.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder)?;
    let mut install = Command::new("npm");
    install
        .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
        .arg(&folder);
    run::command(install.args(JAVASCRIPT))?;
    std::fs::write(stamp, wanted)?;
    Ok(())
}

/// A Python environment under target/ with the clients in it; the path of its interpreter.
pub fn client_environment() -> Result<PathBuf> {
    let folder = run::root().join("target/clients");
    let python = folder.join("bin/python");
    let stamp = folder.join("clients.txt");
    let wanted = CLIENTS.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run::command(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )?;
    let mut install = Command::new(&python);
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    run::command(install.args(CLIENTS))?;
    std::fs::write(stamp, wanted)?;
    Ok(python)
}
