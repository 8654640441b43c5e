//! What a Region says of its objects, for `causeway status`, `lag`, `conflicts`, `metrics` and
//! `verify`: figures of replication, events, conflicts, damage.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use objects::replication::prometheus;
use objects::scrub::{NoRepair, Scrubbed};
use objects::{BucketEntry, BucketId, BucketName, ObjectError};
use serde::{Deserialize, Serialize};
use store::Engine;
use types::Region as Name;

use crate::region::Region;

/// Where entries of buckets are in the global configuration.
const BUCKETS: &str = "objects/bucket/";

/// Damaged blobs and findings that are named, at most; further ones are counted.
const MOST_NAMED: usize = 100;

/// A Region's objects at one moment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ObjectsStatus {
    /// Its buckets.
    pub buckets: u64,
    /// Versions, delete markers and changes on their way to other buckets.
    pub pending_operations: u64,
    /// Their bytes.
    pub pending_bytes: u64,
    /// Milliseconds since the oldest of them was announced, to a second.
    pub oldest_milliseconds: Option<u64>,
    /// Those that failed for a lasting cause, since the start.
    pub failed_operations: u64,
    /// Stored bytes that were found damaged: what is wrong, by blob.
    pub damaged: Vec<String>,
    /// How many there are.
    pub damaged_count: u64,
    /// What came of events, by target.
    pub events: Vec<EventStatus>,
    /// Buckets with whose lifecycle rules something went wrong in the last pass.
    pub lifecycle: Vec<LifecycleStatus>,
}

/// What went wrong with a bucket's lifecycle rules; the next pass tries again.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LifecycleStatus {
    /// The bucket.
    pub bucket: String,
    /// Milliseconds since the first pass in a row with which it did.
    pub for_milliseconds: u64,
    /// The first error of the last pass.
    pub reason: String,
}

/// What came of the events for one target, since the start.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EventStatus {
    /// The target's ARN.
    pub target: String,
    /// Events that it took.
    pub told: u64,
    /// Events that were given up.
    pub lost: u64,
    /// Attempts in a row that failed.
    pub failing: u32,
}

/// How one rule's replication stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RuleLag {
    /// The source bucket's Region.
    pub from: Name,
    /// The destination's, if it is one of this deployment.
    pub to: Option<Name>,
    /// The source bucket.
    pub bucket: String,
    /// The rule's ID.
    pub rule: String,
    /// The destination bucket.
    pub destination: String,
    /// Versions, delete markers and changes on their way.
    pub pending_operations: u64,
    /// Their bytes.
    pub pending_bytes: u64,
    /// Milliseconds since the oldest of them was announced, to a second.
    pub oldest_milliseconds: Option<u64>,
    /// By how much the destination is behind, at most, in milliseconds.
    pub latency_milliseconds: f64,
    /// Operations that failed for a lasting cause, since the start.
    pub failed: u64,
    /// Operations that arrived, since the start.
    pub completed: u64,
    /// Their bytes.
    pub completed_bytes: u64,
}

/// A version that was current in one Region and lost to a concurrent one of another.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LostObject {
    /// The Region that found it.
    pub region: Name,
    /// The bucket; `None`: it is gone.
    pub bucket: Option<String>,
    /// The key.
    pub key: String,
    /// The id of the version that lost. It is still there.
    pub loser: String,
    /// The id of the version that is current instead.
    pub winner: String,
    /// When it was found, in milliseconds since the epoch.
    pub found: u64,
}

/// A part of a Region's ledger of such versions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LostObjects {
    /// By bucket, key and version.
    pub rows: Vec<LostObject>,
    /// What the next part is asked for with; `None`: this was the last.
    pub next: Option<String>,
}

/// What the check of all stored bytes came to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ContentsVerified {
    /// Versions looked at.
    pub versions: u64,
    /// Pieces of them.
    pub pieces: u64,
    /// Their bytes as they are stored.
    pub bytes: u64,
    /// What is wrong, a piece a line.
    pub findings: Vec<String>,
}

impl<E: Engine> Region<E> {
    /// Its objects now.
    pub(crate) fn objects_status(&self) -> ObjectsStatus {
        let damaged = self.objects.damaged_blobs();
        let named = damaged.iter().take(MOST_NAMED);
        let figures = self.objects.replication_figures();
        let events = self.events.figures().into_iter();
        let now = self.environment.now().wall;
        let oldest = figures.iter().filter_map(|rule| rule.oldest).min();
        let troubles = self.objects.lifecycle_troubles().into_iter();
        let lifecycle = troubles
            .take(MOST_NAMED)
            .map(|(bucket, trouble)| LifecycleStatus {
                bucket: bucket.to_string(),
                for_milliseconds: now.0.saturating_sub(trouble.since.0),
                reason: trouble.reason,
            });
        ObjectsStatus {
            lifecycle: lifecycle.collect(),
            buckets: self.bucket_names().len() as u64,
            pending_operations: figures.iter().map(|rule| rule.pending_operations).sum(),
            pending_bytes: figures.iter().map(|rule| rule.pending_bytes).sum(),
            oldest_milliseconds: oldest.map(|oldest| now.0.saturating_sub(oldest.0)),
            failed_operations: figures.iter().map(|rule| rule.failed).sum(),
            damaged: named
                .map(|(blob, what)| format!("{blob}: {what}"))
                .collect(),
            damaged_count: damaged.len() as u64,
            events: events
                .map(|(target, figures)| EventStatus {
                    target: target.to_string(),
                    told: figures.told,
                    lost: figures.lost,
                    failing: figures.failing,
                })
                .collect(),
        }
    }

    /// How replication of each rule of this Region's buckets stands.
    pub fn objects_lag(&self) -> Vec<RuleLag> {
        let now = self.environment.now().wall;
        let figures = self.objects.replication_figures().into_iter();
        let rows = figures.map(|rule| RuleLag {
            from: self.name,
            to: self.config.deployment.region_of(rule.site),
            bucket: rule.bucket.to_string(),
            rule: rule.rule,
            destination: rule.destination.to_string(),
            pending_operations: rule.pending_operations,
            pending_bytes: rule.pending_bytes,
            oldest_milliseconds: rule.oldest.map(|oldest| now.0.saturating_sub(oldest.0)),
            latency_milliseconds: rule.latency.as_milliseconds(),
            failed: rule.failed,
            completed: rule.completed,
            completed_bytes: rule.completed_bytes,
        });
        rows.collect()
    }

    /// The same as Prometheus reads it.
    pub fn metrics(&self) -> String {
        prometheus(&self.objects.replication_figures())
    }

    /// Versions that lost, as this Region found them, `limit` of them after `after`, which an
    /// earlier part gave.
    ///
    /// # Errors
    /// A row can't be read, or `after` is of no part.
    pub async fn lost_objects(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<LostObjects, ObjectError> {
        let strange = || ObjectError::Internal("that is no place in the ledger".to_owned());
        let after = match after {
            Some(text) => Some(Bytes::from(
                URL_SAFE_NO_PAD.decode(text).map_err(|_| strange())?,
            )),
            None => None,
        };
        let page = self.objects.lost_versions(after, limit).await?;
        let rows = page.lost.into_iter().map(|lost| LostObject {
            region: self.name,
            bucket: lost.bucket.map(|bucket| bucket.to_string()),
            key: lost.key.to_string(),
            loser: lost.loser.to_string(),
            winner: lost.winner.to_string(),
            found: lost.found.0,
        });
        Ok(LostObjects {
            rows: rows.collect(),
            next: page.next.map(|next| URL_SAFE_NO_PAD.encode(next)),
        })
    }

    /// Reads all stored bytes of objects, and checks them.
    ///
    /// # Errors
    /// The rows that name them can't be read.
    pub async fn verify_objects(&self) -> Result<ContentsVerified, ObjectError> {
        let scrubbed = self.objects.scrub_once(None, &NoRepair).await?;
        let names = self.bucket_names();
        let mut findings: Vec<String> = scrubbed
            .named
            .iter()
            .take(MOST_NAMED)
            .map(|piece| {
                let bucket = names.get(&piece.bucket).map(BucketName::as_str);
                format!(
                    "bucket {}: key {}: version {}: part {}: {}",
                    bucket.unwrap_or("(deleted)"),
                    piece.key,
                    piece.stamp,
                    piece.number,
                    piece.detail
                )
            })
            .collect();
        let Scrubbed { damaged, .. } = scrubbed;
        let more = damaged.saturating_sub(findings.len() as u64);
        if more > 0 {
            findings.push(format!("{more} more pieces of objects are damaged"));
        }
        Ok(ContentsVerified {
            versions: scrubbed.versions,
            pieces: scrubbed.pieces,
            bytes: scrubbed.bytes.0,
            findings,
        })
    }

    /// The names of this Region's buckets.
    fn bucket_names(&self) -> BTreeMap<BucketId, BucketName> {
        let mut names = BTreeMap::new();
        let view = self.objects.config().configuration.view();
        view.visit(BUCKETS, &mut |key, _, value| {
            let name = key.strip_prefix(BUCKETS).and_then(|name| name.parse().ok());
            let entry = serde_json::from_slice::<BucketEntry>(value).ok();
            if let (Some(name), Some(entry)) = (name, entry)
                && entry.region == self.name
            {
                names.insert(entry.id, name);
            }
        });
        names
    }
}
