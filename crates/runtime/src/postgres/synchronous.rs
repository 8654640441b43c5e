//! From which place of its log on a primary's commits wait for its standby. Whether they are to is
//! decided elsewhere.

use std::time::Duration;

use super::error::PostgresError;
use super::home::ServerHome;
use super::model::Lsn;
use super::observe::word;
use super::session::Session;

/// How long a checkpoint may take.
const CHECKPOINT: Duration = Duration::from_secs(300);

/// Where the log is on the disk.
const WRITTEN: &str = "SELECT pg_current_wal_flush_lsn() AS written";

/// A place in the log of a primary that was told to wait for a standby and has loaded that
/// ([`Server::reload`](super::Server::reload)): whatever it acknowledged alone ends before it.
/// It takes a checkpoint, up to 5 minutes, by a connection of its own.
///
/// Whether a commit waits is a word in shared memory that the checkpointer alone writes when it
/// loads settings (replication/syncrep.c: SyncRepUpdateSyncStandbysDefined), and no view shows. It
/// does so before it begins another checkpoint (postmaster/checkpointer.c), so after one that was
/// asked for later the word is there. A commit that saw none was on the disk by then.
///
/// # Errors
/// The server doesn't answer, or the checkpoint fails.
pub async fn waits_since(home: &ServerHome) -> Result<Lsn, PostgresError> {
    let session = Session::new(home.clone());
    session.checkpoint(CHECKPOINT).await?;
    word(&session.row(WRITTEN).await?, "written")
}
