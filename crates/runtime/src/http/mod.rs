//! HTTP/1.1 on both sides: a server for a site's API and the front door that passes requests
//! on to sites. It knows no protocol of any service: what a refusal looks like, and where a
//! request goes, are asked of the service.

mod body;
mod client;
mod door;
mod linger;
mod listen;
mod server;
mod socket;
mod stall;
mod stream;
pub(crate) mod tls;
mod upstream;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use types::ByteSize;

pub use client::{HostError, RequestError, request, request_host};
pub use door::{DoorTls, FrontDoor, Route};
pub use listen::{ListenError, Listener, listen, listen_beside, look_at, look_at_datagrams};
pub use server::HttpServer;
pub use stream::{BodyError, RequestBody, ResponseBody};
pub use tls::{Endpoint, ServerTls, TlsError, Trust};
pub use upstream::{Upstream, UpstreamError, UpstreamLimits};

/// What a server refuses to exceed. All are per server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpLimits {
    /// The largest request body.
    pub body: ByteSize,
    /// All bodies being read or worked on at once, together; further requests wait.
    /// Bodies of up to [`SMALL_BODY`] aren't counted.
    pub bodies: ByteSize,
    /// The request line and all headers together, at least 8 KiB. More is answered 431. At most
    /// 100 headers are taken, which is hyper's own limit.
    pub head: ByteSize,
    /// How long a request's head may take to arrive; a kept-alive connection on which none
    /// arrives for so long is closed.
    pub head_wait: Duration,
    /// How long a request's body may take to arrive.
    pub body_wait: Duration,
    /// How long nothing of a body may arrive: the only limit on one that is streamed.
    pub body_stall: Duration,
    /// How long a client may take nothing of what is written to it.
    pub answer_stall: Duration,
    /// Open connections; one more is answered 503 and closed.
    pub connections: usize,
    /// How long open requests may take to end once the server is told to stop.
    pub drain: Duration,
}

/// A body of up to this size isn't counted against [`HttpLimits::bodies`].
pub const SMALL_BODY: ByteSize = ByteSize::kib(64);

/// Why a request doesn't reach its service. [`Service::refuse`] words it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Its body is larger than this.
    BodyTooLarge(ByteSize),
    /// Its body took too long to arrive.
    BodyTooSlow,
    /// Its body ended early or its framing is broken.
    BodyBroken,
    /// That many connections are open already.
    TooManyConnections(usize),
}

/// What answers requests.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. Once begun it is carried to its end, also when the client has gone.
    fn call(
        &self,
        client: SocketAddr,
        request: Request<Bytes>,
    ) -> impl Future<Output = Response<Bytes>> + Send;

    /// Is the request with that head answered by [`Service::stream`], its body unread, instead of
    /// [`Service::call`]? None of the limits on bodies holds for it but [`HttpLimits::body_stall`].
    fn streams(&self, _head: &Parts) -> bool {
        false
    }

    /// Answers one request whose body comes, and whose answer's body goes, bit by bit. It is
    /// carried to its end also when the client has gone, of which the body's reader learns; the
    /// answer's body is dropped then.
    fn stream(
        &self,
        _client: SocketAddr,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<ResponseBody>> + Send {
        // What never says that it streams is never asked to.
        let refused = self.refuse(Some(&request.into_parts().0), Refusal::BodyBroken);
        std::future::ready(refused.map(|bytes| {
            let whole = Full::new(bytes).map_err(|never| match never {});
            whole.boxed_unsync()
        }))
    }

    /// The answer to a request that was refused, in the service's own form. Without a head no
    /// request was read.
    fn refuse(&self, head: Option<&Parts>, refusal: Refusal) -> Response<Bytes>;
}
