//! Lists of versions as users give them to jobs: lines of CSV with bucket, key and perhaps version
//! id, as S3 Inventory and the console write them; keys are percent-encoded. A line that can't be
//! read is a failure of its own in the report, not of the job.

use std::ops::Range;

use store::Engine;

use super::run::{TAKEN, byte_of};
use super::{Cursor, Job, List};
use crate::replication::FailureReason;
use crate::{Bucket, BucketName, ObjectError, ObjectKey, Objects, VersionId, row};

/// Bytes of a list that are read at a time: above all that one line can have, and what a turn's
/// lines have usually.
const PIECE: u64 = 16 * 1024;

/// A line, at most, in bytes: a key of 1,024 bytes, each as three characters, and the other fields.
const LONGEST_LINE: usize = 8 * 1024;

/// A line that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Line {
    bucket: String,
    key: String,
    version: Option<String>,
}

impl<E: Engine> Objects<E> {
    /// Goes on through a list, a turn's worth; false at its end.
    pub(super) async fn take_lines(
        &self,
        job: &Job,
        bucket: &Bucket,
        list: &List,
    ) -> Result<bool, ObjectError> {
        let Some(held) = self.read_job(job.id).await? else {
            return Ok(false);
        };
        let now: Job = row::decode("a job", &held)?;
        let Some(from) = byte_of(&now.cursor) else {
            return Ok(false);
        };
        let (piece, is_last) = self.read_list(&job.new.role, list, from).await?;
        let (mut taken, mut until) = (0, 0);
        for range in lines(&piece, is_last) {
            if taken == TAKEN {
                break;
            }
            until = range.end;
            let cursor = Cursor::Byte(from + range.end as u64);
            let text = String::from_utf8_lossy(&piece[range]);
            let text = text.trim_end_matches(['\r', '\n']);
            if !text.is_empty() {
                taken += 1;
                self.take_line(job, bucket, (list, text), cursor).await?;
            }
        }
        let is_end = is_last && until == piece.len();
        let cursor = match is_end {
            true => Cursor::End,
            false => Cursor::Byte(from + until as u64),
        };
        self.move_on(job, cursor).await?;
        Ok(!is_end)
    }

    /// The bucket of a list's first line.
    pub(super) async fn listed_bucket(
        &self,
        role: &str,
        list: &List,
    ) -> Result<Option<BucketName>, ObjectError> {
        let (piece, is_last) = self.read_list(role, list, 0).await?;
        let first = lines(&piece, is_last).into_iter().next();
        let text = first.map(|range| String::from_utf8_lossy(&piece[range]).into_owned());
        let line = text.and_then(|text| read_line(text.trim_end_matches(['\r', '\n'])));
        Ok(line.and_then(|line| line.bucket.parse().ok()))
    }

    async fn read_list(
        &self,
        role: &str,
        list: &List,
        from: u64,
    ) -> Result<(Vec<u8>, bool), ObjectError> {
        let (bucket, key) = (self.bucket(&list.bucket)?, &list.key);
        let action = match list.version {
            None => "s3:GetObject",
            Some(_) => "s3:GetObjectVersion",
        };
        self.check_job_role(role, action, &bucket, key)?;
        let version = self.find(&bucket, key, list.version).await?;
        let object = version.object();
        if let Some(etag) = &list.etag
            && object.is_none_or(|object| object.etag != *etag)
        {
            return Err(ObjectError::refused(
                "InvalidRequest",
                "The manifest's ETag is not the one that the job names",
            ));
        }
        let size = object.map_or(0, |object| object.size);
        let until = size.min(from.saturating_add(PIECE));
        let range = from.min(until)..until;
        let id = bucket.entry.id;
        let mut reader = self.read(id, key, &version, range, None).await?;
        let mut piece = Vec::new();
        while let Some(bytes) = reader.next().await {
            piece.extend_from_slice(&bytes?);
        }
        Ok((piece, until == size))
    }

    async fn take_line(
        &self,
        job: &Job,
        bucket: &Bucket,
        (list, text): (&List, &str),
        cursor: Cursor,
    ) -> Result<(), ObjectError> {
        let read = read_line(text);
        let known = read
            .as_ref()
            .filter(|line| line.bucket == bucket.name.as_str());
        let key = known.and_then(|line| line.key.parse::<ObjectKey>().ok());
        let version = known.and_then(|line| line.version.as_deref());
        let version = version.filter(|_| list.has_versions);
        let version = version.map(str::parse::<VersionId>).transpose();
        match (key, version) {
            (Some(key), Ok(version)) => self.take(job, bucket, (&key, version), cursor, true).await,
            _ => {
                let key = read.map_or_else(|| text.to_owned(), |line| line.key);
                let reason = FailureReason::SrcVersionNotFound;
                self.refuse(job, (&key, None), cursor, reason).await
            }
        }
    }
}

/// The whole lines of a piece, with their ends; of the last piece the rest too.
fn lines(piece: &[u8], is_last: bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, byte) in piece.iter().enumerate() {
        // One that is too long is cut: what it says then is nothing that is there.
        if *byte == b'\n' || at - start >= LONGEST_LINE {
            found.push(start..at + 1);
            start = at + 1;
        }
    }
    if is_last && start < piece.len() {
        found.push(start..piece.len());
    }
    found
}

fn read_line(text: &str) -> Option<Line> {
    let mut fields = fields(text)?.into_iter();
    Some(Line {
        bucket: fields.next()?,
        key: decoded(&fields.next()?)?,
        version: fields.next().filter(|version| !version.is_empty()),
    })
}

/// The fields of a line of CSV: quoted or not, quotes doubled within quotes (RFC 4180, section 2).
fn fields(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let field = match rest.strip_prefix('"') {
            Some(quoted) => {
                let mut field = String::new();
                rest = quoted;
                loop {
                    let end = rest.find('"')?;
                    field.push_str(&rest[..end]);
                    rest = &rest[end + 1..];
                    match rest.strip_prefix('"') {
                        Some(after) => {
                            field.push('"');
                            rest = after;
                        }
                        None => break field,
                    }
                }
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let field = rest[..end].to_owned();
                rest = &rest[end..];
                field
            }
        };
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// Percent-decoded, as keys in lists are; `+` stands for a space there.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                (high * 16 + low) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bucket: &str, key: &str, version: Option<&str>) -> Option<Line> {
        Some(Line {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version: version.map(str::to_owned),
        })
    }

    #[test]
    fn lines_are_read_as_inventories_write_them() {
        assert_eq!(read_line("b,k"), line("b", "k", None));
        assert_eq!(
            read_line("\"b\",\"a%20b+c\",\"v\""),
            line("b", "a b c", Some("v"))
        );
        assert_eq!(read_line("b,\"x\"\"y,z\","), line("b", "x\"y,z", None));
        for bad in ["b", "b,%2", "b,%zz", "\"b", "\"b\"x,k", "b,%ff"] {
            assert_eq!(read_line(bad), None, "{bad}");
        }
    }

    #[test]
    fn pieces_end_at_lines() {
        assert_eq!(lines(b"a\nb\nc", false), [0..2, 2..4]);
        assert_eq!(lines(b"a\nb\nc", true), [0..2, 2..4, 4..5]);
        let long = vec![b'x'; LONGEST_LINE + 10];
        assert_eq!(lines(&long, true).len(), 2);
    }
}
