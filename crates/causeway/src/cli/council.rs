//! The command line of the council: names, options, help. Nothing is carried out.

use clap::Subcommand;

use super::Query;

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
