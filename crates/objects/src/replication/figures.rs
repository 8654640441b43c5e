//! The figures of replication, a rule: what is pending, how late it is, what failed. Kept in
//! memory and rebuilt from the outbox at the start, so that they can't part from it; what failed
//! and what was done is counted from the start on.

use std::collections::BTreeMap;
use std::fmt::Write;

use types::{SiteId, Span, Timestamp};

use super::job::JobId;
use super::task::Task;
use crate::BucketName;

/// The figures of a rule (S3 User Guide, "Amazon S3 metrics and dimensions", S3 Replication).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleFigures {
    /// The source bucket.
    pub bucket: BucketName,
    /// The rule's ID.
    pub rule: String,
    /// The destination bucket.
    pub destination: BucketName,
    /// The site that it is in.
    pub site: SiteId,
    /// `OperationsPendingReplication`: versions, delete markers and changes on their way.
    pub pending_operations: u64,
    /// `BytesPendingReplication`.
    pub pending_bytes: u64,
    /// When the oldest of what is pending was announced, rounded down to a second.
    pub oldest: Option<Timestamp>,
    /// `ReplicationLatency`: by how much the destination is behind, at most: the age of the oldest
    /// that is pending or of what arrived within the last minute.
    pub latency: Span,
    /// `OperationsFailedReplication`, since the start.
    pub failed: u64,
    /// Operations that arrived, since the start.
    pub completed: u64,
    /// Their bytes.
    pub completed_bytes: u64,
}

/// Which rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Which {
    bucket: BucketName,
    rule: String,
    destination: BucketName,
    site: SiteId,
}

/// All figures.
#[derive(Debug, Default)]
pub(super) struct Figures {
    rules: BTreeMap<Which, Figure>,
    /// Tasks that haven't ended, by the jobs that they belong to.
    jobs: BTreeMap<JobId, u64>,
}

#[derive(Debug, Default)]
struct Figure {
    operations: u64,
    bytes: u64,
    /// How many that are pending were announced in which second.
    ages: BTreeMap<u64, u64>,
    failed: u64,
    completed: u64,
    completed_bytes: u64,
    /// The greatest latency of what arrived, in this minute and in the last one.
    minute: u64,
    latency: [Span; 2],
}

const MINUTE: u64 = 60_000;

impl Figures {
    /// A task was announced.
    pub fn announced(&mut self, site: SiteId, task: &Task) {
        let figure = self.rules.entry(which(site, task)).or_default();
        figure.operations += 1;
        figure.bytes += task.bytes;
        *figure.ages.entry(task.since.0 / 1000).or_default() += 1;
        if let Some(job) = task.job {
            *self.jobs.entry(job).or_default() += 1;
        }
    }

    /// Tasks of a job that haven't ended.
    pub fn pending_of(&self, job: JobId) -> u64 {
        self.jobs.get(&job).copied().unwrap_or_default()
    }

    /// A task is done.
    pub fn completed(&mut self, site: SiteId, task: &Task, now: Timestamp) {
        let latency = Span::milliseconds(now.0.saturating_sub(task.since.0));
        let figure = self.ended(site, task);
        figure.completed += 1;
        figure.completed_bytes += task.bytes;
        figure.turn(now);
        figure.latency[0] = figure.latency[0].max(latency);
    }

    /// A task has failed.
    pub fn failed(&mut self, site: SiteId, task: &Task) {
        self.ended(site, task).failed += 1;
    }

    /// A task is no more to be done.
    pub fn dropped(&mut self, site: SiteId, task: &Task) {
        self.ended(site, task);
    }

    fn ended(&mut self, site: SiteId, task: &Task) -> &mut Figure {
        if let Some(job) = task.job
            && let Some(pending) = self.jobs.get_mut(&job)
        {
            *pending = pending.saturating_sub(1);
            if *pending == 0 {
                self.jobs.remove(&job);
            }
        }
        let figure = self.rules.entry(which(site, task)).or_default();
        figure.operations = figure.operations.saturating_sub(1);
        figure.bytes = figure.bytes.saturating_sub(task.bytes);
        let second = task.since.0 / 1000;
        if let Some(count) = figure.ages.get_mut(&second) {
            *count -= 1;
            if *count == 0 {
                figure.ages.remove(&second);
            }
        }
        figure
    }

    /// Every rule's, in the order of their buckets' names.
    pub fn all(&mut self, now: Timestamp) -> Vec<RuleFigures> {
        let figures = self.rules.iter_mut().map(|(which, figure)| {
            figure.turn(now);
            let oldest = figure.ages.keys().next();
            let oldest = oldest.map(|second| Timestamp(second * 1000));
            let age = oldest.map(|oldest| Span::milliseconds(now.0.saturating_sub(oldest.0)));
            let arrived = figure.latency[0].max(figure.latency[1]);
            RuleFigures {
                bucket: which.bucket.clone(),
                rule: which.rule.clone(),
                destination: which.destination.clone(),
                site: which.site,
                pending_operations: figure.operations,
                pending_bytes: figure.bytes,
                oldest,
                latency: age.unwrap_or_default().max(arrived),
                failed: figure.failed,
                completed: figure.completed,
                completed_bytes: figure.completed_bytes,
            }
        });
        figures.collect()
    }

    /// Forgets rules of which nothing is pending and whose bucket is gone.
    pub fn retain(&mut self, mut stands: impl FnMut(&BucketName) -> bool) {
        self.rules
            .retain(|which, figure| figure.operations > 0 || stands(&which.bucket));
    }
}

impl Figure {
    /// Lets minutes pass.
    fn turn(&mut self, now: Timestamp) {
        let minute = now.0 / MINUTE;
        if minute == self.minute {
            return;
        }
        let last = match minute == self.minute + 1 {
            true => self.latency[0],
            false => Span::ZERO,
        };
        self.latency = [Span::ZERO, last];
        self.minute = minute;
    }
}

fn which(site: SiteId, task: &Task) -> Which {
    Which {
        bucket: task.name.clone(),
        rule: task.rule.clone(),
        destination: task.destination.clone(),
        site,
    }
}

/// A figure's name, kind and text, and how it is had.
type Export = (
    &'static str,
    &'static str,
    &'static str,
    fn(&RuleFigures) -> f64,
);

const EXPORTS: [Export; 6] = [
    (
        "causeway_objects_replication_pending_operations",
        "gauge",
        "Versions, delete markers and changes that the destination does not have yet.",
        |figures| figures.pending_operations as f64,
    ),
    (
        "causeway_objects_replication_pending_bytes",
        "gauge",
        "Bytes that the destination does not have yet.",
        |figures| figures.pending_bytes as f64,
    ),
    (
        "causeway_objects_replication_latency_seconds",
        "gauge",
        "By how much the destination is behind, at most.",
        |figures| figures.latency.as_milliseconds() / 1000.0,
    ),
    (
        "causeway_objects_replication_failed_operations_total",
        "counter",
        "Operations that failed for a lasting cause.",
        |figures| figures.failed as f64,
    ),
    (
        "causeway_objects_replication_operations_total",
        "counter",
        "Operations that arrived.",
        |figures| figures.completed as f64,
    ),
    (
        "causeway_objects_replication_bytes_total",
        "counter",
        "Bytes that arrived.",
        |figures| figures.completed_bytes as f64,
    ),
];

/// Figures as Prometheus reads them (text format 0.0.4).
pub fn prometheus(figures: &[RuleFigures]) -> String {
    let mut text = String::new();
    for (name, kind, help, value) in EXPORTS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for rule in figures {
            let _ = writeln!(
                text,
                "{name}{{source_bucket=\"{}\",destination_bucket=\"{}\",rule_id=\"{}\"}} {}",
                rule.bucket,
                rule.destination,
                escaped(&rule.rule),
                value(rule)
            );
        }
    }
    text
}

/// A label's value: backslashes, quotes and line ends are escaped.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use types::{Hlc, Version};

    use super::*;
    use crate::replication::task::TaskKind;
    use crate::{BucketId, Stamp};

    const SITE: SiteId = SiteId(2);

    fn task(since: u64, bytes: u64) -> Task {
        Task {
            bucket: BucketId(1),
            name: "sources".parse().unwrap(),
            key: "k".parse().unwrap(),
            stamp: Stamp {
                version: Version {
                    time: Hlc(1),
                    site: SiteId(1),
                },
                random: 0,
            },
            rule: "a\"b".to_owned(),
            destination: "replicas".parse().unwrap(),
            kind: TaskKind::Version,
            bytes,
            since: Timestamp(since),
            job: None,
            timed: false,
            missed: false,
        }
    }

    #[test]
    fn what_is_pending_ages_and_what_arrived_counts() {
        let mut figures = Figures::default();
        figures.announced(SITE, &task(1_000, 10));
        figures.announced(SITE, &task(3_500, 5));
        let at = |figures: &mut Figures, now| figures.all(Timestamp(now)).remove(0);
        let now = at(&mut figures, 4_000);
        assert_eq!((now.pending_operations, now.pending_bytes), (2, 15));
        assert_eq!(now.oldest, Some(Timestamp(1_000)));
        assert_eq!(now.latency, Span::seconds(3));
        figures.completed(SITE, &task(1_000, 10), Timestamp(9_000));
        let now = at(&mut figures, 9_000);
        assert_eq!((now.pending_operations, now.pending_bytes), (1, 5));
        assert_eq!(now.oldest, Some(Timestamp(3_000)));
        assert_eq!(now.latency, Span::seconds(8));
        figures.failed(SITE, &task(3_500, 5));
        let later = at(&mut figures, 200_000);
        assert_eq!((later.pending_operations, later.latency), (0, Span::ZERO));
        assert_eq!(
            (later.failed, later.completed, later.completed_bytes),
            (1, 1, 10)
        );
        figures.retain(|_| false);
        assert!(figures.all(Timestamp(0)).is_empty());
    }

    #[test]
    fn prometheus_reads_it() {
        let mut figures = Figures::default();
        figures.announced(SITE, &task(1_000, 10));
        let text = prometheus(&figures.all(Timestamp(1_000)));
        let line = "causeway_objects_replication_pending_bytes{source_bucket=\"sources\",\
                    destination_bucket=\"replicas\",rule_id=\"a\\\"b\"} 10\n";
        assert!(text.contains(line), "{text}");
        assert_eq!(text.matches("# TYPE").count(), EXPORTS.len());
    }
}
