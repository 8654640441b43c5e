//! An HTTP/1.1 connection from a chosen address: one request at a time, kept open for the next
//! as long as both ends want. It retries nothing.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use types::ByteSize;

use super::connect;

/// The largest answer that is read.
const ANSWER_LIMIT: ByteSize = ByteSize::mib(1);

/// Why a request has no answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing accepts connections there.
    #[error("connection refused")]
    Refused,
    /// No connection came about for another reason.
    #[error("can't connect")]
    Unreachable,
    /// The connection ended before the answer did.
    #[error("connection broken")]
    Broken,
    /// What came is no HTTP, or more than a client takes.
    #[error("no HTTP answer")]
    Malformed,
}

/// A connection, closed when it is dropped.
pub struct ClientConnection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl ClientConnection {
    /// Connects from that address to that server.
    pub async fn open(
        source: Ipv4Addr,
        server: SocketAddr,
    ) -> Result<ClientConnection, ClientError> {
        let stream = connect(source, server)
            .await
            .map_err(|cause| match cause.kind() {
                io::ErrorKind::ConnectionRefused => ClientError::Refused,
                _ => ClientError::Unreachable,
            })?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| ClientError::Broken)?;
        let driver = tokio::spawn(async move {
            // How it ends, whoever waits for an answer learns.
            connection.await.ok();
        });
        Ok(ClientConnection { sender, driver })
    }

    /// Sends a request and reads its whole answer. The request names its host in a header.
    /// Dropped before it is through, it leaves the connection unusable.
    pub async fn send(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, ClientError> {
        // The connection's own task may still be putting the answer before this one away.
        self.sender.ready().await.map_err(|cause| kind(&cause))?;
        let response = self.sender.send_request(request.map(Full::new)).await;
        let (head, body) = response.map_err(|cause| kind(&cause))?.into_parts();
        let body = Limited::new(body, ANSWER_LIMIT.as_usize());
        let body = body.collect().await.map_err(|cause| {
            let broken = cause.downcast_ref::<hyper::Error>();
            broken.map_or(ClientError::Malformed, kind)
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// Can it carry another request? `false` once either end has closed it; a connection that the
    /// other end is about to close may still say `true`.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed() && !self.driver.is_finished()
    }
}

impl Drop for ClientConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn kind(cause: &hyper::Error) -> ClientError {
    match cause.is_parse() {
        true => ClientError::Malformed,
        false => ClientError::Broken,
    }
}
