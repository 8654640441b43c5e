//! Takes in one peer's changes, in order: the services judge them, and what they say is committed
//! in one batch with the cursor, so that nothing is lost and nothing applied twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use link::{Lane, Plain};
use store::{Batch, CommitError, Engine, LogPosition, Space};
use tables::{Import, ImportError, ReadyImport};
use types::{Now, Span, Timestamp};

use crate::asking::REGION_SERVICE;
use crate::message::{LogId, Message, Record, cursor_key, encode_cursor};
use crate::peer::Peer;
use crate::planted::PlantedBug;
use crate::receiver::{Cursor, Stretch};
use crate::region::{Region, TABLES};

/// How long to wait before trying again what the disk or a peer's bytes refused.
const RETRY: Span = Span::seconds(1);

/// While changes are from the future, how often to look at the clock at least: it may be set.
const LOOK_AT_CLOCK: Span = Span::seconds(1);

/// Asking to start again is repeated after that long.
const REWIND_AGAIN: Span = Span::seconds(1);

/// A stretch of a peer's log.
struct Changes {
    log: LogId,
    from: LogPosition,
    to: LogPosition,
    committed: Timestamp,
    records: Vec<Record>,
}

impl<E: Engine> Region<E> {
    /// Applies one peer's changes for as long as the process lives.
    pub(crate) async fn apply(self: Arc<Self>, peer: Arc<Peer>) {
        loop {
            let bell = peer.bell.listen();
            let next = peer
                .inbox
                .lock()
                .expect("nothing panics inside")
                .pop_front();
            let Some((message, receipt)) = next else {
                bell.await;
                continue;
            };
            match message {
                Message::Changes {
                    log,
                    from,
                    to,
                    committed,
                    records,
                } => {
                    let changes = Changes {
                        log,
                        from,
                        to,
                        committed,
                        records,
                    };
                    self.apply_changes(&peer, changes).await;
                }
                Message::Restart { log, at } => self.restart_cursor(&peer, log, at).await,
                other => unreachable!("the inbox holds changes only, not {other:?}"),
            }
            peer.port
                .consumed(self.environment.now().monotonic, receipt);
        }
    }

    async fn apply_changes(&self, peer: &Peer, changes: Changes) {
        match peer.cursor().judge(changes.log, changes.from, changes.to) {
            Stretch::Apply => self.apply_stretch(peer, changes).await,
            Stretch::Duplicate => self.say_cursor(peer, false),
            Stretch::Gap => self.ask_rewind(peer),
        }
    }

    async fn apply_stretch(&self, peer: &Peer, changes: Changes) {
        let records: Option<Vec<_>> = changes
            .records
            .iter()
            .map(|record| (record.service == TABLES).then(|| record.bytes.clone()))
            .collect();
        let Some(records) = records else {
            self.refuse(
                peer,
                "a record of a service that this Causeway doesn't know",
            )
            .await;
            return;
        };
        loop {
            match self.tables.import(peer.site.id, &records).await {
                Ok(Import::Ready(ready)) => {
                    let ReadyImport { batch, guard } = *ready;
                    let cursor = Cursor {
                        log: Some(changes.log),
                        applied: changes.to,
                    };
                    match self.commit_with_cursor(peer, batch, cursor).await {
                        Ok(()) => {
                            self.tables.imported(guard);
                            self.applied(peer, cursor, &changes);
                            return;
                        }
                        Err(error) => {
                            drop(guard);
                            self.trouble(peer, &error).await;
                        }
                    }
                }
                Ok(Import::Parked { until }) => self.wait_for_clock(peer, until).await,
                Err(ImportError::Read(error)) => {
                    self.fail(format!("applying changes of {}: {error}", peer.site.name));
                    return;
                }
                Err(error) => {
                    self.refuse(peer, &error.to_string()).await;
                    return;
                }
            }
        }
    }

    /// Invariant 6: the changes and the cursor are one batch.
    async fn commit_with_cursor(
        &self,
        peer: &Peer,
        mut batch: Batch,
        cursor: Cursor,
    ) -> Result<(), CommitError> {
        let log = cursor.log.expect("a stretch is of some log");
        let bytes = encode_cursor(log, cursor.applied);
        if self.planted == Some(PlantedBug::CursorNotAtomic) {
            let mut alone = Batch::new();
            alone.put(Space::Meta, cursor_key(peer.site.id), bytes);
            self.engine.commit(alone).await?;
            self.set_cursor(peer, cursor);
        } else {
            batch.put(Space::Meta, cursor_key(peer.site.id), bytes);
        }
        self.engine.commit(batch).await?;
        self.set_cursor(peer, cursor);
        Ok(())
    }

    fn set_cursor(&self, peer: &Peer, cursor: Cursor) {
        *peer.cursor.lock().expect("nothing panics inside") = cursor;
    }

    fn applied(&self, peer: &Peer, cursor: Cursor, changes: &Changes) {
        let wall = self.environment.now().wall;
        let mut measures = peer.measures.lock().expect("nothing panics inside");
        measures.parked_until = None;
        measures.trouble = None;
        measures.stretches_applied += 1;
        measures.records_applied += changes.records.len() as u64;
        if !changes.records.is_empty() {
            measures.applied(changes.committed, wall);
        }
        drop(measures);
        debug_assert_eq!(peer.cursor(), cursor);
        self.say_cursor(peer, false);
    }

    /// The peer's log begins anew for us: copies of what it held follow. If we were further in
    /// that very log, the peer's database was put back to an older state of itself: it lacks
    /// what it wrote since, and gets it back from us.
    async fn restart_cursor(&self, peer: &Peer, log: LogId, at: LogPosition) {
        let before = peer.cursor();
        let was_put_back = before.log == Some(log) && before.applied > at;
        let cursor = Cursor {
            log: Some(log),
            applied: at,
        };
        loop {
            let mut batch = Batch::new();
            batch.put(
                Space::Meta,
                cursor_key(peer.site.id),
                encode_cursor(log, at),
            );
            match self.engine.commit(batch).await {
                Ok(_) => break,
                Err(error) => self.trouble(peer, &error).await,
            }
        }
        self.set_cursor(peer, cursor);
        if was_put_back {
            peer.resynchronize.store(true, Ordering::Release);
        }
        self.say_cursor(peer, false);
    }

    /// Tells a peer how far its log is applied here. If the link doesn't take it, the next
    /// heartbeat says it again.
    pub(crate) fn say_cursor(&self, peer: &Peer, rewind: bool) {
        let Cursor { log, applied } = peer.cursor();
        let payload = Message::Cursor {
            log,
            applied,
            rewind,
        }
        .encode();
        let plain = Plain::new(peer.site.name, Lane::Changes, REGION_SERVICE, "", payload)
            .expect("a cursor is short");
        let now = self.environment.now().monotonic;
        if let Err(error) = peer.port.send(now, &self.admission, plain) {
            tracing::debug!(peer = %peer.site.name, %error, "the cursor waits for the next heartbeat");
        }
    }

    fn ask_rewind(&self, peer: &Peer) {
        let now = self.environment.now().monotonic;
        let cursor = peer.cursor();
        {
            let mut asked = peer.rewind_asked.lock().expect("nothing panics inside");
            let again = asked.is_none_or(|(at, when)| at != cursor || now - when >= REWIND_AGAIN);
            if !again {
                return;
            }
            *asked = Some((cursor, now));
        }
        self.say_cursor(peer, true);
    }

    /// The clock of whoever wrote this is ahead of ours by more than the limit: wait, as time
    /// passes it becomes admissible.
    async fn wait_for_clock(&self, peer: &Peer, until: Timestamp) {
        peer.set_parked(Some(until));
        let Now { wall, monotonic } = self.environment.now();
        tracing::warn!(
            peer = %peer.site.name,
            ahead_milliseconds = until.0.saturating_sub(wall.0),
            "changes are from the future: parked until the local clock gets there"
        );
        let wait = Span::milliseconds(until.0.saturating_sub(wall.0)).min(LOOK_AT_CLOCK);
        self.environment
            .sleep_until(monotonic + wait.max(Span::milliseconds(1)))
            .await;
    }

    /// A peer's bytes make no sense: nothing of them is applied, replication from it stands, and
    /// it is asked again, in case it mends.
    async fn refuse(&self, peer: &Peer, reason: &str) {
        tracing::error!(peer = %peer.site.name, reason, "changes refused");
        peer.set_trouble(Some(format!("changes refused: {reason}")));
        peer.measures
            .lock()
            .expect("nothing panics inside")
            .refused_messages += 1;
        let now = self.environment.now().monotonic;
        self.environment.sleep_until(now + RETRY).await;
        self.ask_rewind(peer);
    }

    /// A commit failed: a full disk is waited for, a broken engine ends the process.
    async fn trouble(&self, peer: &Peer, error: &CommitError) {
        peer.set_trouble(Some(error.to_string()));
        if let CommitError::Failed(_) = error {
            self.fail(format!("applying changes of {}: {error}", peer.site.name));
        }
        let now = self.environment.now().monotonic;
        self.environment.sleep_until(now + RETRY).await;
    }
}
