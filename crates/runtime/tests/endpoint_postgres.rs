//! An endpoint before a real PostgreSQL, with its own clients. Says so and tests nothing where
//! there is none.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test starts processes, reads clocks and waits"
)]

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::{Backend, DatabaseEndpoint, EndpointDirectory, EndpointLimits, EndpointTls};
use tempfile::TempDir;

/// Where Debian has it.
const BINARIES: &str = "/usr/lib/postgresql/15/bin";

/// One that every character of could be taken for something else.
const PASSWORD: &str = "pass 'word\" \\ %s $1 é";

struct Server {
    directory: TempDir,
    process: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT: a fast shutdown, which takes its shared memory with it.
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).ok();
        self.process.wait().ok();
    }
}

struct Behind(PathBuf);

impl EndpointDirectory for Behind {
    fn backend(&self) -> Backend {
        Backend::Server {
            socket: self.0.clone(),
        }
    }
}

/// The user that PostgreSQL runs as, as it won't as root.
fn user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let number = |flag| {
        let said = Command::new("id")
            .args([flag, "postgres"])
            .output()
            .unwrap();
        String::from_utf8(said.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    Some((number("-u"), number("-g")))
}

fn program(name: &str) -> Command {
    let mut command = Command::new(Path::new(BINARIES).join(name));
    command.current_dir("/");
    if let Some((user, group)) = user() {
        command.uid(user).gid(group);
    }
    command
}

fn server() -> Option<Server> {
    if !Path::new(BINARIES).join("postgres").exists() {
        eprintln!("SKIPPED: there is no PostgreSQL 15 in {BINARIES}");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let password = directory.path().join("password");
    fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    if let Some((user, group)) = user() {
        chown(directory.path(), Some(user), Some(group)).unwrap();
        chown(&password, Some(user), Some(group)).unwrap();
    }
    let mut made = program("initdb");
    made.args(["--auth=scram-sha-256", "--no-sync", "--username=alice"]);
    made.arg("-D").arg(&data).arg("--pwfile").arg(&password);
    let made = made.output().unwrap();
    assert!(made.status.success(), "{}", words(&made));
    let mut process = program("postgres");
    process.arg("-D").arg(&data).arg("-k").arg(directory.path());
    process.args(["-c", "listen_addresses=", "-c", "fsync=off"]);
    process.stdout(Stdio::null()).stderr(Stdio::null());
    let process = process.spawn().unwrap();
    let server = Server { directory, process };
    let begun = Instant::now();
    while !server.socket().exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it doesn't start"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(server)
}

impl Server {
    fn socket(&self) -> PathBuf {
        self.directory.path().join(".s.PGSQL.5432")
    }
}

fn words(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// What a client says when it has run with that connection string and these arguments.
async fn client(name: &str, connection: String, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(Path::new(BINARIES).join(name));
    command.args(arguments).arg(connection);
    command
        .env("PGPASSWORD", PASSWORD)
        .env("PGCONNECT_TIMEOUT", "20");
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = ran.await.unwrap();
    (output.status.success(), words(&output))
}

fn certificate() -> EndpointTls {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    EndpointTls::from_pem(&made.cert.pem(), &made.signing_key.serialize_pem()).unwrap()
}

fn endpoint(server: &Server, tls: Option<EndpointTls>) -> (DatabaseEndpoint, String) {
    let behind = Arc::new(Behind(server.socket()));
    let address = "127.0.0.1:0".parse().unwrap();
    let endpoint = DatabaseEndpoint::listen(address, tls, behind, EndpointLimits::STANDARD);
    let endpoint = endpoint.unwrap();
    let port = endpoint.address().port();
    let connection = format!("host=127.0.0.1 port={port} dbname=postgres user=alice");
    (endpoint, connection)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psql_logs_in_queries_cancels_and_is_refused_what_is_not_its_own() {
    let Some(server) = tokio::task::spawn_blocking(server).await.unwrap() else {
        return;
    };
    let (plain, at_plain) = endpoint(&server, None);
    let (_secure, at_secure) = endpoint(&server, Some(certificate()));
    let ask = ["-XAtc", "select 6 * 7"];
    for connection in [
        at_plain.clone(),
        format!("{at_secure} sslmode=require"),
        format!("{at_secure} sslmode=disable"),
    ] {
        assert_eq!(
            client("psql", connection, &ask).await,
            (true, "42\n".to_owned())
        );
    }
    // Much, both ways.
    let much = [
        "-XAtc",
        "select length(repeat('x', 30000000)), repeat('y', 3000000)",
    ];
    let (_, said) = client("psql", at_plain.clone(), &much).await;
    assert_eq!(said.len(), "30000000|\n".len() + 3_000_000);
    // The server's own refusals come through.
    let (done, said) = client("psql", format!("{at_plain} password=wrong"), &ask).await;
    assert!(
        !done && said.contains("password authentication failed"),
        "{said}"
    );
    for (parameters, expected) in [
        (
            "user=causeway_admin",
            "role \"causeway_admin\" is not permitted to log in",
        ),
        (
            "replication=true",
            "no pg_hba.conf entry for replication connection",
        ),
        (
            "replication=database",
            "no pg_hba.conf entry for replication connection",
        ),
    ] {
        let (done, said) = client("psql", format!("{at_plain} {parameters}"), &ask).await;
        assert!(!done && said.contains(expected), "{said}");
    }
    let (done, said) = client("psql", format!("{at_plain} sslmode=require"), &ask).await;
    assert!(
        !done && said.contains("server does not support SSL"),
        "{said}"
    );
    cancel(&at_plain).await;
    assert_eq!(plain.counts().cancels, 1);
    // The server's last words, and its absence.
    let terminated = ["-XAtc", "select pg_terminate_backend(pg_backend_pid())"];
    let (done, said) = client("psql", at_plain.clone(), &terminated).await;
    assert!(
        !done && said.contains("terminating connection due to administrator"),
        "{said}"
    );
    drop(server);
    let (done, said) = client("psql", at_plain, &ask).await;
    assert!(
        !done && said.contains("the database system is not accepting"),
        "{said}"
    );
}

/// A query is cancelled as psql does it: by another connection.
async fn cancel(connection: &str) {
    let mut psql = Command::new(Path::new(BINARIES).join("psql"));
    psql.args(["-XAtc", "select pg_sleep(60)", connection]);
    psql.env("PGPASSWORD", PASSWORD);
    psql.stdout(Stdio::piped()).stderr(Stdio::piped());
    let psql = psql.spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&psql);
    let sleeping = [
        "-XAtc",
        "select count(*) from pg_stat_activity where wait_event = 'PgSleep'",
    ];
    let begun = Instant::now();
    while client("psql", connection.to_owned(), &sleeping).await.1 != "1\n" {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it doesn't sleep"
        );
    }
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let waited = tokio::task::spawn_blocking(move || psql.wait_with_output().unwrap());
    let said = words(&waited.await.unwrap());
    assert!(
        said.contains("canceling statement due to user request"),
        "{said}"
    );
    assert!(begun.elapsed() < Duration::from_secs(50));
}
