//! The server: accepts connections up to its limit, serves requests on each, and ends in order.
//!
//! A request once begun runs to its end even when its client goes away: a service may hold locks
//! that must not be let go before what they protect is on disk.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::body::{self, BodyBudget};
use super::linger::{LingerSwitch, Lingering};
use super::stall::Impatient;
use super::stream::{AnswerBody, Connected, Expectation, RequestBody};
use super::tls::{Connection, ServerTls};
use super::{HttpLimits, Refusal, Service};

/// How long accepting rests when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How far its end has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Serving,
    Draining,
    Aborting,
}

/// A running server.
pub struct HttpServer {
    address: SocketAddr,
    stage: watch::Sender<Stage>,
    open: Arc<Semaphore>,
    limits: HttpLimits,
}

/// Serves one connection until it ends or the stage says so.
pub(super) trait ServeConnection: Send + Sync + 'static {
    fn serve(
        self: Arc<Self>,
        stream: Connection,
        client: SocketAddr,
        stage: watch::Receiver<Stage>,
    ) -> impl Future<Output = ()> + Send;

    /// The answer to a connection too many.
    fn turn_away(&self, limit: usize) -> Response<Bytes>;
}

impl HttpServer {
    /// Serves `service` on the listener, over TLS if there is what to prove itself with. Must be
    /// called within a tokio runtime.
    pub fn start<S: Service>(
        listener: TcpListener,
        tls: Option<ServerTls>,
        service: Arc<S>,
        limits: HttpLimits,
    ) -> io::Result<HttpServer> {
        let budget = BodyBudget::new(&limits);
        let shared = Shared {
            service,
            limits,
            budget,
        };
        HttpServer::accept(listener, tls, Arc::new(Serve(Arc::new(shared))), limits)
    }

    pub(super) fn accept(
        listener: TcpListener,
        tls: Option<ServerTls>,
        serve: Arc<impl ServeConnection>,
        limits: HttpLimits,
    ) -> io::Result<HttpServer> {
        let address = listener.local_addr()?;
        let (stage, watched) = watch::channel(Stage::Serving);
        let open = Arc::new(Semaphore::new(limits.connections));
        let accepting = Accepting {
            listener,
            tls,
            serve,
            limits,
            open: Arc::clone(&open),
            stage: watched,
        };
        tokio::spawn(accepting.run());
        Ok(HttpServer {
            address,
            stage,
            open,
            limits,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.limits.connections - self.open.available_permits()
    }

    /// Stops accepting, lets open requests end within [`HttpLimits::drain`], closes the rest.
    pub async fn stop(self) {
        self.stage.send_replace(Stage::Draining);
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        let ended = self.open.acquire_many(all);
        if tokio::time::timeout(self.limits.drain, ended)
            .await
            .is_err()
        {
            self.stage.send_replace(Stage::Aborting);
        }
    }
}

impl Drop for HttpServer {
    /// A server that is dropped without [`HttpServer::stop`] closes everything at once.
    fn drop(&mut self) {
        self.stage.send_if_modified(|stage| {
            let serving = *stage == Stage::Serving;
            if serving {
                *stage = Stage::Aborting;
            }
            serving
        });
    }
}

/// Accepts connections until the stage changes.
struct Accepting<C> {
    listener: TcpListener,
    tls: Option<ServerTls>,
    serve: Arc<C>,
    limits: HttpLimits,
    open: Arc<Semaphore>,
    stage: watch::Receiver<Stage>,
}

impl<C: ServeConnection> Accepting<C> {
    async fn run(mut self) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = self.stage.changed() => return,
            };
            match accepted {
                Ok((stream, client)) => self.admit(stream, client),
                Err(cause) => {
                    tracing::warn!(%cause, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, client: SocketAddr) {
        if let Err(cause) = stream.set_nodelay(true) {
            tracing::debug!(%cause, "a connection was gone before it was accepted");
            return;
        }
        let Ok(permit) = Arc::clone(&self.open).try_acquire_owned() else {
            // A handshake would cost what the limit is to save; nobody could read a plain answer.
            if self.tls.is_none() {
                turn_away(&stream, &self.serve.turn_away(self.limits.connections));
            }
            return;
        };
        let tls = (self.tls.clone(), self.limits.head_wait);
        let stage = self.stage.clone();
        tokio::spawn(hold(
            permit,
            stream,
            client,
            tls,
            stage,
            Arc::clone(&self.serve),
        ));
    }
}

/// One connection from its handshake to its end, with its share of the limit.
async fn hold<C: ServeConnection>(
    _permit: OwnedSemaphorePermit,
    stream: TcpStream,
    client: SocketAddr,
    (tls, wait): (Option<ServerTls>, Duration),
    mut stage: watch::Receiver<Stage>,
    serve: Arc<C>,
) {
    let accepted = tokio::select! {
        accepted = Connection::accept(stream, tls.as_ref(), wait) => accepted,
        // Nothing was asked yet: it needn't be waited for.
        _ = stage.changed() => None,
    };
    if let Some(connection) = accepted {
        serve.serve(connection, client, stage).await;
    }
}

/// Writes the answer as far as the socket takes it at once: a connection too many must cost
/// nothing that waits.
fn turn_away(stream: &TcpStream, response: &Response<Bytes>) {
    let mut bytes = format!("HTTP/1.1 {}\r\nconnection: close\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let length = response.body().len();
    bytes.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
    bytes.extend_from_slice(response.body());
    if let Err(cause) = stream.try_write(&bytes) {
        tracing::debug!(%cause, "a connection too many was gone before its answer");
    }
}

/// hyper's settings for a connection under these limits.
pub(super) fn settings(limits: &HttpLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_wait)
        .max_buf_size(limits.head.as_usize());
    builder
}

struct Shared<S> {
    service: Arc<S>,
    limits: HttpLimits,
    budget: BodyBudget,
}

struct Serve<S>(Arc<Shared<S>>);

impl<S: Service> ServeConnection for Serve<S> {
    async fn serve(
        self: Arc<Self>,
        stream: Connection,
        client: SocketAddr,
        stage: watch::Receiver<Stage>,
    ) {
        let shared = &self.0;
        let (connected, linger) = (Connected::new(), LingerSwitch::default());
        let service = service_fn(|request| {
            let connection = (connected.clone(), linger.clone());
            let answer = answer(Arc::clone(shared), client, connection, request);
            RunToEnd(Some(Box::pin(answer)))
        });
        let stream = Impatient::new(stream, shared.limits.answer_stall);
        let stream = TokioIo::new(Lingering::new(stream, linger.clone()));
        let connection = settings(&shared.limits).serve_connection(stream, service);
        let mut connection = std::pin::pin!(connection);
        // Dropped first: what still reads a body then learns that this isn't its end.
        let _leaving = connected.until_dropped();
        let mut stage = stage;
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
        self.0
            .service
            .refuse(None, Refusal::TooManyConnections(limit))
    }
}

async fn answer<S: Service>(
    shared: Arc<Shared<S>>,
    client: SocketAddr,
    (connected, linger): (Connected, LingerSwitch),
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let (head, incoming) = request.into_parts();
    let expectation = Expectation::of(&head.headers, &incoming);
    if shared.service.streams(&head) {
        let stall = shared.limits.body_stall;
        let body = RequestBody::new(&head.headers, incoming, stall, connected);
        let streamed = shared
            .service
            .stream(client, Request::from_parts(head, body));
        // Boxed, so that it doesn't make every other request's future as large.
        let mut response = Box::pin(streamed).await;
        expectation.settle(&mut response, &linger);
        return Ok(response.map(AnswerBody::Streamed));
    }
    let read = body::read(&head.headers, incoming, &shared.limits, &shared.budget).await;
    let mut response = match read {
        Ok(held) => {
            let request = Request::from_parts(head, held.bytes.clone());
            shared.service.call(client, request).await
        }
        Err(refusal) => shared.service.refuse(Some(&head), refusal),
    };
    expectation.settle(&mut response, &linger);
    Ok(response.map(|bytes| AnswerBody::Whole(Full::new(bytes))))
}

/// A future that is carried on by the runtime when whoever polled it lets go of it.
struct RunToEnd<F: Future + Send + 'static>(Option<Pin<Box<F>>>)
where
    F::Output: Send + 'static;

impl<F: Future + Send + 'static> Future for RunToEnd<F>
where
    F::Output: Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.0.as_mut().expect("it isn't polled after its end");
        let polled = future.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl<F: Future + Send + 'static> Drop for RunToEnd<F>
where
    F::Output: Send + 'static,
{
    fn drop(&mut self) {
        let Some(rest) = self.0.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(rest);
        }
    }
}
