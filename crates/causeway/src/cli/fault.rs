//! The command line of `causeway fault`: what to break, where, and for how long.

use std::num::NonZeroU64;
use std::time::Duration;

use clap::{Args, Subcommand};
use types::{FaultTarget, SiteName};

use super::{Query, whole};
use crate::duration;
use crate::faults::LONGEST_LEASE;

#[derive(Subcommand, Debug)]
pub enum FaultCommand {
    /// Kill a site with its whole process group, what a Region has in one zone, or its application
    /// alone; it starts again when the fault ends
    #[command(
        after_help = "TARGET is a Region or an edge (eu-west-1, edge-1), a zone \
        (us-east-1/us-east-1a or us-east-1/a), the application of a Region (us-east-1/app) or its \
        instance in one zone (us-east-1/a/app). With a zone die the application's instance and \
        the load balancers' nodes there; the Region goes on.\n\nExamples:\n  \
        causeway fault kill eu-west-1 --for 90s\n  causeway fault kill us-east-1/us-east-1a\n  \
        causeway fault kill us-east-1/app"
    )]
    Kill {
        /// What: eu-west-1, edge-1, us-east-1/a, us-east-1/app, us-east-1/a/app
        #[arg(value_name = "TARGET")]
        target: FaultTarget,
        #[command(flatten)]
        lease: LeaseArguments,
    },
    /// Start what was killed; a site also when it has crashed
    #[command(after_help = "Examples:\n  causeway fault start eu-west-1\n  \
        causeway fault start us-east-1/us-east-1a")]
    Start {
        /// What, as it was killed
        #[arg(value_name = "TARGET")]
        target: FaultTarget,
        #[command(flatten)]
        query: Query,
    },
    /// Make a site, or a Region's application alone, stand still: it neither answers nor closes
    /// connections
    #[command(
        after_help = "A zone can't be paused: the Region's own process serves all of them. Its \
        instance of the application can.\n\nExamples:\n  \
        causeway fault pause eu-west-1 --for 30s\n  causeway fault pause us-east-1/a/app"
    )]
    Pause {
        /// What: eu-west-1, edge-1, us-east-1/app, us-east-1/a/app
        #[arg(value_name = "TARGET")]
        target: FaultTarget,
        #[command(flatten)]
        lease: LeaseArguments,
    },
    /// Let go on what is paused
    #[command(after_help = "Example:\n  causeway fault resume eu-west-1")]
    Resume {
        /// What, as it was paused
        #[arg(value_name = "TARGET")]
        target: FaultTarget,
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
        #[arg(value_parser = delay, allow_negative_numbers = true)]
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
        #[arg(value_parser = rate, allow_negative_numbers = true)]
        bytes: NonZeroU64,
        #[command(flatten)]
        lease: LeaseArguments,
    },
    /// Set a site's wall clock off
    #[command(after_help = "Examples:\n  causeway fault clock eu-west-1 2000\n  \
        causeway fault clock eu-west-1 -2000")]
    Clock {
        /// The Region (or edge)
        #[arg(value_name = "SITE")]
        site: SiteName,
        /// Milliseconds ahead; negative: behind
        #[arg(value_parser = clock_offset, allow_negative_numbers = true)]
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
        #[arg(value_parser = fault_id, allow_negative_numbers = true)]
        id: Option<u64>,
        #[command(flatten)]
        query: Query,
    },
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
    #[arg(
        long = "for",
        default_value = "10m",
        value_name = "SPAN",
        value_parser = lease,
        allow_hyphen_values = true
    )]
    pub lasting: Duration,
    #[command(flatten)]
    pub query: Query,
}

/// The greatest rate, in bytes a second: beyond it a limit limits nothing on one machine.
const GREATEST_RATE: i128 = 1_000_000_000_000;

fn lease(text: &str) -> Result<Duration, String> {
    let span = duration::parse(text)?;
    match span <= LONGEST_LEASE {
        true => Ok(span),
        false => Err("a lease lasts a day (24h) at most".to_owned()),
    }
}

fn delay(text: &str) -> Result<u64, String> {
    whole(text, 1..=600_000, "the delay in milliseconds")
}

fn rate(text: &str) -> Result<NonZeroU64, String> {
    let rate: u64 = whole(text, 1..=GREATEST_RATE, "the rate in bytes a second")?;
    Ok(NonZeroU64::new(rate).expect("the range has no zero"))
}

fn clock_offset(text: &str) -> Result<i64, String> {
    whole(text, -86_400_000..=86_400_000, "the offset in milliseconds")
}

fn fault_id(text: &str) -> Result<u64, String> {
    whole(text, 1..=i128::from(u64::MAX), "a fault's id")
}
