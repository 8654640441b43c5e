//! The command line of databases: what there are, and how far replicas are behind.

use clap::Subcommand;

use super::Query;

#[derive(Subcommand, Debug)]
pub enum DatabasesCommand {
    /// Show every Region's database instances: where they are reached, and how they are
    #[command(
        after_help = "Examples:\n  causeway databases list\n  causeway databases list --json"
    )]
    List(Query),
    /// Show how far each replica is behind its source
    #[command(
        after_help = "The lag is the age of the newest heartbeat of the source that the replica \
        has replayed: its source writes one every 100 ms while it has replicas. It is what a \
        reader of the replica misses, and what a promotion would lose of a source that is gone.\n\n\
        Examples:\n  causeway databases lag\n  causeway databases lag --json"
    )]
    Lag(Query),
}
