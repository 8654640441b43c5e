//! The front door: reads a request's head, asks where it goes, and passes the rest through as it
//! comes, both ways. It holds no body in memory and looks into none.
//!
//! It sends a request a second time only when hyper hands it back as never sent. Any other
//! failure resets the client's connection: whether the request was carried out is then unknown,
//! as it would be with the site itself.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::body::{self, BodyBudget};
use super::linger::{LingerSwitch, Lingering};
use super::server::{HttpServer, ServeConnection, Stage, settings};
use super::socket::{ResetSwitch, ResettableStream};
use super::stall::Impatient;
use super::stream::Expectation;
use super::tls::{Connection, HANDSHAKE_WAIT, ServerTls, Trust};
use super::{HttpLimits, Refusal, Service};

/// An idle connection to a site older than this isn't used again: well below the time after
/// which a site closes one, so that the two rarely meet.
const IDLE_AGE: Duration = Duration::from_secs(20);

/// Idle connections kept per site.
const IDLE_CONNECTIONS: usize = 256;

/// Headers that concern one connection only (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 5] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::UPGRADE,
];

/// Where a request goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// To the site that listens there.
    To(SocketAddr),
    /// To this process: [`Service::call`].
    Here,
    /// Nowhere: its connection is reset, as a host that is down would refuse it.
    Reset,
}

/// Decides where requests go, and answers those that stay here.
pub trait FrontDoor: Service {
    /// Where the request with that head, from that client, goes.
    fn route(&self, client: SocketAddr, head: &Parts) -> impl Future<Output = Route> + Send;

    /// Changes the headers of a request from that client before it goes to a site: what the door
    /// vouches for is put there, and what only the door may say is taken away.
    fn vouch(&self, client: SocketAddr, headers: &mut HeaderMap);
}

/// The two ends of a front door that speaks TLS.
#[derive(Clone, Debug)]
pub struct DoorTls {
    /// What it proves itself with to clients.
    pub server: ServerTls,
    /// Whom it takes for the sites.
    pub sites: Trust,
}

impl HttpServer {
    /// Opens a front door on the listener, with TLS before and behind it or without. Must be
    /// called within a tokio runtime.
    pub fn open_door<D: FrontDoor>(
        listener: TcpListener,
        tls: Option<DoorTls>,
        door: Arc<D>,
        limits: HttpLimits,
    ) -> io::Result<HttpServer> {
        let (server, trust) = match tls {
            Some(DoorTls { server, sites }) => (Some(server), Some(sites)),
            None => (None, None),
        };
        let shared = Shared {
            door,
            limits,
            budget: BodyBudget::new(&limits),
            pool: Arc::new(Pool {
                trust,
                idle: Mutex::default(),
            }),
        };
        HttpServer::accept(
            listener,
            server,
            Arc::new(Doorway(Arc::new(shared))),
            limits,
        )
    }
}

struct Shared<D> {
    door: Arc<D>,
    limits: HttpLimits,
    budget: BodyBudget,
    pool: Arc<Pool>,
}

struct Doorway<D>(Arc<Shared<D>>);

impl<D: FrontDoor> ServeConnection for Doorway<D> {
    async fn serve(
        self: Arc<Self>,
        stream: Connection,
        client: SocketAddr,
        mut stage: watch::Receiver<Stage>,
    ) {
        let shared = &self.0;
        let (switch, linger) = (ResetSwitch::default(), LingerSwitch::default());
        let service = service_fn(|request| {
            let switches = (switch.clone(), linger.clone());
            pass(Arc::clone(shared), client, switches, request)
        });
        let stream = ResettableStream::new(stream, switch.clone());
        let stream = Impatient::new(stream, shared.limits.answer_stall);
        let stream = TokioIo::new(Lingering::new(stream, linger.clone()));
        let connection = settings(&shared.limits).serve_connection(stream, service);
        let mut connection = std::pin::pin!(connection);
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(cause) = ended {
                        tracing::debug!(%client, %cause, "a connection ended badly");
                    }
                    return;
                }
                changed = stage.changed() => match *stage.borrow_and_update() {
                    Stage::Draining if changed.is_ok() => connection.as_mut().graceful_shutdown(),
                    _ => return,
                },
            }
        }
    }

    fn turn_away(&self, limit: usize) -> Response<Bytes> {
        self.0.door.refuse(None, Refusal::TooManyConnections(limit))
    }
}

/// The client's connection is to be reset.
#[derive(Debug, thiserror::Error)]
#[error("the site can't be reached")]
struct Unreachable;

async fn pass<D: FrontDoor>(
    shared: Arc<Shared<D>>,
    client: SocketAddr,
    (switch, linger): (ResetSwitch, LingerSwitch),
    request: Request<Incoming>,
) -> Result<Response<DoorBody>, Unreachable> {
    let (head, incoming) = request.into_parts();
    let expectation = Expectation::of(&head.headers, &incoming);
    let site = match shared.door.route(client, &head).await {
        Route::To(site) => site,
        Route::Here => return Ok(answer(&shared, client, head, incoming).await),
        Route::Reset => {
            switch.throw();
            return Err(Unreachable);
        }
    };
    let mut request = Request::from_parts(head, incoming);
    strip(request.headers_mut());
    shared.door.vouch(client, request.headers_mut());
    let (response, lease) = shared.pool.send(site, request).await.map_err(|cause| {
        tracing::debug!(%site, %cause, "a site can't be reached");
        switch.throw();
        Unreachable
    })?;
    let mut response = response.map(|body| DoorBody::Site {
        body,
        lease: Some(lease),
        switch,
    });
    strip(response.headers_mut());
    expectation.settle(&mut response, &linger);
    Ok(response)
}

async fn answer<D: FrontDoor>(
    shared: &Shared<D>,
    client: SocketAddr,
    head: Parts,
    incoming: Incoming,
) -> Response<DoorBody> {
    let read = body::read(&head.headers, incoming, &shared.limits, &shared.budget).await;
    let response = match read {
        Ok(held) => {
            let request = Request::from_parts(head, held.bytes.clone());
            shared.door.call(client, request).await
        }
        Err(refusal) => shared.door.refuse(Some(&head), refusal),
    };
    response.map(|bytes| DoorBody::Here(Full::new(bytes)))
}

fn strip(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

// === Connections to the sites ===

/// Kept-alive connections to the sites, idle ones only.
struct Pool {
    /// Whom to take for a site; `None`: they speak plain HTTP.
    trust: Option<Trust>,
    idle: Mutex<BTreeMap<SocketAddr, Vec<Idle>>>,
}

struct Idle {
    sender: SendRequest<Incoming>,
    since: Instant,
}

/// A connection in use; given back to its pool once its response was read to the end.
struct Lease {
    pool: Arc<Pool>,
    site: SocketAddr,
    sender: SendRequest<Incoming>,
}

/// A site couldn't be reached, or its connection broke before it answered.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("{0}")]
    Connect(#[from] io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(
        self: &Arc<Self>,
        site: SocketAddr,
        mut request: Request<Incoming>,
    ) -> Result<(Response<Incoming>, Lease), SendError> {
        loop {
            let (mut sender, fresh) = match self.take(site) {
                Some(sender) => (sender, false),
                None => (connect(site, self.trust.as_ref()).await?, true),
            };
            if let Err(cause) = sender.ready().await {
                if fresh {
                    return Err(cause.into());
                }
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let pool = Arc::clone(self);
                    return Ok((response, Lease { pool, site, sender }));
                }
                Err(mut failure) => match failure.take_message() {
                    // Not a byte of it was sent.
                    Some(unsent) if !fresh => request = unsent,
                    _ => return Err(failure.into_error().into()),
                },
            }
        }
    }

    fn take(&self, site: SocketAddr) -> Option<SendRequest<Incoming>> {
        let mut idle = self.idle();
        let connections = idle.get_mut(&site)?;
        let mut busy = Vec::new();
        let mut taken = None;
        while let Some(connection) = connections.pop() {
            if connection.since.elapsed() > IDLE_AGE {
                // The last given back is the youngest: the others are too old as well.
                connections.clear();
                break;
            }
            if connection.sender.is_ready() {
                taken = Some(connection.sender);
                break;
            }
            // Its answer came before its request's body was sent to the end: what a client never
            // sends would be waited for.
            if !connection.sender.is_closed() {
                busy.push(connection);
            }
        }
        connections.extend(busy.into_iter().rev());
        taken
    }
}

impl Lease {
    fn give_back(self) {
        let mut idle = self.pool.idle();
        let connections = idle.entry(self.site).or_default();
        if connections.len() < IDLE_CONNECTIONS && !self.sender.is_closed() {
            connections.push(Idle {
                sender: self.sender,
                since: Instant::now(),
            });
        }
    }
}

async fn connect(
    site: SocketAddr,
    trust: Option<&Trust>,
) -> Result<SendRequest<Incoming>, SendError> {
    let stream = TcpStream::connect(site).await?;
    stream.set_nodelay(true)?;
    match trust {
        None => drive(site, stream).await,
        Some(trust) => {
            let secured = tokio::time::timeout(HANDSHAKE_WAIT, trust.secure(stream, site)).await;
            drive(site, secured.map_err(io::Error::from)??).await
        }
    }
}

async fn drive(
    site: SocketAddr,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Incoming>, SendError> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(cause) = connection.await {
            tracing::debug!(%site, %cause, "a connection to a site ended badly");
        }
    });
    Ok(sender)
}

// === The body that is passed through ===

enum DoorBody {
    Here(Full<Bytes>),
    Site {
        body: Incoming,
        lease: Option<Lease>,
        switch: ResetSwitch,
    },
}

impl Body for DoorBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            DoorBody::Here(body) => Pin::new(body)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            DoorBody::Site {
                body,
                lease,
                switch,
            } => {
                let frame = ready!(Pin::new(&mut *body).poll_frame(context));
                match &frame {
                    Some(Err(_)) => switch.throw(),
                    Some(Ok(_)) if !body.is_end_stream() => {}
                    _ => give_back(lease),
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            DoorBody::Here(body) => body.is_end_stream(),
            DoorBody::Site { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            DoorBody::Here(body) => body.size_hint(),
            DoorBody::Site { body, .. } => body.size_hint(),
        }
    }
}

impl Drop for DoorBody {
    /// An empty body is never polled: its connection goes back here.
    fn drop(&mut self) {
        if let DoorBody::Site { body, lease, .. } = self
            && body.is_end_stream()
        {
            give_back(lease);
        }
    }
}

fn give_back(lease: &mut Option<Lease>) {
    if let Some(lease) = lease.take() {
        lease.give_back();
    }
}
