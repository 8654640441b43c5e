//! Making a server: its cluster, our own roles and database, the master user. All of it is done by
//! programs that end before anybody can connect, so that there is never a server that is half made
//! and answers. What the master user must not become is said in `roles.sql`.

use std::ffi::OsString;
use std::fmt::Write;
use std::time::Duration;

use postgres_protocol::password::scram_sha_256;
use zeroize::Zeroizing;

use super::aurora::{FUNCTIONS, TEMPLATES};
use super::error::PostgresError;
use super::home::ServerHome;
use super::installation::{Postgres, Run};
use super::model::{NewServer, ServerSettings};
use super::secrets::Secrets;
use super::timeline::SEGMENT_MIB;
use super::{settings, text};

/// Our superuser, who made the cluster.
pub(super) const ADMIN: &str = "causeway_admin";

/// Who standbys and our observers are: REPLICATION, and what `pg_monitor` may see.
pub(super) const REPLICATION: &str = "causeway_replication";

/// Our own database. Users have `postgres`, and what they make.
pub(super) const DATABASE: &str = "causeway";

/// The database that every server has for its users, as RDS's has.
const USERS_DATABASE: &str = "postgres";

/// What is set up in the users' database, and in ours.
const ROLES: &str = include_str!("roles.sql");
const OWN: &str = include_str!("own.sql");

/// How long making a cluster may take.
const MAKING: Duration = Duration::from_secs(300);

/// How long a server alone may take without writing anything: it recovers from a copied log.
const ALONE: Duration = Duration::from_secs(600);

impl Postgres {
    /// Makes a server: checksums on, the master user no superuser. It does not run afterwards.
    ///
    /// # Errors
    /// The directory isn't empty, a name or the verifier is refused, or PostgreSQL fails; then it
    /// is [`Unfinished`](super::HomeState::Unfinished).
    pub async fn create(&self, home: &ServerHome, new: &NewServer) -> Result<(), PostgresError> {
        let users = users_statements(new)?;
        let _lock = home.begin(self).await?;
        let secrets = Secrets::new();
        home.keep_secrets(&secrets)?;
        self.make_cluster(home).await?;
        self.prepare_alone(home, "")?;
        let mut first = Zeroizing::new(String::new());
        if new.aurora {
            for template in TEMPLATES {
                self.alone(home, template, FUNCTIONS).await?;
            }
            // It isn't a copy of either.
            first.push_str(FUNCTIONS);
        }
        first.push_str(ROLES);
        first.push_str(&passwords(&secrets)?);
        first.push_str(&users);
        self.alone(home, USERS_DATABASE, &first).await?;
        self.alone(home, DATABASE, OWN).await?;
        home.finish().await
    }

    async fn make_cluster(&self, home: &ServerHome) -> Result<(), PostgresError> {
        let mut arguments: Vec<OsString> = vec!["-D".into(), home.data_path().into()];
        let words = [
            "--username=causeway_admin",
            "--data-checksums",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            // Its own files of admission are never read.
            "--auth=reject",
            // The disk is synced once everything is there.
            "--no-sync",
            "--no-instructions",
        ];
        arguments.extend(words.map(OsString::from));
        arguments.push(format!("--wal-segsize={SEGMENT_MIB}").into());
        let run = Run {
            program: "initdb",
            arguments,
            input: b"",
            wait: MAKING,
            moving: false,
        };
        run.with(self).await.map(drop)
    }

    /// Writes the files of settings that a server alone is started with; `control` is what
    /// `pg_controldata` says of data that come from another server.
    pub(super) fn prepare_alone(
        &self,
        home: &ServerHome,
        control: &str,
    ) -> Result<(), PostgresError> {
        settings::write_files(home, self.account(), &ServerSettings::default(), control)?;
        settings::take_fresh(home)
    }

    /// Carries out statements in a server that nobody can connect to (postgres: single-user mode),
    /// and lets it write its last checkpoint. The first that fails ends it.
    pub(super) async fn alone(
        &self,
        home: &ServerHome,
        database: &str,
        statements: &str,
    ) -> Result<(), PostgresError> {
        self.alone_with(home, database, statements, &[]).await
    }

    /// As [`Postgres::alone`], with more settings.
    pub(super) async fn alone_with(
        &self,
        home: &ServerHome,
        database: &str,
        statements: &str,
        more: &[String],
    ) -> Result<(), PostgresError> {
        let mut arguments: Vec<OsString> = vec!["--single".into(), "-j".into()];
        arguments.extend(settings::arguments(home, "postgresql.conf"));
        for setting in more {
            arguments.extend(["-c".into(), setting.into()]);
        }
        // A server that was killed is rewound by the log from before its recovery.
        let words = [
            "-c",
            "exit_on_error=on",
            "-c",
            "wal_keep_size=1TB",
            "--",
            database,
        ];
        arguments.extend(words.map(OsString::from));
        let run = Run {
            program: "postgres",
            arguments,
            input: statements.as_bytes(),
            wait: ALONE,
            moving: true,
        };
        run.with(self).await.map(drop)
    }
}

/// The statements that give our roles their passwords.
pub(super) fn passwords(secrets: &Secrets) -> Result<Zeroizing<String>, PostgresError> {
    let mut statements = Zeroizing::new(String::with_capacity(1024));
    for (role, password) in [(ADMIN, &secrets.admin), (REPLICATION, &secrets.replication)] {
        let verifier = text::literal(&verifier_of(password))?;
        write!(statements, "ALTER ROLE {role} PASSWORD {verifier};\n\n")
            .expect("a String takes everything");
    }
    Ok(statements)
}

/// What PostgreSQL keeps of a password of ours.
pub(super) fn verifier_of(password: &str) -> String {
    scram_sha_256(password.as_bytes())
}

/// The statements that make the master user and its databases.
fn users_statements(new: &NewServer) -> Result<Zeroizing<String>, PostgresError> {
    let master = text::users_identifier(&new.master)?;
    let verifier = text::literal(text::verifier(&new.verifier)?)?;
    let mut statements = Zeroizing::new(format!(
        "CREATE ROLE {master} LOGIN CREATEDB CREATEROLE PASSWORD {verifier};\n\n\
         GRANT rds_superuser TO {master};\n\n\
         ALTER DATABASE {USERS_DATABASE} OWNER TO {master};\n\n"
    ));
    match new.database.as_deref() {
        None | Some(USERS_DATABASE) => {}
        Some(name) => {
            let name = text::users_identifier(name)?;
            write!(statements, "CREATE DATABASE {name} OWNER {master};\n\n")
                .expect("a String takes everything");
        }
    }
    Ok(statements)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(master: &str, database: Option<&str>) -> NewServer {
        NewServer {
            master: master.into(),
            verifier: verifier_of("secret"),
            database: database.map(str::to_owned),
            aurora: false,
        }
    }

    #[test]
    fn our_own_verifiers_are_verifiers() {
        let made = verifier_of("secret");
        assert_eq!(text::verifier(&made).unwrap(), made);
        assert!(made.starts_with("SCRAM-SHA-256$4096:"));
    }

    #[test]
    fn names_are_quoted_and_our_own_refused() {
        let statements = users_statements(&new("o'\"x;\n", None));
        assert!(statements.is_err(), "a line end would end a statement");
        let statements = users_statements(&new("o'\"x", Some("d\"b"))).unwrap();
        assert!(
            statements.contains("CREATE ROLE \"o'\"\"x\" LOGIN"),
            "{}",
            *statements
        );
        assert!(
            statements.contains("CREATE DATABASE \"d\"\"b\" OWNER"),
            "{}",
            *statements
        );
        assert!(users_statements(&new("causeway_admin", None)).is_err());
        assert!(users_statements(&new("m", Some("causeway"))).is_err());
        let mut plain = new("m", None);
        plain.verifier = "password".into();
        assert!(users_statements(&plain).is_err());
    }

    #[test]
    fn statements_end_where_a_server_alone_ends_them() {
        for text in [ROLES, OWN, FUNCTIONS] {
            assert!(text.ends_with(";\n\n"));
        }
    }
}
