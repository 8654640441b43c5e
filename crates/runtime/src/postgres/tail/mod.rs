//! What a server committed after its successor had left it: kept before the server is rewound, in
//! a directory of its own, for whoever repairs it. The log itself, a list of the transactions, and
//! the rows as they left them. It judges nobody's tail, and puts nothing back.

mod copy_text;
mod list;
mod listing;
mod log;
mod names;
mod numbers;
mod room;
mod rows;
mod scan;
mod spool;
mod sql;
mod store;

use std::io;
use std::path::Path;
use std::time::Duration;

use types::ByteSize;

use super::error::PostgresError;
use super::files;
use super::home::{STANDBY, ServerHome, blocking, check_way};
use super::installation::Postgres;
use super::model::{Fork, HomeState, ServerSettings, Stop, Tail};

use list::ListWriter;
pub use list::LostList;
use listing::Listed;
use names::Names;
use room::Room;
use spool::Spool;

/// How long a standby that was killed may take to replay what it had received ...
const REPLAY: Duration = Duration::from_secs(600);

/// ... and how often it is looked at.
const LOOK: Duration = Duration::from_millis(50);

impl Postgres {
    /// Keeps what a server that doesn't run has committed beyond that fork, in that directory,
    /// which is made for it: its path is absolute and its parent is there. `wal/` in it holds the
    /// log from a file before the fork's on, or from where the first of what was lost began;
    /// `lost.sql` the rows. What is whole there already is given as it is, and what was cut off is
    /// begun anew.
    ///
    /// One that was killed recovers first, where nobody can reach it. A standby's home is one of a
    /// primary afterwards, on the timeline that it was on, since its rows can't be read else: it
    /// must be rewound, or removed, before it runs again.
    ///
    /// At a fork of 0/0, which is nowhere, all that its log still holds is kept: for who doesn't
    /// know where the two parted.
    ///
    /// The fork may be before the server's own timeline began: then the log goes over the place.
    /// What isn't there of it, and which transactions may have begun before it,
    /// [`unexported`](Tail::unexported) says. Rows that were taken away are not in the file of
    /// rows, nor what was done to schemas. Where something else isn't that was committed or
    /// prepared, the tail is [short](Tail::is_short): large objects, transactions that are prepared
    /// and undecided, tables whose names can't be asked for.
    ///
    /// List, rows and log take no more than `limit` together, nor the last of the disk: whatever
    /// doesn't fit is left out, the log first, and the tail is [short](Tail::is_short).
    ///
    /// # Errors
    /// [`Unfit`](PostgresError::Unfit): the end of its log isn't there. Or the server isn't
    /// whole, is in use, or doesn't recover, or the disk refuses. Then nothing is left there.
    pub async fn keep_tail(
        &self,
        home: &ServerHome,
        fork: Fork,
        (to, limit): (&Path, ByteSize),
    ) -> Result<Tail, PostgresError> {
        if let Some(kept) = Tail::read(to)? {
            return Ok(kept);
        }
        self.settle_as_primary(home).await?;
        let _lock = home.lock().await?;
        home.require(matches!(home.state(), HomeState::Whole { .. }))?;
        remove(to).await?;
        let kept = self.fill(home, fork, (to, limit)).await;
        if kept.is_err() {
            remove(to).await?;
        }
        kept
    }

    /// Makes the directory and all that is in it.
    async fn fill(
        &self,
        home: &ServerHome,
        fork: Fork,
        (to, limit): (&Path, ByteSize),
    ) -> Result<Tail, PostgresError> {
        let control = self.control(home).await?;
        let failed = || PostgresError::io(format!("can't make {}", to.display()));
        files::make_directory(to, 0o711, None).map_err(failed())?;
        check_way(to, self.account())?;
        for name in [log::DIRECTORY, log::LINKS, rows::DIRECTORY] {
            files::make_directory(&to.join(name), 0o700, Some(self.account())).map_err(failed())?;
        }
        let part = log::Part::of(home, &control, fork.lsn).await?;
        // What is read again from there is no part of the tail, and takes less than its log did.
        let spool = Spool::new(to, Room::new(to, ByteSize(u64::MAX))).map_err(failed())?;
        let (scan, spool) = self.scan(home, to, &part, spool).await?;
        let gone = part.gone();
        let mut tail = Tail {
            timeline: control.timeline,
            begin: fork.lsn,
            end: scan.end,
            listed: 0,
            list_file: to.join(list::NAME),
            list_bytes: ByteSize(0),
            unlisted: None,
            bytes: ByteSize(0),
            sql_file: None,
            is_short: gone.is_some(),
            unexported: gone,
        };
        let missed = part.beyond().into_iter().chain(listing::undecided(&scan));
        missed.for_each(|why| tail.misses(why));
        let room = Room::new(to, limit);
        let mut room = self.list(home, to, (spool, room), &mut tail).await?;
        // They take of the disk what the log may need.
        let work = to.to_owned();
        let clear = blocking("can't clear up a tail", move || {
            for name in [log::LINKS, rows::DIRECTORY] {
                std::fs::remove_dir_all(work.join(name))?;
            }
            files::remove_if_there(&work.join(spool::NAME))
        });
        clear.await?;
        let bytes = part.copy(home, to, (&scan, &mut room), self.account());
        match bytes.await? {
            Some(bytes) => tail.bytes = ByteSize(bytes),
            None => tail.misses("there was no room to keep the log itself".to_owned()),
        }
        let (target, written) = (to.to_owned(), tail.clone());
        let finish = blocking("can't finish a tail", move || {
            files::sync_file_system(&target)?;
            written.write(&target)?;
            target.parent().map_or(Ok(()), files::sync_directory)
        });
        finish.await?;
        Ok(tail)
    }

    /// Names what was lost, and writes the rows out; where that can't be done it says why, and
    /// numbers stand for names. Gives what room is left.
    async fn list(
        &self,
        home: &ServerHome,
        to: &Path,
        (mut spool, mut room): (Spool, Room),
        tail: &mut Tail,
    ) -> Result<Room, PostgresError> {
        let mut names = Names::default();
        let found = match spool.count {
            0 => Ok(()),
            _ => self.find_names(home, to, &spool, &mut names).await,
        };
        // First what was lost, then its rows, if there is still room for them.
        let place = to.to_owned();
        let list = blocking("can't list what was lost", move || {
            let writer = ListWriter::new(&place)?;
            let listed = Listed::of(&mut spool, &names, &mut room, writer)?;
            Ok((listed, spool, names, room))
        });
        let (listed, spool, names, room) = list.await?;
        tail.listed = listed.count;
        tail.list_bytes = listed.bytes;
        tail.unlisted = listed.beyond;
        tail.is_short |= listed.beyond.is_some();
        if spool.are_more {
            tail.misses("more tables were changed than are asked for".to_owned());
        }
        let missed = listed.partial().into_iter().chain(listed.large());
        let missed = missed.chain(names.left_out());
        missed.for_each(|why| tail.misses(why));
        names.gone().into_iter().for_each(|why| tail.says(why));
        if let Err(error) = found {
            tail.misses(error.to_string());
            return Ok(room);
        }
        if listed.count == 0 {
            return Ok(room);
        }
        self.write_out(home, (to, room), (&spool, &names), tail)
            .await
    }

    /// Writes the rows out. Gives what room is left.
    async fn write_out(
        &self,
        home: &ServerHome,
        (to, room): (&Path, Room),
        (spool, names): (&Spool, &Names),
        tail: &mut Tail,
    ) -> Result<Room, PostgresError> {
        let copy = room.clone();
        match self.export(home, (to, room), spool, names).await {
            Ok(file) => {
                tail.sql_file = (file.rows > 0).then(|| to.join(store::ROWS));
                if !file.is_whole {
                    tail.misses("there was no room for all rows".to_owned());
                }
                file.finish()
                    .map_err(PostgresError::io("can't write a tail's rows"))
            }
            Err(error) => {
                tail.misses(error.to_string());
                // What there is of them isn't shown, and goes.
                files::remove_if_there(&to.join(store::ROWS))
                    .map_err(PostgresError::io("can't remove a tail's rows"))?;
                Ok(copy)
            }
        }
    }

    async fn settle_as_primary(&self, home: &ServerHome) -> Result<(), PostgresError> {
        home.require(matches!(home.state(), HomeState::Whole { .. }))?;
        if let HomeState::Whole { standby: true, .. } = home.state() {
            self.reach_newest(home).await?;
            let _lock = home.lock().await?;
            let of = home.clone();
            let change = blocking("can't change a server's files", move || {
                files::remove_in(of.data()?, STANDBY)
            });
            change.await?;
        }
        self.settle(home).await
    }

    /// Has a standby replay what it received of a newer timeline than its control file knows, which
    /// it does if it is killed right after it went over to that: a primary recovers along the one
    /// that its control file says, and no other. Where it can't, the tail says what isn't read.
    async fn reach_newest(&self, home: &ServerHome) -> Result<(), PostgresError> {
        if log::newest(home).await? <= self.control(home).await?.timeline {
            return Ok(());
        }
        if let Err(error) = self.replay(home).await {
            let home = home.directory().display();
            tracing::warn!(%home, %error, "a standby doesn't replay what it received last");
        }
        Ok(())
    }

    /// Starts a standby that hears of nobody, and stops it once it has replayed all that it has.
    async fn replay(&self, home: &ServerHome) -> Result<(), PostgresError> {
        let server = self.start(home, &ServerSettings::default()).await?;
        let replayed = tokio::time::timeout(REPLAY, async {
            while !server.observe().await?.starved {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        });
        let late = PostgresError::Late {
            what: "replaying what was received",
            wait: REPLAY,
        };
        let replayed = replayed.await.unwrap_or(Err(late));
        server.stop(Stop::Fast).await?;
        replayed
    }
}

impl Tail {
    /// Says why not all is there.
    fn says(&mut self, why: String) {
        self.unexported = Some(match self.unexported.take() {
            Some(before) => format!("{before}; {why}"),
            None => why,
        });
    }

    /// As [`says`](Tail::says), of what only the server's data may hold.
    fn misses(&mut self, why: String) {
        self.is_short = true;
        self.says(why);
    }
}

/// Removes what is in the way of a tail, or is left of one.
async fn remove(directory: &Path) -> Result<(), PostgresError> {
    let directory = directory.to_owned();
    blocking(
        "can't remove an unfinished tail",
        move || match std::fs::remove_dir_all(directory) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => Ok(()),
        },
    )
    .await
}
