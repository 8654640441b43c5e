//! The command line of announcing.

use std::path::PathBuf;

use clap::Args;

pub const AFTER_HELP: &str = "\
Runs beside an edge and BIRD 2, until SIGTERM; what is announced then stays so.
docs/accelerator.md says what stands in the file.

Examples:
  causeway announce --config /etc/causeway/announce.toml
  causeway announce --config announce.toml --print";

#[derive(Args, Debug)]
pub struct Announce {
    /// The file that says what is announced, to whom and when
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Print BIRD's configuration, and do nothing else
    #[arg(long)]
    pub print: bool,
}
