//! What is changed at a running server over its socket: its promotion, the master user's verifier,
//! the slots of its standbys, the heartbeat. Every word that reaches SQL is quoted by `text`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use types::Timestamp;
use zeroize::Zeroizing;

use super::bootstrap::verifier_of;
use super::error::PostgresError;
use super::files;
use super::home::blocking;
use super::secrets::random_word;
use super::server::Server;
use super::text;

/// How long a promotion may take: what was received is replayed first.
const PROMOTION: Duration = Duration::from_secs(60);

/// How long a checkpoint may take.
const CHECKPOINT: Duration = Duration::from_secs(300);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The file in the data directory with the word that `causeway.adopt` asks for.
const WORD: &str = "causeway.adopt";

/// Makes the group of master users again where the last of them removed it, as `roles.sql` does.
const SUPERUSERS: &str = "DO $$BEGIN \
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_superuser') THEN \
    CREATE ROLE rds_superuser NOLOGIN; \
    GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION; \
    END IF; END$$;";

impl Server {
    /// Makes a standby a primary on a timeline of its own, with an admin of its own; returns when
    /// it takes writes. A primary stays one. What is cut off goes on when it is asked again or at
    /// the next start.
    ///
    /// # Errors
    /// It didn't within 60 s, or doesn't answer.
    pub async fn promote(&self) -> Result<(), PostgresError> {
        let begun = Instant::now();
        if self.is_standby().await? {
            self.session().rows("SELECT pg_promote(false)").await?;
        }
        while self.is_standby().await? {
            if begun.elapsed() > PROMOTION {
                return Err(PostgresError::Late {
                    what: "a promotion",
                    wait: PROMOTION,
                });
            }
            tokio::time::sleep(LOOK).await;
        }
        self.adopt().await
    }

    /// Has a primary write what is in memory, and its control file with it: after a promotion a
    /// server can be rewound to it from then on. However much that is, at most 5 minutes.
    ///
    /// # Errors
    /// A standby (SQLSTATE 25006), or no answer.
    pub async fn checkpoint(&self) -> Result<(), PostgresError> {
        if self.is_standby().await? {
            return Err(PostgresError::Sql {
                sqlstate: "25006".into(),
                message: "a standby makes no checkpoint of its own".into(),
            });
        }
        self.adopt().await?;
        self.session().checkpoint(CHECKPOINT).await
    }

    /// Gives a primary that was a copy the admin password that is kept for it here: until then it
    /// has its upstream's, which nobody here knows. Does nothing at any other.
    pub(super) async fn adopt(&self) -> Result<(), PostgresError> {
        let mut secrets = self.home().secrets()?;
        if secrets.adopted || self.is_standby().await? {
            return Ok(());
        }
        let word = random_word();
        let (home, account) = (self.home().clone(), *self.postgres().account());
        let written = word.clone();
        blocking("can't write to a server's data", move || {
            files::write_in(home.data()?, WORD, written.as_bytes(), &account)
        })
        .await?;
        let verifier = text::literal(&verifier_of(&secrets.admin))?;
        let word = text::literal(&word)?;
        let adopt = Zeroizing::new(format!("SELECT causeway.adopt({word}, {verifier})"));
        let adopted = self.session().rows(&adopt).await;
        let home = self.home().clone();
        blocking("can't remove a file of a server's data", move || {
            files::remove_in(home.data()?, WORD)
        })
        .await?;
        adopted?;
        secrets.adopted = true;
        self.home().keep_secrets(&secrets)?;
        // From here on as the admin.
        self.session().leave().await;
        Ok(())
    }

    /// Takes back, at a primary, what the master user may have done to the replication role. Writes
    /// nothing when all is well.
    pub(super) async fn mend(&self) -> Result<(), PostgresError> {
        self.adopt().await?;
        self.session()
            .rows("SELECT causeway.mend()")
            .await
            .map(drop)
    }

    /// Sets the master user's verifier; a master user that was renamed or dropped is made again, as
    /// at the instance's making. Existing connections stay.
    ///
    /// # Errors
    /// A standby (SQLSTATE 25006), or no answer.
    pub async fn set_master(&self, master: &str, verifier: &str) -> Result<(), PostgresError> {
        let master = text::users_identifier(master)?;
        let verifier = text::literal(text::verifier(verifier)?)?;
        self.adopt().await?;
        let set = format!("ALTER ROLE {master} PASSWORD {verifier}");
        match self.session().rows(&set).await {
            // SQLSTATE 42704: undefined_object.
            Err(PostgresError::Sql { sqlstate, .. }) if sqlstate == "42704" => {
                let make = format!(
                    "{SUPERUSERS} CREATE ROLE {master} LOGIN CREATEDB CREATEROLE PASSWORD {verifier}; \
                     GRANT rds_superuser TO {master}"
                );
                self.session().rows(&make).await.map(drop)
            }
            set => set.map(drop),
        }
    }

    /// Has exactly these slots: makes what is missing, and each keeps WAL from now on; drops what
    /// isn't wanted, and ends the standby that uses it. At a primary it also takes back what the
    /// master user may have done to the replication role.
    ///
    /// # Errors
    /// A name is refused, no more slots are to be had (SQLSTATE 53400), or no answer.
    pub async fn keep_slots(&self, wanted: &BTreeSet<String>) -> Result<(), PostgresError> {
        let names = wanted.iter().map(|name| text::slot(name));
        names.collect::<Result<Vec<_>, _>>()?;
        if !self.is_standby().await? {
            self.put_right().await;
        }
        let there = self.slots().await?;
        for slot in there.iter().filter(|slot| !wanted.contains(&slot.name)) {
            self.drop_slot(&slot.name).await?;
        }
        for name in wanted {
            if !there.iter().any(|slot| slot.name == *name) {
                let name = text::literal(name)?;
                let make = format!("SELECT pg_create_physical_replication_slot({name}, true)");
                self.session().rows(&make).await?;
            }
        }
        Ok(())
    }

    /// Its standby comes again and again: between its end and the drop it may be back.
    async fn drop_slot(&self, name: &str) -> Result<(), PostgresError> {
        let name = text::literal(name)?;
        let end = format!(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots \
             WHERE slot_name = {name} AND active_pid IS NOT NULL"
        );
        let drop_it = format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
             WHERE slot_name = {name}"
        );
        let mut tries = 0;
        loop {
            self.session().rows(&end).await?;
            match self.session().rows(&drop_it).await {
                // SQLSTATE 55006: object_in_use.
                Err(PostgresError::Sql { sqlstate, .. }) if sqlstate == "55006" && tries < 100 => {
                    tries += 1;
                    tokio::time::sleep(LOOK).await;
                }
                other => return other.map(drop),
            }
        }
    }

    /// Writes the heartbeat of a primary: its standbys have replayed it when all that was
    /// committed before is there as well.
    ///
    /// # Errors
    /// A standby (SQLSTATE 25006), or no answer.
    pub async fn beat(&self, now: Timestamp) -> Result<(), PostgresError> {
        let beat = format!(
            "INSERT INTO causeway.heartbeat (milliseconds) VALUES ({}) \
             ON CONFLICT (one) DO UPDATE SET milliseconds = excluded.milliseconds",
            i64::try_from(now.0).unwrap_or(i64::MAX)
        );
        self.session().rows(&beat).await.map(drop)
    }
}
