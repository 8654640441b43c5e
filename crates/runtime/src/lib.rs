//! The one crate with sockets, clocks, processes and TLS. It drives the cores, which have none
//! of these, and knows nothing of any service.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "invariant 1: this is the one crate that opens sockets, reads clocks, spawns tasks \
              and starts processes, so that no other has to"
)]

mod alive;
mod balance;
mod bird;
mod client;
mod descriptors;
mod dns;
mod endpoint;
mod environment;
mod flows;
mod http;
mod links;
mod lock;
mod memory;
pub mod postgres;
mod probe;
mod process;
mod streams;
mod tasks;

pub use alive::{AliveCheck, AliveError};
pub use balance::{
    Answer, Balance, BalanceListener, Balancer, BalancerCounts, BalancerError, BalancerLimits,
    BalancerListenerState, BalancerOptions, Certificate, Classification, ClientVersion, DesyncMode,
    End, Exchange, Failure, ForwardedFor, HeaderField, HttpOptions, HttpTarget, ListenerKind,
    ListenerTls, Next, Outcome, RefusedRequest, RequestHead, StreamTarget, TargetVersion, Tier,
    TlsFacts, TlsMinimum,
};
pub use bird::{BirdError, BirdLine, BirdSocket};
pub use client::{
    ClientConnection, ClientError, Lookup, LookupError, Resolved, SqlConnection, SqlError, SqlLogin,
};
pub use dns::{
    DnsAddress, DnsCounts, DnsQuery, MAX_QUERY, MAX_TCP_REPLY, MAX_UDP_REPLY, Origin, Relay,
    RelayLimits, RelayTarget, Responder, TcpLimits, TcpServer, Transport, UdpOptions, UdpServer,
};
pub use endpoint::{
    AnswerGate, Away, Backend, Consistency, DatabaseEndpoint, EndpointCounts, EndpointDirectory,
    EndpointLimits, EndpointTls, ForwardedStream, ForwardingTerms, VerifierAnswer, WriteForwarding,
};
pub use environment::{SystemEnvironment, fill_random, variable, variables_named};
pub use flows::{
    AdoptError, Anycast, AnycastEnds, AnycastMember, AnycastState, Attempt, FlowCounts, FlowEnd,
    FlowEvent, FlowKey, FlowLimits, FlowListener, FlowOptions, FlowProtocol, FlowRecord,
    FlowTotals, Flows, FlowsError, FlowsLeft, ListenerState, MAX_ATTEMPTS, MAX_LISTENERS, Moved,
    Steer, Target, Tried, leads_here,
};
pub use http::{
    BodyError, DoorTls, Endpoint, FrontDoor, HostError, HttpLimits, HttpServer, ListenError,
    Listener, Refusal, RequestBody, RequestError, ResponseBody, Route, SMALL_BODY, ServerTls,
    Service, TlsError, Trust, Upstream, UpstreamError, UpstreamLimits, listen, listen_beside,
    look_at, look_at_datagrams, request, request_host,
};
pub use links::{LinkPeer, Links};
pub use lock::{DirectoryLock, LockError};
pub use memory::machine_memory;
pub use probe::SystemProber;
pub use process::{
    CallError, Child, ChildSpec, CommandError, Exit, Guard, HandError, Handler, PipeServer,
    ProcessGroup, ProgramSpec, guard_main, handed_over, printed_by, raise_open_files,
};
pub use streams::{
    SocketOwner, StreamDirectory, StreamPort, StreamPortError, Streams, TargetPlace,
};
pub use tasks::{
    Spawner, Termination, blocking, run, spawn, spawn_vital, terminate, to_its_end, within,
};
