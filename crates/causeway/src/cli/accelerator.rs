//! The command line of accelerators: what would become of a flow.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

use super::Query;
use super::explain::client;

#[derive(Subcommand, Debug)]
pub enum AcceleratorCommand {
    /// Show where a new flow would go, and why: which groups and endpoints came into question
    #[command(
        after_help = "The nearest edge that runs explains where it would carry the flow. Without \
        --from it is that of a client on this machine which is in no place; without a port in it, \
        of any port: with affinity NONE the client's port has a say in the choice.\n\n\
        Examples:\n  causeway accelerator explain 127.80.4.7:443\n  \
        causeway accelerator explain 127.80.4.7:443 --from eu-west-1\n  \
        causeway accelerator explain 127.80.4.7:53 --from 127.64.9.1:40000 --udp --json"
    )]
    Explain(ExplainFlow),
}

#[derive(Args, Debug)]
pub struct ExplainFlow {
    /// The accelerator's static address and the port
    #[arg(value_name = "ADDRESS:PORT", value_parser = socket)]
    pub to: SocketAddr,
    /// The client: an address, with or without its port, or a place (`causeway places` lists them)
    #[arg(long, value_name = "IP[:PORT]|PLACE", value_parser = client_socket)]
    pub from: Option<SocketAddr>,
    /// The flow is by UDP, not by TCP
    #[arg(long)]
    pub udp: bool,
    #[command(flatten)]
    pub query: Query,
}

/// An address and a port.
pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("'{text}' is not an address and a port, as in 127.80.4.7:443");
    text.parse().map_err(|_| wrong())
}

/// An address with its port; without one, or of a place, port 0.
pub(super) fn client_socket(text: &str) -> Result<SocketAddr, String> {
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) => Ok(SocketAddr::new(client(text)?, 0)),
    }
}
