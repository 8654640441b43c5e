//! What a server committed after its successor had left it: kept before the server is rewound, in
//! a directory of its own, for whoever repairs it. The log itself, a list of the transactions, and
//! the rows as they left them. It judges nobody's tail, and puts nothing back.

mod copy_text;
mod log;
mod rows;
mod scan;
mod store;

use std::io;
use std::path::Path;

use types::ByteSize;

use super::error::PostgresError;
use super::files;
use super::home::{STANDBY, ServerHome, blocking, check_way};
use super::installation::Postgres;
use super::model::{Fork, HomeState, Tail};

/// How many transactions of which not all is known are named one by one.
const PARTIAL_NAMED: usize = 10;

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
    /// The fork may be before the server's own timeline began: then the log goes over the place.
    /// What isn't there of it, and which transactions may have begun before it,
    /// [`unexported`](Tail::unexported) says. Rows that were taken away are not in the file of
    /// rows, nor what was done to schemas.
    ///
    /// # Errors
    /// [`Unfit`](PostgresError::Unfit): the end of its log isn't there. Or the server isn't
    /// whole, is in use, or doesn't recover, or the disk refuses. Then nothing is left there.
    pub async fn keep_tail(
        &self,
        home: &ServerHome,
        fork: Fork,
        to: &Path,
    ) -> Result<Tail, PostgresError> {
        if let Some(kept) = Tail::read(to)? {
            return Ok(kept);
        }
        self.settle_as_primary(home).await?;
        let _lock = home.lock().await?;
        home.require(matches!(home.state(), HomeState::Whole { .. }))?;
        remove(to).await?;
        let kept = self.fill(home, fork, to).await;
        if kept.is_err() {
            remove(to).await?;
        }
        kept
    }

    /// Makes the directory and all that is in it.
    async fn fill(&self, home: &ServerHome, fork: Fork, to: &Path) -> Result<Tail, PostgresError> {
        let control = self.control(home).await?;
        let failed = || PostgresError::io(format!("can't make {}", to.display()));
        files::make_directory(to, 0o711, None).map_err(failed())?;
        check_way(to, self.account())?;
        for name in [log::DIRECTORY, log::LINKS, rows::DIRECTORY] {
            files::make_directory(&to.join(name), 0o700, Some(self.account())).map_err(failed())?;
        }
        let part = log::Part::of(home, &control, fork.lsn).await?;
        let scan = self.scan(home, to, &part).await?;
        let bytes = part.copy(home, to, &scan, self.account()).await?;
        let mut tail = Tail {
            timeline: control.timeline,
            begin: fork.lsn,
            end: scan.end,
            transactions: Vec::new(),
            unlisted: scan.unlisted,
            bytes: ByteSize(bytes),
            sql_file: None,
            unexported: part.gone(),
        };
        self.list(home, to, &scan, &mut tail).await?;
        let (target, written) = (to.to_owned(), tail.clone());
        let finish = blocking("can't finish a tail", move || {
            for name in [log::LINKS, rows::DIRECTORY] {
                std::fs::remove_dir_all(target.join(name))?;
            }
            files::sync_file_system(&target)?;
            written.write(&target)?;
            target.parent().map_or(Ok(()), files::sync_directory)
        });
        finish.await?;
        Ok(tail)
    }

    /// Names what was lost, and writes the rows out; where that can't be done it says why, and
    /// numbers stand for names.
    async fn list(
        &self,
        home: &ServerHome,
        to: &Path,
        scan: &scan::Scan,
        tail: &mut Tail,
    ) -> Result<(), PostgresError> {
        if scan.committed.is_empty() {
            return Ok(());
        }
        let mut names = rows::Names::default();
        let mut missing = Vec::from_iter(tail.unexported.take());
        match self.export(home, to, scan, &mut names).await {
            Ok(0) => {}
            Ok(_) => tail.sql_file = Some(to.join(store::ROWS)),
            Err(error) if error.is_disk_full() => return Err(error),
            Err(error) => missing.push(error.to_string()),
        }
        missing.extend(names.left_out());
        let (listed, beyond) = names.transactions(scan);
        missing.extend(partial(scan));
        tail.transactions = listed;
        tail.unlisted += beyond;
        tail.unexported = (!missing.is_empty()).then(|| missing.join("; "));
        Ok(())
    }

    async fn settle_as_primary(&self, home: &ServerHome) -> Result<(), PostgresError> {
        home.require(matches!(home.state(), HomeState::Whole { .. }))?;
        if let HomeState::Whole { standby: true, .. } = home.state() {
            let _lock = home.lock().await?;
            let of = home.clone();
            let change = blocking("can't change a server's files", move || {
                files::remove_in(of.data()?, STANDBY)
            });
            change.await?;
        }
        self.settle(home).await
    }
}

/// Which transactions may have changed more than is known, if any.
fn partial(scan: &scan::Scan) -> Option<String> {
    let partial = scan.committed.iter().filter(|it| it.is_partial);
    let numbers: Vec<String> = partial.map(|it| it.xid.to_string()).collect();
    let some = numbers.iter().take(PARTIAL_NAMED).cloned();
    let some = some.collect::<Vec<_>>().join(", ");
    let more = match numbers.len().saturating_sub(PARTIAL_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!numbers.is_empty()).then(|| {
        format!(
            "the transactions {some}{more} may have changed more than is known: they may have \
             begun before the log that is there, or are too large"
        )
    })
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
