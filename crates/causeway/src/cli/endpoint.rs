//! The command line of how clients reach the lab: the address, TLS, and plain HTTP.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use crate::lab::EndpointWishes;
use crate::protocol::TlsFiles;

/// How clients are to reach the lab.
#[derive(Args, Debug, Default)]
pub struct EndpointArguments {
    /// The address of the front door; 0.0.0.0 or :: for all of this machine's [default: as before,
    /// or 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<IpAddr>,
    /// Speak TLS at the front door and at every Region's own address, with a certificate of the
    /// lab's own authority; `false` ends it [default: as before, or false]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        conflicts_with = "tls_certificate"
    )]
    pub tls: Option<bool>,
    /// Speak TLS with this certificate, in PEM, those between it and its authority after it
    /// [default: as before, or none]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// The key of --tls-certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Names and addresses in the certificate of --tls beside this machine's own, with commas
    /// between [default: as before, or none]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub tls_names: Option<Vec<String>>,
    /// Speak plain HTTP though --bind is no loopback address; `false` ends it [default: as before,
    /// or false]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub allow_plain_http: Option<bool>,
}

impl EndpointArguments {
    /// What is asked for.
    pub fn wishes(&self) -> EndpointWishes {
        let files = self.tls_certificate.clone().zip(self.tls_key.clone());
        EndpointWishes {
            bind: self.bind,
            tls: self.tls,
            files: files.map(|(certificate, key)| TlsFiles { certificate, key }),
            names: self.tls_names.clone(),
            allow_plain_http: self.allow_plain_http,
        }
    }
}
