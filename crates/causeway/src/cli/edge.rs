//! The command line of edges: draining one, and bringing it back.

use std::time::Duration;

use clap::{Args, Subcommand};
use types::SiteName;

use super::{Query, SiteArguments};
use crate::drain;
use crate::duration;

#[derive(Subcommand, Debug)]
pub enum EdgeCommand {
    /// Give an edge no new flows, and wait until those that it has are gone
    #[command(
        after_help = "New flows come to the next nearest edge. This one keeps what it has, and \
        answers DNS until its flows are gone or the deadline has passed; then it is drained, and \
        stays so, also when it starts again, until `causeway edge undrain`. Drained again, it is \
        given another deadline. The end of this command (Ctrl-C) ends no drain.\n\n\
        Exit code 0: it is drained and no flow was left. Exit code 1: flows were left at the \
        deadline; they go on until the edge is stopped.\n\n\
        Examples:\n  causeway edge drain edge-2\n  causeway edge drain eu-west-1 --within 60s"
    )]
    Drain(DrainArguments),
    /// Give a drained edge new flows again
    #[command(after_help = "Example:\n  causeway edge undrain edge-2")]
    Undrain(UndrainArguments),
    /// Run one edge (started by `up`)
    #[command(hide = true)]
    Run(SiteArguments),
}

#[derive(Args, Debug)]
pub struct DrainArguments {
    /// The edge, or the place that it is in (`causeway status` lists the edges)
    #[arg(value_name = "PLACE")]
    pub edge: SiteName,
    /// How long its flows may take to end, a day (24h) at most [default: 340s, after which a
    /// silent TCP flow ends]
    #[arg(long, value_name = "SPAN", value_parser = within, allow_hyphen_values = true)]
    pub within: Option<Duration>,
    /// Also if no other edge is there to take new flows
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub query: Query,
}

#[derive(Args, Debug)]
pub struct UndrainArguments {
    /// The edge, or the place that it is in
    #[arg(value_name = "PLACE")]
    pub edge: SiteName,
    #[command(flatten)]
    pub query: Query,
}

fn within(text: &str) -> Result<Duration, String> {
    let span = duration::parse(text)?;
    match span <= drain::LONGEST {
        true => Ok(span),
        false => Err("flows may take a day (24h) at most to end".to_owned()),
    }
}
