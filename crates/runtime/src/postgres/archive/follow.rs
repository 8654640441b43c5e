//! Copying what a running server has flushed of its log into the archive. It asks the server over a
//! connection that is made for each turn: an idle server keeps none for it.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::chain::{
    ArchiveSeen, Chain, cut_marks, look, put, remove_histories, remove_segments, trim,
};
use crate::postgres::error::PostgresError;
use crate::postgres::files;
use crate::postgres::home::{ServerHome, blocking};
use crate::postgres::lineage::Lineage;
use crate::postgres::model::Lsn;
use crate::postgres::observe::{optional, word, yes};
use crate::postgres::session::Session;
use crate::postgres::timeline::{
    LONGEST_HISTORY, SEGMENT, history_name, read_history, segment_name,
};

/// The slot that keeps the log until it is in the archive. No plan has it among a primary's.
pub(in crate::postgres) const SLOT: &str = "causeway_archive";

/// What is copied at once.
const PART: u64 = 1024 * 1024;

/// How the server stands. Its clock is read before its transactions are: what they are was so then
/// or later.
const STANDING: &str = "\
SELECT pg_is_in_recovery() AS standby,
  floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint AS now,
  pg_current_snapshot()::text AS transactions,
  CASE WHEN NOT pg_is_in_recovery()
    THEN ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int
  END AS timeline,
  (SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'causeway_archive') AS kept,
  (SELECT coalesce(wal_status = 'lost', false) FROM pg_replication_slots
    WHERE slot_name = 'causeway_archive') AS lost";

/// A transaction of our own that is on the disk when this is answered, and with it all that was
/// written before: a message that nobody reads.
const MARK: &str = "\
SELECT pg_current_xact_id()::text AS own FROM pg_logical_emit_message(true, 'causeway', '')";

/// The archive of one server.
pub struct Archive {
    home: ServerHome,
    folder: PathBuf,
    /// Held by whoever writes: a turn that was let go of may still be at it.
    writing: Arc<Mutex<()>>,
}

/// What came of a turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Followed {
    /// The server is a standby: it has no archive.
    Standby,
    /// All that was committed before is in the archive.
    Kept(ArchiveSeen),
    /// The log has a gap, since more of it came than is kept for an archive that can't be written,
    /// or since the server is on a timeline that doesn't go on from what is here. The archive is
    /// empty, and begins anew with the next turn.
    Broken,
}

/// What a server says.
struct Standing {
    now: u64,
    transactions: String,
    timeline: u32,
    kept: Option<Lsn>,
    lost: bool,
}

impl Archive {
    /// Of the server of that directory, in that folder.
    pub fn new(home: ServerHome, folder: PathBuf) -> Archive {
        Archive {
            home,
            folder,
            writing: Arc::default(),
        }
    }

    /// The same archive, of another server that goes on for the first.
    pub fn moved(&self, home: ServerHome) -> Archive {
        Archive {
            home,
            folder: self.folder.clone(),
            writing: self.writing.clone(),
        }
    }

    /// Has the archive hold all that is committed by now: a turn, to be taken every few seconds
    /// while the server runs.
    ///
    /// # Errors
    /// The server doesn't answer, or the archive can't be written: then the server keeps the log,
    /// as far as it may.
    pub async fn follow(&self) -> Result<Followed, PostgresError> {
        let session = Session::new(self.home.clone());
        let Some(standing) = standing(&session).await? else {
            return Ok(Followed::Standby);
        };
        let fits = standing.kept.is_some() && !standing.lost;
        let mut is_new = false;
        let chain = match (self.chain().await?, standing.kept) {
            (Some(chain), _) if fits && chain.timeline == standing.timeline => chain,
            (Some(chain), _) => {
                let next = self.gone_on(&chain, standing.timeline).await?;
                // The slot of a turn that was to go on, and couldn't, has the log since then.
                if !fits || next.is_none() {
                    begin_slot(&session).await?;
                }
                let Some(next) = next else {
                    self.clear().await?;
                    return Ok(Followed::Broken);
                };
                is_new = true;
                next
            }
            (None, Some(kept)) if fits => self.begin(standing.timeline, kept).await?,
            (None, _) => {
                begin_slot(&session).await?;
                let kept = self::standing(&session).await?.and_then(|it| it.kept);
                let missing = || PostgresError::Gone("it keeps no slot for its archive".into());
                self.begin(standing.timeline, kept.ok_or_else(missing)?)
                    .await?
            }
        };
        self.catch_up(&session, (chain, is_new), &standing).await
    }

    /// The archive as the server goes on with it that is on another timeline: it took over from the
    /// one whose log this is. `None`: it doesn't go on from what is here.
    async fn gone_on(&self, held: &Chain, timeline: u32) -> Result<Option<Chain>, PostgresError> {
        let (home, folder, held) = (self.home.clone(), self.folder.clone(), held.clone());
        blocking("can't read a timeline's history", move || {
            let data = home.data()?;
            let Some(history) = read_history(&data, timeline)? else {
                return Ok(None);
            };
            let next = held.gone_on_by(&Lineage { timeline, history });
            if next.is_some() {
                // A recovery over the place goes by it.
                let name = history_name(timeline);
                let path = format!("pg_wal/{name}");
                let text = files::read_in(&data, &path, LONGEST_HISTORY)?;
                let text = text.ok_or_else(|| io::Error::other("a history is gone"))?;
                files::replace(&folder.join(name), &text, 0o600, None)?;
            }
            Ok(next)
        })
        .await
    }

    /// Copies what isn't in the archive yet. One that is new, since another server goes on with it,
    /// is written down when all of it is there: until then the old one is what can be restored.
    async fn catch_up(
        &self,
        session: &Session,
        (mut chain, is_new): (Chain, bool),
        standing: &Standing,
    ) -> Result<Followed, PostgresError> {
        if chain.transactions == standing.transactions && chain.mark > 0 && !is_new {
            chain.quiet = standing.now;
            return self.save(chain).await;
        }
        // Something that is committed after now: where a recovery to now stops.
        let own: u64 = word(&session.row(MARK).await?, "own")?;
        let row = session
            .row("SELECT pg_current_wal_flush_lsn() AS flushed")
            .await?;
        let end: Lsn = word(&row, "flushed")?;
        if !self.copy(session, (&mut chain, is_new), end).await? {
            begin_slot(session).await?;
            self.clear().await?;
            return Ok(Followed::Broken);
        }
        (chain.mark, chain.quiet) = (standing.now, standing.now);
        chain.transactions = after(&standing.transactions, own).unwrap_or_default();
        if is_new {
            self.cut(&chain).await?;
        }
        let kept = self.save(chain).await?;
        if standing
            .kept
            .is_none_or(|kept| kept.0 / SEGMENT < end.0 / SEGMENT)
        {
            advance(session, end).await?;
        }
        Ok(kept)
    }

    /// Copies the log up to there; false: a part of it is gone. What is copied is written down file
    /// by file: a turn that is let go of, on a slow disk say, is gone on from.
    async fn copy(
        &self,
        session: &Session,
        (chain, is_new): (&mut Chain, bool),
        end: Lsn,
    ) -> Result<bool, PostgresError> {
        let lineage = chain.lineage();
        let mut place = chain.next();
        while place < end.0 {
            let file_end = (place / SEGMENT + 1) * SEGMENT;
            // No further than its file.
            let next = (place + PART).min(file_end).min(end.0);
            let timeline = lineage.timeline_of(place / SEGMENT);
            if !self.copy_part(timeline, place, next).await? {
                return Ok(false);
            }
            place = next;
            if place == file_end && !is_new {
                chain.copied = Some(place);
                self.keep(chain).await?;
                advance(session, Lsn(place)).await?;
            }
        }
        (chain.end, chain.copied) = (place, None);
        Ok(true)
    }

    /// Copies a part of a file of the log; false: it is gone.
    async fn copy_part(&self, timeline: u32, from: u64, to: u64) -> Result<bool, PostgresError> {
        let (home, folder) = (self.home.clone(), self.folder.clone());
        let writing = self.writing.clone();
        blocking("can't write to an archive", move || {
            let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
            let name = format!("pg_wal/{}", segment_name(timeline, from / SEGMENT));
            let bytes = files::read_part_in(home.data()?, &name, from % SEGMENT, to - from)?;
            let Some(bytes) = bytes.filter(|it| it.len() as u64 == to - from) else {
                return Ok(false);
            };
            put(&folder, timeline, Lsn(from), &bytes)?;
            Ok(true)
        })
        .await
    }

    /// Writes down what is there. What was forgotten of it meanwhile stays so.
    async fn keep(&self, chain: &mut Chain) -> Result<(), PostgresError> {
        let (folder, writing) = (self.folder.clone(), self.writing.clone());
        let mut written = chain.clone();
        let kept = blocking("can't write to an archive", move || {
            let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(held) = Chain::read(&folder)? {
                written.first = written.first.max(held.first);
            }
            written.write(&folder)?;
            Ok(written)
        });
        *chain = kept.await?;
        Ok(())
    }

    /// Forgets what was said of the log that the server that went on never had.
    async fn cut(&self, chain: &Chain) -> Result<(), PostgresError> {
        let (folder, writing, fork) = (self.folder.clone(), self.writing.clone(), chain.fork());
        blocking("can't write to an archive", move || {
            let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
            fork.map_or(Ok(()), |fork| cut_marks(&folder, fork))
        })
        .await
    }

    async fn chain(&self) -> Result<Option<Chain>, PostgresError> {
        let folder = self.folder.clone();
        blocking("can't read an archive", move || Chain::read(&folder)).await
    }

    /// Begins an archive with the file of the log that is kept from there on.
    async fn begin(&self, timeline: u32, kept: Lsn) -> Result<Chain, PostgresError> {
        self.clear().await?;
        Ok(Chain::new(timeline, kept.0 / SEGMENT))
    }

    /// Nothing is in the archive.
    async fn clear(&self) -> Result<(), PostgresError> {
        let (folder, writing) = (self.folder.clone(), self.writing.clone());
        blocking("can't clear an archive", move || {
            let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
            make(&folder)?;
            for name in ["chain.json", "marks"] {
                files::remove_if_there(&folder.join(name))?;
            }
            remove_histories(&folder)?;
            remove_segments(&folder, |_, _| true)
        })
        .await
    }

    async fn save(&self, mut chain: Chain) -> Result<Followed, PostgresError> {
        self.keep(&mut chain).await?;
        let folder = self.folder.clone();
        let seen = blocking("can't read an archive", move || {
            look(&folder)?.ok_or_else(|| io::Error::other("an archive is gone"))
        });
        Ok(Followed::Kept(seen.await?))
    }
}

impl Archive {
    /// Forgets the log before that file, which no snapshot needs that is left.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn trim(&self, before: u64) -> Result<(), PostgresError> {
        let (folder, writing) = (self.folder.clone(), self.writing.clone());
        blocking("can't trim an archive", move || {
            let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
            trim(&folder, before)
        })
        .await
    }

    /// Has the server keep its log for no archive any more.
    ///
    /// # Errors
    /// It doesn't answer.
    pub async fn leave(&self) -> Result<(), PostgresError> {
        drop_slot(&Session::new(self.home.clone())).await
    }
}

async fn drop_slot(session: &Session) -> Result<(), PostgresError> {
    let drop_it = format!(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
         WHERE slot_name = '{SLOT}'"
    );
    session.rows(&drop_it).await.map(drop)
}

/// Has a server keep its log from there on, no more: what is before is on the archive's disk.
async fn advance(session: &Session, to: Lsn) -> Result<(), PostgresError> {
    let advance = format!("SELECT pg_replication_slot_advance('{SLOT}', '{to}')");
    session.rows(&advance).await.map(drop)
}

/// Has a server keep its log from now on, whatever it kept before.
async fn begin_slot(session: &Session) -> Result<(), PostgresError> {
    drop_slot(session).await?;
    let make = format!("SELECT pg_create_physical_replication_slot('{SLOT}', true)");
    session.rows(&make).await.map(drop)
}

/// Makes the folder of an archive, this process's alone.
fn make(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// How the server stands; `None`: it is a standby.
async fn standing(session: &Session) -> Result<Option<Standing>, PostgresError> {
    let said = session.row(STANDING).await?;
    if yes(&said, "standby")? {
        return Ok(None);
    }
    Ok(Some(Standing {
        now: word(&said, "now")?,
        transactions: word(&said, "transactions")?,
        timeline: word(&said, "timeline")?,
        kept: optional(&said, "kept")?,
        lost: optional::<String>(&said, "lost")?.is_some_and(|lost| lost == "t"),
    }))
}

/// What transactions are (`xmin:xmax:xip_list`, functions-info: pg_current_snapshot) once one more
/// was committed, of that number; `None`: others began meanwhile.
fn after(transactions: &str, own: u64) -> Option<String> {
    let (least, rest) = transactions.split_once(':')?;
    let (next, running) = rest.split_once(':')?;
    if next.parse() != Ok(own) {
        return None;
    }
    let next = own + 1;
    Some(match running {
        "" => format!("{next}:{next}:"),
        running => format!("{least}:{next}:{running}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_after_one_more_are_told_from_those_after_others() {
        assert_eq!(after("100:100:", 100).as_deref(), Some("101:101:"));
        assert_eq!(after("90:100:90,95", 100).as_deref(), Some("90:101:90,95"));
        assert_eq!(after("100:100:", 101), None);
        assert_eq!(after("", 1), None);
    }
}
