//! Our own connection to a server: over its socket, to our own database, with a search path that
//! no user has a say in. As the admin, or, at a copy that was never promoted, as the replication
//! role. One connection is kept and made again when it is lost.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};
use zeroize::Zeroizing;

use super::bootstrap::{ADMIN, DATABASE, REPLICATION};
use super::error::PostgresError;
use super::home::{PORT, ServerHome};
use super::model::Upstream;
use super::secrets::Secrets;
use super::text;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the server's answer is waited for; somewhat longer than a statement may take there.
pub(super) const ANSWER: Duration = Duration::from_secs(15);

/// What our sessions set, whatever the server, the database or the role has.
const OPTIONS: &str = "-c search_path=pg_catalog -c standard_conforming_strings=on \
     -c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=60s \
     -c idle_session_timeout=0 -c role=none -c local_preload_libraries= \
     -c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed \
     -c synchronous_commit=local -c datestyle=iso -c bytea_output=hex -c jit=off";

/// What only a superuser may set: no statement of ours, which may hold a verifier, is logged.
const SILENT: &str = " -c log_statement=none -c log_min_duration_statement=-1 \
     -c log_duration=off -c log_min_error_statement=panic";

/// Our connection to one server, made when it is first used.
pub(super) struct Session {
    home: ServerHome,
    client: Mutex<Option<Arc<Client>>>,
}

impl Session {
    /// To the server of that directory.
    pub(super) fn new(home: ServerHome) -> Session {
        Session {
            home,
            client: Mutex::new(None),
        }
    }

    /// Carries out statements; gives the rows of all of them.
    pub(super) async fn rows(&self, sql: &str) -> Result<Vec<SimpleQueryRow>, PostgresError> {
        let client = self.client().await?;
        let asked = tokio::time::timeout(ANSWER, client.simple_query(sql)).await;
        let Ok(answer) = asked else {
            // What it would still say belongs to nobody.
            self.leave().await;
            return Err(PostgresError::Late {
                what: "a server's answer",
                wait: ANSWER,
            });
        };
        let messages = answer.map_err(said)?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Carries out a statement that gives one row.
    pub(super) async fn row(&self, sql: &str) -> Result<SimpleQueryRow, PostgresError> {
        let mut rows = self.rows(sql).await?;
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            _ => Err(PostgresError::Gone("it gave no one row".into())),
        }
    }

    /// Makes a checkpoint, which may take longer than a statement may else.
    pub(super) async fn checkpoint(&self, wait: Duration) -> Result<(), PostgresError> {
        let client = self.client().await?;
        let sql = format!(
            "SET statement_timeout = {}; CHECKPOINT; RESET statement_timeout",
            wait.as_millis()
        );
        match tokio::time::timeout(wait + ANSWER, client.simple_query(&sql)).await {
            Ok(answer) => answer.map(drop).map_err(said),
            Err(_) => {
                self.leave().await;
                Err(PostgresError::Late {
                    what: "a checkpoint",
                    wait,
                })
            }
        }
    }

    /// Gives the connection up; the next use makes another, perhaps as another role.
    pub(super) async fn leave(&self) {
        self.client.lock().await.take();
    }

    async fn client(&self) -> Result<Arc<Client>, PostgresError> {
        let mut kept = self.client.lock().await;
        if let Some(client) = kept.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        let client = Arc::new(connect(&self.home, &self.home.secrets()?).await?);
        *kept = Some(client.clone());
        Ok(client)
    }
}

/// Connects to another server as its replication role, to look at it.
pub(super) async fn visit(upstream: &Upstream) -> Result<Client, PostgresError> {
    let mut config = config(&upstream.socket_directory);
    config
        .user(REPLICATION)
        .password(upstream.password.as_bytes())
        .options(OPTIONS);
    open(config).await
}

impl ServerHome {
    /// The SCRAM-SHA-256 verifier of a user of the server that runs there, as it is kept there.
    ///
    /// # Errors
    /// There is no such user, or it has no such verifier; or the server doesn't answer.
    pub async fn users_verifier(&self, user: &str) -> Result<Zeroizing<String>, PostgresError> {
        let name = text::literal(user)?;
        let session = Session::new(self.clone());
        let sql = format!("SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = {name}");
        let rows = session.rows(&sql).await?;
        let verifier = rows.first().and_then(|row| row.get(0));
        let verifier = verifier.map(|verifier| Zeroizing::new(verifier.to_owned()));
        verifier.ok_or_else(|| PostgresError::Refused {
            what: user.to_owned(),
            why: "it has no password",
        })
    }
}

/// Connects as who the secrets say we are there.
async fn connect(home: &ServerHome, secrets: &Secrets) -> Result<Client, PostgresError> {
    let mut config = config(home.socket_directory());
    match secrets.adopted {
        true => config
            .user(ADMIN)
            .password(secrets.admin.as_bytes())
            .options(format!("{OPTIONS}{SILENT}")),
        false => config
            .user(REPLICATION)
            .password(secrets.replication.as_bytes())
            .options(OPTIONS),
    };
    open(config).await
}

fn config(socket_directory: &Path) -> Config {
    let mut config = Config::new();
    config
        .host_path(socket_directory)
        .port(PORT)
        .dbname(DATABASE)
        .application_name("causeway")
        .connect_timeout(CONNECT);
    config
}

async fn open(config: Config) -> Result<Client, PostgresError> {
    let connected = tokio::time::timeout(ANSWER, config.connect(NoTls)).await;
    let connected = connected.map_err(|_| PostgresError::Late {
        what: "a connection to a server",
        wait: ANSWER,
    })?;
    let (client, connection) = connected.map_err(said)?;
    tokio::spawn(async move {
        // It ends with the client or with the server: who waits for an answer is told.
        if let Err(cause) = connection.await {
            tracing::debug!(%cause, "a connection to a server has ended");
        }
    });
    Ok(client)
}

pub(super) fn said(error: tokio_postgres::Error) -> PostgresError {
    match error.as_db_error() {
        // SQLSTATE 57P01 and 57P02: the server ends, or had to end this session.
        Some(said) if ["57P01", "57P02"].contains(&said.code().code()) => {
            PostgresError::Gone(said.message().to_owned())
        }
        Some(said) => PostgresError::Sql {
            sqlstate: said.code().code().to_owned(),
            message: said.message().to_owned(),
        },
        None => PostgresError::Gone(match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        }),
    }
}
