//! The background work of global tables, in bounded steps: the first copy for a new replica,
//! the last writes of one that leaves, and the sweep of the conflict ledger.
//!
//! A copy is nothing but announcements: it appends to the change log that an existing item is to
//! go to a peer, and shipping reads the item as it is then. So first copy, catching up and
//! steady state are one code path. The member that added the replica copies every item, the
//! others those that no third member would: stamped by themselves (before they knew of the
//! replica), by the replica itself (before it lost its data), or by a site that has left.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use store::{Batch, Direction, Engine, KeyRange, LogPosition, ReadError, Snapshot, Space};
use types::{Hlc, SiteId, Span, Version};

use super::group::{Group, MemberPhase};
use super::ledger;
use crate::{
    Change, Phase, Table, TableId, Tables, TablesError, decode_state_header, table_prefix,
};

/// Announcements of one batch.
pub const COPY_BATCH: usize = 500;

/// Copy records that may be ahead of what the peer has acknowledged.
pub const COPY_WINDOW: usize = 4_000;

/// Items looked at in one step, at most: of most of them there may be nothing to announce.
const SCAN: usize = 4_096;

/// Items read at once: bounds a step's memory (400 KB an item).
const READ_CHUNK: usize = 32;

/// How often the conflict ledger is looked through for rows past their retention.
const SWEEP_EVERY: Span = Span::seconds(60);

const PROGRESS: &[u8] = b"tables/copy/";
const PROGRESS_FORMAT: u8 = 1;

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyProgress {
    /// There is nothing to do until a table or a group changes.
    Idle,
    /// Something was done; there may be more.
    Worked,
    /// There is something to do once a peer has acknowledged more.
    Waiting,
}

/// How far the copy for a new replica is, as stored: format, `joined`, done, last key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    /// For which membership of the peer.
    pub(super) joined: Version,
    /// Has every item been announced?
    pub(super) done: bool,
    /// The last key that was announced.
    after: Bytes,
}

/// How far ahead of a peer's acknowledgements its copy is. Not stored: after a restart the
/// window starts anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Announced since `half`.
    since: usize,
    /// Where the log stood when the window was last half full.
    half: LogPosition,
    /// The membership whose copy is known to be done.
    done: Option<Version>,
}

/// One replica to fill.
struct Job<'a> {
    table: &'a Table,
    to: SiteId,
    joined: Version,
    /// Does the replica wait for this site to copy every item, and to say when it is done?
    is_source: bool,
    /// The members who announce themselves what they stamped.
    third: BTreeSet<SiteId>,
}

impl<E: Engine> Tables<E> {
    /// Does a bounded part of the background work. Call it until it is `Idle` or `Waiting`, and
    /// again when a peer has acknowledged more or a table has changed (or every second or so).
    /// `acknowledged` says up to where in the change log a peer has everything.
    ///
    /// # Errors
    /// When storage fails; the next call goes on where this one stopped.
    pub async fn copy_step(
        &self,
        acknowledged: &(dyn Fn(SiteId) -> LogPosition + Sync),
    ) -> Result<CopyProgress, TablesError> {
        let _alone = self.global.step.lock().await;
        if self.sweep_ledger().await? {
            return Ok(CopyProgress::Worked);
        }
        let mut waiting = false;
        for table in self.catalogue.all() {
            let progress = match (&table.group, table.phase) {
                (Some(group), Phase::Dropped) => {
                    self.leave_step(&table, group, acknowledged).await?
                }
                (Some(group), Phase::Active) => self.fill_step(&table, group, acknowledged).await?,
                _ => CopyProgress::Idle,
            };
            match progress {
                CopyProgress::Worked => return Ok(CopyProgress::Worked),
                CopyProgress::Waiting => waiting = true,
                CopyProgress::Idle => {}
            }
        }
        Ok(if waiting {
            CopyProgress::Waiting
        } else {
            CopyProgress::Idle
        })
    }

    /// A replica that was dropped here is gone once the others have its last writes: what one of
    /// them has, all must have, and only this Region ships it.
    async fn leave_step(
        &self,
        table: &Table,
        group: &Group,
        acknowledged: &(dyn Fn(SiteId) -> LogPosition + Sync),
    ) -> Result<CopyProgress, TablesError> {
        let site = self.config.site;
        if group.member(site).is_none() {
            return Ok(CopyProgress::Idle);
        }
        let known = self.global.lock().leaving.get(&table.id).copied();
        let last_write = match known {
            Some(position) => position,
            None => {
                // Writers that saw the table in service still hold their items' locks.
                self.locks.barrier().await;
                let head = self.engine.log_head();
                self.global.lock().leaving.insert(table.id, head);
                head
            }
        };
        let mut receivers = group.others(site).filter(|(peer, _)| {
            group.receives(*peer) && self.config.deployment.site(*peer).is_some()
        });
        if receivers.any(|(peer, _)| acknowledged(peer) < last_write) {
            return Ok(CopyProgress::Waiting);
        }
        self.say_gone(table.id).await?;
        self.global.lock().leaving.remove(&table.id);
        Ok(CopyProgress::Worked)
    }

    async fn say_gone(&self, id: TableId) -> Result<(), TablesError> {
        let site = self.config.site;
        let mut change = self.catalogue.change().await;
        let Some(current) = self.catalogue.table(id) else {
            return Ok(());
        };
        let mut table = Table::clone(&current);
        let Some(group) = &mut table.group else {
            return Ok(());
        };
        let stamp = self.issue(group.stamp(site));
        group.advance(site, MemberPhase::Gone, site, stamp);
        let mut batch = Batch::new();
        for (peer, _) in current.group.iter().flat_map(|group| group.others(site)) {
            batch.delete(Space::Meta, progress_key(id, peer));
        }
        change.stage(&table, &mut batch);
        batch.announce(Change::Table { table: id }.encode());
        self.engine.commit(batch).await?;
        change.publish(table);
        Ok(())
    }

    async fn fill_step(
        &self,
        table: &Table,
        group: &Group,
        acknowledged: &(dyn Fn(SiteId) -> LogPosition + Sync),
    ) -> Result<CopyProgress, TablesError> {
        let site = self.config.site;
        let mut waiting = false;
        for (to, member) in group.others(site).filter(|(to, _)| group.receives(*to)) {
            let filled = member.phase != MemberPhase::Creating;
            let third = group.others(site).map(|(third, _)| third);
            let job = Job {
                table,
                to,
                joined: member.joined,
                is_source: member.source == site && !filled,
                third: third.filter(|third| *third != to).collect(),
            };
            let pace = self.global.lock().pace(table.id, to);
            if pace.done == Some(member.joined) {
                continue;
            }
            if pace.since >= COPY_WINDOW / 2 && acknowledged(to) < pace.half {
                waiting = true;
                continue;
            }
            if self.copy_chunk(&job).await? {
                return Ok(CopyProgress::Worked);
            }
        }
        Ok(if waiting {
            CopyProgress::Waiting
        } else {
            CopyProgress::Idle
        })
    }

    /// Announces the next items of a copy. Says whether there was anything to do.
    async fn copy_chunk(&self, job: &Job<'_>) -> Result<bool, TablesError> {
        let stored = progress(&self.engine.snapshot(), job.table.id, job.to).await?;
        let mut progress = stored
            .filter(|progress| progress.joined == job.joined)
            .unwrap_or_else(|| Progress::anew(job.joined));
        if progress.done {
            self.global
                .lock()
                .finished(job.table.id, job.to, job.joined);
            return Ok(false);
        }
        if progress.after.is_empty() {
            // Whoever holds an item's lock may not have known of this membership, and what they
            // are about to write is announced to it by nobody else.
            self.locks.barrier().await;
        }
        let snapshot = self.engine.snapshot();
        let mut batch = Batch::new();
        let mut range = KeyRange::prefix(&table_prefix(job.table.id.0));
        let mut scanned = 0;
        while !progress.done && scanned < SCAN && batch.announcements.len() < COPY_BATCH {
            if !progress.after.is_empty() {
                range.start = Bound::Excluded(progress.after.clone());
            }
            let room = READ_CHUNK.min(COPY_BATCH - batch.announcements.len());
            let page = snapshot
                .scan(Space::Items, range.clone(), Direction::Forward, room)
                .await?;
            progress.done = !page.more;
            scanned += page.entries.len();
            for entry in page.entries {
                if job.is_source || !job.third.contains(&stamped_by(&entry.value)?) {
                    let change = Change::Copy {
                        table: job.table.id,
                        key: entry.key.clone(),
                        to: job.to,
                    };
                    batch.announce(change.encode());
                }
                progress.after = entry.key;
            }
        }
        drop(snapshot);
        let announced = batch.announcements.len();
        if progress.done && job.is_source {
            let change = Change::CopyDone {
                table: job.table.id,
                to: job.to,
            };
            batch.announce(change.encode());
        }
        batch.put(
            Space::Meta,
            progress_key(job.table.id, job.to),
            progress.encode(),
        );
        let head = self.engine.commit(batch).await?;
        self.global
            .lock()
            .announced(job.table.id, job.to, announced, head);
        Ok(true)
    }

    /// Removes rows of the ledger that are too old or too many. Says whether it removed any.
    async fn sweep_ledger(&self) -> Result<bool, TablesError> {
        let now = self.config.environment.now();
        let size = {
            let mut state = self.global.lock();
            let due = now.monotonic >= state.next_sweep;
            let full = state.ledger.bytes > ledger::MAX_BYTES.0;
            if !due && !full {
                return Ok(false);
            }
            state.next_sweep = now.monotonic + SWEEP_EVERY;
            state.ledger
        };
        if size.rows == 0 {
            return Ok(false);
        }
        let snapshot = self.engine.snapshot();
        let (batch, left) = ledger::sweep(&snapshot, size, now.wall, ledger::MAX_BYTES).await?;
        drop(snapshot);
        if batch.is_empty() {
            return Ok(false);
        }
        self.engine.commit(batch).await?;
        let mut state = self.global.lock();
        // Relative to what it was: an import may have added rows meanwhile.
        state.ledger.rows = state.ledger.rows.saturating_sub(size.rows - left.rows);
        state.ledger.bytes = state.ledger.bytes.saturating_sub(size.bytes - left.bytes);
        state.ledger.dropped = left.dropped;
        state.next_sweep = now.monotonic;
        Ok(true)
    }
}

impl Pace {
    fn announced(&mut self, count: usize, head: LogPosition) {
        if self.since >= COPY_WINDOW / 2 {
            *self = Pace {
                since: 0,
                half: head,
                ..*self
            };
        }
        if self.half == LogPosition(0) {
            self.half = head;
        }
        self.since += count;
    }
}

impl super::Inner {
    fn pace(&self, table: TableId, to: SiteId) -> Pace {
        self.paces.get(&(table, to)).copied().unwrap_or_default()
    }

    fn announced(&mut self, table: TableId, to: SiteId, count: usize, head: LogPosition) {
        let pace = self.paces.entry((table, to)).or_default();
        pace.announced(count, head);
    }

    fn finished(&mut self, table: TableId, to: SiteId, joined: Version) {
        let pace = Pace {
            done: Some(joined),
            ..Pace::default()
        };
        self.paces.insert((table, to), pace);
    }
}

/// How far the copy for that peer is; none if it has not begun.
pub(super) async fn progress<S: Snapshot>(
    snapshot: &S,
    table: TableId,
    to: SiteId,
) -> Result<Option<Progress>, ReadError> {
    let stored = snapshot.get(Space::Meta, &progress_key(table, to)).await?;
    stored.map(|bytes| Progress::decode(&bytes)).transpose()
}

/// Adds to the batch that there is nothing to copy for these members: this replica knows them
/// before its first write.
pub(super) fn stage_nothing_to_copy(
    table: TableId,
    group: &Group,
    site: SiteId,
    batch: &mut Batch,
) {
    for (to, member) in group.others(site) {
        let progress = Progress {
            joined: member.joined,
            done: true,
            after: Bytes::new(),
        };
        batch.put(Space::Meta, progress_key(table, to), progress.encode());
    }
}

impl Progress {
    /// Nothing is copied yet.
    pub(super) fn anew(joined: Version) -> Progress {
        Progress {
            joined,
            done: false,
            after: Bytes::new(),
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut out = vec![PROGRESS_FORMAT];
        out.extend_from_slice(&self.joined.time.0.to_be_bytes());
        out.extend_from_slice(&self.joined.site.0.to_be_bytes());
        out.push(u8::from(self.done));
        out.extend_from_slice(&self.after);
        Bytes::from(out)
    }

    fn decode(bytes: &[u8]) -> Result<Progress, ReadError> {
        let parse = || {
            let (format, rest) = bytes.split_first()?;
            let (time, rest) = rest.split_first_chunk()?;
            let (site, rest) = rest.split_first_chunk()?;
            let (done, after) = rest.split_first()?;
            (*format == PROGRESS_FORMAT).then(|| Progress {
                joined: Version {
                    time: Hlc(u64::from_be_bytes(*time)),
                    site: SiteId(u16::from_be_bytes(*site)),
                },
                done: *done != 0,
                after: Bytes::copy_from_slice(after),
            })
        };
        parse().ok_or_else(|| {
            ReadError::Corrupt("the progress of a replica's first copy, or a newer one".to_owned())
        })
    }
}

pub(super) fn progress_key(table: TableId, to: SiteId) -> Bytes {
    Bytes::from([PROGRESS, &table.0.to_be_bytes(), &to.0.to_be_bytes()].concat())
}

fn stamped_by(state: &[u8]) -> Result<SiteId, ReadError> {
    let (dot, _) = decode_state_header(state)
        .map_err(|error| ReadError::Corrupt(format!("an item: {error}")))?;
    Ok(dot.site)
}
