//! How balancers listen, and what they may take of a process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use types::ByteSize;

use super::tls::ListenerTls;

/// How a balancer runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BalancerOptions {
    /// Threads, 1 to 64.
    pub threads: usize,
    /// What they may take.
    pub limits: BalancerLimits,
}

/// What balancers may take, all listeners together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BalancerLimits {
    /// Clients' connections at a time; one more is closed at once.
    pub connections: usize,
    /// The request line at most; more is answered 414 (ELB: 16 K).
    pub request_line: ByteSize,
    /// A header field at most; more is answered 400 (ELB: 16 K) ...
    pub header: ByteSize,
    /// ... and a whole head; more is answered 400 (ELB: 64 K).
    pub head: ByteSize,
    /// Header fields at most; more is answered 400.
    pub headers: usize,
    /// How long a request's head may take to arrive, from its first byte on.
    pub head_wait: Duration,
    /// How long a target may take to accept a connection.
    pub connect: Duration,
    /// Idle connections that are kept to each target, by each thread.
    pub kept: usize,
    /// How long requests under way may take to end once their listener is closed.
    pub drain: Duration,
}

impl BalancerLimits {
    /// What suits a Region's process; ELB's limits where it has some (Application Load Balancers'
    /// quotas, "HTTP headers").
    pub const USUAL: BalancerLimits = BalancerLimits {
        connections: 20_000,
        request_line: ByteSize::kib(16),
        header: ByteSize::kib(16),
        head: ByteSize::kib(64),
        headers: 200,
        head_wait: Duration::from_secs(60),
        connect: Duration::from_secs(2),
        kept: 256,
        drain: Duration::from_secs(10),
    };
}

/// A listener: what comes to an address, and how it is taken.
#[derive(Clone, Debug)]
pub struct BalanceListener {
    /// The address and port; port 0 picks a free one.
    pub address: SocketAddr,
    /// What is spoken there.
    pub kind: ListenerKind,
}

/// What is spoken at a listener.
#[derive(Clone, Debug)]
pub enum ListenerKind {
    /// HTTP/1.1.
    Http(Arc<HttpOptions>),
    /// HTTP/1.1 and, where both sides agree on it in the handshake, HTTP/2, over TLS.
    Https(Arc<HttpOptions>, ListenerTls),
    /// Anything over TLS, which is taken off.
    Tls(ListenerTls),
}

/// How a load balancer treats requests: its attributes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpOptions {
    /// `idle_timeout.timeout_seconds`: how long a connection may be silent (ELB: 1 to 4000 s).
    pub idle: Duration,
    /// `client_keep_alive.seconds`: how long a client's connection is used at most (ELB: 60 s to
    /// 7 days).
    pub keep_alive: Duration,
    /// `routing.http.desync_mitigation_mode`.
    pub desync: DesyncMode,
    /// `routing.http.drop_invalid_header_fields.enabled`: fields whose names have other characters
    /// than letters, digits and hyphens are left out.
    pub drop_invalid_headers: bool,
    /// `routing.http.preserve_host_header.enabled`.
    pub preserve_host: bool,
    /// `routing.http.xff_header_processing.mode`.
    pub forwarded_for: ForwardedFor,
    /// `routing.http.xff_client_port.enabled`.
    pub forwarded_port: bool,
    /// `routing.http.x_amzn_tls_version_and_cipher_suite.enabled`.
    pub tls_headers: bool,
    /// `routing.http.response.server.enabled`: answers made here name a server.
    pub server_header: bool,
}

impl HttpOptions {
    /// ELB's defaults.
    pub const USUAL: HttpOptions = HttpOptions {
        idle: Duration::from_secs(60),
        keep_alive: Duration::from_secs(3600),
        desync: DesyncMode::Defensive,
        drop_invalid_headers: false,
        preserve_host: false,
        forwarded_for: ForwardedFor::Append,
        forwarded_port: false,
        tls_headers: false,
        server_header: true,
    };
}

/// What is done with requests that readers could differ about. What is severe (see
/// [`Tier`](super::Tier)) is refused in every mode: it can't be passed on as one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DesyncMode {
    /// Everything else is let through, both lengths and a length said twice with them; ambiguous
    /// ones end both connections.
    Monitor,
    /// As monitor, without both lengths and a length said twice, which are refused.
    Defensive,
    /// Only compliant ones are let through.
    Strictest,
}

/// What becomes of `X-Forwarded-For`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForwardedFor {
    /// The client's address is added to it.
    Append,
    /// It is sent on as it came.
    Preserve,
    /// It is left out.
    Remove,
}
