//! The command line of a question to DNS whose answer is to be explained, and how a client is
//! named.

use std::net::IpAddr;

use clap::Args;
use types::Place;

use super::Query;

#[derive(Args, Debug)]
pub struct Explain {
    /// The name that is asked for
    pub name: String,
    /// The type of record
    #[arg(long = "type", value_name = "TYPE", default_value = "A")]
    pub kind: String,
    /// Who asks: an address, or a place (`causeway places` lists them)
    #[arg(long, value_name = "IP|PLACE", value_parser = client)]
    pub from: Option<IpAddr>,
    #[command(flatten)]
    pub query: Query,
}

/// An address, or the first one of a place.
pub(super) fn client(text: &str) -> Result<IpAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let place = text.parse().map(|region| Place(region).address(1).into());
    place.map_err(|_| {
        format!("'{text}' is neither an address nor a place; `causeway places` lists the places")
    })
}
