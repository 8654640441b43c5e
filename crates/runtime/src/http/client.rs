//! One request over a connection of its own: for a command line that asks a server once.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use types::ByteSize;

use super::tls::Endpoint;

/// The largest answer that is read.
const ANSWER_LIMIT: ByteSize = ByteSize::mib(256);

/// A request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nothing accepts connections there.
    #[error("nothing listens on {0}")]
    Refused(SocketAddr),
    /// The answer didn't come in time.
    #[error("{0} did not answer within {wait} s", wait = .1.as_secs())]
    TimedOut(SocketAddr, Duration),
    /// The connection broke, or what came isn't HTTP.
    #[error("the request to {0} failed: {1}")]
    Broken(SocketAddr, String),
}

/// Sends the request there, over TLS if it is known whom to take for the server, and reads the
/// whole answer, all within `wait`.
pub async fn request(
    server: impl Into<Endpoint>,
    request: Request<Bytes>,
    wait: Duration,
) -> Result<Response<Bytes>, RequestError> {
    let server = server.into();
    match tokio::time::timeout(wait, connect(&server, request)).await {
        Ok(done) => done,
        Err(_) => Err(RequestError::TimedOut(server.address, wait)),
    }
}

/// Sends the request to a host of that name or address, as this machine's resolver finds it, over
/// plain HTTP, and reads the whole answer, all within `wait`.
pub async fn request_host(
    host: &str,
    port: u16,
    request: Request<Bytes>,
    wait: Duration,
) -> Result<Response<Bytes>, HostError> {
    let found = async {
        let mut addresses = tokio::net::lookup_host((host, port)).await.ok()?;
        addresses.next()
    };
    let asked = async {
        let unknown = || HostError::Unknown(host.to_owned());
        let server = Endpoint::from(found.await.ok_or_else(unknown)?);
        Ok(connect(&server, request).await?)
    };
    match tokio::time::timeout(wait, asked).await {
        Ok(done) => done,
        Err(_) => Err(HostError::TimedOut(host.to_owned(), wait)),
    }
}

/// A request to a host got no answer.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is no host of that name.
    #[error("there is no host '{0}'")]
    Unknown(String),
    /// The answer didn't come in time.
    #[error("{0} did not answer within {wait} s", wait = .1.as_secs())]
    TimedOut(String, Duration),
    /// It has no answer for another reason.
    #[error(transparent)]
    Request(#[from] RequestError),
}

async fn connect(
    endpoint: &Endpoint,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, RequestError> {
    let server = endpoint.address;
    let broken = |cause: &dyn std::fmt::Display| RequestError::Broken(server, cause.to_string());
    let stream = TcpStream::connect(server)
        .await
        .map_err(|cause| match cause.kind() {
            std::io::ErrorKind::ConnectionRefused => RequestError::Refused(server),
            _ => broken(&cause),
        })?;
    match &endpoint.trust {
        None => exchange(server, stream, request).await,
        Some(trust) => {
            let secured = trust.secure(stream, server).await;
            let secured = secured.map_err(|cause| broken(&cause))?;
            exchange(server, secured, request).await
        }
    }
}

async fn exchange(
    server: SocketAddr,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, RequestError> {
    let broken = |cause: &dyn std::fmt::Display| RequestError::Broken(server, cause.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|cause| broken(&cause))?;
    let driver = tokio::spawn(connection);
    let response = sender
        .send_request(request.map(Full::new))
        .await
        .map_err(|cause| broken(&cause))?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_LIMIT.as_usize());
    let bytes = body
        .collect()
        .await
        .map_err(|cause| broken(&cause))?
        .to_bytes();
    driver.abort();
    Ok(Response::from_parts(head, bytes))
}
