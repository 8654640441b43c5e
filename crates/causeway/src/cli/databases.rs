//! The command line of databases: what there are, how far replicas are behind, what is to be done
//! to each, and what failovers lost.

use clap::{Args, Subcommand};

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
    /// Show what each instance is to be, and the step that comes next
    #[command(
        after_help = "A plan is made anew from what is seen at every look, so this is what is so now, \
        not a list that is kept. A step that failed is shown with its reason.\n\n\
        Examples:\n  causeway databases plan\n  causeway databases plan --json"
    )]
    Plan(Query),
    /// Show which transactions failovers lost: committed by an old writer, and never by the new one
    #[command(
        after_help = "They are listed once the old writer's Region is back: it keeps them before it \
        follows the new writer. They stay in that Region, in a folder a failover, with their \
        write-ahead log, until you remove it.\n\nExamples:\n  causeway databases lost\n  \
        causeway databases lost --json\n  causeway databases lost --sql > repair.sql"
    )]
    Lost(LostTransactions),
}

/// What of lost transactions is to be shown.
#[derive(Args, Debug)]
pub struct LostTransactions {
    #[command(flatten)]
    pub query: Query,
    /// Print their rows as SQL, to be looked through and put into the new writer by you
    #[arg(long, conflicts_with = "json")]
    pub sql: bool,
}
