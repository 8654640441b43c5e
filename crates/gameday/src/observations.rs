//! What a runner saw of a game day: events, every request, answers of the DNS, what the Regions
//! held, what the ledger has, what crossed. Facts with their times and nothing computed.
//!
//! Every time is a [`Span`] from the start of the load, by the runner's monotonic clock.

use std::collections::BTreeMap;

use serde::Serialize;
use types::{Region, SiteName, Span, Timestamp};

use crate::plan::{Look, Order};

/// Everything that was seen.
#[derive(Clone, PartialEq, Debug)]
pub struct Observations {
    /// The version of Causeway, with its commit where that is known.
    pub version: String,
    /// The wall clock when the load started.
    pub started: Timestamp,
    /// How long the lab took to be ready, records and tables included.
    pub ready_after: Span,
    /// When the run was over.
    pub ended: Span,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Every request, in any order.
    pub requests: Vec<Request>,
    /// Answers of the DNS: the first of each look, and each that differs from the one before.
    pub answers: Vec<Answer>,
    /// What the Regions held while the fault lasted: the last such reading before it ended.
    pub scan: Option<Scan>,
    /// What they held in the end.
    pub last_scan: Option<Scan>,
    /// Every row of the conflict ledger.
    pub conflicts: Vec<Conflict>,
    /// The rows that old writers of a global cluster alone held, and the Regions that keep them
    /// aside; `None`: none is measured, or they could not be read.
    pub kept_aside: Option<BTreeMap<Order, Region>>,
    /// What crossed between sites from the start of the load to the end of the run.
    pub crossings: Vec<Crossing>,
}

/// Something that happened.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// When. For what was ordered: when the order was given.
    pub at: Span,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, PartialEq, Debug)]
pub enum EventKind {
    /// The step of that index was carried out.
    Step(usize),
    /// The step of that index could not be carried out, and why.
    StepFailed(usize, String),
    /// A health check changed its verdict, as most sites have it.
    Verdict {
        /// The health check's name in the scenario.
        check: String,
        /// The verdict.
        healthy: bool,
    },
    /// The orders were read in every Region that could be asked.
    Scanned,
    /// The load ended and every fault was healed.
    LoadEnded,
    /// Nothing waits on a link any more.
    Drained,
    /// All replicas agree.
    Converged,
    /// They did not agree in the time they were given, and what differs.
    NotConverged(String),
    /// Something else that the reader of a report should know.
    Note(String),
}

/// What a request did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Placed an order.
    Place,
    /// Wrote a shared order.
    Update,
    /// Read an order.
    Read,
    /// Asked for a path.
    Get,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// It succeeded: a status of 200 to 299, or a read that found nothing (404).
    Ok,
    /// The name was not resolved: no answer, an error, or no address.
    NotResolved,
    /// The connection was refused.
    Refused,
    /// The connection broke.
    Reset,
    /// Nothing came in time.
    TimedOut,
    /// The application answered with that status.
    Status(u16),
    /// The database answered with an error.
    SqlError,
    /// What came is no answer.
    Garbled,
    /// It wasn't sent: too many were under way when it was due.
    NotSent,
}

/// One request.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Request {
    /// The load's index.
    pub load: u16,
    /// What it did.
    pub verb: Verb,
    /// When it was due.
    pub due: Span,
    /// When it was begun.
    pub began: Span,
    /// When its outcome was known.
    pub ended: Span,
    /// What became of it.
    pub outcome: Outcome,
    /// The Region that served it, by what the answer said.
    pub region: Option<Region>,
    /// The order it was about.
    pub order: Option<Order>,
    /// The version it wrote (1 for a placed order; of a row, the timeline of the server that
    /// acknowledged it, 0 if none did), or the one it read: 0 where there was none.
    pub version: u32,
}

/// An answer of the DNS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// When it came.
    pub at: Span,
    /// Who asked for what.
    pub look: Look,
    /// The Regions whose application's addresses were in it; empty for none, or no answer.
    pub regions: Vec<Region>,
}

/// What the order table held in each Region that could be asked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Scan {
    /// When it was begun.
    pub at: Span,
    /// Per Region the orders and their versions. A Region without the table, or one that could
    /// not be asked, isn't here.
    pub regions: BTreeMap<Region, BTreeMap<Order, u32>>,
    /// Of buckets and global clusters: per Region, how many versions of orders, or rows, it has
    /// beyond one of each.
    pub twice: BTreeMap<Region, u64>,
    /// Of a global cluster: the Region whose cluster was the writer. What is missing there is
    /// missing.
    pub writer: Option<Region>,
}

/// A write that lost to a later one, as the ledger has it.
#[derive(Clone, PartialEq, Debug)]
pub struct Conflict {
    /// The table.
    pub table: String,
    /// The key as text.
    pub key: String,
    /// The order, if the key is one's.
    pub order: Option<Order>,
    /// The version that lost, if the item has one.
    pub beaten_version: Option<u32>,
    /// The version that won.
    pub winning_version: Option<u32>,
    /// Where what lost was written, and when by that Region's clock.
    pub beaten: (Region, Timestamp),
    /// Where what won was written, and when by that Region's clock.
    pub winning: (Region, Timestamp),
}

/// Bytes from one site to another in one lane.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Crossing {
    /// From where.
    pub from: SiteName,
    /// To where.
    pub to: SiteName,
    /// The lane's name, as the link has it.
    pub lane: String,
    /// Bytes on the wire, frames included.
    pub bytes: u64,
}

impl Observations {
    /// Nothing seen yet.
    pub fn new(version: String, started: Timestamp, ready_after: Span) -> Observations {
        Observations {
            version,
            started,
            ready_after,
            ended: Span::ZERO,
            events: Vec::new(),
            requests: Vec::new(),
            answers: Vec::new(),
            scan: None,
            last_scan: None,
            conflicts: Vec::new(),
            kept_aside: None,
            crossings: Vec::new(),
        }
    }

    /// Notes an event.
    pub fn event(&mut self, at: Span, kind: EventKind) {
        self.events.push(Event { at, kind });
    }

    /// Notes an answer of the DNS, unless it is the same as the one before it.
    pub fn answer(&mut self, at: Span, look: &Look, mut regions: Vec<Region>) {
        regions.sort();
        let mut earlier = self.answers.iter().rev();
        let last = earlier.find(|answer| answer.look == *look);
        if last.is_none_or(|last| last.regions != regions) {
            self.answers.push(Answer {
                at,
                look: look.clone(),
                regions,
            });
        }
    }
}

impl Outcome {
    /// Did it succeed?
    pub fn is_ok(self) -> bool {
        self == Outcome::Ok
    }

    /// The class it is counted in.
    pub fn class(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::NotResolved => "not_resolved",
            Outcome::Refused => "refused",
            Outcome::Reset => "reset",
            Outcome::TimedOut => "timed_out",
            Outcome::Status(_) => "http_error",
            Outcome::SqlError => "sql_error",
            Outcome::Garbled => "garbled",
            Outcome::NotSent => "not_sent",
        }
    }

    /// The class in words.
    pub fn words(class: &str) -> &'static str {
        match class {
            "ok" => "succeeded",
            "not_resolved" => "name not resolved",
            "refused" => "connection refused",
            "reset" => "connection broken",
            "timed_out" => "timed out",
            "http_error" => "error from the application",
            "sql_error" => "error from the database",
            "not_sent" => "not sent: too many were under way",
            _ => "answer not understood",
        }
    }

    /// Every class, in the order in which they are shown.
    pub const CLASSES: [&'static str; 9] = [
        "ok",
        "refused",
        "reset",
        "timed_out",
        "not_resolved",
        "http_error",
        "sql_error",
        "garbled",
        "not_sent",
    ];
}
