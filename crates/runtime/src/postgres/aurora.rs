//! What a cluster's server shows of itself by SQL, as Aurora PostgreSQL does: functions in every
//! database, which read one file beside the server's data. A writer also hands what it knows of
//! those who follow it on by its own log, so that they can show it too. What is shown is judged
//! and measured elsewhere; nothing here is a secret.

use types::Timestamp;

use super::error::PostgresError;
use super::files;
use super::home::blocking;
use super::model::{FollowerPlace, Lsn, Pulse};
use super::observe::{optional, word};
use super::server::Server;
use super::text;

/// The statements that make the functions in one database.
pub(super) const FUNCTIONS: &str = include_str!("aurora.sql");

/// The databases that others are copies of: with the functions, so will those be.
pub(super) const TEMPLATES: [&str; 2] = ["template0", "template1"];

/// The file that the functions read, beside the data directory: `../aurora.json` from there.
const FILE: &str = "aurora.json";

/// The longest that is shown, in bytes: what the functions read at most.
const LONGEST: usize = 1024 * 1024;

/// What a writer hands on, and where that stands.
const HANDED_ON: &str = "SELECT facts FROM causeway.handed_on";

/// Where the log stands once the heartbeat has been committed, and what each slot's standby has
/// on its disk: PostgreSQL moves a physical slot to where its standby says that it has flushed.
const PLACES: &str = "\
SELECT pg_current_wal_flush_lsn() AS written,
  pg_snapshot_xmax(pg_current_snapshot())::text AS next,
  (SELECT string_agg(concat_ws(' ', slot_name, restart_lsn, xmin), ',')
    FROM pg_replication_slots
    WHERE slot_type = 'physical' AND NOT temporary AND restart_lsn IS NOT NULL) AS places";

impl Server {
    /// Has the functions show these facts from now on: a JSON object with `instance`, a text, and
    /// the arrays `clusters`, `instances` and `replicas` of objects with columns as keys. ASCII, so
    /// that databases of every encoding can read it; 1 MiB at most. It isn't synced to the disk: it
    /// is soon written anew.
    ///
    /// # Errors
    /// The facts are too long or not ASCII, or the disk refuses.
    pub async fn show(&self, facts: &str) -> Result<(), PostgresError> {
        if facts.len() > LONGEST || !facts.is_ascii() {
            return Err(PostgresError::Refused {
                what: "what a server shows of itself".to_owned(),
                why: "it is ASCII, and 1 MiB at most",
            });
        }
        let path = self.home().file(FILE);
        let account = *self.postgres().account();
        let bytes = facts.as_bytes().to_owned();
        blocking("can't write what a server shows of itself", move || {
            files::put(&path, &bytes, 0o600, Some(&account)).map(drop)
        })
        .await
    }

    /// Writes the heartbeat of a primary, as [`Server::beat`] does; gives where its log stood once
    /// that was committed, and what its standbys have on their disks.
    ///
    /// # Errors
    /// A standby (SQLSTATE 25006), or no answer.
    pub async fn pulse(&self, now: Timestamp) -> Result<Pulse, PostgresError> {
        self.beat(now).await?;
        let row = self.session().row(PLACES).await?;
        let next: u64 = word(&row, "next")?;
        let places = optional::<String>(&row, "places")?.unwrap_or_default();
        let odd = || PostgresError::Gone(format!("its slots are {places}"));
        let slots = places.split(',').filter(|place| !place.is_empty());
        let slots = slots.map(|place| follower(place, next).ok_or_else(odd));
        Ok(Pulse {
            written: word(&row, "written")?,
            followers: slots.collect::<Result<_, _>>()?,
        })
    }

    /// Hands facts on to those who follow this primary, in the place of what it handed on before.
    ///
    /// # Errors
    /// A standby (SQLSTATE 25006), or no answer.
    pub async fn hand_on(&self, facts: &str) -> Result<(), PostgresError> {
        let facts = text::literal(facts)?;
        let sql = format!(
            "INSERT INTO causeway.handed_on (facts) VALUES ({facts}) \
             ON CONFLICT (one) DO UPDATE SET facts = excluded.facts"
        );
        self.session().rows(&sql).await.map(drop)
    }

    /// What the writer handed on last, as far as this server has replayed; none if it never did.
    ///
    /// # Errors
    /// No answer.
    pub async fn handed_on(&self) -> Result<Option<String>, PostgresError> {
        match self.session().rows(HANDED_ON).await?.first() {
            Some(row) => optional(row, "facts"),
            None => Ok(None),
        }
    }
}

/// A slot's name, where its standby is, and the oldest transaction that it needs, if it says so.
fn follower(place: &str, next: u64) -> Option<(String, FollowerPlace)> {
    let mut words = place.split(' ');
    let name = words.next()?.to_owned();
    let flushed: Lsn = words.next()?.parse().ok()?;
    let xmin = words.next().map(|xmin| xmin.parse().ok());
    let xmin: Option<u32> = match xmin {
        Some(xmin) => Some(xmin?),
        None => None,
    };
    // The number is of 32 bits and goes round: one that is beyond the next is of the epoch before.
    let epoch = |xmin: u32| (next >> 32) - u64::from(u64::from(xmin) > next & 0xffff_ffff);
    let feedback = match xmin {
        Some(xmin) if next >> 32 > 0 || u64::from(xmin) <= next => Some((epoch(xmin), xmin)),
        Some(_) => return None,
        None => None,
    };
    Some((name, FollowerPlace { flushed, feedback }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_s_oldest_transaction_is_of_this_epoch_or_of_the_one_before() {
        let place = |text: &str, next| follower(text, next).map(|(_, place)| place);
        let flushed = Lsn(0x16_0000_0010);
        let with = |feedback| Some(FollowerPlace { flushed, feedback });
        assert_eq!(place("s 16/10", 7), with(None));
        assert_eq!(place("s 16/10 700", 701), with(Some((0, 700))));
        assert_eq!(place("s 16/10 700", (3 << 32) | 701), with(Some((3, 700))));
        let before = with(Some((2, 4_000_000_000)));
        assert_eq!(place("s 16/10 4000000000", (3 << 32) | 701), before);
        for odd in ["s", "", "s 1", "s 16/10 x", "s 16/10 702"] {
            assert_eq!(place(odd, 701), None, "{odd}");
        }
    }

    #[test]
    fn the_functions_are_owned_by_nobody_s_search_path_and_read_no_file_but_theirs() {
        let made = FUNCTIONS
            .matches("CREATE FUNCTION pg_catalog.aurora_")
            .count();
        assert_eq!(made, 5);
        let pinned = FUNCTIONS.matches("SET search_path = pg_catalog, pg_temp");
        assert_eq!(pinned.count(), made);
        let file = format!("nullif(pg_read_file('../{FILE}', 0, {LONGEST}, true), '')");
        assert_eq!(FUNCTIONS.matches(&file).count(), made - 1);
        assert_eq!(FUNCTIONS.matches("pg_read").count(), made - 1);
        // A server alone ends a statement there.
        assert!(FUNCTIONS.ends_with("$body$;\n\n"));
        assert_eq!(FUNCTIONS.matches(";\n\n").count(), made);
    }
}
