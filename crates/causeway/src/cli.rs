//! The command line: names, options, help. Values are parsed here, nothing is carried out.

mod accelerator;
mod announce;
mod balancer;
mod conflicts;
mod council;
mod databases;
mod edge;
mod endpoint;
mod explain;
mod fault;
mod identity;

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use types::{Region, ZoneLetter};

use crate::duration;
use crate::failure::Failure;
use crate::gameday::GameDayCommand;
use crate::lab::{HealthInterval, Ipv6Pool, KeySource, Webhook};

pub use accelerator::{AcceleratorCommand, ExplainFlow};
pub use announce::Announce;
pub use balancer::{BalancerCommand, ExplainRequest};
pub use conflicts::Conflicts;
pub use council::Council;
pub use databases::{DatabasesCommand, LostTransactions};
pub use edge::{DrainArguments, EdgeCommand, UndrainArguments};
pub use endpoint::EndpointArguments;
pub use explain::Explain;
pub use fault::{FaultCommand, LeaseArguments};
pub use identity::{Explain as IdentityExplain, IdentityCommand, PolicyCommand};

/// Multi-Region rehearsal and self-hosting: real Regions behind the AWS wire protocols.
#[derive(Parser, Debug)]
#[command(name = "causeway", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 it ran and did not hold, 2 wrong use or configuration, 3 nothing is running.

A first session:
  causeway up &
  eval \"$(causeway env)\"
  aws dynamodb list-tables
  causeway status";

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Start a lab: Regions and edges as processes, one front door before them
    #[command(
        after_help = "Examples:\n  causeway up\n  causeway up --regions us-east-1,eu-west-1 \
        --delay-scale 0\n  causeway up --data /srv/lab --api-port 5566 --dns-port 5353\n  \
        causeway up --app './orders' --health-interval 200ms\n  \
        causeway up --tls\n  causeway up --bind 0.0.0.0 --tls --tls-names lab.example.com"
    )]
    Up(Box<Up>),
    /// Print the lab's endpoint and credentials for the shell
    #[command(after_help = "Examples:\n  eval \"$(causeway env)\"\n  causeway env --json")]
    Env(Query),
    /// Show the sites, their links and the faults in force
    #[command(after_help = "Examples:\n  causeway status\n  causeway status --operations")]
    Status(Status),
    /// Stop a running lab; its data stays
    #[command(after_help = "Example:\n  causeway down")]
    Down(Query),
    /// Show how far each replica is behind each Region
    #[command(after_help = "Example:\n  causeway lag --json")]
    Lag(Query),
    /// Print the figures of buckets' replication and accelerators' flows as Prometheus reads them
    #[command(
        after_help = "Of each rule: operations and bytes that are pending, latency, failures, and \
        what arrived. Of each listener of an accelerator: flows, bytes, failures. For a scraper \
        that reads files: write it to a file now and then.\n\n\
        Example:\n  causeway metrics > /var/lib/node_exporter/causeway.prom"
    )]
    Metrics(Query),
    /// Look into the ledger of writes that lost, and bring one back
    #[command(
        subcommand,
        after_help = "Examples:\n  causeway conflicts list\n  causeway conflicts show ID\n  \
        causeway conflicts restore ID"
    )]
    Conflicts(Conflicts),
    /// Print the places a client can be in, and their addresses
    #[command(after_help = "Example:\n  causeway places --json")]
    Places(Places),
    /// Show every step of a DNS answer: who was considered, what is healthy, and why it was chosen
    #[command(
        after_help = "The nearest edge that runs explains the answer that it would give. \
        Without --from it is that to a client on this machine which is in no place.\n\n\
        Examples:\n  causeway explain app.example.com\n  \
        causeway explain app.example.com --from eu-west-1\n  \
        causeway explain www.example.com --type AAAA --from 192.0.2.1 --json"
    )]
    Explain(Explain),
    /// Look into the accelerators
    #[command(
        subcommand,
        after_help = "Accelerators are made through Global Accelerator's own API, by any of its \
        tools.\n\nExample:\n  causeway accelerator explain 127.80.4.7:443 --from eu-west-1"
    )]
    Accelerator(AcceleratorCommand),
    /// Show what the edges carry for accelerators: flows and bytes by listener and by endpoint
    #[command(after_help = "Examples:\n  causeway flows\n  causeway flows --json")]
    Flows(Query),
    /// Drain an edge before it is stopped, and bring it back
    #[command(
        subcommand,
        after_help = "Examples:\n  causeway edge drain edge-2 --within 60s\n  \
        causeway edge undrain edge-2"
    )]
    Edge(EdgeCommand),
    /// Show what the Regions' load balancers carry: requests, flows and bytes by listener of a
    /// node, and targets with their health
    #[command(after_help = "Examples:\n  causeway balancers\n  causeway balancers --json")]
    Balancers(Query),
    /// Look into a load balancer
    #[command(
        subcommand,
        after_help = "Load balancers are made through Elastic Load Balancing's own API, by any of \
        its tools.\n\nExample:\n  causeway balancer explain 127.32.1.1:8088 --path /orders"
    )]
    Balancer(BalancerCommand),
    /// Look into the databases
    #[command(
        subcommand,
        after_help = "Databases are made through RDS's own API, by any of its tools.\n\n\
        Examples:\n  causeway databases list\n  causeway databases lag --json"
    )]
    Databases(DatabasesCommand),
    /// Check every Region's data and that replicas agree
    #[command(
        after_help = "Exit code 0: everything was checked, is sound, and all replicas agree. \
        Exit code 1: data are damaged, replicas differ though they are made of the same changes, \
        or not everything could be checked (a Region is down, changes are still on their way); \
        the output says which.\n\nExample:\n  causeway verify && echo sound"
    )]
    Verify(Query),
    /// Give every site a new certificate for its links, now
    #[command(
        after_help = "A certificate is renewed by itself when a third of its 90 days is left. \
        Connections that are open go on with the old one for up to ten minutes. Old certificates \
        stay valid until their own end: docs/lab.md says how to be rid of one whose key has \
        leaked.\n\nExit code 0: every site that runs has a new certificate; the others get theirs \
        when they start. Exit code 1: one keeps the old one, and the output says why.\n\n\
        Examples:\n  causeway rotate\n  causeway rotate --json"
    )]
    Rotate(Query),
    /// Look after who may call: accounts, access keys, and why something is allowed or denied
    #[command(
        subcommand,
        after_help = "Users, groups, roles and policies are made through IAM's own API, by any of \
        its tools. These commands are the operator's.\n\nExamples:\n  causeway identity list\n  \
        causeway identity create-account\n  causeway identity revoke AKIAIOSFODNN7EXAMPLE\n  \
        causeway identity explain dynamodb:Scan \
        arn:aws:dynamodb:us-east-1:111122223333:table/Orders --as user/alice"
    )]
    Identity(IdentityCommand),
    /// Break something for a while
    #[command(
        subcommand,
        after_help = "Examples:\n  causeway fault kill eu-west-1 --for 90s\n  \
        causeway fault kill us-east-1/us-east-1a\n  \
        causeway fault cut us-east-1 eu-west-1 --one-way\n  causeway fault delay us-east-1 \
        eu-west-1 250\n  causeway fault list\n  causeway fault heal\n\nEvery fault ends by itself \
        after its lease (10 minutes, or --for), at `heal`, and when the lab stops."
    )]
    Fault(FaultCommand),
    /// Repair the council, which decides on global settings
    #[command(
        subcommand,
        after_help = "Example:\n  causeway down && causeway council recover && causeway up"
    )]
    Council(Council),
    /// Run game days: break a lab under load on purpose, and measure what it costs
    #[command(
        subcommand,
        after_help = "Examples:\n  causeway gameday list\n  causeway gameday run region-outage \
        --report report"
    )]
    Gameday(GameDayCommand),
    /// Have BIRD announce an edge's addresses by BGP while it serves, and withdraw them when not
    #[command(after_help = announce::AFTER_HELP)]
    Announce(Announce),
    /// Run one site (started by `up`)
    #[command(hide = true)]
    Region(SiteArguments),
    /// End what a supervisor leaves behind (started by `up`)
    #[command(hide = true)]
    Guard,
}

#[derive(Args, Debug)]
pub struct Up {
    /// The Regions, with commas between [default: those the data directory has, or
    /// us-east-1,eu-west-1,ap-southeast-1]
    #[arg(long, value_delimiter = ',', value_name = "REGIONS")]
    pub regions: Option<Vec<Region>>,
    /// How many edges [default: those the data directory has, or 1]
    #[arg(long, value_name = "N", value_parser = edges, allow_negative_numbers = true)]
    pub edges: Option<u16>,
    /// Where the lab keeps everything
    #[arg(long, default_value = ".causeway", value_name = "DIR")]
    pub data: PathBuf,
    #[command(flatten)]
    pub key: OperatorKey,
    /// What the delays between sites are multiplied by; 0 switches them off [default: as before,
    /// or 1]
    #[arg(long, value_name = "X", value_parser = delay_scale, allow_hyphen_values = true)]
    pub delay_scale: Option<f64>,
    /// The port of the front door and of every Region's own address [default: as before, or 4566]
    #[arg(long, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    pub api_port: Option<u16>,
    #[command(flatten)]
    pub endpoint: EndpointArguments,
    /// The port DNS answers on [default: as before, or 5300]
    #[arg(long, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    pub dns_port: Option<u16>,
    /// The port the web console will answer on (comes with a later version)
    #[arg(long, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    pub console_port: Option<u16>,
    /// A command that the shell runs in two zones of every Region, with HOST, PORT, AWS_REGION,
    /// AWS_ENDPOINT_URL and credentials set; it is started again when it ends
    #[arg(long, value_name = "COMMAND", value_parser = app)]
    pub app: Option<String>,
    /// The zones of every Region that the application runs in, with commas between: a, b, c
    /// [default: a,b]
    #[arg(long, value_delimiter = ',', value_name = "ZONES", requires = "app")]
    pub app_zones: Option<Vec<ZoneLetter>>,
    /// The port of the application in every Region [default: as before, or 8080]
    #[arg(long, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    pub app_port: Option<u16>,
    /// How often the endpoints of all health checks are probed, 200ms to 30s; `off`: every 10 or
    /// 30 s, as each check says [default: as before, or off]
    #[arg(
        long,
        value_name = "SPAN",
        value_parser = health_interval,
        allow_negative_numbers = true
    )]
    pub health_interval: Option<HealthInterval>,
    /// How often flow logs of accelerators are delivered, 1s to 1h [default: as before, or 300s]
    #[arg(
        long,
        value_name = "SPAN",
        value_parser = flow_log_interval,
        allow_negative_numbers = true
    )]
    pub flow_log_interval: Option<u64>,
    /// What may be kept of an old database writer's lost transactions each time, in MiB: their
    /// list, their rows and their log (docs/databases.md) [default: as before, or 16384]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub tail_limit: Option<u64>,
    /// The networks that health checks may look at, with commas between [default: as before, or
    /// 127.0.0.0/8,::1]
    #[arg(long, value_delimiter = ',', value_name = "NETWORKS")]
    pub health_targets: Option<Vec<String>>,
    /// Where events of buckets may go, with commas between: a target's name or ARN, `=`, and the
    /// address that it is told at by POST [default: as before, or nowhere]
    #[arg(long, value_delimiter = ',', value_name = "TARGET=URL")]
    pub webhooks: Option<Vec<Webhook>>,
    /// A file that says in which bucket elsewhere the bytes of larger objects are
    /// (docs/objects.md); `local`: on this machine's disk. What a Region was made with stays
    /// [default: as before, or local]
    #[arg(long, value_name = "FILE|local")]
    pub blob_store: Option<PathBuf>,
    /// A database in MMDB format that says where addresses are, for clients without a lab address
    /// [default: as before, or none]
    #[arg(long, value_name = "FILE")]
    pub geo_database: Option<PathBuf>,
    /// A directory with certificates in files NAME.pem (and those between them and their
    /// authority, after them) and their keys in NAME.key, which HTTPS and TLS listeners of load
    /// balancers may name (docs/balancer.md) [default: as before, or none]
    #[arg(long, value_name = "DIR")]
    pub certificates: Option<PathBuf>,
    /// The network that accelerators' static IPv6 addresses are drawn from, of 64 to 125 bits,
    /// which this host must have for its own (`ip -6 route add local PREFIX/64 dev lo`); `off`:
    /// none has any [default: as before, or off]
    #[arg(long, value_name = "PREFIX/64|off", value_parser = ipv6_pool)]
    pub ipv6: Option<Ipv6Pool>,
    /// Print JSON when ready
    #[arg(long)]
    pub json: bool,
}

/// Where the operator's key is, which secrets at rest are sealed with.
#[derive(Args, Debug, Default)]
pub struct OperatorKey {
    /// The file with the operator's key, which secrets on disk are sealed with [default: what
    /// CAUSEWAY_OPERATOR_KEY holds, or the file DIR.key beside the data directory DIR, which `up`
    /// makes]
    #[arg(long, value_name = "FILE", conflicts_with = "operator_key_command")]
    pub operator_key: Option<PathBuf>,
    /// A command that prints the operator's key; the shell runs it
    #[arg(long, value_name = "COMMAND")]
    pub operator_key_command: Option<String>,
}

impl OperatorKey {
    /// Where to look.
    pub fn source(&self) -> KeySource {
        KeySource {
            file: self.operator_key.clone(),
            command: self.operator_key_command.clone(),
        }
    }
}

/// Which lab.
#[derive(Args, Debug)]
pub struct Lab {
    /// Where the lab keeps everything
    #[arg(long, default_value = ".causeway", value_name = "DIR")]
    pub data: PathBuf,
    #[command(flatten)]
    pub key: OperatorKey,
    /// The port of its front door [default: the one the lab was started with]
    #[arg(long, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    pub api_port: Option<u16>,
}

/// A question to a running lab.
#[derive(Args, Debug)]
pub struct Query {
    #[command(flatten)]
    pub lab: Lab,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Status {
    #[command(flatten)]
    pub query: Query,
    /// Count the operations of each service: built, and not built yet
    #[arg(long)]
    pub operations: bool,
}

#[derive(Args, Debug)]
pub struct Places {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Only the place that this lab address belongs to
    #[arg(long, value_name = "ADDRESS")]
    pub of: Option<Ipv4Addr>,
}

#[derive(Args, Debug)]
pub struct SiteArguments {
    /// The site's configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Does the command line ask for JSON? Known before it is understood, since what is wrong with it
/// is told in that form too.
pub fn asks_for_json(words: &[OsString]) -> bool {
    let mut options = words.iter().take_while(|word| *word != "--");
    options.any(|word| word == "--json")
}

/// What clap has to say of a command line, as a failure.
pub fn failure(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    let command: Vec<&str> = usage
        .unwrap_or("causeway")
        .split(' ')
        .take_while(|word| !word.starts_with(['<', '[', '-']))
        .collect();
    let message = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing".to_owned(),
        _ => {
            let first = text.split("\n\n").next().unwrap_or_default();
            let words: Vec<&str> = first.split_whitespace().collect();
            let sentence = words.join(" ");
            sentence.trim_start_matches("error: ").to_owned()
        }
    };
    Failure::wrong_use(message).then(format!("`{} --help` shows its use", command.join(" ")))
}

// === Values ===

/// The intervals that all probes can be given: from what a lab bears to the service's longest.
const HEALTH_INTERVALS: RangeInclusive<Duration> =
    Duration::from_millis(200)..=Duration::from_secs(30);

/// How often flow logs can be delivered.
const FLOW_LOG_INTERVALS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3600);

fn delay_scale(text: &str) -> Result<f64, String> {
    let scale = text.parse::<f64>().ok();
    let scale = scale.filter(|scale| (0.0..=100.0).contains(scale));
    // Of two zeros the one without a sign.
    scale
        .map(|scale| scale + 0.0)
        .ok_or_else(|| "the scale of delays is a number from 0 to 100".to_owned())
}

fn edges(text: &str) -> Result<u16, String> {
    whole(text, 0..=16, "the number of edges")
}

fn port(text: &str) -> Result<u16, String> {
    whole(text, 1..=65_535, "a port")
}

fn app(text: &str) -> Result<String, String> {
    match text.trim().is_empty() {
        false if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err("a command for the shell is not empty and has no zero bytes".to_owned()),
    }
}

fn health_interval(text: &str) -> Result<HealthInterval, String> {
    if text == "off" {
        return Ok(HealthInterval::AsConfigured);
    }
    let span = duration::parse(text)?;
    match HEALTH_INTERVALS.contains(&span) {
        true => Ok(HealthInterval::Milliseconds(span.as_millis() as u64)),
        false => Err("the interval of probes is from 200ms to 30s, or off".to_owned()),
    }
}

fn flow_log_interval(text: &str) -> Result<u64, String> {
    let span = duration::parse(text)?;
    match FLOW_LOG_INTERVALS.contains(&span) {
        true => Ok(span.as_millis() as u64),
        false => Err("the interval of flow logs is from 1s to 1h".to_owned()),
    }
}

fn ipv6_pool(text: &str) -> Result<Ipv6Pool, String> {
    if text == "off" {
        return Ok(Ipv6Pool::Off);
    }
    let network = text.parse().map(Ipv6Pool::Of);
    network.map_err(|cause: ::accelerator::Ipv6PoolError| cause.to_string())
}

fn limit(text: &str) -> Result<u32, String> {
    whole(text, 1..=10_000, "the limit")
}

/// A whole number of that range, or words that say which would be one.
fn whole<T: TryFrom<i128>>(
    text: &str,
    range: RangeInclusive<i128>,
    what: &str,
) -> Result<T, String> {
    let number = text.parse::<i128>().ok();
    let number = number.filter(|number| range.contains(number));
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| {
            let (least, greatest) = (range.start(), range.end());
            format!("{what} is a whole number from {least} to {greatest}")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_parses() {
        for line in [
            "causeway up --regions us-east-1,eu-west-1 --edges 2 --data d --delay-scale 0.5 \
             --api-port 1 --dns-port 5300 --console-port 4567 --app x --app-port 8081 \
             --app-zones a,b,c \
             --health-interval 200ms --flow-log-interval 2s --geo-database places.mmdb \
             --health-targets 127.0.0.0/8,10.0.0.0/8 --webhooks orders=http://127.0.0.1:9000/hook",
            "causeway up --bind 0.0.0.0 --tls --tls-names lab.example.com,192.0.2.1",
            "causeway up --bind :: --allow-plain-http --tls=false",
            "causeway up --tls-certificate c.pem --tls-key k.pem --allow-plain-http=false",
            "causeway up --health-interval off",
            "causeway env --json",
            "causeway status --operations --data d --api-port 4566",
            "causeway down",
            "causeway lag --json",
            "causeway metrics",
            "causeway conflicts objects --limit 10 --json",
            "causeway conflicts list --json",
            "causeway conflicts list --limit 10000 --table Orders --after \
             1700000000000.0123456789abcdef0123456789abcdef.1700000000500",
            "causeway conflicts show 0123456789abcdef0123456789abcdef",
            "causeway conflicts restore 0123456789ABCDEF0123456789abcdef --json",
            "causeway places --json",
            "causeway explain app.example.com --type AAAA --from eu-west-1 --json",
            "causeway explain app.example.com --from 192.0.2.1",
            "causeway accelerator explain 127.80.1.2:443 --from eu-west-1 --json",
            "causeway accelerator explain 127.80.1.2:53 --from 192.0.2.1:4000 --udp",
            "causeway balancer explain 127.32.1.1:80 --path /x?y --host a.test --from eu-west-1",
            "causeway balancer explain 127.32.1.1:80 --header X-Kind:robot --method POST --json",
            "causeway databases list --json",
            "causeway databases lag",
            "causeway flows --json",
            "causeway edge drain edge-2",
            "causeway edge drain eu-west-1 --within 60s --force --json",
            "causeway edge undrain edge-2 --json",
            "causeway edge run --config site.toml",
            "causeway verify --json",
            "causeway rotate --json",
            "causeway fault kill eu-west-1 --for 5m",
            "causeway fault kill us-east-1/us-east-1a",
            "causeway fault kill us-east-1/a/app --for 5s",
            "causeway fault start us-east-1/a",
            "causeway fault pause us-east-1/app",
            "causeway fault start eu-west-1",
            "causeway fault pause edge-1",
            "causeway fault resume eu-west-1",
            "causeway fault cut us-east-1 eu-west-1 --one-way --reset --for 90s",
            "causeway fault delay us-east-1 eu-west-1 250",
            "causeway fault rate us-east-1 eu-west-1 1000",
            "causeway fault clock eu-west-1 -2000",
            "causeway fault clock eu-west-1 -200 --for 5s --json",
            "causeway fault clock --json eu-west-1 -- -2000",
            "causeway fault list --json",
            "causeway fault heal",
            "causeway fault heal 3 --json",
            "causeway council recover --json",
            "causeway identity list --account 111122223333 --limit 5 --json",
            "causeway identity create-account",
            "causeway identity create-account 444455556666 --json",
            "causeway identity create-key alice --account 444455556666 --json",
            "causeway identity revoke AKIAIOSFODNN7EXAMPLE --json",
            "causeway identity explain dynamodb:PutItem * --as user/alice --region eu-west-1 \
             --context aws:SourceIp=192.0.2.1 --context aws:TagKeys=a=b --json",
            "causeway identity policy set p --service-control f.json --account 444455556666",
            "causeway identity policy set p --resource-control f.json --json",
            "causeway identity policy remove p --resource-control",
            "causeway identity policy list --account 444455556666 --json",
            "causeway gameday list",
            "causeway gameday check gamedays/region-outage.toml --set outage=5s",
            "causeway gameday run region-outage --report r --set rate=5 --set outage=5s --json \
             --quiet --seed 3 --app x",
        ] {
            let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
            if let Err(error) = parse(&words) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn wrong_use_exits_with_2_and_says_what_exists() {
        let error = parse("causeway up --regions us-east-1,nowhere-1").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("causeway places"), "{error}");
        let line = "causeway fault kill eu-west-1 --for 5";
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        assert_eq!(parse("causeway nothing").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_the_range() {
        let delay = "a whole number from 1 to 600000";
        let rate = "a whole number from 1 to 1000000000000";
        let clock = "a whole number from -86400000 to 86400000";
        let scale = "a number from 0 to 100";
        let port = "a whole number from 1 to 65535";
        let span = "is no span of time; write 90s, 5m or 1h30m";
        for (line, words) in [
            ("up --delay-scale -1", scale),
            ("up --delay-scale=-1", scale),
            ("up --delay-scale nan", scale),
            ("up --delay-scale -NaN", scale),
            ("up --delay-scale inf", scale),
            ("up --delay-scale -inf", scale),
            ("up --delay-scale 1e999", scale),
            ("up --delay-scale 100.1", scale),
            ("up --delay-scale fast", scale),
            ("up --api-port 0", port),
            ("up --api-port -1", port),
            ("up --dns-port 65536", port),
            ("up --console-port 99999999999999999999", port),
            ("up --edges -1", "a whole number from 0 to 16"),
            ("up --bind nowhere", "invalid IP address syntax"),
            ("up --tls-key k.pem", "--tls-certificate <FILE>"),
            ("up --tls-certificate c.pem", "--tls-key <FILE>"),
            ("up --tls --tls-certificate c --tls-key k", "cannot be used"),
            ("up --app-port 0", port),
            ("up --app=", "is not empty"),
            ("up --health-interval 199ms", "from 200ms to 30s, or off"),
            ("up --health-interval 31s", "from 200ms to 30s, or off"),
            ("up --health-interval 5", span),
            ("up --flow-log-interval 999ms", "from 1s to 1h"),
            ("up --flow-log-interval 61m", "from 1s to 1h"),
            ("fault delay us-east-1 eu-west-1 -5", delay),
            ("fault delay us-east-1 eu-west-1 0", delay),
            ("fault delay us-east-1 eu-west-1 1.5", delay),
            ("fault delay us-east-1 eu-west-1 nan", delay),
            (
                "fault delay us-east-1 eu-west-1 99999999999999999999",
                delay,
            ),
            ("fault rate us-east-1 eu-west-1 -1", rate),
            ("fault rate us-east-1 eu-west-1 0", rate),
            ("fault rate us-east-1 eu-west-1 1e3", rate),
            ("fault rate us-east-1 eu-west-1 18446744073709551615", rate),
            ("fault clock eu-west-1 -86400001", clock),
            ("fault clock eu-west-1 86400001", clock),
            ("fault clock eu-west-1 inf", clock),
            ("fault kill eu-west-1 --for -5m", span),
            ("fault kill eu-west-1 --for 0s", span),
            ("fault kill eu-west-1 --for 24h1s", "a day (24h) at most"),
            ("fault heal -1", "a whole number from 1 to"),
            ("edge drain edge-1 --within 0s", span),
            ("edge drain edge-1 --within -5s", span),
            ("edge drain edge-1 --within 24h1s", "a day (24h) at most"),
            ("edge drain nowhere", "causeway places"),
            ("conflicts list --limit 0", "a whole number from 1 to 10000"),
            (
                "conflicts list --limit -1",
                "a whole number from 1 to 10000",
            ),
            ("conflicts list --after x", "no place in the listing"),
            ("conflicts show nothing", "32 hexadecimal digits"),
            ("fault kill us-moon-1", "causeway places"),
            ("fault kill us-east-1/d", "us-east-1/us-east-1a"),
            ("up --app x --app-zones d", "us-east-1a, -1b and -1c"),
            ("up --app-zones a", "--app <COMMAND>"),
            ("explain x --from us-moon-1", "causeway places"),
            ("accelerator explain 127.80.1.2", "an address and a port"),
            (
                "accelerator explain 127.80.1.2:1 --from x",
                "causeway places",
            ),
            ("identity create-account 4444", "a number of 12 digits"),
            ("identity list --limit 0", "a whole number from 1 to 100000"),
            (
                "identity explain a:b * --as x --context a=b",
                "aws:SourceIp=",
            ),
            ("identity explain a:b *", "--as <PRINCIPAL>"),
            ("identity explain PutItem * --as x", "dynamodb:PutItem"),
            ("identity policy set p", "--service-control <FILE>"),
            ("identity policy remove a/b", "1 to 128 letters"),
        ] {
            let error = parse(&format!("causeway {line}")).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn a_clock_is_set_back() {
        let line = "causeway fault clock eu-west-1 -200 --for 5s";
        let Ok(Command::Fault(FaultCommand::Clock { milliseconds, .. })) = parse(line) else {
            panic!("{line}");
        };
        assert_eq!(milliseconds, -200);
        let Ok(Command::Up(up)) = parse("causeway up --delay-scale -0.0") else {
            panic!("zero is a scale");
        };
        assert!(up.delay_scale.unwrap().is_sign_positive());
    }

    #[test]
    fn what_is_wrong_with_a_command_line_is_told_as_json_too() {
        let words = |line: &str| -> Vec<OsString> { line.split(' ').map(Into::into).collect() };
        assert!(asks_for_json(&words("causeway fault list --json")));
        assert!(!asks_for_json(&words("causeway fault list")));
        assert!(!asks_for_json(&words("causeway fault clock a -- --json")));
        let told = |line: &str| failure(&parse(line).unwrap_err());
        let unknown = told("causeway fault list --jsno --json");
        assert_eq!(unknown.message, "unexpected argument '--jsno' found");
        let next = unknown.next.unwrap();
        assert_eq!(next, "`causeway fault list --help` shows its use");
        let missing = told("causeway fault kill --json");
        assert!(missing.message.ends_with("were not provided: <TARGET>"));
        let wrong = told("causeway fault delay us-east-1 eu-west-1 -5 --json");
        assert!(wrong.message.contains("from 1 to 600000"), "{wrong}");
        assert_eq!(told("causeway --json").code as u8, 2);
    }
}
