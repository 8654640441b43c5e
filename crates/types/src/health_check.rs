//! What is probed, how, and what makes it unhealthy: the plain values by which `routing`, which
//! holds their configuration, and `health`, which carries them out, understand each other.
//! Field by field the `HealthCheckConfig` of Route 53's API 2013-04-01.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::Span;

/// A health check's id: 1 to 64 characters, in practice a UUID.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HealthCheckId(pub String);

/// What a probe does and what it must find.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Probe {
    /// A TCP connection is made.
    Tcp,
    /// A request is answered with a status of 200 to 399.
    Http(HttpProbe),
    /// The same by HTTP/2: agreed on in the handshake, or taken for granted where there is no TLS.
    Http2(HttpProbe),
    /// A gRPC call of the method that the path names, with an empty message, has a status. Nothing
    /// is searched for.
    Grpc(HttpProbe),
}

/// A probe by HTTP or HTTPS.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HttpProbe {
    /// TLS, and whether the name is sent in it (SNI). Certificates are not validated, as the
    /// service doesn't. `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// The path and query that are asked for, from `/`; at most 255 characters.
    pub path: String,
    /// What the first 5,120 bytes of the body must hold; at most 255 characters.
    pub search: Option<String>,
}

/// How a probe speaks TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tls {
    /// The name is sent in the handshake (SNI).
    pub server_name: bool,
}

/// A health check as its checkers carry it out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Its id.
    pub id: HealthCheckId,
    /// What a probe does.
    pub probe: Probe,
    /// The endpoint's address; without it the name is resolved for every probe, IPv4 only.
    pub address: Option<IpAddr>,
    /// The endpoint's name: for the Host header, for SNI, and to resolve where there is no
    /// address.
    pub name: Option<String>,
    /// The endpoint's port.
    pub port: u16,
    /// From the end of one probe to the start of the next: 10 or 30 s, as the service has it.
    pub interval: Span,
    /// How many probes in a row must differ from the verdict to change it: 1 to 10.
    pub threshold: u8,
    /// Healthy is taken for unhealthy, and the other way round.
    pub inverted: bool,
    /// Not probed: taken for healthy (then `inverted` applies).
    pub disabled: bool,
}

impl fmt::Display for HealthCheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
