//! The figures of replication, a rule: what is pending, how late it is, what failed. Kept in
//! memory and rebuilt from the outbox at the start, so that they can't part from it. What failed
//! is counted on from what `kept` wrote down; what was done is counted from the start on.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
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
    /// The site that it is in, or was in while there was one.
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
    /// `OperationsFailedReplication`, since the rule was made: kept over a restart, but for those
    /// of the last 15 seconds before a crash.
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
}

/// Figures of a rule that outlive the process, as their row has them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct KeptFigures {
    pub bucket: BucketName,
    pub rule: String,
    pub destination: BucketName,
    /// The site that the destination is in, as far as was known.
    pub site: SiteId,
    pub failed: u64,
}

/// All figures.
#[derive(Debug, Default)]
pub(super) struct Figures {
    rules: BTreeMap<Which, Figure>,
    /// Tasks that haven't ended, by the jobs that they belong to.
    jobs: BTreeMap<JobId, u64>,
}

#[derive(Debug)]
struct Figure {
    site: SiteId,
    operations: u64,
    bytes: u64,
    /// How many that are pending were announced in which second.
    ages: BTreeMap<u64, u64>,
    failed: u64,
    /// What of it is written down.
    kept: u64,
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
        let figure = self.figure(site, task);
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
        let figure = self.figure(site, task);
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

    fn figure(&mut self, site: SiteId, task: &Task) -> &mut Figure {
        let figure = self.rules.entry(which(task));
        figure.or_insert_with(|| Figure::new(site))
    }

    /// Goes on with what was written down.
    pub fn go_on(&mut self, kept: KeptFigures) {
        let figure = self.rules.entry(kept.which());
        let figure = figure.or_insert_with(|| Figure::new(kept.site));
        (figure.failed, figure.kept) = (kept.failed, kept.failed);
    }

    /// What is to be written down.
    pub fn unkept(&self) -> Vec<KeptFigures> {
        let rules = self.rules.iter();
        let unkept = rules.filter(|(_, figure)| figure.failed != figure.kept);
        let unkept = unkept.map(|(which, figure)| KeptFigures {
            bucket: which.bucket.clone(),
            rule: which.rule.clone(),
            destination: which.destination.clone(),
            site: figure.site,
            failed: figure.failed,
        });
        unkept.collect()
    }

    /// That is written down.
    pub fn kept(&mut self, written: &[KeptFigures]) {
        for kept in written {
            if let Some(figure) = self.rules.get_mut(&kept.which()) {
                figure.kept = kept.failed;
            }
        }
    }

    /// Is there anything to tell of that rule?
    pub fn knows(&self, kept: &KeptFigures) -> bool {
        self.rules.contains_key(&kept.which())
    }

    /// Says where destinations are; one that is gone stays where it was.
    pub fn place(&mut self, site_of: impl Fn(&BucketName) -> Option<SiteId>) {
        for (which, figure) in &mut self.rules {
            figure.site = site_of(&which.destination).unwrap_or(figure.site);
        }
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
                site: figure.site,
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

    /// Forgets rules of which nothing is pending and that don't stand any more, or whose bucket
    /// doesn't.
    pub fn retain(&mut self, mut stands: impl FnMut(&BucketName, &str) -> bool) {
        let rules = &mut self.rules;
        rules.retain(|which, figure| figure.operations > 0 || stands(&which.bucket, &which.rule));
    }
}

impl KeptFigures {
    fn which(&self) -> Which {
        Which {
            bucket: self.bucket.clone(),
            rule: self.rule.clone(),
            destination: self.destination.clone(),
        }
    }
}

impl Figure {
    fn new(site: SiteId) -> Figure {
        Figure {
            site,
            operations: 0,
            bytes: 0,
            ages: BTreeMap::new(),
            failed: 0,
            kept: 0,
            completed: 0,
            completed_bytes: 0,
            minute: 0,
            latency: [Span::ZERO; 2],
        }
    }

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

fn which(task: &Task) -> Which {
    Which {
        bucket: task.name.clone(),
        rule: task.rule.clone(),
        destination: task.destination.clone(),
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
        figures.retain(|_, _| false);
        assert!(figures.all(Timestamp(0)).is_empty());
    }

    #[test]
    fn failures_are_counted_on_and_a_destination_that_is_gone_stays_where_it_was() {
        let mut figures = Figures::default();
        figures.announced(SITE, &task(1_000, 10));
        figures.failed(SITE, &task(1_000, 10));
        let kept = figures.unkept();
        assert_eq!(kept[0].failed, 1);
        figures.kept(&kept);
        assert!(figures.unkept().is_empty());
        let mut anew = Figures::default();
        anew.go_on(kept[0].clone());
        // Of a bucket that is gone this very site says so.
        anew.announced(SiteId(1), &task(2_000, 10));
        anew.failed(SiteId(1), &task(2_000, 10));
        let told = anew.all(Timestamp(3_000));
        assert_eq!((told.len(), told[0].failed, told[0].site), (1, 2, SITE));
        anew.place(|_| Some(SiteId(3)));
        assert_eq!(anew.all(Timestamp(3_000))[0].site, SiteId(3));
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
