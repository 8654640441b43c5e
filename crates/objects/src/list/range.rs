//! Walking a bucket's rows of one kind: in steps that grow while everything is wanted, with seeks
//! past whole groups. What a row says is its caller's affair.

use std::collections::VecDeque;
use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes};
use store::{Direction, Entry, KeyRange, Snapshot, Space};

use super::{ListQuery, PAGE};
use crate::keys::{of_bucket, split, with_prefix};
use crate::{BucketId, ObjectError, ObjectKey};

/// Rows read in a step at first and after a seek: a listing of groups wants one of each.
const FIRST_STEP: usize = 4;

/// Rows read in a step at most. A row has some hundred bytes, 8 KB at the very most, so a step
/// holds 4 MB at worst.
const LAST_STEP: usize = 512;

/// Rows looked at for one page at most. A page that would take more (100,000 delete markers
/// in a row) ends early and says so, as S3's may: its reader comes back for the rest.
pub(super) const LOOKED_AT: usize = 20_000;

/// Where a listing goes on: after all that was told before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum After {
    /// At the beginning.
    Nothing,
    /// After that key, which need not exist and may be part of a group that is told.
    Key(String),
    /// After every key that begins with this.
    Prefix(String),
}

impl After {
    /// What a marker means (`ListObjects`, `ListObjectVersions`, `ListMultipartUploads`): a group
    /// that it is in has been told.
    pub fn marker(query: &ListQuery<'_>, marker: &str) -> After {
        match (marker, query.group(marker)) {
            ("", _) => After::Nothing,
            (_, Some(group)) => After::Prefix(group.to_owned()),
            (marker, None) => After::Key(marker.to_owned()),
        }
    }

    /// As a continuation token: opaque to its reader.
    pub fn token(&self) -> String {
        let (kind, text) = match self {
            After::Nothing => ('0', ""),
            After::Key(key) => ('k', key.as_str()),
            After::Prefix(prefix) => ('p', prefix.as_str()),
        };
        URL_SAFE_NO_PAD.encode(format!("{kind}{text}"))
    }

    /// What a continuation token says.
    ///
    /// # Errors
    /// It is none that [`After::token`] gave.
    pub fn from_token(token: &str) -> Result<After, ObjectError> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let after = text.as_deref().and_then(|text| {
            Some(match text.split_at_checked(1)? {
                ("0", "") => After::Nothing,
                ("k", key) => After::Key(key.to_owned()),
                ("p", prefix) => After::Prefix(prefix.to_owned()),
                _ => return None,
            })
        });
        after.ok_or_else(|| {
            ObjectError::refused(
                "InvalidArgument",
                "The continuation token provided is incorrect",
            )
        })
    }

    /// The text that [`After::marker`] reads the same from.
    pub fn into_marker(self) -> String {
        match self {
            After::Nothing => String::new(),
            After::Key(text) | After::Prefix(text) => text,
        }
    }

    /// The first row of that kind that may be told.
    pub(super) fn start(&self, kind: u8, bucket: BucketId) -> Bound<Bytes> {
        match self {
            After::Nothing => Bound::Included(of_bucket(kind, bucket).freeze()),
            After::Key(key) => Bound::Included(after_key(kind, bucket, key)),
            After::Prefix(prefix) => KeyRange::prefix(&with_prefix(kind, bucket, prefix))
                .end
                .including(),
        }
    }
}

/// The row before which all rows of that key stand, and after which those of every greater one.
fn after_key(kind: u8, bucket: BucketId, key: &str) -> Bytes {
    let mut row = with_prefix(kind, bucket, key);
    row.put_slice(&[0, 1]);
    row.freeze()
}

/// Turns the end of one range into the start of the next.
trait Including {
    fn including(self) -> Self;
}

impl Including for Bound<Bytes> {
    fn including(self) -> Bound<Bytes> {
        match self {
            Bound::Excluded(bound) => Bound::Included(bound),
            other => other,
        }
    }
}

/// A row of a key.
pub(super) struct Row {
    pub(super) key: ObjectKey,
    /// What follows the key in the row's own key.
    pub(super) rest: Bytes,
    pub(super) value: Bytes,
}

/// A walk through rows of one kind in one bucket.
pub(super) struct Walk<'a, S> {
    snapshot: &'a S,
    start: Bound<Bytes>,
    end: Bound<Bytes>,
    read: VecDeque<Entry>,
    more: bool,
    /// Rows to read next.
    step: usize,
    looked_at: usize,
    kind: u8,
    bucket: BucketId,
}

impl<'a, S: Snapshot> Walk<'a, S> {
    /// Through the rows of keys that begin with `prefix`, from `start` on.
    pub(super) fn new(
        snapshot: &'a S,
        kind: u8,
        bucket: BucketId,
        prefix: &str,
        start: Bound<Bytes>,
    ) -> Walk<'a, S> {
        let all = KeyRange::prefix(&with_prefix(kind, bucket, prefix));
        let start = match (all.start, start) {
            (Bound::Included(least), Bound::Included(start)) => Bound::Included(least.max(start)),
            (Bound::Included(least), Bound::Excluded(start)) if start >= least => {
                Bound::Excluded(start)
            }
            (least, Bound::Excluded(_)) => least,
            (_, start) => start,
        };
        Walk {
            snapshot,
            start,
            end: all.end,
            read: VecDeque::new(),
            more: true,
            step: FIRST_STEP,
            looked_at: 0,
            kind,
            bucket,
        }
    }

    /// The next row; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Row>, ObjectError> {
        loop {
            if let Some(entry) = self.read.pop_front() {
                self.looked_at += 1;
                return row(entry).map(Some);
            }
            if !self.more {
                return Ok(None);
            }
            self.read_on().await?;
        }
    }

    /// Has it looked at as many rows as one page may cost?
    pub(super) fn is_tired(&self) -> bool {
        self.looked_at >= LOOKED_AT
    }

    /// Passes over what is left of the keys that begin with `prefix`.
    pub(super) fn skip(&mut self, prefix: &str) {
        let prefix = with_prefix(self.kind, self.bucket, prefix);
        while let Some(entry) = self.read.front() {
            if !entry.key.starts_with(&prefix) {
                return;
            }
            self.read.pop_front();
        }
        let behind = KeyRange::prefix(&prefix).end.including();
        if let (Bound::Included(at), Bound::Included(from) | Bound::Excluded(from)) =
            (&behind, &self.start)
            && at > from
        {
            self.start = behind;
            self.step = FIRST_STEP;
        }
    }

    async fn read_on(&mut self) -> Result<(), ObjectError> {
        let range = KeyRange {
            start: self.start.clone(),
            end: self.end.clone(),
        };
        let (direction, step) = (Direction::Forward, self.step);
        let page = self
            .snapshot
            .scan(Space::Objects, range, direction, step)
            .await?;
        self.more = page.more;
        if let Some(last) = page.entries.last() {
            self.start = Bound::Excluded(last.key.clone());
        }
        self.read = page.entries.into();
        self.step = (self.step * 4).min(LAST_STEP);
        Ok(())
    }
}

fn row(entry: Entry) -> Result<Row, ObjectError> {
    let Some((key, rest)) = split(&entry.key) else {
        return Err(ObjectError::Internal("a row's key is malformed".to_owned()));
    };
    let rest = entry.key.slice_ref(rest);
    Ok(Row {
        key,
        rest,
        value: entry.value,
    })
}

/// What a page holds.
pub(super) struct Collected<T> {
    pub(super) items: Vec<T>,
    pub(super) prefixes: Vec<String>,
    /// The last thing that was told or passed over; none: nothing is left to tell.
    pub(super) last: Option<Last>,
}

/// The last thing of a page.
pub(super) enum Last {
    /// A row of that key.
    Row(ObjectKey),
    /// A common prefix.
    Prefix(String),
}

/// Collects a page of a walk. `tell` makes of a row what is told of it; none: nothing.
pub(super) async fn collect<S: Snapshot, T>(
    mut walk: Walk<'_, S>,
    query: &ListQuery<'_>,
    mut tell: impl FnMut(&Row) -> Result<Option<T>, ObjectError>,
) -> Result<Collected<T>, ObjectError> {
    let limit = query.limit.min(PAGE);
    let mut page = Collected {
        items: Vec::new(),
        prefixes: Vec::new(),
        last: None,
    };
    if limit == 0 {
        return Ok(page);
    }
    let mut last = None;
    while let Some(row) = walk.next().await? {
        let told = tell(&row)?;
        if told.is_some() && page.items.len() + page.prefixes.len() == limit {
            page.last = last;
            return Ok(page);
        }
        let group = query.group(row.key.as_str());
        match (told, group) {
            (Some(_), Some(group)) => {
                walk.skip(group);
                page.prefixes.push(group.to_owned());
                last = Some(Last::Prefix(group.to_owned()));
            }
            (told, _) => {
                page.items.extend(told);
                last = Some(Last::Row(row.key));
            }
        }
        if walk.is_tired() {
            page.last = last;
            return Ok(page);
        }
    }
    Ok(page)
}
