//! A connection to a PostgreSQL endpoint from a chosen address, as an application has one: it logs
//! in, and carries out one statement after the other. No TLS, no statements that are prepared, no
//! second try.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use zeroize::Zeroizing;

use super::{ClientError, connect};

/// Who logs in where.
pub struct SqlLogin {
    /// The database.
    pub database: String,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: Zeroizing<String>,
}

/// Why a statement came to nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SqlError {
    /// The database said so.
    #[error("{message} (SQLSTATE {sqlstate})")]
    Refused {
        /// Its code.
        sqlstate: String,
        /// Its words.
        message: String,
    },
    /// No answer came.
    #[error(transparent)]
    Unanswered(#[from] ClientError),
}

/// A connection, closed when it is dropped.
pub struct SqlConnection {
    client: Client,
    driver: JoinHandle<()>,
}

impl SqlConnection {
    /// Connects from that address to that endpoint, and logs in.
    ///
    /// # Errors
    /// Nobody is there, or it refuses.
    pub async fn open(
        source: Ipv4Addr,
        endpoint: SocketAddr,
        login: &SqlLogin,
    ) -> Result<SqlConnection, SqlError> {
        let stream = connect(source, endpoint).await;
        let stream = stream.map_err(|cause| match cause.kind() {
            io::ErrorKind::ConnectionRefused => ClientError::Refused,
            _ => ClientError::Unreachable,
        })?;
        let mut config = Config::new();
        config
            .user(&login.user)
            .password(login.password.as_bytes())
            .dbname(&login.database);
        let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(said)?;
        let driver = tokio::spawn(async move {
            // How it ends, whoever waits for an answer learns.
            connection.await.ok();
        });
        Ok(SqlConnection { client, driver })
    }

    /// Carries out a statement; gives its rows as text, empty where a field is null. Dropped
    /// before it is through, it leaves the connection unusable.
    ///
    /// # Errors
    /// The database refuses, or ends the connection.
    pub async fn rows(&self, statement: &str) -> Result<Vec<Vec<String>>, SqlError> {
        let messages = self.client.simple_query(statement).await.map_err(said)?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let fields = (0..row.len()).map(|at| row.get(at).unwrap_or_default().to_owned());
                Some(fields.collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Can it carry out another statement? `false` once either end has closed it.
    pub fn is_open(&self) -> bool {
        !self.client.is_closed() && !self.driver.is_finished()
    }
}

impl Drop for SqlConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn said(error: tokio_postgres::Error) -> SqlError {
    match error.as_db_error() {
        Some(said) => SqlError::Refused {
            sqlstate: said.code().code().to_owned(),
            message: said.message().to_owned(),
        },
        None => SqlError::Unanswered(ClientError::Broken),
    }
}
