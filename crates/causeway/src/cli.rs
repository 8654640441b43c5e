//! The command line: names, options, help. Values are parsed here, nothing is carried out.

use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use types::{Region, SiteName};

use crate::duration;

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
        --delay-scale 0\n  causeway up --data /srv/lab --api-port 5566"
    )]
    Up(Up),
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
    /// Break something for a while
    #[command(
        subcommand,
        after_help = "Examples:\n  causeway fault kill eu-west-1 --for 90s\n  \
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
    /// Run one site (started by `up`)
    #[command(hide = true)]
    Region(SiteArguments),
    /// Run one edge (started by `up`)
    #[command(hide = true)]
    Edge(SiteArguments),
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=16))]
    pub edges: Option<u16>,
    /// Where the lab keeps everything
    #[arg(long, default_value = ".causeway", value_name = "DIR")]
    pub data: PathBuf,
    /// What the delays between sites are multiplied by; 0 switches them off [default: as before,
    /// or 1]
    #[arg(long, value_name = "X", value_parser = delay_scale)]
    pub delay_scale: Option<f64>,
    /// The port of the front door and of every Region's own address [default: as before, or 4566]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub api_port: Option<u16>,
    /// The port DNS will answer on (comes with a later version)
    #[arg(long, value_name = "PORT")]
    pub dns_port: Option<u16>,
    /// The port the web console will answer on (comes with a later version)
    #[arg(long, value_name = "PORT")]
    pub console_port: Option<u16>,
    /// A command to run in every Region (comes with a later version)
    #[arg(long, value_name = "COMMAND")]
    pub app: Option<String>,
    /// Print JSON when ready
    #[arg(long)]
    pub json: bool,
}

/// Which lab.
#[derive(Args, Debug)]
pub struct Lab {
    /// Where the lab keeps everything
    #[arg(long, default_value = ".causeway", value_name = "DIR")]
    pub data: PathBuf,
    /// The port of its front door [default: the one the lab was started with]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
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

#[derive(Subcommand, Debug)]
pub enum Conflicts {
    /// List the writes that lost, the latest first
    #[command(after_help = "Example:\n  causeway conflicts list --table Orders")]
    List {
        #[command(flatten)]
        query: Query,
        /// Only this table's
        #[arg(long)]
        table: Option<String>,
        /// How many at most
        #[arg(
            long,
            default_value_t = 100,
            value_parser = clap::value_parser!(u32).range(1..=10_000)
        )]
        limit: u32,
    },
    /// Show both versions of one conflict, with their Regions, times and images
    #[command(after_help = "Example:\n  causeway conflicts show ID")]
    Show {
        /// Its id, from the list
        id: String,
        #[command(flatten)]
        query: Query,
    },
    /// Write the state that lost once more, as a new write
    #[command(after_help = "Example:\n  causeway conflicts restore ID")]
    Restore {
        /// Its id, from the list
        id: String,
        #[command(flatten)]
        query: Query,
    },
}

#[derive(Subcommand, Debug)]
pub enum FaultCommand {
    /// Kill a site with its whole process group; it starts again when the fault ends
    #[command(after_help = "Example:\n  causeway fault kill eu-west-1 --for 90s")]
    Kill {
        /// The Region (or edge)
        region: SiteName,
        #[command(flatten)]
        lease: LeaseArguments,
    },
    /// Start a site that was killed or has crashed
    #[command(after_help = "Example:\n  causeway fault start eu-west-1")]
    Start {
        /// The Region (or edge)
        region: SiteName,
        #[command(flatten)]
        query: Query,
    },
    /// Make a site stand still: it neither answers nor closes connections
    #[command(after_help = "Example:\n  causeway fault pause eu-west-1 --for 30s")]
    Pause {
        /// The Region (or edge)
        region: SiteName,
        #[command(flatten)]
        lease: LeaseArguments,
    },
    /// Let a paused site go on
    #[command(after_help = "Example:\n  causeway fault resume eu-west-1")]
    Resume {
        /// The Region (or edge)
        region: SiteName,
        #[command(flatten)]
        query: Query,
    },
    /// Cut the link between two sites
    #[command(
        after_help = "A cut with --one-way is one-way for about 5 s: then the connections \
        are given up in both directions, since nobody answers on them.\n\nExamples:\n  \
        causeway fault cut us-east-1 eu-west-1\n  \
        causeway fault cut us-east-1 eu-west-1 --one-way --reset"
    )]
    Cut {
        #[command(flatten)]
        pair: Pair,
        /// Reset connections at once; otherwise what is sent vanishes and nobody says so
        #[arg(long)]
        reset: bool,
        #[command(flatten)]
        lease: LeaseArguments,
    },
    /// Add to the delay between two sites
    #[command(after_help = "Example:\n  causeway fault delay us-east-1 eu-west-1 250")]
    Delay {
        #[command(flatten)]
        pair: Pair,
        /// Milliseconds, one way, on top of the geography's
        #[arg(value_parser = clap::value_parser!(u64).range(1..=600_000))]
        milliseconds: u64,
        #[command(flatten)]
        lease: LeaseArguments,
    },
    /// Limit how much passes between two sites
    #[command(after_help = "Example:\n  causeway fault rate us-east-1 eu-west-1 100000")]
    Rate {
        #[command(flatten)]
        pair: Pair,
        /// Bytes a second, each way
        bytes: NonZeroU64,
        #[command(flatten)]
        lease: LeaseArguments,
    },
    /// Set a site's wall clock off
    #[command(after_help = "Examples:\n  causeway fault clock eu-west-1 2000\n  \
        causeway fault clock eu-west-1 -- -2000")]
    Clock {
        /// The Region (or edge)
        region: SiteName,
        /// Milliseconds ahead; negative: behind
        #[arg(
            allow_negative_numbers = true,
            value_parser = clap::value_parser!(i64).range(-86_400_000..=86_400_000)
        )]
        milliseconds: i64,
        #[command(flatten)]
        lease: LeaseArguments,
    },
    /// List the faults in force
    #[command(after_help = "Example:\n  causeway fault list --json")]
    List(Query),
    /// End a fault, or all of them
    #[command(after_help = "Examples:\n  causeway fault heal\n  causeway fault heal 3")]
    Heal {
        /// Its id, from the list; without it, all end
        id: Option<u64>,
        #[command(flatten)]
        query: Query,
    },
}

#[derive(Subcommand, Debug)]
pub enum Council {
    /// When most voters have lost their disks: give every site the furthest records that are left
    #[command(
        after_help = "The lab must be stopped. A setting that was acknowledged and is in no log \
        that is left is lost. Tables are not touched. Exit code 2: there is nothing to recover, \
        or a majority remembers and needs no help.\n\nExample:\n  causeway down && causeway \
        council recover && causeway up"
    )]
    Recover(Query),
}

/// The ends of a link.
#[derive(Args, Debug)]
pub struct Pair {
    /// One site
    #[arg(value_name = "A")]
    pub from: SiteName,
    /// The other
    #[arg(value_name = "B")]
    pub to: SiteName,
    /// Only what goes from A to B
    #[arg(long)]
    pub one_way: bool,
}

#[derive(Args, Debug)]
pub struct LeaseArguments {
    /// When the fault ends by itself: 90s, 5m, 1h30m
    #[arg(long = "for", default_value = "10m", value_name = "SPAN", value_parser = duration::parse)]
    pub lasting: Duration,
    #[command(flatten)]
    pub query: Query,
}

#[derive(Args, Debug)]
pub struct SiteArguments {
    /// The site's configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

fn delay_scale(text: &str) -> Result<f64, String> {
    let scale = text.parse::<f64>().ok();
    scale
        .filter(|scale| (0.0..=100.0).contains(scale))
        .ok_or_else(|| format!("'{text}' is no factor between 0 and 100"))
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
             --api-port 1 --dns-port 5300 --console-port 4567 --app x",
            "causeway env --json",
            "causeway status --operations --data d --api-port 4566",
            "causeway down",
            "causeway lag --json",
            "causeway conflicts list --json",
            "causeway conflicts show 1",
            "causeway conflicts restore 1 --json",
            "causeway places --json",
            "causeway verify --json",
            "causeway rotate --json",
            "causeway fault kill eu-west-1 --for 5m",
            "causeway fault start eu-west-1",
            "causeway fault pause edge-1",
            "causeway fault resume eu-west-1",
            "causeway fault cut us-east-1 eu-west-1 --one-way --reset --for 90s",
            "causeway fault delay us-east-1 eu-west-1 250",
            "causeway fault rate us-east-1 eu-west-1 1000",
            "causeway fault clock eu-west-1 -2000",
            "causeway fault list --json",
            "causeway fault heal",
            "causeway fault heal 3 --json",
            "causeway council recover --json",
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
        for line in [
            "causeway fault kill eu-west-1 --for 5",
            "causeway fault rate us-east-1 eu-west-1 0",
            "causeway up --delay-scale -1",
            "causeway nothing",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
