//! How requests reach a store: through whoever opens sockets, which isn't this crate. The library
//! signs requests, reads answers and decides what is tried again; it is given neither a client of
//! its own nor a proxy.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};

/// A request on its way.
pub type TransportFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, TransportError>> + Send + 'a>>;

/// Sends requests over HTTP/1.1.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request, whose URI is absolute and whose body is those pieces, and reads the whole
    /// answer. It follows no redirect and tries nothing again; it has limits of time and size.
    fn send(&self, request: Request<Vec<Bytes>>) -> TransportFuture<'_>;
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct TransportError {
    /// What kind of trouble it was.
    pub trouble: TransportTrouble,
    /// What it was.
    pub detail: String,
}

/// What may be done about a request that has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportTrouble {
    /// No connection came about: it can be sent again.
    Unconnected,
    /// The connection ended before the answer's head: what can be repeated can be sent again.
    Broken,
    /// The answer didn't come in time.
    Late,
    /// What came can't be read.
    Unreadable,
}

/// Gives the library its client.
pub(super) struct Connector(Arc<dyn Transport>);

/// The library's client.
struct Through(Arc<dyn Transport>);

impl Connector {
    /// Of that transport.
    pub(super) fn new(transport: Arc<dyn Transport>) -> Connector {
        Connector(transport)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector(…)")
    }
}

impl fmt::Debug for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Through(…)")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Through(Arc::clone(&self.0))))
    }
}

#[async_trait]
impl HttpService for Through {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, mut body) = request.into_parts();
        let mut pieces = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Ok(piece) = frame?.into_data() {
                pieces.push(piece);
            }
        }
        let answer = self.0.send(Request::from_parts(head, pieces)).await;
        let answer = answer.map_err(|error| HttpError::new(kind(error.trouble), error))?;
        Ok(answer.map(Into::into))
    }
}

fn kind(trouble: TransportTrouble) -> HttpErrorKind {
    match trouble {
        TransportTrouble::Unconnected => HttpErrorKind::Connect,
        TransportTrouble::Broken => HttpErrorKind::Interrupted,
        TransportTrouble::Late => HttpErrorKind::Timeout,
        TransportTrouble::Unreadable => HttpErrorKind::Decode,
    }
}
