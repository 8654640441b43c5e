//! Failures are counted over restarts: now and then the counts that have changed are written down,
//! a row a rule, and those of rules that are gone are let go of. A crash forgets what failed since.

use std::ops::Bound;

use bytes::{BufMut, Bytes, BytesMut};
use store::{Batch, Direction, Engine, KeyRange, Snapshot, Space};

use super::figures::{Figures, KeptFigures};
use crate::keys::kind;
use crate::{BucketName, ObjectError, Objects, row};

/// Rows that are read at a time.
const PAGE: usize = 256;

/// Goes on with the counts that were written down.
///
/// # Errors
/// `Internal`: a row can't be read.
pub(super) async fn load<S: Snapshot>(
    snapshot: &S,
    figures: &mut Figures,
) -> Result<(), ObjectError> {
    let mut range = KeyRange::prefix(&[kind::FIGURES]);
    loop {
        let page = snapshot.scan(Space::Objects, range.clone(), Direction::Forward, PAGE);
        let page = page.await?;
        for entry in &page.entries {
            figures.go_on(decode(&entry.value)?);
        }
        match page.entries.last() {
            Some(last) if page.more => range.start = Bound::Excluded(last.key.clone()),
            _ => return Ok(()),
        }
    }
}

impl<E: Engine> Objects<E> {
    /// Writes down what has changed.
    ///
    /// # Errors
    /// The disk is full or has failed.
    pub(super) async fn keep_figures(&self) -> Result<(), ObjectError> {
        self.place_figures();
        let unkept = self.replication.figures().unkept();
        if unkept.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for kept in &unkept {
            batch.put(Space::Objects, row_of(kept), row::encode(kept));
        }
        self.engine.commit(batch).await?;
        self.replication.figures().kept(&unkept);
        Ok(())
    }

    /// Forgets the figures of rules that are gone.
    ///
    /// # Errors
    /// As [`Objects::keep_figures`].
    pub(super) async fn forget_figures(&self) -> Result<(), ObjectError> {
        let stands = |name: &BucketName, rule: &str| {
            let bucket = self.bucket(name).ok();
            bucket.is_some_and(|bucket| {
                let replication = bucket.settings.replication.as_ref();
                replication.is_some_and(|configuration| configuration.rule(rule).is_some())
            })
        };
        self.replication.figures().retain(stands);
        let mut batch = Batch::new();
        let mut range = KeyRange::prefix(&[kind::FIGURES]);
        let snapshot = self.engine.snapshot();
        loop {
            let page = snapshot.scan(Space::Objects, range.clone(), Direction::Forward, PAGE);
            let page = page.await?;
            for entry in &page.entries {
                if !self.replication.figures().knows(&decode(&entry.value)?) {
                    batch.delete(Space::Objects, entry.key.clone());
                }
            }
            match page.entries.last() {
                Some(last) if page.more => range.start = Bound::Excluded(last.key.clone()),
                _ => break,
            }
        }
        if !batch.is_empty() {
            self.engine.commit(batch).await?;
        }
        Ok(())
    }

    /// Says in the figures where destinations are now.
    pub(super) fn place_figures(&self) {
        self.replication.figures().place(|destination| {
            let entry = self.entry_of(destination)?;
            self.config.deployment.id_of(entry.region)
        });
    }
}

fn decode(row: &[u8]) -> Result<KeptFigures, ObjectError> {
    row::decode("figures of replication", row)
}

/// The row of a rule: its names with their lengths, which are far below 64 KiB each.
fn row_of(kept: &KeptFigures) -> Bytes {
    let mut row = BytesMut::with_capacity(160);
    row.put_u8(kind::FIGURES);
    for name in [kept.bucket.as_str(), &kept.rule, kept.destination.as_str()] {
        row.put_u16(name.len() as u16);
        row.put_slice(name.as_bytes());
    }
    row.freeze()
}
