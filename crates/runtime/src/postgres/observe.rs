//! What a running server says of itself, in three questions to its own views. Nothing is kept and
//! nothing is judged.

use std::str::FromStr;

use tokio_postgres::SimpleQueryRow;
use types::Timestamp;

use super::error::PostgresError;
use super::model::{Observation, PendingRestart, Role, SlotSeen, StandbySeen};
use super::server::Server;

/// Itself. The timeline of a primary is the one that it writes: the last checkpoint's is an older
/// one for a while after a promotion. A standby has replayed what is in its own files and received
/// the rest: it has the greater of the two.
const ITSELF: &str = "\
SELECT pg_is_in_recovery() AS standby,
  (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
  CASE WHEN pg_is_in_recovery() THEN greatest(
      (SELECT timeline_id FROM pg_control_checkpoint()),
      (SELECT received_tli FROM pg_stat_wal_receiver))
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int
  END AS timeline,
  CASE WHEN pg_is_in_recovery()
    THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
    ELSE pg_current_wal_flush_lsn()
  END AS written,
  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END AS replayed,
  coalesce((SELECT status = 'streaming' FROM pg_stat_wal_receiver), false) AS receiving,
  CASE WHEN pg_is_in_recovery()
    THEN pg_get_wal_replay_pause_state() <> 'not paused' ELSE false
  END AS paused,
  coalesce((SELECT wait_event IN ('RecoveryWalStream', 'RecoveryRetrieveRetryInterval')
    FROM pg_stat_activity WHERE backend_type = 'startup'), false) AS starved,
  (SELECT timeline_id FROM pg_control_checkpoint()) AS checkpointed,
  (SELECT milliseconds FROM causeway.heartbeat) AS heartbeat,
  (SELECT string_agg(name, ' ' ORDER BY name) FROM pg_settings WHERE pending_restart) AS pending";

/// Who follows it. A copy that is being made is no standby yet.
const STANDBYS: &str = "\
SELECT application_name, state = 'streaming' AS streaming, sent_lsn AS sent,
  flush_lsn AS flushed, replay_lsn AS replayed
FROM pg_stat_replication WHERE state IN ('startup', 'catchup', 'streaming')
ORDER BY application_name, pid";

/// Its slots for them.
const SLOTS: &str = "\
SELECT slot_name AS name, active, restart_lsn AS restart,
  coalesce(wal_status = 'lost', false) AS lost
FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT temporary
  AND slot_name <> 'causeway_archive' ORDER BY slot_name";

/// Where its log begins that is there: where the first file does, of whatever timeline.
const OLDEST: &str = "\
WITH file AS (SELECT ('x' || substr(name, 9, 8))::bit(32)::bigint AS high,
    ('x' || substr(name, 17, 8))::bit(32)::bigint
      * pg_size_bytes(current_setting('wal_segment_size')) AS low
  FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$')
SELECT (upper(to_hex(high)) || '/' || upper(to_hex(low)))::pg_lsn AS oldest
FROM file ORDER BY high, low LIMIT 1";

impl Server {
    /// Asks it what it is and how it is; at a primary it also takes back what the master user may
    /// have done to the replication role, which standbys elsewhere log in as.
    ///
    /// # Errors
    /// It doesn't answer.
    pub async fn observe(&self) -> Result<Observation, PostgresError> {
        // A session outlives its postmaster for a moment.
        if !self.is_running() {
            return Err(PostgresError::Gone("it has ended".to_owned()));
        }
        self.bound_log().await;
        let itself = self.session().row(ITSELF).await?;
        let standbys = self.session().rows(STANDBYS).await?;
        let slots = self.session().rows(SLOTS).await?;
        let pending = optional::<String>(&itself, "pending")?.unwrap_or_default();
        let role = match yes(&itself, "standby")? {
            true => Role::Standby,
            false => Role::Primary,
        };
        if role == Role::Primary {
            self.put_right().await;
        }
        let timeline = word(&itself, "timeline")?;
        let slots: Vec<SlotSeen> = slots.iter().map(slot).collect::<Result<_, _>>()?;
        let is_missed = role == Role::Primary && slots.iter().any(|slot| !slot.active);
        let oldest = match is_missed {
            true => optional(&self.session().row(OLDEST).await?, "oldest")?,
            false => None,
        };
        Ok(Observation {
            role,
            timeline,
            system_identifier: word(&itself, "system_identifier")?,
            written: word(&itself, "written")?,
            replayed: optional(&itself, "replayed")?,
            receiving: yes(&itself, "receiving")?,
            paused: yes(&itself, "paused")?,
            starved: yes(&itself, "starved")?,
            checkpointed: word::<u32>(&itself, "checkpointed")? == timeline,
            heartbeat: optional(&itself, "heartbeat")?.map(Timestamp),
            pending_restart: PendingRestart(
                pending.split_whitespace().map(str::to_owned).collect(),
            ),
            standbys: standbys.iter().map(standby).collect::<Result<_, _>>()?,
            slots,
            oldest,
        })
    }

    /// Has a primary be as it was made: its admin ours, and its replication role as standbys know
    /// it, whatever its master user did. It is tried again at the next look.
    pub(super) async fn put_right(&self) {
        if let Err(error) = self.mend().await {
            let home = self.home().directory().display();
            tracing::warn!(%home, %error, "a server's own roles can't be put right");
        }
    }

    /// Is it a standby?
    pub(super) async fn is_standby(&self) -> Result<bool, PostgresError> {
        let row = self
            .session()
            .row("SELECT pg_is_in_recovery() AS standby")
            .await?;
        yes(&row, "standby")
    }

    /// Its slots for standbys.
    pub(super) async fn slots(&self) -> Result<Vec<SlotSeen>, PostgresError> {
        self.session().rows(SLOTS).await?.iter().map(slot).collect()
    }
}

fn standby(row: &SimpleQueryRow) -> Result<StandbySeen, PostgresError> {
    Ok(StandbySeen {
        application_name: word(row, "application_name")?,
        streaming: yes(row, "streaming")?,
        sent: optional(row, "sent")?,
        flushed: optional(row, "flushed")?,
        replayed: optional(row, "replayed")?,
    })
}

fn slot(row: &SimpleQueryRow) -> Result<SlotSeen, PostgresError> {
    Ok(SlotSeen {
        name: word(row, "name")?,
        active: yes(row, "active")?,
        restart: optional(row, "restart")?,
        lost: yes(row, "lost")?,
    })
}

/// A value that may be NULL.
pub(super) fn optional<T: FromStr>(
    row: &SimpleQueryRow,
    name: &str,
) -> Result<Option<T>, PostgresError> {
    let odd = |what: &str| PostgresError::Gone(format!("its view's {name} is {what}"));
    let text = row.try_get(name).map_err(|_| odd("missing"))?;
    text.map(|text| text.parse().map_err(|_| odd(text)))
        .transpose()
}

/// A value that is never NULL.
pub(super) fn word<T: FromStr>(row: &SimpleQueryRow, name: &str) -> Result<T, PostgresError> {
    let missing = || PostgresError::Gone(format!("its view's {name} is NULL"));
    optional(row, name)?.ok_or_else(missing)
}

/// A boolean, as PostgreSQL prints it.
pub(super) fn yes(row: &SimpleQueryRow, name: &str) -> Result<bool, PostgresError> {
    Ok(word::<String>(row, name)? == "t")
}
