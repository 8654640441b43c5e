//! The command line of the ledger of writes that lost.

use clap::Subcommand;
use tables::ConflictId;

use super::{Query, limit};
use crate::listing::PageStart;

#[derive(Subcommand, Debug)]
pub enum Conflicts {
    /// List the writes that lost, the latest first
    #[command(
        after_help = "If there are more than --limit, the last line says how to see the rest; \
        with --json, `next` is what --after takes.\n\nExamples:\n  \
        causeway conflicts list\n  causeway conflicts list --table Orders --limit 1000"
    )]
    List {
        #[command(flatten)]
        query: Query,
        /// Only this table's
        #[arg(long)]
        table: Option<String>,
        /// How many at most
        #[arg(
            long,
            value_name = "N",
            default_value = "100",
            value_parser = limit,
            allow_negative_numbers = true
        )]
        limit: u32,
        /// Those after the page that printed this
        #[arg(long, value_name = "NEXT")]
        after: Option<PageStart>,
    },
    /// List the versions of objects that were current in one Region and lost to another's
    #[command(
        after_help = "Each is still there, and read by its version id. A conflict that several \
        Regions have found is listed for each.\n\nExample:\n  causeway conflicts objects"
    )]
    Objects {
        #[command(flatten)]
        query: Query,
        /// How many of each Region at most
        #[arg(
            long,
            value_name = "N",
            default_value = "100",
            value_parser = limit,
            allow_negative_numbers = true
        )]
        limit: u32,
    },
    /// Show both versions of one conflict, with their Regions, times and images
    #[command(after_help = "Example:\n  causeway conflicts show ID")]
    Show {
        /// Its id, from the list
        id: ConflictId,
        #[command(flatten)]
        query: Query,
    },
    /// Write the state that lost once more, as a new write
    #[command(after_help = "Example:\n  causeway conflicts restore ID")]
    Restore {
        /// Its id, from the list
        id: ConflictId,
        #[command(flatten)]
        query: Query,
    },
}
