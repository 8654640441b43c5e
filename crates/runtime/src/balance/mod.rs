//! The bytes of load balancers: HTTP requests that come to their addresses, over TLS or without,
//! are carried to targets; connections of TLS listeners are carried on without the TLS. Threads of
//! its own, each with an asynchronous runtime of one thread, hold the connections. It knows no
//! load balancer: a [`Balance`] says what each request leads to and learns what became of it.
//!
//! It refuses to pass on what two readers could take for two different requests, to use a
//! request's body before a target has taken the connection, and to hold a body whole.
//! Where it stands to hyper: `docs/decisions/0009-balancer.md`.

mod answer;
mod carry;
mod counters;
mod course;
mod framing;
mod give;
mod h1;
mod h2;
mod handle;
mod head;
mod link;
mod options;
mod relay;
mod request;
mod rewrite;
mod stream;
mod targets;
mod thread;
mod tls;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::{FlowEvent, FlowKey, Target, Tried};

pub use counters::BalancerCounts;
pub use handle::{Balancer, BalancerError, BalancerListenerState};
pub use options::{
    BalanceListener, BalancerLimits, BalancerOptions, DesyncMode, ForwardedFor, HttpOptions,
    ListenerKind,
};
pub use tls::{Certificate, ListenerTls, TlsMinimum};

/// What decides about requests and connections. It is called on the threads that move them and
/// must not block.
pub trait Balance: Send + Sync + 'static {
    /// What that request leads to. The head is whole and well formed; nothing of the body was
    /// used yet.
    fn route(&self, head: &RequestHead<'_>) -> Box<dyn Exchange>;

    /// A request that leads nowhere, since it is malformed, too large or too slow: it was answered
    /// with that status, or with nothing.
    fn refused(&self, refused: &RefusedRequest<'_>);

    /// Where a connection goes whose TLS was taken off, after these attempts; none if there is
    /// nowhere (else). As of flows' [`Steer`](crate::Steer).
    fn steer(&self, flow: &FlowKey, tried: &Tried) -> Option<StreamTarget>;

    /// Something happened to a connection whose TLS was taken off, of the target with this token.
    fn note(&self, token: u32, event: FlowEvent);
}

/// Where a connection goes whose TLS was taken off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamTarget {
    /// The target. A delay isn't added.
    pub target: Target,
    /// It is spoken to over TLS again, whatever certificate it shows (as Network Load Balancers
    /// do). A PROXY header is sent before that.
    pub tls: bool,
}

/// A request on its way, from its head to the end of its answer. Exactly one
/// [`ended`](Exchange::ended) is the last call, whatever happens, unless a panic keeps it away.
pub trait Exchange: Send {
    /// What is to be done; after an attempt that failed, what else. A target that failed should
    /// not be named again. An answer that is named is final.
    fn next(&mut self, failed: Option<Failure>) -> Next;

    /// The target named last has the request's head.
    fn sent(&mut self) {}

    /// The target's final answer begins: gives what is added to its head, such as cookies.
    fn answered(&mut self, _status: u16, _headers: &[HeaderField<'_>]) -> Vec<(String, String)> {
        Vec::new()
    }

    /// It is over.
    fn ended(&mut self, outcome: &Outcome);
}

/// What is to be done with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// It is sent to that target.
    Forward(HttpTarget),
    /// It is answered here.
    Answer(Answer),
}

/// Where a request is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HttpTarget {
    /// The target's address and port.
    pub address: SocketAddr,
    /// Over TLS, whatever certificate it shows (as Application Load Balancers do).
    pub tls: bool,
    /// What it speaks.
    pub version: TargetVersion,
}

/// What the targets of a group speak (ELB's `ProtocolVersion`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TargetVersion {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2. Requests that came by HTTP/1.1 are answered 464, as ELB does.
    Http2,
    /// gRPC: as HTTP/2, and nothing but POST.
    Grpc,
}

/// Why a target didn't get a request. None of the request's body was used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// It, or the network before it, refused the connection.
    Refused,
    /// It didn't take the connection in time.
    TimedOut,
    /// It didn't make a TLS handshake, or speaks no HTTP/2 where it should.
    Handshake,
    /// No connection could be tried, for want of ports or descriptors here; nothing is said of
    /// the target.
    Unable,
}

/// A header field as it was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HeaderField<'a> {
    /// Its name in the case in which it came; compare without regard to that.
    pub name: &'a str,
    /// Its value without the white space around it.
    pub value: &'a [u8],
}

impl fmt::Debug for HeaderField<'_> {
    /// The name alone: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: …", self.name)
    }
}

/// What a client asked for.
pub struct RequestHead<'a> {
    /// The address that was listened on.
    pub listener: SocketAddr,
    /// The client's address.
    pub source: SocketAddr,
    /// How it came.
    pub version: ClientVersion,
    /// The method, as it was sent.
    pub method: &'a str,
    /// The host that is asked, as it was sent, with a port if there was one; empty if there was
    /// none (HTTP/1.0).
    pub host: &'a str,
    /// The path as it was sent, from its `/` on; `*` of `OPTIONS *`.
    pub path: &'a str,
    /// What came behind the `?`, as it was sent.
    pub query: Option<&'a str>,
    /// All header fields in their order, `Host` too.
    pub headers: &'a [HeaderField<'a>],
    /// Of what came over TLS.
    pub tls: Option<&'a TlsFacts>,
    /// The `X-Amzn-Trace-Id` that is sent on, or would be.
    pub trace_id: &'a str,
    /// What is suspicious about it, of those that are let through.
    pub classification: Classification,
}

impl<'a> RequestHead<'a> {
    /// The values of the fields of that name, in their order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |field: &&HeaderField<'a>| field.name.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|field| field.value)
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} from {} to {}",
            self.method, self.source, self.listener
        )
    }
}

/// How a request came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ClientVersion {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl ClientVersion {
    /// As a request line says it: `HTTP/1.1`.
    pub fn name(self) -> &'static str {
        match self {
            ClientVersion::Http10 => "HTTP/1.0",
            ClientVersion::Http11 => "HTTP/1.1",
            ClientVersion::Http2 => "HTTP/2.0",
        }
    }
}

/// What a client's TLS session is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: &'static str,
    /// The cipher suite by OpenSSL's name, as ELB gives it.
    pub cipher: &'static str,
    /// The host that the client named (SNI).
    pub server_name: Option<String>,
}

/// How a request stands to RFC 9112, by the words of ELB's access logs. What is
/// [severe](Tier::Severe) is in [`RefusedRequest`]s alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Classification {
    /// How bad it is.
    pub tier: Tier,
    /// Why; none of what is compliant.
    pub reason: Option<&'static str>,
}

impl Classification {
    /// Nothing is wrong.
    pub const COMPLIANT: Classification = Classification {
        tier: Tier::Compliant,
        reason: None,
    };
}

/// The tiers of requests (ELB's "desync mitigation mode").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tier {
    /// As the RFC has it.
    Compliant,
    /// Not so, and harmless.
    Acceptable,
    /// Readers differ about it: both connections end after it.
    Ambiguous,
    /// Never passed on.
    Severe,
}

impl Tier {
    /// ELB's word.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Compliant => "Compliant",
            Tier::Acceptable => "Acceptable",
            Tier::Ambiguous => "Ambiguous",
            Tier::Severe => "Severe",
        }
    }
}

/// A request that nobody was asked about.
#[derive(Clone, Copy, Debug)]
pub struct RefusedRequest<'a> {
    /// The address that was listened on.
    pub listener: SocketAddr,
    /// The client's.
    pub source: SocketAddr,
    /// What it was answered with; none if its connection was closed without an answer.
    pub status: Option<u16>,
    /// Its request line as far as there was one that could be read.
    pub line: Option<&'a str>,
    /// What is wrong with it.
    pub classification: Classification,
    /// Its TLS session.
    pub tls: Option<&'a TlsFacts>,
}

/// How a request ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// What the client was answered; 460 if it went away before that.
    pub status: u16,
    /// What the target answered.
    pub target_status: Option<u16>,
    /// The target that was asked last.
    pub target: Option<SocketAddr>,
    /// Bytes that came from the client, the head with them.
    pub received: u64,
    /// Bytes that were sent to the client, the head with them.
    pub sent: u64,
    /// From the request's head until the target had it ...
    pub request_time: Option<Duration>,
    /// ... from then until the target's answer began ...
    pub target_time: Option<Duration>,
    /// ... and from then until the client's answer began.
    pub response_time: Option<Duration>,
    /// From the request's head until all was over.
    pub lasted: Duration,
    /// How it ended.
    pub end: End,
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The answer was sent whole.
    Done,
    /// It became a tunnel (WebSocket), which has ended.
    Tunnel,
    /// The client went away.
    ClientGone,
    /// The client sent what is no HTTP, in the body.
    ClientBroke,
    /// The target went away, or sent what is no HTTP.
    TargetBroke,
    /// Nothing came from the target for too long.
    TargetSilent,
    /// Nothing came from the client, or it took nothing, for too long.
    ClientSilent,
    /// The listener, or the balancer, was closed.
    Stopped,
}

/// An answer that is made here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Location`.
    pub location: Option<String>,
    /// The body.
    pub body: Bytes,
}
