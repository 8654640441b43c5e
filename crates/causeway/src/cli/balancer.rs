//! The command line of load balancers: what would become of a request.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

use super::Query;
use super::accelerator::{client_socket, socket};

#[derive(Subcommand, Debug)]
pub enum BalancerCommand {
    /// Show what would become of a request, and why: which rules are met, and how the targets of
    /// the group stand that would get it
    #[command(
        after_help = "The Region whose node listens there explains what it would do. Where targets \
        take turns, the next request is another's turn.\n\n\
        Examples:\n  causeway balancer explain 127.32.1.1:8088\n  \
        causeway balancer explain 127.32.1.1:8088 --path '/orders?id=7' --host shop.example.com\n  \
        causeway balancer explain 127.33.1.1:8088 --header 'Cookie: AWSALB=...' --json"
    )]
    Explain(ExplainRequest),
}

#[derive(Args, Debug)]
pub struct ExplainRequest {
    /// The address of a node of the load balancer and the listener's port (`causeway balancers`)
    #[arg(value_name = "ADDRESS:PORT", value_parser = socket)]
    pub to: SocketAddr,
    /// The path, with its query if there is one
    #[arg(long, default_value = "/")]
    pub path: String,
    /// The host that is asked; without it the address
    #[arg(long)]
    pub host: Option<String>,
    /// The method
    #[arg(long, default_value = "GET")]
    pub method: String,
    /// A header field; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<(String, String)>,
    /// The client: an address, with or without its port, or a place (`causeway places` lists them)
    #[arg(long, value_name = "IP[:PORT]|PLACE", value_parser = client_socket)]
    pub from: Option<SocketAddr>,
    #[command(flatten)]
    pub query: Query,
}

fn header(text: &str) -> Result<(String, String), String> {
    let wrong = || format!("'{text}' is no header field, as in 'X-Kind: robot'");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    match name.trim() {
        "" => Err(wrong()),
        name => Ok((name.to_owned(), value.trim().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn a_field_has_a_name_and_perhaps_a_value() {
        let field = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(header("X-Kind: a:b "), field("X-Kind", "a:b"));
        assert_eq!(header("X-Kind:"), field("X-Kind", ""));
        assert!(header("X-Kind").is_err() && header(": x").is_err());
    }
}
