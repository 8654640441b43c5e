//! What a game day measures, by name: the words that expectations are written in and that the
//! JSON report uses. It computes nothing.

use std::fmt;

use serde::{Serialize, Serializer};
use types::Region;

use crate::language::meant;

/// Kinds of traffic between sites, as the link names them, and what is in none of them:
/// greetings, heartbeats, credit.
pub const LANES: [&str; 8] = [
    "council", "health", "changes", "snapshot", "objects", "stream", "request", "overhead",
];

/// Service levels whose error budget is counted, in percent.
pub const LEVELS: [&str; 3] = ["99.9", "99.95", "99.99"];

/// One thing that is measured.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Metric {
    /// What is measured.
    pub name: MetricName,
    /// Of what, and which value: `honours_ttl`, `p99`, `eu-west-1`; from the first dot on.
    pub of: Vec<String>,
}

/// The names of what is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum MetricName {
    /// Seconds from the fault to the first sustained success; the worst of the clients.
    RtoS,
    /// Seconds from the fault to the first health check that turned unhealthy.
    DetectedS,
    /// Seconds from the fault until no place was answered with the Region that is down.
    AnswersChangedS,
    /// Acknowledged orders that no surviving Region had.
    RpoOrders,
    /// Seconds: how old, at the fault, the oldest of them was.
    RpoS,
    /// Those of them that were there again in the end.
    CameBack,
    /// Acknowledged orders that are in no Region in the end and in no ledger.
    LostForGood,
    /// Acknowledged rows that the writer of a global cluster does not have in the end.
    MissingRows,
    /// Those of them that the kept tails of old writers have.
    KeptAside,
    /// Rows that two writers acknowledged at once.
    SplitBrainRows,
    /// Seconds from when a step asked for another writer until that one acknowledged a row.
    TakeoverS,
    /// Acknowledged orders that a Region did not have while the fault lasted.
    MissingAt,
    /// Acknowledged orders that a Region does not have in the end.
    NeverArrived,
    /// Versions of orders that the buckets, or rows that the writer of a global cluster, have in
    /// the end beyond one of each.
    AppliedTwice,
    /// Orders of a load that a Region has in the end.
    OrdersAt,
    /// Writes that lost to a later one and are in the ledger.
    LwwDiscards,
    /// Reads that saw less than had been acknowledged before they began.
    StaleReads,
    /// Those, in percent of the reads that could be judged.
    StalePercent,
    /// Milliseconds for which what a stale read saw had been out of date.
    StaleAgeMs,
    /// Requests that succeeded, in percent.
    AvailabilityPercent,
    /// Requests that were made.
    Requests,
    /// Requests that failed.
    Failed,
    /// Milliseconds from when a request was due to its success.
    LatencyMs,
    /// Share of a month's error budget that was burnt, in percent.
    BudgetPercent,
    /// Requests of a load that a Region served.
    ServedBy,
    /// Share of the time in which the answer at a load's place named a Region, in percent.
    AnsweredPercent,
    /// Seconds from the last heal until nothing waited on a link.
    DrainedS,
    /// Seconds from the last heal until all replicas agreed.
    ConvergedS,
    /// Bytes that crossed between sites.
    LinkBytes,
}

/// What may follow a metric's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// Nothing.
    Bare,
    /// Nothing, a client's word or a load's name.
    Whose,
    /// Nothing, a client or a load; then `p50`, `p99` or `max`.
    WhoseQuantile,
    /// `p50`, `p99` or `max`.
    Quantile,
    /// A Region.
    Region,
    /// A load, then a Region.
    LoadRegion,
    /// A step that moves the writer of a global cluster.
    Takeover,
    /// `99.9`, `99.95` or `99.99`.
    Level,
    /// Nothing or a lane.
    Lane,
}

/// The metrics in the order of the documentation: name, word, what may follow, unit.
const METRICS: [(MetricName, &str, Form); 29] = [
    (MetricName::RtoS, "rto_s", Form::Whose),
    (MetricName::DetectedS, "detected_s", Form::Bare),
    (MetricName::AnswersChangedS, "answers_changed_s", Form::Bare),
    (MetricName::RpoOrders, "rpo_orders", Form::Bare),
    (MetricName::RpoS, "rpo_s", Form::Bare),
    (MetricName::CameBack, "came_back", Form::Bare),
    (MetricName::LostForGood, "lost_for_good", Form::Bare),
    (MetricName::MissingRows, "missing_rows", Form::Bare),
    (MetricName::KeptAside, "kept_aside", Form::Bare),
    (MetricName::SplitBrainRows, "split_brain_rows", Form::Bare),
    (MetricName::TakeoverS, "takeover_s", Form::Takeover),
    (MetricName::MissingAt, "missing_at", Form::Region),
    (MetricName::NeverArrived, "never_arrived", Form::Region),
    (MetricName::AppliedTwice, "applied_twice", Form::Bare),
    (MetricName::OrdersAt, "orders_at", Form::LoadRegion),
    (MetricName::LwwDiscards, "lww_discards", Form::Bare),
    (MetricName::StaleReads, "stale_reads", Form::Whose),
    (MetricName::StalePercent, "stale_percent", Form::Whose),
    (MetricName::StaleAgeMs, "stale_age_ms", Form::Quantile),
    (
        MetricName::AvailabilityPercent,
        "availability_percent",
        Form::Whose,
    ),
    (MetricName::Requests, "requests", Form::Whose),
    (MetricName::Failed, "failed", Form::Whose),
    (MetricName::LatencyMs, "latency_ms", Form::WhoseQuantile),
    (MetricName::BudgetPercent, "budget_percent", Form::Level),
    (MetricName::ServedBy, "served_by", Form::LoadRegion),
    (
        MetricName::AnsweredPercent,
        "answered_percent",
        Form::LoadRegion,
    ),
    (MetricName::DrainedS, "drained_s", Form::Bare),
    (MetricName::ConvergedS, "converged_s", Form::Bare),
    (MetricName::LinkBytes, "link_bytes", Form::Lane),
];

/// The quantiles that are given.
const QUANTILES: [&str; 3] = ["p50", "p99", "max"];

/// What the words after a metric's name may refer to.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// The words of the clients.
    pub clients: Vec<String>,
    /// The names of the loads.
    pub loads: Vec<String>,
    /// The Regions of the lab.
    pub regions: Vec<Region>,
    /// The names of the steps that move the writer of a global cluster.
    pub takeovers: Vec<String>,
}

impl MetricName {
    /// Every metric, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = MetricName> {
        METRICS.iter().map(|(name, _, _)| *name)
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        let found = METRICS.iter().find(|(name, _, _)| *name == self);
        found
            .map(|(_, word, _)| *word)
            .expect("every name is in the table")
    }

    /// What a number of it counts, to be set after the number: `s`, `%`, `ms`, or nothing.
    pub fn unit(self) -> &'static str {
        let word = self.word();
        match word.rsplit('_').next() {
            Some("s") => "s",
            Some("ms") => "ms",
            Some("percent") => "%",
            _ => "",
        }
    }
}

impl Metric {
    /// A metric with nothing after its name.
    pub fn bare(name: MetricName) -> Metric {
        Metric {
            name,
            of: Vec::new(),
        }
    }

    /// A metric of something.
    pub fn of(name: MetricName, words: impl IntoIterator<Item = impl Into<String>>) -> Metric {
        let of = words.into_iter().map(Into::into).collect();
        Metric { name, of }
    }

    /// Reads `rto_s.honours_ttl`; or says what is wrong and what would be right.
    pub fn parse(text: &str, known: &Vocabulary) -> Result<Metric, (String, String)> {
        let (word, rest) = match text.split_once('.') {
            Some((word, rest)) => (word, Some(rest)),
            None => (text, None),
        };
        let found = METRICS.iter().find(|(_, name, _)| *name == word);
        let Some((name, _, form)) = found else {
            let words: Vec<&str> = METRICS.iter().map(|(_, word, _)| *word).collect();
            return Err((
                format!("nothing named `{word}` is measured"),
                meant(word, &words),
            ));
        };
        let of = form.parse(word, rest, known)?;
        Ok(Metric { name: *name, of })
    }
}

impl Form {
    fn parse(
        self,
        word: &str,
        rest: Option<&str>,
        known: &Vocabulary,
    ) -> Result<Vec<String>, (String, String)> {
        let words: Vec<&str> = match (self, rest) {
            (_, None) => Vec::new(),
            // These have dots in themselves.
            (Form::Level, Some(level)) => vec![level],
            (_, Some(rest)) => rest.split('.').collect(),
        };
        let loads: Vec<&str> = known.loads.iter().map(String::as_str).collect();
        let clients: Vec<&str> = known.clients.iter().map(String::as_str).collect();
        let whose = [clients, loads.clone()].concat();
        let regions: Vec<&str> = known.regions.iter().map(|region| region.name()).collect();
        let takeovers: Vec<&str> = known.takeovers.iter().map(String::as_str).collect();
        let allowed: &[&[&str]] = match (self, words.len()) {
            (Form::Bare, _) | (Form::Whose | Form::Lane, 0) => &[],
            (Form::Whose, _) => &[&whose],
            (Form::Lane, _) => &[&LANES],
            (Form::Quantile, _) | (Form::WhoseQuantile, 0 | 1) => &[&QUANTILES],
            (Form::WhoseQuantile, _) => &[&whose, &QUANTILES],
            (Form::Region, _) => &[&regions],
            (Form::LoadRegion, _) => &[&loads, &regions],
            (Form::Takeover, _) => &[&takeovers],
            (Form::Level, _) => &[&LEVELS],
        };
        if words.len() != allowed.len() {
            return Err((
                format!("`{word}` is written {}", self.example(word)),
                self.help(),
            ));
        }
        for (given, allowed) in words.iter().zip(allowed) {
            if !allowed.contains(given) {
                return Err((format!("`{word}` has no `{given}`"), meant(given, allowed)));
            }
        }
        Ok(words.into_iter().map(str::to_owned).collect())
    }

    fn example(self, word: &str) -> String {
        match self {
            Form::Bare => format!("without anything after it: `{word}`"),
            Form::Whose => format!("`{word}` or `{word}.CLIENT` or `{word}.LOAD`"),
            Form::Lane => format!("`{word}` or `{word}.LANE`"),
            Form::Quantile => format!("`{word}.p99`"),
            Form::WhoseQuantile => format!("`{word}.p99` or `{word}.CLIENT.p99`"),
            Form::Region => format!("`{word}.REGION`"),
            Form::LoadRegion => format!("`{word}.LOAD.REGION`"),
            Form::Takeover => format!("`{word}.STEP`"),
            Form::Level => format!("`{word}.99.9`"),
        }
    }

    fn help(self) -> String {
        match self {
            Form::Bare => "leave out the dot and what follows".to_owned(),
            Form::Whose => "the clients and loads are those of this scenario".to_owned(),
            Form::Lane => format!("lanes: {}", LANES.join(", ")),
            Form::Quantile | Form::WhoseQuantile => format!("it ends in {}", QUANTILES.join(", ")),
            Form::Region | Form::LoadRegion => "the Regions are those of the lab".to_owned(),
            Form::Takeover => "the steps are those that move the writer, by their names".to_owned(),
            Form::Level => format!("levels: {}", LEVELS.join(", ")),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.word())?;
        for word in &self.of {
            write!(f, ".{word}")?;
        }
        Ok(())
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
