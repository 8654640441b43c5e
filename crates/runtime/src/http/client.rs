//! One request over a connection of its own: for a command line that asks a server once.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use types::ByteSize;

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

/// Sends the request there and reads the whole answer, all within `wait`.
pub async fn request(
    server: SocketAddr,
    request: Request<Bytes>,
    wait: Duration,
) -> Result<Response<Bytes>, RequestError> {
    match tokio::time::timeout(wait, exchange(server, request)).await {
        Ok(done) => done,
        Err(_) => Err(RequestError::TimedOut(server, wait)),
    }
}

async fn exchange(
    server: SocketAddr,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, RequestError> {
    let broken = |cause: &dyn std::fmt::Display| RequestError::Broken(server, cause.to_string());
    let stream = TcpStream::connect(server)
        .await
        .map_err(|cause| match cause.kind() {
            std::io::ErrorKind::ConnectionRefused => RequestError::Refused(server),
            _ => broken(&cause),
        })?;
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
