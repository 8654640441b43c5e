//! `cargo xtask test`: everything that must pass, in the order in which it fails soonest.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

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

/// Tests that hardly compute and wait for minutes, as Terraform's provider does, Regions that are
/// away, and requests that stand still: they run beside the others, each by itself.
const WAITING: &[&str] = &[
    "test_global_failovers",
    "test_terraform_balancer_settings",
    "test_terraform_balancers",
    "test_terraform_databases",
    "test_terraform_fronts",
    "test_terraform_zones",
    "test_wire",
];

/// Modules of clients' tests that run at the same time, beside those that wait.
const LANES: usize = 3;

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
    ("world", world),
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

/// The packages whose binaries ship. Whatever is built with the optimiser is built beside them:
/// chosen by itself, a package has fewer features turned on in what it shares with them (tokio, a
/// Region, two SDKs), and Cargo would build all of that once more.
const SHIPPED: &[&str] = &["--package", "causeway", "--package", "orders"];

fn optimised(command: &str, arguments: &[&str]) -> Result<()> {
    run::cargo(&[&[command, "--release"], SHIPPED, arguments].concat())
}

/// Whole Regions in one thread, and global clusters of databases by themselves: thousands of seeds.
fn world() -> Result<()> {
    let targets = test_targets(&run::root().join("crates/world/tests"))?;
    let mut chosen = vec!["--package", "world", "--lib"];
    chosen.extend(targets.iter().flat_map(|target| ["--test", target]));
    chosen.extend(["--", "--nocapture"]);
    optimised("test", &chosen)?;
    let global = ["--package", "databases", "--test", "global"];
    optimised("test", &[&global[..], &["--", "--nocapture"]].concat())
}

/// The test targets of a folder `tests`, in order.
fn test_targets(folder: &Path) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_target =
            path.extension().is_some_and(|it| it == "rs") || path.join("main.rs").is_file();
        let name = path.file_stem().filter(|_| is_target);
        targets.extend(name.map(|name| name.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

/// The binaries that ship, in one go since they share most of their dependencies.
fn release() -> Result<()> {
    optimised("build", &[])?;
    optimised("test", &["--bin", "orders", "--quiet"])
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

/// The `aws` command line, boto3, `dig` and Terraform drive the whole slice. Most of the time a lab
/// waits, for a link, a lease or a check: so modules run side by side, in [`LANES`] lanes.
fn clients() -> Result<()> {
    let python = client_environment()?;
    javascript_environment()?;
    let queue = Mutex::new(modules(&run::root().join("tests/clients"))?);
    // A module that ends without a test's name to blame is run again whole.
    let first = |name: &str| {
        let mut command = client(&python, name);
        let failed = again::first(&mut command, again::failed_cases, Shown::AtItsEnd);
        failed.unwrap_or_else(|cause| {
            eprintln!("{cause:#}");
            vec![name.to_owned()]
        })
    };
    let lane = || {
        let mut failed = Vec::new();
        loop {
            let next = queue.lock().expect("nothing panics inside").pop();
            let Some(module) = next else {
                return failed;
            };
            failed.extend(first(&module));
        }
    };
    let failed: Vec<_> = std::thread::scope(|scope| {
        let beside = WAITING.iter().map(|module| scope.spawn(|| first(module)));
        let mut all: Vec<_> = beside.collect();
        all.extend((0..LANES).map(|_| scope.spawn(lane)));
        let ended = all
            .into_iter()
            .map(|one| one.join().expect("it doesn't panic"));
        ended.collect()
    });
    let kind = Kind {
        failed: again::failed_cases,
        one: Box::new(move |case| client(&python, case)),
    };
    let most = again::MAX_UNSTEADY + WAITING.len();
    again::second(failed.concat(), most, &kind)
}

/// The module of clients' tests that runs the cases of `conformance/` on a lab.
const CONFORMANCE: &str = "test_s3_conformance";

/// Runs a module of clients' tests, or one test of it.
fn client(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-m", "unittest", "--verbose"])
        .args(named(&run::root().join("conformance"), name))
        .env("PYTHONPATH", run::root().join("tests/clients"))
        .env("CAUSEWAY", run::root().join("target/release/causeway"));
    command
}

/// The arguments by which `unittest` finds a module or a test: a case of `conformance/` bears the
/// name of its own module, and has a lab to run on only within [`CONFORMANCE`].
fn named(conformance: &Path, name: &str) -> Vec<String> {
    let module = name.split('.').next().unwrap_or_default();
    match conformance.join(format!("{module}.py")).is_file() {
        true => [CONFORMANCE, "-k", name].map(str::to_owned).to_vec(),
        false => vec![name.to_owned()],
    }
}

/// The modules of clients' tests that aren't [`WAITING`], those that take longest (which have the
/// most to say) at the end.
fn modules(folder: &Path) -> Result<Vec<String>> {
    let mut modules = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let module = name.strip_suffix(".py");
        let module = module.filter(|module| module.starts_with("test_"));
        if let Some(module) = module.filter(|module| !WAITING.contains(module)) {
            modules.push((entry.metadata()?.len(), module.to_owned()));
        }
    }
    modules.sort();
    Ok(modules.into_iter().map(|(_, module)| module).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_of_conformance_is_run_again_within_the_module_that_has_a_lab() {
        let conformance = run::root().join("conformance");
        let case = "test_what_is_replicated.Others.test_x";
        assert_eq!(named(&conformance, case), [CONFORMANCE, "-k", case]);
        let others = "test_slice.Sdk.test_b";
        assert_eq!(named(&conformance, others), [others]);
        let module = run::root().join(format!("tests/clients/{CONFORMANCE}.py"));
        assert!(module.is_file());
    }

    /// They are chosen by name among the targets of all packages that a command builds.
    #[test]
    fn no_target_that_ships_has_the_name_of_one_of_the_simulation_s() {
        let targets = |folder: &str| test_targets(&run::root().join(folder)).unwrap();
        let simulation = targets("crates/world/tests");
        assert!(simulation.contains(&"seeds".to_owned()));
        let others = targets("crates/causeway/tests");
        assert!(others.contains(&"identity".to_owned()));
        let shared = others.iter().find(|name| simulation.contains(name));
        assert_eq!(shared, None);
        assert!(!run::root().join("examples/orders/tests").exists());
        assert!(!others.contains(&"global".to_owned()));
    }
}
