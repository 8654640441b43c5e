//! A scenario: everything that a game day's file says, checked. A plain value; `Scenario::parse`
//! makes it of text.

use serde::Serialize;
use types::{FaultTarget, Region, Span};

use crate::expectation::Expectation;

mod accelerator;
mod describe;
mod fault;
mod global;

pub use accelerator::{Accelerator, Affinity, CheckKind, EndpointGroup};
pub use fault::{Fault, Pair, Repeat};
pub use global::{MoveKind, StoreKind, WriterMove};

/// A game day as its file describes it. Every name in it refers to something that is there.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Scenario {
    /// The file's name without folders and ending: `region-outage`.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// What happens and what it is to show.
    pub description: Option<String>,
    /// What the seed of every choice is.
    pub seed: u64,
    /// SHA-256 of the file and of the variables' values, in hexadecimal.
    pub digest: String,
    /// The variables and their values, those set on the command line included.
    pub variables: Vec<(String, String)>,
    /// The lab.
    pub lab: Lab,
    /// The tables, buckets and global clusters.
    pub tables: Vec<Table>,
    /// The hosted zones.
    pub zones: Vec<Zone>,
    /// The accelerators.
    pub accelerators: Vec<Accelerator>,
    /// The health checks.
    pub health_checks: Vec<HealthCheck>,
    /// The records, in an order in which they can be made: no alias before its target.
    pub records: Vec<Record>,
    /// The loads.
    pub loads: Vec<Load>,
    /// The steps, by time.
    pub steps: Vec<Step>,
    /// What is measured, and for how long things may take.
    pub measure: Measure,
    /// What is expected.
    pub expectations: Vec<Expectation>,
}

/// The lab that is started.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Lab {
    /// The Regions.
    pub regions: Vec<Region>,
    /// How many edges.
    pub edges: u16,
    /// What delays are multiplied by.
    pub delay_scale: f64,
    /// The interval of health checks; `None`: the service's own, 10 or 30 s.
    pub health_interval: Option<Span>,
    /// The application that runs in every Region.
    pub app: Option<App>,
    /// The application's port; `None`: the runner takes a free one.
    pub app_port: Option<u16>,
    /// What the application finds in its environment besides: names and values.
    pub environment: Vec<(String, String)>,
}

/// An application.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum App {
    /// The shipped example `examples/orders`.
    Orders,
    /// A command, as `causeway up --app` takes it.
    Command(String),
}

/// A store of orders: a table, made in its first Region and replicated to the others; buckets, one
/// in each Region, of which the first is replicated to the others; or a global cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Table {
    /// Its name; of buckets, what stands before `-REGION` in theirs.
    pub name: String,
    /// What it is.
    pub kind: StoreKind,
    /// The attribute that is a table's key, a text.
    pub key: Option<String>,
    /// Where it is; at least one Region.
    pub regions: Vec<Region>,
}

/// A hosted zone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Zone {
    /// Its name in lowercase, without a dot at the end.
    pub name: String,
}

/// A health check of an endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HealthCheck {
    /// What the scenario calls it.
    pub name: String,
    /// The Region whose application is probed.
    pub region: Region,
    /// How.
    pub kind: ProbeKind,
    /// The path that is asked for (HTTP and HTTPS).
    pub path: String,
    /// What the answer must hold.
    pub search: Option<String>,
    /// The port; `None`: the application's.
    pub port: Option<u16>,
    /// How many probes in a row change the verdict, 1 to 10.
    pub threshold: u8,
    /// The service's interval: 10 or 30 s. (The lab's `health_interval` goes before it.)
    pub interval: Span,
    /// Healthy counts as unhealthy.
    pub inverted: bool,
    /// Not probed, and counted as healthy.
    pub disabled: bool,
}

/// How an endpoint is probed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProbeKind {
    /// By HTTP.
    Http,
    /// By HTTPS.
    Https,
    /// By a TCP connection.
    Tcp,
}

/// A record set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Record {
    /// The zone's index in the scenario.
    pub zone: usize,
    /// Its name in lowercase, without a dot at the end.
    pub name: String,
    /// Its type: `A`, `AAAA`, `TXT`, ….
    pub kind: String,
    /// How it is chosen among those of its name and type.
    pub policy: Policy,
    /// Its set identifier; `None` for a simple one.
    pub identifier: Option<String>,
    /// What it answers.
    pub content: Content,
    /// The index of the health check it depends on.
    pub health_check: Option<usize>,
}

/// How a record is chosen among those of its name and type.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// It is the only one.
    Simple,
    /// Primary.
    Primary,
    /// Secondary.
    Secondary,
    /// By the latency to that Region.
    Latency(Region),
    /// By the client's place.
    Geolocation(Location),
    /// By chance, in proportion to its weight.
    Weighted(u8),
    /// One of up to eight.
    Multivalue,
}

/// A part of the world.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Location {
    /// Wherever no other record's location is.
    Default,
    /// A continent: AF, AN, AS, EU, OC, NA or SA.
    Continent(String),
    /// A country, by its two letters (ISO 3166-1).
    Country(String),
    /// A state of the United States, by its two letters.
    State(String),
}

/// What a record answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The address of that Region's application.
    Region {
        /// The Region.
        region: Region,
        /// Seconds for which the answer may be held.
        ttl: u32,
    },
    /// Values as Route 53 takes them.
    Values {
        /// The values.
        values: Vec<String>,
        /// Seconds for which the answer may be held.
        ttl: u32,
    },
    /// An accelerator's addresses.
    Accelerator {
        /// The accelerator's index in the scenario.
        accelerator: usize,
        /// Is its health the alias's own?
        evaluate_target_health: bool,
    },
    /// Another record of the zone.
    Alias {
        /// Its name, of the same type.
        target: String,
        /// Is the target's health the alias's own?
        evaluate_target_health: bool,
    },
}

/// A load: requests at a fixed rate from one place, whatever becomes of them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Load {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// Where its clients are.
    pub place: Region,
    /// What kind of clients they are.
    pub client: Client,
    /// Requests a second.
    pub rate: f64,
    /// What the requests do.
    pub work: Work,
    /// The name that is asked for; of a load on an accelerator or a global cluster, that one's.
    pub target: String,
    /// The index of the accelerator whose addresses are gone to, without any DNS.
    pub accelerator: Option<usize>,
    /// The index among the tables of the global cluster that is written to, without any DNS.
    pub global_cluster: Option<usize>,
    /// How long a request may take.
    pub timeout: Span,
    /// When it begins, from the start of the load.
    pub from: Span,
    /// When it ends.
    pub until: Span,
}

/// A kind of client, and what reports and expectations call it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Client {
    /// Its word: `honours_ttl`, `holds_60s`, `holds`, `never_resolves_again`, `pooled`,
    /// `accelerator`, `accelerator_pooled`, `follows_the_writer`.
    pub label: String,
    /// What it does.
    pub kind: ClientKind,
}

/// What a client does with an answer of the DNS, or in place of asking for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientKind {
    /// Holds it for its time to live; a connection for each request.
    HonoursTtl,
    /// Holds it for so long, whatever its time to live; a connection for each request.
    Holds(Span),
    /// Holds the first one for ever; a connection for each request.
    NeverResolvesAgain,
    /// Keeps its connections, and resolves (honouring the time to live) when it needs another.
    Pooled,
    /// Goes to an accelerator's address; a connection for each request.
    Accelerator,
    /// Goes to an accelerator's address, and keeps its connections.
    AcceleratorPooled,
    /// Goes to the cluster that is a global cluster's writer, keeps its connections, and asks which
    /// one that is when one of them fails.
    FollowsTheWriter,
}

/// What the requests of a load do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Each places a new order.
    PlaceOrders,
    /// Each reads an order that was acknowledged.
    ReadOrders,
    /// In turn, one updates one of so many shared orders, and one reads it.
    UpdateAndRead {
        /// How many orders the loads of this kind share.
        orders: u32,
    },
    /// Each inserts a row into the database of a global cluster.
    InsertRows,
    /// Each asks for that path.
    Get {
        /// The path, from `/`.
        path: String,
    },
}

/// One step of the timeline.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Step {
    /// When, from the start of the load.
    pub at: Span,
    /// Its name, by which `heal` and `[measure]` mean it.
    pub name: Option<String>,
    /// What is done.
    pub act: Act,
    /// The line of the file.
    pub line: usize,
}

/// What a step does.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Something is broken, for a while or until it is healed.
    Fault {
        /// What.
        fault: Fault,
        /// When it ends by itself; `None`: when it is healed, at the end of the load at the
        /// latest.
        lease: Option<Span>,
        /// How often it comes again, each time for its lease.
        repeat: Option<Repeat>,
    },
    /// What was killed is started.
    Start(FaultTarget),
    /// What was paused goes on.
    Resume(FaultTarget),
    /// An endpoint group of an accelerator gets another traffic dial.
    Dial {
        /// The accelerator's index in the scenario.
        accelerator: usize,
        /// Its group's Region.
        region: Region,
        /// Percent.
        dial: f64,
    },
    /// Another cluster becomes the writer of a global cluster.
    MoveWriter(WriterMove),
    /// The faults of that step end, or all.
    Heal {
        /// The step's index; `None`: every fault.
        step: Option<usize>,
    },
    /// Records are changed, all or none.
    ChangeRecords {
        /// The Region whose API is asked; `None`: the lab's front door.
        through: Option<Region>,
        /// The changes, in order.
        changes: Vec<RecordChange>,
    },
    /// The order table is read in every Region that can be asked.
    Scan,
}

/// A change of a record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RecordChange {
    /// What is done to it.
    pub action: ChangeAction,
    /// The whole record: for a deletion, as it is by then.
    pub record: Record,
}

/// What a change does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChangeAction {
    /// Makes it.
    Create,
    /// Makes or replaces it.
    Upsert,
    /// Deletes it.
    Delete,
}

/// What is measured, and how long things may take.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Measure {
    /// How long the load runs.
    pub length: Span,
    /// For how long a client must succeed to have recovered.
    pub sustained: Span,
    /// How often the DNS answers are looked at.
    pub look_every: Span,
    /// How long the lab may take to be ready.
    pub deploy_within: Span,
    /// How long replicas may take to agree after the load.
    pub converge_within: Span,
    /// The index of the step whose fault RTO and RPO are counted from; `None`: there is no fault.
    pub fault: Option<usize>,
    /// The index of the table, or of the buckets, that hold the orders.
    pub table: Option<usize>,
}

impl Table {
    /// Is it buckets?
    pub fn is_buckets(&self) -> bool {
        self.kind == StoreKind::Buckets
    }

    /// Is it a global cluster?
    pub fn is_global_cluster(&self) -> bool {
        self.kind == StoreKind::GlobalCluster
    }

    /// The bucket in that Region.
    pub fn bucket(&self, region: Region) -> String {
        format!("{}-{}", self.name, region.name())
    }
}

impl Act {
    /// For how long a fault with a lease lasts in all, from when it is made; `None`: it has none,
    /// or is no fault.
    pub fn lasts(&self) -> Option<Span> {
        let Act::Fault { lease, repeat, .. } = self else {
            return None;
        };
        let again = repeat.map_or(0, |repeat| {
            repeat
                .every
                .0
                .saturating_mul(u64::from(repeat.times.saturating_sub(1)))
        });
        lease.map(|lease| Span(lease.0.saturating_add(again)))
    }
}

impl Load {
    /// Does it ask the DNS where to go?
    pub fn asks_the_dns(&self) -> bool {
        self.accelerator.is_none() && self.global_cluster.is_none()
    }
}

impl ClientKind {
    /// Does it go to an accelerator's address, whatever the DNS says?
    pub fn is_accelerator(self) -> bool {
        matches!(
            self,
            ClientKind::Accelerator | ClientKind::AcceleratorPooled
        )
    }

    /// Does it keep its connections?
    pub fn is_pooled(self) -> bool {
        matches!(self, ClientKind::Pooled | ClientKind::AcceleratorPooled)
    }
}

impl Policy {
    /// The word of the language.
    pub fn word(&self) -> &'static str {
        match self {
            Policy::Simple => "simple",
            Policy::Primary | Policy::Secondary => "failover",
            Policy::Latency(_) => "latency",
            Policy::Geolocation(_) => "geolocation",
            Policy::Weighted(_) => "weight",
            Policy::Multivalue => "multivalue",
        }
    }
}
