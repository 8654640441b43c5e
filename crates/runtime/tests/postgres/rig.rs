//! What the tests stand on: a place for servers, their users, and a look at processes.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use runtime::postgres::{NewServer, Postgres, Server, ServerHome, ServerSettings};
use tokio_postgres::{Client, NoTls};

/// The master user of every test's servers: a name that must be quoted.
pub(crate) const MASTER: &str = "Ma'ster \"one\"";

/// Its password.
pub(crate) const PASSWORD: &str = "p4ss 'w\\ord\" ä";

/// For what is to happen soon. Machines that run tests may be busy.
pub(crate) const WAIT: Duration = Duration::from_secs(60);

/// A place for servers.
pub(crate) struct Rig {
    pub(crate) postgres: Postgres,
    directory: tempfile::TempDir,
}

/// A place, unless there is no PostgreSQL here.
pub(crate) fn rig() -> Option<Rig> {
    let postgres = match Postgres::find() {
        Ok(postgres) => postgres,
        Err(missing) => {
            eprintln!("skipped: {missing}");
            return None;
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let passable = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(directory.path(), passable).unwrap();
    Some(Rig {
        postgres,
        directory,
    })
}

impl Rig {
    /// Where servers and snapshots are.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A directory for a server.
    pub(crate) fn home(&self, name: &str) -> ServerHome {
        ServerHome::new(self.path().join(name))
    }

    /// A new server there, running.
    pub(crate) async fn server(&self, name: &str) -> (ServerHome, Server) {
        let home = self.home(name);
        self.postgres.create(&home, &new()).await.unwrap();
        let server = self.postgres.start(&home, &ServerSettings::default()).await;
        (home, server.unwrap())
    }
}

/// What a test's server is made with.
pub(crate) fn new() -> NewServer {
    NewServer {
        master: MASTER.into(),
        verifier: verifier(PASSWORD),
        database: Some("Its own".into()),
        aurora: false,
    }
}

pub(crate) fn verifier(password: &str) -> String {
    postgres_protocol::password::scram_sha_256(password.as_bytes())
}

pub(crate) fn settings(parameters: &[(&str, &str)]) -> ServerSettings {
    let parameters = parameters
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    ServerSettings {
        parameters: parameters.collect::<BTreeMap<String, String>>(),
        upstream: None,
        synchronous: None,
    }
}

/// Logs in over a server's socket.
pub(crate) async fn login(
    socket_directory: &Path,
    user: &str,
    password: &str,
    database: &str,
) -> Result<Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(socket_directory)
        .user(user)
        .password(password)
        .dbname(database);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move { connection.await.ok() });
    Ok(client)
}

/// The master user in `postgres`.
pub(crate) async fn master(home: &ServerHome) -> Client {
    let client = login(home.socket_directory(), MASTER, PASSWORD, "postgres").await;
    client.unwrap()
}

/// The one number that a statement gives.
pub(crate) async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// SQLSTATE of what a statement fails with.
pub(crate) fn sqlstate(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("", |code| code.code())
}

/// The processes whose working directory is that server's data, zombies apart.
pub(crate) fn processes(home: &ServerHome) -> Vec<i32> {
    let data = home.directory().join("data");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(number) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let place = std::fs::read_link(entry.path().join("cwd"));
        if place.is_ok_and(|place| place == data) {
            found.push(number);
        }
    }
    found
}

/// The user that a process runs as.
pub(crate) fn user_of(process: i32) -> u32 {
    std::fs::metadata(format!("/proc/{process}")).unwrap().uid()
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Waits until it holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < WAIT, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
