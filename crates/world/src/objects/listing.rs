//! What the buckets of a world hold: every version as it is listed, and every byte as it is read.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use objects::list::{After, ListQuery, ListedVersion, VersionsAfter};
use objects::{Bucket, Objects};
use store::Engine;

use super::workload::{Attempt, Told, content};

/// All versions of a bucket; none if they can't be read now.
pub(super) fn versions<E: Engine>(
    objects: &Objects<E>,
    bucket: &Bucket,
) -> Option<Vec<ListedVersion>> {
    let query = ListQuery {
        prefix: "",
        delimiter: "",
        limit: usize::MAX,
    };
    let mut after = VersionsAfter::Keys(After::Nothing);
    let mut versions = Vec::new();
    loop {
        let page = objects.list_versions(bucket, &query, &after).now_or_never();
        let page = page.expect("memory never waits").ok()?;
        versions.extend(page.versions);
        match page.next {
            Some(next) => after = next,
            None => return Some(versions),
        }
    }
}

/// What is wrong with the bytes of a bucket's versions, a text each: one can't be read, or isn't
/// what its client sent.
pub(super) fn wrong_bytes<E: Engine>(
    objects: &Objects<E>,
    bucket: &Bucket,
    attempts: &[Attempt],
) -> Vec<String> {
    let told = attempts.iter().enumerate();
    let sent: BTreeMap<&str, usize> = told
        .filter_map(|(number, attempt)| match &attempt.told {
            Told::Done(version) => Some((version.as_str(), number)),
            Told::Refused | Told::Unknown => None,
        })
        .collect();
    let mut wrong = Vec::new();
    for one in versions(objects, bucket).unwrap_or_default() {
        let Some(size) = one.version.object().map(|object| object.size) else {
            continue;
        };
        let stamp = one.version.stamp.to_string();
        match read(objects, bucket, &one, size) {
            Err(why) => wrong.push(format!("{} {stamp}: {why}", one.key.as_str())),
            Ok(bytes) => {
                let number = sent.get(stamp.as_str());
                let expected = number.map(|number| content(*number, bytes.len()));
                if expected.is_some_and(|expected| expected != bytes) || bytes.len() as u64 != size
                {
                    wrong.push(format!("{} {stamp}: other bytes", one.key.as_str()));
                }
            }
        }
    }
    wrong
}

fn read<E: Engine>(
    objects: &Objects<E>,
    bucket: &Bucket,
    one: &ListedVersion,
    size: u64,
) -> Result<Vec<u8>, String> {
    let reading = async {
        let range = 0..size;
        let mut reader = objects
            .read(bucket.entry.id, &one.key, &one.version, range, None)
            .await?;
        let mut bytes = Vec::new();
        while let Some(piece) = reader.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    };
    let read: Result<Vec<u8>, objects::ObjectError> =
        reading.now_or_never().expect("memory never waits");
    read.map_err(|error| error.to_string())
}
